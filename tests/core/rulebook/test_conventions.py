"""What each library returns where no derivative exists, held against the library itself where it is installed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from service.core.derivatives.one_sided import OneSided, one_sided_derivatives
from service.core.execution.passes import backward_pass, forward_pass, nondifferentiable_nodes
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operation import CONVENTIONS
from service.core.rulebook.registry import operations
from tests.conventions import (
    ALTERNATIVE_ROWS,
    FUNCTIONS,
    GRADIENTS,
    INFINITY,
    LIBRARIES,
    NAN,
    ROWS,
    TENSOR_ROWS,
    UNMARKED,
    alternative_function,
)


def point(operation: str, attributes: dict[str, float], inputs: Sequence[float]) -> tuple[Graph, dict[str, Any]]:
    names = [f"x{position}" for position in range(len(inputs))]
    nodes: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names]
    nodes.append({"name": "z", "operation": operation, "inputs": names, "attributes": attributes})
    return build_graph(nodes), dict(zip(names, map(np.float64, inputs), strict=True))


@pytest.mark.parametrize(("operation", "attributes", "inputs", "expected"), ROWS)
def test_a_graph_under_a_convention_returns_that_librarys_choice(
    operation: str, attributes: dict[str, float], inputs: list[float], expected: dict[str, tuple[float, ...]]
) -> None:
    graph, given = point(operation, attributes, inputs)
    for convention, slopes in expected.items():
        changed = graph.with_convention(convention)
        values = forward_pass(changed, given)
        gradients = backward_pass(changed, values, "z")
        np.testing.assert_allclose(gradients.flat[: len(inputs)], slopes, rtol=1e-15, err_msg=convention)
        assert nondifferentiable_nodes(changed, values) == (len(inputs),)
        assert changed.digest == graph.digest


@pytest.mark.parametrize(("operation", "attributes", "inputs", "expected"), UNMARKED)
def test_at_nan_and_at_bounds_too(
    operation: str, attributes: dict[str, float], inputs: list[float], expected: dict[str, tuple[float, ...]]
) -> None:
    graph, given = point(operation, attributes, inputs)
    for convention, slopes in expected.items():
        changed = graph.with_convention(convention)
        values = forward_pass(changed, given)
        gradients = backward_pass(changed, values, "z")
        np.testing.assert_allclose(gradients.flat[: len(inputs)], slopes, rtol=1e-15, err_msg=convention)
        assert nondifferentiable_nodes(changed, values) == ()


@pytest.mark.parametrize(("operation", "attributes", "x", "upstream", "expected"), TENSOR_ROWS)
def test_an_operation_on_a_tensor_under_a_convention_returns_that_librarys_choice(
    operation: str, attributes: dict[str, Any], x: Any, upstream: Any, expected: dict[str, Any]
) -> None:
    operands = x if isinstance(x, tuple) else (x,)
    graph, _ = point(operation, attributes, [0] * len(operands))
    given = {f"x{position}": np.array(each, dtype=float) for position, each in enumerate(operands)}
    for convention, slopes in expected.items():
        changed = graph.with_convention(convention)
        values = forward_pass(changed, given)
        gradient = backward_pass(changed, values, "z", np.asarray(upstream, dtype=np.float64))[0]
        assert gradient is not None
        np.testing.assert_allclose(gradient, slopes, rtol=1e-15, err_msg=convention)


@pytest.mark.parametrize(
    ("operation", "attributes", "x", "is_tied"),
    [
        ("ReduceMax", {}, [1, 1, 0], True),
        ("ReduceMax", {}, [1, 0, 0], False),
        ("ReduceMin", {"axes": [0]}, [[1, 0], [1, 1]], True),
        ("ScatterElements", {"reduction": "max"}, ([1, 2], [1], [2]), True),
        ("ScatterElements", {"reduction": "max"}, ([1, 2], [1], [1]), False),
        ("ScatterElements", {}, ([1, 2], [1], [2]), False),
        ("ScatterND", {"reduction": "min"}, ([3, 2], [[1], [1]], [1, 1]), True),
        ("Sort", {}, [1, 0, 1], True),
        ("Sort", {"axis": 0}, [[1, 0], [2, 1]], False),
        ("TopK", {"k": 1}, [1, 0, 0], False),
        ("TopK", {"k": 2}, [1, 0, 0], True),
        ("ReduceL1", {}, [0, -2], True),
        ("ReduceL2", {}, [0, 0], True),
        ("ReduceL2", {}, [0, 1], False),
        ("ReduceLogSumExp", {}, [-INFINITY, -INFINITY], True),
        ("ReduceLogSumExp", {}, [-INFINITY, 0], False),
        ("MaxPool", {"kernel_shape": [2]}, [[[1, 1, 2]]], True),
        ("MaxPool", {"kernel_shape": [2]}, [[[1, 0, 2]]], False),
        ("MaxPool", {"kernel_shape": [2], "pads": [1, 1]}, [[[-INFINITY, 0]]], False),
    ],
)
def test_an_operation_on_a_tensor_is_marked_where_it_has_no_derivative(
    operation: str, attributes: dict[str, Any], x: Any, is_tied: bool
) -> None:
    operands = x if isinstance(x, tuple) else (x,)
    graph, _ = point(operation, attributes, [0] * len(operands))
    given = {f"x{position}": np.array(each, dtype=float) for position, each in enumerate(operands)}
    values = forward_pass(graph, given)
    assert nondifferentiable_nodes(graph, values) == ((len(operands),) if is_tied else ())


@pytest.mark.parametrize(("operation", "library", "attributes", "x", "upstream", "expected"), ALTERNATIVE_ROWS)
def test_a_librarys_second_function_has_its_own_choice(
    operation: str, library: str, attributes: dict[str, Any], x: Any, upstream: float, expected: Any
) -> None:
    graph = point(operation, attributes, [0])[0].with_convention(library, True)
    values = forward_pass(graph, {"x0": np.array(x, dtype=float)})
    seed = np.full(values.shape(1), upstream)
    np.testing.assert_array_equal(backward_pass(graph, values, "z", seed)[0], expected)


def test_each_second_function_has_its_row() -> None:
    rows = {(name, library) for name, library, *_ in ALTERNATIVE_ROWS}
    declared = {
        (operation.name, library)
        for operation in operations()
        if operation.kinks
        for library in operation.kinks.alternatives
    }
    assert rows == declared


def gradients_by_operation() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, *_, expected in (*ROWS, *UNMARKED, *TENSOR_ROWS):
        found.setdefault(name, []).append(expected)
    return found


def test_each_operation_with_a_tie_a_jump_or_a_bound_says_what_each_library_does() -> None:
    rows = gradients_by_operation()
    for operation in operations():
        bounded = any(np.isfinite(bound) for interval in operation.domain for bound in interval)
        jumps = operation.is_elementwise and operation.closed is not None
        if operation.kinks or bounded or jumps:
            assert operation.name in rows, operation.name
        for expected in rows.get(operation.name, []):
            assert set(expected) == set(CONVENTIONS), operation.name
    assert set(rows) <= {operation.name for operation in operations()}


def test_an_operation_declares_the_libraries_that_do_otherwise_and_the_others_agree() -> None:
    rows = gradients_by_operation()
    for operation in operations():
        differing = {
            library
            for expected in rows.get(operation.name, [])
            for library in LIBRARIES
            if not np.array_equal(np.array(expected[library]), np.array(expected["minimum-norm"]), equal_nan=True)
        }
        assert set(operation.conventions) == differing, operation.name


def test_a_convention_changes_nothing_where_there_is_a_derivative() -> None:
    points = np.array([-2.5, -1.25, -0.6, 0.3, 0.75, 1.7, 2.25])
    for operation in operations():
        for library in operation.conventions:
            if operation.contributions:
                continue
            operands = [
                np.roll(points, shift) for shift in range(max(1, len(operation.operands) + bool(operation.fold)))
            ]
            attributes = {attribute.name: attribute.default for attribute in operation.attributes}
            with np.errstate(all="ignore"):
                value = operation.evaluate(operands, attributes)
                ours = operation.differentiate(operands, value, attributes)
                theirs = operation.with_convention(library).differentiate(operands, value, attributes)
            for mine, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(np.broadcast_to(mine, value.shape), np.broadcast_to(other, value.shape))


def test_changing_the_convention_again_forgets_the_first() -> None:
    graph, _ = point("Abs", {}, [0])
    assert graph.with_convention("tensorflow") is graph
    assert graph.with_convention("jax").convention == "jax"
    assert graph.with_convention("jax").with_convention("minimum-norm").nodes == graph.nodes


# --- the libraries themselves --------------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("operation", "attributes", "inputs", "expected"), [*ROWS, *UNMARKED])
def test_the_library_itself_makes_this_choice(
    library: str, operation: str, attributes: dict[str, float], inputs: list[float], expected: dict[str, Any]
) -> None:
    found = GRADIENTS[library](FUNCTIONS[library](operation, attributes), inputs, 1.0)
    np.testing.assert_allclose(found, expected[library], rtol=1e-6)


@pytest.mark.peers
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("operation", "attributes", "x", "upstream", "expected"), TENSOR_ROWS)
def test_the_library_itself_makes_this_choice_of_a_tensors_elements(
    library: str, operation: str, attributes: dict[str, Any], x: Any, upstream: Any, expected: dict[str, Any]
) -> None:
    if library != "torch" and operation.startswith("Scatter"):
        return  # JAX has no gradient of it, TensorFlow no function for it
    operands = x if isinstance(x, tuple) else (x,)
    found, *_ = GRADIENTS[library](FUNCTIONS[library](operation, attributes), operands, upstream)
    np.testing.assert_allclose(found, expected[library], rtol=1e-6)


@pytest.mark.peers
@pytest.mark.parametrize(("operation", "library", "attributes", "x", "upstream", "expected"), ALTERNATIVE_ROWS)
def test_the_librarys_second_function_itself_makes_this_choice(
    operation: str, library: str, attributes: dict[str, Any], x: Any, upstream: float, expected: Any
) -> None:
    (found,) = GRADIENTS[library](alternative_function(library, operation), [x], upstream)
    np.testing.assert_array_equal(found, expected)


# --- one-sided derivatives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "attributes", "inputs", "expected"),
    [
        ("Abs", {}, [0], [(-1, 1)]),
        ("Relu", {}, [0], [(0, 1)]),
        ("Max", {}, [1, 1], [(0, 1), (0, 1)]),
        ("Min", {}, [2, 2, 2], [(1, 0), (1, 0), (1, 0)]),
        ("Clip", {"min": 0, "max": 1}, [1], [(1, 0)]),
        ("LeakyRelu", {"alpha": 3}, [0], [(3, 1)]),
        ("Sqrt", {}, [0], [(NAN, INFINITY)]),
        ("Asin", {}, [1], [(INFINITY, NAN)]),
        ("Acos", {}, [-1], [(NAN, -INFINITY)]),
        ("Sign", {}, [0], [(INFINITY, INFINITY)]),
        ("Floor", {}, [2], [(INFINITY, 0)]),
        ("Ceil", {}, [2], [(0, INFINITY)]),
        ("Round", {}, [0.5], [(0, INFINITY)]),
        ("Less", {}, [1, 1], [(-INFINITY, 0), (0, INFINITY)]),
        ("Pow", {}, [0, 0.5], [(NAN, INFINITY), (0, 0)]),
        ("Atan2", {}, [0, -1], [(INFINITY, -1), (0, 0)]),
    ],
)
def test_one_sided_derivatives(
    operation: str, attributes: dict[str, float], inputs: list[float], expected: list[tuple[float, float]]
) -> None:
    graph, given = point(operation, attributes, inputs)
    operands = [np.asarray(x) for x in given.values()]
    value = forward_pass(graph, given)[len(inputs)]
    assert value is not None
    found = one_sided_derivatives(graph.nodes[-1], operands, value)
    assert [slope.operand for slope in found] == list(given)
    np.testing.assert_array_equal([(slope.left, slope.right) for slope in found], expected)


def test_one_sided_derivatives_of_a_batch() -> None:
    graph, _ = point("Abs", {}, [0])
    (slope,) = one_sided_derivatives(graph.nodes[-1], [np.array([-3.0, 0.0, 2.0])], np.array([3.0, 0.0, 2.0]))
    assert slope.left.tolist() == [-1, -1, 1]
    assert slope.right.tolist() == [-1, 1, 1]


@pytest.mark.parametrize(
    ("operation", "attributes", "x", "left", "right"),
    [
        ("ReduceMax", {}, [1, 1, 0], [0, 0, 0], [1, 1, 0]),
        ("ReduceMin", {}, [1, 1, 2], [1, 1, 0], [0, 0, 0]),
        ("ReduceMax", {"axes": [0], "keepdims": 0}, [[1, 2], [1, 0]], [[0, 1], [0, 0]], [[1, 1], [1, 0]]),
        ("ReduceL1", {}, [0, -2], [-1, -1], [1, -1]),
        ("ReduceL2", {"axes": [1]}, [[0, 0], [3, 4]], [[-1, -1], [0.6, 0.8]], [[1, 1], [0.6, 0.8]]),
        ("ReduceStd", {"axes": [1]}, [[1, 1], [1, 3]], [[-0.5, -0.5], [-0.5, 0.5]], [[0.5, 0.5], [-0.5, 0.5]]),
        ("ReduceLogSumExp", {}, [-INFINITY, -INFINITY], [NAN, NAN], [NAN, NAN]),
        ("MaxPool", {"kernel_shape": [2]}, [[[1, 1, 0]]], [[[0, 1, 0]]], [[[1, 2, 0]]]),
        (
            "MaxPool",
            {"kernel_shape": [3], "strides": [2], "pads": [1, 1]},
            [[[1, 1, 2]]],
            [[[0, 0, 1]]],
            [[[1, 1, 1]]],
        ),
    ],
)
def test_one_sided_derivatives_by_each_element(
    operation: str, attributes: dict[str, Any], x: Any, left: Any, right: Any
) -> None:
    (slope,) = sides_of(operation, attributes, np.array(x, dtype=float))
    assert slope.operand == "x0"
    np.testing.assert_array_equal(slope.left, left)
    np.testing.assert_array_equal(slope.right, right)


_SLIDING = {"kernel_shape": [2, 3], "strides": [1, 2], "pads": [1, 1, 0, 1], "dilations": [2, 1]}


@pytest.mark.parametrize(
    ("operation", "attributes", "shape"),
    [
        ("ReduceMax", {"axes": [1]}, (3, 4)),
        ("ReduceMin", {"axes": [0, 2]}, (2, 3, 2)),
        ("ReduceL1", {}, (5,)),
        ("ReduceL2", {"axes": [1]}, (4, 2)),
        (
            "MaxPool",
            _SLIDING,
            (1, 2, 5, 6),
        ),
    ],
)
def test_one_sided_derivatives_are_the_difference_quotients_of_the_sum(
    operation: str, attributes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    graph, _ = point(operation, attributes, [0])
    x = np.random.default_rng(3).integers(-1, 2, shape).astype(float)
    (slope,) = sides_of(operation, attributes, x)
    step = 2.0**-26

    def total(x: Any) -> Any:
        value = forward_pass(graph, {"x0": x})[1]
        assert value is not None
        return value.sum()

    for position in np.ndindex(shape):
        moved = np.zeros(shape)
        moved[position] = step
        assert slope.right[position] == pytest.approx((total(x + moved) - total(x)) / step, abs=1e-7)
        assert slope.left[position] == pytest.approx((total(x) - total(x - moved)) / step, abs=1e-7)


def sides_of(operation: str, attributes: dict[str, Any], x: Any) -> tuple[OneSided, ...]:
    graph, _ = point(operation, attributes, [0])
    value = forward_pass(graph, {"x0": x})[1]
    assert value is not None
    return one_sided_derivatives(graph.nodes[-1], [x], value)


def test_a_smooth_operation_has_no_one_sided_derivatives() -> None:
    assert sides_of("ReduceSum", {}, np.ones(2)) == ()
    assert sides_of("Exp", {}, np.ones(2)) == ()


def test_each_operation_with_kinks_has_one_sided_derivatives() -> None:
    for operation in operations():
        if operation.kinks:
            assert operation.is_elementwise or operation.kinks.one_sided, operation.name
