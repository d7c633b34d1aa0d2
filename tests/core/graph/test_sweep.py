"""The two walks: what they pass on, in which order, and that the core has no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import service.core
from service.core.graph.graph import Graph
from service.core.graph.sweep import sweep_back, walk_forward
from tests.planted import graph_of

CORE = Path(service.core.__file__).parent
GRAPH = graph_of("p = x * y; q = p + x; r = q * p; unused = r + y", ["r"])


def at(name: str, graph: Graph = GRAPH) -> int:
    return graph.position[name]


def test_the_forward_walk_hands_on_what_it_found_of_the_operands() -> None:
    def visit(position: int, operands: list[str]) -> str:
        return f"({' '.join(operands)})" if operands else GRAPH.nodes[position].name

    found = walk_forward(GRAPH, visit)
    assert found[at("q")] == "((x y) x)"
    assert len(found) == len(GRAPH)
    assert walk_forward(GRAPH, visit, at("p") + 1) == found[: at("p") + 1]


def test_the_sweep_counts_the_paths_to_the_output() -> None:
    sums = sweep_back(GRAPH, {at("r"): 1}, lambda position, upstream: [upstream] * len(GRAPH.operands[position]))
    assert {GRAPH.nodes[position].name: count for position, count in sums.items()} == {
        **{"r": 1, "q": 1, "p": 2, "x": 3, "y": 2},
    }


def test_contributions_are_added_as_the_out_edges_are_met_and_none_is_left_out() -> None:
    def contributions(position: int, upstream: str) -> list[str | None]:
        name = GRAPH.nodes[position].name
        return [None if name == "q" else f"{name}{index}" for index in range(2)]

    sums = sweep_back(GRAPH, {at("r"): ""}, contributions, add=lambda position, one, other: f"{one}+{other}")
    assert sums[at("p")] == "r1"
    assert sums[at("x")] == "p0"
    squared = graph_of("y = x * x; z = y + x", ["z"])
    names = [node.name for node in squared.nodes]
    sums = sweep_back(
        squared,
        {at("z", squared): ""},
        lambda position, upstream: [f"{names[position]}{index}" for index in range(2)],
        add=lambda position, one, other: f"{one}+{other}",
    )
    assert sums[at("x", squared)] == "z1+y0+y1"


def test_what_is_settled_replaces_the_sum_and_every_node_is_asked() -> None:
    asked = []

    def settle(position: int, total: int | None) -> int | None:
        asked.append(GRAPH.nodes[position].name)
        return 100 if GRAPH.nodes[position].name == "q" else total

    sums = sweep_back(
        GRAPH, {at("r"): 1}, lambda position, upstream: [upstream] * len(GRAPH.operands[position]), settle=settle
    )
    assert asked == [node.name for node in reversed(GRAPH.nodes)]
    assert (sums[at("q")], sums[at("p")], sums[at("x")]) == (1, 101, 201)
    assert at("unused") not in sums


def test_another_order_is_followed() -> None:
    met = []

    def contributions(position: int, upstream: int) -> list[int]:
        met.append(GRAPH.nodes[position].name)
        return [upstream, upstream]

    order = [at(name) for name in ("unused", "r", "q")]
    sums = sweep_back(GRAPH, {at("r"): 1}, contributions, order=order)
    assert met == ["r", "q"]  # nothing flows to `unused`
    assert sums[at("p")] == 2
    assert sums[at("x")] == 1


def test_without_a_start_nothing_flows() -> None:
    assert sweep_back(GRAPH, {}, lambda position, upstream: pytest.fail("nothing flows")) == {}


def reverse_loops(source: str) -> Iterator[str]:
    """The functions that go through nodes from the last to the first and look at the edges into each."""
    may = any(
        sign in source for sign in ("reversed(", ", -1, -1)", "[::-1]")
    )  # parsed and written out, a file takes long
    for function in ast.walk(ast.parse(source)) if may else ():
        if isinstance(function, ast.FunctionDef):
            written = [ast.unparse(part) for part in ast.walk(function) if isinstance(part, ast.expr)]
            if any(map(_goes_back, written)) and any(map(_reads_edges, written)):
                yield function.name


def _goes_back(expression: str) -> bool:
    return bool(
        re.fullmatch(r"reversed\(range\(.*|range\(.*, -1, -1\)|reversed\(.*nodes\)|.*nodes\[::-1\]", expression)
    )


def _reads_edges(expression: str) -> bool:
    return bool(re.fullmatch(r"(graph\.)?operands\[[a-z]*\]|node\.inputs", expression))


def test_the_core_has_one_reverse_sweep_besides_the_kernel_and_the_batches() -> None:
    found = {
        f"{path.relative_to(CORE)}: {name}"
        for path in sorted(CORE.rglob("*.py"))
        for name in reverse_loops(path.read_text(encoding="utf-8"))
    }
    assert found == {"graph/sweep.py: sweep_back", "execution/batches.py: differentiate_batch"}
    for own in ("batches", "codegen"):
        assert "do not call `graph/sweep.py`" in (CORE / "execution" / f"{own}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "def f(graph):\n for position in reversed(range(len(graph))):\n  graph.operands[position]",
        "def f(graph):\n for position in range(9, -1, -1):\n  graph.operands[position]",
        "def f(graph):\n for node in graph.nodes[::-1]:\n  node.inputs",
        "def f(self):\n for node in reversed(self.graph.nodes):\n  print(node.inputs)",
        "def f(graph):\n order = reversed(range(9))\n for position in order:\n  graph.operands[position]",
    ],
)
def test_another_reverse_sweep_would_be_found(source: str) -> None:
    assert list(reverse_loops(source)) == ["f"]
