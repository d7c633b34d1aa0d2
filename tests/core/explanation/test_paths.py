"""Paths: what all of them come to is the gradient, and the largest are found first, against plain enumeration."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from service.core.errors import Conflict, InvalidRequest
from service.core.execution.run import Run
from service.core.explanation.paths import Paths, find_paths
from service.core.explanation.steps import BackwardStep, explain_node
from service.core.figures.figures import no_figures
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from tests.core.explanation.test_steps import AT, TUTORIAL, run_of
from tests.passes import graph_of, near
from tests.random_graphs import Point, points

EVERY = 10**6


def paths_of(text: str, inputs: Any, node: str, limit: int = EVERY, **options: Any) -> Paths:
    """The paths from a node of an expression."""
    return paths_to_output(run_of(graph_of(text), inputs, **options), node, limit)


def paths_to_output(run: Run, node: str, limit: int) -> Paths:
    """The paths from a node to the output of the backward pass."""
    assert run.backward is not None
    return find_paths(run, run.backward.output, node, limit)


def ladder(rungs: int) -> Graph:
    """y0 = x + x, y1 = y0 + y0 …: 2 to the power `rungs` paths."""
    nodes: list[dict[str, Any]] = [{"name": "x", "operation": "Input"}]
    nodes += [
        {"name": f"y{rung}", "operation": "Add", "inputs": [nodes[-1]["name"] if rung == 0 else f"y{rung - 1}"] * 2}
        for rung in range(rungs)
    ]
    return build_graph(nodes)


def products(run: Run, node: str) -> Iterator[float]:
    """The product of every path, by plain recursion over the steps' own local gradients."""
    assert run.backward is not None
    if node == run.backward.output:
        yield 1.0
        return
    for step in explain_node(run, node):
        if isinstance(step, BackwardStep):
            for each in step.contributions:
                assert each.local is not None
                for product in products(run, each.consumer.node.name):
                    yield float(each.local) * product


@pytest.mark.parametrize(
    ("node", "formula", "fractions", "expanded"),
    [
        ("a", "dF/da = ∂F/∂f * ∂f/∂e * ∂e/∂a", "-1 / 3 * -2 * 1 = 2 / 3", "dF/da = c / d"),
        ("b", "dF/db = ∂F/∂f * ∂f/∂e * ∂e/∂b", "-1 / 3 * -2 * 1 = 2 / 3", "dF/db = c / d"),
        ("d", "dF/dd = ∂F/∂d", "4 / 3", "dF/dd = -f / d ^ 2"),
    ],
)
def test_the_tutorials_more_expanded_form(node: str, formula: str, fractions: str, expanded: str) -> None:
    found = paths_of(TUTORIAL, AT, node)
    assert found.equation.formula.text == formula
    assert found.equation.fractions is not None and found.equation.fractions.text == fractions
    assert found.expanded is not None and found.expanded.text == expanded
    assert (found.count, found.share, found.listed_sum) == (1, 1.0, found.sum)


def test_the_expanded_form_in_latex() -> None:
    found = paths_of("y = x*x + sin(x)", {"x": 2.0}, "x")
    assert found.expanded is not None
    assert found.expanded.text == "dy/dx = x + x + cos(x)"
    assert found.expanded.latex == r"\frac{d y}{d x} = x + x + \cos\left(x\right)"
    assert "∂mul_1/∂x[1]" in found.equation.formula.text and "∂mul_1/∂x[2]" in found.equation.formula.text


def test_equal_operands_are_two_paths() -> None:
    found = paths_of("y = x * x", {"x": 3.0}, "x")
    assert [(path.product, path.edges[0].operand_index) for path in found.paths] == [(3.0, 0), (3.0, 1)]
    assert (found.count, found.sum) == (2, 6.0)


def test_the_output_itself_is_one_path_and_what_does_not_reach_it_none() -> None:
    found = paths_of(TUTORIAL, AT, "F")
    assert [(path.edges, path.product) for path in found.paths] == [((), 1.0)]
    graph = graph_of("y = x + 1; z = x * w")
    beside = paths_to_output(run_of(graph, {"x": 1, "w": 2}, output="y"), "w", 5)
    assert (beside.paths, beside.count, beside.sum, beside.share) == ((), 0, 0.0, 1.0)
    assert beside.equation.formula.text == "dy/dw = 0"


