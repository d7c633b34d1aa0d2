"""Hypotheses: mistakes that may explain an origin, one small function each.

A function takes the evidence about an origin and yields the figures that the mistake would produce, each with a
sentence. Those that reproduce the run's figure within the tolerance are reported, smallest error first, then in the
order of the table `HYPOTHESES`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from service.core.comparison.evidence import Edge, Evidence, gather
from service.core.comparison.sentences import full_statement, statement
from service.core.comparison.slips.attributes import ATTRIBUTE_SLIPS
from service.core.comparison.slips.cuts import ALONE_TWICE, FAR_SLIPS, TWICE
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.comparison.slips.local_gradients import LOCAL_GRADIENT_SLIPS
from service.core.comparison.slips.losses import LOSS_SLIPS
from service.core.comparison.slips.matrix_products import MATRIX_PRODUCT_SLIPS
from service.core.comparison.slips.shapes import SHAPE_SLIPS, shape_alone
from service.core.comparison.slips.tensor_operations import TENSOR_OPERATION_SLIPS
from service.core.comparison.slips.tensors import PART_SLIPS, TENSOR_SLIPS
from service.core.comparison.slips.values import FAR_VALUE_SLIPS, NAN_SLIPS, PEN_SLIPS, ROUNDED_TO_ZERO, VALUE_SLIPS
from service.core.comparison.spoken_names import quoted
from service.core.comparison.unclaimed import dependence, unrecorded, with_value
from service.core.comparison.verdicts import UNIT_ROUNDOFF, Comparison, Phase, Verdict, relative_rounding
from service.core.errors import InvalidInputs
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray
from service.core.figures.text import figure_text, listed
from service.core.graph.graph import Node
from service.core.graph.traversal import ancestors
from service.core.rulebook.primitives import sum_to_shape

# How many figures of other nodes are tried, nearest first.
_MOST_FIGURES = 16
# Origins for which a mistake at a figure that is not given is sought, and the hypotheses that do not keep from that.
_MOST_SOUGHT = 8
DOUBTFUL = (
    *("another node's figure", "another node for an operand", "constant factor", "worked from a rounded figure"),
    *("rounded or cut", "digits exchanged", "one part wrong", "float32 rounding"),
)
UNCLAIMED = "a figure that is not given explains"


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A mistake that would produce the figure: its name, `because`, a sentence with the numbers, and the error that
    remains. `opening` is the sentence before: what the figure is and should be."""

    name: str
    opening: str
    because: str
    error: float | None

    @property
    def sentence(self) -> str:
        """Both sentences."""
        return f"{self.opening} {self.because}"


def explain(found: Comparison, phase: Phase, position: int, candidate: Run) -> tuple[Hypothesis, ...]:
    """The hypotheses that reproduce the figure of an origin, the node at that position."""
    evidence = gather(found, phase, position, candidate)
    if position in phase.definitions:
        what = f"The node {'is defined' if evidence.forward else 'is used'} differently in the two graphs."
        return (Hypothesis("definition", statement(evidence), what, None),)
    own = explain_evidence(evidence)
    return own if own and own[0].name not in DOUBTFUL else (*_by_an_unclaimed_figure(evidence), *own)


def _by_an_unclaimed_figure(evidence: Evidence) -> tuple[Hypothesis, ...]:
    """An exact mistake at a node on the way whose own figure the run does not give."""
    found, phase, position = evidence.found, evidence.phase, evidence.position
    first = islice(found.places(Verdict.ORIGIN), _MOST_SOUGHT)
    if (
        not evidence.replayed
        or position in phase.misshapen
        or (phase.name, position) not in [(each.name, place) for each, place in first]
    ):
        return ()
    on_the_way = _value_on_the_way if evidence.forward else _gradient_on_the_way
    for place in unrecorded(found, phase, position):
        if mistaken := on_the_way(evidence, place):
            figure, because, error = mistaken
            said = full_statement(gather(found, phase, place, found.candidate, figure))
            because = f"{UNCLAIMED.capitalize()} it. {said} {because}"
            return (Hypothesis("unclaimed figure", statement(evidence), because, error),)
    return ()


