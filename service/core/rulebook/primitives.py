"""The functions that rules call besides NumPy's own; over symbols and dual numbers they are NumPy's functions.

NumPy's maximum and minimum of −0 and +0 depend on the processor, and Numba's differ from them. Here the greater is +0
and the lesser −0 (IEEE 754-2019, 9.6), and the sign of either is +0.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.figures.figures import Shape

_INTEGERS: Any = {np.dtype(np.float64): np.dtype(np.int64), np.dtype(np.float32): np.dtype(np.int32)}
_MANY = 4096  # numbers, of which a call of NumPy's takes longer than to make it


def select(condition: Any, x: Any, y: Any) -> Any:
    """Return x where the condition holds, else y: the rulebook's only branch.

    `np.where` over arrays and symbols; compiled, a scalar branch (`numba_overloads.py`). A Python bool,
    such as a condition on an attribute, is decided at once.
    """
    if isinstance(condition, bool):
        return x if condition else y
    is_long = isinstance(condition, np.ndarray) and condition.size >= _MANY
    if is_long and _is_like(x, condition) and _is_like(y, condition):
        return _blended(condition, x, y)
    return np.where(condition, x, y)


def _is_like(x: Any, condition: Any) -> bool:
    """Whether x is a number or an array of that shape, and no symbol or dual number."""
    return type(x) is float or (type(x) is np.ndarray and x.shape == condition.shape)


def _blended(condition: NDArray[np.bool_], x: Any, y: Any) -> Any:
    """`np.where` by the bits of all numbers alike: a branch for each takes three times as long, since the processor
    guesses every other one wrong where the conditions are mixed."""
    dtype = np.result_type(x, y)
    integer = _INTEGERS.get(dtype)
    if integer is None or condition.dtype != np.bool_:
        return np.where(condition, x, y)
    first, second = (np.asarray(each, dtype).view(integer) for each in (x, y))
    bits = condition.astype(integer)
    np.negative(bits, out=bits)
    bits &= first ^ second
    bits ^= second
    return bits.view(dtype)


def choose(condition: Any, f: Callable[[Any], Any], g: Callable[[Any], Any], x: Any) -> Any:
    """Return f(x) where the condition holds, else g(x); of a condition on an attribute only the one that holds is
    computed."""
    if isinstance(condition, bool):
        return f(x) if condition else g(x)
    return select(condition, f(x), g(x))


def is_traced(x: Any) -> bool:
    """Whether x is a symbol or a dual number, to which NumPy's functions dispatch, and not an array or a number."""
    return hasattr(x, "__array_function__") and not isinstance(x, np.ndarray)


def maximum(x: Any, y: Any) -> Any:
    """Return the greater of x and y, elementwise; NaN where either is."""
    greater = np.maximum(x, y)
    if is_traced(greater):
        return greater
    zeros = _both_zero(x, y)
    return np.where(zeros, x + y, greater) if np.any(zeros) else greater


def minimum(x: Any, y: Any) -> Any:
    """Return the lesser of x and y, elementwise; NaN where either is."""
    lesser = np.minimum(x, y)
    if is_traced(lesser):
        return lesser
    zeros = _both_zero(x, y)
    return np.where(zeros, -(-x - y), lesser) if np.any(zeros) else lesser


def _both_zero(x: Any, y: Any) -> Any:
    if any(np.ndim(each) == 0 and each != 0.0 for each in (x, y)):
        return False
    return np.equal(x, 0.0) if np.ndim(y) == 0 else np.equal(y, 0.0) if np.ndim(x) == 0 else (x == 0.0) & (y == 0.0)


def sign(x: Any) -> Any:
    """Return −1, 0 or 1, elementwise; NaN where x is."""
    return np.sign(x)


def remainder(x: Any, y: Any) -> Any:
    """x − y·⌊x/y⌋, elementwise and exact, with the sign of y."""
    return np.remainder(x, y)


def floor_divide(x: Any, y: Any) -> Any:
    """⌊x/y⌋, elementwise, as `remainder` has it."""
    return np.floor_divide(x, y)


def sum_to_shape(array: Any, shape: Shape) -> Any:
    """Undo broadcasting: sum over the axes along which an operand of `shape` was repeated."""
    if np.shape(array) == shape:
        return array
    added = np.ndim(array) - len(shape)
    stretched = [added + axis for axis, length in enumerate(shape) if length == 1 and array.shape[added + axis] != 1]
    return array.sum(axis=(*range(added), *stretched)).reshape(shape)
