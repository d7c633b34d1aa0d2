"""Windows that slide over the axes after samples and channels, for convolution and pooling."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.figures.figures import Shape


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window: for each axis its length, stride, dilation, and the padding before and after."""

    lengths: Shape
    strides: Shape
    dilations: Shape
    before: Shape
    behind: Shape

    def steps(self, shape: Sequence[int]) -> Shape:
        """How many steps fit along each axis; raises ValueError where the window is longer than an axis."""
        counts = []
        for axis, (length, before, behind) in enumerate(zip(shape, self.before, self.behind, strict=True)):
            span = self.dilations[axis] * (self.lengths[axis] - 1) + 1
            if length + before + behind < span:
                raise ValueError(f"a window of {span} elements does not fit an axis of {length + before + behind}")
            counts.append((length + before + behind - span) // self.strides[axis] + 1)
        return tuple(counts)

    def over(self, x: Any, filling: float = 0.0) -> Any:
        """x at every step, (samples, channels, *steps, *lengths): a view of x, padded with `filling` if need be."""
        widths = [(0, 0), (0, 0), *zip(self.before, self.behind, strict=True)]
        padded = np.pad(x, widths, constant_values=filling) if any(map(any, widths)) else x
        spans = [spread * (length - 1) + 1 for spread, length in zip(self.dilations, self.lengths, strict=True)]
        view = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(2, x.ndim)))
        return view[self._index(slice(None, None, step) for step in (*self.strides, *self.dilations))]

    def _index(self, slices: Iterable[slice]) -> Any:
        return (..., *slices)

    def put_back(self, part: Callable[[tuple[int, ...]], Any], shape: Shape, dtype: Any) -> Any:
        """The adjoint of `over`: sum `part(position)`, an array over all steps, for each position in the window.

        The result has that shape.
        """
        lengths = [sum(each) for each in zip(shape[2:], self.before, self.behind, strict=True)]
        whole = np.zeros((*shape[:2], *lengths), dtype=dtype)
        steps = self.steps(shape[2:])
        for position in np.ndindex(*self.lengths):
            starts = [at * spread for at, spread in zip(position, self.dilations, strict=True)]
            reached = tuple(
                slice(start, start + stride * (count - 1) + 1, stride)
                for start, stride, count in zip(starts, self.strides, steps, strict=True)
            )
            whole[(slice(None), slice(None), *reached)] += part(position)
        kept = zip(self.before, shape[2:], strict=True)
        return whole[self._index(slice(start, start + length) for start, length in kept)]


def window(
    lengths: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
) -> Window:
    """Build a window from ONNX's attributes; raises ValueError if their lengths differ or a number is too small."""
    count = len(lengths)
    one = (1,) * count
    chosen = one if strides is None else strides, one if dilations is None else dilations
    pads = (0,) * (2 * count) if pads is None else pads
    if not len(chosen[0]) == len(chosen[1]) == count == len(pads) / 2:
        raise ValueError(f"expected {count} strides and dilations, and {2 * count} pads")
    if min((*lengths, *chosen[0], *chosen[1]), default=1) < 1 or min(pads, default=0) < 0:
        raise ValueError("kernel_shape, strides and dilations must be 1 or more, pads 0 or more")
    return Window(tuple(lengths), tuple(chosen[0]), tuple(chosen[1]), tuple(pads[:count]), tuple(pads[count:]))
