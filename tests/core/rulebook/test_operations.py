"""The rulebook, operation by operation, read from the registry: no list of operations stands here."""

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import nnls

from service.core.figures.figures import FloatArray
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.registry import find
from tests.elementwise import (
    BROADCAST_SHAPES,
    MARGIN,
    NEIGHBOURHOOD,
    attribute_samples,
    domains,
    each_analytic,
    each_elementwise,
    is_smooth,
    operand_counts,
)
from tests.examples import spread

# Operands with a kink or a jump somewhere among them, and steps away from it, no two of them alike.
KINKS = (-2.0, -1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 2.0, 3.0)
DIRECTIONS = (-1.1, -0.6, 0.7, 1.0)


# The operations that are infinite along an edge of the domain, so that nothing can be said of slopes along it.
POLES = {"XLogY"}


# Those whose only kinks lie at infinity; tests/conventions.py has what is returned there.
AT_INFINITY = {"LogAddExp"}


@pytest.fixture(autouse=True)
def _quiet_numpy() -> Iterator[None]:
    """Overflow and NaN are data: the passes ignore them too."""
    with np.errstate(all="ignore"):
        yield


@st.composite
def samples(draw: st.DrawFn, operation: Operation) -> tuple[list[FloatArray], Attributes]:
    """Operands inside the domain, of shapes that broadcast, empty ones among them; and attributes."""
    count = draw(st.sampled_from(operand_counts(operation)))
    attributes = draw(st.sampled_from(list(attribute_samples(operation))))
    family = draw(st.sampled_from([BROADCAST_SHAPES, BROADCAST_SHAPES, ((0,), (1,), (2, 0))]))
    operands = []
    for low, high in domains(operation, count):
        shape = draw(st.sampled_from(family))
        elements = st.floats(max(low + MARGIN, -4.0), min(high - MARGIN, 4.0)).map(lambda x: round(x, 6))
        row = draw(st.lists(elements, min_size=math.prod(shape), max_size=math.prod(shape)))
        operands.append(np.reshape(np.array(row, dtype=np.float64), shape))
    return operands, attributes


def moved(operands: Sequence[Any], position: int, step: Any) -> list[Any]:
    """The operands with a step added to one of them."""
    return [*operands[:position], operands[position] + step, *operands[position + 1 :]]


def central_difference(
    operation: Operation, operands: Sequence[Any], position: int, attributes: Attributes, step: float
) -> tuple[Any, Any]:
    """The derivative along one operand, by central differences of three steps extrapolated (Richardson), with error
    O(h⁶); and by how much that moved the best of them, which grows where a higher derivative jumps."""
    differences = []
    for h in (step, step / 2, step / 4):
        above, below = (np.multiply(operation.evaluate(moved(operands, position, s), attributes), 1.0) for s in (h, -h))
        differences.append((above - below) / (2.0 * h))
    wide, middle, narrow = differences
    extrapolated = (64.0 * narrow - 20.0 * middle + wide) / 45.0
    return extrapolated, np.abs(extrapolated - narrow)


def slope(operation: Operation, operands: Sequence[Any], position: int, attributes: Attributes, step: float) -> Any:
    """The derivative along one operand by central differences."""
    return central_difference(operation, operands, position, attributes, step)[0]


# --- against derivatives that are not ours ------------------------------------------------------------------------


@each_elementwise
@given(data=st.data())
def test_local_gradients_are_central_differences(operation: Operation, data: st.DataObject) -> None:
    operands, attributes = data.draw(samples(operation))
    value = np.asarray(operation.evaluate(operands, attributes))
    smooth = is_smooth(operation, operands, attributes)
    assume(smooth.any() or not smooth.size)
    local_gradients = operation.differentiate(operands, value, attributes)
    assert len(local_gradients) == len(operands)
    for position, local in enumerate(local_gradients):
        expected, doubt = central_difference(operation, operands, position, attributes, NEIGHBOURHOOD)
        error = np.abs(local - expected)
        assert np.all((error <= 1e-8 * (1.0 + np.abs(expected) + np.abs(value)) + 4.0 * doubt)[smooth])


@each_analytic
@given(data=st.data())
def test_local_gradients_are_complex_steps(operation: Operation, data: st.DataObject) -> None:
    """f(x + ih) = f(x) + ih·f'(x) + O(h²): no difference is taken, so that all digits stand (Squire, Trapp 1998)."""
    operands, attributes = data.draw(samples(operation))
    value = np.asarray(operation.evaluate(operands, attributes))
    finite = np.isfinite(value)
    assume(finite.any() or not finite.size)
    for position, local in enumerate(operation.differentiate(operands, value, attributes)):
        expected = np.imag(operation.evaluate(moved(operands, position, 1e-30j), attributes)) / 1e-30
        shown = np.broadcast_to(local, value.shape)
        np.testing.assert_allclose(shown[finite], expected[finite], rtol=1e-12, atol=1e-300)


# --- where no derivative exists -----------------------------------------------------------------------------------


