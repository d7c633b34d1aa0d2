"""The error function and its kin against mpmath at 50 digits: over arrays, and compiled over scalars."""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from numba import njit

from service.core.execution import kernel, numba_overloads
from service.core.rulebook import gaussian, operations
from service.core.rulebook.registry import find
from service.core.symbolic.printing import write_latex, write_text
from service.core.symbolic.term import symbols, term_of

assert numba_overloads  # teaches Numba the Gaussian functions
assert operations  # fills the registry

Function = Callable[[Any], Any]

GAUSSIAN: tuple[Function, ...] = (
    gaussian.bell,
    gaussian.normal_density,
    gaussian.normal_distribution,
    gaussian.complementary_error,
    gaussian.gelu_gate,
)


def _phi(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def _gelu_slope(x: Any) -> Any:
    return _phi(x) + x * mpmath.npdf(x)


def _tanh_gelu_slope(x: Any) -> Any:
    return _gate(x) + x * _argument_slope(x) * _gate(x) * _gate(-x)


def ulps(found: Any, exact: Any, scale: Any = None) -> float:
    """The error in units in the last place of the exact figure, or of a `scale` of what rounding may take."""
    unit = math.ulp(float(exact if scale is None else scale))
    return float(abs(mpmath.mpf(float(found)) - exact) / unit)


def worst(function: Function, exact: Function, points: Any, scale: Function | None = None) -> float:
    with mpmath.workdps(50):
        references = [(mpmath.mpf(float(x)), y) for x, y in zip(points, function(points), strict=True)]
        return max(ulps(y, exact(x), scale(x) if scale else None) for x, y in references)


def _argument(x: Any) -> Any:
    return 2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)


def _argument_slope(x: Any) -> Any:
    return 2 * mpmath.sqrt(2 / mpmath.pi) * (1 + 3 * mpmath.mpf("0.044715") * x**2)


def _gate(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-_argument(x)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "exact", "bound"),
    [
        (gaussian.bell, lambda x: mpmath.exp(-x * x), 4),
        (gaussian.normal_density, mpmath.npdf, 4),
        (gaussian.normal_distribution, _phi, 4),
        (gaussian.complementary_error, mpmath.erfc, 2),
        (gaussian.gelu_gate, _gate, 4),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("compiled", [False, True])
def test_the_gaussian_functions_keep_their_digits(
    function: Function, exact: Function, bound: float, compiled: bool
) -> None:
    random = np.random.default_rng(7)
    points = np.concatenate([random.uniform(-3, 3, 500), random.uniform(-38.4, 38.4, 500), [0.0, -1.0, 1.0, 1e-300]])
    rule = njit(error_model="numpy")(lambda x: function(x)) if compiled else None  # noqa: PLW0108
    assert worst(lambda array: [rule(x) for x in array] if rule else function(array), exact, points) <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gaussian_functions_keep_shape_and_dtype(dtype: type) -> None:
    for function in GAUSSIAN:
        for x in (dtype(0.3), np.full((2, 1, 3), 0.3, dtype=dtype), np.zeros((0, 2), dtype=dtype)):
            found = function(x)
            assert (found.dtype, found.shape) == (dtype, x.shape), function


@np.errstate(all="ignore")
@pytest.mark.parametrize("compiled", [False, True])
def test_limits_and_nan(compiled: bool) -> None:
    far = np.array([-math.inf, math.inf, math.nan])
    for function, limits in [
        (gaussian.bell, [0.0, 0.0, math.nan]),
        (gaussian.normal_density, [0.0, 0.0, math.nan]),
        (gaussian.normal_distribution, [0.0, 1.0, math.nan]),
        (gaussian.complementary_error, [2.0, 0.0, math.nan]),
    ]:
        rule = njit(error_model="numpy")(lambda x, function=function: function(x)) if compiled else None
        found = [rule(x) for x in far] if rule else function(far)
        np.testing.assert_array_equal(found, limits)


def test_compiled_over_arrays_erfc_is_the_c_librarys_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(9)
    any_bits = random.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    special = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 2.2250738585072014e-308, 26.5, 27.5]
    points = np.concatenate([special, random.normal(scale=8.0, size=20_000), random.uniform(25, 28, 5_000), any_bits])
    singles = points[np.abs(points) < 1e38].astype(np.float32)
    exact, exact_of_singles = (np.array([*map(math.erfc, each.tolist())]) for each in (points, singles))
    assert gaussian.complementary_errors(points).tobytes() == exact.tobytes()
    kernel.warm()
    monkeypatch.delattr(math, "erfc")  # what is compiled does not call it
    assert gaussian.complementary_error(points).tobytes() == exact.tobytes()
    assert gaussian.complementary_error(points[::-2]).tobytes() == exact[::-2].tobytes()
    assert gaussian.complementary_error(singles).tobytes() == exact_of_singles.astype(np.float32).tobytes()
    assert gaussian.complementary_error(np.zeros((2, 0))).shape == (2, 0)


