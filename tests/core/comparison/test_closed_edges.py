"""Verdicts on recordings of programs that multiply 0 by ∞ along closed edges."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison.judging import compare
from service.core.comparison.listing import explained_first_difference
from service.core.comparison.replay import replay_gradients
from service.core.comparison.rounding import Weights
from service.core.comparison.verdicts import TOLERANCES, Verdict
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures
from service.core.graph.graph import Graph
from tests.passes import arrays_of, graph_of


def run_of(graph: Graph, inputs: dict[str, Any], changed: dict[str, float] | None = None) -> Run:
    """Run the graph; `changed` holds other gradients, by name."""
    values = forward_pass(graph, arrays_of(inputs))
    output = graph.outputs[0]
    gradients = backward_pass(graph, values, output)
    flat = gradients.flat.copy()
    for name, gradient in (changed or {}).items():
        flat[graph.position[name]] = gradient
    return Run(graph, values, backward=Backward(output, np.ones(()), Figures(flat, None, gradients.present)))


def test_nan_where_the_library_multiplies_is_its_convention_and_nan_behind_it_inherited() -> None:
    graph = graph_of("a = x * 1; s = sqrt(a); F = where(a > 0, s, 0)")
    inputs = {"x": -1.0}
    found = compare(run_of(graph, inputs), run_of(graph, inputs, {"a": np.nan, "x": np.nan}), TOLERANCES["float64"])
    assert found.backward is not None
    verdicts = {node.name: Verdict(verdict) for node, verdict in zip(graph.nodes, found.backward.verdicts, strict=True)}
    assert verdicts["a"] == Verdict.CONVENTION and verdicts["x"] == Verdict.INHERITED
    assert verdicts["s"] == verdicts["F"] == Verdict.SAME
    assert "torch" in found.conventions[graph.position["a"]]
    first = explained_first_difference(found)
    assert first is not None
    (hypothesis,) = first.hypotheses
    assert "NaN is 0 × ∞ along a closed edge, or behind it; PyTorch" in hypothesis.because


def test_a_number_in_place_of_what_flows_along_no_edge_is_an_origin() -> None:
    graph = graph_of("r = relu(x); F = sqrt(r)")
    for wrong in (5.0, np.inf):
        found = compare(run_of(graph, {"x": -1.0}), run_of(graph, {"x": -1.0}, {"x": wrong}), TOLERANCES["float64"])
        assert found.backward is not None
        assert found.backward.positions(Verdict.ORIGIN) == [graph.position["x"]]
    # Of the three libraries TensorFlow alone multiplies in relu.
    found = compare(run_of(graph, {"x": -1.0}), run_of(graph, {"x": -1.0}, {"x": np.nan}), TOLERANCES["float64"])
    assert found.conventions == {graph.position["x"]: ("tensorflow",)}
    graph = graph_of("y = exp(x); F = sqrt(y)")
    found = compare(run_of(graph, {"x": -1.0}), run_of(graph, {"x": -1.0}, {"x": np.nan}), TOLERANCES["float64"])
    assert found.backward is not None
    assert found.backward.positions(Verdict.ORIGIN) == [graph.position["x"]]


@pytest.mark.parametrize(
    "text",
    ["sqrt(relu(x))", "where(x > 0, sqrt(x), 0)", "sqrt(max(x, 0))", "sqrt(floor(x / 2 + 1))", "sqrt(sum(relu(x)))"],
)
def test_a_run_agrees_with_its_own_replay(text: str) -> None:
    graph = graph_of(text)
    for inputs in ({"x": -1.0}, {"x": 0.0}, {"x": [-1.0, 2.0, 0.0]}):
        values = forward_pass(graph, arrays_of(inputs))
        gradients = backward_pass(graph, values, graph.outputs[0])
        seed = np.ones(values.shape(graph.position[graph.outputs[0]]))
        replay = replay_gradients(graph, values, gradients, graph.outputs[0], seed, Weights(0.0, 0.0))
        np.testing.assert_array_equal(replay.expected.flat, gradients.flat)
