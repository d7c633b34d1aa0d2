"""The out-edges of the nodes of a graph."""

from collections.abc import Sequence

import numpy as np

from service.core.figures.figures import IntArray, UInt32Array

OutEdges = tuple[tuple[int, int], ...]


class Consumers(Sequence[OutEdges]):
    """For each node its out-edges in order: the consumer's position and the node's index among its inputs.

    They are kept as vectors, edge by edge, and a node's are made when it is asked for: who asks, asks about few.
    """

    def __init__(self, starts: UInt32Array, operands: UInt32Array) -> None:
        """The operands of a node, by position, are those from its start to before the next one's."""
        first_edges, counts = starts[:-1].astype(np.int64), np.diff(starts)
        order = np.argsort(operands, kind="stable")
        ends = np.cumsum(np.bincount(operands, minlength=len(counts)))
        self._starts: IntArray = np.concatenate([[0], ends])
        self._consumers: IntArray = np.repeat(np.arange(len(counts)), counts)[order]
        self._operand_indices: IntArray = order - np.repeat(first_edges, counts)[order]

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, position: int) -> OutEdges:  # type: ignore[override]  # nobody slices them
        if not 0 <= position < len(self):
            raise IndexError(position)
        first, last = self._starts[position], self._starts[position + 1]
        return tuple(zip(self._consumers[first:last].tolist(), self._operand_indices[first:last].tolist(), strict=True))

    @property
    def counts(self) -> IntArray:
        """The number of out-edges of each node."""
        return np.diff(self._starts)