def test_over_symbols_they_are_operations() -> None:
    (x,) = symbols("x")
    for function in GAUSSIAN:
        assert write_text(term_of(function(x))).endswith("(x)")
    assert write_latex(term_of(gaussian.bell(x))) == "e^{-x^{2}}"


@pytest.mark.slow
@np.errstate(all="ignore")
@pytest.mark.parametrize(
    ("name", "approximate", "value", "slope"),
    [
        ("Erf", None, mpmath.erf, lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)),
        ("Erfc", None, mpmath.erfc, lambda x: -2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)),
        ("Gelu", "none", lambda x: x * _phi(x), _gelu_slope),
        ("Gelu", "tanh", lambda x: x * _gate(x), _tanh_gelu_slope),
        ("Bell", None, lambda x: mpmath.exp(-x * x), lambda x: -2 * x * mpmath.exp(-x * x)),
        ("NormalDensity", None, mpmath.npdf, lambda x: -x * mpmath.npdf(x)),
        ("NormalDistribution", None, _phi, mpmath.npdf),
        ("GeluGate", None, _gate, lambda x: _argument_slope(x) * _gate(x) * _gate(-x)),
    ],
)
def test_the_operations_keep_their_digits(name: str, approximate: str | None, value: Function, slope: Function) -> None:
    operation = find(name)
    assert operation is not None
    attributes = {"approximate": approximate} if approximate else {}
    random = np.random.default_rng(8)
    points = np.concatenate([random.uniform(-3, 3, 500), random.uniform(-37, 37, 500)])
    least_normal = {"Bell": 26, "GeluGate": 21, "Gelu": 37 if approximate == "none" else 21}.get(name, 37)
    points = points[np.abs(points) < least_normal]
    assert worst(lambda x: operation.evaluate([x], attributes), value, points) <= 4
    terms = {
        "none": lambda x: abs(_phi(x)) + abs(x * mpmath.npdf(x)),
        "tanh": lambda x: abs(_gate(x)) + abs(x * _argument_slope(x) * _gate(x) * _gate(-x)),
    }.get(approximate or "")
    assert (
        worst(
            lambda x: operation.differentiate([x], operation.evaluate([x], attributes), attributes)[0],
            slope,
            points,
            terms,
        )
        <= 5
    )


@np.errstate(all="ignore")
def test_gelu_by_tanh_is_onnxs_formula_without_its_cancellation() -> None:
    operation = find("Gelu")
    assert operation is not None
    attributes = {"approximate": "tanh"}
    points = np.concatenate([np.random.default_rng(9).uniform(-12, 12, 400), [-0.0, 1e200, -1e200]])

    def exponent(x: Any) -> Any:
        return mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf(0.044715) * x**3)

    def value(x: Any) -> Any:
        return x / (1 + mpmath.exp(-2 * exponent(x)))

    def slope(x: Any) -> Any:
        rise = mpmath.sqrt(2 / mpmath.pi) * (1 + 3 * mpmath.mpf(0.044715) * x**2)
        return 1 / (1 + mpmath.exp(-2 * exponent(x))) + 2 * x * rise / (2 * mpmath.cosh(exponent(x))) ** 2

    with mpmath.workdps(50):
        found = operation.evaluate([points], attributes)
        slopes = operation.differentiate([points], found, attributes)[0]
        for x, y, local in zip(map(mpmath.mpf, points.tolist()), found, slopes, strict=True):
            # The rounding of the exponent 2u makes a relative error of |2u|·ε, as in any float64 of this formula.
            lost = float(1 + min(abs(2 * exponent(x)), 1e4)) * 4 * 2**-53
            assert abs(y - value(x)) <= lost * abs(value(x)) + 1e-307
            assert abs(local - slope(x)) <= 2 * lost * (abs(value(x) / x) * (1 + 4 * x**2) if x else 1) + 1e-307


def test_words_of_an_attribute_are_checked() -> None:
    operation = find("Gelu")
    assert operation is not None
    (approximate,) = operation.attributes
    assert approximate.read("tanh") == "tanh"
    for wrong in ("Tanh", 1, None):
        with pytest.raises(ValueError, match="one of 'none', 'tanh' is expected"):
            approximate.read(wrong)
