"""On random graphs the gradient along open edges is that of the graph in which each closed edge is cut.

Whether an edge is closed is found by moving its operand, and nothing is masked in the graph that is cut.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from service.core.derivatives.gradient_graph import gradient_graph
from service.core.derivatives.jacobian import jacobian
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from tests.examples import examples
from tests.passes import Named, array_loop, arrays_of
from tests.planted import gradients_of, values_of

POINTS = (-1.0, -0.25, 0.0, 0.5, 1.0, 2.5, 4.0)
INPUTS = ("x", "y", "w")
STEEP = ("Sqrt", "Log", "Reciprocal", "Div", "Mul", "Add", "Sub", "Exp")
CLOSING = ("Relu", "Max", "Min", "Floor", "Sign", "Greater", "LessOrEqual", "Abs", "Where")
ARITY = dict.fromkeys(("Div", "Mul", "Add", "Sub", "Max", "Min", "Greater", "LessOrEqual"), 2) | {"Where": 3}
# What else does not change with an operand there, a product with 0 as well, closes no edge.
CLOSED = frozenset(CLOSING) - {"Abs"}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A graph of a few scalars, whose last node is the output."""
    documents: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in INPUTS]
    documents.append({"name": "zero", "operation": "Constant", "attributes": {"value": 0.0}})
    for number in range(draw(st.integers(2, 8))):
        operation = draw(st.sampled_from(STEEP + CLOSING))
        names = [document["name"] for document in documents]
        chosen = [draw(st.sampled_from(names[-5:])) for _ in range(ARITY.get(operation, 1))]
        documents.append({"name": f"n{number}", "operation": operation, "inputs": chosen})
    return build_graph(documents, [documents[-1]["name"]])


def is_closed(graph: Graph, position: int, operand_index: int, values: Sequence[Any]) -> bool:
    """Whether the node stays as it is when that operand alone moves a little, an infinite one to large numbers."""
    node, operands = graph.nodes[position], [values[source] for source in graph.operands[position]]
    if node.operation.name == "Where":
        return operand_index != (1 if operands[0] else 2)
    x = operands[operand_index]
    if np.isinf(x) and operands.count(x) > 1:
        return False  # two equal infinities stand at the jump, as other equal numbers do
    beside = [x - 2**-20, x + 2**-20] if np.isfinite(x) else [np.copysign(1e300, x)]
    moved = [
        float(node.operation.evaluate([*operands[:operand_index], other, *operands[operand_index + 1 :]]))
        for other in beside
    ]
    return node.operation.name in CLOSED and all(other == values[position] for other in moved)


def with_cut_edges(graph: Graph, values: Sequence[Any]) -> Graph:
    """The graph with a Constant in place of each operand along whose edge nothing flows."""
    documents: list[dict[str, Any]] = []
    for position, node in enumerate(graph.nodes):
        inputs = list(node.inputs)
        for operand_index, source in enumerate(graph.operands[position]):
            if is_closed(graph, position, operand_index, values):
                inputs[operand_index] = f"cut {position} {operand_index}"
                value = {"value": float(values[source])}
                documents.append({"name": inputs[operand_index], "operation": "Constant", "attributes": value})
        attributes = {"attributes": dict(node.attributes)} if node.attributes else {}
        documents.append({"name": node.name, "operation": node.operation.name, "inputs": inputs, **attributes})
    return build_graph(documents, graph.outputs)


def compares_nan(graph: Graph, values: Sequence[Any]) -> bool:
    """Whether a node that may close an edge decides by a NaN."""
    return any(
        np.isnan(values[source])
        for position, node in enumerate(graph.nodes)
        if node.operation.name in CLOSED
        for source in graph.operands[position][: 1 if node.operation.name == "Where" else None]
    )


def outputs_of(graph: Graph, inputs: Named) -> list[Any]:
    """The values of the graph's outputs."""
    values = forward_pass(graph, inputs)
    return [values[graph.position[name]] for name in graph.outputs]


@settings(max_examples=examples(150), suppress_health_check=list(HealthCheck))
@given(graphs(), st.tuples(*[st.sampled_from(POINTS)] * len(INPUTS)))
def test_gradients_are_those_of_the_graph_without_the_closed_edges(graph: Graph, point: tuple[float, ...]) -> None:
    inputs, output = arrays_of(dict(zip(INPUTS, point, strict=True))), graph.outputs[0]
    with array_loop(), np.errstate(all="ignore"):
        values = forward_pass(graph, inputs)
        assume(not compares_nan(graph, values))
        cut = with_cut_edges(graph, list(values))
        expected = gradients_of(cut, values_of(cut, inputs), output)
        gradients = backward_pass(graph, values, output)
        derived = outputs_of(gradient_graph(graph, output, INPUTS), inputs)
        blocks = jacobian(graph, values, [output], INPUTS)
    for name, slope in zip(INPUTS, derived, strict=True):
        right = expected[cut.position[name]]
        np.testing.assert_array_equal(gradients[graph.position[name]], right, err_msg=f"{name}, by the run")
        np.testing.assert_allclose(blocks[output, name], right, rtol=1e-12, err_msg=f"{name}, by the Jacobian")
        np.testing.assert_allclose(slope, right, rtol=1e-12, err_msg=f"{name}, by the gradient graph")


LEAVING_OUT: dict[str, dict[str, Any]] = {
    "Slice": {"starts": [1], "ends": [3], "axes": [0]},
    "Pad": {"pads": [-1, 1]},
    "Softmax": {"axis": 0},
    "ReduceMax": {"keepdims": 1},
    "ReduceMean": {"keepdims": 1},
}


@st.composite
def graphs_of_vectors(draw: st.DrawFn) -> Graph:
    """A graph of a few vectors of three elements, or less, whose last node sums one up."""
    documents: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in INPUTS]
    lengths = dict.fromkeys(INPUTS, 3)
    for number in range(draw(st.integers(2, 7))):
        operation, name = draw(st.sampled_from([*STEEP, *CLOSING, *LEAVING_OUT])), f"n{number}"
        first = draw(st.sampled_from([*lengths][-4:]))
        beside = [other for other, length in lengths.items() if length in (1, lengths[first])]
        others = [draw(st.sampled_from(beside)) for _ in range(ARITY.get(operation, 1) - 1)]
        document: dict[str, Any] = {"name": name, "operation": operation, "inputs": [first, *others]}
        if operation in LEAVING_OUT:
            document["attributes"] = LEAVING_OUT[operation]
        documents.append(document)
        lengths[name] = 1 if operation in {"ReduceMax", "ReduceMean"} else lengths[first] - (operation == "Slice")
        if not lengths[name]:
            break
    documents.append({"name": "F", "operation": "ReduceSum", "inputs": [documents[-1]["name"]]})
    return build_graph(documents, ["F"])


@settings(max_examples=examples(100), suppress_health_check=list(HealthCheck))
@given(graphs_of_vectors(), st.lists(st.tuples(*[st.sampled_from(POINTS)] * 3), min_size=3, max_size=3))
def test_gradient_graphs_of_vectors_have_the_gradients_of_the_run(graph: Graph, rows: list[tuple[float, ...]]) -> None:
    inputs = arrays_of(dict(zip(INPUTS, rows, strict=True)))
    values = forward_pass(graph, inputs)
    gradients = backward_pass(graph, values, "F")
    for name, slope in zip(INPUTS, outputs_of(gradient_graph(graph, "F", INPUTS), inputs), strict=True):
        right = gradients[graph.position[name]]
        assert right is not None
        np.testing.assert_allclose(slope, right, rtol=1e-9, atol=1e-12, err_msg=name)
