"""A map of where a tensor is wrong: the relative error of each element as a cell, or of each block of a large one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core.comparison.error_measures import errors
from service.core.figures.figures import FloatArray, IntArray
from service.core.figures.text import short_number
from service.web.captions import text_width
from service.web.svg import Markup, element, number, text_element

_MOST_CELLS = 24  # rows and columns
LARGEST = 10_000_000  # elements of a tensor that is mapped
_WIDTH, _NARROWEST, _WIDEST, _LOWEST, _TALLEST = 560.0, 18.0, 52.0, 20.0, 36.0
_GAP, _LEFT, _TOP, _TEXT = 2.0, 46.0, 44.0, 12.0
_DECADES = (0.1, 1.0, 10.0)


def heat(relative_error: float) -> int:
    """How hot a relative error is: 0 where there is none, then below 0.1, below 1, below 10, and more."""
    return 0 if relative_error == 0.0 else 1 + int(np.searchsorted(_DECADES, relative_error, side="right"))


@dataclass(frozen=True, slots=True)
class ErrorMap:
    """The relative errors of a tensor's elements, the greatest of each block; 0 where they are within the tolerance.

    Of more than two axes they are those of the last two through the worst element, whose other indices are `before`;
    `row` and `column` are its block. `rows` and `columns` are where blocks begin, in a figure of `shape`; `wrong` of
    its elements are beyond the tolerance.
    """

    cells: FloatArray
    rows: IntArray
    columns: IntArray
    before: tuple[int, ...]
    row: int
    column: int
    shape: tuple[int, ...]
    worst: tuple[int, ...]
    wrong: int

    @property
    def sliced(self) -> str:
        """Which part of the figure is shown, [3, ·, ·]; empty if all of it is."""
        return f"[{', '.join([*map(str, self.before), '·', '·'])}]" if self.before else ""

    @property
    def in_blocks(self) -> bool:
        """Whether a cell stands for several elements."""
        return self.cells.size < int(np.prod(self.shape[-2:]))


def map_errors(
    candidate: FloatArray, baseline: FloatArray, worst: tuple[int, ...], bounds: tuple[float, float]
) -> ErrorMap:
    """Measure a tensor against the right one of the same shape; `bounds` are the tolerance, relative and absolute."""
    before, at = worst[:-2], worst[-2:]
    own, right = (np.atleast_2d(figure[before]) for figure in (candidate, baseline))
    rows, columns = (_block_starts(length) for length in own.shape)
    cells, wrong = np.zeros((len(rows), len(columns))), 0
    for rank, (start, end) in enumerate(zip(rows, [*rows[1:], len(own)], strict=True)):
        absolute, relative = errors(own[start:end], right[start:end])
        with np.errstate(invalid="ignore"):
            within = absolute <= bounds[0] * np.abs(right[start:end]) + bounds[1]
        relative[within] = 0.0
        wrong += int(np.count_nonzero(~within))
        cells[rank] = np.maximum.reduceat(relative.max(axis=0), columns)
    row, column = (
        int(np.searchsorted(starts, index, side="right")) - 1
        for starts, index in zip((rows, columns), (0, *at)[-2:], strict=True)
    )
    return ErrorMap(cells, rows, columns, before, row, column, candidate.shape, worst, wrong)


def _block_starts(length: int) -> IntArray:
    count = min(length, _MOST_CELLS)
    return np.arange(count) * length // count


def draw_error_map(found: ErrorMap, words: str) -> Markup:
    """Draw the map of a figure, which is described by these words; axes are numbered, the worst is framed."""
    height_count, width_count = found.cells.shape
    width = min(max(_WIDTH / width_count, _NARROWEST), _WIDEST)
    height = min(max(_WIDTH / height_count, _LOWEST), _TALLEST)
    parts = [*_axis(found.columns, width, height, across=True, rank=len(found.shape))]
    if len(found.shape) > 1:
        parts += _axis(found.rows, width, height, across=False, rank=len(found.shape))
    for row in range(height_count):
        for column in range(width_count):
            parts += _cell(float(found.cells[row, column]), _LEFT + column * width, _TOP + row * height, width, height)
    x, y = _LEFT + found.column * width, _TOP + found.row * height
    parts.append(element("rect", class_="worst", x=x, y=y, width=width - _GAP, height=height - _GAP, rx=3))
    total = _LEFT + width_count * width, _TOP + height_count * height
    size = {"viewBox": f"0 0 {number(total[0])} {number(total[1])}", "width": f"{total[0] / 16:.2f}em"}
    return element("svg", *parts, class_="plot map", role="img", aria_label=words, **size)


def _cell(error: float, x: float, y: float, width: float, height: float) -> list[Markup]:
    inner = width - _GAP
    square = element("rect", class_=f"q{heat(error)}", x=x, y=y, width=inner, height=height - _GAP, rx=3)
    text = short_number(error, 2 if error < _DECADES[-1] else 3)
    if not error or text_width(text, _TEXT) > inner:
        return [square]
    return [square, text_element("text", text, class_="mid ink", x=x + inner / 2, y=y + height / 2 + 3)]


def _axis(starts: IntArray, width: float, height: float, *, across: bool, rank: int) -> Sequence[Markup]:
    """The numbers of the columns above, or of the rows to the left, as many as fit, and which axis it is."""
    last = text_width(str(int(starts[-1])), _TEXT)
    every = int(-(-(last + 4) // width)) if across else 1
    if across:
        name = text_element("text", f"axis {rank - 1}", class_="end", x=_LEFT + width * len(starts) - _GAP, y=12)
        numbers = [
            text_element("text", str(int(start)), class_="mid", x=_LEFT + k * width + (width - _GAP) / 2, y=_TOP - 10)
            for k, start in enumerate(starts)
            if k % every == 0
        ]
        return [name, *numbers]
    name = text_element("text", f"axis {rank - 2}", class_="end", x=_LEFT - 8, y=_TOP - 10)
    return [
        name,
        *(
            text_element("text", str(int(start)), class_="end", x=_LEFT - 8, y=_TOP + k * height + height / 2 + 3)
            for k, start in enumerate(starts)
        ),
    ]
