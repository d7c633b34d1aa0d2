"""What Numba needs to know to take the rules, unchanged, over scalars; imported before any of them is compiled."""

import math

import numpy as np
from numba.extending import overload, register_jitable
from scipy import special

from service.core.rulebook import gaussian
from service.core.rulebook.primitives import maximum, minimum, select, sign

# Compiled, only the branch that holds is computed, where `np.where` over arrays computes both.
overload(select)(lambda condition, x, y: lambda condition, x, y: x if condition else y)

# Numba's maximum and minimum take the first of two equal operands, its sign keeps −0.
overload(maximum)(lambda x, y: lambda x, y: x + y if x == 0.0 and y == 0.0 else np.maximum(x, y))
overload(minimum)(lambda x, y: lambda x, y: -(-x - y) if x == 0.0 and y == 0.0 else np.minimum(x, y))
overload(sign)(lambda x: lambda x: np.sign(x) + 0.0)

# SciPy's functions by the C library's; the Gaussian functions as they are over numbers.
overload(special.erf)(lambda x: lambda x: math.erf(x))  # noqa: PLW0108 (Numba wants functions)
overload(special.erfc)(lambda x: lambda x: math.erfc(x))  # noqa: PLW0108
overload(special.erfcx, strict=False)(lambda x: _scaled_complementary_error)
register_jitable(gaussian.exp_of_square)
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
