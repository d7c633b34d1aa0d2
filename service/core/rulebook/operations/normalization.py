"""Softmax, log-softmax and layer normalization."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, integer, number, numbered
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.axes import axis_position
from service.core.rulebook.operations.broadcasting import expand_to, sum_to
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


def _layer_norm(x: Any, scale: Any, bias: Any, axis: int, epsilon: float, output: int) -> Any:
    axes = _axes_from(axis, x)
    normal, inverse_deviation = _standardized(x, axes, epsilon)
    if output:
        return _mean(x, axes) if output == 1 else inverse_deviation
    return normal * scale if bias is None else normal * scale + bias


def _layer_norm_contributions(
    upstream: Any, x: Any, scale: Any, bias: Any, z: Any, axis: int, epsilon: float, output: int
) -> Any:
    axes = _axes_from(axis, x)
    if output:
        each = expand_to(upstream, x) * np.divide(np.size(z), np.size(x))
        return (each if output == 1 else -each * expand_to(z, x) ** 3 * (x - _mean(x, axes)), None, None)
    normal, inverse_deviation = _standardized(x, axes, epsilon)
    flow = upstream * scale
    projection = _mean(flow * normal, axes)
    return (
        inverse_deviation * (flow - _mean(flow, axes) - normal * projection),
        sum_to(upstream * normal, scale),
        None if bias is None else sum_to(upstream, bias),
    )


def _layer_norm_magnitude(x: Any, scale: Any, bias: Any, z: Any, axis: int, epsilon: float, output: int) -> Any:
    axes = _axes_from(axis, x)
    if output == 1:
        return _mean(np.abs(x), axes)
    magnitude, _ = _rounding_terms(x, axis, epsilon)
    if output == 2:
        normal, _ = _standardized(x, axes, epsilon)
        return np.abs(z) * (1.0 + _mean(magnitude * np.abs(normal), axes))
    return np.abs(magnitude * scale) + (0.0 if bias is None else np.abs(bias))


def _layer_norm_contribution_magnitudes(
    upstream: Any, x: Any, scale: Any, bias: Any, z: Any, axis: int, epsilon: float, output: int
) -> Any:
    axes = _axes_from(axis, x)
    magnitude, inverse_deviation = _rounding_terms(x, axis, epsilon)
    if output:
        each = expand_to(np.abs(upstream), x) * np.divide(np.size(z), np.size(x))
        relative = 1.0 + 3.0 * _mean(magnitude * magnitude, axes)
        return (each if output == 1 else each * inverse_deviation**2 * magnitude * relative, 0.0, 0.0)
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
    first = axis_position(attributes["axis"], len(shape))
    for other in shapes[1:]:
        if np.broadcast_shapes(other, shape[first:]) != shape[first:]:
            raise ValueError(f"shape {list(other)} does not broadcast to {list(shape[first:])}")
    return (*shape[:first], *[1] * (len(shape) - first)) if attributes["output"] else shape


define(
    "LayerNormalization",
    "x scale bias?",
    attributes=[
        Attribute("axis", integer, -1),
        Attribute("epsilon", number, 1e-5),
        Attribute("output", numbered(3), 0, implied=True),
    ],
    forward=_layer_norm,
    contributions=_layer_norm_contributions,
    infer_shape=_layer_norm_shape,
    rounding=Rounding(value=_layer_norm_magnitude, contributions=_layer_norm_contribution_magnitudes),
    wording=Wording(aliases=["layer_norm"], notation=function("layer_norm")),
)
