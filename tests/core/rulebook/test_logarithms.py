"""logaddexp, xlogy, hypot, log2, log10, remainders and deviations against mpmath, at the edges too."""

import math
from random import Random

import mpmath
import numpy as np
import pytest

from tests.tensors import evaluate, operation_of, propagate

INFINITY = math.inf
ULP = 2.0**-52


def slopes(name: str, *operands: float) -> list[float]:
    operation = operation_of(name)
    defaults = {attribute.name: attribute.default for attribute in operation.attributes}
    with np.errstate(all="ignore"):
        given = [np.asarray(x) for x in operands]
        value = operation.evaluate(given, defaults)
        return [float(slope) for slope in operation.differentiate(given, value, defaults)]


def pairs(count: int = 2000) -> list[tuple[float, float]]:
    random = Random(0)
    spans = (1.0, 5.0, 60.0, 800.0)
    return [tuple(random.uniform(-span, span) for _ in "xy") for span in spans for _ in range(count // 4)]  # type: ignore[misc]


def test_the_logarithm_of_a_sum_of_exponentials_is_right_to_four_units() -> None:
    """The value in units of Σ|share × operand| + |value|; a slope also of the rounding of x − y, that it magnifies."""
    with mpmath.workdps(60):
        for x, y in pairs():
            ex, ey = mpmath.exp(x), mpmath.exp(y)
            exact, share = mpmath.log(ex + ey), ex / (ex + ey)
            terms = float(share * abs(x) + (1 - share) * abs(y) + abs(exact))
            assert abs(float(evaluate("LogAddExp", x, y)) - exact) <= 4 * ULP * terms
            for found, right in zip(slopes("LogAddExp", x, y), (share, ey / (ex + ey)), strict=True):
                assert abs(found - right) <= (4 + abs(x - y)) * ULP * right + mpmath.mpf(5e-324)


@pytest.mark.parametrize(
    ("operands", "value", "expected"),
    [
        ((1e16, 1e16), 1e16, (0.5, 0.5)),
        ((INFINITY, INFINITY), INFINITY, (0.5, 0.5)),
        ((-INFINITY, -INFINITY), -INFINITY, (0.0, 0.0)),
        ((INFINITY, 1.0), INFINITY, (1.0, 0.0)),
        ((-INFINITY, 1.0), 1.0, (0.0, 1.0)),
        ((1000.0, -1000.0), 1000.0, (1.0, 0.0)),
        ((0.0, 0.0), math.log(2.0), (0.5, 0.5)),
    ],
)
def test_the_edges_of_logaddexp(operands: tuple[float, float], value: float, expected: tuple[float, float]) -> None:
    with np.errstate(all="ignore"):
        assert float(evaluate("LogAddExp", *operands)) == value
    assert slopes("LogAddExp", *operands) == list(expected)


@pytest.mark.parametrize(
    ("name", "operands", "value", "expected"),
    [
        ("XLogY", (0.0, 2.0), 0.0, (math.log(2.0), 0.0)),
        ("XLogY", (0.0, 0.0), 0.0, (-INFINITY, 0.0)),
        ("XLogY", (2.0, 4.0), 2.0 * math.log(4.0), (math.log(4.0), 0.5)),
        ("Hypot", (0.0, 0.0), 0.0, (0.0, 0.0)),
        ("Hypot", (3e200, -4e200), 5e200, (0.6, -0.8)),
        ("Hypot", (3e-200, 4e-200), 5e-200, (0.6, 0.8)),
        ("Hypot", (0.0, -2.0), 2.0, (0.0, -1.0)),
        ("Log2", (8.0,), 3.0, (1.0 / (8.0 * math.log(2.0)),)),
        ("Log10", (1000.0,), 3.0, (1.0 / (1000.0 * math.log(10.0)),)),
        ("Mod", (-7.0, 3.0), 2.0, (1.0, 3.0)),
        ("Mod", (1.0, 0.1), 1.0 % 0.1, (1.0, -9.0)),
        ("FloorDiv", (1.0, 0.1), 9.0, (0.0, 0.0)),
        ("FloorDiv", (-7.0, 2.0), -4.0, (0.0, 0.0)),
    ],
)
def test_edges(name: str, operands: tuple[float, ...], value: float, expected: tuple[float, ...]) -> None:
    with np.errstate(all="ignore"):
        assert float(evaluate(name, *operands)) == pytest.approx(value, rel=4e-16)
    assert slopes(name, *operands) == pytest.approx(list(expected), rel=4 * ULP)


@pytest.mark.parametrize("row", [[0.1] * 3, [0.1] * 7, [1e300] * 5, [-1 / 3] * 1000])
def test_the_deviation_of_equal_elements_is_0_and_so_is_its_gradient(row: list[float]) -> None:
    assert evaluate("ReduceStd", row, keepdims=0) == 0.0
    assert propagate("ReduceStd", 1.0, row)[0].tolist() == [0.0] * len(row)


@pytest.mark.parametrize("row", [[1e200, -2e200, 3e200], [1e-200, 2e-200], [1e8, 1e8 + 1.0, 1e8 + 3.0], [2.0, 5.0]])
@pytest.mark.parametrize("ddof", [0, 1])
def test_a_deviation_keeps_its_digits(row: list[float], ddof: int) -> None:
    with mpmath.workdps(500):
        numbers = list(map(mpmath.mpf, row))
        mean = mpmath.fsum(numbers) / len(row)
        exact = mpmath.sqrt(mpmath.fsum((x - mean) ** 2 for x in numbers) / (len(row) - ddof))
        right = [float((x - mean) / (exact * (len(row) - ddof))) for x in numbers]
    with np.errstate(over="ignore"):
        assert float(evaluate("ReduceStd", row, keepdims=0, ddof=ddof)) == pytest.approx(float(exact), rel=4 * ULP)
        assert propagate("ReduceStd", 1.0, row, ddof=ddof)[0] == pytest.approx(right, rel=4 * ULP, abs=4 * ULP)
