"""How a figure is written: exactly, for a sentence, or at a glance; and which fraction a number stands for.

The expression language reads `number_text`; the other forms are for people, with ∞ and the sign −.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from service.core.figures.figures import FloatArray

_GREATEST_DENOMINATOR = 99
_SHORT_DECIMAL = 6  # characters of a decimal that needs no fraction
_ULPS = 4  # units in the last place by which a few roundings may move a fraction


def number_text(value: float) -> str:
    """Return the shortest decimal that reads back as the same float64, whole numbers without a point.

    NaN and the infinities are written as in JSON: NaN, Infinity, -Infinity.
    """
    text = repr(float(value)).removesuffix(".0")
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(text, text)


def exact_text(value: float) -> str:
    """Write all digits of a number so that they can be copied; an infinity as ∞."""
    return number_text(value) if math.isfinite(value) else _nonfinite_text(value)


def figure_text(figure: FloatArray | float) -> str:
    """Write a number for a sentence: a fraction or six significant digits."""
    value = float(figure)
    if not math.isfinite(value):
        return _nonfinite_text(value)
    return _typeset(str(simple_fraction(value) or f"{value:.6g}"))


def listed(words: Sequence[str], joined: str = "and") -> str:
    """Write words as a sentence lists them: a, b and c."""
    *others, last = map(format, words or [""])
    return f"{', '.join(others)} {joined} {last}" if others else last


def short_number(value: float, digits: int = 3) -> str:
    """Write a number to be read at a glance: three significant digits, whole numbers below 100,000 exactly."""
    if not math.isfinite(value):
        return _nonfinite_text(value)
    mantissa, e, exponent = _short_decimal(value, digits).partition("e")
    return _typeset(f"{mantissa}e{int(exponent)}" if e else mantissa)


def short_value(value: float) -> float:
    """Return the number that `short_number` writes."""
    return float(_short_decimal(value, 3)) if math.isfinite(value) else value


def _short_decimal(value: float, digits: int) -> str:
    whole = abs(value) < 99_999.5 and (value == round(value) or (abs(value) >= 999.5 and digits <= 3))
    return f"{value:.0f}" if whole else f"{value:.{digits}g}"


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Write two numbers to be read at a glance; with as many digits, 6 to 17, as tell them apart if 3 do not."""
    pairs = ((short_number(one, digits), short_number(other, digits)) for digits in (3, *range(6, 18)))
    equal = one == other or (math.isnan(one) and math.isnan(other))
    return next((pair for pair in pairs if equal or pair[0] != pair[1]), (exact_text(one), exact_text(other)))


@lru_cache(4096)
def simple_fraction(value: float) -> Fraction | None:
    """Return the fraction that a reader takes a number for, 2/3 for 0.6666666666666669.

    Its denominator is 2 to 99, and it lies within 4 units in the last place of the number; None where there is none,
    where a short decimal lies as near, and for magnitudes above 99².
    """
    if not abs(value) <= _GREATEST_DENOMINATOR**2:
        return None
    fraction, decimal = Fraction(value).limit_denominator(_GREATEST_DENOMINATOR), f"{abs(value):.6g}"
    rounding = _ULPS * math.ulp(value)
    if fraction.denominator == 1 or abs(float(fraction) - value) > rounding:
        return None
    is_short = len(decimal) <= _SHORT_DECIMAL and abs(float(decimal) - abs(value)) <= rounding
    return None if is_short else fraction


def _nonfinite_text(value: float) -> str:
    return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"


def _typeset(decimal: str) -> str:
    return decimal.replace("-", "−")
