"""Gradient checks: what is right is never called wrong, what is planted wrong is caught, and points without a
derivative are told from both."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.derivatives import finite_differences
from service.core.derivatives.gradient_check import METHODS, CheckVerdict, NodeCheck, check_gradients, worst_verdict
from service.core.errors import LimitExceeded
from service.core.execution.passes import forward_pass
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Operation
from tests.elementwise import BROADCAST_SHAPES
from tests.examples import examples
from tests.passes import Named, arrays_of, graph_of
from tests.random_graphs import Point, points
from tests.tensors import each_tensor_operation, graph_around, samples

each_method = pytest.mark.parametrize("method", METHODS)


def check(
    graph: Graph | str, inputs: Named, method: str, nodes: Sequence[str] = (), output: str | None = None
) -> dict[str, NodeCheck]:
    """The inputs and these nodes, each with what is found of it."""
    graph = graph_of(graph) if isinstance(graph, str) else graph
    positions = [graph.position[name] for name in (*graph.inputs, *nodes)]
    values = forward_pass(graph, arrays_of(inputs))
    found = check_gradients(graph, values, output or graph.outputs[0], positions, method)
    return {node.name: node for node in found}


def plant(graph: Graph, name: str, **rules: Any) -> Graph:
    """The graph with other rules in one node."""
    position = graph.position[name]
    node = graph.nodes[position]
    planted = replace(node, operation=replace(node.operation, **rules))
    return replace(graph, nodes=(*graph.nodes[:position], planted, *graph.nodes[position + 1 :]))


def verdicts(found: dict[str, NodeCheck]) -> dict[str, str]:
    return {name: str(node.verdict) for name, node in found.items()}


# --- right gradients ------------------------------------------------------------------------------------------------


@each_method
def test_the_seed_example_is_right(method: str) -> None:
    found = check("e = a + b; f = e * c; F = f / d", {"a": 5, "b": 1, "c": -2, "d": -3}, method, ["e", "f", "F"])
    figures = {"a": 2 / 3, "b": 2 / 3, "c": -2, "d": 4 / 3, "e": 2 / 3, "f": -1 / 3, "F": 1}
    for name, node in found.items():
        assert node.verdict is CheckVerdict.RIGHT and node.reason is None
        assert node.gradient == pytest.approx(figures[name], rel=1e-15)
        assert node.estimate == pytest.approx(figures[name], rel=1e-11)
        assert node.error is not None and node.error < 1e-11
    # F is linear in all but d.
    rates = {name: node.rate for name, node in found.items() if node.rate is not None}
    assert rates == ({"d": pytest.approx(2, abs=1e-3)} if method == "taylor" else {})


@each_method
@settings(suppress_health_check=list(HealthCheck))
@given(point=st.sampled_from([((),), BROADCAST_SHAPES]).flatmap(lambda shapes: points(shapes, largest_graph=15)))
def test_our_own_rules_are_never_wrong(method: str, point: Point) -> None:
    graph = point.graph
    named = [node.name for node in graph.nodes if node.operation.operands]
    found = check(graph, point.inputs, method, named, point.output)
    assert "wrong" not in verdicts(found).values()
    for node in found.values():
        assert node.verdict is CheckVerdict.RIGHT or node.reason
        # What a difference can tell near a bend of the function is no more than the verdict asks.
        assert node.estimate is None or np.allclose(node.gradient, node.estimate, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@each_tensor_operation
@settings(max_examples=examples(8), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_our_own_tensor_rules_are_never_wrong(operation: Operation, data: st.DataObject) -> None:
    sample = data.draw(samples(operation))
    graph = graph_around(sample)
    inputs = {f"x{position}": operand for position, operand in enumerate(sample.operands)}
    for method in METHODS:
        found = check(graph, inputs, method)
        assert "wrong" not in verdicts(found).values()
        for position, index in enumerate(operation.indices):
            if index and f"x{position}" in found:
                assert found[f"x{position}"].reason == "'z' takes it as an index"


@pytest.mark.parametrize(
    ("text", "x", "rate"),
    [
        ("y = 3*x + 1", 5, None),
        ("y = x^2", 3, 2),
        ("y = (x - 1)^2", 1, 2),
        ("y = x^3", 0, 3),
        ("y = log(x)", 1e-20, 2),
        ("y = sin(1e6 * x)", 0.7, 2),
        ("y = x^1.5", 0, 1.5),
        ("y = floor(x)", 10.5, None),
    ],
)
def test_the_rate_of_the_remainder(text: str, x: float, rate: float | None) -> None:
    node = check(text, {"x": x}, "taylor")["x"]
    assert node.verdict is CheckVerdict.RIGHT
    assert node.rate == (None if rate is None else pytest.approx(rate, abs=0.05))


@each_method
def test_an_input_that_does_not_reach_the_output_is_right(method: str) -> None:
    found = check("y = x * 2; z = exp(y); w = u * 1", {"x": 1, "u": 2}, method, ["z"], "y")
    assert verdicts(found) == {"x": "right", "u": "right", "z": "right"}
    assert found["u"].estimate == found["z"].estimate == 0.0


@each_method
def test_tensors(method: str) -> None:
    inputs = {"x": [[0.5, -1e-9, 2e7]], "w": [[1.0], [2.0]], "none": np.zeros((0,))}
    found = check("y = tanh(x / 1e7) * w + x; z = none * 2", inputs, method, ["y"], "y")
    assert set(verdicts(found).values()) == {"right"}
    shapes = {name: node.gradient.shape for name, node in found.items()}
    assert shapes == ({} if method == "taylor" else {"x": (1, 3), "w": (2, 1), "none": (0,), "y": (2, 3)}) or (
        method == "taylor" and set(shapes.values()) == {()}
    )


def test_many_batches_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    text, inputs = "y = sin(x) * w; z = y / (1 + x^2)", {"x": [[0.5, 1.5]], "w": [[1.0], [2.0]]}
    once = check(text, inputs, "central", ["y"])
    monkeypatch.setattr(finite_differences, "MOVED_ELEMENTS", 40)
    for name, node in check(text, inputs, "central", ["y"]).items():
        np.testing.assert_allclose(np.asarray(node.estimate), np.asarray(once[name].estimate), rtol=1e-9)


def test_a_check_that_would_compute_too_much_is_refused() -> None:
    graph = graph_of("y = x * 2; z = y + 1")
    values = forward_pass(graph, {"x": np.ones(10)})
    with pytest.raises(LimitExceeded, match="at most 6399 elements of values; this one would take 6400") as caught:
        check_gradients(graph, values, "z", [0], "central", max_elements=6399)
    assert (caught.value.limit, caught.value.actual) == ("run_elements", 6400)
    assert check_gradients(graph, values, "z", [0], "central", max_elements=6400)[0].verdict is CheckVerdict.RIGHT


@pytest.mark.parametrize("method", ["central", "complex-step", "taylor"])
@pytest.mark.parametrize("text", ["y = x * 2", "y = sum(x)"])
def test_a_gradient_without_elements_is_right(method: str, text: str) -> None:
    graph = graph_of(text)
    values = forward_pass(graph, {"x": np.zeros(0)})
    checks = check_gradients(graph, values, "y", [0], method, max_elements=100)
    assert [check.verdict for check in checks] == [CheckVerdict.RIGHT]


# --- wrong ones -----------------------------------------------------------------------------------------------------


def times(factor: float, operation: Operation) -> Callable[..., Any]:
    """The operation's local gradients times a factor."""
    rule = operation.local_gradients
    assert rule is not None
    return lambda *arguments: tuple(factor * np.asarray(local) for local in rule(*arguments))