def _gradient_on_the_way(evidence: Evidence, place: int) -> tuple[FloatArray, str, float | None] | None:
    """The gradient of the node at `place` that the origin asks for, if a mistake explains it exactly."""
    found, phase = evidence.found, evidence.phase
    depends = dependence(found, phase, place)
    needed = depends and depends.solve(evidence.position, evidence.figure, phase.atol)
    if needed is None:
        return None
    hypotheses = explain_evidence(gather(found, phase, place, found.candidate, needed))
    if not hypotheses or hypotheses[0].name in DOUBTFUL:
        return None
    return needed, hypotheses[0].because, hypotheses[0].error


def _value_on_the_way(evidence: Evidence, place: int) -> tuple[FloatArray, str, float | None] | None:
    """The value of the node at `place` by a mistake that explains the origin's value exactly."""
    there = gather(evidence.found, evidence.phase, place, evidence.found.candidate, evidence.found.values[place])
    rtol = max(evidence.phase.rtol, relative_rounding(evidence.found.candidate.dtype))
    for rank, (_, guess) in HYPOTHESES:
        mistaken: dict[str, FloatArray] = {}
        if rank == _LOCAL and (best := _best(evidence, partial(_followed, there, guess, mistaken), rtol)):
            return mistaken[best[1]], best[1], best[0]
    return None


def _followed(
    there: Evidence, guess: Callable[[Evidence], Guesses], mistaken: dict[str, FloatArray], evidence: Evidence
) -> Guesses:
    """What follows at the origin from each mistake at a node before it; keeps that node's mistaken values."""
    for value, because in guess(there):
        if np.shape(value) == there.expected.shape:
            mistaken[because] = np.asarray(value, dtype=np.float64)
            with suppress(ValueError, IndexError, InvalidInputs):  # an operation may refuse what follows, as an index
                yield with_value(evidence.found, there.position, mistaken[because], evidence.position), because


def explain_evidence(evidence: Evidence) -> tuple[Hypothesis, ...]:
    """The hypotheses that reproduce a figure, the likeliest first."""
    opening = statement(evidence)
    if evidence.figure.shape != evidence.expected.shape:
        return _of_a_shape(evidence, opening)
    rtol = max(evidence.phase.rtol, relative_rounding(evidence.found.candidate.dtype))
    reported = []
    for order, (rank, (name, guess)) in enumerate(HYPOTHESES):
        if best := _best(evidence, guess, rtol, about_nan=rank == _NAN):
            error, because = best
            # Errors that are rounding alone do not rank.
            exact = error <= 64 * UNIT_ROUNDOFF["float64"] * np.abs(evidence.figure).max(initial=0.0)
            reported.append((rank, 0.0 if exact else error, order, Hypothesis(name, opening, because, error)))
    if rounded := _rounding(evidence, opening):
        reported.append((_FITTED, rounded.error or 0.0, len(HYPOTHESES), rounded))
    reported.sort(key=lambda entry: entry[:3])
    hypotheses = tuple(entry[-1] for entry in reported)
    if evidence.forward and evidence.node.operation.is_input:
        return _of_an_input(hypotheses, opening)
    return hypotheses


def _of_a_shape(evidence: Evidence, opening: str) -> tuple[Hypothesis, ...]:
    """Explain a figure of another shape."""
    rtol = max(evidence.phase.rtol, relative_rounding(evidence.found.candidate.dtype))
    for name, guess in SHAPE_SLIPS:
        if best := _best(evidence, guess, rtol):
            error, because = best
            return (Hypothesis(name, opening, because, error),)
    name, because = shape_alone(evidence)
    return (Hypothesis(name, opening, because, None),)


def _of_an_input(hypotheses: tuple[Hypothesis, ...], opening: str) -> tuple[Hypothesis, ...]:
    """Say of each that the runs' inputs differ; that alone where nothing else explains the figure."""
    if not hypotheses:
        return (Hypothesis("inputs differ", opening, "It is an input: the inputs differ.", None),)
    return tuple(replace(each, because=f"{each.because} So the inputs differ.") for each in hypotheses)


