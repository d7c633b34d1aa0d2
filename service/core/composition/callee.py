"""What a node may stand for: a stored graph, as the nodes that one of its outputs needs."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from service.core.graph.graph import Graph, Node
from service.core.graph.parts import GraphPart, Use, enclosing
from service.core.graph.traversal import reaches
from service.core.rulebook.attribute import Attribute, OneOf
from service.core.rulebook.signature import Signature


@dataclass(frozen=True, slots=True, eq=False)
class StoredGraph(Signature):
    """A stored graph that is called like an operation: its operands are its inputs, in their order."""

    graph: Graph
    parts: Sequence[GraphPart]


def stored_graph(name: str, graph: Graph, parts: Sequence[GraphPart] = (), weights: Container[str] = ()) -> StoredGraph:
    """Let a graph be called. The attribute `output` picks one of several outputs; of one it may be left out.

    So may the last inputs that have weights: they stay Inputs, of the part.
    """
    several = len(graph.outputs) > 1
    output = Attribute("output", OneOf(graph.outputs), None if several else graph.outputs[0], required=several)
    optional = sum(1 for _ in takewhile(lambda each: each in weights, reversed(graph.inputs)))
    return StoredGraph(name, graph.inputs, optional, False, (output,), graph, parts)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a node is expanded into: nodes in topological order, without the operands' Inputs, and the parts among them.

    `inputs` are the names that stand for the operands, in their order, `output` is the node that takes the name.
    """

    nodes: Sequence[Node]
    inputs: Sequence[str]
    output: str
    parts: Sequence[GraphPart] = ()
    digest: str | None = None


def count_nodes(callee: StoredGraph, use: Use) -> int:
    """Count the nodes that a use is expanded into, without making any."""
    needed = reaches(callee.graph, use.attributes["output"])
    given = [callee.graph.position[name] for name in _given(callee, use)]
    return max(1, int(needed.sum() - needed[given].sum()))


def define_graph(callee: StoredGraph, use: Use) -> Definition:
    """The nodes of a stored graph that the chosen output needs, with the Inputs that are left out."""
    graph, output = callee.graph, use.attributes["output"]
    nodes = needed_nodes(graph, output, _given(callee, use))
    held = {name for node in nodes for name in enclosing(node.name)} if callee.parts else set()
    parts = [part for part in callee.parts if part.name in held]
    return Definition(nodes, graph.inputs, output, parts, graph.digest)


def _given(callee: StoredGraph, use: Use) -> set[str]:
    """The inputs for which there are operands."""
    return {name for name, source in zip(callee.graph.inputs, use.inputs, strict=False) if source}


def needed_nodes(graph: Graph, output: str, without: Container[str]) -> Sequence[Node]:
    """The nodes that an output needs, in topological order, but those of these names."""
    needed = (graph.nodes[position] for position in np.flatnonzero(reaches(graph, output)).tolist())
    return [node for node in needed if node.name not in without]
