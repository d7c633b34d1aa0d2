"""Primitives that take elements from an array or put them there.

Where JAX's description of them is one of an operation it becomes that; else the places of the elements, as they were
recorded, become a Constant.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from service.recorders.jax.program import Slot, Step
from service.recorders.jax.terms import Applied, Operand, apply, number, reshape, transpose

_OUTSIDE = -1  # in place of an index that is out of bounds


def part(x: Operand, starts: Sequence[Any], ends: Sequence[Any], steps: Sequence[Any] | None = None) -> Applied:
    """The elements of x between bounds, for each axis."""
    given = None if steps is None or set(steps) == {1} else [int(step) for step in steps]
    bounds = {"starts": [int(start) for start in starts], "ends": [int(end) for end in ends]}
    return apply("Slice", x, **bounds, axes=list(range(len(bounds["starts"]))), steps=given)


def dynamic_slice(step: Step) -> Applied:
    """Elements from indices on that are computed: as they were."""
    x, *starts = step.operands
    first = _clamped(x, starts, step.results[0].shape)
    return part(x, first, [start + length for start, length in zip(first, step.results[0].shape, strict=True)])


def dynamic_update_slice(step: Step) -> Operand:
    """Elements put in from indices on that are computed: as they were."""
    x, update, *starts = step.operands
    first = _clamped(x, starts, update.shape)
    places = np.arange(math.prod(x.shape)).reshape(x.shape)
    inside = places[tuple(slice(start, start + length) for start, length in zip(first, update.shape, strict=True))]
    return _put(x, inside, update, "none")


def _clamped(x: Slot, starts: Sequence[Slot], lengths: Sequence[int]) -> list[int]:
    """Where a part lies that JAX moves until it is inside."""
    sizes = zip(starts, x.shape, lengths, strict=True)
    return [int(np.clip(int(start.value), 0, size - length)) for start, size, length in sizes]


def gather(step: Step) -> Operand:
    """Elements at indices."""
    x, indices = step.operands
    numbers, sizes = step.parameters["dimension_numbers"], tuple(step.parameters["slice_sizes"])
    places = _look_up(x, indices, numbers, sizes, step.parameters["mode"])
    if (places == _OUTSIDE).any():
        fill = step.parameters["fill_value"]
        taken = _take(x, np.where(places == _OUTSIDE, 0, places))
        missing = math.nan if fill is None and step.results[0].real else float(fill or 0)
        return apply("Where", (places != _OUTSIDE).astype(float), taken, missing)
    if indices.fixed or (_look_up(x, indices, numbers, sizes) == _OUTSIDE).any():
        return _take(x, places)
    found = list(map(int, numbers.start_index_map))
    if _whole(numbers.collapsed_slice_dims, numbers.operand_batching_dims, found, x.shape, sizes):
        depth, offsets = len(indices.shape) - 1, list(map(int, numbers.offset_dims))
        if len(found) == 1 and offsets == _without(range(len(step.results[0].shape)), found[0], depth):
            return apply("Gather", x, reshape(indices, indices.shape[:-1]), axis=found[0])
        if offsets == list(range(depth, depth + len(offsets))):
            return apply("GatherND", transpose(x, _first(found, x)), indices)
    if _along_axis(numbers, x, indices, sizes):
        taken = apply("GatherElements", x, reshape(indices, indices.shape[:-1]), axis=found[0])
        return reshape(taken, step.results[0].shape)
    return _take(x, places)


def _whole(dropped: Any, batch: Any, found: Sequence[int], shape: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether indices name places along the axes `found`, in that order, of whole parts of the others."""
    rest = [axis for axis in range(len(shape)) if axis not in found]
    return not batch and list(map(int, dropped)) == list(found) and all(sizes[axis] == shape[axis] for axis in rest)


def _without(axes: Sequence[int], start: int, count: int) -> list[int]:
    return [axis for axis in axes if not start <= axis < start + count]


def _first(axes: Sequence[int], x: Slot) -> list[int]:
    """All axes, these first."""
    return [*axes, *(axis for axis in range(len(x.shape)) if axis not in axes)]