@each_method
def test_the_tutorials_slip_planted_in_the_rule_is_caught(method: str) -> None:
    graph = graph_of("e = a + b; f = e * c; F = f / d")
    check(graph, {"a": 5, "b": 1, "c": -2, "d": -3}, method)  # what is kept of the right graph is not the wrong one's
    wrong = plant(graph, "F", local_gradients=lambda x, y, z: (y, -x * y * y))
    found = check(wrong, {"a": 5, "b": 1, "c": -2, "d": -3}, method, ["f", "F"])
    assert verdicts(found) == {**dict.fromkeys(["a", "b", "c", "d", "f"], "wrong"), "F": "right"}
    assert {name: node.gradient for name, node in found.items()} == {
        "a": 6, "b": 6, "c": -18, "d": 108, "f": -3, "F": 1
    }  # fmt: skip
    if method == "taylor":
        assert [found[name].rate for name in "abcdf"] == [pytest.approx(1, abs=0.01)] * 5


@each_method
@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5, 1.01])
@pytest.mark.parametrize("x", [0.3, [[-2.0, 0.3], [1e-3, 1.5]]])
def test_a_wrong_factor_is_caught(method: str, factor: float, x: Any) -> None:
    graph = graph_of("p = exp(-x); q = sin(p) + x; y = q * q / (1 + x^2)")
    sine = next(node.name for node in graph.nodes if node.operation.name == "Sin")
    wrong = plant(graph, sine, local_gradients=times(factor, graph.nodes[graph.position[sine]].operation))
    found = check(wrong, {"x": x}, method, ["p", "q"])
    assert verdicts(found) == {"x": "wrong", "p": "wrong", "q": "right"}


