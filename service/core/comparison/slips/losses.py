"""Slips in cross-entropy losses: softmax applied twice, the one-hot labels, wrong labels, the logarithm's base."""

from collections.abc import Iterator

import numpy as np

from service.core.comparison.evidence import Edge, Evidence
from service.core.comparison.slips.guess import LOGARITHMS, Guesses, Slip
from service.core.figures.figures import FloatArray

_LOSS = "SoftmaxCrossEntropyLoss"
_MOST_LABELS = 256  # examples × classes of which each is tried as the one wrong label


def _losses(evidence: Evidence) -> Iterator[Edge]:
    """The edges toward the scores of a loss."""
    return (edge for edge in evidence.edges if edge.consumer.operation.name == _LOSS and edge.operand_index == 0)


def _softmax(scores: FloatArray) -> FloatArray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _jacobian(evidence: Evidence) -> Guesses:
    for edge in _losses(evidence):
        scores, labels, flow = edge.operands[0], edge.operands[1].astype(int), edge.upstream
        softmax = _softmax(scores)
        hot = np.moveaxis(np.eye(scores.shape[1])[np.maximum(labels, 0)], -1, 1)
        count = labels.size if edge.consumer.attributes.get("reduction") == "mean" else 1
        each = np.expand_dims(flow, 1) if flow.ndim else flow
        for figure, because in (
            (softmax, "The one-hot labels were not subtracted: softmax, not softmax − one-hot"),
            (hot - softmax, "The sign is wrong: one-hot − softmax, not softmax − one-hot"),
            (-hot, "Only the labels' part was taken: −one-hot, not softmax − one-hot"),
        ):
            for size in {count, 1}:
                yield evidence.replaced(edge, each * figure / size), f"{because}."


def _softmax_twice(evidence: Evidence) -> Guesses:
    said = "Softmax was applied twice: the loss applies it to its scores itself, and was given softmax(scores)."
    node = evidence.node
    if node.operation.name == _LOSS and evidence.operands:
        scores, *others = evidence.operands
        yield node.operation.evaluate([_softmax(scores), *others], node.attributes), said
    for edge in _losses(evidence):
        scores, *others = edge.operands
        s = _softmax(scores)
        gradient = edge.consumer.operation.propagate(edge.upstream, [s, *others], edge.value, edge.consumer.attributes)
        flow = gradient[0]
        yield evidence.replaced(edge, s * (flow - (s * flow).sum(axis=1, keepdims=True))), said
        yield evidence.replaced(edge, flow), f"{said} Of the gradient the first softmax's part is missing."


def _wrong_label(evidence: Evidence) -> Guesses:
    node = evidence.node
    if node.operation.name == _LOSS and evidence.operands:
        scores, labels, *others = evidence.operands
        for mistaken, said in _labels(labels, scores.shape[1], node.attributes.get("ignore_index"), evidence.names[1]):
            yield node.operation.evaluate([scores, mistaken, *others], node.attributes), said
    for edge in _losses(evidence):
        (scores, labels, *others), loss = edge.operands, edge.consumer
        for mistaken, said in _labels(labels, scores.shape[1], loss.attributes.get("ignore_index"), edge.names[1]):
            operands = [scores, mistaken, *others]
            value = loss.operation.evaluate(operands, loss.attributes)
            gradient = loss.operation.propagate(edge.upstream, operands, value, loss.attributes)[0]
            yield evidence.replaced(edge, gradient), said


def _labels(labels: FloatArray, classes: int, ignored: int | None, name: str) -> Iterator[tuple[FloatArray, str]]:
    """Labels that are all off by one, the one before the first being the last; and those with one label wrong."""
    counts = labels != ignored if ignored is not None else np.ones(labels.shape, dtype=bool)
    for step, what in ((-1, "were read as counting from 1"), (1, "were raised by 1, as if to count from 1")):
        yield np.where(counts, (labels + step) % classes, labels), f"The classes in {name} {what}; they count from 0."
    if labels.size * classes > _MOST_LABELS:
        return
    for place in np.ndindex(labels.shape):
        for other in range(classes):
            if other != labels[place] and counts[place]:
                mistaken = labels.copy()
                mistaken[place] = other
                yield (
                    mistaken,
                    f"Of {name} the class at {list(place)} was taken as {other}; it is {int(labels[place])}.",
                )


def _other_logarithm(evidence: Evidence) -> Guesses:
    """log10 in −log softmax: value and gradient are smaller by ln 10."""
    if evidence.node.operation.name in (_LOSS, "LogSoftmax") and evidence.forward:
        for base, factor in LOGARITHMS.items():
            yield evidence.expected / factor, f"The logarithm to base {base} was taken for the natural one."
    for edge in evidence.edges:
        if edge.consumer.operation.name in (_LOSS, "LogSoftmax") and edge.operand_index == 0:
            for base, factor in LOGARITHMS.items():
                said = f"The logarithm to base {base} was taken for the natural one: ln {base} = {factor:.6g}."
                yield evidence.replaced(edge, edge.contribution / factor), said


LOSS_SLIPS: tuple[Slip, ...] = (
    ("Jacobian cut short", _jacobian),
    ("applied twice", _softmax_twice),
    ("another logarithm", _other_logarithm),
    ("wrong label", _wrong_label),
)
