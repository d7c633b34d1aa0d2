"""The logarithm of the gamma function and its derivatives, over arrays and, as written here, compiled.

Near 2 they are power series, from there as far as 10 recurrences, above expansions for large numbers, and below 0
reflections (NIST Digital Library of Mathematical Functions, 5.5, 5.7, 5.11, 5.15 and 25.11). Over symbols each is the
operation of its name.
"""

import math
from typing import Any

import numpy as np

from service.core.rulebook.primitives import minimum, select
from service.core.rulebook.registry import rulebook_function


@rulebook_function
def log_gamma(x: Any) -> Any:
    """Return log |Γ(x)|, infinity at 0, −1, −2 …"""
    return log_gamma_of_number(x)


@rulebook_function
def digamma(x: Any) -> Any:
    """Return ψ(x) = Γ'(x)/Γ(x), minus infinity at 0 (infinity at −0) and NaN at −1, −2 …"""
    return digamma_of_number(x)


@rulebook_function
def polygamma(x: Any, order: Any) -> Any:
    """Return the derivative of ψ of this order, 1 or more: (−1)^(n+1)·n!·ζ(n + 1, x)."""
    return polygamma_of_number(x, order)


# --- over numbers, and compiled by `numba_overloads.py` --------------------------------------------------------------

_LESS_EULER = 0.42278433509846713  # 1 − γ
# ζ(k) − 1 for k = 2, 3 …: the coefficients of log Γ(2 + t) = (1 − γ)t + Σ (ζ(k) − 1)(−t)^k/k (DLMF 5.7.3).
_ZETA = (
    *(0.6449340668482264, 0.2020569031595943, 0.08232323371113819, 0.03692775514336993, 0.01734306198444914),
    *(0.008349277381922827, 0.00407735619794434, 0.0020083928260822143, 0.0009945751278180853, 0.0004941886041194645),
    *(
        0.0002460865533080483,
        0.00012271334757848915,
        6.124813505870483e-05,
        3.058823630702049e-05,
        1.528225940865187e-05,
    ),
    *(7.637197637899763e-06, 3.81729326499984e-06, 1.908212716553939e-06, 9.539620338727962e-07, 4.769329867878064e-07),
    *(
        2.38450502727733e-07,
        1.1921992596531106e-07,
        5.960818905125948e-08,
        2.980350351465228e-08,
        1.4901554828365043e-08,
    ),
    *(7.45071178983543e-09, 3.725334024788457e-09, 1.862659723513049e-09),
)
# B₂ₖ/(2k(2k − 1)) and B₂ₖ/2k: the expansions of log Γ and ψ for large numbers (DLMF 5.11.1, 5.11.2).
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_SLOPES_OF_STIRLING = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)
# B₂ₖ/(2k)!
_BERNOULLI = (
    *(1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600),
    *(-3617 / 10670622842880000, 43867 / 5109094217170944000, -174611 / 802857662698291200000),
)
_LARGE = 10.0
_DIRECT_TERMS = 12  # of the sum that ζ(s, x) is, before the rest is an integral


def log_gamma_of_number(x: Any) -> Any:
    """Return log |Γ(x)|; below 0 by Γ(−y)·Γ(y) = −π/(y·sin πy)."""
    y = np.absolute(x)
    sine = np.absolute(np.sin(math.pi * from_nearest_integer(y)))
    above = log_gamma_above_zero(y)
    return select(x < 0.0, select(y < math.inf, math.log(math.pi) - np.log(y * sine) - above, math.inf), above)


def from_nearest_integer(x: Any) -> Any:
    """Return x less the nearest whole number."""
    y = minimum(x, 1e300)
    return y - np.rint(y)


