"""A chunk's columns are the figures of runs at its points, whichever chunk holds a point."""

from typing import Any

import numpy as np
import pytest

from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import FloatArray, same_bits
from service.core.graph.graph import Graph
from service.core.sweeps.axes import Linspace, Normal, Values
from service.core.sweeps.chunks import Stopped, compute_chunk, read_chunk
from service.core.sweeps.planning import plan_sweep
from service.core.sweeps.sweep import Sweep
from tests.passes import graph_of

BLOG = "F(a, b, c, d) = ((a + b) * c) / d"


def columns_of(graph: Graph, sweep: Sweep) -> dict[str, FloatArray]:
    """The columns of all chunks, joined."""
    chunks = [read_chunk(sweep, compute_chunk([graph], sweep, number)) for number in range(sweep.chunks)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in sweep.columns}


def test_a_grid_varies_the_first_input_slowest() -> None:
    graph = graph_of("F(a, b, c) = 100 * a + 10 * b + c")
    inputs = {"a": Linspace(0.0, 1.0, 2), "b": Values(np.array([1.0, 2.0, 3.0])), "c": np.array(4.0)}
    sweep = plan_sweep(graph, inputs)
    assert (sweep.points, sweep.chunks, sweep.columns) == (6, 1, ("F",))
    assert columns_of(graph, sweep)["F"].tolist() == [14.0, 24.0, 34.0, 114.0, 124.0, 134.0]


def test_side_by_side() -> None:
    graph = graph_of("F(a, b) = a * b")
    sweep = plan_sweep(graph, {"a": Linspace(1.0, 3.0, 3), "b": Values(np.array([2.0, 0.0, -1.0]))}, mode="zip")
    assert columns_of(graph, sweep)["F"].tolist() == [2.0, 0.0, -3.0]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_figures_are_those_of_a_batch_whatever_the_chunks(chunk: int) -> None:
    graph = graph_of("F(a, b, c, d) = tanh(a * b) + sin(c) ^ 3 / d + relu(a)")
    axes = {"a": Normal(0.0, 2.0, 5, seed=1), "b": Linspace(-3.0, 3.0, 7), "c": Values(np.array([0.1, np.nan, np.inf]))}
    sweep = plan_sweep(graph, {**axes, "d": np.array(3.0)}, gradients=True, chunk=chunk)
    found = columns_of(graph, sweep)
    inputs = sweep.at(np.arange(sweep.points))
    values = forward_pass(graph, inputs)
    gradients = backward_pass(graph, values, "F")
    expected: dict[str, Any] = {"F": values[graph.position["F"]]}
    expected |= {f"dF/d{name}": gradients[graph.position[name]] for name in graph.inputs}
    assert list(found) == list(expected)
    for name, column in found.items():
        assert same_bits(column, expected[name]).all(), name


def test_tensors_are_fixed_and_each_point_is_run() -> None:
    graph = graph_of("F(x, w, b) = sum((x @ (w * x) + b) ^ 2)")
    x = np.array([[1.0, 2.0], [3.0, -1.0]])
    sweep = plan_sweep(graph, {"x": x, "w": Linspace(-1.0, 1.0, 3), "b": Normal(0.0, 1.0, 2)}, gradients=True, chunk=4)
    found, points = columns_of(graph, sweep), sweep.at(np.arange(6))
    assert list(found) == ["F", "dF/dw", "dF/db"]
    for row in range(6):
        values = forward_pass(graph, {"x": x, "w": points["w"][row], "b": points["b"][row]})
        gradients = backward_pass(graph, values, "F")
        assert found["F"][row] == values[graph.position["F"]]
        assert [found["dF/dw"][row], found["dF/db"][row]] == [gradients[graph.position[name]] for name in "wb"]


def test_a_stopped_chunk_is_given_up() -> None:
    graph = graph_of(BLOG)
    sweep = plan_sweep(graph, {name: Linspace(1.0, 2.0, 10) for name in "abcd"})
    with pytest.raises(Stopped):
        compute_chunk([graph], sweep, 0, lambda: True)
