"""Which part of a graph is drawn: all of a small graph, else the neighbourhood of one node."""

from dataclasses import dataclass

from service.core.graph.graph import Graph

LARGEST_WHOLE = 60  # nodes of a picture
HOPS = 3


@dataclass(frozen=True, slots=True)
class View:
    """The positions to draw, in topological order, and their centre `focus`, None where the whole graph is drawn."""

    positions: tuple[int, ...]
    focus: str | None
    hops: int
    node_count: int

    @property
    def sentence(self) -> str:
        """How many nodes are left out; empty if none is."""
        left_out = self.node_count - len(self.positions)
        if self.focus is None or not left_out:
            return ""
        return (
            f"{len(self.positions)} of {self.node_count} nodes: the nearest to {self.focus}, within {self.hops} "
            f"edge{'s' if self.hops > 1 else ''}. {left_out} left out; the edges to them are cut and dashed."
        )


def choose_view(graph: Graph, focus: str | None, hops: int | None, output: str | None = None) -> View:
    """Choose the whole graph if it has at most 60 nodes and no neighbourhood is asked for, else a neighbourhood.

    The neighbourhood of `focus` is the 60 nearest of the nodes at most `hops` edges away, in either direction. `focus`
    defaults to `output`, the node that the gradients are of, or to the graph's first output. Raises KeyError if it is
    not a node.
    """
    if focus is None and hops is None and len(graph) <= LARGEST_WHOLE:
        return View(tuple(range(len(graph))), None, HOPS, len(graph))
    focus, hops = focus or output or graph.outputs[0], hops or HOPS
    found = [graph.position[focus]]
    edge, met = found, set(found)
    for _ in range(hops):
        beside = [
            position
            for near in edge
            for position in (*graph.operands[near], *(consumer for consumer, _ in graph.consumers[near]))
        ]
        edge = [position for position in dict.fromkeys(beside) if position not in met]
        if not edge or len(found) >= LARGEST_WHOLE:
            break
        found = found + edge
        met.update(edge)
    return View(tuple(sorted(found[:LARGEST_WHOLE])), focus, hops, len(graph))
