"""What steps say of a closed edge."""

import numpy as np
import pytest

from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.explanation.paths import Paths, find_paths
from service.core.explanation.steps import BackwardStep, explain_node
from service.core.figures.figures import pack
from tests.passes import arrays_of, graph_of


def closed(text: str, x: float, name: str = "x", convention: str = "minimum-norm") -> list[str | None]:
    graph = graph_of(text).with_convention(convention)
    values = forward_pass(graph, arrays_of({"x": x}))
    output = graph.outputs[0]
    run = Run(graph, values, backward=Backward(output, values[0] * 0 + 1.0, backward_pass(graph, values, output)))
    (step,) = (step for step in explain_node(run, name) if isinstance(step, BackwardStep))
    assert step.difference is None
    return [contribution.closed for contribution in step.contributions]


def test_a_step_says_that_nothing_passes_along_a_closed_edge() -> None:
    assert closed("r = relu(x); F = sqrt(r)", -1.0) == ["r = relu(x) is constant here: nothing of dF/dr = ∞ passes"]


def test_a_step_says_that_nothing_flows_behind_a_closed_edge() -> None:
    (found,) = (each for each in closed("s = sqrt(x); F = where(x > 0, s, 0)", -1.0) if each and " s " in each)
    assert found == "F does not depend on s here: nothing flows back through it"


def test_an_open_edge_has_no_such_sentence() -> None:
    assert closed("r = relu(x); F = sqrt(r)", 0.0) == [None]
    assert closed("r = relu(x); F = sqrt(r)", 4.0) == [None]
    assert closed("F = tanh(x)", 1000.0) == [None]
    assert closed("r = relu(x); F = sqrt(r)", -1.0, convention="torch") == [None]  # it selects, and passes 0


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


@pytest.mark.parametrize(
    ("text", "x", "total", "products"),
    [
        ("r = relu(x); F = sqrt(r)", -1.0, 0.0, [0.0]),
        ("F = where(x > 0, sqrt(x), 0) + x^2", -1.0, -2.0, [-2.0, 0.0, 0.0]),
        ("F = where(x > 1, 1/x, x)", 0.0, 1.0, [1.0, 0.0, 0.0]),
        ("F = sqrt(floor(x))", 0.5, 0.0, [0.0]),
        ("F = sqrt(x)^2", 0.0, np.nan, [np.nan]),
        ("F = sqrt(x)^2 + where(x > 0, log(x), x)", 0.0, np.nan, [np.nan, 1.0, 0.0, 0.0]),
    ],
)
def test_the_paths_of_a_gradient_sum_to_it_where_edges_are_closed(
    text: str, x: float, total: float, products: list[float]
) -> None:
    found, gradient = paths_of(text, x, "minimum-norm")
    np.testing.assert_array_equal([found.sum, gradient], total)
    np.testing.assert_array_equal([path.product for path in found.paths], products)


def test_under_a_librarys_convention_a_path_ends_where_the_library_ends_it() -> None:
    for text, convention, total in (("sqrt(floor(x))", "jax", 0.0), ("where(x, sqrt(x - 0.5), 1)", "torch", np.inf)):
        found, gradient = paths_of(f"F = {text}", 0.5, convention)
        assert found.sum == gradient == total


def paths_of(text: str, x: float, convention: str) -> tuple[Paths, float]:
    """The paths from x to F, and the run's gradient of x."""
    graph = graph_of(text).with_convention(convention)
    values = forward_pass(graph, arrays_of({"x": x}))
    gradients = backward_pass(graph, values, "F")
    run = Run(graph, values, backward=Backward("F", np.ones(()), gradients))
    return find_paths(run, "F", "x", 9), float(gradients.flat[graph.position["x"]])
