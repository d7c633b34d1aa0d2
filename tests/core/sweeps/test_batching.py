"""A graph over tensors that follow from scalars gives at many points what it gives at each."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import FloatArray, same_bits
from service.core.graph.graph import Graph
from service.core.rulebook.operation import CONVENTIONS
from service.core.rulebook.operations.reduction import reduced_shape
from service.core.rulebook.registry import operations
from service.core.sweeps.axes import Axis, Normal, Values
from service.core.sweeps.chunks import batch_of, compute_chunk, first_shapes, read_chunk
from service.core.sweeps.planning import plan_sweep
from service.core.sweeps.sweep import Sweep
from tests.passes import graph_of

X, Y = np.random.default_rng(1).normal(size=(7, 5)), np.random.default_rng(2).normal(size=5)
TOGETHER = [
    "F = mean((tanh(w * x + b) - y) ^ 2)",
    "F = sum(sum(x * w, axis=0) * y) + b",
    "F = max(x * w + b) + min(w * y)",
    "F = sum(x / sum(exp(x * w), axis=1, keepdims=True)) * b",
    "F = sum(w) + mean(b) + sum(x) + sum(y * 2)",
    "F = var(x * w) + std(y * b + w)",
]
APART = [
    "F = sum(sum(x * w, axis=1) * b)",
    "F = sum(x @ (w * y)) + b",
    "F = sum(1 + sum(2)) * w + sum(x * b * y)",
    "F = sum(e * w) + b",
]
REDUCTIONS = [each.name for each in operations() if each.infer_shape is reduced_shape]


def sweep_of(text: str) -> tuple[Graph, Sweep]:
    """Over w and b, with what else the graph takes of tensors."""
    graph = graph_of(text)
    given: dict[str, Axis | FloatArray] = {"w": Normal(0.0, 1.0, 3), "b": Normal(1.0, 1.0, 3), "x": X, "y": Y}
    given["e"] = np.zeros((0, 3))
    taken = {name: each for name, each in given.items() if name in graph.inputs}
    return graph, plan_sweep(graph, taken, mode="zip", gradients=True)


def figures_of(graph: Graph, sweep: Sweep) -> dict[str, FloatArray]:
    """The columns of all chunks, joined."""
    parts = [read_chunk(sweep, compute_chunk([graph], sweep, number)) for number in range(sweep.chunks)]
    return {name: np.concatenate([part[name] for part in parts]) for name in sweep.columns}


def hold(graph: Graph, sweep: Sweep) -> None:
    """All points together, each by itself in a chunk, and runs give the same."""
    found, points = figures_of(graph, sweep), sweep.at(np.arange(sweep.points))
    alone = figures_of(graph, replace(sweep, chunk=1))
    assert all(same_bits(found[name], alone[name]).all() for name in sweep.columns)
    for row in range(sweep.points):
        point: dict[str, Any] = {**sweep.fixed, **{name: column[row] for name, column in points.items()}}
        run = graph.with_convention(sweep.convention)
        values = forward_pass(run, point)
        gradients = backward_pass(run, values, "F")
        expected: list[Any] = [values[graph.position["F"]], *(gradients[graph.position[name]] for name in sweep.wrt)]
        near = pytest.approx([each.item() for each in expected], rel=1e-12, nan_ok=True)
        assert [column[row] for column in found.values()] == near


@pytest.mark.parametrize("text", [*TOGETHER, *APART])
def test_figures_are_those_of_a_run_at_each_point(text: str) -> None:
    graph, sweep = sweep_of(text)
    assert (batch_of(graph, sweep, first_shapes(graph, sweep)) is None) == (text in APART)
    hold(graph, sweep)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_every_reduction_is_computed_over_points(name: str) -> None:
    graph = graph_of(f"F = {name}(x * w + b, axes=[0, 1], keepdims=0) + {name}(w * b)")
    w = Values(np.array([0.5, 0.0, np.nan, np.inf, 1e200, 1e-200]))
    hold(graph, plan_sweep(graph, {"x": X, "w": w, "b": np.array(0.0)}, gradients=True))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_ties_and_what_is_not_finite_are_as_in_a_run(convention: str) -> None:
    graph = graph_of("F = max(y * 0 + w) + max(max(x * w, axis=0)) + sum(relu(x * w)) + std(y * 0 + w) + b")
    w = Values(np.array([0.0, 1.0, np.nan, np.inf, -1.0, -np.inf, 1e308]))
    inputs: dict[str, Axis | FloatArray] = {"w": w, "b": np.array(1.0), "x": np.round(X), "y": Y}
    hold(graph, plan_sweep(graph, inputs, gradients=True, convention=convention))
