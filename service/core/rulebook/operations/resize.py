"""Resize: a linear map along each axis, by which an element of the value is interpolated between those of x."""

import math
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf, flag, integers, number
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.axes import read_axes
from service.core.rulebook.operations.interpolation import (
    Interpolation,
    coordinates_of,
    interpolation_weights,
    is_outside,
    offsets_of,
    resized_axes,
)
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule


def _read_numbers(value: object) -> tuple[float, ...]:
    return tuple(map(number, value if isinstance(value, (list, tuple)) else [value]))


def _read_scales(value: object) -> tuple[float, ...] | None:
    """Read a list of scales; an empty list is None, as in ONNX."""
    scales = _read_numbers(value)
    if not all(0.0 < scale < math.inf for scale in scales):
        raise ValueError("scales are finite and greater than 0")
    return scales or None


def _read_sizes(value: object) -> tuple[int, ...] | None:
    return integers(value) or None


_ATTRIBUTES = (
    Attribute("scales", _read_scales),
    Attribute("sizes", _read_sizes),
    Attribute("roi", _read_numbers),
    Attribute("axes", read_axes),
    Attribute("mode", OneOf(("nearest", "linear", "cubic")), "nearest"),
    Attribute(
        "coordinate_transformation_mode",
        OneOf(
            (
                *("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"),
                *("tf_half_pixel_for_nn", "tf_crop_and_resize"),
            )
        ),
        "half_pixel",
    ),
    Attribute(
        "nearest_mode", OneOf(("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")), "round_prefer_floor"
    ),
    Attribute("cubic_coeff_a", number, -0.75),
    Attribute("exclude_outside", flag, 0),
    Attribute("antialias", flag, 0),
    Attribute("keep_aspect_ratio_policy", OneOf(("stretch", "not_larger", "not_smaller")), "stretch"),
    Attribute("extrapolation_value", number, 0.0),
)


def _multiply(matrix: Any, x: Any, axis: int) -> Any:
    """Multiply along an axis."""
    rows = np.moveaxis(x, axis, 0)
    product = matrix @ np.reshape(rows, (len(rows), prod(rows.shape[1:])))
    return np.moveaxis(np.reshape(product, (len(product), *rows.shape[1:])), 0, axis)


def _interpolate(x: Any, given: Interpolation, magnitudes: bool = False) -> Any:
    """Apply the linear map; with `magnitudes`, that of the weights' magnitudes."""
    value = x
    for along in resized_axes(np.shape(x), given):
        matrix = interpolation_weights(along, given)
        value = _multiply(abs(matrix) if magnitudes else matrix, value, along.axis)
    return value.astype(np.result_type(x), copy=False)


def _spread(upstream: Any, shape: Shape, given: Interpolation, magnitudes: bool = False) -> Any:
    """Apply the transposed map."""
    flow = upstream
    for along in resized_axes(shape, given)[::-1]:
        matrix = interpolation_weights(along, given).T
        flow = _multiply(abs(matrix) if magnitudes else matrix, flow, along.axis)
    return flow.astype(np.result_type(upstream), copy=False)


@rulebook_function
def resize(x: Any, *attributes: Any) -> Any:
    """Interpolate; elements of the value that lie outside the part of interest and x are the extrapolation value."""
    given = Interpolation(*attributes)
    value = _interpolate(x, given)
    if given.coordinates == "tf_crop_and_resize" and given.extrapolation_value != 0.0:
        for along in resized_axes(np.shape(x), given):
            outside = is_outside(coordinates_of(along, given.coordinates), along, given)
            shape = [along.wanted if axis == along.axis else 1 for axis in range(np.ndim(x))]
            value = np.where(np.reshape(outside, shape), given.extrapolation_value, value)
    return value


@rulebook_function
def resize_adjoint(upstream: Any, like: Any, *attributes: Any) -> Any:
    """Put the upstream gradient back where the value was interpolated from, by the same weights."""
    return _spread(upstream, np.shape(like), Interpolation(*attributes))


def _resize_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    lengths = dict(enumerate(shapes[0]))
    lengths |= {along.axis: along.wanted for along in resized_axes(shapes[0], Interpolation(*attributes.values()))}
    return tuple(lengths.values())


def _resize_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    upstream, like = shapes
    expected = _resize_shape([like], attributes)
    if upstream != expected:
        raise ValueError(f"the upstream gradient has shape {list(upstream)}; the resized tensor has {list(expected)}")
    return like


def _works(x: int) -> WorkRule:
    """Of the map along one axis after the other, or its transpose, of which operand `x` has the shape of x."""

    def work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
        given, lengths = Interpolation(*attributes.values()), list(shapes[x])
        operations, largest, weights = CALL, prod(lengths), 0
        for along in resized_axes(shapes[x], given):
            taps = len(offsets_of(along, given)[0])
            lengths[along.axis] = along.wanted
            operations += 20.0 * CALL + 60.0 * taps * along.wanted + (2.0 * taps + 6.0) * prod(lengths)
            largest, weights = max(largest, prod(lengths)), max(weights, taps * along.wanted)
        return Work(operations, 3.0 * largest + 9.0 * weights)

    return work


define(
    "Resize",
    "x",
    attributes=_ATTRIBUTES,
    forward=resize,
    contributions=lambda upstream, x, z, *attributes: (resize_adjoint(upstream, x, *attributes),),
    infer_shape=_resize_shape,
    linear=True,
    # The weights of cubic interpolation may be negative.
    rounding=Rounding(
        value=lambda x, z, *attributes: _interpolate(np.absolute(x), Interpolation(*attributes), magnitudes=True),
        contributions=lambda upstream, x, z, *attributes: (
            _spread(np.absolute(upstream), np.shape(x), Interpolation(*attributes), magnitudes=True),
        ),
        in_parts=True,
    ),
    work=Workload(_works(0), _works(0)),
    wording=Wording(rule="sum"),
)

define(
    "ResizeAdjoint",
    "upstream like",
    attributes=_ATTRIBUTES,
    forward=resize_adjoint,
    contributions=lambda flow, upstream, like, z, *attributes: (resize(flow, *attributes[:-1], 0.0), None),
    infer_shape=_resize_adjoint_shape,
    linear=True,
    rounding=Rounding(
        value=lambda upstream, like, z, *attributes: _spread(
            np.absolute(upstream), np.shape(like), Interpolation(*attributes), magnitudes=True
        ),
        contributions=lambda flow, upstream, like, z, *attributes: (
            _interpolate(np.absolute(flow), Interpolation(*attributes), magnitudes=True),
            None,
        ),
    ),
    work=Workload(_works(1), _works(1)),
    wording=Wording(aliases=["resize_adjoint"], rule="sum"),
)