def _along_axis(numbers: Any, x: Slot, indices: Slot, sizes: Sequence[int]) -> bool:
    """Whether it is take_along_axis: an index for each place along one axis, all other axes being parallel."""
    batch = list(map(int, numbers.operand_batching_dims))
    return (
        set(sizes) == {1}
        and len(numbers.start_index_map) == 1
        and batch == list(map(int, numbers.start_indices_batching_dims))
        and sorted([*batch, int(numbers.start_index_map[0])]) == list(range(len(x.shape)))
        and len(indices.shape) == len(x.shape) + 1
    )


def scatter(step: Step) -> Operand:
    """Elements put at indices, or added to what is there."""
    x, indices, given = step.operands
    kind = step.primitive.partition("-")[2] or "none"
    updates, kind = (apply("Neg", given), "add") if kind == "sub" else (given, kind)
    numbers = step.parameters["dimension_numbers"]
    window = list(numbers.update_window_dims)
    dropped = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    lengths = iter(given.shape[axis] for axis in window)
    like_gather = lax.GatherDimensionNumbers(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
    )
    sizes = tuple(1 if axis in dropped else next(lengths) for axis in range(len(x.shape)))
    places = _look_up(x, indices, like_gather, sizes)
    found = list(map(int, numbers.scatter_dims_to_operand_dims))
    if not indices.fixed and (places != _OUTSIDE).all():
        behind = list(range(len(indices.shape) - 1, len(given.shape)))
        if (
            _whole(numbers.inserted_window_dims, numbers.operand_batching_dims, found, x.shape, sizes)
            and window == behind
        ):
            order = _first(found, x)
            put = apply("ScatterND", transpose(x, order), indices, updates, reduction=kind)
            return transpose(put, np.argsort(order))
    return _put(x, places, updates, kind)


def pad(step: Step) -> Operand:
    """Elements around an array, or between its elements; less than none cuts off."""
    x, filling = step.operands
    edges = [tuple(map(int, edge)) for edge in step.parameters["padding_config"]]
    value = number(filling)
    if value is not None and all(low >= 0 and high >= 0 and not between for low, high, between in edges):
        pads = [*(low for low, _, _ in edges), *(high for _, high, _ in edges)]
        return apply("Pad", x, pads=pads, mode="constant", constant_value=value)
    places = np.asarray(
        lax.pad(jnp.arange(math.prod(x.shape), dtype=int).reshape(x.shape), jnp.asarray(_OUTSIDE, int), edges)
    )
    if (places == _OUTSIDE).any():
        taken = _take(x, np.where(places == _OUTSIDE, 0, places))
        return apply("Where", (places != _OUTSIDE).astype(float), taken, filling)
    return _take(x, places)


def _look_up(x: Slot, indices: Slot, numbers: Any, sizes: Any, mode: Any = "FILL") -> np.ndarray:
    """The places in the flat x of what a gather takes; _OUTSIDE where that is out of bounds."""
    numbered = jnp.arange(math.prod(x.shape), dtype=int).reshape(x.shape)
    mode = lax.GatherScatterMode.FILL_OR_DROP if "FILL" in str(mode) else mode
    found = lax.gather(numbered, indices.value, numbers, tuple(sizes), mode=mode, fill_value=_OUTSIDE)
    return np.asarray(found)


def _take(x: Operand, places: np.ndarray) -> Applied:
    """The elements at places of the flat x."""
    return apply("Gather", reshape(x, [-1]), places.astype(float), axis=0)


def _put(x: Slot, places: np.ndarray, updates: Operand, kind: str) -> Applied:
    """x with updates at places of the flat x, but for those that are out of bounds."""
    flat, inside = reshape(updates, [-1]), places.ravel()
    if (inside == _OUTSIDE).any():
        kept = np.flatnonzero(inside != _OUTSIDE)
        flat, inside = apply("Gather", flat, kept.astype(float), axis=0), inside[kept]
    put = apply("ScatterElements", reshape(x, [-1]), inside.astype(float), flat, axis=0, reduction=kind)
    return reshape(put, x.shape)
