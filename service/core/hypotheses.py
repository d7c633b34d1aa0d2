"""What may have gone wrong at an origin: each hypothesis is one small function, and counts if it yields the figure.

A hypothesis gets the evidence about one origin and yields the figures that the mistake would have made, each with a
sentence. Those that reproduce the run's figure within the tolerance are reported, smallest error first, then in the
order of the table `HYPOTHESES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from service.core.comparison import UNIT_ROUNDOFF, Comparison, Phase, Side, Tolerance, Verdict
from service.core.differentiation import contributions_of, sum_to_shape
from service.core.figures import FloatArray
from service.core.graph import Node
from service.core.notation import ATOM, Written, write_text
from service.core.symbol import Variable, local_gradient_terms
from service.core.symbol import write_text as write_term

Guesses = Iterator[tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A mistake that would have made the figure: its name, a sentence with the numbers in it, and how far it is off."""

    name: str
    sentence: str
    error: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """An out-edge of the origin, in a backward pass; `local` is None where the operation is not elementwise."""

    consumer: Node
    slot: int
    operands: tuple[FloatArray, ...]
    value: FloatArray
    upstream: FloatArray
    local: FloatArray | None
    contribution: FloatArray

    def with_local(self, local: Any) -> FloatArray:
        """The contribution that another local gradient would have made."""
        shape = self.operands[self.slot].shape
        return np.asarray(sum_to_shape(np.broadcast_to(self.upstream * local, self.upstream.shape), shape))


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that is known about one origin."""

    phase: Phase
    place: int
    node: Node
    figure: FloatArray
    expected: FloatArray
    operands: tuple[FloatArray, ...]
    edges: tuple[Edge, ...]
    nodes: tuple[Node, ...]
    followers: tuple[Verdict, ...]

    @property
    def forward(self) -> bool:
        """Whether the figure is a value."""
        return self.phase.name == "forward"

    def replaced(self, edge: Edge, contribution: Any) -> FloatArray:
        """The gradient with one contribution replaced by another."""
        return np.asarray(self.expected - edge.contribution + contribution)


def explain(
    found: Comparison, phase: Phase, place: int, candidate: Side, tolerance: Tolerance
) -> tuple[tuple[Hypothesis, ...], str]:
    """The hypotheses that reproduce the figure of one node, and a sentence that says what it is and should be."""
    evidence = _gather(found, phase, place, candidate)
    statement = _statement(evidence, candidate.output)
    if place in (found.redefined if evidence.forward else found.reconsumed):
        what = "is defined" if evidence.forward else "is used"
        return (Hypothesis("definition", f"{statement} The node {what} otherwise in the two graphs.", None),), statement
    reported = []
    atol = tolerance.atol * phase.scale
    for order, (name, guess) in enumerate(HYPOTHESES):
        best: tuple[float, str] | None = None
        with np.errstate(all="ignore"):
            for figure, because in guess(evidence):
                if np.shape(figure) != evidence.figure.shape:
                    continue
                error = np.abs(evidence.figure - figure)
                rtol = max(tolerance.rtol, 32 * UNIT_ROUNDOFF[candidate.dtype])
                if not (error <= atol + rtol * np.abs(figure)).all():
                    continue
                greatest = float(error.max(initial=0.0))
                if best is None or greatest < best[0]:
                    best = greatest, because
        if best is not None:
            reported.append((best[0], order, Hypothesis(name, f"{statement} {best[1]}", best[0])))
    if _used_right(evidence):
        sentence = f"{statement} All that it feeds is right: it was recorded wrong, but used right."
        reported.append((np.inf, _USED_RIGHT, Hypothesis("recorded wrong but used right", sentence, None)))
    if rounding := _rounding(evidence, statement):
        reported.append((rounding.error or 0.0, len(HYPOTHESES) + 1, rounding))
    reported.sort(key=lambda entry: entry[:2])
    return tuple(hypothesis for _, _, hypothesis in reported), statement


def rounding(found: Comparison, phase: Phase, place: int, candidate: Side) -> Hypothesis:
    """Why a first difference is no origin: errors below the tolerance grew."""
    statement = _statement(_gather(found, phase, place, candidate), candidate.output)
    figure, expected = phase.candidate[place], phase.expected[place]
    assert figure is not None and expected is not None
    error = float(np.abs(figure - expected).max(initial=0.0))
    sentence = f"{statement} It follows from the run's own figures: rounding errors below the tolerance grew."
    return Hypothesis("rounding", sentence, error)


# --- the hypotheses -----------------------------------------------------------------------------------------------


def _sign(evidence: Evidence) -> Guesses:
    if np.any(evidence.expected):
        yield -evidence.expected, "The sign is wrong."


def _reciprocal(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.local is not None:
            figure = evidence.replaced(edge, edge.with_local(1.0 / edge.local))
            what = f"{spoken(evidence.figure)} is the" if len(evidence.edges) == 1 and _is_one(edge.upstream) else "The"
            end = (
                "right local gradient." if what != "The" else f"local gradient toward {edge.consumer.name!r} was taken."
            )
            yield figure, f"{what} reciprocal of the {end}"


def _operand_reciprocal(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.local is None:
            continue
        for place, name in enumerate(edge.consumer.inputs):
            operands = list(edge.operands)
            operands[place] = 1.0 / operands[place]
            local = _locals(edge.consumer, operands)[edge.slot]
            yield (
                evidence.replaced(edge, edge.with_local(local)),
                (
                    f"In the local gradient 1/{name} was taken for {name}: {spoken(1.0 / edge.operands[place])} "
                    f"for {spoken(edge.operands[place])}."
                ),
            )


def _missing(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if np.any(edge.contribution):
            yield (
                evidence.replaced(edge, 0.0),
                f"The contribution through {edge.consumer.name!r}, {spoken(edge.contribution)}, is missing.",
            )


def _last_only(evidence: Evidence) -> Guesses:
    if len(evidence.edges) > 1:
        last = evidence.edges[-1]
        yield (
            last.contribution,
            f"Only the last contribution, through {last.consumer.name!r}, was kept: overwritten, not added.",
        )


def _upstream_dropped(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.local is not None and not _is_one(edge.upstream):
            ones = np.ones_like(edge.upstream)
            shape = edge.operands[edge.slot].shape
            dropped = sum_to_shape(ones * edge.local, shape)
            yield (
                evidence.replaced(edge, dropped),
                f"The upstream gradient {spoken(edge.upstream)} from {edge.consumer.name!r} was left out.",
            )


def _local_dropped(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.local is not None and not _is_one(edge.local):
            yield (
                evidence.replaced(edge, edge.with_local(1.0)),
                f"The local gradient {spoken(edge.local)} toward {edge.consumer.name!r} was left out.",
            )


def _swapped(evidence: Evidence) -> Guesses:
    if evidence.forward and len(evidence.operands) == 2:
        figure = evidence.node.operation.evaluate(evidence.operands[::-1], evidence.node.attributes)
        first, second = evidence.node.inputs
        yield np.asarray(figure, dtype=np.float64), f"The operands {first} and {second} were swapped."
    for edge in evidence.edges:
        if edge.local is not None and len(edge.operands) == 2:
            local = _locals(edge.consumer, edge.operands[::-1])[edge.slot]
            yield (
                evidence.replaced(edge, edge.with_local(local)),
                f"In the local gradient the operands of {edge.consumer.name!r} were swapped.",
            )


def _transposed(evidence: Evidence) -> Guesses:
    if evidence.expected.ndim > 1:
        yield np.swapaxes(evidence.expected, -1, -2), "It is transposed."


def _sum_for_mean(evidence: Evidence) -> Guesses:
    counts = {len(evidence.operands)} if evidence.forward else {len(edge.operands) for edge in evidence.edges}
    for edge in evidence.edges:
        counts.add(edge.upstream.size // max(1, evidence.expected.size))
        counts.update(operand.size for operand in edge.operands)
    counts.update(operand.size for operand in evidence.operands)
    for count in sorted(counts):
        if count > 1:
            yield evidence.expected * count, f"It is {count} times too large: a sum was taken for a mean of {count}."
            yield evidence.expected / count, f"It is {count} times too small: a mean was taken for a sum of {count}."


def _other_figure(evidence: Evidence) -> Guesses:
    baseline, figure = evidence.phase.baseline, evidence.figure
    if not np.any(figure):
        return
    if baseline.shapes is None:
        near = np.abs(baseline.flat - figure) <= 1e-6 * abs(float(figure))
        places = [int(place) for place in np.flatnonzero(near)[:16]]
    else:
        places = [place for place in range(len(baseline)) if baseline.shape(place) == figure.shape]
    for place in places:
        other = baseline[place]
        if place != evidence.place and other is not None:
            what = "value" if evidence.forward else "gradient"
            yield other, f"It is the {what} of {evidence.nodes[place].name!r}."


def _constant_factor(evidence: Evidence) -> Guesses:
    expected, figure = evidence.expected, evidence.figure
    nonzero = expected != 0.0
    if not np.any(nonzero):
        return
    factor = float(np.median(figure[nonzero] / expected[nonzero])) if expected.ndim else float(figure / expected)
    if not np.isfinite(factor) or factor == 0.0:
        return
    simple = Fraction(factor).limit_denominator(1000)
    # Any one number is some multiple of any other: for a scalar only a whole factor, or one over a whole, says much.
    telling = abs(simple.numerator) == 1 or simple.denominator == 1
    if simple and abs(simple.numerator) <= 1000 and (expected.size > 1 or telling) and simple != 1:
        yield expected * float(simple), f"It is {spoken(np.float64(float(simple)))} times what it should be."
    elif expected.size > 1:
        yield expected * factor, f"It is {spoken(np.float64(factor))} times what it should be, everywhere."


HYPOTHESES: tuple[tuple[str, Callable[[Evidence], Guesses]], ...] = (
    ("sign", _sign),
    ("reciprocal of the local gradient", _reciprocal),
    ("operand taken as its reciprocal", _operand_reciprocal),
    ("contribution missing", _missing),
    ("only the last contribution kept", _last_only),
    ("upstream factor dropped", _upstream_dropped),
    ("local factor dropped", _local_dropped),
    ("operands swapped", _swapped),
    ("transposed", _transposed),
    ("sum for mean", _sum_for_mean),
    ("another node's figure", _other_figure),
    ("constant factor", _constant_factor),
)
# It stands between "another node's figure" and "constant factor", and makes no figure.
_USED_RIGHT = len(HYPOTHESES) - 2


def _used_right(evidence: Evidence) -> bool:
    """Whether all that the figure feeds is right although the figure is wrong."""
    return (
        bool(evidence.followers)
        and Verdict.COMPENSATED in evidence.followers
        and all(verdict in (Verdict.SAME, Verdict.COMPENSATED) for verdict in evidence.followers)
    )


def _rounding(evidence: Evidence, statement: str) -> Hypothesis | None:
    """Whether float32's unit roundoff explains the figure, where it was said to be float64."""
    with np.errstate(all="ignore"):
        error = np.abs(evidence.figure - evidence.expected)
        allowed = 32 * UNIT_ROUNDOFF["float32"] * np.abs(evidence.expected)
    if not (error <= allowed).all():
        return None
    sentence = f"{statement} The difference is no more than rounding to float32 makes."
    return Hypothesis("float32 rounding", sentence, float(error.max(initial=0.0)))


