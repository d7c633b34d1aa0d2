"""Subscripts of symbols, as NumPy reads them: `x[0]`, `x[..., 1:3]`, `x[:, None]`, `x[rows]`, `x[rows, columns]`."""

import operator
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from service.client.symbols import Symbol, apply, writes

_LARGEST = 2**63 - 1  # an open end, as in ONNX's Slice
_WHOLE = slice(None)


@writes(operator.getitem)
def _index(x: Any, key: Any) -> Any:
    """One Slice of all axes, of which those with a single index are squeezed, then Unsqueeze for each None.

    An array or a node of whole numbers gathers along its axis, several name single elements.
    """
    parts = [_read_part(part) for part in (key if isinstance(key, tuple) else (key,))]
    ellipses = sum(part is Ellipsis for part in parts)
    if ellipses > 1:
        raise IndexError("... stands once among subscripts")
    axes = _axes([part for part in parts if part is not None])
    gathered = {axis: part for axis, part in axes.items() if not isinstance(part, int | slice)}
    if len(gathered) == len(parts) > 1:
        return apply("GatherND", x, _stacked(parts))
    if len(gathered) > 1 or (gathered and any(part is None or isinstance(part, int) for part in parts)):
        raise TypeError("an array or a node as a subscript stands alone, beside ranges or beside others; use two steps")
    ranges = {axis: part for axis, part in axes.items() if axis not in gathered and part != _WHOLE}
    single = [axis for axis, part in ranges.items() if isinstance(part, int)]
    added = _new_axes(parts)
    given = x
    if ranges:
        starts, ends, steps = (list(each) for each in zip(*map(_bounds, ranges.values()), strict=True))
        x = apply("Slice", x, starts=starts, ends=ends, axes=list(ranges), steps=steps)
    if single:
        x = apply("Squeeze", x, axes=single)
    if added:
        x = apply("Unsqueeze", x, axes=added)
    for axis, indices in gathered.items():
        x = apply("Gather", x, indices, axis=axis)
    return apply("Identity", x) if x is given else x


def _stacked(indices: Sequence[Any]) -> Any:
    """Indices of each axis as one array or node, those of an element in its last axis."""
    if any(isinstance(each, Symbol) for each in indices):
        return np.stack(indices, axis=-1)
    return np.stack(np.broadcast_arrays(*indices), axis=-1)


def _read_part(part: Any) -> "int | slice | EllipsisType | Symbol | list[Any] | None":
    if isinstance(part, Symbol) and part.is_condition:
        raise TypeError("how many elements a condition selects is known when the graph is run; np.where keeps all")
    if part is None or part is Ellipsis or isinstance(part, Symbol):
        return part
    if isinstance(part, slice):
        bounds = (part.start, part.stop, part.step)
        return slice(*(None if bound is None else operator.index(bound) for bound in bounds))
    array = np.asarray(part)
    if array.dtype.kind not in "iu":
        raise TypeError("a subscript is a whole number, a range such as 1:3, ..., None, or an array of whole numbers")
    return array.tolist() if array.ndim else int(array)


def _axes(parts: Sequence[Any]) -> dict[int, Any]:
    """The axis of each part that is not the ellipsis, behind which they are counted from the last."""
    before = _before_ellipsis(parts)
    return {
        axis if axis < before else axis - len(parts): part for axis, part in enumerate(parts) if part is not Ellipsis
    }


def _bounds(part: int | slice) -> tuple[int, int, int]:
    if isinstance(part, int):
        return part, part + 1 or _LARGEST, 1
    step = 1 if part.step is None else part.step
    start, end = (0, _LARGEST) if step > 0 else (_LARGEST, -_LARGEST)
    return start if part.start is None else part.start, end if part.stop is None else part.stop, step


def _new_axes(parts: Sequence[Any]) -> list[int]:
    """Where None adds axes to the result; behind the ellipsis counted from the last."""
    kept = [part for part in parts if not isinstance(part, int)]
    before = _before_ellipsis(kept)
    return [place if place < before else place - len(kept) for place, part in enumerate(kept) if part is None]


def _before_ellipsis(parts: Sequence[Any]) -> int:
    return next((place for place, part in enumerate(parts) if part is Ellipsis), len(parts))