def log_gamma_above_zero(x: Any) -> Any:
    """Return log Γ(x) for x ≥ 0."""
    y = minimum(x, _LARGE)
    nearest = np.rint(y)
    t = y - nearest
    series = 0.0 * t
    for index in range(len(_ZETA) - 1, -1, -1):
        series = _ZETA[index] / (index + 2.0) - t * series
    series = t * (_LESS_EULER + t * series)
    # Γ(y) = Γ(y + 2)/(y(y + 1)) near 0, Γ(y + 1)/y near 1, and Γ(y − k)·(y − k)…(y − 1) near k + 2.
    factors = select(nearest == 0.0, y * (1.0 + y), select(nearest == 1.0, y, 1.0))
    product = 1.0 + 0.0 * t
    for below in range(1, int(_LARGE) - 1):
        product = product * select(below <= nearest - 2.0, y - below, 1.0)
    small = series + np.log(product) - np.log(factors)
    inverse = 1.0 / x
    correction = 0.0 * inverse
    for index in range(len(_STIRLING) - 1, -1, -1):
        correction = _STIRLING[index] + correction * (inverse * inverse)
    large = (x - 0.5) * (np.log(x) - 1.0) + (0.41893853320467274 + correction * inverse)  # log(2π)/2 − 1/2
    return select(x < _LARGE, small, large)


def digamma_of_number(x: Any) -> Any:
    """Return ψ(x); below 0 by ψ(−y) = ψ(y) + 1/y + π/tan πy."""
    y = select(x < 0.0, -x, x)
    above, distance = digamma_above_zero(y), from_nearest_integer(y)
    reflected = select(distance == 0.0, math.nan, above + 1.0 / y + math.pi / np.tan(math.pi * distance))
    return select(x < 0.0, reflected, above)


def digamma_above_zero(x: Any) -> Any:
    """Return ψ(x) for x ≥ 0, and for −0."""
    y = minimum(x, _LARGE)
    nearest = np.rint(y)
    t = y - nearest
    small = 0.0 * t
    for index in range(len(_ZETA) - 1, -1, -1):
        small = _ZETA[index] - t * small
    small = _LESS_EULER + t * small
    for below in range(1, int(_LARGE) - 1):
        small = small + select(below <= nearest - 2.0, 1.0 / (y - below), 0.0)
    small = small - select(nearest < 2.0, 1.0 / y, 0.0) - select(nearest == 0.0, 1.0 / (1.0 + y), 0.0)
    square = 1.0 / x / x
    correction = 0.0 * square
    for index in range(len(_SLOPES_OF_STIRLING) - 1, -1, -1):
        correction = (_SLOPES_OF_STIRLING[index] + correction) * square
    return select(x < _LARGE, small, np.log(x) - 0.5 / x - correction)


def polygamma_of_number(x: Any, order: Any) -> Any:
    """Return (−1)^(n+1)·n!·ζ(n + 1, x); below 0 the sum over all x + k, k ≥ 0, is that over all whole numbers k, which
    depends on the distance to the nearest one alone, less the rest."""
    s = order + 1.0
    sign = 1.0 - 2.0 * (s % 2.0)  # (−1)^s
    y = np.absolute(x)
    distance = from_nearest_integer(y)
    both_sides = (
        np.power(np.absolute(distance), -s) * select(distance < 0.0, 1.0, sign)
        + hurwitz_zeta(1.0 - distance, s)
        + sign * hurwitz_zeta(1.0 + distance, s)
    )
    below = both_sides - sign * hurwitz_zeta(1.0 + y, s)
    return sign * math.gamma(s) * select(x < 0.0, below, hurwitz_zeta(y, s))


def hurwitz_zeta(x: Any, s: Any) -> Any:
    """Return ζ(s, x) = Σ (x + k)^−s over k ≥ 0, for x ≥ 0 and s ≥ 2, by Euler's and Maclaurin's formula."""
    total = np.power(x, -s)
    for index in range(1, _DIRECT_TERMS):
        total = total + np.power(x + index, -s)
    a = x + _DIRECT_TERMS
    term = s / a
    rest = 0.5 + _BERNOULLI[0] * term
    for index in range(1, len(_BERNOULLI)):
        term = term * ((s + 2.0 * index - 1.0) / a) * ((s + 2.0 * index) / a)
        rest = rest + _BERNOULLI[index] * term
    return total + np.power(a, 1.0 - s) / (s - 1.0) * (1.0 + (s - 1.0) / a * rest)