# --- evidence and words -------------------------------------------------------------------------------------------


def _gather(found: Comparison, phase: Phase, place: int, candidate: Side) -> Evidence:
    graph = candidate.graph
    node = graph.nodes[place]
    figure, expected = phase.candidate[place], phase.expected[place]
    assert figure is not None and expected is not None
    values = found.values
    consumers = graph.consumers[place]
    if phase.name == "forward":
        operands = tuple(_figure(values, source) for source in graph.operands[place])
        followers = tuple(Verdict(int(phase.verdicts[consumer])) for consumer, _ in consumers)
        compared = tuple(verdict for verdict in followers if verdict != Verdict.NOT_COMPARED)
        return Evidence(phase, place, node, figure, expected, operands, (), graph.nodes, compared)
    edges = []
    for consumer, slot in reversed(consumers):
        user = graph.nodes[consumer]
        given = tuple(_figure(values, source) for source in graph.operands[consumer])
        value, upstream = _figure(values, consumer), _figure(phase.effective, consumer)
        with np.errstate(all="ignore"):
            contribution = list(contributions_of(user, upstream, given, value))[slot]
            local = None
            if not user.operation.contributions:
                local = np.asarray(user.operation.differentiate(given, value, user.attributes)[slot])
        if contribution is not None:
            edges.append(Edge(user, slot, given, value, upstream, local, np.asarray(contribution)))
    followers = tuple(Verdict(int(phase.verdicts[source])) for source in graph.operands[place])
    compared = tuple(verdict for verdict in followers if verdict != Verdict.NOT_COMPARED)
    return Evidence(phase, place, node, figure, expected, (), tuple(edges), graph.nodes, compared)


