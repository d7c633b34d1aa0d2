"""Reachability: leaves, the ancestors of nodes, and the nodes between two."""

from collections.abc import Iterable

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.figures.figures import BoolArray, IntArray
from service.core.graph.graph import Graph
from service.core.graph.sweep import walk_forward


@memoize_on_argument
def sourceless(graph: Graph) -> IntArray:
    """The positions of the nodes without inputs: Inputs and Constants."""
    return np.flatnonzero(np.diff(graph.columns.starts) == 0)


@memoize_on_argument
def reaches(graph: Graph, output: str) -> BoolArray:
    """Which nodes reach the output along the edges, itself included."""
    return ancestors(graph, [graph.position[output]])


@memoize_on_argument
def layers(graph: Graph) -> IntArray:
    """The layer of each node: the number of edges of the longest path that leads to it."""
    found = walk_forward(graph, lambda _, before: 1 + max(before, default=-1))
    return np.array(found, dtype=np.int64)


def ancestors(graph: Graph, positions: Iterable[int]) -> BoolArray:
    """Which nodes reach one of those at `positions`, these included."""
    waiting, starts, operands = list(positions), graph.columns.starts.tolist(), graph.columns.operands.tolist()
    reached = bytearray(len(graph))
    for position in waiting:
        reached[position] = 1
    while waiting:
        position = waiting.pop()
        for source in operands[starts[position] : starts[position + 1]]:
            if not reached[source]:
                reached[source] = 1
                waiting.append(source)
    return np.frombuffer(reached, dtype=np.bool_)


def nodes_between(graph: Graph, position: int, output: str) -> list[int]:
    """The positions of the nodes on all paths from one node to the output, both included; empty without a path."""
    reached = reaches(graph, output)
    if not reached[position]:
        return []
    inside = {position}
    for later in range(position + 1, graph.position[output] + 1):
        if reached[later] and not inside.isdisjoint(graph.operands[later]):
            inside.add(later)
    return sorted(inside)
