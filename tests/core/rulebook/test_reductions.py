"""Reductions: ONNX's semantics, elements at which there is no derivative, figures at the ends of float64's range."""

import math
import statistics
from collections.abc import Callable
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest

from service.core.execution.passes import nondifferentiable_nodes
from service.core.figures.figures import pack
from service.core.graph.building import build_graph
from tests.tensors import TENSOR_OPERATIONS, evaluate, propagate

REDUCTIONS = [operation.name for operation in TENSOR_OPERATIONS if operation.name.startswith("Reduce")]
each_reduction = pytest.mark.parametrize("name", REDUCTIONS)

X = np.array([[[0.5, -1.5], [2.0, 0.25]], [[-0.75, 1.25], [3.0, -2.5]]])

# Each by its definition, over a list of numbers.
DEFINITIONS: dict[str, Callable[[list[float]], float]] = {
    "ReduceSum": math.fsum,
    "ReduceMean": lambda row: math.fsum(row) / len(row) if row else math.nan,
    "ReduceMax": lambda row: max(row, default=-math.inf),
    "ReduceMin": lambda row: min(row, default=math.inf),
    "ReduceProd": math.prod,
    "ReduceL1": lambda row: math.fsum(map(abs, row)),
    "ReduceL2": lambda row: math.hypot(*row),
    "ReduceSumSquare": lambda row: math.fsum(x * x for x in row),
    "ReduceVar": lambda row: statistics.pvariance(row) if row else math.nan,
    "ReduceStd": lambda row: statistics.pstdev(row) if row else math.nan,
    "ReduceLogSum": lambda row: float(np.log(math.fsum(row))),
    "ReduceLogSumExp": lambda row: math.log(math.fsum(map(math.exp, row))) if row else -math.inf,
}


@pytest.fixture(autouse=True)
def _quiet_numpy() -> Any:
    with np.errstate(all="ignore"):
        yield


def test_every_reduction_is_defined_here() -> None:
    assert set(DEFINITIONS) == set(REDUCTIONS)


@each_reduction
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_along_axes(name: str, axes: tuple[int, ...], keepdims: int) -> None:
    shape = tuple(1 if axis in axes else X.shape[axis] for axis in range(3))
    expected = np.zeros(shape)
    for position in np.ndindex(shape):
        ranges = [range(X.shape[axis]) if axis in axes else [position[axis]] for axis in range(3)]
        expected[position] = DEFINITIONS[name]([float(X[index]) for index in product(*ranges)])
    if not keepdims:
        expected = expected.reshape([length for axis, length in enumerate(shape) if axis not in axes])
    np.testing.assert_allclose(evaluate(name, X, axes=list(axes), keepdims=keepdims), expected, rtol=1e-14)
    from_the_end = evaluate(name, X, axes=[axis - 3 for axis in axes], keepdims=keepdims)
    np.testing.assert_array_equal(from_the_end, evaluate(name, X, axes=list(axes), keepdims=keepdims))


@each_reduction
def test_the_defaults_are_those_of_onnx(name: str) -> None:
    """All axes, and their places are kept; no axes at all leave each element alone."""
    whole = DEFINITIONS[name](X.ravel().tolist())
    assert evaluate(name, X) == pytest.approx(np.full((1, 1, 1), whole), nan_ok=True)
    assert evaluate(name, X, axes=[]) == pytest.approx(np.full((1, 1, 1), whole), nan_ok=True)
    assert evaluate(name, X, keepdims=0) == pytest.approx(whole)
    alone = np.vectorize(lambda x: DEFINITIONS[name]([x]))(X)
    np.testing.assert_allclose(evaluate(name, X, noop_with_empty_axes=1), alone, rtol=1e-15)
    np.testing.assert_array_equal(evaluate(name, X, axes=[0], noop_with_empty_axes=1), evaluate(name, X, axes=[0]))


@each_reduction
def test_nothing_is_reduced_to_what_onnx_says(name: str) -> None:
    expected = np.full(2, DEFINITIONS[name]([]))
    np.testing.assert_array_equal(evaluate(name, np.zeros((2, 0)), axes=[1], keepdims=0), expected)
    assert evaluate(name, np.zeros((2, 0)), axes=[0], keepdims=0).shape == (0,)
    assert propagate(name, 1.0, np.zeros((2, 0)), axes=[1])[0].shape == (2, 0)


