"""Windows that slide over the axes after samples and channels, for convolution and pooling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
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
    after: Shape

    def steps(self, shape: Sequence[int]) -> Shape:
        """Count the steps that fit along each axis; raises ValueError where the window is longer than an axis."""
        counts = []
        for axis, (length, before, after) in enumerate(zip(shape, self.before, self.after, strict=True)):
            span = self.dilations[axis] * (self.lengths[axis] - 1) + 1
            if length + before + after < span:
                raise ValueError(f"a window of {span} elements does not fit an axis of {length + before + after}")
            counts.append((length + before + after - span) // self.strides[axis] + 1)
        return tuple(counts)

    def padded(self, shape: Shape) -> int:
        """Count the elements of an array of that shape with its padding."""
        lengths = zip(shape[2:], self.before, self.after, strict=True)
        return prod((*shape[:2], *map(sum, lengths)))

    def patches(self, x: Any, filling: float = 0.0) -> Any:
        """Return the elements under the window at each step, of shape (samples, channels, *steps, *lengths).

        It is a view of x, or of a copy padded with `filling`.
        """
        widths = [(0, 0), (0, 0), *zip(self.before, self.after, strict=True)]
        padded = np.pad(x, widths, constant_values=filling) if any(map(any, widths)) else x
        spans = [dilation * (length - 1) + 1 for dilation, length in zip(self.dilations, self.lengths, strict=True)]
        view = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(2, x.ndim)))
        index: Any = (..., *[slice(None, None, step) for step in (*self.strides, *self.dilations)])
        return view[index]

    def scatter_add(self, part: Callable[[tuple[int, ...]], Any], shape: Shape, dtype: Any) -> Any:
        """Sum `part(position)`, an array over all steps, for each position in the window: the adjoint of `patches`.

        The result has the shape `shape`, without the padding.
        """
        lengths = [sum(each) for each in zip(shape[2:], self.before, self.after, strict=True)]
        whole = np.zeros((*shape[:2], *lengths), dtype=dtype)
        steps = self.steps(shape[2:])
        for position in np.ndindex(*self.lengths):
            starts = [offset * dilation for offset, dilation in zip(position, self.dilations, strict=True)]
            targets = tuple(
                slice(start, start + stride * (count - 1) + 1, stride)
                for start, stride, count in zip(starts, self.strides, steps, strict=True)
            )
            whole[(slice(None), slice(None), *targets)] += part(position)
        unpadded = zip(self.before, shape[2:], strict=True)
        index: Any = (..., *[slice(start, start + length) for start, length in unpadded])
        return whole[index]


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
