"""Slips inside the formula of one local gradient: a sign turned, a square or a root left out."""

from collections.abc import Callable
from functools import partial

import numpy as np

from service.core.comparison.evidence import Edge, Evidence
from service.core.comparison.slips.guess import Guesses, Slip, apply, slope, slope_term, taken
from service.core.comparison.spoken_names import bracketed, spoken_variable
from service.core.errors import LimitExceeded
from service.core.figures.figures import FloatArray
from service.core.rulebook.registry import operation_of
from service.core.symbolic.equation import put_figures
from service.core.symbolic.phrases import phrase_of, typed
from service.core.symbolic.simplify import simplify
from service.core.symbolic.term import Application, Literal, Term, evaluation_order
from service.core.symbolic.textbook import choose_branches, evaluate_term

_SWAPS = {"Add": "Sub", "Sub": "Add"}
_LONGEST = 60  # characters of a formula in a sentence


def _sign_inside(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        term = slope_term(edge)
        for part in evaluation_order(term):
            if isinstance(part, Application) and part.operation.name in _SWAPS:
                other = operation_of(_SWAPS[part.operation.name])
                altered = _with(term, part, partial(Application, other))
                yield (
                    evidence.replaced(edge, edge.with_local(_at(edge, altered))),
                    f"A sign inside the local gradient toward {edge.quoted} is wrong: "
                    f"{'+ for −' if part.operation.name == 'Sub' else '− for +'}.",
                )
        negative = taken(edge, -edge.operands[edge.operand_index])
        local = slope(edge, negative, apply(edge.consumer, negative))
        inside = bracketed(evidence.graph, evidence.position)
        yield (
            evidence.replaced(edge, edge.with_local(local)),
            f"The local gradient toward {edge.quoted} was taken at {typed(f'−{inside}')}: a sign inside is wrong.",
        )


def _left_out(evidence: Evidence) -> Guesses:
    """1/cos(x) for 1/cos(x)², 1/(1 − x²) for 1/√(1 − x²)."""
    for edge in evidence.near_edges:
        term = simplify(slope_term(edge))
        for part in evaluation_order(term):
            if what := _square_or_root(part):
                altered = _with(term, part, lambda operands: operands[0])
                formulas = _compared(evidence, edge, altered, term)
                said = f"The {what} was left out of the local gradient{formulas}."
                yield evidence.replaced(edge, edge.with_local(_at(edge, altered))), said


def _square_or_root(part: Term) -> str | None:
    if not isinstance(part, Application):
        return None
    if part.operation.name == "Sqrt":
        return "root"
    return "square" if part.operation.name == "Pow" and part.operands[1] == Literal(2.0) else None


def _at(edge: Edge, term: Term) -> object:
    """A formula of an edge's local gradient with its figures."""
    return evaluate_term(term, {str(place): operand for place, operand in enumerate(edge.operands)} | {"z": edge.value})


def _compared(evidence: Evidence, edge: Edge, altered: Term, right: Term) -> str:
    """How a wrong formula and the right one are written at the element that sentences speak of; empty if too long."""
    written = []
    for term in (altered, right):
        try:
            figures = {str(place): _element(evidence, each) for place, each in enumerate(edge.operands)}
            chosen = choose_branches(term, {**figures, "z": _element(evidence, edge.value)})
            names = {str(place): operand for place, operand in enumerate(edge.terms)}
            put = put_figures(chosen, {**names, "z": spoken_variable(edge.graph, edge.position)})
            written.append(phrase_of(simplify(put), _LONGEST))
        except (ValueError, LimitExceeded):
            return ""
    return f": {written[0]}, not {written[1]}"


def _element(evidence: Evidence, figure: FloatArray) -> np.float64:
    """Of a tensor the element that sentences speak of; raises ValueError where it has none."""
    return np.float64(np.broadcast_to(figure, evidence.expected.shape)[evidence.worst])


def _with(term: Term, altered: Term, made_of: Callable[[tuple[Term, ...]], Term]) -> Term:
    """The term in which a part is another, made of its operands."""
    made: dict[int, Term] = {}
    for part in evaluation_order(term):
        made[id(part)] = part
        if isinstance(part, Application):
            operands = tuple(made[id(x)] for x in part.operands)
            own = Application(part.operation, operands, part.attributes)
            made[id(part)] = made_of(operands) if part is altered else own
    return made[id(term)]


ALTERED_SLOPE_SLIPS: tuple[Slip, ...] = (
    ("sign inside", _sign_inside),
    ("square or root left out", _left_out),
)
