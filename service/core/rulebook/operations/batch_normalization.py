"""Batch normalization: with the mean and the variance of the training data, or in training with those of the batch.

In training its outputs 1 and 2 are the running mean and the running variance, each momentum · (what it was) +
(1 − momentum) · (that of the batch), which is Σ(x − mean)²/n (ONNX's BatchNormalization).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag, number, numbered
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.channels import over_channels, sum_of_channels
from service.core.rulebook.registry import Wording, define

# --- with given mean and variance -------------------------------------------------------------------------------------


def _normalize(x: Any, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float) -> Any:
    factor = scale / np.sqrt(variance + epsilon)
    return x * over_channels(factor, x) + over_channels(bias - mean * factor, x)


def _contributions_of_given(
    upstream: Any, x: Any, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float
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


# --- with those of the batch ------------------------------------------------------------------------------------------


def _channel_mean(x: Any, scale: Any) -> Any:
    return sum_of_channels(x, scale) * np.divide(np.size(scale), np.size(x))


def _standardized(x: Any, scale: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Return x with mean 0 and variance 1 in each channel, and of each channel 1/σ and the variance."""
    centred = x - over_channels(_channel_mean(x, scale), x)
    variance = _channel_mean(centred * centred, scale)
    inverse_deviation = 1.0 / np.sqrt(variance + epsilon)
    return centred * over_channels(inverse_deviation, x), inverse_deviation, variance


def _running(x: Any, scale: Any, mean: Any, variance: Any, epsilon: float, momentum: float, output: int) -> Any:
    if output == 1:
        return mean * momentum + _channel_mean(x, scale) * (1.0 - momentum)
    return variance * momentum + _standardized(x, scale, epsilon)[2] * (1.0 - momentum)


def _contributions_in_training(
    upstream: Any, x: Any, scale: Any, bias: Any, epsilon: float, momentum: float, output: int
) -> Any:
    if output:
        each = over_channels(upstream, x) * ((1.0 - momentum) * np.divide(np.size(scale), np.size(x)))
        kept = upstream * momentum
        if output == 1:
            return each, None, None, kept, None
        return 2.0 * each * (x - over_channels(_channel_mean(x, scale), x)), None, None, None, kept
    normal, inverse_deviation, _ = _standardized(x, scale, epsilon)
    flow = upstream * over_channels(scale * inverse_deviation, x)
    mean_flow, projection = _channel_mean(flow, scale), _channel_mean(flow * normal, scale)
    return (
        flow - over_channels(mean_flow, x) - normal * over_channels(projection, x),
        sum_of_channels(upstream * normal, scale),
        sum_of_channels(upstream, scale),
        None,
        None,
    )


# --- both -------------------------------------------------------------------------------------------------------------


def _batch_norm(
    x: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    epsilon: float,
    momentum: float,
    training_mode: int,
    output: int,
) -> Any:
    if not training_mode:
        return _normalize(x, scale, bias, mean, variance, epsilon)
    if output:
        return _running(x, scale, mean, variance, epsilon, momentum, output)
    normal, _, _ = _standardized(x, scale, epsilon)
    return normal * over_channels(scale, x) + over_channels(bias, x)


def _contributions(
    upstream: Any,
    x: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    z: Any,
    epsilon: float,
    momentum: float,
    training_mode: int,
    output: int,
) -> Any:
    if training_mode:
        return _contributions_in_training(upstream, x, scale, bias, epsilon, momentum, output)
    return _contributions_of_given(upstream, x, scale, bias, mean, variance, epsilon)


def _rounding_terms(x: Any, scale: Any) -> Any:
    """Return |x| + mean |x|, to which the rounding of x − mean is relative."""
    return np.abs(x) + over_channels(_channel_mean(np.abs(x), scale), x)


def _magnitude(
    x: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    z: Any,
    epsilon: float,
    momentum: float,
    training_mode: int,
    output: int,
) -> Any:
    if not training_mode:
        return _normalize(np.abs(x), np.abs(scale), np.abs(bias), -np.abs(mean), variance, epsilon)
    if output == 1:
        return np.abs(mean * momentum) + _channel_mean(np.abs(x), scale) * abs(1.0 - momentum)
    terms = _rounding_terms(x, scale)
    if output:
        return np.abs(variance * momentum) + _channel_mean(terms * terms, scale) * abs(1.0 - momentum)
    _, inverse_deviation, _ = _standardized(x, scale, epsilon)
    return terms * over_channels(np.abs(scale) * inverse_deviation, x) + over_channels(np.abs(bias), x)


def _contribution_magnitudes(
    upstream: Any,
    x: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    z: Any,
    epsilon: float,
    momentum: float,
    training_mode: int,
    output: int,
) -> Any:
    flow = np.abs(upstream)
    if not training_mode:
        given = (flow, np.abs(x), np.abs(scale), bias, -np.abs(mean), variance, epsilon)
        return tuple(np.abs(each) for each in _contributions_of_given(*given))
    terms = _rounding_terms(x, scale)
    if output:
        each = over_channels(flow, x) * (abs(1.0 - momentum) * np.divide(np.size(scale), np.size(x)))
        return (each if output == 1 else 2.0 * each * terms, 0.0, 0.0, flow * abs(momentum), flow * abs(momentum))
    _, inverse_deviation, _ = _standardized(x, scale, epsilon)
    terms = terms * over_channels(inverse_deviation, x)
    scaled = flow * over_channels(np.abs(scale) * inverse_deviation, x)
    projection = _channel_mean(scaled * terms, scale)
    to_x = scaled + over_channels(_channel_mean(scaled, scale), x) + terms * over_channels(projection, x)
    return to_x, sum_of_channels(flow * terms, scale), sum_of_channels(flow, scale), 0.0, 0.0


def _shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    shape = shapes[0]
    if len(shape) < 2 or any(other != shape[1:2] for other in shapes[1:]):
        raise ValueError("scale, bias, mean and variance must each have one element per channel, the second axis")
    if attributes["output"] and not attributes["training_mode"]:
        raise ValueError("the running mean and variance are outputs only with training_mode 1")
    return shape[1:2] if attributes["output"] else shape


define(
    "BatchNormalization",
    "x scale bias mean variance",
    attributes=[
        Attribute("epsilon", number, 1e-5),
        Attribute("momentum", number, 0.9, implied=True),
        Attribute("training_mode", flag, 0, implied=True),
        Attribute("output", numbered(3), 0, implied=True),
    ],
    forward=_batch_norm,
    contributions=_contributions,
    infer_shape=_shape,
    rounding=Rounding(value=_magnitude, contributions=_contribution_magnitudes),
    wording=Wording(aliases=["batch_norm"], notation=function("batch_norm")),
)
