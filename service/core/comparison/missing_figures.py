"""Figures that a recording leaves out: which of them cannot be replayed."""

from dataclasses import replace

import numpy as np

from service.core.figures.figures import BoolArray, IntArray
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import sweep_back, walk_forward
from service.core.graph.traversal import reaches
from service.core.rulebook.registry import operation_of


def without_unknown(graph: Graph, known: BoolArray) -> Graph:
    """Turn each operation on an unknown value into an Input, since it cannot be replayed.

    A value is unknown if it is neither `known`, as given values and Constants are, nor follows from known ones.
    """
    nodes = list(graph.nodes)

    def visit(position: int, operands: list[bool]) -> bool:
        if not operands:
            return bool(known[position])
        follows = all(operands)
        if not follows:
            precision = {"dtype": "float32"} if position in graph.float32_nodes else {}
            nodes[position] = Node(nodes[position].name, operation_of("Input"), (), precision)
        return follows or bool(known[position])

    walk_forward(graph, visit)
    return replace(graph, nodes=tuple(nodes))


def unreplayable_gradients(graph: Graph, cut: Graph, given: BoolArray, output: str) -> IntArray:
    """The positions of the nodes whose gradient cannot be replayed.

    It depends on a consumer that `without_unknown` has cut off, or on a consumer's gradient that is neither `given` nor
    follows from others.
    """
    reached = reaches(graph, output)

    def settle(position: int, doubtful: bool | None) -> bool:
        return not cut.operands[position] or bool(doubtful and not given[position])

    def contributions(position: int, lost: bool) -> list[bool | None]:
        return [lost and bool(reached[position])] * len(graph.operands[position])

    doubtful = sweep_back(graph, {}, contributions, add=lambda position, one, other: one or other, settle=settle)
    return np.array(sorted(position for position, lost in doubtful.items() if lost), dtype=np.int64)