@each_reduction
@pytest.mark.parametrize(
    ("axes", "wrong"),
    [
        ([3], "axis 3 is out of range for 3 dimensions"),
        ([-4], "axis -4"),
        ([0, -3], r"axes \[0, -3\] name an axis twice"),
    ],
)
def test_axes_that_are_not_there(name: str, axes: list[int], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        evaluate(name, X, axes=axes)


# --- where no derivative exists -----------------------------------------------------------------------------------


def marked(name: str, x: Any, **attributes: Any) -> bool:
    """Whether a node of the operation is marked at x."""
    graph = build_graph(
        [
            {"name": "x", "operation": "Input"},
            {"name": "z", "operation": name, "inputs": ["x"], "attributes": attributes},
        ]
    )
    x = np.array(x, dtype=np.float64)
    return bool(nondifferentiable_nodes(graph, pack([x, evaluate(name, x, **attributes)])))


@pytest.mark.parametrize(("name", "row"), [("ReduceMax", [3.0, 5.0, 5.0, 1.0]), ("ReduceMin", [3.0, 1.0, 1.0, 2.0])])
def test_ties_are_shared_equally(name: str, row: list[float]) -> None:
    (gradient,) = propagate(name, 3.0, row)
    best = evaluate(name, row)
    assert gradient.tolist() == [1.5 if x == best else 0.0 for x in row]
    assert marked(name, row)
    assert not marked(name, sorted(set(row)))
    grid = [row, [10.0, 11.0, 12.0, 13.0]]
    assert marked(name, grid, axes=[1])
    assert not marked(name, grid, axes=[0])
    assert not marked(name, np.zeros((0, 3)), axes=[1])


def test_a_norm_at_the_origin() -> None:
    (gradient,) = propagate("ReduceL2", 2.0, [[0.0, 0.0], [3.0, -4.0]], axes=[1])
    assert gradient.tolist() == [[0.0, 0.0], [1.2, -1.6]]
    assert marked("ReduceL2", [[0.0, 0.0], [3.0, -4.0]], axes=[1])
    assert not marked("ReduceL2", [[0.0, 1.0], [3.0, -4.0]], axes=[1])
    (gradient,) = propagate("ReduceL1", 2.0, [0.0, -3.0, 1.0])
    assert gradient.tolist() == [0.0, -2.0, 2.0]
    assert marked("ReduceL1", [0.0, -3.0])
    assert not marked("ReduceL1", [1.0, -3.0])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([2.0, 3.0, -5.0], [-15.0, -10.0, 6.0]),
        ([2.0, 0.0, -5.0], [0.0, -10.0, 0.0]),
        ([0.0, 3.0, 0.0], [0.0, 0.0, 0.0]),
        ([0.0], [1.0]),
        ([1e-200, 1e-200, 1e200], [1.0, 1.0, 0.0]),  # the product itself is 0
        ([5e-324, 4.0], [4.0, 5e-324]),
    ],
)
def test_a_product_is_differentiated_without_a_division(row: list[float], expected: list[float]) -> None:
    (gradient,) = propagate("ReduceProd", 1.0, row)
    assert gradient == pytest.approx(expected, rel=1e-15, abs=0.0)


def test_a_product_along_several_axes_with_zeros() -> None:
    x = np.array([[1.0, 2.0, 0.0], [4.0, 5.0, 6.0]])
    for axes in ([0, 1], [1, 0], None):
        (gradient,) = propagate("ReduceProd", 1.0, x, axes=axes)
        assert gradient.tolist() == [[0.0, 0.0, 240.0], [0.0, 0.0, 0.0]]
    (gradient,) = propagate("ReduceProd", [10.0, 1.0, 1.0], x, axes=[0], keepdims=0)
    assert gradient.tolist() == [[40.0, 5.0, 6.0], [10.0, 2.0, 0.0]]


# --- the ends of the range ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("ReduceLogSumExp", [1000.0, 1000.5, -3.0]),
        ("ReduceLogSumExp", [-1000.0, -1001.0]),
        ("ReduceLogSumExp", [710.0]),
        ("ReduceL2", [3e200, -4e200]),
        ("ReduceL2", [3e-200, 4e-200, 0.0]),
        ("ReduceL2", [5e-324, 5e-324]),
        ("ReduceL2", [1e-160, 1.5e-162]),
    ],
)
def test_nothing_overflows_or_vanishes_on_the_way(name: str, row: list[float]) -> None:
    with mpmath.workdps(600):
        numbers = list(map(mpmath.mpf, row))
        if name == "ReduceL2":
            exact = mpmath.sqrt(mpmath.fsum(x * x for x in numbers))
            slopes = [float(x / exact) for x in numbers]
        else:
            total = mpmath.fsum(mpmath.exp(x) for x in numbers)
            exact, slopes = mpmath.log(total), [float(mpmath.exp(x) / total) for x in numbers]
    # The rounding of a subnormal norm is no relative error.
    assert evaluate(name, row, keepdims=0) == pytest.approx(float(exact), rel=1e-15, abs=5e-324)
    if float(exact) > 1e-300:
        assert propagate(name, 1.0, row)[0] == pytest.approx(slopes, rel=1e-12)


def test_infinite_elements() -> None:
    rows = [[-math.inf, -math.inf], [-math.inf, 0.0], [math.inf, 0.0], [math.nan, 0.0]]
    value = evaluate("ReduceLogSumExp", rows, axes=[1], keepdims=0)
    np.testing.assert_array_equal(value, [-math.inf, 0.0, math.inf, math.nan])
    (gradient,) = propagate("ReduceLogSumExp", 1.0, rows[:2], axes=[1])
    assert gradient.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    np.testing.assert_array_equal(evaluate("ReduceL2", rows, axes=[1], keepdims=0), [math.inf] * 3 + [math.nan])
    np.testing.assert_array_equal(
        evaluate("ReduceMax", rows, axes=[1], keepdims=0), [-math.inf, 0.0, math.inf, math.nan]
    )
