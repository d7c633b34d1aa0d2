"""What steps say of a closed edge."""

import numpy as np

from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.explanation.steps import BackwardStep, explain_node
from service.core.figures.figures import pack
from tests.passes import arrays_of, graph_of


def closed(text: str, x: float, name: str = "x") -> list[str | None]:
    graph = graph_of(text)
    values = forward_pass(graph, arrays_of({"x": x}))
    output = graph.outputs[0]
    run = Run(graph, values, backward=Backward(output, values[0] * 0 + 1.0, backward_pass(graph, values, output)))
    (step,) = (step for step in explain_node(run, name) if isinstance(step, BackwardStep))
    assert step.difference is None
    return [contribution.closed for contribution in step.contributions]


def test_a_step_says_that_nothing_passes_along_a_closed_edge() -> None:
    assert closed("r = relu(x); F = sqrt(r)", -1.0) == ["r = relu(x) is constant here: nothing of dF/dr = ∞ passes"]


def test_an_open_edge_has_no_such_sentence() -> None:
    assert closed("r = relu(x); F = sqrt(r)", 0.0) == [None]
    assert closed("r = relu(x); F = sqrt(r)", 4.0) == [None]
    assert closed("F = tanh(x)", 1000.0) == [None]


def test_an_operation_that_is_not_elementwise_has_no_such_sentence() -> None:
    graph = graph_of("F = x[1]")
    values = forward_pass(graph, arrays_of({"x": [1.0, 2.0]}))
    run = Run(graph, values, backward=Backward("F", np.ones(()), backward_pass(graph, values, "F")))
    (step,) = (step for step in explain_node(run, "x") if isinstance(step, BackwardStep))
    assert [contribution.closed for contribution in step.contributions] == [None]


def test_where_values_are_unknown_a_step_multiplies_plainly() -> None:
    """Whether an edge further on is closed follows from the values, here from that of an input."""
    graph = graph_of("s = sqrt(x); F = where(c > 0, s, 1)")
    values = forward_pass(graph, arrays_of({"x": 0.0, "c": -1.0}))
    gradients = backward_pass(graph, values, "F")
    for known, expected in ((True, 0.0), (False, np.nan)):
        kept = [value if known or node.name != "c" else None for node, value in zip(graph.nodes, values, strict=True)]
        run = Run(graph, pack(kept), backward=Backward("F", np.ones(()), gradients))
        (step,) = (step for step in explain_node(run, "x") if isinstance(step, BackwardStep))
        assert step.sum is not None and np.array_equal(step.sum, expected, equal_nan=True)