def gradients_nearby(
    operation: Operation, point: Sequence[float], attributes: Attributes, distance: float
) -> list[FloatArray]:
    """The gradients around a point in directions that part every tie, by differences; those that are real."""
    gradients = []
    for direction in permutations(DIRECTIONS, len(point)):
        near = [x + distance * component for x, component in zip(point, direction, strict=True)]
        gradient = [slope(operation, near, position, attributes, distance / 100) for position in range(len(near))]
        if np.all(np.isfinite(gradient)):
            gradients.append(np.array(gradient))
    return gradients


def least_norm(gradients: Sequence[FloatArray]) -> FloatArray:
    """The point of least norm in the convex hull: weights w ≥ 0 with sum 1 and |Σ wᵢ gᵢ| least."""
    vertices = np.array(gradients).T
    heavy = 1e4
    weights, _ = nnls(np.vstack([vertices, np.full(len(gradients), heavy)]), [*np.zeros(len(vertices)), heavy])
    return vertices @ weights


def inside(operation: Operation, point: Sequence[float], position: int, distance: float) -> list[float]:
    """The point with the other operands moved into the domain where at its edge the value has a pole."""
    if operation.name not in POLES:
        return list(point)
    bounds = domains(operation, len(point))
    return [
        x + distance * (other != position and x == low)
        for other, (x, (low, _)) in enumerate(zip(point, bounds, strict=True))
    ]


def slope_along(operation: Operation, point: Sequence[float], position: int, attributes: Attributes) -> float:
    """The least of the one-sided slopes along one operand; infinite where they grow without bound."""
    slopes = []
    for side in (1.0, -1.0):
        far, near = (
            float(
                slope(
                    operation,
                    inside(operation, moved(point, position, side * distance), position, distance),
                    position,
                    attributes,
                    distance / 100,
                )
            )
            for distance in (1e-5, 1e-7)
        )
        if math.isfinite(near):
            slopes.append(math.copysign(math.inf, near) if abs(near) > 1.1 * abs(far) + 1e-3 else near)
    return 0.0 if min(slopes) <= 0.0 <= max(slopes) else min(slopes, key=abs)


def is_beside_a_jump(x: float, y: float) -> bool:
    """Whether x/y is a whole number in float64 alone, as 3/0.3 is: the jump is a rounding error away."""
    return y != 0.0 and (x / y).is_integer() and Fraction(x) % Fraction(y) != 0


def kinks(operation: Operation) -> Iterator[tuple[tuple[float, ...], Attributes, bool]]:
    """Points of a grid, in the domain or at its edge; attributes; and whether the operation says that no derivative
    exists there."""
    counts = [count for count in operand_counts(operation) if count <= 3]
    for count, attributes in product(counts, attribute_samples(operation)):
        for point in product(KINKS[:: 1 if count < 3 else 2], repeat=count):
            if not all(low <= x <= high for x, (low, high) in zip(point, domains(operation, count), strict=True)):
                continue
            if operation.name in ("Mod", "FloorDiv") and is_beside_a_jump(*point):
                continue
            value = operation.evaluate(np.array(point), attributes)
            yield point, attributes, bool(operation.is_nondifferentiable(np.array(point), value, attributes))


@pytest.mark.slow
@each_elementwise
def test_the_convention_at_a_kink_is_the_least_subgradient(operation: Operation) -> None:
    """What is expected is found from values around the kink: the limits of the gradient there, their convex hull
    (Clarke's subdifferential), its point of least norm; where the gradient is unbounded, the slope along each axis."""
    found = [(point, attributes) for point, attributes, marked in kinks(operation) if marked]
    assert bool(found) == (operation.kinks is not None and operation.name not in AT_INFINITY)
    for point, attributes in found:
        operands = np.array(point)
        local = np.array(operation.differentiate(operands, operation.evaluate(operands, attributes), attributes))
        assert not np.isnan(local).any()
        near, nearer = (gradients_nearby(operation, point, attributes, distance) for distance in (1e-5, 1e-7))
        if np.max(np.abs(nearer)) <= 1.1 * np.max(np.abs(near)) + 1e-3:
            expected = least_norm(near)
        else:
            expected = np.array([slope_along(operation, point, position, attributes) for position in range(len(point))])
        np.testing.assert_allclose(local, expected, rtol=1e-3, atol=1e-3, err_msg=f"{point} {dict(attributes)}")


@each_elementwise
def test_kinks_are_marked_and_nothing_else_is(operation: Operation) -> None:
    """Where the value jumps, or the gradients around a point do not agree or grow without bound, and only there. An
    operation that marks nothing may jump: its operands are conditions."""
    for point, attributes, marked in spread(list(kinks(operation))):
        value = np.multiply(operation.evaluate(np.array(point), attributes), 1.0)
        if not np.isfinite(value):
            continue
        around = [
            operation.evaluate(np.array(point) + 1e-9 * np.array(direction), attributes)
            for direction in permutations(DIRECTIONS, len(point))
        ]
        jumps = np.any(np.abs(np.multiply(around, 1.0) - value) > 1e-4)
        gradients = gradients_nearby(operation, point, attributes, 1e-5)
        steep = max(np.max(np.abs(gradients_nearby(operation, point, attributes, 1e-7)), initial=0.0), 1.0)
        agree = not gradients or np.all(np.ptp(gradients, axis=0) <= 1e-3 * steep)
        smooth = agree and steep <= 1.1 * np.max(np.abs(gradients), initial=1.0) and not jumps
        if operation.kinks or not jumps:
            assert marked != smooth, (point, dict(attributes))


