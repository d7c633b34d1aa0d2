"""The gradient graph of tensors has the figures and the shapes of the backward pass; what has no formula is named."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.derivatives.gradient_graph import formula, gradient_graph
from service.core.errors import InvalidRequest
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph, Node, node_document
from service.core.language.writing import write_expression
from service.core.rulebook.operation import Operation
from service.core.symbolic.printing import write_text
from tests.core.derivatives.test_gradient_graph import graph_of, outputs_of, posted_back
from tests.examples import examples
from tests.passes import arrays_of
from tests.random_graphs import Point, points
from tests.tensors import Sample, each_tensor_operation, samples

for cases in Path(__file__).parents[2].glob("*_cases.py"):
    import_module(f"tests.{cases.stem}")  # it enters the drawings that `samples` reads

Document = dict[str, Any]


def inputs_of(names: Sequence[str], **attributes: Any) -> list[Document]:
    return [{"name": name, "operation": "Input", "attributes": attributes} for name in names]


def gradients_of(graph: Graph, inputs: Any, wrt: Sequence[str]) -> list[Any]:
    """The gradients of the backward pass, of the shapes of their nodes."""
    gradients = backward_pass(graph, forward_pass(graph, arrays_of(inputs)), graph.outputs[0])
    return [gradients[graph.position[name]] for name in wrt]


def assert_alike(figures: Sequence[Any], expected: Sequence[Any]) -> None:
    for figure, right in zip(figures, expected, strict=True):
        assert np.shape(figure) == np.shape(right)
        scale = max(1.0, float(np.max(np.abs(right), initial=0.0)))
        np.testing.assert_allclose(figure, right, rtol=1e-12, atol=1e-13 * scale)


def squared(sample: Sample, declared: bool) -> tuple[Graph, dict[str, Any]]:
    """The sum of the squares of an operation's values, so that its upstream gradient differs from place to place."""
    names = [f"x{position}" for position in range(len(sample.operands))]
    inputs = dict(zip(names, sample.operands, strict=True))
    nodes = [
        {"name": name, "operation": "Input", "attributes": {"shape": list(figure.shape)} if declared else {}}
        for name, figure in inputs.items()
    ]
    made = {"name": "z", "operation": sample.operation.name, "inputs": names, "attributes": dict(sample.attributes)}
    nodes += [made, {"name": "s", "operation": "Mul", "inputs": ["z", "z"]}]
    return build_graph([*nodes, {"name": "L", "operation": "ReduceSum", "inputs": ["s"]}], ["L"], names), inputs


@each_tensor_operation
@settings(max_examples=examples(5))
@given(st.data(), st.booleans())
def test_every_operation_on_tensors_is_differentiated_as_by_the_backward_pass(
    operation: Operation, data: st.DataObject, declared: bool
) -> None:
    sample = data.draw(samples(operation))
    graph, inputs = squared(sample, declared)
    names, wrt = graph.inputs, [f"x{position}" for position in sample.differentiable]
    derived = gradient_graph(graph, "L", wrt)
    expected = gradients_of(graph, inputs, wrt)
    assert_alike(outputs_of(derived, inputs), expected)
    assert build_graph(list(map(node_document, derived.nodes)), derived.outputs, names).digest == derived.digest
    for name, right in zip(wrt, expected, strict=True):
        assert_alike(outputs_of(posted_back(graph, "L", name), inputs), [right])
        once = gradient_graph(graph, "L", [name])
        twice = gradient_graph(once, f"dL_d{name}", wrt)
        assert_alike(outputs_of(twice, inputs), gradients_of(once, inputs, wrt))


@given(points(shapes=((), (3,), (2, 1), (2, 3)), largest_graph=8), st.booleans())
@settings(max_examples=examples(30))
def test_what_broadcasting_repeated_is_summed(point: Point, declared: bool) -> None:
    """With a reduction at the end, or with declared shapes, gradients have the shapes of their nodes."""
    nodes: list[Document] = []
    for node in point.graph.nodes:
        shape = list(np.shape(point.inputs[node.name])) if node.name in point.inputs else None
        attributes = {"shape": shape} if declared and shape is not None else dict(node.attributes)
        nodes.append(
            {"name": node.name, "operation": node.operation.name, "inputs": list(node.inputs), "attributes": attributes}
        )
    nodes.append({"name": "L", "operation": "ReduceSum", "inputs": [point.output]})
    graph = build_graph(nodes, ["L"], point.graph.inputs)
    wrt = [node.name for node in graph.nodes if node.has_gradient]
    derived = gradient_graph(graph, "L", wrt)
    expected = gradients_of(graph, point.inputs, wrt)
    assert_alike(outputs_of(derived, point.inputs), expected)