def _figure(figures: Any, place: int) -> FloatArray:
    figure = figures[place]
    assert figure is not None
    return np.asarray(figure)


def _locals(node: Node, operands: Any) -> Any:
    value = node.operation.evaluate(operands, node.attributes)
    return node.operation.differentiate(operands, value, node.attributes)


def _is_one(array: FloatArray) -> bool:
    return bool((array == 1.0).all())


def _statement(evidence: Evidence, output: str | None) -> str:
    """What the figure is, and what it should be and why."""
    name = evidence.node.name
    subject = name if evidence.forward else f"∂{output}/∂{name}"
    should = f"it should be {_derivation(evidence)}"
    return f"{subject} is {spoken(evidence.figure)}; {should}."


def _derivation(evidence: Evidence) -> str:
    right = spoken(evidence.expected)
    if evidence.forward:
        if not evidence.node.inputs:
            return right
        operands = [Written(name, ATOM) for name in evidence.node.inputs]
        return f"{write_text(evidence.node.operation.notation, operands).text} = {right}"
    if not evidence.edges or len(evidence.edges) > 4 or any(edge.local is None for edge in evidence.edges):
        return right
    products = [f"{spoken(edge.upstream)} × {_local_formula(edge)}" for edge in evidence.edges]
    return f"{' + '.join(products)} = {right}"


