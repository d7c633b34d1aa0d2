"""max, min and sign with the same zeros everywhere: NumPy's depend on the processor, and Numba's are others.

Of −0 and +0 the greater is +0 and the lesser −0 (IEEE 754-2019, 9.6); the sign of either is +0. Over symbols and dual
numbers these are NumPy's functions, which stand for the operations Max, Min and Sign.
"""

from typing import Any

import numpy as np

from service.core.rulebook.operation import is_traced


def maximum(x: Any, y: Any) -> Any:
    """The greater of x and y, elementwise; NaN where either is."""
    greater = np.maximum(x, y)
    if is_traced(greater):
        return greater
    zeros = np.logical_and(x == 0.0, y == 0.0)
    return np.where(zeros, x + y, greater) if np.any(zeros) else greater


def minimum(x: Any, y: Any) -> Any:
    """The lesser of x and y, elementwise; NaN where either is."""
    lesser = np.minimum(x, y)
    if is_traced(lesser):
        return lesser
    zeros = np.logical_and(x == 0.0, y == 0.0)
    return np.where(zeros, -(-x - y), lesser) if np.any(zeros) else lesser


def sign(x: Any) -> Any:
    """−1, 0 or 1, elementwise; NaN where x is."""
    return np.sign(x)
