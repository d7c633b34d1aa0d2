"""A computational graph: validated, immutable, in topological order, identified by its digest."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from operator import attrgetter
from typing import Any

from service.core.caches import memoize_on_argument
from service.core.graph.columns import NodeColumns, Nodes, OnDemand, Positions, columns_of, nodes_of
from service.core.graph.consumers import Consumers
from service.core.graph.node import Node as Node  # noqa: PLC0414 (it is imported from here)
from service.core.graph.sweep import walk_forward
from service.core.rulebook import operations  # noqa: F401 (importing the package registers the operations)
from service.core.rulebook.operation import MINIMUM_NORM, Operation
from service.core.rulebook.tensor import Tensor

_DIGESTED_AT_ONCE = 1000  # nodes


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order, with the order of the graph's inputs and outputs.

    Made by `build_graph`, or directly from nodes that need no validation.
    `convention` names the library whose derivatives are returned where none exists; the digest leaves it out.
    """

    nodes: Sequence[Node]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    convention: str = MINIMUM_NORM

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def columns(self) -> NodeColumns:
        """The nodes column by column."""
        return columns_of(self.nodes, self.position)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """The position in `nodes` of each node, by name."""
        if isinstance(self.nodes, Nodes):
            return Positions(self.nodes.columns.names)
        return dict(zip(map(attrgetter("name"), self.nodes), range(len(self.nodes)), strict=True))

    def name_at(self, position: int | None) -> str | None:
        """The name of the node at a position; None for None."""
        return None if position is None else self.nodes[position].name

    @cached_property
    def operands(self) -> Sequence[tuple[int, ...]]:
        """For each node the positions of its inputs, each less than its own."""
        columns = self.columns
        if isinstance(self.nodes, Nodes):
            return OnDemand(len(columns), columns.sources, columns.all_sources)
        return columns.all_sources()

    @cached_property
    def consumers(self) -> Consumers:
        """For each node its out-edges in order: the consumer's position and the node's index among its inputs."""
        return Consumers(self.columns.starts, self.columns.operands)

    @memoize_on_argument
    def with_convention(self, convention: str, alternative: bool = False) -> "Graph":
        """The same graph with the derivatives of one of CONVENTIONS; itself if they are the same.

        With `alternative`, with those of the library's second functions where it has any.
        """
        if convention == self.convention and not alternative:
            return self
        columns = self.columns
        chosen = [operation.with_convention(convention, alternative) for operation in columns.operations]
        if chosen == list(columns.operations) and not any(map(_may_close_edges, chosen)):
            return self
        graph = replace(self, nodes=nodes_of(replace(columns, operations=chosen)), convention=convention)
        vars(graph)["position"] = self.position
        return graph

    @cached_property
    def float32_nodes(self) -> frozenset[int]:
        """The positions of the nodes that are computed in float32: its Inputs, and what depends on them alone.

        As in NumPy, numbers adapt: Constants, and what depends on them alone, take the precision of their partners.
        """
        if not any(self.nodes[self.position[name]].attributes.get("dtype") == "float32" for name in self.inputs):
            return frozenset()

        def precision(position: int, operands: list[str | None]) -> str | None:
            """None where it adapts."""
            node = self.nodes[position]
            if node.operation.is_input:
                declared = node.attributes.get("dtype", "float64")
                return None if declared == "int64" else str(declared)
            if node.operation.name == "Cast" and node.attributes["to"] == "float64":
                return "float64"
            fixed = {operand for operand in operands if operand}
            return "float32" if fixed == {"float32"} else "float64" if fixed else None

        found = walk_forward(self, precision)
        return frozenset(position for position, each in enumerate(found) if each == "float32")

    def in_float64(self) -> "Graph":
        """The same graph, computed wholly in float64."""
        nodes = tuple(
            replace(node, attributes={**node.attributes, "dtype": "float64"})
            if node.operation.is_input and node.attributes.get("dtype") == "float32"
            else node
            for node in self.nodes
        )
        return replace(self, nodes=nodes) if self.float32_nodes else self

    @property
    def nbytes(self) -> int:
        """An estimate of the bytes of the graph and of all that is derived from it and cached on it.

        300 for a node's own attributes, and the elements of tensors. Besides, as long as the nodes are columns, these
        and 45 for each node and 10 for each edge; then 400 and the name's length for each node, 100 for each edge;
        measured on CPython 3.11 with 100,000 nodes.
        """
        columns = self.columns
        nodes, edges = len(columns), len(columns.operands)
        total = 300 * len(columns.attributes)
        for attributes in columns.attributes.values():
            total += sum(value.array.nbytes for value in attributes.values() if isinstance(value, Tensor))
        if self.is_compact:
            return total + columns.nbytes + 45 * nodes + 10 * edges
        return total + sum(map(len, columns.names)) + 400 * nodes + 100 * edges

    def make_nodes(self) -> None:
        """Make all nodes and their operands, if they are columns as yet, since most will be asked for."""
        for each in (self.nodes, self.operands):
            iter(each)

    @property
    def is_compact(self) -> bool:
        """Whether its nodes are columns and nobody has looked at more than a few of them."""
        if not isinstance(self.nodes, Nodes):
            return False
        found = (self.nodes, vars(self).get("operands"), vars(self).get("position"))
        return not any(isinstance(each, OnDemand | Positions) and each.are_made for each in found)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal.

        The canonical form lists the nodes by name, so that the order in which they were given does not matter.
        """
        digest = hashlib.sha256(b"[[")
        by_name = iter(sorted(self.nodes, key=attrgetter("name")))
        before = b""
        while some := list(islice(by_name, _DIGESTED_AT_ONCE)):  # the whole text would be larger than the graph
            digest.update(before + _canonical([_canonical_node(node) for node in some])[1:-1])
            before = b","
        digest.update(b"]," + _canonical([self.inputs, self.outputs])[1:])
        return digest.hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _canonical_node(node: Node) -> list[Any]:
    attributes = {name: _hashable(value) for name, value in node.written_attributes.items()} if node.attributes else {}
    return [node.name, node.operation.name, node.inputs, attributes]


def _may_close_edges(operation: Operation) -> bool:
    """Whether the operation may be constant in an operand, or in some of its elements: conventions differ there."""
    return operation.closed is not None or bool(operation.absorbed_by) or not operation.is_elementwise


def node_document(node: Node, write: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """What `build_graph` reads, in JSON's types: the form in which a node is answered and stored.

    `write` writes an attribute; the default is `written_attribute`.
    """
    document: dict[str, Any] = {"name": node.name, "operation": node.operation.name}
    if node.inputs:
        document["inputs"] = list(node.inputs)
    if attributes := node.written_attributes:
        document["attributes"] = {name: (write or written_attribute)(value) for name, value in attributes.items()}
    return document


def written_attribute(value: Any) -> Any:
    """An attribute in JSON's types: NaN and the infinities are strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Tensor):
        return value.lengths_text or written_attribute(value.array.tolist())
    if isinstance(value, (list, tuple)):
        return [written_attribute(item) for item in value]
    return value


def _hashable(value: Any) -> Any:
    if isinstance(value, Tensor):
        return {"shape": value.shape, "float64": value.digest}
    return [_hashable(item) for item in value] if isinstance(value, (list, tuple)) else written_attribute(value)
