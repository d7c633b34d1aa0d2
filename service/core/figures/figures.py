"""Figures: one array for each node of a graph, packed in one vector, so that a million of them are one blob.

Large arrays are held as they were computed and packed only when somebody asks for the vector: a run of which only the
gradients of the inputs are answered never copies the others, and figures in float32 stay that until they are read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, prod, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.core.figures.buffers import empty_vector

FloatArray: TypeAlias = NDArray[np.float64]
HeldArray: TypeAlias = NDArray[np.float64] | NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int64]
Int32Array: TypeAlias = NDArray[np.int32]
UInt32Array: TypeAlias = NDArray[np.uint32]
IndexArray: TypeAlias = NDArray[np.intp]
BoolArray: TypeAlias = NDArray[np.bool_]
Shape: TypeAlias = tuple[int, ...]

MOST_DIMENSIONS = 32  # of a figure

_WORTH_HOLDING = 1024  # elements a node: smaller arrays are packed at once, since an object each would outweigh them


@dataclass(frozen=True, eq=False)
class Figures:
    """The values, or the gradients, of all nodes in topological order.

    `held` is the vector `flat`, or one array for each node, of float64 or float32 and read-only, None where it has no
    figure. `shapes` is None where every node is a scalar. `present` is None where every node has a figure; a node
    without one has elements in `flat` all the same (one where its shape is unknown, given as ()). `none` marks those
    that were recorded as having no figure, as the gradient of a detached parameter; it is None where there is no such
    node.
    """

    held: FloatArray | Sequence[HeldArray | None]
    shapes: tuple[Shape, ...] | None = None
    present: BoolArray | None = None
    none: BoolArray | None = None

    @property
    def flat(self) -> FloatArray:
        """A float64 vector: each node's figure row-major, one after the other. Held arrays are let go for it."""
        held = self.held
        if not isinstance(held, np.ndarray):
            held = _joined(held)
            held.setflags(write=False)
            object.__setattr__(self, "held", held)
        return held

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
        figure = self.computed(position)
        return None if figure is None else np.asarray(figure, dtype=np.float64, order="C")

    def computed(self, position: int) -> HeldArray | None:
        """As `figures[position]`, but in the precision in which it is held."""
        if self.present is not None and not self.present[position]:
            return None
        held = self.held
        if not isinstance(held, np.ndarray):
            return held[position]
        if self.shapes is None:
            return held[position : position + 1].reshape(())
        start, end = self.offsets[position : position + 2]
        return held[start:end].reshape(self.shapes[position])

    @property
    def parts(self) -> Sequence[HeldArray]:
        """What is held: the vector, or the arrays that there are."""
        held = self.held
        return [held] if isinstance(held, np.ndarray) else [array for array in held if array is not None]

    def part(self, start: int, stop: int) -> "Figures":
        """The figures of the nodes from `start` to before `stop`; nothing is copied."""
        held = self.held
        if not isinstance(held, np.ndarray):
            held = held[start:stop]
        elif len(self):
            held = held[self.offsets[start] : self.offsets[min(stop, len(self))]]
        shapes = None if self.shapes is None else self.shapes[start:stop]
        present, none = (None if mask is None else mask[start:stop] for mask in (self.present, self.none))
        return Figures(held, shapes, present, none)

    def __iter__(self) -> Iterator[FloatArray | None]:
        return (self[position] for position in range(len(self)))

    def shape(self, position: int) -> Shape:
        """The shape of the figure of the node at that position."""
        return () if self.shapes is None else self.shapes[position]

    def nonfinite_nodes(self, nan_alone: bool = False) -> list[int]:
        """The positions of the nodes whose figure has a NaN, or an infinity unless `nan_alone`."""
        mark = np.isnan if nan_alone else _is_nonfinite
        held = self.held
        if not isinstance(held, np.ndarray):
            return [position for position, array in enumerate(held) if array is not None and mark(array).any()]
        unsound = mark(held)
        if not unsound.any():
            return []
        if self.present is not None:
            unsound &= np.repeat(self.present, np.diff(self.offsets))
        elements = np.flatnonzero(unsound)
        return sorted({int(position) - 1 for position in np.searchsorted(self.offsets, elements, side="right")})


def pack(arrays: Sequence[HeldArray | np.float64 | float | None]) -> Figures:
    """Copy one array for each node, None where it has no figure, into Figures."""
    present = None
    if any(array is None for array in arrays):
        present = np.array([array is not None for array in arrays])
    filled = [np.float64(0.0) if array is None else array for array in arrays]
    shapes = [np.shape(array) for array in filled]
    if not any(shapes):
        flat = np.array(filled, dtype=np.float64).reshape(-1)
        return frozen(flat, None, present)
    return frozen(_joined(filled), tuple(shapes), present)


def hold(arrays: Sequence[HeldArray | np.float64 | None]) -> Figures:
    """As `pack`, but large arrays are held as they are, and must not be written to any more."""
    given = [array for array in arrays if array is not None]
    if sum(map(np.size, given)) < _WORTH_HOLDING * len(arrays):
        return pack(arrays)
    held = [None if array is None else _read_only(array) for array in arrays]
    present = None if len(given) == len(arrays) else np.array([array is not None for array in arrays])
    return Figures(held, tuple(() if array is None else array.shape for array in held), present)


def _read_only(array: HeldArray | np.float64) -> HeldArray:
    view: Any = np.asarray(array).view()
    view.setflags(write=False)
    return view  # type: ignore[no-any-return]


def _joined(arrays: Sequence[HeldArray | np.float64 | float | None]) -> FloatArray:
    """One after the other, in place of each that is missing one 0."""
    flat = empty_vector(sum(1 if array is None else np.size(array) for array in arrays))
    np.concatenate([np.zeros(1) if array is None else np.ravel(array) for array in arrays], out=flat)
    return flat


def _is_nonfinite(array: HeldArray) -> BoolArray:
    return ~np.isfinite(array)


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


def euclidean_norm(figure: FloatArray) -> float:
    """√Σx², scaled by the largest |x|, so that no square overflows or underflows."""
    largest = float(np.max(np.abs(figure), initial=0.0))
    if largest == 0.0 or not isfinite(largest):
        return largest
    return largest * sqrt(np.sum(np.square(figure / largest)))  # not by BLAS, whose last digits are the machine's
