"""Figures: one array for each node of a graph, packed in one vector, so that a million of them are one blob."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.core.figures.buffers import empty_vector

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Int32Array: TypeAlias = NDArray[np.int32]
UInt32Array: TypeAlias = NDArray[np.uint32]
IndexArray: TypeAlias = NDArray[np.intp]
BoolArray: TypeAlias = NDArray[np.bool_]
Shape: TypeAlias = tuple[int, ...]

MOST_DIMENSIONS = 32  # of a figure


@dataclass(frozen=True, eq=False)
class Figures:
    """The values, or the gradients, of all nodes in topological order.

    `flat` is a float64 vector: each node's figure row-major, one after the other. `shapes` is None where every node is
    a scalar. `present` is None where every node has a figure; a node without one has elements in `flat` all the same
    (one where its shape is unknown, given as ()). `none` marks those that were recorded as having no figure, as the
    gradient of a detached parameter; it is None where there is no such node.
    """

    flat: FloatArray
    shapes: tuple[Shape, ...] | None = None
    present: BoolArray | None = None
    none: BoolArray | None = None

    @cached_property
    def offsets(self) -> IntArray:
        """Where each node's figure starts in `flat`, and, last, where the last one ends."""
        if self.shapes is None:
            return np.arange(len(self.flat) + 1)
        return np.concatenate([[0], np.cumsum([prod(shape) for shape in self.shapes], dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.flat) if self.shapes is None else len(self.shapes)

    def __getitem__(self, position: int) -> FloatArray | None:
        """The figure of the node at that position, of its shape; None where it has none."""
        if self.present is not None and not self.present[position]:
            return None
        if self.shapes is None:
            return self.flat[position : position + 1].reshape(())
        start, end = self.offsets[position : position + 2]
        return self.flat[start:end].reshape(self.shapes[position])

    def part(self, start: int, stop: int) -> "Figures":
        """The figures of the nodes from `start` to before `stop`; nothing is copied."""
        flat = self.flat[self.offsets[start] : self.offsets[min(stop, len(self))]] if len(self) else self.flat
        shapes = None if self.shapes is None else self.shapes[start:stop]
        present, none = (None if mask is None else mask[start:stop] for mask in (self.present, self.none))
        return Figures(flat, shapes, present, none)

    def __iter__(self) -> Iterator[FloatArray | None]:
        return (self[position] for position in range(len(self)))

    def shape(self, position: int) -> Shape:
        """The shape of the figure of the node at that position."""
        return () if self.shapes is None else self.shapes[position]

    def nonfinite_nodes(self, nan_alone: bool = False) -> list[int]:
        """The positions of the nodes whose figure has a NaN, or an infinity unless `nan_alone`."""
        unsound = np.isnan(self.flat) if nan_alone else ~np.isfinite(self.flat)
        if not unsound.any():
            return []
        if self.present is not None:
            unsound &= np.repeat(self.present, np.diff(self.offsets))
        elements = np.flatnonzero(unsound)
        return sorted({int(position) - 1 for position in np.searchsorted(self.offsets, elements, side="right")})


def pack(arrays: Sequence[FloatArray | np.float64 | float | None]) -> Figures:
    """Copy one array for each node, None where it has no figure, into Figures."""
    present = None
    if any(array is None for array in arrays):
        present = np.array([array is not None for array in arrays])
    filled = [np.float64(0.0) if array is None else array for array in arrays]
    shapes = [np.shape(array) for array in filled]
    if not any(shapes):
        flat = np.array(filled, dtype=np.float64).reshape(-1)
        return frozen(flat, None, present)
    flat = empty_vector(sum(map(prod, shapes)))
    np.concatenate([np.ravel(array) for array in filled], out=flat)
    return frozen(flat, tuple(shapes), present)


def element_count(shape: Shape) -> int:
    """The number of elements that a tensor counts as against a limit; an axis of length 0 counts as 1, for a tensor
    without elements is written as nested lists all the same."""
    return prod(filter(None, shape))


def blank_figures(shapes: tuple[Shape, ...] | None, count: int) -> Figures:
    """Figures of `count` nodes of these shapes, scalars if None, before there are numbers: they take no memory."""
    return Figures(np.broadcast_to(0.0, count if shapes is None else sum(map(prod, shapes))), shapes)


def no_figures(count: int) -> Figures:
    """Figures of `count` nodes, none of them present."""
    return frozen(np.zeros(count), None, np.zeros(count, dtype=bool))


def frozen(flat: FloatArray, shapes: tuple[Shape, ...] | None = None, present: BoolArray | None = None) -> Figures:
    """Figures over `flat` itself, which becomes read-only."""
    flat.setflags(write=False)
    return Figures(flat, shapes, present)


def same_bits(x: FloatArray, y: FloatArray) -> BoolArray:
    """Where the two have the same bits or are both NaN."""
    same: BoolArray = (x.view(np.int64) == y.view(np.int64)) | (np.isnan(x) & np.isnan(y))
    return same
