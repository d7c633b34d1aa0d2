"""Slips of tensors: sums over a batch, Jacobians cut short, statistics detached, single elements."""

from itertools import product
from math import prod

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node
from service.core.rulebook.primitives import sum_to_shape


def _jacobian(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        name, z, flow = edge.consumer.operation.name, edge.value, edge.upstream
        if name == "Softmax":
            yield (
                evidence.replaced(edge, flow * z * (1.0 - z)),
                "Only the diagonal of the Jacobian of softmax was taken: s(1 − s), without −sᵢsⱼ.",
            )
            yield evidence.replaced(edge, flow * z), "Of softmax's Jacobian s(δ − s) the part −sᵢsⱼ was left out."
        elif name == "LogSoftmax":
            yield evidence.replaced(edge, flow), "The softmax was not subtracted: u − s·Σu, not u."
            yield (
                evidence.replaced(edge, flow * (1.0 - np.exp(z))),
                "Only the diagonal of the Jacobian of log_softmax was taken.",
            )


def _normalized(node: Node, x: FloatArray, ddof: int = 0) -> tuple[tuple[int, ...], FloatArray, FloatArray]:
    """The axes that a layer norm normalizes, x normalized, and the factor: 1/√(variance + ε)."""
    axes = tuple(range(int(node.attributes["axis"]) % x.ndim, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    count = prod(x.shape[axis] for axis in axes)
    variance = x.var(axis=axes, keepdims=True, ddof=min(ddof, count - 1))  # one number's is 0, by whatever divisor
    factor = 1.0 / np.sqrt(variance + node.attributes["epsilon"])
    return axes, centred * factor, factor


def _detached_statistics(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.consumer.operation.name != "LayerNormalization" or edge.operand_index != 0:
            continue
        axes, normal, factor = _normalized(edge.consumer, edge.operands[0])
        flow = edge.upstream * edge.operands[1]
        along = normal * (flow * normal).mean(axis=axes, keepdims=True)
        middle = flow.mean(axis=axes, keepdims=True)
        for figure, what in (
            (flow - middle, "variance was"),
            (flow - along, "mean was"),
            (flow, "mean and the variance were"),
        ):
            yield (
                evidence.replaced(edge, factor * figure),
                f"The {what} taken as constant: no gradient flows through it (detached).".replace(
                    "through it", "through them" if "and" in what else "through it"
                ),
            )


def _unbiased_variance(evidence: Evidence) -> Guesses:
    """A layer norm whose variance is divided by n − 1."""
    said = "The variance was divided by n − 1, not by n: ddof is 1."
    if evidence.node.operation.name == "LayerNormalization" and evidence.operands:
        _, normal, _ = _normalized(evidence.node, evidence.operands[0], ddof=1)
        yield sum(evidence.operands[2:], normal * evidence.operands[1]), said
    for edge in evidence.edges:
        if edge.consumer.operation.name != "LayerNormalization" or edge.operand_index > 1:
            continue
        axes, normal, factor = _normalized(edge.consumer, edge.operands[0], ddof=1)
        if edge.operand_index == 1:
            yield evidence.replaced(edge, sum_to_shape(edge.upstream * normal, edge.operands[1].shape)), said
            continue
        flow = edge.upstream * edge.operands[1]
        count = prod(flow.shape[axis] for axis in axes)
        along = normal * (flow * normal).sum(axis=axes, keepdims=True) / max(1, count - 1)
        yield evidence.replaced(edge, factor * (flow - flow.mean(axis=axes, keepdims=True) - along)), said


def _not_summed(evidence: Evidence) -> Guesses:
    """One row of the batch for the sum over it."""
    for edge in evidence.edges:
        shape = edge.operands[edge.operand_index].shape
        if edge.local is None or edge.upstream.shape == shape or edge.upstream.ndim <= len(shape):
            continue
        rows = np.broadcast_to(edge.upstream * edge.local, edge.upstream.shape)
        rows = rows.reshape(-1, *edge.upstream.shape[edge.upstream.ndim - len(shape) :])
        for place, what in ((0, "first"), (-1, "last")):
            if rows[place].shape == shape:
                yield (
                    evidence.replaced(edge, rows[place]),
                    f"It was not summed over the batch: only the {what} of {len(rows)} examples was taken.",
                )


def _other_count(evidence: Evidence) -> Guesses:
    """A mean over n where it is over m."""
    uses = [*evidence.operands, *(each for edge in evidence.edges for each in (*edge.operands, edge.upstream))]
    counts = {length for each in uses for length in (each.size, *each.shape)}
    counts |= {count - 1 for count in counts}
    counts = {count for count in counts if count > 1}
    if len(counts) > 12:
        return
    for mistaken, right in product(sorted(counts), repeat=2):
        if mistaken != right:
            yield (
                evidence.expected * (right / mistaken),
                f"It was divided by {mistaken}, not by {right}: a mean over another count.",
            )


def _overwritten(evidence: Evidence) -> Guesses:
    for edge in evidence.edges:
        if edge.consumer.operation.name == "Gather" and edge.operand_index == 0 and edge.operands[1].size <= 10_000:
            x, indices = edge.operands[0], edge.operands[1].astype(int)
            axis = int(edge.consumer.attributes["axis"])
            kept: FloatArray = np.zeros_like(x)
            rows = np.moveaxis(kept, axis, 0)
            flow = edge.upstream
            last = list(range(axis % x.ndim, axis % x.ndim + indices.ndim))
            flow = np.moveaxis(flow, last, list(range(indices.ndim)))
            for place in np.ndindex(indices.shape):
                rows[indices[place]] = flow[place]
            yield (
                evidence.replaced(edge, kept),
                f"A repeated index was overwritten, not added: {edge.names[1]} names an element more than once.",
            )


def _part(evidence: Evidence) -> Guesses:
    """One wrong element, or one wrong row, beside right ones."""
    figure, expected = evidence.figure, evidence.expected
    if figure.size < 3:
        return
    bound = evidence.phase.atol + evidence.phase.rtol * np.abs(expected)
    wrong = ~((np.abs(figure - expected) <= bound) | (figure == expected))
    if wrong.sum() == 1:
        place = [int(step[0]) for step in np.nonzero(wrong)]
        yield figure, f"Only the element {place} is wrong; the other {figure.size - 1} are right."
    elif figure.ndim > 1:
        for axis in range(figure.ndim):
            lines = wrong.any(axis=tuple(other for other in range(figure.ndim) if other != axis))
            if lines.sum() == 1 and len(lines) > 1:
                what = "row" if axis == 0 else "column" if axis == 1 else f"slice along axis {axis}"
                yield figure, f"Only {what} {int(np.argmax(lines))} is wrong; the other {len(lines) - 1} are right."


def _reordered(evidence: Evidence) -> Guesses:
    expected = evidence.expected
    for axis in range(expected.ndim):
        yield np.flip(expected, axis), f"It is in the reverse order along axis {axis}."
        for step in (1, -1):
            yield np.roll(expected, step, axis), f"It is shifted by one along axis {axis}."
    if expected.ndim > 1 and expected.T.shape != expected.shape:
        yield expected.T.reshape(expected.shape), "It is laid out in the other order: column by column, not row by row."


TENSOR_SLIPS: tuple[Slip, ...] = (
    ("Jacobian cut short", _jacobian),
    ("statistics detached", _detached_statistics),
    ("mean over another count", _unbiased_variance),
    ("not summed over the batch", _not_summed),
    ("repeated index overwritten", _overwritten),
    ("reordered", _reordered),
    ("mean over another count", _other_count),
)
PART_SLIPS: tuple[Slip, ...] = (("one part wrong", _part),)
