"""What is wrong with a sweep is said, with its place, before anything is computed."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.core.comparison.verdicts import TOLERANCES
from service.core.errors import Invalid, LimitExceeded
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.sweeps.axes import Linspace, Logspace, Normal, Uniform, Values
from service.core.sweeps.planning import plan_sweep
from service.core.sweeps.sweep import Sweep
from tests.passes import graph_of

PRODUCT, PAIR = graph_of("F(a, b) = a * b"), graph_of("F = a * b; G = a + b")
EXACT = TOLERANCES["exact"]
AB: dict[str, Any] = {"a": Linspace(0.0, 1.0, 3), "b": Linspace(0.0, 1.0, 4)}


def faults_of(plan: Callable[[], Sweep]) -> list[tuple[str, str]]:
    """The places and sentences of all that is wrong."""
    with pytest.raises(Invalid) as raised:
        plan()
    return [("/" + "/".join(map(str, fault.location)), fault.detail) for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("inputs", "options", "place", "words"),
    [
        ({**AB, "a": Linspace(0.0, 1.0, 0)}, {}, "/inputs/a/linspace", "has no value"),
        ({**AB, "a": Values(np.zeros(0))}, {}, "/inputs/a/values", "has no value"),
        ({**AB, "b": Normal(0.0, 1.0, -1)}, {}, "/inputs/b/normal", "has no value"),
        ({**AB, "a": Linspace(-1.5e308, 1.5e308, 5)}, {}, "/inputs/a/linspace", "leaves the range"),
        ({**AB, "a": Logspace(0.0, 400.0, 5)}, {}, "/inputs/a/logspace", "leaves the range"),
        ({**AB, "a": Normal(np.nan, 1.0, 5)}, {}, "/inputs/a/normal", "leaves the range"),
        ({**AB, "a": Normal(0.0, -1.0, 5)}, {}, "/inputs/a/normal/1", "0 or more"),
        ({**AB, "a": Uniform(2.0, 1.0, 5)}, {}, "/inputs/a/uniform", "between 2.0 and 1.0"),
        (AB, {"mode": "zip"}, "/inputs/b/linspace", "'a' has 3, 'b' 4"),
        ({"a": AB["a"]}, {}, "/inputs", "the input 'b' is missing"),
        ({**AB, "c": np.array(1.0)}, {}, "/inputs/c", "no input 'c'"),
        (AB, {"reduce": ["median"]}, "/reduce", "one of min, max"),
        (AB, {"gradients": True, "output": "H"}, "/output", "no node 'H'"),
    ],
)
def test_a_fault_has_its_place(inputs: dict[str, Any], options: dict[str, Any], place: str, words: str) -> None:
    ((found, detail),) = faults_of(lambda: plan_sweep(PRODUCT, inputs, **options))
    assert found == place and words in detail


@pytest.mark.parametrize(
    ("graph", "inputs", "place", "words"),
    [
        (graph_of("F(a, x) = a * x"), {"a": AB["a"], "x": np.ones(3)}, "/outputs", "these are its `values`"),
        (graph_of("F(a, x) = sum(a @ x)"), {"a": AB["a"], "x": np.ones(3)}, "/inputs/a", ""),
    ],
)
def test_tensors_are_refused_where_scalars_are_kept(
    graph: Graph, inputs: dict[str, Any], place: str, words: str
) -> None:
    ((found, detail),) = faults_of(lambda: plan_sweep(graph, inputs))
    assert found == place and words in detail


def test_an_output_is_named_where_there_are_several() -> None:
    assert plan_sweep(PAIR, AB).columns == ("F", "G")
    assert faults_of(lambda: plan_sweep(PAIR, AB, gradients=True))[0][0] == "/output"
    assert plan_sweep(PAIR, AB, gradients=True, output="G").columns == ("F", "G", "dG/da", "dG/db")


def test_graphs_that_cannot_be_held_against_each_other_are_refused() -> None:
    other = graph_of("G(a, c) = a + c")
    assert faults_of(lambda: plan_sweep(PRODUCT, AB, against=(other, {}, EXACT)))[0][0] == "/against/graph"
    named = faults_of(lambda: plan_sweep(PRODUCT, AB, against=(graph_of("G(a, b) = b * a"), {}, EXACT)))
    assert named[0][0] == "/against/outputs" and "no node 'F'" in named[0][1]
    unknown = faults_of(lambda: plan_sweep(PRODUCT, AB, against=(PRODUCT, {"Q": "F"}, EXACT)))
    assert unknown[0][0] == "/against/outputs/Q"


def test_each_figure_of_a_point_has_a_name_of_its_own() -> None:
    graph = graph_of("`dF/da` = a + b; F = a * `dF/da`")
    assert plan_sweep(graph, AB).columns == ("F",)
    both = faults_of(lambda: plan_sweep(graph, AB, gradients=True, outputs=["F", "dF/da"]))
    assert both == [("/outputs", "two figures of each point would be called 'dF/da'")]
    taken = graph_of("F = a * `dF/da`")
    inputs = {"a": AB["a"], "dF/da": AB["b"]}
    assert faults_of(lambda: plan_sweep(taken, inputs, gradients=True))[0][0] == "/outputs"
    assert plan_sweep(taken, inputs, outputs=["F", "a"]).columns == ("F", "a")


def test_whole_numbers_have_no_gradient() -> None:
    nodes: list[dict[str, Any]] = [
        {"name": "n", "operation": "Input", "attributes": {"dtype": "int64"}},
        {"name": "x", "operation": "Input"},
        {"name": "F", "operation": "Mul", "inputs": ["n", "x"]},
    ]
    graph, x = build_graph(nodes), np.array(2.0)
    assert plan_sweep(graph, {"n": Linspace(0.0, 2.0, 3), "x": x}, gradients=True).columns == ("F", "dF/dx")
    ((place, words),) = faults_of(lambda: plan_sweep(graph, {"n": Linspace(0.0, 2.0, 6), "x": x}))
    assert place == "/inputs/n" and "whole numbers" in words
    ((place, words),) = faults_of(lambda: plan_sweep(graph_of("F = exp(1)"), {}, check=True))
    assert place == "/gradients" and "nothing to differentiate" in words


def test_a_thousand_million_points_are_made_one_chunk_at_a_time() -> None:
    axes: list[Any] = [Linspace(0.0, 1.0, 1000), Logspace(0.0, 1.0, 1000), Uniform(0.0, 1.0, 1000)]
    graph = graph_of("F(a, b, c) = a * b + c")
    sweep = plan_sweep(graph, dict(zip("abc", axes, strict=True)))
    assert (sweep.points, sweep.chunks, len(sweep.numbers(99_999))) == (10**9, 100_000, 10_000)
    last = sweep.at(np.array([0, 10**9 - 1]))
    assert last["a"].tolist() == [0.0, 1.0] and last["b"].tolist() == [1.0, 10.0]
    with pytest.raises(LimitExceeded) as raised:
        plan_sweep(graph, dict(zip("abc", axes, strict=True)), max_points=10**9 - 1)
    assert (raised.value.limit, raised.value.actual) == ("sweep_points", 10**9)
    again: Sweep = pickle.loads(pickle.dumps(sweep))
    assert again.columns == sweep.columns and np.array_equal(again.at(np.arange(5))["c"], sweep.at(np.arange(5))["c"])


def test_a_sweep_without_axes_is_one_point() -> None:
    sweep = plan_sweep(PRODUCT, {"a": np.array(2.0), "b": np.array(3.0)})
    assert (sweep.points, sweep.chunks) == (1, 1)
    assert plan_sweep(graph_of("c = 2; F = c * c"), {}).points == 1
