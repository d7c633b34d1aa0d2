"""Windows that slide over the axes after samples and channels, for convolution and pooling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeAlias

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf

AUTO_PAD = Attribute("auto_pad", OneOf(("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")), "NOTSET")

# The numbers that a rule over windows holds at once: 2 MB stay in a processor's cache.
_CACHED = 256 * 1024


# Samples, channels, and steps along the first axis, of an array of shape (samples, channels, *steps).
StepsIndex: TypeAlias = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window: for each axis its length, stride, dilation, and the padding before and after.

    `after` is negative where no window reaches the last elements of the axis. Its last `beyond` elements are no padding
    that counts: only the last window reaches there, where the number of steps was rounded up.
    """

    lengths: Shape
    strides: Shape
    dilations: Shape
    before: Shape
    after: Shape
    beyond: Shape

    @property
    def spans(self) -> Shape:
        """The lengths of the window with the gaps between its elements."""
        return spans(self.lengths, self.dilations)

    def steps(self, shape: Sequence[int]) -> Shape:
        """Count the steps that fit along each axis; raises ValueError where the window is longer than an axis."""
        counts = []
        for axis, (length, before, after) in enumerate(zip(shape, self.before, self.after, strict=True)):
            span = self.spans[axis]
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
        reached: Any = (
            ...,
            *[slice(length + min(after, 0)) for length, after in zip(x.shape[2:], self.after, strict=True)],
        )
        widths = [
            (0, 0),
            (0, 0),
            *[(before, max(after, 0)) for before, after in zip(self.before, self.after, strict=True)],
        ]
        padded = np.pad(x[reached], widths, constant_values=filling) if any(map(any, widths)) else x[reached]
        view = np.lib.stride_tricks.sliding_window_view(padded, self.spans, axis=tuple(range(2, x.ndim)))
        index: Any = (..., *[slice(None, None, step) for step in (*self.strides, *self.dilations)])
        return view[index]

    def overlaps(self, shape: Sequence[int], along: slice = slice(None)) -> Iterator[tuple[Any, Any]]:
        """For each position in the window, row-major, yield an index of the elements that lie under it along axes of
        these lengths, and an index of the steps at which they do: none where padding lies there.

        Of the steps along the first axis only those in the slice `along` are looked at, and counted from its start.
        """
        taken = [range(count) for count in self.steps(shape)]
        taken[0] = taken[0][along]
        axes = zip(self.lengths, self.strides, self.dilations, self.before, shape, taken, strict=True)
        pairs = [
            [
                _overlap(offset * dilation - before + steps.start * stride, stride, length, len(steps))
                for offset in range(width)
            ]
            for width, stride, dilation, before, length, steps in axes
        ]
        for chosen in product(*pairs):
            elements, steps = zip(*chosen, strict=True)
            yield (..., *elements), (..., *steps)


def _overlap(start: int, stride: int, length: int, count: int) -> tuple[slice, slice]:
    """Of steps 0 to count − 1, each at the element start + stride · step, those within an axis of that length."""
    first, end = max(0, -(start // stride)), min(count, (length - 1 - start) // stride + 1)
    if first >= end:
        return slice(0), slice(0)
    return slice(start + stride * first, start + stride * (end - 1) + 1, stride), slice(first, end)


def parts(held: int, rows: int) -> Sequence[slice]:
    """Part so many rows alike, so that of the `held` numbers that a rule would hold for all of them together those for
    one part stay in the processor's cache: one row at least."""
    size = _rows_of_part(held, rows)
    return [slice(start, start + size) for start in range(0, rows, size)]


def share_of_part(held: int, rows: int) -> float:
    """Return which share of all rows the largest of `parts` has."""
    return _rows_of_part(held, rows) / max(rows, 1)


def _rows_of_part(held: int, rows: int) -> int:
    return -(-max(rows, 1) // max(1, min(rows, -(-held // _CACHED))))


def blocks(*arrays: Any, held: int) -> Iterator[Sequence[Any]]:
    """Part arrays of equally many rows, the first axis, as `parts` does."""
    return ([array[rows] for array in arrays] for rows in parts(held, len(arrays[0])))


def blocks_of_steps(held: int, samples: int, steps: int) -> Iterator[StepsIndex]:
    """Part an array of shape (samples, channels, steps, …) in the same way: where one sample holds too much, also along
    the first axis of steps."""
    for part in parts(held, samples):
        for along in parts(-(-held // samples), steps):
            yield part, slice(None), along


def window(
    axes: Sequence[int],
    lengths: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
) -> Window:
    """Build a window that slides over axes of these lengths, from ONNX's attributes.

    Raises ValueError if their lengths differ, a number is too small, or pads are given that `auto_pad` chooses.
    """
    strides, dilations, pads = sliding(lengths, strides, dilations, pads, auto_pad)
    count = len(lengths)
    before, after, covered = pads[:count], pads[count:], spans(lengths, dilations)
    if auto_pad.startswith("SAME"):
        # As many steps as strides begin within the axis.
        needed = [
            max((-(-length // stride) - 1) * stride + span - length, 0)
            for length, stride, span in zip(axes, strides, covered, strict=True)
        ]
        before, after = split_padding(needed, auto_pad)
    beyond = (0,) * count
    if ceil_mode:
        # One more window may reach beyond the padding, if it begins before it.
        padded = [sum(each) for each in zip(axes, before, after, strict=True)]
        more = [-(-(length - span) // stride) for length, span, stride in zip(padded, covered, strides, strict=True)]
        beyond = tuple(
            max(step * stride + span - length, 0) if step * stride < axis + start else 0
            for step, stride, span, length, axis, start in zip(
                more, strides, covered, padded, axes, before, strict=True
            )
        )
        after = tuple(map(sum, zip(after, beyond, strict=True)))
    return Window(tuple(lengths), strides, dilations, before, after, beyond)


def sliding(
    lengths: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
) -> tuple[Shape, Shape, Shape]:
    """Fill in the defaults of strides, dilations and pads; raises ValueError as `window` does."""
    count = len(lengths)
    one = (1,) * count
    chosen = one if strides is None else tuple(strides), one if dilations is None else tuple(dilations)
    pads = (0,) * (2 * count) if pads is None else tuple(pads)
    if not len(chosen[0]) == len(chosen[1]) == count == len(pads) / 2:
        raise ValueError(f"expected {count} strides and dilations, and {2 * count} pads")
    if min((*lengths, *chosen[0], *chosen[1]), default=1) < 1 or min(pads, default=0) < 0:
        raise ValueError("kernel_shape, strides and dilations must be 1 or more, pads 0 or more")
    if auto_pad != "NOTSET" and any(pads):
        raise ValueError(f"auto_pad {auto_pad} chooses the pads; none may be given")
    return *chosen, pads


def spans(lengths: Sequence[int], dilations: Sequence[int]) -> Shape:
    """Return the lengths of windows with the gaps between their elements."""
    return tuple(dilation * (length - 1) + 1 for dilation, length in zip(dilations, lengths, strict=True))


def split_padding(totals: Sequence[int], auto_pad: str) -> tuple[Shape, Shape]:
    """Split the padding of each axis between its two ends; the odd element is at the end under SAME_UPPER."""
    halves = tuple(total // 2 for total in totals)
    others = tuple(total - half for total, half in zip(totals, halves, strict=True))
    return (halves, others) if auto_pad == "SAME_UPPER" else (others, halves)
