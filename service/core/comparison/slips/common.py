"""The most usual slips: a sign, a reciprocal, a contribution missing, a factor left out, operands swapped."""

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.comparison.spoken_names import quoted
from service.core.comparison.verdicts import Verdict
from service.core.figures.figures import FloatArray
from service.core.figures.text import figure_text
from service.core.graph.graph import Node
from service.core.graph.traversal import ancestors
from service.core.rulebook.primitives import sum_to_shape
from service.core.symbolic.phrases import typed

# How many figures of other nodes are tried, nearest first.
_MOST_FIGURES = 16


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
                f"In the local gradient {typed(f'1/{name}')} was taken for {name}"
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


COMMON_SLIPS: tuple[Slip, ...] = (
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
)
OTHER_FIGURE: Slip = ("another node's figure", _other_figure)
USED_RIGHT: Slip = ("recorded wrong but used right", _used_right)
CONSTANT_FACTOR: Slip = ("constant factor", _constant_factor)
