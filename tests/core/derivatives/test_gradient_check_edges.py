"""Gradient checks at the edges of domains, next to kinks, and where figures cancel or nearly vanish.

A right gradient is never wrong there, by whatever method; a wrong one is still told.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from service.core.derivatives.gradient_check import METHODS, CheckVerdict, check_gradients
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Operation
from tests.core.derivatives.test_gradient_check import check, plant, times, verdicts
from tests.elementwise import each_elementwise
from tests.examples import examples
from tests.passes import arrays_of, graph_of
from tests.planted import tame_graph

each_method = pytest.mark.parametrize("method", METHODS)

# The text, its inputs, and by taylor, central and complex-step: r(ight), or n(ot applicable).
EDGES: list[tuple[str, dict[str, Any], str]] = [
    # the end of a domain, or a pole, close by
    ("log(1 - x)", {"x": 1 - 1e-9}, "rrr"),
    ("log(1 - x)", {"x": 1 - 1e-12}, "rrr"),
    ("1 / (1 - x)", {"x": 1 - 1e-7}, "rrr"),
    ("1 / (1 - x)", {"x": 1 - 1e-10}, "rrr"),
    ("log(x + 1e-30)", {"x": 0.0}, "rrr"),
    ("sqrt(x)", {"x": 1e-30}, "rrr"),
    ("acos(x)", {"x": 1 - 1e-12}, "rrr"),
    ("atanh(x)", {"x": 1 - 1e-9}, "rrr"),
    ("acosh(x)", {"x": 1 + 1e-9}, "rrr"),
    ("tan(x)", {"x": 1.5707963}, "rrr"),
    ("log(-log(x))", {"x": 1 - 1e-10}, "rrr"),
    # kinks and jumps close by
    ("sum(relu(x + b))", {"x": [0.0, 0.0], "b": [1e-9, -1e-9]}, "rrn"),
    ("sum(relu(x + b))", {"x": [1.0, 1.0, 1.0], "b": [-1 + 1e-9, -1 - 1e-9, 0.5]}, "rrn"),
    ("relu(x + 1e-9) - relu(1e-9 - x)", {"x": 0.0}, "rrn"),
    ("abs(x - 1)", {"x": 1 + 1e-10}, "rrn"),
    ("relu(x - 1)", {"x": 1 - 1e-10}, "rrn"),
    ("where(x > 0, x, log(x - x) + x)", {"x": 1.0}, "rrn"),
    ("where(x > 0, x, 2 * x)", {"x": 1e-13}, "rrn"),
    ("max(x, 0) + x", {"x": 1e-12}, "rrn"),
    ("x^2 + round(x / 1e-9) * 1e-9", {"x": 1.0}, "rrn"),
    ("x^2 + round(x / 1e-9) * 1e-9", {"x": 0.3}, "rrn"),
    ("x^2 + floor(x / 1e-12) * 1e-12", {"x": 1 / 3}, "nnn"),
    ("x^2 + round(x / 1e-15) * 1e-15", {"x": 1.0}, "nnn"),
    ("relu(x + 1e-14) - relu(1e-14 - x) + 1", {"x": 0.0}, "nnn"),
    ("tanh(1e16 * x) * 1e-16 + x + 1", {"x": 0.0}, "nnr"),
    ("x^1.1", {"x": 0.0}, "nnn"),
    # figures near 0 and far from it
    ("x^2", {"x": 1e-120}, "rrr"),
    ("x^2", {"x": 1e-150}, "rrr"),
    ("x^3", {"x": -1e-90}, "rrr"),
    ("x^2", {"x": 1e150}, "rrr"),
    ("x^2", {"x": 1e-170}, "nnr"),
    ("x * 1e-300", {"x": 1.0}, "rrr"),
    ("1 / x", {"x": 1e-150}, "rrr"),
    ("log(x)", {"x": 1e-300}, "rrr"),
    ("exp(x)", {"x": -700.0}, "rrr"),
    ("exp(x)", {"x": -730.0}, "rrr"),
    ("exp(x)", {"x": 700.0}, "rrr"),
    ("exp(x)", {"x": 1e-50}, "rrr"),
    ("exp(-1 / x^2)", {"x": 0.01}, "rrr"),
    ("sigmoid(x)", {"x": -600.0}, "rrr"),
    # neighbouring numbers many periods apart
    ("sin(x)", {"x": 7.994333185098085e64}, "nnn"),
    ("cos(x)", {"x": 3.7544604143800473e142}, "nnn"),
    ("tan(x)", {"x": -1.057080944784001e99}, "nnn"),
    # gradients that are 0 because what they sum up cancels
    ("sum(x - mean(x))", {"x": [1.0, 2.0, 4.0]}, "rrr"),
    ("sum(x - mean(x))", {"x": [0.1, 0.2, 0.7]}, "rrr"),
    ("sum(softmax(x, axis=0))", {"x": [0.1, 0.2, 0.7]}, "rrn"),
    ("x - x + sin(x)^2 + cos(x)^2", {"x": 0.7}, "rrr"),
]

SLOPING = [edge for edge in EDGES if not edge[0].startswith(("sum", "exp(", "x - x"))]  # whose gradient is not near 0


@pytest.mark.parametrize(("text", "inputs", "expected"), EDGES)
def test_a_right_gradient_is_never_wrong(text: str, inputs: dict[str, Any], expected: str) -> None:
    for method, letter in zip(METHODS, expected, strict=True):
        for name, node in check(f"y = {text}", inputs, method).items():
            assert node.verdict[0] == letter, (method, name, node)
            if node.verdict is CheckVerdict.RIGHT:
                assert node.reason is None
                assert node.estimate is not None
                atol = 1e-6 * np.abs(node.gradient).max() + (1e-11 if text.startswith(("sum", "x - x")) else 0.0)
                np.testing.assert_allclose(node.estimate, node.gradient, rtol=2e-3, atol=atol)
            else:
                assert node.reason and node.estimate is None and node.error is None


@pytest.mark.slow
@pytest.mark.parametrize(("text", "x"), [(text, given["x"]) for text, given, letters in SLOPING if letters == "rrr"])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5, 1.01, 2.0])
def test_a_wrong_gradient_at_an_edge_is_told(text: str, x: float, factor: float) -> None:
    graph = graph_of(f"y = {text}")
    values = forward_pass(graph, arrays_of({"x": x}))
    right = backward_pass(graph, values, "y")[0]
    assert right is not None
    claimed = {0: (factor * right, np.zeros(right.shape))}
    for method in METHODS:
        (found,) = check_gradients(graph, values, "y", [0], method, claimed=claimed)
        assert found.verdict is CheckVerdict.WRONG, (method, found)
        assert found.estimate is not None
        np.testing.assert_allclose(found.estimate, right, rtol=3e-2)  # next to a pole differences have few digits


@pytest.mark.slow
@each_method
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("factor", [1.001, 0.999, -1.0])
def test_a_small_error_in_a_random_graph_is_told(method: str, seed: int, factor: float) -> None:
    graph, inputs = tame_graph(seed, count=60)
    values = forward_pass(graph, arrays_of(inputs))
    gradients = backward_pass(graph, values, graph.outputs[0])
    analytic = method != "complex-step"
    for name in graph.inputs:
        position = graph.position[name]
        right = gradients[position]
        assert right is not None
        for claim, expected in ((right, CheckVerdict.RIGHT), (factor * right, CheckVerdict.WRONG)):
            claimed = {position: (np.asarray(claim), np.zeros(()))}
            (found,) = check_gradients(graph, values, graph.outputs[0], [position], method, claimed=claimed)
            if abs(right) > 1e-3 and (analytic or found.reason is None):
                assert found.verdict is expected, (name, found)


@pytest.mark.parametrize("method", ["taylor", "central"])
def test_a_wrong_rule_next_to_a_kink_is_told(method: str) -> None:
    graph = graph_of("p = relu(x - 1); y = sin(p) + x")
    sine = next(node.name for node in graph.nodes if node.operation.name == "Sin")
    wrong = plant(graph, sine, local_gradients=times(1.01, graph.nodes[graph.position[sine]].operation))
    assert verdicts(check(wrong, {"x": 1 + 1e-6}, method)) == {"x": "wrong"}
    assert verdicts(check(graph, {"x": 1 + 1e-6}, method)) == {"x": "right"}


# --- labels, masks and indices --------------------------------------------------------------------------------------


@each_method
@pytest.mark.parametrize(
    ("text", "inputs", "held", "reason"),
    [
        (
            "L = softmax_cross_entropy(o, labels)",
            {"o": [[0.1, 0.7], [1.5, -0.3]], "labels": [1, 0]},
            "labels",
            "an index",
        ),
        ("L = sum(where(mask, x, x^2))", {"x": [0.3, 2.0], "mask": [1, 0]}, "mask", "a condition"),
        ("L = sum(where(not(mask), x, x^2))", {"x": [0.3, 2.0], "mask": [1, 0]}, "mask", "a condition"),
        ("L = sum(where(labels == 1, x, x^2))", {"x": [0.3, 2.0], "labels": [1, 0]}, "labels", "a condition"),
    ],
)
def test_labels_and_masks_are_left_where_they_are(
    method: str, text: str, inputs: dict[str, Any], held: str, reason: str
) -> None:
    found = check(text, inputs, method)
    assert found[held].held and found[held].verdict is CheckVerdict.NOT_APPLICABLE
    assert reason in str(found[held].reason)
    others = {name: str(node.verdict) for name, node in found.items() if name != held}
    assert not any(found[name].held for name in others)
    if method != "complex-step":
        assert set(others.values()) == {"right"}


def test_a_mask_that_multiplies_is_a_number_like_others() -> None:
    found = check("L = sum(mask * x)", {"x": [0.3, 2.0], "mask": [1, 0]}, "central")
    assert verdicts(found) == {"mask": "right", "x": "right"}
    assert math.isclose(float(np.asarray(found["mask"].estimate)[1]), 2.0)


# --- the whole rulebook ---------------------------------------------------------------------------------------------


def scalars(operation: Operation, numbers: Iterable[float], after: str | None = None) -> tuple[Graph, dict[str, float]]:
    """A graph of one operation on scalars, named z, with its attributes at their defaults."""
    names = [f"x{index}" for index in range(2 if operation.fold else len(operation.operands))]
    nodes: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names]
    nodes.append({"name": "z", "operation": operation.name, "inputs": names})
    nodes += [{"name": "y", "operation": after, "inputs": ["z"]}] if after else []
    return build_graph(nodes), dict(zip(names, numbers, strict=False))


@each_elementwise
def test_no_operation_is_accused_near_its_edges(operation: Operation) -> None:
    random = np.random.default_rng(2026)
    for _ in range(examples(8)):
        near = random.choice([0.0, 1.0, -1.0, 0.5, 2.0], 3)
        numbers = near + 10.0 ** random.uniform(-14, -1, 3) * random.choice([-1.0, 1.0], 3)
        graph, inputs = scalars(operation, numbers.tolist())
        for method in METHODS:
            for node in check(graph, inputs, method).values():
                assert node.verdict is not CheckVerdict.WRONG, (method, inputs, node)
                assert node.estimate is None or node.verdict is CheckVerdict.RIGHT


@pytest.mark.slow
@each_elementwise
@pytest.mark.parametrize("factor", [1.001, -1.0])
def test_a_small_error_in_any_rule_is_told(operation: Operation, factor: float) -> None:
    graph, inputs = scalars(operation, [0.37, 0.71, 0.53], after="Sin")

    def wrong(*arguments: Any) -> tuple[Any, ...]:
        count = len(inputs)
        attributes = {
            each.name: given for each, given in zip(operation.attributes, arguments[count + 1 :], strict=True)
        }
        rule = operation.differentiate(arguments[:count], arguments[count], attributes)
        return tuple(factor * np.asarray(local) for local in rule)

    planted = plant(graph, "z", local_gradients=wrong)
    for method in METHODS:
        right, found = check(graph, inputs, method), check(planted, inputs, method)
        for name, node in found.items():
            if right[name].verdict is CheckVerdict.RIGHT and right[name].gradient != 0.0:
                assert node.verdict is CheckVerdict.WRONG, (method, node)
            else:
                assert node.verdict is right[name].verdict


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("claimed", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("text", "x", "verdict"),
    [
        ("y = x^2", 3.0, CheckVerdict.WRONG),
        ("y = sum(x^2)", np.array([1.0, 2.0]), CheckVerdict.WRONG),
        ("y = sqrt(x)^2", 0.0, CheckVerdict.NOT_APPLICABLE),
    ],
)
def test_a_claimed_gradient_that_is_not_finite_is_wrong_where_the_output_is_smooth(
    text: str, x: Any, verdict: CheckVerdict, claimed: float, method: str
) -> None:
    graph = graph_of(text)
    values = forward_pass(graph, {"x": x})
    gradient = np.where(np.arange(np.size(x)) == 0, claimed, 2.0).reshape(np.shape(x))
    taken = {0: (gradient, np.zeros(gradient.shape))}
    (found,) = check_gradients(graph, values, graph.outputs[0], [0], method, claimed=taken)
    assert found.verdict is verdict and not np.isfinite(found.gradient).all()
    assert (found.estimate is None) == (verdict is CheckVerdict.NOT_APPLICABLE)
    if method == "central" and verdict is CheckVerdict.WRONG:
        np.testing.assert_allclose(found.estimate, 2.0 * x, rtol=1e-9)
