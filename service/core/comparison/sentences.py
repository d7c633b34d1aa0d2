"""What a wrong figure is, what it should be, and by which rule: in words, numbers and a textbook's formulas."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from service.core.comparison.evidence import Edge, Evidence, Index, write_subject
from service.core.comparison.spoken_names import spoken_variable, told_attributes
from service.core.comparison.textbook_contributions import is_readable, written_contribution
from service.core.comparison.verdicts import Comparison, Phase
from service.core.errors import LimitExceeded
from service.core.figures.figures import FloatArray
from service.core.figures.text import exact_text, figure_text, listed, told_apart
from service.core.rulebook.notation import PRODUCT
from service.core.symbolic.equation import fraction_term, number_term, put_figures, times
from service.core.symbolic.phrases import Phrase, Sentence, formula, phrase_of, typeset
from service.core.symbolic.printing import write_mathml, write_plain
from service.core.symbolic.simplify import TermTable, simplify
from service.core.symbolic.term import (
    Literal,
    NotSymbolic,
    Term,
    Variable,
    application,
    contribution_terms,
)
from service.core.symbolic.textbook import choose_branches, textbook_gradients, with_transposes

# The most summands of a gradient, operands of an operation, and characters of a formula that a sentence holds.
_MOST_EDGES, _MOST_OPERANDS, _LONGEST = 4, 8, 200


class _Derivation(NamedTuple):
    """How the right figure follows: a formula, the same with the numbers put in, the rules' names, or in words."""

    formula: str = ""
    numbers: str = ""
    rules: Sequence[str] = ()
    words: str = ""


def statement(evidence: Evidence) -> Phrase:
    """State what the figure is and what it should be, by which formula; of a tensor, at the element most in error."""
    return _state(evidence, _derive(evidence, evidence.worst).formula)


def full_statement(evidence: Evidence) -> Phrase:
    """State the same with the numbers put into the formula, and with the rule."""
    derivation = _derive(evidence, evidence.worst)
    rules = listed([f"the {rule}" for rule in derivation.rules])
    by = f" by {rules} rule" if rules else _why_without_rule(evidence)
    if derivation.words:
        by = f", {derivation.words},{by}"
    return _state(evidence, derivation.formula, derivation.numbers, by=by)


def compensated_sentence(found: Comparison, phase: Phase, position: int) -> Sentence:
    """Say of a right figure that it does not follow from the run's others; of a tensor, where it does so least."""
    given, expected = phase.candidate[position], phase.expected[position]
    assert given is not None and expected is not None
    with np.errstate(all="ignore"):
        apart = np.abs(given - expected)
    index = np.unravel_index(int(np.argmax(np.where(np.isnan(apart), np.inf, apart))), apart.shape)
    figure, other = (figure_text(np.float64(each[index])) for each in (given, expected))
    if figure == other:
        figure, other = told_apart(float(given[index]), float(expected[index]))
    at = f" at {[int(step) for step in index]}" if index else ""
    return Sentence(
        f"{write_subject(found.candidate, phase.name == 'forward', position)} is right, {figure}{at}, but does not "
        f"follow from the other figures given, by which it would be {other}: a second error cancels theirs, or it was "
        "not computed from them."
    )


def _state(evidence: Evidence, *sides: str, by: str = "") -> Phrase:
    if evidence.figure.shape != evidence.expected.shape:
        shapes = [_shape_text(each.shape) for each in (evidence.figure, evidence.expected)]
        equal = f", {sides[0]}" if sides and sides[0] else ""
        return Phrase(f"{evidence.subject} has the shape {shapes[0]}; it should have {shapes[1]}{equal}{by}.")
    index = evidence.worst
    figure, expected = (np.asarray(each[index]) for each in (evidence.figure, evidence.expected))
    at, there = (f" at {list(index)}", " there") if index else ("", "")
    with np.errstate(all="ignore"):
        alike = np.isfinite(expected) and abs(figure - expected) <= 1e-5 * abs(expected)
    wrong, right = figure_text(figure), figure_text(expected)
    if alike:  # six digits might not tell them apart
        wrong, right = (exact_text(float(number)).replace("-", "−") for number in (figure, expected))
    written = filter(None, [*sides, typeset(right, write_mathml(_number(expected, right)))])
    equal = " = ".join(f"{side}" for side in {str(side): side for side in written}.values())
    return Phrase(f"{evidence.subject} is {wrong}{at}; it should be {equal}{there}{by}.")


def _number(figure: FloatArray, text: str) -> Term:
    """A number as it is written in plain text, as a fraction or so many digits."""
    if "/" in text:
        return fraction_term(figure)
    return number_term(float(text.replace("−", "-").replace("∞", "inf")))


def _shape_text(shape: Index) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _why_without_rule(evidence: Evidence) -> str:
    if not evidence.replayed:
        return "" if evidence.node.operation.is_input else ", the right run's figure"
    if evidence.forward or evidence.edges:
        return ""
    return ", the seed" if evidence.seed.any() else "" if evidence.unread else ": the output does not depend on it"


def _derive(evidence: Evidence, index: Index) -> _Derivation:
    try:
        return _derive_value(evidence, index) if evidence.forward else _derive_gradient(evidence, index)
    except LimitExceeded:
        return _Derivation()