@each_method
def test_one_wrong_element_is_caught(method: str) -> None:
    graph = graph_of("y = exp(x)")
    wrong = plant(graph, "y", local_gradients=lambda x, z: (np.where(x == 3.0, 1.01 * z, z),))
    assert verdicts(check(wrong, {"x": [1.0, 2.0, 3.0]}, method)) == {"x": "wrong"}
    assert verdicts(check(wrong, {"x": [1.0, 2.0, 2.5]}, method)) == {"x": "right"}


@each_method
@pytest.mark.parametrize("contribution", [lambda upstream, x, z: (upstream * z,), lambda upstream, x, z: (upstream,)])
def test_a_wrong_vector_jacobian_product_is_caught(method: str, contribution: Callable[..., Any]) -> None:
    """A running product of a vector, whose rule says that it is elementwise, or the identity."""
    graph = plant(
        graph_of("y = exp(x); z = y * y"),
        "y",
        forward=np.cumprod,
        local_gradients=None,
        contributions=contribution,
    )
    assert verdicts(check(graph, {"x": [1.5, 2.0, 0.5]}, method, ["y"])) == {"x": "wrong", "y": "right"}


@each_method
def test_a_right_vector_jacobian_product_is_right(method: str) -> None:
    def contributions(upstream: FloatArray, x: FloatArray, z: FloatArray) -> tuple[FloatArray]:
        return (np.cumsum((upstream * z)[::-1])[::-1] / x,)

    graph = plant(
        graph_of("y = exp(x); z = y * y"), "y", forward=np.cumprod, local_gradients=None, contributions=contributions
    )
    assert verdicts(check(graph, {"x": [1.5, 2.0, 0.5]}, method, ["y"])) == {"x": "right", "y": "right"}


# --- points at which the method does not apply ----------------------------------------------------------------------

KINK, NEAR, DROWNED = "no derivative exists at 'y'", "within the steps", "rounding errors are larger"


