"""What a node may stand for: a stored graph, as the nodes that one of its outputs needs."""

from collections.abc import Sequence
from dataclasses import dataclass

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


def stored_graph(name: str, graph: Graph, parts: Sequence[GraphPart] = ()) -> StoredGraph:
    """Let a graph be called. The attribute `output` picks one of several outputs; of one it may be left out."""
    several = len(graph.outputs) > 1
    output = Attribute("output", OneOf(graph.outputs), None if several else graph.outputs[0], required=several)
    return StoredGraph(name, graph.inputs, 0, False, (output,), graph, parts)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a node is expanded into: nodes in topological order, Inputs left out, and the parts among them.

    `inputs` are the names that stand for the operands, in their order, `output` is the node that takes the name.
    """

    nodes: Sequence[Node]
    inputs: Sequence[str]
    output: str
    parts: Sequence[GraphPart] = ()
    digest: str | None = None


def count_nodes(callee: StoredGraph, use: Use) -> int:
    """Count the nodes that a use is expanded into, without making any."""
    graph, output = callee.graph, use.attributes["output"]
    inputs = [graph.position[name] for name in graph.inputs]
    return max(1, int(reaches(graph, output).sum() - reaches(graph, output)[inputs].sum()))


def define_graph(callee: StoredGraph, use: Use) -> Definition:
    """The nodes of a stored graph that the chosen output needs."""
    graph, output = callee.graph, use.attributes["output"]
    nodes = needed_nodes(graph, output)
    held = {name for node in nodes for name in enclosing(node.name)} if callee.parts else set()
    parts = [part for part in callee.parts if part.name in held]
    return Definition(nodes, graph.inputs, output, parts, graph.digest)


def needed_nodes(graph: Graph, output: str) -> Sequence[Node]:
    """The nodes that an output needs, in topological order, without the Inputs."""
    needed = (graph.nodes[position] for position in np.flatnonzero(reaches(graph, output)))
    return [node for node in needed if not node.operation.is_input]