def _derive_value(evidence: Evidence, index: Index) -> _Derivation:
    node, operands = evidence.node, evidence.operands
    if not 0 < len(operands) <= _MOST_OPERANDS:
        return _Derivation()
    passes_on = node.operation.name == "Identity"
    term = (
        evidence.terms[0]
        if passes_on
        else application(node.operation, evidence.terms, told_attributes(node.attributes))
    )
    written = phrase_of(term, _LONGEST)
    if not node.operation.is_elementwise:
        return _Derivation(written)
    figures = _figures_at(evidence.terms, operands, evidence.expected.shape, index)
    return _Derivation(written, phrase_of(_with_numbers(term, figures), _LONGEST))


def _derive_gradient(evidence: Evidence, index: Index) -> _Derivation:
    edges = evidence.edges
    if not edges or len(edges) > _MOST_EDGES or any(len(edge.operands) > _MOST_OPERANDS for edge in edges):
        return _Derivation()
    seed = [figure_text(evidence.seed)] if not evidence.seed.ndim and evidence.seed else []
    parts = [_derive_contribution(evidence, edge, index) for edge in edges]
    rules = list(dict.fromkeys(rule for part in parts for rule in part.rules))
    if not all(part.formula for part in parts):
        return _Derivation(rules=rules, words=parts[0].words if len(parts) == 1 else "")
    written = _sum([*seed, *(part.formula for part in parts)])
    if not all(part.numbers for part in parts):
        return _Derivation(written, rules=rules)
    return _Derivation(written, _sum([*seed, *(part.numbers for part in parts)]), rules)


def _sum(summands: Sequence[str]) -> str:
    return formula(" + ".join(f"{each}" for each in summands)) if len(summands) > 1 else summands[0]


def _derive_contribution(evidence: Evidence, edge: Edge, index: Index) -> _Derivation:
    node = edge.consumer
    beside = all(isinstance(term, Literal) for place, term in enumerate(edge.terms) if place != edge.operand_index)
    rule = node.operation.rule_name(edge.operand_index, beside and len(edge.terms) > 1)
    rules = (rule if node.operation.is_elementwise else f"{node.operation.name}",)
    flowing = edge.upstream_of(evidence.output)
    upstream = Variable(f"∂{evidence.output}/∂{node.name}", text=str(flowing), mathml=flowing.parts[0].mathml)
    value = spoken_variable(edge.graph, edge.position)
    if edge.local is None:
        written, words = _of_a_tensor_operation(edge, upstream, flowing, value, evidence.output)
        return _Derivation(written, rules=rules, words=words)
    if _passes_nothing(edge):
        return _Derivation("0", "0", rules)
    slopes = textbook_gradients(node.operation, edge.terms, value, node.attributes)
    slope = slopes[edge.operand_index]
    if edge.upstream.shape != edge.operands[edge.operand_index].shape:
        # The sum over what the operand was broadcast to, where each element may take another branch.
        return _Derivation(formula(f"sum({flowing} × {_factor(simplify(slope))})"), rules=rules)
    figures = _figures_at((*edge.terms, value), (*edge.operands, edge.value), edge.upstream.shape, index)
    local = choose_branches(slope, figures)
    flow = np.asarray(edge.upstream[index])
    return _Derivation(_product(flow, local), _product(flow, _with_numbers(local, figures)), rules)


def _of_a_tensor_operation(
    edge: Edge, upstream: Variable, flowing: Phrase, value: Variable, output: str
) -> tuple[str, str]:
    """The contribution as a formula, or in words; neither where the rulebook's own formula is not one for readers."""
    node = edge.consumer
    from_output = node.name == output and not edge.upstream.ndim
    if written := written_contribution(edge, Phrase(figure_text(edge.upstream)) if from_output else flowing):
        return written
    try:
        term = contribution_terms(node.operation, upstream, edge.terms, value, node.attributes)[edge.operand_index]
        assert term is not None
        simple = TermTable(for_reading=True, keep_shapes=True).add(term)[0]
        derived = phrase_of(with_transposes(simple), _LONGEST)
    except (NotSymbolic, LimitExceeded):
        return "", ""
    return derived if is_readable(derived) else "", ""


def _passes_nothing(edge: Edge) -> bool:
    """Whether the edge is closed, or nothing flows back to it: the contribution is 0, though upstream × local gradient
    would be 0 × ∞."""
    assert edge.local is not None
    with np.errstate(all="ignore"):
        return bool(np.isnan(edge.upstream * edge.local).any()) and not np.any(edge.contribution)


def _product(flow: FloatArray, local: Term) -> Phrase:
    """Upstream × local gradient."""
    text = figure_text(flow)
    return typeset(f"{text} × {_factor(local)!s}", write_mathml(times(_number(flow, text), local)))


def _factor(term: Term) -> Phrase:
    written = write_plain(term, _LONGEST)
    is_bracketed = written.binds < PRODUCT or written.text.startswith("−")
    return formula(f"({phrase_of(term, _LONGEST)})") if is_bracketed else phrase_of(term, _LONGEST)


def _with_numbers(term: Term, figures: Mapping[str, Any]) -> Term:
    return put_figures(term, {name: _number(figure, figure_text(figure)) for name, figure in figures.items()})


def _figures_at(
    terms: Sequence[Term], figures: Sequence[FloatArray], shape: Index, index: Index
) -> Mapping[str, np.float64]:
    """The number of each variable at one element of a value of that shape."""
    return {
        term.name: np.float64(np.broadcast_to(figure, shape)[index])
        for term, figure in zip(terms, figures, strict=True)
        if isinstance(term, Variable)
    }
