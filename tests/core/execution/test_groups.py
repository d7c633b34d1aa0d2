"""The nodes of a graph of scalars by operation."""

from typing import Any

import pytest

from service.core.execution.groups import groups_of
from service.core.graph.graph import Graph
from tests.planted import graph_of


def test_nodes_are_grouped_from_the_columns_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(
        "a = x * w; b = leaky_relu(a, alpha=0.1); c = leaky_relu(w, alpha=0.2); d = gelu(a, approximate='tanh');"
        "e = gelu(x); F = a + b * c + d * e"
    )
    monkeypatch.setattr(Graph, "operands", None)  # none of which is made
    grouped = [(group.operation.name, group.nodes.tolist(), group.operands.tolist()) for group in groups_of(graph)]
    monkeypatch.undo()
    expected: dict[Any, tuple[str, list[int], list[list[int]]]] = {}
    for position, node in enumerate(graph.nodes):
        if node.inputs:
            key = node.operation.name, node.attributes.get("approximate")
            group = expected.setdefault(key, (node.operation.name, [], [[] for _ in node.inputs]))
            group[1].append(position)
            for row, source in zip(group[2], graph.operands[position], strict=True):
                row.append(source)
    assert grouped == list(expected.values())
