"""The bell curve and its integral to the last digits, where textbook forms lose them to the rounding of x².

A relative error ε in x² causes one of x²·ε in e^(−x²). Over arrays, and compiled, these functions compensate for that
rounding; over symbols and dual numbers they are the textbook's forms.
"""

import math
from typing import Any

import numpy as np
from scipy import special

from service.core.rulebook.primitives import is_traced, select

# Beyond, e^(−x²/2) is 0 in float64; clamping also keeps infinities out, whose differences are NaN.
_UNDERFLOW = 40.0


def bell(x: Any) -> Any:
    """Return e^(−x²)."""
    return np.exp(-(x**2)) if is_traced(x) else exp_of_square(x, 1.0)


def normal_density(x: Any) -> Any:
    """Return e^(−x²/2) / √(2π)."""
    power = np.exp(-(x**2) / 2.0) if is_traced(x) else exp_of_square(x, 0.5)
    return math.sqrt(0.5 / math.pi) * power


def normal_distribution(x: Any) -> Any:
    """Return Φ(x) = erfc(−x/√2) / 2, the integral of `normal_density` from −∞ to x."""
    return 0.5 * special.erfc(-x / math.sqrt(2.0)) if is_traced(x) else distribution_of_number(x)


def complementary_error(x: Any) -> Any:
    """Return erfc(x) = 1 − erf(x); SciPy's own loses hundreds of its last places for large x."""
    return special.erfc(x) if is_traced(x) else complement_of_number(x)


# --- over numbers, and compiled by `numba_overloads.py` --------------------------------------------------------------


def exp_of_square(x: Any, factor: float) -> Any:
    """Return e^(−factor·x²), factor 1 or ½, as e^(−factor·h²)·e^(−factor·(x − h)(x + h)).

    h is near x, and h² is exact.
    """
    y = np.minimum(np.absolute(x), _UNDERFLOW)
    h = np.rint(y * 16.0) / 16.0
    return np.exp(-factor * (h * h)) * np.exp(-factor * ((y - h) * (y + h)))


def distribution_of_number(x: Any) -> Any:
    """Return Φ(x). In the tail erfc(t) = erfcx(t)·e^(−t²), where rounding t = |x|/√2 hardly changes erfcx."""
    y = np.minimum(np.absolute(x), _UNDERFLOW)
    t = y * math.sqrt(0.5)
    upper_tail = 0.5 * select(y < 0.9, special.erfc(t), special.erfcx(t) * exp_of_square(y, 0.5))
    return select(x < 0.0, upper_tail, 1.0 - upper_tail)


def complement_of_number(x: Any) -> Any:
    """Return erfc(x). In the tail erfc(x) = erfcx(x)·e^(−x²)."""
    return select(x < 0.65, special.erfc(x), special.erfcx(np.maximum(x, 0.0)) * exp_of_square(x, 1.0))
