"""A graph whose nodes are columns is the graph whose nodes are objects, and makes those that are looked at."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given

from service.core.execution import kernel
from service.core.execution.passes import backward_pass, forward_pass, nondifferentiable_nodes
from service.core.execution.program import pack_graph
from service.core.graph.building import build_graph
from service.core.graph.columns import FEW, Names, NodeColumns, Nodes, OnDemand, Positions, nodes_of
from service.core.graph.graph import Graph
from service.core.rulebook.operation import CONVENTIONS
from tests.random_graphs import Point, points


def compact(graph: Graph) -> Graph:
    """The same graph as it is loaded: of columns, with names in UTF-8 and positions that are found when needed."""
    columns = replace(graph.columns, names=Names("\n".join(graph.columns.names).encode()))
    return Graph(Nodes(columns), graph.inputs, graph.outputs, graph.convention)


def chain(count: int) -> Graph:
    """x0 and the absolute value of each before."""
    later = [{"name": f"x{k}", "operation": "Abs", "inputs": [f"x{k - 1}"]} for k in range(1, count)]
    return build_graph([{"name": "x0", "operation": "Input"}, *later])


@given(points(largest_graph=15))
def test_columns_make_the_nodes_that_they_are_made_of(point: Point) -> None:
    graph, same = point.graph, compact(point.graph)
    assert [same.nodes[position] for position in range(len(graph))] == list(graph.nodes)
    assert list(same.nodes) == list(graph.nodes) == list(graph.columns.all_nodes())
    assert list(same.operands) == list(graph.operands)
    assert dict(same.position) == graph.position
    assert (same.digest, list(same.consumers)) == (graph.digest, list(graph.consumers))


@given(points(largest_graph=15))
def test_the_program_of_columns_is_that_of_their_nodes(point: Point) -> None:
    first, second = pack_graph(compact(point.graph)), pack_graph(point.graph)
    assert (first is None) is (second is None)
    for field in fields(first) if first else ():
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_columns_take_a_librarys_derivatives(convention: str) -> None:
    graph = chain(30).with_convention(convention)
    same = compact(chain(30)).with_convention(convention)
    assert list(same.nodes) == list(graph.nodes)
    assert same.convention == graph.convention


def test_names_are_text_of_any_kind() -> None:
    names = ["é", "日本", "a b", "x" * 256, "/block:0"]
    found = Names("\n".join(names).encode())
    assert (list(found), found[1:3], [found[k] for k in range(5)], len(found)) == (names, names[1:3], names, 5)


def test_both_passes_over_a_large_graph_make_no_nodes() -> None:
    kernel.warm()
    graph = compact(chain(FEW + 1))
    vars(graph)["position"] = Positions(graph.columns.names, {"x0": 0, f"x{FEW}": FEW})
    values = forward_pass(graph, {"x0": np.float64(-2.0)})
    gradients = backward_pass(graph, values, f"x{FEW}")
    assert (values.flat[-1], gradients.flat[0], nondifferentiable_nodes(graph, values)) == (2.0, -1.0, ())
    assert graph.is_compact
    assert graph.nodes[7].name == "x7" and len(graph.nodes[:500]) == 500 and graph.operands[7] == (6,)
    assert graph.is_compact


def test_a_graph_grows_when_all_nodes_are_looked_at() -> None:
    graph = compact(chain(FEW + 1))
    before = graph.nbytes
    assert before < 150 * len(graph)
    assert all(graph.nodes[position] for position in range(len(graph)))
    assert graph.is_compact and graph.nbytes == before
    graph.make_nodes()
    assert graph.nodes[0] is graph.nodes[0] and graph.operands[1] is graph.operands[1]
    assert not graph.is_compact and graph.nbytes > 400 * len(graph)


def test_few_nodes_are_made_at_once() -> None:
    assert isinstance(nodes_of(chain(FEW).columns), tuple)
    assert isinstance(nodes_of(chain(FEW + 1).columns), Nodes)


def test_positions_beside_the_known_ones_are_found_when_they_are_asked_for() -> None:
    positions = Positions(["a", "b", "c"], {"c": 2})
    assert positions["c"] == 2 and "c" in positions and not positions.are_made
    assert positions["a"] == 0 and "d" not in positions and list(positions) == ["a", "b", "c"]
    with pytest.raises(KeyError):
        positions["d"]


def test_what_is_asked_for_is_made_until_all_are_walked_over() -> None:
    made: list[int] = []

    def one(position: int) -> int:
        made.append(position)
        return -position

    items: Sequence[int] = OnDemand(4, one, lambda: (0, -1, -2, -3))
    assert (items[-1], items[1:3], items[0], items[3], items[:2]) == (-3, (-1, -2), 0, -3, (0, -1))
    assert made == [3, 1, 2, 0, 3, 0, 1]
    assert (list(items), items[-1], items[1:3]) == ([0, -1, -2, -3], -3, (-1, -2))
    assert len(made) == 7
    with pytest.raises(IndexError):
        items[4]


def test_columns_are_those_of_the_nodes() -> None:
    columns = chain(3).columns
    assert isinstance(columns, NodeColumns)
    assert (columns.names, columns.starts.tolist(), columns.operands.tolist()) == (
        ("x0", "x1", "x2"),
        [0, 0, 1, 2],
        [0, 1],
    )
    assert [operation.name for operation in columns.operations] == ["Input", "Abs"]
    assert columns.kinds.tolist() == [0, 1, 1]
