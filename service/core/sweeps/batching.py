"""A graph in a form in which one run computes it at many points, which lie along a first axis of its figures.

All figures have the same rank: the points' axis, and behind it the axes that they have at one point, before which there
are as many of length 1 as are lacking. What is elementwise broadcasts them as it does those of one point. A reduction
keeps its axes, with length 1, so that what follows finds the others where they were.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.figures.figures import FloatArray, Shape
from service.core.graph.graph import Graph, Node
from service.core.rulebook.operation import MINIMUM_NORM, Operation
from service.core.rulebook.operations.axes import axis_positions
from service.core.rulebook.operations.reduction import numpy_axes, reduced_shape


@memoize_on_argument
def over_points(graph: Graph, shapes: tuple[Shape, ...]) -> Graph | None:
    """The graph in that form, given the shapes that its values have at one point; None where it has none."""
    rank, minimum_norm = rank_of(graph, shapes), graph.convention == MINIMUM_NORM
    nodes: list[Node] = []
    given = [False] * len(graph)  # what follows from Inputs, and so has all axes
    if any(0 in shape for shape in shapes):
        return None
    for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        given[position] = node.operation.is_input or any(given[source] for source in sources)
        laid = _laid(node, [shapes[source] for source in sources], rank, minimum_norm)
        if laid is None or (_reduces(node.operation) and not given[position]):
            return None
        nodes.append(laid)
    changed = any(laid is not node for laid, node in zip(nodes, graph.nodes, strict=True))
    return replace(graph, nodes=tuple(nodes)) if changed else graph


def rank_of(graph: Graph, shapes: Sequence[Shape]) -> int:
    """How many axes figures have behind that of the points: at least one where anything is reduced."""
    return max(map(len, shapes), default=0) or int(any(map(_reduces, graph.columns.operations)))


def lay_out(figure: FloatArray, rank: int, varies: bool) -> FloatArray:
    """A figure of one point with as many axes, or a vector of numbers, one of each point, as a column of them."""
    if varies:
        return figure.reshape(-1, *(1,) * rank)
    return figure.reshape((1,) * (rank - figure.ndim) + figure.shape)


def _laid(node: Node, operands: Sequence[Shape], rank: int, minimum_norm: bool) -> Node | None:
    operation = node.operation
    if operation.is_constant:
        return node if np.ndim(node.attributes["value"]) in (0, rank) else None
    if operation.is_input:
        return node if node.attributes.get("shape") is None else _with(node, shape=None)
    if _reduces(operation):
        # Libraries may choose otherwise along named axes than along all.
        axes = _axes_from_behind(node, len(operands[0])) if operation.kinks is None or minimum_norm else None
        return None if axes is None else _with(node, axes=axes, keepdims=1)
    return node if operation.is_elementwise else None


def _reduces(operation: Operation) -> bool:
    return operation.infer_shape is reduced_shape


def _axes_from_behind(node: Node, rank: int) -> tuple[int, ...] | None:
    """The axes that a reduction takes, counted from the last; None unless the others stay where they are."""
    if not rank:
        return (-1,)
    chosen = numpy_axes(node.attributes["axes"], node.attributes["noop_with_empty_axes"])
    reduced = sorted(range(rank) if chosen is None else axis_positions(chosen, rank))
    stay = bool(reduced) and (bool(node.attributes["keepdims"]) or reduced == list(range(len(reduced))))
    return tuple(axis - rank for axis in reduced) if stay else None


def _with(node: Node, **attributes: object) -> Node:
    return replace(node, attributes={**node.attributes, **attributes})
