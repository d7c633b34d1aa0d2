"""Thin the points of a sweep to the cells of a picture, so that extremes and every value that is not finite stay."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from service.core.figures.figures import FloatArray, IntArray

_GREATEST = np.finfo(np.float64).max
FIRST = 5  # of the points without a finite value, whose numbers are kept


@dataclass(frozen=True, slots=True)
class PlacedPoints:
    """Points next to one another: the number of each, the cell that it falls into, and its value."""

    numbers: IntArray
    cells: IntArray
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Thinned:
    """What is in each cell: the least and the greatest finite value, NaN where there is none, and how many points have
    none; of all `points`, the numbers and values of the least, the greatest, and the first ones without a finite value.

    Of several points with the least or greatest value it is the first.
    """

    least: FloatArray
    greatest: FloatArray
    nonfinite: IntArray
    points: int
    lowest: tuple[int, float] | None
    highest: tuple[int, float] | None
    first_nonfinite: tuple[tuple[int, float], ...]


def thin(blocks: Iterable[PlacedPoints], cells: int) -> Thinned:
    """Gather blocks, in the order of their numbers, into so many cells."""
    least, greatest = np.full(cells, np.inf), np.full(cells, -np.inf)
    nonfinite, points = np.zeros(cells, np.int64), 0
    lowest = highest = None
    first: list[tuple[int, float]] = []
    for block in blocks:
        points += len(block.values)
        finite = np.isfinite(block.values)
        if not finite.all():
            nonfinite += np.bincount(block.cells[~finite], minlength=cells)
            at = np.flatnonzero(~finite)[: FIRST - len(first)]
            first += zip(block.numbers[at].tolist(), block.values[at].tolist(), strict=True)
        numbers, values, into = block.numbers[finite], block.values[finite], block.cells[finite]
        if len(values):
            np.minimum.at(least, into, values)
            np.maximum.at(greatest, into, values)
            low, high = int(values.argmin()), int(values.argmax())
            if lowest is None or values[low] < lowest[1]:
                lowest = (int(numbers[low]), float(values[low]))
            if highest is None or values[high] > highest[1]:
                highest = (int(numbers[high]), float(values[high]))
    empty = np.isinf(least)
    least[empty] = greatest[empty] = np.nan
    return Thinned(least, greatest, nonfinite, points, lowest, highest, tuple(first))


def group(values: FloatArray, most: int) -> tuple[IntArray, FloatArray]:
    """Part two or more ascending values into at most so many cells of neighbours: the cell of each, and the bounds of
    the cells, midway between neighbours, as far beyond the outermost values."""
    count = min(len(values), most)
    cell = np.arange(len(values)) * count // len(values)
    halves = np.diff(values / 2)
    starts = np.flatnonzero(np.diff(cell)) + 1
    inner = values[starts - 1] + halves[starts - 1]
    with np.errstate(over="ignore"):
        bounds = np.concatenate([[values[0] - halves[0]], inner, [values[-1] + halves[-1]]])
    return cell, np.clip(bounds, -_GREATEST, _GREATEST)
