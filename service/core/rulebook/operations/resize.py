"""Resize: a linear map along each axis, by which an element of the value is interpolated between those of x."""

import math
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import scipy

from service.core.figures.figures import BoolArray, FloatArray, Shape
from service.core.rulebook.attribute import Attribute, OneOf, flag, integers, number
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.axes import axis_positions, read_axes
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule

_TO_CORNERS = ("align_corners", "tf_crop_and_resize")


def _read_numbers(value: object) -> tuple[float, ...]:
    return tuple(map(number, value if isinstance(value, (list, tuple)) else [value]))


def _read_scales(value: object) -> tuple[float, ...]:
    scales = _read_numbers(value)
    if not all(0.0 < scale < math.inf for scale in scales):
        raise ValueError("scales are finite and greater than 0")
    return scales


_ATTRIBUTES = (
    Attribute("scales", _read_scales),
    Attribute("sizes", integers),
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


class _Given(NamedTuple):
    """The attributes by name."""

    scales: tuple[float, ...] | None
    sizes: tuple[int, ...] | None
    roi: tuple[float, ...] | None
    axes: tuple[int, ...] | None
    mode: str
    coordinates: str
    nearest_mode: str
    cubic_coeff_a: float
    exclude_outside: int
    antialias: int
    policy: str
    extrapolation_value: float


class _Along(NamedTuple):
    """How an axis is resized: its length, that of the value, their ratio as it is given, and the part of interest."""

    axis: int
    length: int
    wanted: int
    scale: float
    start: float
    end: float


def _resized_axes(shape: Shape, given: _Given) -> list[_Along]:
    """Return the axes that are resized; raises ValueError where the attributes do not fit the shape."""
    axes = tuple(range(len(shape))) if given.axes is None else axis_positions(given.axes, len(shape))
    lengths = [shape[axis] for axis in axes]
    if (given.scales is None) == (given.sizes is None):
        raise ValueError("expected either scales or sizes")
    if len(given.scales or given.sizes or ()) != len(axes) or (given.roi and len(given.roi) != 2 * len(axes)):
        raise ValueError(
            f"expected {len(axes)} scales or sizes, and {2 * len(axes)} elements of roi: one for each axis"
        )
    if given.coordinates == "tf_crop_and_resize" and not given.roi:
        raise ValueError("tf_crop_and_resize needs roi")
    if given.mode == "nearest" and (given.antialias or given.exclude_outside):
        raise ValueError("antialias and exclude_outside are of linear and cubic interpolation")
    if given.scales is not None:
        scales, wanted = (
            given.scales,
            [int(length * scale) for length, scale in zip(lengths, given.scales, strict=True)],
        )
    else:
        wanted = list(given.sizes or ())
        if min(wanted, default=0) < 0 or any(size and not length for size, length in zip(wanted, lengths, strict=True)):
            raise ValueError(f"axes of {lengths} cannot be resized to {wanted}")
        scales = tuple(size / length if length else 1.0 for size, length in zip(wanted, lengths, strict=True))
        if given.policy != "stretch":
            scales = ((min if given.policy == "not_larger" else max)(scales),) * len(axes)
            wanted = [int(scale * length + 0.5) for scale, length in zip(scales, lengths, strict=True)]
    region = (
        given.roi
        if given.roi and given.coordinates == "tf_crop_and_resize"
        else (0.0,) * len(axes) + (1.0,) * len(axes)
    )
    every = map(_Along, axes, lengths, wanted, scales, region[: len(axes)], region[len(axes) :])
    return [
        each
        for each in every
        if each.length != each.wanted or not math.isclose(each.scale, 1.0) or (each.start, each.end) != (0.0, 1.0)
    ]


def _coordinates(along: _Along, mode: str) -> FloatArray:
    """Return where in x each element of the value lies, along one axis (ONNX's coordinate_transformation_mode)."""
    _, length, wanted, scale, start, end = along
    y = np.arange(float(wanted))
    if not wanted:
        return y
    width = scale * length  # which may be fractional
    if mode in _TO_CORNERS:
        if width == 1.0:
            middle = 0.0 if mode == "align_corners" else (end - start) * (length - 1) / 2.0
            return np.full(wanted, middle + start * (length - 1))
        return y * (end - start) * (length - 1) / (width - 1.0) + start * (length - 1)
    if mode == "asymmetric":
        return y / scale
    if mode == "tf_half_pixel_for_nn":
        return (y + 0.5) / scale
    if mode == "pytorch_half_pixel" and wanted == 1:
        return np.zeros(wanted)
    offset = length / 2.0 * (1.0 - wanted / width) if mode == "half_pixel_symmetric" else 0.0
    return offset + (y + 0.5) / scale - 0.5


def _is_outside(x: FloatArray, along: _Along, given: _Given) -> BoolArray:
    if given.coordinates != "tf_crop_and_resize":
        return np.zeros(x.shape, dtype=np.bool_)
    return (x < 0.0) | (x > along.length - 1)


def _interpolating(distance: FloatArray, given: _Given) -> FloatArray:
    """Return the weight of an element at that distance: that of a triangle, or of Keys' cubic convolution (1981)."""
    d, a = np.absolute(distance), given.cubic_coeff_a
    if given.mode == "linear":
        return np.maximum(1.0 - d, 0.0)
    near = ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    return np.where(d <= 1.0, near, np.where(d < 2.0, ((d - 5.0) * d + 8.0) * d * a - 4.0 * a, 0.0))


def _offsets(along: _Along, given: _Given) -> tuple[Any, float]:
    """Return the places of the elements that count, from the one before a point on, and the width of an element."""
    if given.mode == "nearest":
        return np.arange(2.0), 1.0
    shrunk = min(along.scale, 1.0) if given.antialias and along.wanted else 1.0
    first = math.floor(-(1.0 if given.mode == "linear" else 2.0) / shrunk) + 1.0
    return np.arange(first, 2.0 - first), shrunk


def _weights(along: _Along, given: _Given) -> Any:
    """Return the sparse matrix that resizes along an axis: a row for each element of the value.

    The element before a point is at less than its place, so that `ratio` is in (0, 1]; what lies outside x is taken
    from its ends.
    """
    x = _coordinates(along, given.coordinates)
    before = np.ceil(x) - 1.0
    ratio, (offsets, shrunk) = (x - before)[:, np.newaxis], _offsets(along, given)
    places = before[:, np.newaxis] + offsets
    if given.mode == "nearest":
        takes_next = {
            "floor": ratio == 1.0,
            "ceil": ratio > 0.0,
            "round_prefer_floor": ratio > 0.5,
            "round_prefer_ceil": ratio >= 0.5,
        }[given.nearest_mode]
        weights = np.where(offsets == 1.0, takes_next, ~takes_next) * 1.0
    else:
        weights = _interpolating((offsets - ratio) * shrunk, given)
        if given.antialias:
            weights = weights / np.sum(weights, axis=1, keepdims=True)
        if given.exclude_outside:
            weights = np.where((places < 0.0) | (places > along.length - 1), 0.0, weights)
            total = np.sum(weights, axis=1, keepdims=True)
            weights = weights / np.where(total == 0.0, 1.0, total)
    weights = np.where(_is_outside(x, along, given)[:, np.newaxis], 0.0, weights)
    columns = np.clip(places, 0, max(along.length - 1, 0)).astype(np.int64)
    rows = np.broadcast_to(np.arange(along.wanted)[:, np.newaxis], columns.shape)
    matrix = scipy.sparse.csr_array(
        (weights.ravel(), (rows.ravel(), columns.ravel())), shape=(along.wanted, along.length)
    )
    matrix.eliminate_zeros()
    return matrix


def _multiply(matrix: Any, x: Any, axis: int) -> Any:
    """Multiply along an axis."""
    rows = np.moveaxis(x, axis, 0)
    product = matrix @ np.reshape(rows, (len(rows), prod(rows.shape[1:])))
    return np.moveaxis(np.reshape(product, (len(product), *rows.shape[1:])), 0, axis)


def _interpolate(x: Any, given: _Given, magnitudes: bool = False) -> Any:
    """Apply the linear map; with `magnitudes`, that of the weights' magnitudes."""
    value = x
    for along in _resized_axes(np.shape(x), given):
        matrix = _weights(along, given)
        value = _multiply(abs(matrix) if magnitudes else matrix, value, along.axis)
    return value.astype(np.result_type(x), copy=False)


def _spread(upstream: Any, shape: Shape, given: _Given, magnitudes: bool = False) -> Any:
    """Apply the transposed map."""
    flow = upstream
    for along in _resized_axes(shape, given)[::-1]:
        matrix = _weights(along, given).T
        flow = _multiply(abs(matrix) if magnitudes else matrix, flow, along.axis)
    return flow.astype(np.result_type(upstream), copy=False)


@rulebook_function
def resize(x: Any, *attributes: Any) -> Any:
    """Interpolate; elements of the value that lie outside the part of interest and x are the extrapolation value."""
    given = _Given(*attributes)
    value = _interpolate(x, given)
    if given.coordinates == "tf_crop_and_resize" and given.extrapolation_value != 0.0:
        for along in _resized_axes(np.shape(x), given):
            outside = _is_outside(_coordinates(along, given.coordinates), along, given)
            shape = [along.wanted if axis == along.axis else 1 for axis in range(np.ndim(x))]
            value = np.where(np.reshape(outside, shape), given.extrapolation_value, value)
    return value


@rulebook_function
def resize_adjoint(upstream: Any, like: Any, *attributes: Any) -> Any:
    """Put the upstream gradient back where the value was interpolated from, by the same weights."""
    return _spread(upstream, np.shape(like), _Given(*attributes))


def _resize_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    lengths = dict(enumerate(shapes[0]))
    lengths |= {along.axis: along.wanted for along in _resized_axes(shapes[0], _Given(*attributes.values()))}
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
        given, lengths = _Given(*attributes.values()), list(shapes[x])
        operations, largest, weights = CALL, prod(lengths), 0
        for along in _resized_axes(shapes[x], given):
            taps = len(_offsets(along, given)[0])
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
        value=lambda x, z, *attributes: _interpolate(np.absolute(x), _Given(*attributes), magnitudes=True),
        contributions=lambda upstream, x, z, *attributes: (
            _spread(np.absolute(upstream), np.shape(x), _Given(*attributes), magnitudes=True),
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
            np.absolute(upstream), np.shape(like), _Given(*attributes), magnitudes=True
        ),
        contributions=lambda flow, upstream, like, z, *attributes: (
            _interpolate(np.absolute(flow), _Given(*attributes), magnitudes=True),
            None,
        ),
    ),
    work=Workload(_works(1), _works(1)),
    wording=Wording(aliases=["resize_adjoint"], rule="sum"),
)
