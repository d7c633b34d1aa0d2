"""What Numba needs to know to take the rules, unchanged, over scalars; imported before any of them is compiled."""

import math
from typing import Any

import numpy as np
from numba.extending import overload, register_jitable
from scipy import special

from service.core.rulebook import gaussian
from service.core.rulebook.operations import exponential
from service.core.rulebook.primitives import floor_divide, maximum, minimum, remainder, select, sign

# Compiled, only the branch that holds is computed, where `np.where` over arrays computes both.
overload(select)(lambda condition, x, y: lambda condition, x, y: x if condition else y)

# Numba's maximum and minimum take the first of two equal operands, its sign keeps −0.
overload(maximum)(lambda x, y: lambda x, y: x + y if x == 0.0 and y == 0.0 else np.maximum(x, y))
overload(minimum)(lambda x, y: lambda x, y: -(-x - y) if x == 0.0 and y == 0.0 else np.minimum(x, y))
overload(sign)(lambda x: lambda x: np.sign(x) + 0.0)

# Numba's remainder and floor division lose the signs of zeros, and what NumPy's say of infinities.
overload(remainder, strict=False)(lambda x, y: _remainder)
overload(floor_divide, strict=False)(lambda x, y: _floor_divide)

# SciPy's functions by the C library's; the Gaussian functions as they are over numbers.
overload(special.erf)(lambda x: lambda x: math.erf(x))  # noqa: PLW0108 (Numba wants functions)
overload(special.erfc)(lambda x: lambda x: math.erfc(x))  # noqa: PLW0108
overload(special.erfcx, strict=False)(lambda x: _scaled_complementary_error)
register_jitable(gaussian.exp_of_square)
register_jitable(exponential.share_of_sum)
overload(gaussian.bell)(lambda x: lambda x: gaussian.exp_of_square(x, 1.0))
overload(gaussian.normal_density)(lambda x: lambda x: math.sqrt(0.5 / math.pi) * gaussian.exp_of_square(x, 0.5))
overload(gaussian.normal_distribution, strict=False)(lambda x: gaussian.distribution_of_number)
overload(gaussian.complementary_error, strict=False)(lambda x: gaussian.complement_of_number)


def _scaled_complementary_error(x: float) -> float:
    """erfcx(x) = erfc(x)·e^(x²) for x ≥ 0, which the C library lacks; where both factors leave float64, its
    asymptotic series 1/(x√π)·(1 − 1/(2x²)·(1 − 3/(2x²)·(1 − …)))."""
    if x < 26.0:
        return float(math.erfc(x) / gaussian.exp_of_square(x, 1.0))
    series = 1.0
    for odd in range(15, 0, -2):
        series = 1.0 - odd * 0.5 / (x * x) * series
    return series / (x * math.sqrt(math.pi))


def _remainder(x: float, y: float) -> Any:
    """NumPy's remainder."""
    left = np.fmod(x, y)
    if left == 0.0:
        return math.copysign(0.0, y)
    return left + y if (y < 0.0) != (left < 0.0) else left


def _floor_divide(x: float, y: float) -> Any:
    """NumPy's floor_divide: (x − remainder)/y is a whole number but for rounding."""
    quotient = np.divide(x, y)
    if y == 0.0:
        return quotient
    left = np.fmod(x, y)
    whole = np.divide(x - left, y)
    if left != 0.0 and (y < 0.0) != (left < 0.0):
        whole -= 1.0
    if whole == 0.0:
        return math.copysign(0.0, quotient)
    floor = np.floor(whole)
    return floor + 1.0 if whole - floor > 0.5 else floor
