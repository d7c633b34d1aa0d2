"""Interpolation along an axis as a sparse matrix, by ONNX's attributes of Resize."""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy

from service.core.figures.figures import BoolArray, FloatArray, Shape
from service.core.rulebook.operations.axes import axis_positions

_MOST_KEPT = 10_000  # elements along an axis, before and after, of which the weights are kept
_TO_CORNERS = ("align_corners", "tf_crop_and_resize")


class Interpolation(NamedTuple):
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


class Along(NamedTuple):
    """How an axis is resized: its length, that of the value, their ratio as it is given, and the part of interest."""

    axis: int
    length: int
    wanted: int
    scale: float
    start: float
    end: float


def resized_axes(shape: Shape, given: Interpolation) -> list[Along]:
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
    every = map(Along, axes, lengths, wanted, scales, region[: len(axes)], region[len(axes) :])
    return [
        each
        for each in every
        if each.length != each.wanted or not math.isclose(each.scale, 1.0) or (each.start, each.end) != (0.0, 1.0)
    ]


def coordinates_of(along: Along, mode: str) -> FloatArray:
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


def is_outside(x: FloatArray, along: Along, given: Interpolation) -> BoolArray:
    if given.coordinates != "tf_crop_and_resize":
        return np.zeros(x.shape, dtype=np.bool_)
    return (x < 0.0) | (x > along.length - 1)


def _interpolating(distance: FloatArray, given: Interpolation) -> FloatArray:
    """Return the weight of an element at that distance: that of a triangle, or of Keys' cubic convolution (1981)."""
    d, a = np.absolute(distance), given.cubic_coeff_a
    if given.mode == "linear":
        return np.maximum(1.0 - d, 0.0)
    near = ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    return np.where(d <= 1.0, near, np.where(d < 2.0, ((d - 5.0) * d + 8.0) * d * a - 4.0 * a, 0.0))


def offsets_of(along: Along, given: Interpolation) -> tuple[Any, float]:
    """Return the places of the elements that count, from the one before a point on, and the width of an element."""
    if given.mode == "nearest":
        return np.arange(2.0), 1.0
    shrunk = min(along.scale, 1.0) if given.antialias and along.wanted else 1.0
    first = math.floor(-(1.0 if given.mode == "linear" else 2.0) / shrunk) + 1.0
    return np.arange(first, 2.0 - first), shrunk


def interpolation_weights(along: Along, given: Interpolation) -> Any:
    """Return the sparse matrix that resizes along an axis: a row for each element of the value."""
    compute = _kept_weights if along.length + along.wanted <= _MOST_KEPT else _weights
    return compute(along, given)


def _weights(along: Along, given: Interpolation) -> Any:
    """Compute `interpolation_weights`.

    The element before a point is at less than its place, so that `ratio` is in (0, 1]; what lies outside x is taken
    from its ends.
    """
    x = coordinates_of(along, given.coordinates)
    before = np.ceil(x) - 1.0
    ratio, (offsets, shrunk) = (x - before)[:, np.newaxis], offsets_of(along, given)
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
    weights = np.where(is_outside(x, along, given)[:, np.newaxis], 0.0, weights)
    columns = np.clip(places, 0, max(along.length - 1, 0)).astype(np.int64)
    rows = np.broadcast_to(np.arange(along.wanted)[:, np.newaxis], columns.shape)
    matrix = scipy.sparse.csr_array(
        (weights.ravel(), (rows.ravel(), columns.ravel())), shape=(along.wanted, along.length)
    )
    matrix.eliminate_zeros()
    return matrix


_kept_weights = lru_cache(maxsize=64)(_weights)
