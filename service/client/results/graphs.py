"""Graphs and their nodes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.client.figures import Document
from service.client.results.result import Result, Row, Source, Table, drawn, html_table


@dataclass(frozen=True, slots=True)
class GraphNode(Result):
    """A node of a graph; `document`, here and in the other results, is the service's answer."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    document: Document = field(repr=False, compare=False)
    part_of: str | None = None


@dataclass(frozen=True, slots=True)
class Graph(Table):
    """A stored graph; `nodes` are those in the answer (none in a list), `list_graph_nodes` reads all.

    `parts` are the operations, by name, of what nodes were expanded from: stored graphs and composed operations. As a
    table it lists its nodes.
    """

    id: str
    name: str
    version: int
    digest: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    node_count: int
    expression: str | None
    parent: str | None
    tags: Mapping[str, str]
    created_at: datetime
    nodes: tuple[GraphNode, ...] = field(repr=False)
    document: Document = field(repr=False, compare=False)
    _source: Source = field(repr=False, compare=False)
    weights: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> Iterable[Row]:
        complete = len(self.nodes) == self.node_count
        return map(_row, self.nodes if complete else self._source.list_graph_nodes(self.id))

    def _shown_rows(self) -> Iterable[Row]:
        return map(_row, self.nodes)

    def _repr_html_(self) -> str:
        return f"{drawn(self._repr_svg_)}{html_table(self._shown_rows())}"

    def _repr_svg_(self) -> str:
        return self._source.get_graph_picture(self.id)


def read_graph(document: Document, source: Source) -> Graph:
    """Read a graph; `source` draws it."""
    return Graph(
        id=document["id"],
        name=document["name"],
        version=document["version"],
        digest=document["digest"],
        inputs=tuple(document["inputs"]),
        outputs=tuple(document["outputs"]),
        node_count=document["node_count"],
        expression=document["expression"],
        parent=document["parent"],
        tags=document["tags"],
        created_at=datetime.fromisoformat(document["created_at"]),
        nodes=tuple(map(read_graph_node, document.get("nodes", ()))),
        document=document,
        _source=source,
        weights=document.get("weights", {}),
        parts={part["name"]: part["operation"] for part in document.get("parts", ())},
    )


def read_graph_node(document: Document) -> GraphNode:
    """Read a node of a graph."""
    inputs, attributes = tuple(document["inputs"]), document.get("attributes", {})
    return GraphNode(document["name"], document["operation"], inputs, attributes, document, document.get("part_of"))


def _row(node: GraphNode) -> Row:
    members = ("name", "operation", "inputs", "attributes")
    return {member: node[member] for member in members}
