"""Loss functions: cross-entropy and mean squared error."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf, integer, numbered, positive
from service.core.rulebook.notation import function
from service.core.rulebook.operation import EXACT, Attributes, Closed, Rounding, Rule
from service.core.rulebook.operations.axes import axis_position
from service.core.rulebook.operations.broadcasting import expand_to, sum_to
from service.core.rulebook.operations.channels import over_channels, sum_of_channels
from service.core.rulebook.operations.normalization import log_softmax, softmax
from service.core.rulebook.operations.scan import cumsum
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import Wording, define, operation_of, rulebook_function
from service.core.rulebook.work import Work, Workload, of_tensor_value

_REDUCTION = Attribute("reduction", OneOf(("mean", "sum", "none")), "mean")


@rulebook_function
def one_hot(labels: Any, like: Any, ignore_index: Any, depth: int | None, axis: int) -> Any:
    """Encode labels along the second axis of `like`: 1 at the label's class, 0 elsewhere and for `ignore_index`.

    With a depth, encode them along a new axis of that length: `like` holds what is written elsewhere and at the label,
    which may count from the end; one that is out of range is nowhere (ONNX's OneHot). Raises ValueError for a label
    that is no whole number or, without a depth, is not a class.
    """
    given = np.asarray(labels)
    whole = given == np.floor(given)
    if depth is not None:
        if not whole.all():
            raise ValueError(f"label {given[~whole].flat[0]:.17g} is not an integer")
        label = np.expand_dims(np.where(given < 0, given + depth, given), axis)
        classes = np.expand_dims(np.arange(depth), [each for each in range(label.ndim) if each != axis % label.ndim])
        return np.where(label == classes, like[1], like[0])
    classes = np.shape(like)[1]
    valid = whole & (given >= 0) & (given < classes)
    wrong = ~valid if ignore_index is None else ~(valid | (given == ignore_index))
    if wrong.any():
        label = given[wrong].flat[0]
        fault = f"is out of range: there are {classes} classes" if label == np.floor(label) else "is not an integer"
        raise ValueError(f"class {label:.17g} {fault}")
    numbers = np.reshape(np.arange(classes), (classes, *[1] * (np.ndim(like) - 2)))
    encoded: Any = numbers == np.expand_dims(given, 1)
    if ignore_index is not None:
        encoded &= np.expand_dims(given != ignore_index, 1)
    return encoded.astype(np.result_type(like))


def _one_hot_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (labels, like), depth = shapes, attributes["depth"]
    if depth is None:
        return _classes_shape(labels, like)
    if attributes["ignore_index"] is not None:
        raise ValueError("expected a depth or ignore_index, not both")
    if like != (2,):
        raise ValueError(f"expected two numbers, elsewhere and at the label, not the shape {list(like)}")
    axis = axis_position(attributes["axis"], len(labels) + 1)
    return (*labels[:axis], depth, *labels[axis:])


def _classes_shape(labels: Shape, like: Shape) -> Shape:
    if len(like) < 2 or labels != (like[0], *like[2:]):
        raise ValueError("labels must have the shape of the scores without the second axis, that of the classes")
    return like


def _one_hot_contributions(
    upstream: Any, labels: Any, like: Any, z: Any, ignore_index: Any, depth: int | None, axis: int
) -> Any:
    if depth is None:
        return None, None
    is_at_label = one_hot(labels, cumsum(expand_to(1.0, like), 0, 1, 0), None, depth, axis)
    at_label = np.reshape(np.sum(upstream * is_at_label), (1,))
    elsewhere = np.reshape(np.sum(upstream * (1.0 - is_at_label)), (1,))
    return None, np.concatenate((elsewhere, at_label), 0)


define(
    "OneHot",
    "labels:int like",
    attributes=[
        Attribute("ignore_index", integer),
        Attribute("depth", positive, implied=True),
        Attribute("axis", integer, -1, implied=True),
    ],
    forward=one_hot,
    contributions=_one_hot_contributions,
    infer_shape=_one_hot_shape,
    rounding=EXACT,
    wording=Wording(aliases=["one_hot"]),
)


def _encode_classes(labels: Any, scores: Any, ignore_index: Any) -> Any:
    return one_hot(labels, scores, ignore_index, None, -1)


def _score_weights(labels: Any, scores: Any, weights: Any, ignore_index: Any) -> Any:
    """Return the weight of each score: its class's weight at the label, 0 elsewhere."""
    encoded = _encode_classes(labels, scores, ignore_index)
    return encoded if weights is None else encoded * over_channels(weights, scores)


def _negative_log_likelihood(score_weights: Any, logarithms: Any) -> Any:
    """Return the loss of each sample. log 0 = −∞ counts only at the label."""
    return -np.sum(select(score_weights == 0.0, 0.0, score_weights * logarithms), axis=1)


def _reduced(losses: Any, score_weights: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return np.sum(losses) if reduction == "sum" else np.sum(losses) / np.sum(score_weights)


def _flow(upstream: Any, score_weights: Any, reduction: str) -> Any:
    """Return what flows to the loss of each sample, broadcastable to the scores."""
    if reduction == "none":
        return np.expand_dims(upstream, 1)
    return upstream / np.sum(score_weights) if reduction == "mean" else upstream


def _contribution_to_weights(
    flow: Any, logarithms: Any, labels: Any, weights: Any, z: Any, reduction: str, ignore_index: Any
) -> Any:
    if weights is None:
        return None
    encoded = _encode_classes(labels, logarithms, ignore_index)
    # The mean is z = N/Σw, with dz/dw = (dN/dw − z)/Σw.
    each = logarithms + z if reduction == "mean" else logarithms
    return -sum_of_channels(select(encoded == 0.0, 0.0, encoded * flow * each), weights)


def _loss_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    scores, labels = shapes[:2]
    _classes_shape(labels, scores)
    if shapes[2:] and shapes[2] != scores[1:2]:
        raise ValueError(f"expected a weight for each of the {scores[1]} classes")
    return labels if attributes["reduction"] == "none" else ()


def _loss_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    """Labels are encoded in as many elements as there are scores."""
    work = of_tensor_value(shapes, shape, attributes)
    return Work(2.0 * work.operations, 2.0 * work.elements)


# --- of logarithms of probabilities -----------------------------------------------------------------------------------


def _likelihood_loss(logarithms: Any, labels: Any, weights: Any, reduction: str, ignore_index: Any) -> Any:
    score_weights = _score_weights(labels, logarithms, weights, ignore_index)
    return _reduced(_negative_log_likelihood(score_weights, logarithms), score_weights, reduction)


def _likelihood_loss_contributions(
    upstream: Any, logarithms: Any, labels: Any, weights: Any, z: Any, reduction: str, ignore_index: Any
) -> Any:
    score_weights = _score_weights(labels, logarithms, weights, ignore_index)
    flow = _flow(upstream, score_weights, reduction)
    to_weights = _contribution_to_weights(flow, logarithms, labels, weights, z, reduction, ignore_index)
    encoded = _encode_classes(labels, logarithms, ignore_index)
    return select(encoded == 0.0, 0.0, -score_weights * flow), None, to_weights


def _likelihood_loss_magnitude(
    logarithms: Any, labels: Any, weights: Any, z: Any, reduction: str, ignore_index: Any
) -> Any:
    """Σ|weight × logarithm|: losses that are negative, of what is no probability, may cancel."""
    given = None if weights is None else np.abs(weights)
    return np.abs(_likelihood_loss(np.abs(logarithms), labels, given, reduction, ignore_index))


def _likelihood_loss_terms(
    upstream: Any, logarithms: Any, labels: Any, weights: Any, z: Any, reduction: str, ignore_index: Any
) -> Any:
    if weights is None:
        return 0.0, 0.0, 0.0
    flow = np.abs(_flow(upstream, _score_weights(labels, logarithms, weights, ignore_index), reduction))
    sizes, size = -np.abs(logarithms), -np.abs(z)
    return 0.0, 0.0, _contribution_to_weights(flow, sizes, labels, weights, size, reduction, ignore_index)


define(
    "NegativeLogLikelihoodLoss",
    "logarithms labels:int weights?",
    attributes=[_REDUCTION, Attribute("ignore_index", integer)],
    forward=_likelihood_loss,
    contributions=_likelihood_loss_contributions,
    infer_shape=_loss_shape,
    closed=Closed(),
    work=Workload(value=_loss_work),
    rounding=Rounding(value=_likelihood_loss_magnitude, contributions=_likelihood_loss_terms),
    wording=Wording(aliases=["nll_loss"], notation=function("nll_loss")),
)


# --- of scores --------------------------------------------------------------------------------------------------------


def _cross_entropy(scores: Any, labels: Any, weights: Any, reduction: str, ignore_index: Any, output: int) -> Any:
    logarithms = log_softmax(scores, 1)
    return logarithms if output else _likelihood_loss(logarithms, labels, weights, reduction, ignore_index)


def _cross_entropy_contributions(
    upstream: Any, scores: Any, labels: Any, weights: Any, z: Any, reduction: str, ignore_index: Any, output: int
) -> Any:
    if output:
        return (*_LOG_SOFTMAX.propagate(upstream, [scores], z, _ALONG_CLASSES), None, None)
    score_weights = _score_weights(labels, scores, weights, ignore_index)
    flow = _flow(upstream, score_weights, reduction)
    weighted = score_weights * flow
    to_scores = softmax(scores, 1) * np.sum(weighted, axis=1, keepdims=True) - weighted
    if weights is None:
        return to_scores, None, None
    logarithms = log_softmax(scores, 1)
    return (
        to_scores,
        None,
        _contribution_to_weights(flow, logarithms, labels, weights, z, reduction, ignore_index),
    )


def _cross_entropy_terms(
    upstream: Any, scores: Any, labels: Any, weights: Any, z: Any, reduction: str, ignore_index: Any, output: int
) -> Any:
    """Σ|terms| of the contributions, where the softmax is the exponential of log_softmax."""
    if output:
        return (*_of_log_softmax(_LOG_SOFTMAX.rounding.contributions, upstream, scores, z), 0.0, 0.0)
    score_weights = np.abs(_score_weights(labels, scores, weights, ignore_index))
    flow = np.abs(_flow(upstream, score_weights, reduction))
    weighted = score_weights * flow
    sizes = np.abs(log_softmax(scores, 1))
    to_scores = softmax(scores, 1) * (1.0 + sizes) * np.sum(weighted, axis=1, keepdims=True) + weighted
    if weights is None:
        return to_scores, 0.0, 0.0
    encoded = _encode_classes(labels, scores, ignore_index)
    each = sizes + np.abs(z) if reduction == "mean" else sizes
    return to_scores, 0.0, sum_of_channels(select(encoded == 0.0, 0.0, encoded * flow * each), weights)


def _cross_entropy_kept(
    scores: Any, labels: Any, weights: Any, z: Any, reduction: str, ignore_index: Any, output: int
) -> Any:
    """Of each sample its weight: the sum whose logarithm is taken has that effect on the loss; and sums of losses."""
    if output:
        return _of_log_softmax(_LOG_SOFTMAX.rounding.kept, scores, z)
    if reduction == "mean":
        return 1.0 + 2.0 * np.absolute(z)
    each = np.sum(_score_weights(labels, scores, weights, ignore_index), axis=1)
    return each if reduction == "none" else np.sum(each) + 2.0 * np.absolute(z)


_LOG_SOFTMAX, _ALONG_CLASSES = operation_of("LogSoftmax"), {"axis": 1}


def _of_log_softmax(rule: Rule | None, *given: Any) -> Any:
    assert rule
    return rule(*given, *_ALONG_CLASSES.values())


define(
    "SoftmaxCrossEntropyLoss",
    "scores labels:int weights?",
    attributes=[_REDUCTION, Attribute("ignore_index", integer), Attribute("output", numbered(2), 0, implied=True)],
    forward=_cross_entropy,
    contributions=_cross_entropy_contributions,
    infer_shape=lambda shapes, attributes: shapes[0] if attributes["output"] else _loss_shape(shapes, attributes),
    work=Workload(value=_loss_work),
    rounding=Rounding(
        value=lambda scores, labels, weights, z, reduction, ignore_index, output: (
            _of_log_softmax(_LOG_SOFTMAX.rounding.value, scores, z) if output else 0.0 * z
        ),
        contributions=_cross_entropy_terms,
        kept=_cross_entropy_kept,
    ),
    analytic=False,
    wording=Wording(aliases=["softmax_cross_entropy"], notation=function("softmax_cross_entropy")),
)


# --- mean squared error ---------------------------------------------------------------------------------------------


def _mean_squared_error(x: Any, y: Any) -> Any:
    difference = x - y
    return np.divide(np.sum(difference * difference), np.size(difference))


def _mean_squared_error_contributions(upstream: Any, x: Any, y: Any, z: Any) -> Any:
    difference = x - y
    flow = 2.0 * upstream * difference / np.size(difference)
    return sum_to(flow, x), -sum_to(flow, y)


def _mean_squared_error_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    np.broadcast_shapes(*shapes)
    return ()


define(
    "MeanSquaredError",
    "x y",
    forward=_mean_squared_error,
    contributions=_mean_squared_error_contributions,
    infer_shape=_mean_squared_error_shape,
    rounding=Rounding(
        value=lambda x, y, z: np.divide(np.sum(np.abs(x - y) * (np.abs(x) + np.abs(y))), np.size(x - y)),
        contributions=lambda upstream, x, y, z: tuple(
            sum_to(2.0 * np.abs(upstream) * (np.abs(x) + np.abs(y)) / np.size(x - y), like) for like in (x, y)
        ),
    ),
    wording=Wording(aliases=["mse"], notation=function("mse")),
)
