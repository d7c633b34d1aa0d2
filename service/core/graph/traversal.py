"""Walks along the edges of a graph that ask only which nodes are there, and which reach which."""

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.figures.figures import BoolArray, IntArray
from service.core.graph.graph import Graph


@memoize_on_argument
def sourceless(graph: Graph) -> IntArray:
    """The positions of the nodes without inputs: Inputs and Constants."""
    return np.flatnonzero(np.fromiter(map(len, graph.operands), dtype=np.int64, count=len(graph)) == 0)


@memoize_on_argument
def reaches(graph: Graph, output: str) -> BoolArray:
    """Which nodes reach the output along the edges."""
    reached = bytearray(len(graph))
    reached[graph.position[output]] = 1
    for position in range(graph.position[output], -1, -1):
        if reached[position]:
            for source in graph.operands[position]:
                reached[source] = 1
    return np.frombuffer(reached, dtype=np.bool_)
