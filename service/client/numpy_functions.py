"""What NumPy's functions that are not universal write when they are given a symbol, with NumPy's defaults.

A parameter that is missing here, such as `out`, is one that no node has.
"""

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from service.client.symbols import Symbol, Writer, apply, writes

# --- universal functions that are no operation of their own ----------------------------------------------------------


@writes(np.square)
def _square(x: Any) -> Any:
    return x**2


@writes(np.exp2)
def _exp2(x: Any) -> Any:
    return 2**x


@writes(np.fmod)
def _fmod(x: Any, y: Any) -> Any:
    return apply("Mod", x, y, fmod=1)


def _of_conditions(sign: str, operation: str) -> Writer:
    def write(*conditions: Any) -> Any:
        if not all(isinstance(each, Symbol) and each.is_condition for each in conditions):
            raise TypeError(f"{sign} combines conditions, such as (x > 0) {sign} (y > 0)")
        return apply(operation, *conditions)

    return write


for _called, _sign, _operation in (
    (np.bitwise_and, "&", "And"),
    (np.bitwise_or, "|", "Or"),
    (np.invert, "~", "Not"),
):
    writes(_called)(_of_conditions(_sign, _operation))

# --- reductions ------------------------------------------------------------------------------------------------------

_Axes = int | Sequence[int] | None


def _reduced(operation: str) -> Writer:
    def write(x: Any, axis: _Axes = None, *, keepdims: bool = False) -> Any:
        return apply(operation, x, **_over(axis, keepdims))

    return write