def _best(
    evidence: Evidence, guess: Callable[[Evidence], Guesses], rtol: float, about_nan: bool = False
) -> tuple[float, str] | None:
    """The least error of a hypothesis that reproduces the figure, and what it says.

    A NaN that should be a number is explained by hypotheses `about_nan` alone, since nearly any guess is NaN too where
    0 meets ∞; one that gives back the figure itself says where it is wrong, not why.
    """
    best: tuple[float, str] | None = None
    lost = not about_nan and evidence.figure.shape == evidence.expected.shape
    lost = lost and bool((np.isnan(evidence.figure) & ~np.isnan(evidence.expected)).any())
    scalar = None if evidence.figure.ndim else float(evidence.figure)
    noise = _noise(evidence, rtol)
    with np.errstate(all="ignore"):
        for figure, because in guess(evidence):
            if np.shape(figure) != evidence.figure.shape or (lost and figure is not evidence.figure):
                continue
            # Most guesses about scalars are far off, which plain floats tell sooner.
            if scalar is not None and abs(scalar - float(figure)) > noise + 2.0 * rtol * abs(scalar):
                continue
            alike = (evidence.figure == figure) | (np.isnan(evidence.figure) & np.isnan(figure))
            error = np.where(alike, 0.0, np.abs(evidence.figure - figure))
            if not (np.isfinite(error) & (error <= noise + rtol * np.abs(figure)) | alike).all():
                continue
            greatest = float(error.max(initial=0.0))
            if best is None or greatest < best[0]:
                best = greatest, because
    return best


def _noise(evidence: Evidence, rtol: float) -> float:
    """What rounding may move a mistake's figure by: a sum whose terms cancel, an element beside others.

    The tolerance's own `atol` would let nearly any guess explain a figure near 0.
    """
    terms = [evidence.expected, *(edge.contribution for edge in evidence.edges)]
    with np.errstate(all="ignore"):
        greatest = max(float(np.abs(term[np.isfinite(term)]).max(initial=0.0)) for term in terms)
    roundoff = 4.0 * UNIT_ROUNDOFF[evidence.found.candidate.dtype]
    return min(evidence.phase.atol, (rtol if evidence.figure.ndim else roundoff) * greatest)


def finding_sentence(
    found: Comparison, phase: Phase, position: int, candidate: Run, hypotheses: Sequence[Hypothesis]
) -> str:
    """Say what a figure is, what it should be, by which rule with the numbers, and the best hypothesis if any."""
    said = full_statement(gather(found, phase, position, candidate))
    return f"{said} {hypotheses[0].because}" if hypotheses else said


def rounding(found: Comparison, phase: Phase, position: int, candidate: Run) -> Hypothesis:
    """Explain a first difference that is not an origin: errors below the tolerance grew."""
    evidence = gather(found, phase, position, candidate)
    error = float(np.abs(evidence.figure - evidence.expected).max(initial=0.0))
    because = "It follows from the run's own figures: rounding errors below the tolerance grew."
    return Hypothesis("rounding", statement(evidence), because, error)


_LIBRARIES = {"torch": "PyTorch", "jax": "JAX", "tensorflow": "TensorFlow"}


def convention(found: Comparison, phase: Phase, position: int, candidate: Run) -> Hypothesis:
    """Explain a first difference that is not an origin: where no derivative exists, libraries choose differently."""
    evidence = gather(found, phase, position, candidate)
    names = found.conventions[position]
    libraries, several = listed([_LIBRARIES.get(each, each) for each in names]), len(names) > 1
    choosing = [edge for edge in evidence.edges if edge.consumer.operation.conventions]
    kinks = dict.fromkeys(edge.spoken for edge in choosing if _has_no_derivative(edge))
    at_nan = dict.fromkeys(edge.spoken for edge in choosing if np.any(np.isnan(edge.value)))
    if kinks:
        because = f"It is the choice of {libraries} where {listed(list(kinks), 'or')} has no derivative."
    elif at_nan:
        because = (
            f"It is what {libraries} {'return' if several else 'returns'} where {listed(list(at_nan), 'or')} is NaN."
        )
    elif np.any(np.isnan(evidence.figure) & ~np.isnan(evidence.expected)):
        multiply = "multiply" if several else "multiplies"
        because = f"NaN is 0 × ∞ along a closed edge, or behind it; {libraries} {multiply} there."
    else:
        because = f"It is the choice of {libraries} where a node that follows has no derivative."
    return Hypothesis("convention", statement(evidence), because, 0.0)


def _has_no_derivative(edge: Edge) -> bool:
    """Whether the consumer has no derivative somewhere at its operands."""
    with np.errstate(all="ignore"):
        operation, attributes = edge.consumer.operation, edge.consumer.attributes
        return bool(np.any(operation.is_nondifferentiable(edge.operands, edge.value, attributes)))


# --- the hypotheses -----------------------------------------------------------------------------------------------


