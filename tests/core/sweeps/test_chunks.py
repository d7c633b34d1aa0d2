"""A chunk's columns are the figures of runs at its points, whichever chunk holds a point."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.comparison.verdicts import TOLERANCES, Tolerance
from service.core.errors import InvalidInputs
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import FloatArray, same_bits
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.sweeps import chunks
from service.core.sweeps.axes import Axis, Linspace, Normal, Values
from service.core.sweeps.chunks import Stopped, compute_chunk, read_chunk, read_chunk_reductions
from service.core.sweeps.planning import plan_sweep
from service.core.sweeps.reductions import Extreme, merge
from service.core.sweeps.sweep import Sweep
from tests.elementwise import ELEMENTWISE, EXTREMES, attribute_samples, operand_counts
from tests.passes import graph_of

BLOG = "F(a, b, c, d) = ((a + b) * c) / d"


def columns_of(graph: Graph, sweep: Sweep) -> dict[str, FloatArray]:
    """The columns of all chunks, joined."""
    parts = [read_chunk(sweep, compute_chunk([graph], sweep, number)) for number in range(sweep.chunks)]
    return {name: np.concatenate([part[name] for part in parts]) for name in sweep.columns}


def test_a_grid_varies_the_first_input_slowest() -> None:
    graph = graph_of("F(a, b, c) = 100 * a + 10 * b + c")
    sweep = plan_sweep(graph, {"a": Linspace(0.0, 1.0, 2), "b": Values(np.array([1.0, 2.0, 3.0])), "c": np.array(4.0)})
    assert (sweep.points, sweep.chunks, sweep.columns) == (6, 1, ("F",))
    assert columns_of(graph, sweep)["F"].tolist() == [14.0, 24.0, 34.0, 114.0, 124.0, 134.0]


def test_side_by_side() -> None:
    graph = graph_of("F(a, b) = a * b")
    sweep = plan_sweep(graph, {"a": Linspace(1.0, 3.0, 3), "b": Values(np.array([2.0, 0.0, -1.0]))}, mode="zip")
    assert columns_of(graph, sweep)["F"].tolist() == [2.0, 0.0, -3.0]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_figures_are_those_of_a_batch_whatever_the_chunks(chunk: int) -> None:
    graph = graph_of("F(a, b, c, d) = tanh(a * b) + sin(c) ^ 3 / d + relu(a)")
    inputs: dict[str, Axis | FloatArray] = {"a": Normal(0.0, 2.0, 5, seed=1), "b": Linspace(-3.0, 3.0, 7)}
    inputs |= {"c": Values(np.array([0.1, np.nan, np.inf])), "d": np.array(3.0)}
    sweep = plan_sweep(graph, inputs, gradients=True, chunk=chunk)
    found = columns_of(graph, sweep)
    values = forward_pass(graph, sweep.at(np.arange(sweep.points)))
    gradients = backward_pass(graph, values, "F")
    expected: dict[str, Any] = {"F": values[graph.position["F"]]}
    expected |= {f"dF/d{name}": gradients[graph.position[name]] for name in graph.inputs}
    assert list(found) == list(expected)
    for name, column in found.items():
        assert same_bits(column, expected[name]).all(), name


def test_the_points_of_a_very_large_graph_are_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(BLOG)
    sweep = plan_sweep(graph, {name: Linspace(1.0, 2.0, 2) for name in "abcd"}, gradients=True, chunk=5)
    together = columns_of(graph, sweep)
    monkeypatch.setattr(chunks, "_AT_ONCE", 2 * chunks._WORTH_A_CALL * len(graph) - 1)
    assert chunks.batch_of(graph, sweep, ((),) * len(graph)) is None
    for name, column in columns_of(graph, sweep).items():
        assert column.tolist() == pytest.approx(together[name].tolist(), rel=1e-14)


def test_no_rule_depends_on_the_points_beside_one() -> None:
    random, extremes = np.random.default_rng(1), np.array(EXTREMES)
    for operation in ELEMENTWISE:
        names = [f"x{number}" for number in range(operand_counts(operation)[-1])]
        nodes: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names]
        attributes = next(attribute_samples(operation))
        nodes.append({"name": "F", "operation": operation.name, "inputs": names, "attributes": attributes})
        columns = (np.append(random.permutation(extremes), random.normal(size=10)) for _ in names)
        inputs: dict[str, Axis | FloatArray] = dict(zip(names, map(Values, columns), strict=True))
        graph = build_graph(nodes)
        whole = plan_sweep(graph, inputs, mode="zip", gradients=True, chunk=1000)
        expected, found = columns_of(graph, whole), columns_of(graph, replace(whole, chunk=8))
        for name in whole.columns:
            assert same_bits(found[name], expected[name]).all(), (operation.name, name)


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


def test_a_point_that_is_refused_is_named() -> None:
    nodes: list[dict[str, Any]] = [
        {"name": "x", "operation": "Input"},
        {"name": "i", "operation": "Input", "attributes": {"dtype": "int64"}},
        {"name": "F", "operation": "Gather", "inputs": ["x", "i"]},
    ]
    graph = build_graph(nodes)
    sweep = plan_sweep(graph, {"x": np.arange(3.0), "i": Linspace(0.0, 4.0, 5)}, chunk=2)
    assert read_chunk(sweep, compute_chunk([graph], sweep, 0))["F"].tolist() == [0.0, 1.0]
    with pytest.raises(InvalidInputs, match=r"point 3: .*index 3 is out of range"):
        compute_chunk([graph], sweep, 1)


@pytest.mark.parametrize("check", [False, True])
def test_a_stopped_chunk_is_given_up(check: bool) -> None:
    graph, asked = graph_of(BLOG), iter([False, True])
    sweep = plan_sweep(graph, {name: Linspace(1.0, 2.0, 2) for name in "abcd"}, check=check)
    with pytest.raises(Stopped):
        compute_chunk([graph], sweep, 0, lambda: not check or next(asked))


SOFTPLUS = [graph_of("F(x) = log(1 + exp(x))"), graph_of("G(x) = max(x, 0) + log1p(exp(-abs(x)))")]


def test_two_implementations_part_where_one_overflows() -> None:
    against = (SOFTPLUS[1], {"F": "G"}, Tolerance(1e-9, 0.0))
    sweep = plan_sweep(SOFTPLUS[0], {"x": Linspace(-800.0, 800.0, 1601)}, gradients=True, against=against, chunk=500)
    assert sweep.columns == ("F", "dF/dx", "against F", "against dF/dx")
    parts = [compute_chunk(SOFTPLUS, sweep, number) for number in range(sweep.chunks)]
    found = merge(list(map(read_chunk_reductions, reversed(parts))))
    parting = found.partings["against F"]
    assert parting.first is not None and parting.greatest is not None
    assert sweep.at(np.array([parting.first, parting.greatest.point]))["x"].tolist() == [-745.0, 710.0]
    assert parting.greatest.value == np.inf
    assert found.columns["F"].above == 91 and found.columns["against F"].above == 0
    exact = plan_sweep(SOFTPLUS[0], {"x": Linspace(-1.0, 1.0, 9)}, against=(SOFTPLUS[0], {}, TOLERANCES["exact"]))
    same = read_chunk_reductions(compute_chunk([SOFTPLUS[0]], exact, 0)).partings["against F"]
    assert (same.count, same.first, same.greatest) == (0, None, Extreme(0.0, 0))


def test_gradients_are_checked_at_every_point() -> None:
    graph = graph_of("F(a, b) = relu(a) * b")
    sweep = plan_sweep(graph, {"a": Linspace(-1.0, 1.0, 3), "b": np.array(2.0)}, check=True)
    data = compute_chunk([graph], sweep, 0)
    found = read_chunk(sweep, data)
    assert list(found)[-4:] == ["estimate dF/da", "estimate dF/db", "verdict dF/da", "verdict dF/db"]
    assert found["verdict dF/da"].tolist() == [0.0, 1.0, 0.0]
    assert found["estimate dF/da"].tolist() == pytest.approx([0.0, np.nan, 2.0], nan_ok=True)
    parting = read_chunk_reductions(data).partings["estimate dF/da"]
    assert (parting.count, parting.first, parting.unjudged) == (0, None, 1)


def test_only_reductions_are_kept_where_they_are_asked_for() -> None:
    graph = graph_of(BLOG)
    inputs = {name: Linspace(1.0, 2.0, 4) for name in "abcd"}
    kept, reduced = plan_sweep(graph, inputs), plan_sweep(graph, inputs, reduce=["min", "histogram"])
    whole, small = (compute_chunk([graph], sweep, 0) for sweep in (kept, reduced))
    assert read_chunk(reduced, small) == {}
    assert len(small) < 1000 and len(read_chunk(kept, whole)["F"]) == kept.points
    found, all_of_them = (read_chunk_reductions(data).columns["F"] for data in (small, whole))
    assert found.least == all_of_them.least == Extreme(1.0, 3)
    assert found.histogram == all_of_them.histogram != []
    assert (found.total, all_of_them.total > 0) == (0, True)


def test_a_constant_is_at_every_point() -> None:
    graph = graph_of("c = 2; F = c * x")
    sweep = plan_sweep(graph, {"x": Linspace(0.0, 1.0, 3)}, outputs=["c", "x", "F"])
    assert columns_of(graph, sweep) == {
        "c": pytest.approx([2.0, 2.0, 2.0]),
        "x": pytest.approx([0.0, 0.5, 1.0]),
        "F": pytest.approx([0.0, 1.0, 2.0]),
    }