def test_the_seed_is_a_factor() -> None:
    found = paths_of(TUTORIAL, AT, "a", seed=3.0)
    assert found.equation.formula.text == "dL/da = dL/dF * ∂F/∂f * ∂f/∂e * ∂e/∂a"
    assert found.sum == found.paths[0].product == 2.0


def test_paths_are_counted_exactly_however_many() -> None:
    found = paths_to_output(run_of(ladder(3000), {"x": 1e-300}), "x", 2)
    assert found.count == 2**3000
    assert (len(found.paths), found.share) == (2, None)
    found = paths_to_output(run_of(ladder(60), {"x": 1.0}), "x", 4)
    assert (found.count, found.sum, found.listed_sum, found.share) == (2**60, 2.0**60, 4.0, 4.0 / 2.0**60)
    assert found.equation.formula.text.endswith(" * … + …")


def test_a_share_that_float64_cannot_hold_is_none() -> None:
    found = paths_of("F = x * c + (x * a - x * a)", {"x": 1.0, "a": 1e10, "c": 1e-300}, "x", limit=1)
    assert (found.sum, found.listed_sum, found.share) == (1e-300, -1e10, None)


@pytest.mark.slow
def test_no_more_paths_are_listed_than_anybody_would_read() -> None:
    found = paths_to_output(run_of(ladder(12_000), {"x": 1e-300}), "x", 1000)
    assert [len(path.edges) for path in found.paths] == [12_000] * 9


def test_nothing_is_lost_where_factors_vanish_overflow_or_are_no_numbers() -> None:
    found = paths_of("y = sqrt(x) + 0*x + 3*x + w*x", {"x": 0.0, "w": math.nan}, "x")
    assert [path.product for path in found.paths][:2] == near([math.nan, math.inf], nan_ok=True)
    assert [path.product for path in found.paths][2:] == [3.0, 0.0]
    assert math.isnan(found.sum)


@given(points())
def test_over_random_graphs_products_sum_to_the_gradient(point: Point) -> None:
    run = run_of(point.graph, point.inputs)
    assert run.gradients is not None
    for position, node in enumerate(point.graph.nodes):
        if node.operation.name == "Constant":
            continue
        found = paths_to_output(run, node.name, EVERY)
        assert found.sum == near(float(run.gradients[position]))
        assert found.listed_sum == near(found.sum, rel=1e-12, abs=1e-12 * sum(abs(p.product) for p in found.paths))
        assert found.count == len(found.paths)
        magnitudes = [abs(path.product) for path in found.paths]
        assert magnitudes == sorted(magnitudes, reverse=True)
        every = sorted((abs(product) for product in products(run, node.name)), reverse=True)
        assert magnitudes == near(every)
        few = paths_to_output(run, node.name, 3)
        assert [abs(path.product) for path in few.paths] == near(every[:3])
        assert (few.count, few.sum) == (found.count, found.sum)


def test_an_operation_that_is_not_elementwise_has_no_local_formula() -> None:
    found = paths_of("y = 3 * sum(x)", {"x": 2.0}, "x")
    assert (found.sum, found.expanded) == (3.0, None)
    assert found.equation.formula.text == "dy/dx = ∂y/∂reducesum_1 * ∂reducesum_1/∂x"


def test_no_path_leads_through_an_index() -> None:
    graph = graph_of("i = j * 1; y = gather(table, i) + j")
    found = paths_to_output(run_of(graph, {"table": [1.0, 2.0], "j": 1.0}), "j", 5)
    assert (found.count, found.sum, len(found.paths)) == (1, 1.0, 1)


def test_paths_are_for_scalars() -> None:
    run = run_of(graph_of("y = x * w"), {"x": [1, 2], "w": 3})
    with pytest.raises(InvalidRequest, match="'y' has shape"):
        paths_to_output(run, "w", 5)


def test_a_constant_has_none() -> None:
    with pytest.raises(InvalidRequest, match="no gradient"):
        paths_of("y = 2 * x", {"x": 1.0}, "constant_1")


def test_what_the_run_does_not_hold_is_told() -> None:
    graph = graph_of(TUTORIAL)
    with pytest.raises(Conflict, match="no output"):
        find_paths(Run(graph, no_figures(7)), None, "a", 5)
    with pytest.raises(Conflict, match="no value of"):
        find_paths(Run(graph, no_figures(7)), "F", "a", 5)