def _spread(operation: str) -> Writer:
    def write(x: Any, axis: _Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Any:
        return apply(operation, x, **_over(axis, keepdims), ddof=ddof)

    return write


def _over(axis: _Axes, keepdims: bool) -> dict[str, Any]:
    axes = {} if axis is None else {"axes": _listed(axis)}
    none = {"noop_with_empty_axes": 1} if axes == {"axes": []} else {}
    return {**axes, **none, "keepdims": int(keepdims)}


writes(np.sum)(_reduced("ReduceSum"))
writes(np.mean)(_reduced("ReduceMean"))
writes(np.prod)(_reduced("ReduceProd"))
writes(np.max, np.amax)(_reduced("ReduceMax"))
writes(np.min, np.amin)(_reduced("ReduceMin"))
writes(np.var)(_spread("ReduceVar"))
writes(np.std)(_spread("ReduceStd"))


@writes(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: _Axes = None, keepdims: bool = False) -> Any:
    operations = {None: "ReduceL2", 2: "ReduceL2", 1: "ReduceL1"}
    if ord not in operations or (ord is not None and (axis is None or np.ndim(axis))):
        raise TypeError("np.linalg.norm makes a node of the 2-norm, and along one axis of the 1-norm")
    return apply(operations[ord], x, **_over(axis, keepdims))


def _ranked(operation: str) -> Writer:
    def write(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return _along(operation, axis, x, keepdims=int(keepdims))

    return write


def _along(operation: str, axis: int | None, x: Any, *operands: Any, **attributes: Any) -> Any:
    """Along an axis; without one along all elements in their order."""
    return apply(operation, _flat(x) if axis is None else x, *operands, axis=axis or 0, **attributes)


writes(np.argmax)(_ranked("ArgMax"))
writes(np.argmin)(_ranked("ArgMin"))

# --- along an axis ---------------------------------------------------------------------------------------------------


def _scanned(operation: str) -> Writer:
    return lambda x, axis=None: _along(operation, axis, x)


writes(np.cumsum)(_scanned("CumSum"))
writes(np.cumprod)(_scanned("CumProd"))


@writes(np.sort)
def _sort(x: Any, axis: int | None = -1) -> Any:
    return _along("Sort", axis, x)


@writes(np.argsort)
def _argsort(x: Any, axis: int | None = -1) -> Any:
    return _along("Sort", axis, x, output=1)


@writes(np.take)
def _take(x: Any, indices: Any, axis: int | None = None) -> Any:
    return _along("Gather", axis, x, indices)


@writes(np.take_along_axis)
def _take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    return _along("GatherElements", axis, x, indices)


@writes(np.flip)
def _flip(x: Any, axis: int | Sequence[int]) -> Any:
    axes = _listed(axis)
    return _slice(x, [-1] * len(axes), [-(2**63 - 1)] * len(axes), axes, [-1] * len(axes))


@writes(np.diff)
def _diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    for _ in range(n):
        x = _slice(x, [1], [2**63 - 1], [axis]) - _slice(x, [0], [-1], [axis])
    return x


@writes(np.split)
def _split(x: Any, parts: int | Sequence[int], axis: int = 0) -> Any:
    if np.ndim(parts) == 0:
        (count,) = _listed(parts)
        return [apply("Split", x, axis=axis, num_outputs=count, output=place) for place in range(count)]
    bounds = [0, *_listed(parts), 2**63 - 1]
    return [_slice(x, [start], [end], [axis]) for start, end in pairwise(bounds)]


def _slice(x: Any, starts: list[int], ends: list[int], axes: list[int], steps: list[int] | None = None) -> Any:
    return apply("Slice", x, starts=starts, ends=ends, axes=axes, steps=steps or [1] * len(axes))


# --- several arrays --------------------------------------------------------------------------------------------------


@writes(np.where)
def _where(condition: Any, x: Any, y: Any) -> Any:
    return apply("Where", condition, x, y)


@writes(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    if all(bound is None or np.isscalar(bound) for bound in (low, high)):
        bounds = {"min": low, "max": high}
        return apply("Clip", x, **{name: float(bound) for name, bound in bounds.items() if bound is not None})
    x = x if low is None else apply("Max", x, low)
    return x if high is None else apply("Min", x, high)


@writes(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    parts = [_flat(each) for each in arrays] if axis is None else arrays
    return apply("Concat", *parts, axis=axis or 0)


@writes(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    return apply("Concat", *(_expand_dims(each, axis) for each in arrays), axis=axis)


@writes(np.dot)
def _dot(x: Any, y: Any) -> Any:
    """As for vectors and matrices; of two stacks of matrices NumPy multiplies each with each."""
    return apply("MatMul", x, y)


@writes(np.vecdot)
def _vecdot(x: Any, y: Any, *, axis: int = -1) -> Any:
    return apply("ReduceSum", apply("Mul", x, y), **_over(axis, False))


@writes(np.outer)
def _outer(x: Any, y: Any) -> Any:
    return apply("Mul", _reshape(x, (-1, 1)), _reshape(y, (1, -1)))


@writes(np.einsum)
def _einsum(equation: str, *arrays: Any) -> Any:
    return apply("Einsum", *arrays, equation=equation)


@writes(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    return apply("Solve", a, b)


# --- matrices --------------------------------------------------------------------------------------------------------


def _plain(operation: str) -> Writer:
    return lambda x: apply(operation, x)


writes(np.linalg.det)(_plain("Det"))
writes(np.linalg.inv)(_plain("Inverse"))
writes(np.linalg.cholesky)(_plain("Cholesky"))
writes(np.matrix_transpose, np.linalg.matrix_transpose)(_plain("MatrixTranspose"))


@writes(np.tril)
def _tril(x: Any, k: int = 0) -> Any:
    return apply("Trilu", x, k=k, upper=0)


@writes(np.triu)
def _triu(x: Any, k: int = 0) -> Any:
    return apply("Trilu", x, k=k, upper=1)


# --- shapes ----------------------------------------------------------------------------------------------------------


@writes(np.reshape)
def _reshape(x: Any, shape: int | Sequence[int]) -> Any:
    lengths = _listed(shape)
    if not isinstance(x, Symbol):
        return np.reshape(x, lengths)
    return apply("Reshape", x, shape=lengths, **({"allowzero": 1} if 0 in lengths else {}))


@writes(np.ravel)
def _flat(x: Any) -> Any:
    return _reshape(x, (-1,))


@writes(np.transpose)
def _transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    return apply("Transpose", x, **({} if axes is None else {"perm": _listed(axes)}))


@writes(np.swapaxes)
def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    if {axis1, axis2} == {-1, -2}:
        return apply("MatrixTranspose", x)
    if (axis1 < 0) != (axis2 < 0):
        raise TypeError("np.swapaxes makes a node where both axes are counted from the first, or both from the last")
    named = list("abcdefghijklmnopqrstuvwxyz"[: 1 + max(axis1, axis2) if axis1 >= 0 else -min(axis1, axis2)])
    swapped = named.copy()
    swapped[axis1], swapped[axis2] = named[axis2], named[axis1]
    before, after = ("", "...") if axis1 >= 0 else ("...", "")
    return apply("Einsum", x, equation="->".join(f"{before}{''.join(axes)}{after}" for axes in (named, swapped)))


@writes(np.trace)
def _trace(x: Any) -> Any:
    return apply("Einsum", x, equation="ii...->...")


@writes(np.squeeze)
def _squeeze(x: Any, axis: _Axes = None) -> Any:
    return apply("Squeeze", x, **({} if axis is None else {"axes": _listed(axis)}))


@writes(np.expand_dims)
def _expand_dims(x: Any, axis: int | Sequence[int]) -> Any:
    return apply("Unsqueeze", x, axes=_listed(axis)) if isinstance(x, Symbol) else np.expand_dims(x, axis)


@writes(np.broadcast_to)
def _broadcast_to(x: Any, shape: int | Sequence[int]) -> Any:
    return apply("Expand", x, shape=_listed(shape))


@writes(np.tile)
def _tile(x: Any, reps: Sequence[int]) -> Any:
    return apply("Tile", x, repeats=_listed(reps))


@writes(np.pad)
def _pad(x: Any, pad_width: Sequence[Sequence[int]], mode: str = "constant", *, constant_values: float = 0) -> Any:
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise TypeError("np.pad makes a node in the modes constant, edge, reflect and wrap")
    pads = [before for before, _ in pad_width] + [after for _, after in pad_width]
    return apply("Pad", x, pads=pads, mode=mode, constant_value=float(constant_values))


@writes(np.zeros_like)
def _zeros_like(x: Any) -> Any:
    return apply("ExpandTo", 0.0, x)


@writes(np.ones_like)
def _ones_like(x: Any) -> Any:
    return apply("ExpandTo", 1.0, x)


@writes(np.full_like)
def _full_like(x: Any, fill_value: Any) -> Any:
    return apply("ExpandTo", fill_value, x)


@writes(np.round, np.around)
def _round(x: Any, decimals: int = 0) -> Any:
    if decimals:
        raise TypeError("np.round makes a node that rounds to whole numbers")
    return apply("Round", x)


@writes(np.size)
def _size(x: Any) -> Any:
    return apply("Size", x)


@writes(np.shape)
def _shape(x: Any) -> Any:
    return x.shape


@writes(np.ndim)
def _ndim(x: Any) -> Any:
    return x.ndim


def _listed(axes: Any) -> list[int]:
    return [operator.index(axis) for axis in (axes if np.iterable(axes) else (axes,))]
