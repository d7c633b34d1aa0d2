"""What steps say of a closed edge."""

from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.explanation.steps import BackwardStep, explain_node
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
