"""What Numba needs to know to take the rules, unchanged, over scalars; imported before any of them is compiled."""

import math
from typing import Any

import numpy as np
from numba.extending import overload, register_jitable

from service.core.rulebook import gamma, gaussian
from service.core.rulebook.operations import activation, arithmetic, exponential
from service.core.rulebook.primitives import choose, floor_divide, maximum, minimum, remainder, select, sign

_COSH_OVERFLOWS = 710.475860073944

# Compiled, only the branch that holds is computed, where `np.where` over arrays computes both.
overload(select)(lambda condition, x, y: lambda condition, x, y: x if condition else y)
overload(choose)(lambda condition, f, g, x: lambda condition, f, g, x: f(x) if condition else g(x))

# Numba's maximum and minimum take the first of two equal operands, its sign keeps −0.
overload(maximum)(lambda x, y: lambda x, y: x + y if x == 0.0 and y == 0.0 else np.maximum(x, y))
overload(minimum)(lambda x, y: lambda x, y: -(-x - y) if x == 0.0 and y == 0.0 else np.minimum(x, y))
overload(sign)(lambda x: lambda x: np.sign(x) + 0.0)

# Numba's remainder and floor division lose the signs of zeros, and what NumPy's say of infinities.
overload(remainder, strict=False)(lambda x, y: _remainder)
overload(floor_divide, strict=False)(lambda x, y: _floor_divide)

# The error functions by the C library's; the other Gaussian functions as they are over numbers.
overload(gaussian.error_function)(lambda x: lambda x: math.erf(x))  # noqa: PLW0108 (Numba wants functions)
overload(gaussian.complementary_error)(lambda x: lambda x: math.erfc(x))  # noqa: PLW0108
for called in (gaussian.exp_of_square, gaussian.exact_product, gaussian.exact_square, exponential.share_of_sum):
    register_jitable(called)
register_jitable(gaussian.power_of_gate)
overload(gaussian.upper_half, strict=False)(lambda x: gaussian.upper_half_of_number)
overload(gaussian.bell)(lambda x: lambda x: gaussian.exp_of_square(x, 1.0))
overload(gaussian.normal_density)(lambda x: lambda x: math.sqrt(0.5 / math.pi) * gaussian.exp_of_square(x, 0.5))
overload(gaussian.normal_distribution, strict=False)(lambda x: gaussian.distribution_of_number)
overload(gaussian.gelu_gate, strict=False)(lambda x: gaussian.gate_of_number)
overload(gaussian.gelu_gates, strict=False)(lambda x: gaussian.gates_of_number)
register_jitable(arithmetic.lost_by_one_less)
register_jitable(activation.sigmoid_of_number)
register_jitable(activation.gate_argument_slope)
register_jitable(activation.gelu_slope_by_tanh)
register_jitable(activation.gelu_slope)
register_jitable(activation.mish_slope_above)
register_jitable(activation.mish_slope_below)
for helper in (gamma.from_nearest_integer, gamma.log_gamma_above_zero, gamma.digamma_above_zero):
    register_jitable(helper)
register_jitable(gamma.hurwitz_zeta)
overload(gamma.log_gamma, strict=False)(lambda x: gamma.log_gamma_of_number)
overload(gamma.digamma, strict=False)(lambda x: gamma.digamma_of_number)
overload(gamma.polygamma, strict=False)(lambda x, order: gamma.polygamma_of_number)
overload(activation.sigmoid, strict=False)(lambda x: activation.sigmoid_of_number)
overload(arithmetic.power)(lambda x, y: lambda x, y: np.power(x, y))  # noqa: PLW0108
overload(arithmetic.power_slope, strict=False)(lambda x, y: _power_slope)
overload(exponential.sech, strict=False)(lambda x: _sech)


def _sech(x: float) -> Any:
    """2/(e^x + e^−x), its fraction expanded by e^−|x|, which takes half the time of the C library's cosh; 0 where cosh
    overflows, as over arrays."""
    power = math.exp(-abs(x))
    return 0.0 if abs(x) >= _COSH_OVERFLOWS else 2.0 * power / (1.0 + power * power)


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


def _power_slope(x: float, y: float) -> Any:
    slope = y * x ** (y - 1.0)
    lost = arithmetic.lost_by_one_less(y)
    corrected = slope * math.exp(lost * math.log(abs(x))) if lost != 0.0 else slope
    return corrected if math.isfinite(corrected) else slope
