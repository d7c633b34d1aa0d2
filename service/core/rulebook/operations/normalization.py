"""Softmax, log-softmax, layer and batch normalization."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, integer, number
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.axes import axis_position
from service.core.rulebook.operations.broadcasting import sum_to
from service.core.rulebook.operations.channels import over_channels, sum_of_channels
from service.core.rulebook.registry import Wording, define, rulebook_function


def _same_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    axis_position(attributes["axis"], len(shapes[0]))
    return shapes[0]


@rulebook_function
def softmax(x: Any, axis: int) -> Any:
    """Return eˣ over its sum along the axis, subtracting the maximum first, so that nothing overflows."""
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    powers /= np.sum(powers, axis=axis, keepdims=True)
    return powers


@rulebook_function
def log_softmax(x: Any, axis: int) -> Any:
    """Return the logarithm of `softmax`, without its underflow."""
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    shifted -= np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return shifted


define(
    "Softmax",
    "x",
    attributes=[Attribute("axis", integer, -1)],
    forward=softmax,
    contributions=lambda upstream, x, z, axis: (z * (upstream - np.sum(upstream * z, axis=axis, keepdims=True)),),
    infer_shape=_same_shape,
    rounding=Rounding(
        value=lambda x, z, axis: z * (np.abs(x) + np.sum(np.abs(x) * z, axis=axis, keepdims=True)),
        contributions=lambda upstream, x, z, axis: (
            z * (np.abs(upstream) + np.sum(np.abs(upstream) * z, axis=axis, keepdims=True)),
        ),
    ),
    analytic=False,
    wording=Wording(notation=function("softmax")),
)

define(
    "LogSoftmax",
    "x",
    attributes=[Attribute("axis", integer, -1)],
    forward=log_softmax,
    contributions=lambda upstream, x, z, axis: (upstream - np.exp(z) * np.sum(upstream, axis=axis, keepdims=True),),
    infer_shape=_same_shape,
    rounding=Rounding(
        value=lambda x, z, axis: np.abs(x) + np.sum(np.abs(x) * np.exp(z), axis=axis, keepdims=True),
        contributions=lambda upstream, x, z, axis: (
            np.exp(z) * np.sum(np.abs(upstream), axis=axis, keepdims=True) * (1.0 + np.abs(z)),
        ),
        kept=lambda x, z, axis: np.ones_like(z),  # the sum, of which the logarithm is taken
    ),
    analytic=False,
    wording=Wording(aliases=["log_softmax"], notation=function("log_softmax")),
)


# --- LayerNormalization ---------------------------------------------------------------------------------------------


def _axes_from(axis: int, x: Any) -> tuple[int, ...]:
    """Return the axes from this one to the last, counted from the end: a negative axis needs no shape."""
    return tuple(range(axis if axis < 0 else axis - np.ndim(x), 0))


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    if isinstance(x, np.ndarray) and not x.size:
        return np.sum(x, axis=axes, keepdims=True)  # np.mean would warn of an empty slice
    return np.mean(x, axis=axes, keepdims=True)


def _standardized(x: Any, axes: tuple[int, ...], epsilon: float) -> tuple[Any, Any]:
    """Return x scaled to mean 0 and variance 1, and the factor that scaled it."""
    centred = x - _mean(x, axes)
    inverse_deviation = 1.0 / np.sqrt(_mean(centred * centred, axes) + epsilon)
    return centred * inverse_deviation, inverse_deviation


def _layer_norm(x: Any, scale: Any, bias: Any, axis: int, epsilon: float) -> Any:
    normal, _ = _standardized(x, _axes_from(axis, x), epsilon)
    return normal * scale if bias is None else normal * scale + bias


def _layer_norm_contributions(upstream: Any, x: Any, scale: Any, bias: Any, z: Any, axis: int, epsilon: float) -> Any:
    axes = _axes_from(axis, x)
    normal, inverse_deviation = _standardized(x, axes, epsilon)
    flow = upstream * scale
    projection = _mean(flow * normal, axes)
    return (
        inverse_deviation * (flow - _mean(flow, axes) - normal * projection),
        sum_to(upstream * normal, scale),
        None if bias is None else sum_to(upstream, bias),
    )


def _layer_norm_magnitude(x: Any, scale: Any, bias: Any, z: Any, axis: int, epsilon: float) -> Any:
    magnitude, _ = _rounding_terms(x, axis, epsilon)
    return np.abs(magnitude * scale) + (0.0 if bias is None else np.abs(bias))


def _layer_norm_contribution_magnitudes(
    upstream: Any, x: Any, scale: Any, bias: Any, z: Any, axis: int, epsilon: float
) -> Any:
    axes = _axes_from(axis, x)
    magnitude, inverse_deviation = _rounding_terms(x, axis, epsilon)
    flow = np.abs(upstream * scale)
    projection = _mean(flow * magnitude, axes)
    return (
        inverse_deviation * (flow + _mean(flow, axes) + magnitude * projection),
        sum_to(np.abs(upstream) * magnitude, scale),
        None if bias is None else sum_to(np.abs(upstream), bias),
    )


def _rounding_terms(x: Any, axis: int, epsilon: float) -> tuple[Any, Any]:
    """Return (|x| + mean |x|) / σ, to which the rounding of (x − mean) / σ is relative, and 1 / σ."""
    axes = _axes_from(axis, x)
    _, inverse_deviation = _standardized(x, axes, epsilon)
    return (np.abs(x) + _mean(np.abs(x), axes)) * inverse_deviation, inverse_deviation


def _layer_norm_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    shape = shapes[0]
    normalized = shape[axis_position(attributes["axis"], len(shape)) :]
    for other in shapes[1:]:
        if np.broadcast_shapes(other, normalized) != normalized:
            raise ValueError(f"shape {list(other)} does not broadcast to {list(normalized)}")
    return shape


define(
    "LayerNormalization",
    "x scale bias?",
    attributes=[Attribute("axis", integer, -1), Attribute("epsilon", number, 1e-5)],
    forward=_layer_norm,
    contributions=_layer_norm_contributions,
    infer_shape=_layer_norm_shape,
    rounding=Rounding(value=_layer_norm_magnitude, contributions=_layer_norm_contribution_magnitudes),
    wording=Wording(aliases=["layer_norm"], notation=function("layer_norm")),
)


# --- BatchNormalization, with the mean and the variance of the training data ------------------------------------------


def _batch_norm(x: Any, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float) -> Any:
    factor = scale / np.sqrt(variance + epsilon)
    return x * over_channels(factor, x) + over_channels(bias - mean * factor, x)


def _batch_norm_contributions(
    upstream: Any, x: Any, scale: Any, bias: Any, mean: Any, variance: Any, z: Any, epsilon: float
) -> Any:
    stabilized = variance + epsilon
    factor = scale / np.sqrt(stabilized)
    bias_gradient = sum_of_channels(upstream, scale)
    scale_gradient = sum_of_channels(upstream * (x - over_channels(mean, x)), scale) / np.sqrt(stabilized)
    return (
        upstream * over_channels(factor, x),
        scale_gradient,
        bias_gradient,
        -factor * bias_gradient,
        -0.5 * scale * scale_gradient / stabilized,
    )


def _batch_norm_magnitude(x: Any, scale: Any, bias: Any, mean: Any, variance: Any, z: Any, epsilon: float) -> Any:
    return _batch_norm(np.abs(x), np.abs(scale), np.abs(bias), -np.abs(mean), variance, epsilon)


def _batch_norm_contribution_magnitudes(
    upstream: Any, x: Any, scale: Any, bias: Any, mean: Any, variance: Any, z: Any, epsilon: float
) -> Any:
    given = (np.abs(upstream), np.abs(x), np.abs(scale), bias, -np.abs(mean), variance, z, epsilon)
    return tuple(np.abs(each) for each in _batch_norm_contributions(*given))


def _batch_norm_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    shape = shapes[0]
    if len(shape) < 2 or any(other != shape[1:2] for other in shapes[1:]):
        raise ValueError("scale, bias, mean and variance must each have one element per channel, the second axis")
    return shape


define(
    "BatchNormalization",
    "x scale bias mean variance",
    attributes=[Attribute("epsilon", number, 1e-5)],
    forward=_batch_norm,
    contributions=_batch_norm_contributions,
    infer_shape=_batch_norm_shape,
    rounding=Rounding(value=_batch_norm_magnitude, contributions=_batch_norm_contribution_magnitudes),
    wording=Wording(aliases=["batch_norm"], notation=function("batch_norm")),
)
