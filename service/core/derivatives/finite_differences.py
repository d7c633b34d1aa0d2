"""Moving the values of nodes and seeing how far the output moves: what a gradient is checked against."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.derivatives.difference_quotients import in_rows
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Graph
from service.core.graph.sweep import walk_forward
from service.core.graph.traversal import reaches

# Elements of the values of all nodes in one batch of perturbations.
MOVED_ELEMENTS = 2**20
_NOT_FINITE = 64.0  # a motion without a figure, as a share of the value
# Below this part of its operands a value is little more than their rounding errors.
_ROUNDING = 2.0**-43


class Mover:
    """The forward pass of one graph at one point, from any node that is moved on.

    `weights` are those of the output's elements in L, the quantity whose changes are measured: the seed.
    """

    def __init__(self, graph: Graph, values: Figures, target: int, weights: FloatArray) -> None:
        self.graph, self.target, self.weights = graph, target, weights
        self.arrays: list[Any] = list(values)
        self.elements = int(values.offsets[target + 1])
        self._reached = reaches(graph, graph.nodes[target].name)
        self._elementwise = all(node.operation.is_elementwise for node in graph.nodes[: target + 1])
        self._rank = max(map(np.ndim, self.arrays))

    @property
    def batch(self) -> int:
        """How many moves are one run: many where all operations are elementwise, with a leading axis for them."""
        return max(1, MOVED_ELEMENTS // max(1, self.elements)) if self._elementwise else 1

    def changes(self, directions: Mapping[int, FloatArray], steps: NDArray[Any]) -> dict[int, NDArray[Any]]:
        """By how much L changes where the value of one node is moved.

        `directions` holds, for the position of each node, its directions: an array of shape (count, *the node's shape).
        `steps` are real or complex; the node's value is moved by step × direction, and all that follow from it are
        computed anew. The answer holds for each node an array of shape (count, number of steps).
        """
        moves = [
            (position, direction, step)
            for position, along in directions.items()
            if self._reached[position]
            for direction in range(len(along))
            for step in range(len(steps))
        ]
        changes = {
            position: np.zeros((len(along), len(steps)), dtype=steps.dtype) for position, along in directions.items()
        }
        for start in range(0, len(moves), self.batch):
            batch = moves[start : start + self.batch]
            shifts: dict[int, Any] = {}
            for row, (position, direction, step) in enumerate(batch):
                if position not in shifts:
                    shifts[position] = np.zeros((len(batch), *self.arrays[position].shape), dtype=steps.dtype)
                shifts[position][row] = steps[step] * directions[position][direction]
            base = self.arrays[self.target]
            moved = self._moved(shifts)
            output = np.full_like(base, np.nan) if moved is None else moved[self.target]
            if output is None:  # held back by a StopGradient
                continue
            change = in_rows((self.weights * (output - base)).reshape(len(batch), *base.shape)).sum(axis=1)
            for (position, direction, step), each in zip(batch, change, strict=True):
                changes[position][direction, step] = each
        return changes

    def motions(
        self, position: int, moves: FloatArray, gradients: Sequence[Any], path: Sequence[int]
    ) -> tuple[FloatArray, FloatArray]:
        """How far the nodes on a path move with one, for each of `moves`, an array of shape (count, *the node's shape).

        The first answer is the greatest |change| / |value| of an element, 64 for one that is not finite; values that
        are 0, or rounding errors of their operands, are passed over. The second is Σ|gradient × change|, the size of
        what is summed up in the change of L.
        """
        furthest, carried = np.zeros(len(moves)), np.zeros(len(moves))
        for start in range(0, len(moves), self.batch):
            rows = slice(start, start + self.batch)
            moved = self._moved({position: moves[rows]})
            count = len(moves[rows])
            if moved is None:
                furthest[rows] = _NOT_FINITE
                continue
            for node in path[1:]:
                value = self.arrays[node]
                change = np.absolute(moved[node].reshape(count, *value.shape) - value)
                operands = [self.arrays[each] for each in self.graph.operands[node]]
                least = _ROUNDING * max(float(np.absolute(each).max(initial=0.0)) for each in operands)
                share = np.where(value == 0.0, 0.0, change / (np.absolute(value) + least))
                share = in_rows(np.where(np.isfinite(share), share, _NOT_FINITE))
                furthest[rows] = np.maximum(furthest[rows], share.max(axis=1, initial=0.0))
                weighed = np.nan_to_num(np.absolute(gradients[node]) * change, nan=0.0)
                carried[rows] += in_rows(weighed).sum(axis=1)
        return furthest, carried

    def _moved(self, shifts: Mapping[int, Any]) -> list[Any] | None:
        """The values where `shifts`, with a leading axis for the moves, are added to those at some positions; None
        where an operation refuses what it is moved to."""
        laid = {}
        for position, shift in shifts.items():
            # Elementwise operations broadcast from the last axis: the axis of the moves must be before all others.
            shape = shift.shape[1:]
            laid[position] = (
                shift.reshape(len(shift), *(1,) * (self._rank - len(shape)), *shape) if self._elementwise else shift[0]
            )

        def visit(position: int, operands: list[Any]) -> Any:
            """The moved value; None where it is not moved, or does not count."""
            if not self._reached[position]:
                return None
            node, moved = self.graph.nodes[position], None
            # For gradients what is stopped is a constant, and a rounding adds one, and so it is for what they are
            # checked by.
            if node.operation.name == "Cast" and operands[0] is not None:
                moved = self.arrays[position] + (operands[0] - self.arrays[self.graph.operands[position][0]])
            elif node.operation.name != "StopGradient" and any(operand is not None for operand in operands):
                sources = zip(operands, self.graph.operands[position], strict=True)
                taken = [self.arrays[source] if operand is None else operand for operand, source in sources]
                moved = np.multiply(node.operation.evaluate(taken, node.attributes), 1.0)
            if position in laid:
                moved = (self.arrays[position] if moved is None else moved) + laid[position]
            return moved

        try:
            with np.errstate(all="ignore"):
                return walk_forward(self.graph, visit, self.target + 1)
        except ValueError:
            return None
