"""The gradient graph taken twice has the second derivatives that the Hessian has, and those that mpmath finds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from service.core.derivatives.gradient_graph import define_function, formula, gradient_graph
from service.core.derivatives.jacobian import hessian
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.graph import Graph
from tests.expressions import graph_of_expression as graph_of
from tests.passes import arrays_of

Inputs = Mapping[str, Any]


def outputs_of(graph: Graph, inputs: Inputs) -> list[Any]:
    """The values of a graph's outputs."""
    values = forward_pass(graph, arrays_of(inputs))
    return [values[graph.position[name]] for name in graph.outputs]


def formula_at(graph: Graph, of: str, wrt: str, inputs: Inputs) -> Any:
    """The figure of what the formula of a derivative prints, posted back."""
    return outputs_of(graph_of(define_function("the result", graph.inputs, formula(graph, of, wrt))), inputs)[0]


def second_derivatives(graph: Graph, inputs: Inputs) -> dict[str, list[Any]]:
    """Those of the output by all pairs of inputs: by the Hessian, by the gradient graph taken twice, by its backward
    pass, and by the formula of the derivative of the gradient graph."""
    output, names = graph.outputs[0], list(graph.inputs)
    once = gradient_graph(graph, output, names)
    values, first = forward_pass(graph, arrays_of(inputs)), forward_pass(once, arrays_of(inputs))
    blocks = hessian(graph, values, output, names)
    return {
        "Hessian": [blocks[one, other] for one in names for other in names],
        "twice": [x for slope in once.outputs for x in outputs_of(gradient_graph(once, slope, names), inputs)],
        "backward pass": [
            backward_pass(once, first, slope)[once.position[name]] for slope in once.outputs for name in names
        ],
        "formula": [formula_at(once, slope, name, inputs) for slope in once.outputs for name in names],
    }


BEHIND_CLOSED_EDGES = [
    ("asinh(x)", {"x": 0}, [0]),
    ("atan2(x, y)", {"x": 0, "y": 1}, [0, -1, -1, 0]),
    ("softplus(x)", {"x": 720}, [np.exp(-720)]),
    ("elu(x)", {"x": 720}, [0]),
    ("selu(x)", {"x": 720}, [0]),
    ("where(x > 0, sqrt(x), x^2)", {"x": -1}, [2]),
    ("sqrt(relu(x))", {"x": -1}, [0]),
    ("sqrt(relu(x))", {"x": 4}, [-1 / 32]),
    ("sqrt(max(x, 0))", {"x": -1}, [0]),
    ("log(clip(x, max=0.5) * relu(x) + 1)", {"x": -1}, [0]),
    ("where(x > 1, 1 / x, x)", {"x": 0}, [0]),
    ("where(x > 0, exp(x) * exp(x), 0) + x^2", {"x": -800}, [2]),
    ("y * sqrt(relu(x))", {"x": -1, "y": 3}, [0, 0, 0, 0]),
]


@pytest.mark.parametrize(("text", "inputs", "expected"), BEHIND_CLOSED_EDGES)
def test_nothing_flows_behind_a_closed_edge(text: str, inputs: Inputs, expected: list[float]) -> None:
    for way, found in second_derivatives(graph_of(text), inputs).items():
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15, err_msg=way)


@pytest.mark.parametrize(
    ("text", "x", "first"),
    [
        ("sum(sqrt(relu(x)))", [-1.0, 4.0], [0.0, 0.25]),
        ("sum(sqrt(relu(x)) * [1, 2])", [-1.0, 4.0], [0.0, 0.5]),
        ("sum(sqrt(relu(x + [[0], [0]])))", [-1.0, 4.0], [0.0, 0.5]),
        ("max(sqrt(relu(x)))", [-1.0, 4.0], [0.0, 0.25]),
        ("mean(where(x > 0, log(x), 2 * x))", [-1.0, 4.0], [1.0, 0.125]),
    ],
)
def test_nothing_flows_behind_closed_edges_of_tensors(text: str, x: list[float], first: list[float]) -> None:
    graph = graph_of(f"L = {text}")
    derived = gradient_graph(graph, "L", ["x"])
    for found in (outputs_of(derived, {"x": x})[0], formula_at(graph, "L", "x", {"x": x})):
        np.testing.assert_allclose(found, first, rtol=1e-14)


def test_a_product_of_zero_and_infinity_stays_no_number() -> None:
    for text in ("sqrt(x)^2", "exp(log(x) + log(x))"):
        graph = graph_of(f"L = {text}")
        assert np.isnan(outputs_of(gradient_graph(graph, "L", ["x"]), {"x": 0})).all(), text


def test_where_no_factor_can_be_infinite_nothing_is_chosen() -> None:
    derived = gradient_graph(graph_of("h = sin(relu(w * x + b)); L = v * h - t"), "L", ["w", "x", "b", "v"])
    assert [node.operation.name for node in derived.nodes].count("Where") == 1  # the slope of relu