def _sign(evidence: Evidence) -> Guesses:
    if np.any(evidence.expected):
        yield -evidence.expected, "The sign is wrong."


def _reciprocal(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.local is not None:
            figure = evidence.replaced(edge, edge.with_local(1.0 / edge.local))
            if len(evidence.edges) == 1 and _is_one(edge.upstream):
                said = evidence.put("{} is", evidence.figure) or "It is"
                yield figure, f"{said} the reciprocal of the right local gradient."
            else:
                yield figure, f"The reciprocal of the local gradient toward {edge.quoted} was used."


def _operand_reciprocal(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.local is None or edge.consumer.operation.fold:  # its local gradients do not contain the operands
            continue
        for position, name in enumerate(edge.names):
            operands = list(edge.operands)
            operands[position] = 1.0 / operands[position]
            local = _locals(edge.consumer, operands)[edge.operand_index]
            yield (
                evidence.replaced(edge, edge.with_local(local)),
                f"In the local gradient 1/{name} was taken for {name}"
                f"{evidence.put(': {} for {}', operands[position], edge.operands[position])}.",
            )


def _missing(evidence: Evidence) -> Guesses:
    through: dict[str, list[FloatArray]] = {}
    for edge in evidence.edges:
        if np.any(edge.contribution):
            through.setdefault(edge.quoted, []).append(edge.contribution)
            yield (
                evidence.replaced(edge, 0.0),
                f"The contribution through {edge.quoted}{evidence.put(', {},', edge.contribution)} is missing.",
            )
    for consumer, contributions in through.items():
        if len(contributions) > 1:
            every = np.asarray(sum(contributions))
            said = f"The contribution through {consumer}{evidence.put(', {},', every)} is missing."
            yield evidence.expected - every, said


def _last_only(evidence: Evidence) -> Guesses:
    if len(evidence.edges) > 1:
        last = evidence.edges[-1]
        yield (
            last.contribution,
            f"Only the last contribution, through {last.quoted}, was kept: overwritten, not added.",
        )


def _upstream_dropped(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.local is not None and not _is_one(edge.upstream):
            local = np.broadcast_to(edge.local, edge.upstream.shape)
            dropped = sum_to_shape(local, edge.operands[edge.operand_index].shape)
            yield (
                evidence.replaced(edge, dropped),
                f"The upstream gradient{evidence.put(' {}', edge.upstream)} from {edge.quoted} was left out.",
            )


def _local_dropped(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.local is not None and not _is_one(edge.local):
            yield (
                evidence.replaced(edge, edge.with_local(1.0)),
                f"The local gradient{evidence.put(' {}', edge.local)} toward {edge.quoted} was left out.",
            )


def _swapped(evidence: Evidence) -> Guesses:
    if len(evidence.operands) == 2 and _takes(evidence.node, evidence.operands[::-1]):
        first, second = evidence.names
        with suppress(ValueError):  # an index operand may refuse the other's figure
            swapped = evidence.node.operation.evaluate(evidence.operands[::-1], evidence.node.attributes)
            yield np.asarray(swapped, dtype=np.float64), f"The operands {first} and {second} were swapped."
    for edge in evidence.edges:
        if edge.local is not None and len(edge.operands) == 2:
            local = _locals(edge.consumer, edge.operands[::-1])[edge.operand_index]
            yield (
                evidence.replaced(edge, edge.with_local(local)),
                f"In the local gradient the operands of {edge.quoted} were swapped.",
            )


def _transposed(evidence: Evidence) -> Guesses:
    if evidence.expected.ndim > 1:
        yield np.swapaxes(evidence.expected, -1, -2), "It is transposed."


def _sum_for_mean(evidence: Evidence) -> Guesses:
    uses = [(evidence.node, evidence.operands), *((edge.consumer, edge.operands) for edge in evidence.edges)]
    counts = {evidence.expected.size} | {operand.size for _, operands in uses for operand in operands}
    counts |= {len(operands) for node, operands in uses if node.operation.fold}
    counts |= {edge.upstream.size // max(1, evidence.expected.size) for edge in evidence.edges}
    for count in sorted(counts):
        if count > 1:
            yield evidence.expected * count, f"It is {count} times too large: a sum was taken for a mean of {count}."
            yield evidence.expected / count, f"It is {count} times too small: a mean was taken for a sum of {count}."


def _other_figure(evidence: Evidence) -> Guesses:
    baseline, figure = evidence.phase.baseline, evidence.figure
    if not np.any(figure):
        return
    # Filter by first elements: most figures differ there.
    starts = np.minimum(baseline.offsets[:-1], len(baseline.flat) - 1)
    apart = np.abs(baseline.flat[starts] - figure.flat[0])
    near = np.flatnonzero(apart <= 1e-4 * abs(figure.flat[0]))
    for position in near[np.argsort(apart[near], kind="stable")][:_MOST_FIGURES]:
        other = baseline[int(position)]
        if position == evidence.position or other is None or evidence.nodes[position].operation.is_constant:
            continue
        # A value that rests on this node's was not there yet.
        if not evidence.forward or not ancestors(evidence.graph, [int(position)])[evidence.position]:
            what = "value" if evidence.forward else "gradient"
            yield other, f"It is the {what} of {quoted(evidence.graph, int(position))}."


def _used_right(evidence: Evidence) -> Guesses:
    right = all(verdict in (Verdict.SAME, Verdict.COMPENSATED) for verdict in evidence.followers)
    if right and Verdict.COMPENSATED in evidence.followers:
        yield evidence.figure, "All that depends on it is right: it was recorded wrong, but used right."


def _constant_factor(evidence: Evidence) -> Guesses:
    expected, figure = evidence.expected, evidence.figure
    nonzero = expected != 0.0
    if not np.any(nonzero):
        return
    factor = np.median(figure[nonzero] / expected[nonzero])
    if not np.isfinite(factor):
        return
    if expected.size > 1:
        yield expected * factor, f"It is {figure_text(factor)} times what it should be, everywhere."
        return
    # Any number is a multiple of any other: for a scalar only a whole factor, or its reciprocal, is evidence.
    simple = Fraction(float(factor)).limit_denominator(1000)
    if 1 in (abs(simple.numerator), simple.denominator) and simple not in (0, 1) and abs(simple) <= 1000:
        yield expected * float(simple), f"It is {figure_text(np.float64(float(simple)))} times what it should be."


# What makes NaN comes first where there is one; exact slips come before fitted ones, local before far.
_NAN, _LOCAL, _FAR, _FITTED = range(4)


def _ranked(rank: int, slips: Sequence[Slip]) -> list[tuple[int, Slip]]:
    return [(rank, slip) for slip in slips]


HYPOTHESES: tuple[tuple[int, Slip], ...] = (
    *_ranked(_NAN, NAN_SLIPS),
    *_ranked(
        _LOCAL,
        [
            ROUNDED_TO_ZERO,
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
            TWICE,
            *LOCAL_GRADIENT_SLIPS,
            *VALUE_SLIPS,
            *ATTRIBUTE_SLIPS,
            ALONE_TWICE,
            *MATRIX_PRODUCT_SLIPS,
            *LOSS_SLIPS,
            *TENSOR_OPERATION_SLIPS,
            *TENSOR_SLIPS,
        ],
    ),
    *_ranked(
        _FAR,
        [
            *FAR_SLIPS,
            *FAR_VALUE_SLIPS,
            ("another node's figure", _other_figure),
            ("recorded wrong but used right", _used_right),
        ],
    ),
    *_ranked(_FITTED, [("constant factor", _constant_factor), *PEN_SLIPS, *PART_SLIPS]),
)


def _takes(node: Node, operands: Sequence[FloatArray]) -> bool:
    """Whether the operation accepts operands of these shapes."""
    try:
        node.operation.infer_shape([operand.shape for operand in operands], node.attributes)
    except ValueError:
        return False
    return True


def _locals(node: Node, operands: Sequence[FloatArray]) -> Any:
    value = np.asarray(node.operation.evaluate(operands, node.attributes), dtype=np.float64)
    return node.operation.differentiate(operands, value, node.attributes)


def _is_one(array: FloatArray) -> bool:
    return bool((array == 1.0).all())


def _rounding(evidence: Evidence, opening: str) -> Hypothesis | None:
    """Explain the figure by rounding to float32, if its error is that small."""
    with np.errstate(all="ignore"):
        error = np.abs(evidence.figure - evidence.expected)
        allowed = 32 * UNIT_ROUNDOFF["float32"] * np.abs(evidence.expected)
    if not (np.isfinite(error) & (error <= allowed)).all():
        return None
    because = "The difference is no more than rounding to float32 makes."
    return Hypothesis("float32 rounding", opening, because, float(error.max(initial=0.0)))
