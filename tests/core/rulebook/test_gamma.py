"""The logarithm of the gamma function and its derivatives against mpmath, by the terms that are rounded on the way."""

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest

from service.core.execution import kernel
from service.core.rulebook.gamma import digamma, log_gamma, polygamma
from tests.passes import run

ULP = 2.0**-52
RANDOM = np.random.default_rng(0)
POSITIVE = [
    *(1e-300, 0.5, 1.0 - 1e-9, 1.0 + 1e-9, 1.5, 2.0 - 1e-12, 2.0 + 1e-9, 2.5, 9.999999, 10.0, 1e15, 1e200),
    *RANDOM.uniform(0.0, 3.0, 100).tolist(),
    *RANDOM.uniform(0.0, 60.0, 100).tolist(),
]
NEGATIVE = [-1e-10, -0.5, -1.0 - 1e-7, -1e5 - 0.3, *RANDOM.uniform(-30.0, 0.0, 100).tolist()]


@pytest.fixture(autouse=True)
def _quiet_numpy_and_sixty_digits() -> Iterator[None]:
    with np.errstate(all="ignore"), mpmath.workdps(60):
        yield


def _log_gamma(x: Any) -> Any:
    return mpmath.log(abs(mpmath.gamma(x))) if x < 0 else mpmath.loggamma(x).real


# Of each function the exact one, and the magnitude of its terms beside its value.
FUNCTIONS: list[tuple[str, Callable[..., Any], Callable[..., Any], Callable[[float], float]]] = [
    ("log gamma", log_gamma, _log_gamma, lambda x: 0.0 if x > 0 else _log_gamma(-x) + 5),
    ("digamma", digamma, mpmath.digamma, lambda x: 0.3 if x > 0 else abs(mpmath.digamma(-x)) + 3),
    *(
        (
            f"polygamma {order}",
            lambda x, order=order: polygamma(x, order),
            lambda x, order=order: mpmath.psi(order, x),
            # Below 0 the terms on both sides of an odd pole cancel.
            lambda x, order=order: 0.0 if x > 0 else mpmath.factorial(order) * 2 ** (order + 2),
        )
        for order in (1, 2, 3, 4, 9)
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("called", "exact", "terms"), [row[1:] for row in FUNCTIONS], ids=[row[0] for row in FUNCTIONS]
)
def test_the_digits(called: Callable[..., Any], exact: Callable[..., Any], terms: Callable[[float], Any]) -> None:
    points = [*POSITIVE, *NEGATIVE]
    worst = []
    for x, found in zip(points, called(np.array(points)).tolist(), strict=True):
        right = exact(mpmath.mpf(x))
        if float(abs(right)) == np.inf or 0 < abs(right) < 2.0**-1000:
            continue
        if abs(found - right) > 6 * ULP * (abs(right) + terms(x)):
            worst.append((x, found, float(right)))
    assert worst == []


def test_poles_and_ends() -> None:
    x = np.array([0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan])
    inf, nan = np.inf, np.nan
    np.testing.assert_array_equal(log_gamma(x), [inf, inf, inf, inf, inf, inf, nan])
    np.testing.assert_array_equal(digamma(x), [-inf, inf, nan, nan, inf, nan, nan])
    np.testing.assert_array_equal(polygamma(x, 1)[:5], [inf, inf, inf, inf, 0.0])
    assert np.isnan(polygamma(x, 2)[-1])


@pytest.mark.parametrize("text", ["lgamma(x)", "digamma(x)", "polygamma(x)", "polygamma(x, n=3)"])
def test_compiled_they_are_the_same_below_zero_too(text: str) -> None:
    kernel.warm()
    function = {"l": log_gamma, "d": digamma}.get(text[0], lambda x: polygamma(x, 3 if "3" in text else 1))
    points = [*POSITIVE, *NEGATIVE, 0.0, -1.0]
    found = [run(f"y = {text}", {"x": x})[0]["y"] for x in points]
    np.testing.assert_allclose(found, function(np.array(points)), rtol=1e-13, atol=1e-14)