# --- forms that keep their digits where the textbook's lose them --------------------------------------------------


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _slope(function: Callable[..., Any], position: int = 0) -> Callable[..., Any]:
    """A partial derivative, by mpmath."""

    def partial(*operands: Any) -> Any:
        order = tuple(int(position == other) for other in range(len(operands)))
        return mpmath.diff(function, operands, order, h=mpmath.mpf(10) ** -1000 if 0 in operands else None)

    return partial


@pytest.mark.parametrize(
    ("name", "operands", "exact"),
    [
        ("Sigmoid", [-800.0], _sigmoid),
        ("Sigmoid", [-745.0], _sigmoid),
        ("Sigmoid", [-40.0], _sigmoid),
        ("Sigmoid", [800.0], _sigmoid),
        ("Softplus", [800.0], lambda x: mpmath.log(1 + mpmath.exp(x))),
        ("Softplus", [-800.0], lambda x: mpmath.log1p(mpmath.exp(x))),
        ("Softplus", [-40.0], lambda x: mpmath.log1p(mpmath.exp(x))),
        ("Expm1", [1e-20], mpmath.expm1),
        ("Log1p", [1e-20], mpmath.log1p),
        ("Elu", [-1e-20], mpmath.expm1),
        ("Pow", [0.0, 0.0], lambda x, y: 1),
        ("Asinh", [1e200], mpmath.asinh),
    ],
)
def test_stable_values(name: str, operands: list[float], exact: Callable[..., Any]) -> None:
    operation = find(name)
    assert operation is not None
    attributes = next(attribute_samples(operation))
    with mpmath.workdps(400):
        expected = float(exact(*map(mpmath.mpf, operands)))
    assert operation.evaluate(np.array(operands), attributes) == pytest.approx(expected, rel=4e-16, abs=5e-324)


@pytest.mark.parametrize(
    ("name", "operands", "exact"),
    [
        ("Sigmoid", [40.0], lambda x: mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2),
        ("Sigmoid", [-800.0], mpmath.exp),
        ("Softplus", [-40.0], _sigmoid),
        ("Softplus", [-745.0], _sigmoid),
        ("Tanh", [20.0], lambda x: mpmath.sech(x) ** 2),
        ("Tanh", [-300.0], lambda x: mpmath.sech(x) ** 2),
        ("Expm1", [-50.0], mpmath.exp),
        ("Asin", [1.0 - 2.0**-53], lambda x: 1 / mpmath.sqrt(1 - x**2)),
        ("Acos", [2.0**-53 - 1.0], lambda x: -1 / mpmath.sqrt(1 - x**2)),
        ("Atanh", [1.0 - 2.0**-53], lambda x: 1 / (1 - x**2)),
        ("Acosh", [1.0 + 2.0**-52], lambda x: 1 / mpmath.sqrt(x**2 - 1)),
        ("Acosh", [1e200], lambda x: 1 / mpmath.sqrt(x**2 - 1)),
        ("Asinh", [-1e200], lambda x: 1 / mpmath.sqrt(x**2 + 1)),
        ("Asinh", [1e8], lambda x: 1 / mpmath.sqrt(x**2 + 1)),
        ("Softsign", [1e200], lambda x: 1 / (1 + x) ** 2),
        ("Reciprocal", [1e-150], lambda x: -1 / x**2),
        ("Div", [1e-300, 1e-200], (lambda x, y: 1 / y, lambda x, y: -x / y**2)),
        ("Div", [1e300, 1e200], (lambda x, y: 1 / y, lambda x, y: -x / y**2)),
        ("Atan2", [1e200, 1e200], (lambda y, x: x / (x**2 + y**2), lambda y, x: -y / (x**2 + y**2))),
        ("Atan2", [1e-200, 1e-190], (lambda y, x: x / (x**2 + y**2), lambda y, x: -y / (x**2 + y**2))),
        ("Pow", [0.0, 2.0], (lambda x, y: 0, lambda x, y: 0)),
        ("Pow", [0.0, 1.0], (lambda x, y: 1, lambda x, y: 0)),
        ("Pow", [-3.0, 0.0], (lambda x, y: 0, None)),
    ],
)
def test_stable_local_gradients(name: str, operands: list[float], exact: Any) -> None:
    operation = find(name)
    assert operation is not None
    local_gradients = operation.differentiate(np.array(operands), operation.evaluate(np.array(operands)))
    for local, formula in zip(local_gradients, exact if isinstance(exact, tuple) else (exact,), strict=True):
        if formula is None:
            continue
        with mpmath.workdps(400):
            expected = float(formula(*map(mpmath.mpf, operands)))
        assert local == pytest.approx(expected, rel=1e-15, abs=5e-324)
