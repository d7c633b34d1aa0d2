"""The square of a norm is a sum of squares, which has all derivatives at the origin, where the norm has none."""

from dataclasses import replace

from service.core.graph.graph import Graph, Node
from service.core.rulebook.registry import operation_of


def with_sums_of_squares(graph: Graph) -> Graph:
    """The graph with each node norm(x)^2 or norm(x)·norm(x) computed as Σx²; itself where there is none."""
    norms = {node.name: node for node in graph.nodes if node.operation.name == "ReduceL2"}
    if not norms:
        return graph
    twos = {node.name for node in graph.nodes if node.attributes.get("value") == 2.0}

    def squared(node: Node) -> Node:
        norm, other = (norms.get(name) for name in (*node.inputs, "", "")[:2])
        is_square = node.operation.name == "Pow" and node.inputs[1] in twos
        is_product = node.operation.name == "Mul" and other and norm and _same(norm, other)
        if norm is None or not (is_square or is_product):
            return node
        return replace(node, operation=operation_of("ReduceSumSquare"), inputs=norm.inputs, attributes=norm.attributes)

    return replace(graph, nodes=tuple(map(squared, graph.nodes)))


def _same(one: Node, other: Node) -> bool:
    return one.inputs == other.inputs and dict(one.attributes) == dict(other.attributes)
