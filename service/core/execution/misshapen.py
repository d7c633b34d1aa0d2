"""Figures of a recording that have the shape of a transpose, or of a gradient not summed over a broadcast axis.

They are kept as they were given, but set aside: what is computed from the others takes their nodes to have no figure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from service.core.execution.run import Run
from service.core.figures.figures import Figures, Shape, pack
from service.core.graph.graph import Graph
from service.core.graph.shapes import fit_shapes


def is_transposed(shape: Shape, right: Shape) -> bool:
    """Whether a shape is another order of the right one's axes."""
    return shape != right and sorted(shape) == sorted(right)


def is_unsummed(shape: Shape, right: Shape, consumers: Iterable[Shape]) -> bool:
    """Whether a gradient's shape is the right one with axes that it was broadcast along in one of its consumers."""
    try:
        broadcast = np.broadcast_shapes(shape, right) == shape
    except ValueError:
        return False
    if not broadcast or prod(shape) == prod(right):
        return False
    own = (1,) * (len(shape) - len(right)) + right
    added = {length for length, kept in zip(shape, own, strict=True) if length != kept}
    return any(added <= set(consumer) for consumer in consumers)


def is_misshapen(graph: Graph, phase: str, position: int, shape: Shape, shapes: Mapping[int, Shape]) -> bool:
    """Whether the shape of a node's figure in that phase is wrong in one of the two ways; `shapes` are those of the
    values, by position."""
    right = shapes.get(position)
    if right is None or shape == right or 0 in right or (not graph.operands[position] and phase == "forward"):
        return False
    consumers = [shapes[consumer] for consumer, _ in graph.consumers[position] if consumer in shapes]
    return is_transposed(shape, right) or (phase == "backward" and is_unsummed(shape, right, consumers))


def set_aside_misshapen(run: Run, shapes: Mapping[int, Shape] | None = None) -> Run:
    """The run with its misshapen figures set aside; `shapes` are those of the values, else they are inferred."""
    backward = run.backward
    if run.values.shapes is None and (backward is None or backward.gradients.shapes is None):
        return run
    if shapes is None:
        own = {position: figure.shape for position, figure in enumerate(run.values) if figure is not None}
        shapes = fit_shapes(run.graph, own)[0]
    misshapen = {
        (phase, position): figure
        for phase, figures in (("forward", run.values), ("backward", run.gradients))
        for position, figure in enumerate(figures or ())
        if figure is not None and is_misshapen(run.graph, phase, position, figure.shape, shapes)
    }
    if not misshapen:
        return run
    if backward is not None:
        gradients = _without(backward.gradients, [position for phase, position in misshapen if phase == "backward"])
        backward = replace(backward, gradients=gradients)
    values = _without(run.values, [position for phase, position in misshapen if phase == "forward"])
    return replace(run, values=values, backward=backward, misshapen={**run.misshapen, **misshapen})


def _without(figures: Figures, positions: Iterable[int]) -> Figures:
    """The figures without those of the nodes at these positions."""
    left_out = set(positions)
    if not left_out:
        return figures
    packed = pack([None if position in left_out else figure for position, figure in enumerate(figures)])
    return replace(packed, none=figures.none)
