"""Moving the values of nodes and seeing how far the output moves: what a gradient is checked against."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Graph

# Elements of the values of all nodes in one batch of perturbations.
_BATCH_ELEMENTS = 2**20


def output_changes(
    graph: Graph, values: Figures, target: int, directions: Mapping[int, FloatArray], steps: NDArray[Any]
) -> dict[int, NDArray[Any]]:
    """By how much the sum of the output's elements changes where the value of one node is moved.

    `directions` holds, for the position of each node, its directions: an array of shape (count, *the node's shape).
    `steps` are real or complex; the node's value is moved by step × direction, and all that follow from it are
    computed anew. The answer holds for each node an array of shape (count, number of steps). Where all operations are
    elementwise, many moves are one run with a leading axis for them.
    """
    leading = nodes_leading_to(graph, target)
    moves = [
        (place, direction, step)
        for place, along in directions.items()
        if place in leading
        for direction in range(len(along))
        for step in range(len(steps))
    ]
    arrays: list[Any] = list(values)
    elementwise = not any(node.operation.contributions for node in graph.nodes[: target + 1])
    size = max(1, _BATCH_ELEMENTS // max(1, int(values.offsets[target + 1]))) if elementwise else 1
    rank = max(map(np.ndim, arrays))
    changes = {place: np.zeros((len(along), len(steps)), dtype=steps.dtype) for place, along in directions.items()}
    with np.errstate(all="ignore"):
        for start in range(0, len(moves), size):
            batch = moves[start : start + size]
            shifts: dict[int, Any] = {}
            for row, (place, direction, step) in enumerate(batch):
                shape = values.shape(place)
                if place not in shifts:
                    shifts[place] = np.zeros((len(batch), *shape), dtype=steps.dtype)
                shifts[place][row] = steps[step] * directions[place][direction]
            for place, shift in shifts.items():
                # Elementwise operations broadcast from the last axis: the axis of the moves must be before all others.
                shape = values.shape(place)
                shifts[place] = (
                    shift.reshape(len(batch), *(1,) * (rank - len(shape)), *shape) if elementwise else shift[0]
                )
            try:
                moved = _moved_output(graph, arrays, sorted(leading), shifts)
            except ValueError:  # an operation refuses what it is moved to: there is no figure there
                moved = np.full_like(arrays[target], np.nan)
            change = (moved - arrays[target]).reshape(len(batch), -1).sum(axis=1)
            for (place, direction, step), each in zip(batch, change, strict=True):
                changes[place][direction, step] = each
    return changes


def _moved_output(graph: Graph, values: Sequence[Any], leading: Sequence[int], shifts: Mapping[int, Any]) -> Any:
    """The output where `shifts` are added to the values at some positions; `leading` are what it is computed from."""
    moved: dict[int, Any] = {}
    for place in leading:
        node, operands = graph.nodes[place], graph.operands[place]
        if any(source in moved for source in operands):
            taken = [moved.get(source, values[source]) for source in operands]
            moved[place] = np.multiply(node.operation.evaluate(taken, node.attributes), 1.0)
        if place in shifts:
            moved[place] = moved.get(place, values[place]) + shifts[place]
    return moved.get(leading[-1])


def nodes_between(graph: Graph, place: int, target: int, leading: frozenset[int]) -> list[int]:
    """The positions of the nodes on the paths from one node to the output, both included; only the first where there
    is no path. `leading` are those that lead to the output, `nodes_leading_to` finds them."""
    reached = {place}
    for later in range(place + 1, target + 1):
        if later in leading and not reached.isdisjoint(graph.operands[later]):
            reached.add(later)
    return sorted(reached) if target in reached else [place]


def nodes_leading_to(graph: Graph, target: int) -> frozenset[int]:
    """The positions of the nodes that the output depends on, and its own."""
    leading = {target}
    for place in range(target, -1, -1):
        if place in leading:
            leading.update(graph.operands[place])
    return frozenset(leading)