def _local_formula(edge: Edge) -> str:
    terms = [Variable(name) for name in edge.consumer.inputs]
    operation, attributes = edge.consumer.operation, edge.consumer.attributes
    formula = write_term(local_gradient_terms(operation, terms, Variable(edge.consumer.name), attributes)[edge.slot])
    bare = formula.replace(" ", "") if len(formula) <= 8 else formula
    return bare if all(sign not in bare.lstrip("-") for sign in "+-") else f"({formula})"


def spoken(figure: FloatArray | np.float64) -> str:
    """A number as a person writes it: −1/3 for −0.333…; of a tensor its shape and its norm."""
    if figure.ndim:
        norm = float(np.sqrt(np.sum(figure * figure)))
        return f"a tensor of shape {list(figure.shape)} with norm {norm:.6g}"
    value = float(figure)
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "∞" if value > 0 else "−∞"
    if abs(value) < 1e6:
        simple = Fraction(value).limit_denominator(99)
        if simple.denominator > 1 and abs(float(simple) - value) <= 4 * np.spacing(abs(value)):
            decimal = f"{value:.6g}"
            exact = float(decimal) == value and len(decimal) <= 6
            return (decimal if exact else f"{simple.numerator}/{simple.denominator}").replace("-", "−")
    return f"{value:.6g}".replace("-", "−")
