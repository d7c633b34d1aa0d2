"""The bell curve, its integral and the gate of tanh-gelu to the last digits, where the forms that a textbook has lose
them to the rounding of x² or x³.

A relative error ε in x² causes one of x²·ε in e^(−x²). These functions compensate for that rounding, over arrays and
compiled; over symbols and dual numbers each is the operation of its name.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

from service.core.figures.figures import FloatArray
from service.core.rulebook.primitives import is_traced, select
from service.core.rulebook.registry import rulebook_function

# Beyond, e^(−x²/2) is 0 in float64; clamping also keeps infinities out, whose differences are NaN.
_UNDERFLOW = 40.0


@rulebook_function
def bell(x: Any) -> Any:
    """Return e^(−x²)."""
    return exp_of_square(x, 1.0)


@rulebook_function
def normal_density(x: Any) -> Any:
    """Return e^(−x²/2) / √(2π)."""
    return math.sqrt(0.5 / math.pi) * exp_of_square(x, 0.5)


@rulebook_function
def normal_distribution(x: Any) -> Any:
    """Return Φ(x) = erfc(−x/√2) / 2, the integral of `normal_density` from −∞ to x."""
    return distribution_of_number(x)


@rulebook_function
def error_function(x: Any) -> Any:
    """Return erf(x). SciPy loads `special` when it is first used, which takes as long as all of Gradbook."""
    return scipy.special.erf(x)


@rulebook_function
def complementary_error(x: Any) -> Any:
    """Return erfc(x) = 1 − erf(x) by the C library: SciPy's loses hundreds of its last places for large x."""
    numbers = np.array(x, dtype=np.float64)
    return _complementary_errors(numbers.ravel()).reshape(numbers.shape).astype(np.result_type(x), copy=False)[()]


def complementary_errors(numbers: FloatArray) -> FloatArray:
    """Return erfc of each number of a row; Numba compiles it as it is."""
    return np.array([math.erfc(number) for number in numbers])


_complementary_errors: Callable[[FloatArray], FloatArray] = complementary_errors


def take_compiled(compiled: Callable[[FloatArray], FloatArray]) -> None:
    """Have `complementary_error` go by `complementary_errors` compiled: the same figures in a tenth of the time."""
    global _complementary_errors  # noqa: PLW0603 (what this process has compiled)
    _complementary_errors = compiled


@rulebook_function
def gelu_gate(x: Any) -> Any:
    """Return σ(a) = 1/(1 + e^(−a)) at a = 2√(2/π)·(x + 0.044715·x³), which is (1 + tanh(a/2))/2."""
    return gate_of_number(x)


def gelu_gates(x: Any) -> Any:
    """Return the gate at x and at −x, which over numbers costs little more than one of them."""
    return (gelu_gate(x), gelu_gate(-x)) if is_traced(x) else gates_of_number(x)


# --- over numbers, and compiled by `numba_overloads.py` --------------------------------------------------------------


def exp_of_square(x: Any, factor: float) -> Any:
    """Return e^(−factor·x²), factor 1 or ½, as e^(−factor·h²)·e^(−factor·(x − h)(x + h)).

    h is near x, and h² is exact.
    """
    y = np.minimum(np.absolute(x), _UNDERFLOW)
    h = np.rint(y * 16.0) / 16.0
    return np.exp(-factor * (h * h)) * np.exp(-factor * ((y - h) * (y + h)))


def distribution_of_number(x: Any) -> Any:
    """Return Φ(x) = erfc(s)/2 at s = −x/√2; of erfc(t) at the rounded t it is about 1 + δ + δ/(2 + 2t²) times as
    much, where δ = t² − s²."""
    y = np.minimum(np.absolute(x), _UNDERFLOW)
    t = y * math.sqrt(0.5)
    square, lacks = exact_square(y)
    delta = (t * t - 0.5 * square) - 0.5 * lacks + exact_square(t)[1]
    upper_tail = 0.5 * complementary_error(t) * (1.0 + (delta + delta / (2.0 + 2.0 * t * t)))
    return select(x < 0.0, upper_tail, 1.0 - upper_tail)


def exact_product(x: Any, y: Any) -> Any:
    """Return the float64 of x·y and what it lacks (Dekker, 1971); for |x| and |y| below 10¹⁵⁰."""
    a, b = upper_half(x), upper_half(y)
    product = x * y
    return product, ((a * b - product) + a * (y - b) + (x - a) * b) + (x - a) * (y - b)


def exact_square(x: Any) -> Any:
    """Return the same as `exact_product` of x and x."""
    a = upper_half(x)
    b, square = x - a, x * x
    return square, ((a * a - square) + (a + a) * b) + b * b


def upper_half(x: Any) -> Any:
    """Return the upper 26 bits of a float64; of an array of float32 nothing, so that what a product lacks is 0."""
    return 0.0 if getattr(x, "dtype", None) == np.float32 else upper_half_of_number(x)


def upper_half_of_number(x: Any) -> Any:
    """Return x rounded to 26 bits."""
    p = 134217729.0 * x
    return p - (p - x)


# 2√(2/π) and 0.044715, each as a float64 and what that lacks.
TWICE_ROOT, _TWICE_ROOT_LACKS = 1.5957691216057308, -9.969308809110920e-17
CUBIC, _CUBIC_LACKS = 0.044715, 2.196021142708560e-18


def gate_of_number(x: Any) -> Any:
    """Return σ(a) as in `gelu_gate`, from e^(−|a|)."""
    power = power_of_gate(x)
    return select(x < 0.0, power, 1.0) / (1.0 + power)


def gates_of_number(x: Any) -> Any:
    """Return σ(a) and σ(−a), from the same e^(−|a|)."""
    power = power_of_gate(x)
    total = 1.0 + power
    return select(x < 0.0, power, 1.0) / total, select(x > 0.0, power, 1.0) / total


def power_of_gate(x: Any) -> Any:
    """Return e^(−|a|), |a| being summed up to twice the digits."""
    y = np.minimum(np.absolute(x), _UNDERFLOW)
    square, square_lacks = exact_square(y)
    cubic, cubic_lacks = exact_product(CUBIC, square)
    factor = 1.0 + cubic
    back = factor - 1.0
    factor_lacks = (1.0 - (factor - back)) + (cubic - back)
    factor_lacks = factor_lacks + (cubic_lacks + CUBIC * square_lacks + _CUBIC_LACKS * square)
    sum_, sum_lacks = exact_product(y, factor)
    sum_lacks = sum_lacks + y * factor_lacks
    a, a_lacks = exact_product(TWICE_ROOT, sum_)
    power = np.exp(-a)
    return power - power * (a_lacks + TWICE_ROOT * sum_lacks + _TWICE_ROOT_LACKS * sum_)
