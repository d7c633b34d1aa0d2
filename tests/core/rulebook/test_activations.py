"""Activation functions whose value or slope may be near 0 where its terms are not: against mpmath, by these terms."""

from collections.abc import Callable
from typing import Any, ClassVar

import mpmath
import numpy as np
import pytest

from service.core.figures.figures import FloatArray
from service.core.graph.documents import read_attributes
from tests.tensors import operation_of

ULP, TINY = 2.0**-52, 2.0**-1022
POINTS = [0.0, 1e-300, -700.0, 700.0, -1e5, 1e200, *np.random.default_rng(0).normal(0.0, 6.0, 200).tolist()]


def _swish(x: Any, alpha: float) -> Any:
    return x / (1 + mpmath.exp(-alpha * x))


def _mish(x: Any) -> Any:
    return x * mpmath.tanh(mpmath.log1p(mpmath.exp(x)))


def figures(name: str, attributes: dict[str, float], x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The values and the slopes of an operation of one operand."""
    operation = operation_of(name)
    known, faults = read_attributes(operation, attributes)
    assert not faults
    with np.errstate(all="ignore"):
        value = np.asarray(operation.evaluate([x], known))
        return value, np.broadcast_to(operation.differentiate([x], value, known)[0], x.shape)


@pytest.mark.parametrize(
    ("name", "attributes", "exact"),
    [
        ("Swish", {}, _swish),
        ("Swish", {"alpha": 0.3}, _swish),
        ("Swish", {"alpha": -2.0}, _swish),
        ("Mish", {}, _mish),
    ],
)
def test_smooth_activations_and_their_slopes(name: str, attributes: Any, exact: Callable[..., Any]) -> None:
    alpha = attributes.get("alpha", 1.0)
    given = attributes or ({"alpha": 1.0} if name == "Swish" else {})
    value, slope = figures(name, attributes, np.array(POINTS))
    with mpmath.workdps(60):
        for x, z, local in zip(POINTS, value.tolist(), slope.tolist(), strict=True):
            right = exact(mpmath.mpf(x), **given)
            right_slope = mpmath.diff(lambda t: exact(t, **given), mpmath.mpf(x), h=mpmath.mpf(10) ** -20)
            terms = (1 + abs(alpha * x)) * min(1, mpmath.exp(min(alpha * x, 1)))
            assert abs(z - right) <= 4 * ULP * (1 + abs(alpha * x)) * abs(right) + TINY, (x, z)
            assert abs(local - right_slope) <= 4 * ULP * (1 + abs(alpha * x)) * terms + TINY, (x, local)


@pytest.mark.parametrize("shape", [{}, {"alpha": 1 / 6}, {"alpha": 2.0, "beta": -0.3}])
def test_a_hard_sigmoid_is_right_to_the_rounding_of_its_terms(shape: dict[str, float]) -> None:
    alpha, beta = shape.get("alpha", 0.2), shape.get("beta", 0.5)
    value, slope = figures("HardSigmoid", shape, np.array(POINTS))
    for x, z, local in zip(POINTS, value.tolist(), slope.tolist(), strict=True):
        inside = mpmath.mpf(alpha) * x + beta
        assert abs(z - min(max(inside, 0), 1)) <= ULP * (abs(alpha * x) + abs(beta))
        assert local == (alpha if 0 < inside < 1 else 0.0)


def test_nan_stays_nan_in_activations_of_straight_pieces() -> None:
    for name in ("HardSigmoid", "HardSwish", "ThresholdedRelu", "Shrink"):
        value, _ = figures(name, {}, np.array([np.nan]))
        assert np.isnan(value).all(), name


class Counted(np.ndarray):
    """An array that notes which of NumPy's functions are called on it and on what is made of it."""

    called: ClassVar[list[str]] = []

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        self.called.append(ufunc.__name__)
        plain = [each.view(np.ndarray) if isinstance(each, Counted) else each for each in inputs]
        return np.asarray(getattr(ufunc, method)(*plain, **options)).view(Counted)


@pytest.mark.parametrize(("name", "forward", "backward"), [("Sigmoid", 2, 1), ("Softplus", 2, 2), ("Gelu", 0, 2)])
def test_no_power_is_computed_twice(name: str, forward: int, backward: int) -> None:
    operation = operation_of(name)
    x, attributes = np.linspace(-2.0, 2.0, 9).view(Counted), {each.name: each.default for each in operation.attributes}
    Counted.called.clear()
    z = operation.evaluate([x], attributes)
    assert Counted.called.count("exp") == forward
    Counted.called.clear()
    operation.differentiate([x], z, attributes)
    assert Counted.called.count("exp") == backward