def test_where_shapes_are_declared_nothing_is_summed_in_vain() -> None:
    nodes = [
        *inputs_of(["x", "y"], shape=[3]),
        {"name": "p", "operation": "Mul", "inputs": ["x", "y"]},
        {"name": "L", "operation": "ReduceSum", "inputs": ["p"], "attributes": {"keepdims": 0}},
    ]
    derived = gradient_graph(build_graph(nodes), "L", ["x", "y"])
    assert write_expression(derived) == ("dL_dx = y; dL_dy(x, y) = x")
    open_shape = [*inputs_of(["x", "y"], shape=[None]), *nodes[2:]]
    summed = gradient_graph(build_graph(open_shape), "L", ["x"])
    assert "SumTo" in [node.operation.name for node in summed.nodes]


def test_an_output_that_is_a_tensor_has_a_seed_of_ones() -> None:
    nodes = [*inputs_of(["x", "b"]), {"name": "t", "operation": "Transpose", "inputs": ["x"]}]
    graph = build_graph([*nodes, {"name": "y", "operation": "Add", "inputs": ["t", "b"]}], inputs=["x", "b"])
    inputs = {"x": np.arange(6.0).reshape(2, 3), "b": [1.0, 2.0]}
    derived = gradient_graph(graph, "y", ["x", "b", "y", "t"])
    assert_alike(outputs_of(derived, inputs), gradients_of(graph, inputs, ["x", "b", "y", "t"]))
    nothing = gradient_graph(graph, "t", ["b"])
    assert_alike(outputs_of(nothing, inputs), [np.zeros(2)])


def test_a_constant_tensor_is_kept_by_its_name_and_written_in_a_formula() -> None:
    graph = graph_of("F(x) = ReduceSum(x * [1, 2, 3])")
    inputs = {"x": [4.0, 5.0, 6.0]}
    assert_alike(outputs_of(gradient_graph(graph, "F", ["x"]), inputs), [[1.0, 2.0, 3.0]])
    assert "[1, 2, 3]" in write_text(formula(graph, "F", "x"))
    assert_alike(outputs_of(posted_back(graph, "F", "x"), inputs), [[1.0, 2.0, 3.0]])
    assert_alike(outputs_of(posted_back(graph_of("c = [1, 2]; F(x) = x"), "c", None), {"x": 1.0}), [[1.0, 2.0]])


NETWORK = "h = tanh(x @ V + b); y = h @ W; L = sum((y - t) ^ 2)"
GENERATOR = np.random.default_rng(7)
WEIGHTS = {"x": (4, 3), "V": (3, 2), "b": (2,), "W": (2, 2), "t": (4, 2)}


def test_third_derivatives_of_a_network_agree_with_differences_of_the_second() -> None:
    graph = graph_of(NETWORK)
    inputs = {name: GENERATOR.normal(0.0, 0.6, shape) for name, shape in WEIGHTS.items()}
    for first, second in (("V", "b"), ("W", "V"), ("b", "b")):
        once = gradient_graph(graph, "L", [first])
        twice = gradient_graph(once, once.outputs[0], [second])
        wrt = ["V", "b", "W"]
        thrice = gradient_graph(twice, twice.outputs[0], wrt)
        assert_alike(outputs_of(thrice, inputs), gradients_of(twice, inputs, wrt))
        for name, third in zip(wrt, outputs_of(thrice, inputs), strict=True):
            along = GENERATOR.normal(size=WEIGHTS[name])
            step = 1e-5
            above, below = (
                np.sum(outputs_of(twice, {**inputs, name: inputs[name] + sign * step * along})[0])
                for sign in (1.0, -1.0)
            )
            assert np.sum(third * along) == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-6)


def test_a_softmax_layer_has_the_gradient_of_the_book() -> None:
    """L = −Σ t·log softmax(xW): ∂L/∂W = xᵀ(softmax(xW) − t) where each row of t sums to 1 (Bishop, 2006, (4.109))."""
    graph = graph_of("L = -sum(t * log(softmax(x @ W)))")
    x, weights = GENERATOR.normal(size=(4, 3)), GENERATOR.normal(size=(3, 2))
    t = GENERATOR.dirichlet([1.0, 1.0], 4)
    exponentials = np.exp(x @ weights)
    expected = x.T @ (exponentials / exponentials.sum(axis=1, keepdims=True) - t)
    inputs = {"x": x, "W": weights, "t": t}
    for derived in (gradient_graph(graph, "L", ["W"]), posted_back(graph, "L", "W")):
        assert_alike(outputs_of(derived, inputs), [expected])


def test_an_operation_whose_rule_has_no_formula_is_named() -> None:
    graph = graph_of("F(x) = ReduceSum(sin(x))")
    *before, last = graph.nodes
    rule = replace(last.operation, contributions=lambda upstream, x, z, *attributes: (np.median(upstream) * x,))
    odd = replace(graph, nodes=(*before, Node("F", rule, last.inputs, last.attributes)))
    for derive in (lambda: gradient_graph(odd, "F", ["x"]), lambda: formula(odd, "F", "x")):
        with pytest.raises(
            InvalidRequest, match=r"there is no formula for the gradient at 'F' \(ReduceSum\): the grad"
        ):
            derive()
