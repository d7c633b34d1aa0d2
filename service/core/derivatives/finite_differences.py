"""Moving the values of nodes and seeing how far the output moves: what a gradient is checked against."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.figures.figures import BoolArray, Figures, FloatArray
from service.core.graph.graph import Graph
from service.core.graph.sweep import walk_forward
from service.core.graph.traversal import reaches

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
    reached = reaches(graph, graph.nodes[target].name)
    moves = [
        (position, direction, step)
        for position, along in directions.items()
        if reached[position]
        for direction in range(len(along))
        for step in range(len(steps))
    ]
    arrays: list[Any] = list(values)
    elementwise = all(node.operation.is_elementwise for node in graph.nodes[: target + 1])
    size = max(1, _BATCH_ELEMENTS // max(1, int(values.offsets[target + 1]))) if elementwise else 1
    rank = max(map(np.ndim, arrays))
    changes = {
        position: np.zeros((len(along), len(steps)), dtype=steps.dtype) for position, along in directions.items()
    }
    with np.errstate(all="ignore"):
        for start in range(0, len(moves), size):
            batch = moves[start : start + size]
            shifts: dict[int, Any] = {}
            for row, (position, direction, step) in enumerate(batch):
                shape = values.shape(position)
                if position not in shifts:
                    shifts[position] = np.zeros((len(batch), *shape), dtype=steps.dtype)
                shifts[position][row] = steps[step] * directions[position][direction]
            for position, shift in shifts.items():
                # Elementwise operations broadcast from the last axis: the axis of the moves must be before all others.
                shape = values.shape(position)
                shifts[position] = (
                    shift.reshape(len(batch), *(1,) * (rank - len(shape)), *shape) if elementwise else shift[0]
                )
            try:
                moved = _moved_output(graph, arrays, target, reached, shifts)
            except ValueError:  # an operation refuses what it is moved to: there is no figure there
                moved = np.full_like(arrays[target], np.nan)
            change = (moved - arrays[target]).reshape(len(batch), -1).sum(axis=1)
            for (position, direction, step), each in zip(batch, change, strict=True):
                changes[position][direction, step] = each
    return changes


def _moved_output(
    graph: Graph, values: Sequence[Any], target: int, reached: BoolArray, shifts: Mapping[int, Any]
) -> Any:
    """The output where `shifts` are added to the values at some positions; `reached` says which nodes lead to it."""

    def visit(position: int, operands: list[Any]) -> Any:
        """The moved value; None where it is not moved, or does not count."""
        if not reached[position]:
            return None
        node, moved = graph.nodes[position], None
        if any(operand is not None for operand in operands):
            sources = zip(operands, graph.operands[position], strict=True)
            taken = [values[source] if operand is None else operand for operand, source in sources]
            moved = np.multiply(node.operation.evaluate(taken, node.attributes), 1.0)
        if position in shifts:
            moved = (values[position] if moved is None else moved) + shifts[position]
        return moved

    return walk_forward(graph, visit, target + 1)[target]
