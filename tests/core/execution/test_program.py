"""Graphs packed into arrays: what is packed and what is not, in which order."""

from dataclasses import replace

import numpy as np
import pytest

from service.core.execution.kernel import program_of
from service.core.execution.program import Program, find_levels, pack_graph
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph, Node
from service.core.rulebook.registry import find, operations
from tests.passes import graph_of


def packed(text: str) -> Program:
    """The program of an expression."""
    found = pack_graph(graph_of(text))
    assert found is not None
    return found


def test_a_wide_graph_is_sorted_by_level_and_operation() -> None:
    wide = "; ".join(f"s{position} = x{position} + y; t{position} = exp(s{position})" for position in range(8))
    found = packed(wide)
    names = [node.name for node in graph_of(wide).nodes]
    assert [names[position] for position in found.nodes] == [
        f"{letter}{position}" for letter in "st" for position in range(8)
    ]
    assert len(found.stretches) == 2 * 6


def test_a_chain_keeps_its_order() -> None:
    found = packed("; ".join(f"n{position + 1} = {('exp', 'sin')[position % 2]}(n{position})" for position in range(8)))
    assert found.nodes.tolist() == list(range(1, 9))
    assert len(found.stretches) == 8 * 6


def test_nodes_of_other_numbers_of_operands_or_other_words_stand_in_other_stretches() -> None:
    found = packed('a = max(x, y); b = max(a, x, y); c = gelu(b); d = gelu(c, approximate="tanh"); e = gelu(d)')
    assert len(found.stretches) == 5 * 6


@pytest.mark.parametrize("text", ["sum(x)", "exp(x) + sum(y)"])
def test_a_graph_with_an_operation_that_is_not_elementwise_has_none(text: str) -> None:
    assert pack_graph(graph_of(text)) is None


def test_another_librarys_convention_is_not_compiled_for_ours() -> None:
    (operation, *_) = (each for each in operations() if "torch" in each.conventions and each.operands == ("x",))
    graph = graph_of(f"y = {operation.name.lower()}(x)")
    under = graph.with_convention("torch")
    assert under is not graph and pack_graph(under) is None
    assert program_of(graph) is not None and program_of(under) is None


def test_a_graph_of_leaves_alone_has_an_empty_program() -> None:
    found = pack_graph(build_graph([{"name": "x", "operation": "Input"}]))
    assert found is not None and found.stretches.tolist() == [] and found.nodes.tolist() == []


def test_operands_are_validated_before_any_index_is_trusted() -> None:
    """Such a graph cannot be built, and a stored one may have been tampered with."""
    add, leaf = find("Add"), find("Input")
    assert add is not None and leaf is not None
    nodes = (Node("a", leaf), Node("b", add, ("a", "c")), Node("c", add, ("a", "a")))
    with pytest.raises(ValueError, match="does not stand before it"):
        pack_graph(Graph(nodes, ("a",), ("b",)))


def test_graphs_listed_in_another_order_have_programs_of_their_own() -> None:
    """Their digests are equal, their positions are not."""
    graph = graph_of("y = x - z")
    other = replace(graph, nodes=(graph.nodes[1], graph.nodes[0], graph.nodes[2]))
    first, second = program_of(graph), program_of(other)
    assert graph.digest == other.digest and first is program_of(graph) and second is program_of(other)
    assert first is not None and second is not None and first.operands.tolist() != second.operands.tolist()


def test_levels_are_longest_paths() -> None:
    graph = graph_of("p = x + x; q = p * y; r = q + p")
    level = np.empty(len(graph), dtype=np.int32)
    counts = np.array([len(operands) for operands in graph.operands], dtype=np.int32)
    find_levels(
        counts, np.array([position for operands in graph.operands for position in operands], dtype=np.uint32), level
    )
    assert {node.name: int(deep) for node, deep in zip(graph.nodes, level, strict=True)} == {
        "x": 0, "p": 1, "y": 0, "q": 2, "r": 3,
    }  # fmt: skip
