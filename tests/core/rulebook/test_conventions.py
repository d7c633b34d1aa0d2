"""What each library returns where no derivative exists, held against the library itself where it is installed."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES, Verdict
from service.core.derivatives.one_sided import one_sided_derivatives
from service.core.execution.passes import backward_pass, forward_pass, nondifferentiable_nodes
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operation import CONVENTIONS
from service.core.rulebook.registry import operations

INFINITY, NAN = np.inf, np.nan


def all_return(*slopes: float) -> dict[str, tuple[float, ...]]:
    return dict.fromkeys(CONVENTIONS, slopes)


# Operation, attributes, the point, and the local gradients there under each convention. Measured with torch 2.13, JAX
# 0.10.2 and TensorFlow 2.21, but for torch's Clip: 2.13 still returned 1 at a bound, and 0 is what 2.14 returns.
ROWS: list[tuple[str, dict[str, float], list[float], dict[str, tuple[float, ...]]]] = [
    ("Abs", {}, [0], {"minimum-norm": (0,), "torch": (0,), "jax": (1,), "tensorflow": (0,)}),
    ("Relu", {}, [0], all_return(0)),
    ("Max", {}, [1, 1], all_return(0.5, 0.5) | {"tensorflow": (1, 0)}),
    ("Min", {}, [1, 1], all_return(0.5, 0.5) | {"tensorflow": (1, 0)}),
    *(
        (
            "Clip",
            {"min": 0, "max": 1},
            [bound],
            {"minimum-norm": (0,), "torch": (0,), "jax": (0.5,), "tensorflow": (1,)},
        )
        for bound in (0, 1)
    ),
    ("LeakyRelu", {"alpha": 0.5}, [0], {"minimum-norm": (0.5,), "torch": (0.5,), "jax": (1,), "tensorflow": (0.5,)}),
    ("LeakyRelu", {"alpha": 3}, [0], {"minimum-norm": (1,), "torch": (3,), "jax": (1,), "tensorflow": (3,)}),
    ("Elu", {"alpha": 2}, [0], {"minimum-norm": (1,), "torch": (2,), "jax": (2,)}),
    ("Sqrt", {}, [0], all_return(INFINITY)),
    ("Asin", {}, [1], all_return(INFINITY)),
    ("Acos", {}, [1], all_return(-INFINITY)),
    ("Acosh", {}, [1], all_return(INFINITY)),
    ("Sign", {}, [0], all_return(0)),
    ("Pow", {}, [0, 0], {"minimum-norm": (0, 0), "torch": (0, 0), "jax": (NAN, 0), "tensorflow": (NAN, 0)}),
    ("Pow", {}, [0, 0.5], all_return(INFINITY, 0)),
    ("Atan2", {}, [0, 0], all_return(0, 0) | {"jax": (NAN, NAN), "tensorflow": (NAN, NAN)}),
    ("Atan2", {}, [0, -1], all_return(-1, 0)),
    (
        "Selu",
        {},
        [0],
        all_return(1.05070102214813232421875)
        | dict.fromkeys(("torch", "jax"), (1.05070102214813232421875 * 1.67326319217681884765625,)),
    ),
]


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


def test_each_operation_that_a_library_differentiates_otherwise_has_its_row() -> None:
    differing = {(operation.name, library) for operation in operations() for library in operation.conventions}
    rows = {(name, library) for name, _, _, expected in ROWS for library in expected if library != "minimum-norm"}
    assert differing <= rows | {(name, library) for name, _, expected in REDUCTIONS for library in expected}
    assert {library for _, library in differing} < set(CONVENTIONS)


# Reductions of a vector, and its gradient.
REDUCTIONS: list[tuple[str, list[float], dict[str, tuple[float, ...]]]] = [
    ("ReduceMax", [1, 1, 0], all_return(0.5, 0.5, 0)),
    ("ReduceL1", [0, -2], all_return(0, -1) | {"jax": (1, -1)}),
    ("ReduceL2", [0, 0], all_return(0, 0) | {"jax": (NAN, NAN), "tensorflow": (NAN, NAN)}),
]


@pytest.mark.parametrize(("operation", "vector", "expected"), REDUCTIONS)
def test_a_reduction_under_a_convention_returns_that_librarys_choice(
    operation: str, vector: list[float], expected: dict[str, tuple[float, ...]]
) -> None:
    graph, _ = point(operation, {}, [0])
    for convention, slopes in expected.items():
        changed = graph.with_convention(convention)
        values = forward_pass(changed, {"x0": np.array(vector, dtype=float)})
        gradient = backward_pass(changed, values, "z")[0]
        assert gradient is not None
        np.testing.assert_array_equal(gradient, slopes, err_msg=convention)
        assert nondifferentiable_nodes(changed, values) == (1,)


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
    assert graph.with_convention("torch") is graph
    assert graph.with_convention("jax").convention == "jax"
    assert graph.with_convention("jax").with_convention("minimum-norm").nodes == graph.nodes


# --- the libraries themselves --------------------------------------------------------------------------------------


def slopes_of_torch(function: Callable[..., Any], inputs: Sequence[float]) -> list[float]:
    torch = importlib.import_module("torch")
    operands = [torch.tensor(float(x), dtype=torch.float64, requires_grad=True) for x in inputs]
    return [float(slope) for slope in torch.autograd.grad(function(torch, *operands), operands)]


def slopes_of_jax(function: Callable[..., Any], inputs: Sequence[float]) -> list[float]:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    slopes = jax.grad(lambda *operands: function(jax, *operands), argnums=tuple(range(len(inputs))))
    return [float(slope) for slope in slopes(*map(float, inputs))]


def slopes_of_tensorflow(function: Callable[..., Any], inputs: Sequence[float]) -> list[float]:
    tensorflow = importlib.import_module("tensorflow")
    operands = [tensorflow.Variable(float(x), dtype=tensorflow.float64) for x in inputs]
    with tensorflow.GradientTape() as tape:
        value = function(tensorflow, *operands)
    return [float(slope) for slope in tape.gradient(value, operands)]


CALLS: dict[str, tuple[Callable[..., list[float]], dict[str, Callable[..., Any]]]] = {
    "torch": (
        slopes_of_torch,
        {
            "Abs": lambda torch, x: torch.abs(x),
            "Relu": lambda torch, x: torch.relu(x),
            "Max": lambda torch, x, y: torch.maximum(x, y),
            "Min": lambda torch, x, y: torch.minimum(x, y),
            "Clip": lambda torch, x, min, max: torch.clamp(x, min, max),
            "LeakyRelu": lambda torch, x, alpha: torch.nn.functional.leaky_relu(x, alpha),
            "Elu": lambda torch, x, alpha: torch.nn.functional.elu(x, alpha),
            "Selu": lambda torch, x: torch.selu(x),
            "Sqrt": lambda torch, x: torch.sqrt(x),
            "Asin": lambda torch, x: torch.asin(x),
            "Acos": lambda torch, x: torch.acos(x),
            "Acosh": lambda torch, x: torch.acosh(x),
            "Sign": lambda torch, x: torch.sign(x),
            "Pow": lambda torch, x, y: torch.pow(x, y),
            "Atan2": lambda torch, y, x: torch.atan2(y, x),
        },
    ),
    "jax": (
        slopes_of_jax,
        {
            "Abs": lambda jax, x: jax.numpy.abs(x),
            "Relu": lambda jax, x: jax.nn.relu(x),
            "Max": lambda jax, x, y: jax.numpy.maximum(x, y),
            "Min": lambda jax, x, y: jax.numpy.minimum(x, y),
            "Clip": lambda jax, x, min, max: jax.numpy.clip(x, min, max),
            "LeakyRelu": lambda jax, x, alpha: jax.nn.leaky_relu(x, alpha),
            "Elu": lambda jax, x, alpha: jax.nn.elu(x, alpha),
            "Selu": lambda jax, x: jax.nn.selu(x),
            "Sqrt": lambda jax, x: jax.numpy.sqrt(x),
            "Asin": lambda jax, x: jax.numpy.arcsin(x),
            "Acos": lambda jax, x: jax.numpy.arccos(x),
            "Acosh": lambda jax, x: jax.numpy.arccosh(x),
            "Sign": lambda jax, x: jax.numpy.sign(x),
            "Pow": lambda jax, x, y: jax.numpy.power(x, y),
            "Atan2": lambda jax, y, x: jax.numpy.arctan2(y, x),
        },
    ),
    "tensorflow": (
        slopes_of_tensorflow,
        {
            "Abs": lambda tf, x: tf.abs(x),
            "Relu": lambda tf, x: tf.nn.relu(x),
            "Max": lambda tf, x, y: tf.maximum(x, y),
            "Min": lambda tf, x, y: tf.minimum(x, y),
            "Clip": lambda tf, x, min, max: tf.clip_by_value(x, min, max),
            "LeakyRelu": lambda tf, x, alpha: tf.nn.leaky_relu(x, alpha),
            "Selu": lambda tf, x: tf.nn.selu(x),
            "Sqrt": lambda tf, x: tf.sqrt(x),
            "Asin": lambda tf, x: tf.asin(x),
            "Acos": lambda tf, x: tf.acos(x),
            "Acosh": lambda tf, x: tf.acosh(x),
            "Sign": lambda tf, x: tf.sign(x),
            "Pow": lambda tf, x, y: tf.pow(x, y),
            "Atan2": lambda tf, y, x: tf.atan2(y, x),
        },
    ),
}


@pytest.mark.peers
@pytest.mark.parametrize("library", CALLS)
def test_the_library_itself_makes_this_choice(library: str) -> None:
    installed = importlib.import_module(library)
    slopes, calls = CALLS[library]
    version = tuple(int(part) for part in installed.__version__.split("+")[0].split(".")[:2])
    for operation, attributes, inputs, expected in ROWS:
        if library not in expected:
            continue
        right = expected[library]
        if (library, operation) == ("torch", "Clip") and version < (2, 14):
            right = (1,)
        found = slopes(lambda *given, _call=calls[operation], _with=attributes: _call(*given, **_with), inputs)
        np.testing.assert_allclose(found, right, rtol=1e-6, err_msg=f"{library}: {operation} at {inputs}")


NORMS: dict[str, dict[str, Callable[..., Any]]] = {
    "torch": {
        "ReduceMax": lambda torch, x: torch.amax(x),
        "ReduceL1": lambda torch, x: torch.linalg.vector_norm(x, 1),
        "ReduceL2": lambda torch, x: torch.linalg.vector_norm(x),
    },
    "jax": {
        "ReduceMax": lambda jax, x: jax.numpy.max(x),
        "ReduceL1": lambda jax, x: jax.numpy.linalg.norm(x, 1),
        "ReduceL2": lambda jax, x: jax.numpy.linalg.norm(x),
    },
    "tensorflow": {
        "ReduceMax": lambda tf, x: tf.reduce_max(x),
        "ReduceL1": lambda tf, x: tf.norm(x, 1),
        "ReduceL2": lambda tf, x: tf.norm(x),
    },
}
STACKED = {
    "torch": lambda torch, *elements: torch.stack(elements),
    "jax": lambda jax, *elements: jax.numpy.stack(elements),
    "tensorflow": lambda tf, *elements: tf.stack(elements),
}


@pytest.mark.peers
@pytest.mark.parametrize("library", NORMS)
def test_the_library_itself_reduces_so(library: str) -> None:
    slopes, _ = CALLS[library]
    for operation, vector, expected in REDUCTIONS:
        reduction, stack = NORMS[library][operation], STACKED[library]
        found = slopes(lambda module, *x, _of=reduction, _stack=stack: _of(module, _stack(module, *x)), vector)
        np.testing.assert_array_equal(found, expected[library], err_msg=f"{library}: {operation} at {vector}")


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


# --- comparisons ---------------------------------------------------------------------------------------------------


def run_at(graph: Graph, inputs: dict[str, Any]) -> Run:
    values = forward_pass(graph, inputs)
    return Run(graph, values, backward=Backward("L", np.array(1.0), backward_pass(graph, values, "L")))


KINKED = build_graph(
    [
        {"name": "x", "operation": "Input"},
        {"name": "w", "operation": "Input"},
        {"name": "y", "operation": "Mul", "inputs": ["w", "x"]},
        {"name": "k", "operation": "Abs", "inputs": ["y"]},
        {"name": "L", "operation": "Exp", "inputs": ["k"]},
    ]
)


def test_a_difference_that_a_convention_explains_is_called_so() -> None:
    inputs = {"x": np.float64(3.0), "w": np.float64(0.0)}
    ours, theirs = run_at(KINKED, inputs), run_at(KINKED.with_convention("jax"), inputs)
    candidate = replace(theirs, graph=KINKED)
    found = compare(ours, candidate, TOLERANCES["float64"])
    assert found.backward is not None
    assert found.conventions == {KINKED.position["y"]: ("jax",)}
    assert found.backward.positions(Verdict.CONVENTION) == [KINKED.position["y"]]
    assert found.backward.positions(Verdict.ORIGIN) == []
    assert found.backward.positions(Verdict.INHERITED) == [KINKED.position["w"]]
    assert not found.same


def test_a_wrong_gradient_beside_a_kink_is_an_origin_all_the_same() -> None:
    inputs = {"x": np.float64(3.0), "w": np.float64(0.0)}
    ours = run_at(KINKED, inputs)
    assert ours.backward is not None
    figures = ours.backward.gradients.flat.copy()
    figures[KINKED.position["y"]] = 0.75
    wrong = replace(ours, backward=replace(ours.backward, gradients=Figures(figures)))
    found = compare(ours, wrong, TOLERANCES["float64"])
    assert found.backward is not None
    assert found.backward.positions(Verdict.ORIGIN) == [KINKED.position["y"]]
    assert found.conventions == {}