@pytest.mark.parametrize("method", ["taylor", "central"])
@pytest.mark.parametrize(
    ("text", "x", "reason"),
    [
        ("y = abs(x)", 0, KINK),
        ("y = relu(x); z = y * y", [1, 0], KINK),
        ("y = abs(x - 1) + 1", 1 + 2.0**-52, NEAR),
        ("y = relu(x - 1) + 1", 1 - 2.0**-53, NEAR),
        ("y = floor(x)", 3 - 1e-12, NEAR),
        ("y = not(x)", 0, NEAR),
        ("y = exp(x)", 800, "the output is not finite"),
        ("y = log(x) * 0", -1, "the output is not finite"),
        ("y = min(x, 1)", math.inf, "the value is not finite"),
        ("y = exp(x); z = 1 / (1 + y)", 800, "the gradient is not finite"),
        ("y = sqrt(x)^2", 0, "the gradient is not finite"),
        ("y = x + 1e20", 1, DROWNED),
    ],
)
def test_a_point_where_it_does_not_apply(method: str, text: str, x: Any, reason: str) -> None:
    node = check(text, {"x": x}, method)["x"]
    assert node.verdict is CheckVerdict.NOT_APPLICABLE
    assert node.reason is not None and reason in node.reason


def test_a_function_known_at_a_point_alone_is_not_checked() -> None:
    assert check("y = (-x^2)^1.5", {"x": 0}, "taylor")["x"].reason == "the output is not finite nearby"
    assert check("y = (-x^2)^1.5", {"x": 0}, "central")["x"].verdict is CheckVerdict.NOT_APPLICABLE


def test_a_complex_step_needs_analytic_operations_on_the_way() -> None:
    found = check("p = leaky_relu(x); y = p * w", {"x": 1, "w": 2}, "complex-step", ["p"])
    assert verdicts(found) == {"x": "not applicable", "w": "right", "p": "right"}
    assert found["x"].reason == "'p' (LeakyRelu) is not analytic"
    assert found["x"].estimate is None and found["x"].error is None


def test_a_complex_step_tells_where_there_is_no_complex_derivative() -> None:
    node = check("y = x^1.5", {"x": 0}, "complex-step")["x"]
    assert node.reason is not None and NEAR in node.reason


@pytest.mark.parametrize("method", ["taylor", "central"])
def test_a_kink_elsewhere_does_not_matter(method: str) -> None:
    found = check("p = relu(x); y = p + exp(w); z = abs(y - y)", {"x": 0, "w": 1}, method, ["p"], "y")
    assert verdicts(found) == {"x": "not applicable", "w": "right", "p": "right"}


def test_what_an_operation_refuses_is_no_figure() -> None:
    """An operation that raises ValueError below 0, as one does for an index out of range or a singular matrix."""

    def root(x: FloatArray) -> FloatArray:
        if np.any(x < 0.0):
            raise ValueError("x is negative")
        return x * x * x

    rules = {"forward": root, "local_gradients": None, "contributions": lambda upstream, x, z: (upstream * 3 * x * x,)}
    graph = plant(graph_of("y = exp(x)"), "y", **rules)
    assert verdicts(check(graph, {"x": [0.0, 1.0]}, "taylor")) == {"x": "right"}
    assert verdicts(check(graph, {"x": [0.0, 1.0]}, "central")) == {"x": "not applicable"}


def test_by_taylor_one_finite_side_is_enough() -> None:
    node = check("y = x^2.5", {"x": 0}, "taylor")["x"]
    assert node.verdict is CheckVerdict.RIGHT
    assert node.estimate is None and node.error is None


def test_the_worst_verdict_counts() -> None:
    checks = check("y = abs(a) * exp(b)", {"a": 0, "b": 1}, "taylor")
    right = check("y = a * 2", {"a": 1}, "taylor")["a"]
    wrong = replace(right, verdict=CheckVerdict.WRONG)
    assert worst_verdict([]) is worst_verdict([right]) is CheckVerdict.RIGHT
    assert worst_verdict([right, checks["a"]]) is CheckVerdict.NOT_APPLICABLE
    assert worst_verdict([checks["a"], wrong, right]) is CheckVerdict.WRONG


@each_method
def test_a_graph_without_a_single_element_is_right(method: str) -> None:
    assert verdicts(check("y = x + x", {"x": []}, method)) == {"x": "right"}
