"""What a column of figures amounts to, merged from what its parts amount to: in any order, to the bit.

NaN and infinities are data. A NaN is neither the least nor the greatest figure and has no part in the mean; an infinity
is such a figure, and is also among those that are not finite.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from service.core.figures.figures import BoolArray, FloatArray
from service.core.sweeps.sweep import REDUCTIONS

NAMED = 1000  # points whose figure is not finite that are named of each column

# A sum is a whole number of 2^−1126: that is the last of 53 bits of the least number, once they begin with a 1.
_LEAST_EXPONENT, _BITS = -1073, 53
_UNIT = _BITS - _LEAST_EXPONENT
_HALF = 27  # bits: so many of a number are added up, millions of times, in float64 without rounding
_BUCKET = 48  # bits that the figures in a bucket need not share: they have sign, exponent and 4 bits of the fraction


class Extreme(NamedTuple):
    """A figure, and the number of the first point that has it."""

    value: float
    point: int


_NEGATIVE = 1 << 15  # the bit of a bucket whose figures are negative


@dataclass(frozen=True, slots=True)
class Reduction:
    """Of `count` figures: how many are NaN, +∞ (`above`) and −∞ (`below`); the least and the greatest, None where all
    are NaN; the sum of the finite ones, exact, in units of 2^−1126; how many are in each bucket of the histogram; and
    the first thousand that are not finite. A sum that is not wanted is 0, and a histogram then has no bucket."""

    count: int
    nan: int
    above: int
    below: int
    least: Extreme | None
    greatest: Extreme | None
    total: int
    buckets: Mapping[int, int]
    nonfinite: tuple[Extreme, ...]

    @property
    def mean(self) -> float | None:
        """The mean of the figures that are no NaN, rounded once; None where there are none."""
        if self.above or self.below:
            return float("nan") if self.above and self.below else float("inf" if self.above else "-inf")
        count = self.count - self.nan
        return self.total / (count << _UNIT) if count else None

    @property
    def histogram(self) -> list[tuple[float, float, int]]:
        """The buckets that hold any of the finite figures, the lowest first: from where, to where, and how many.

        Sixteen lie between two powers of 2. A figure on a bound is in the bucket that is farther from 0.
        """
        return sorted((*_bounds(bucket), count) for bucket, count in self.buckets.items())


@dataclass(frozen=True, slots=True)
class Parting:
    """At how many points two columns part, and the first of them; the greatest absolute difference anywhere, None where
    each is NaN; and at how many points nothing can be said."""

    count: int
    first: int | None
    greatest: Extreme | None
    unjudged: int


@dataclass(frozen=True, slots=True)
class Reductions:
    """The reduction of each column by name, and how columns part from those that they are held against, by the name of
    the latter."""

    columns: Mapping[str, Reduction]
    partings: Mapping[str, Parting]


def reduce_column(column: FloatArray, first: int, wanted: Collection[str] = REDUCTIONS) -> Reduction:
    """Reduce the figures of points of which the first has the number `first`.

    The sum is found where the mean is among the `wanted` REDUCTIONS, buckets are filled where the histogram is.
    """
    finite = np.isfinite(column)
    odd = np.flatnonzero(~finite)
    numbers = column[finite] if odd.size else column
    nan, above, below = (int(np.count_nonzero(mark(column[odd]))) for mark in (np.isnan, np.isposinf, np.isneginf))
    return Reduction(
        len(column),
        nan,
        above,
        below,
        _extreme(np.argmin, column, first),
        _extreme(np.argmax, column, first),
        _exact_sum(numbers) if "mean" in wanted else 0,
        _buckets(numbers) if "histogram" in wanted else {},
        tuple(Extreme(float(column[at]), first + at) for at in odd[:NAMED].tolist()),
    )


def reduce_parting(
    column: FloatArray, other: FloatArray, parted: BoolArray, unjudged: BoolArray | None, first: int
) -> Parting:
    """Reduce two columns that part where `parted`, at points of which the first has the number `first`."""
    with np.errstate(all="ignore"):
        apart = np.where(column == other, 0.0, np.abs(column - other))
    found = np.flatnonzero(parted)
    return Parting(
        len(found),
        first + int(found[0]) if found.size else None,
        _extreme(np.argmax, apart, first),
        0 if unjudged is None else int(np.count_nonzero(unjudged)),
    )


def merge(parts: Sequence[Reductions]) -> Reductions:
    """What all the points amount to of which these, at least one, are reductions; each point is in one of them."""
    first = parts[0]
    return Reductions(
        {name: _merge_columns([part.columns[name] for part in parts]) for name in first.columns},
        {name: _merge_partings([part.partings[name] for part in parts]) for name in first.partings},
    )


def write_reductions(reductions: Reductions) -> Any:
    """As JSON's types, in which NaN and infinities stand as Python writes them."""
    return [
        {name: _written(each) for name, each in reductions.columns.items()},
        {name: [getattr(each, field.name) for field in fields(each)] for name, each in reductions.partings.items()},
    ]


def _written(reduction: Reduction) -> list[Any]:
    *others, buckets, nonfinite = (getattr(reduction, field.name) for field in fields(reduction))
    return [*others, list(buckets), list(buckets.values()), nonfinite]


def read_reductions(written: Any) -> Reductions:
    """Read what `write_reductions` wrote, or what JSON made of it."""
    columns, partings = written
    return Reductions(
        {name: _read_reduction(*each) for name, each in columns.items()},
        {
            name: Parting(count, first, _read_extreme(greatest), unjudged)
            for name, (count, first, greatest, unjudged) in partings.items()
        },
    )


def _read_reduction(*written: Any) -> Reduction:
    count, nan, above, below, least, greatest, total, buckets, held, nonfinite = written
    return Reduction(
        count,
        nan,
        above,
        below,
        _read_extreme(least),
        _read_extreme(greatest),
        total,
        dict(zip(buckets, held, strict=True)),
        tuple(Extreme(*each) for each in nonfinite),
    )


def _read_extreme(written: Any) -> Extreme | None:
    return None if written is None else Extreme(*written)


def _merge_columns(parts: Sequence[Reduction]) -> Reduction:
    buckets: Counter[int] = Counter()
    for part in parts:
        buckets.update(part.buckets)
    return Reduction(
        sum(part.count for part in parts),
        sum(part.nan for part in parts),
        sum(part.above for part in parts),
        sum(part.below for part in parts),
        _first((part.least for part in parts), lambda each: (each.value, each.point)),
        _first((part.greatest for part in parts), lambda each: (-each.value, each.point)),
        sum(part.total for part in parts),
        dict(sorted(buckets.items())),
        tuple(sorted((each for part in parts for each in part.nonfinite), key=lambda each: each.point)[:NAMED]),
    )


def _merge_partings(parts: Sequence[Parting]) -> Parting:
    return Parting(
        sum(part.count for part in parts),
        min((part.first for part in parts if part.first is not None), default=None),
        _first((part.greatest for part in parts), lambda each: (-each.value, each.point)),
        sum(part.unjudged for part in parts),
    )


def _first(extremes: Iterable[Extreme | None], order: Callable[[Extreme], tuple[float, int]]) -> Extreme | None:
    return min((each for each in extremes if each is not None), key=order, default=None)


def _extreme(argument: Callable[[FloatArray], np.intp], column: FloatArray, first: int) -> Extreme | None:
    """Of the figures that are no NaN."""
    at = int(argument(column))
    if np.isnan(column[at]):  # the first of them, to either function
        known = np.flatnonzero(~np.isnan(column))
        if not known.size:
            return None
        at = int(known[argument(column[known])])
    return Extreme(float(column[at]), first + at)


def _exact_sum(numbers: FloatArray) -> int:
    """The sum of finite numbers, in units of 2^−1126."""
    fractions, exponents = np.frexp(numbers)
    high = np.rint(np.ldexp(fractions, _BITS - _HALF))
    low = np.ldexp(fractions, _BITS) - np.ldexp(high, _HALF)
    lowest = int(exponents.min(initial=-_LEAST_EXPONENT))
    sums = [np.bincount(exponents - lowest, each).tolist() for each in (high, low)]
    terms = (
        (int(large) << _HALF) + int(small) << shift for shift, (large, small) in enumerate(zip(*sums, strict=True))
    )
    return sum(terms) << lowest - _LEAST_EXPONENT


def _buckets(numbers: FloatArray) -> dict[int, int]:
    bits = (numbers.view(np.uint64) >> np.uint64(_BUCKET)).astype(np.int64)
    size = bits & ~_NEGATIVE
    smallest, largest = int(size.min(initial=_NEGATIVE)), int(size.max(initial=0))
    width = max(0, largest - smallest + 1)
    counts = np.bincount(np.where(bits & _NEGATIVE, size + (width - smallest), size - smallest))
    found = np.flatnonzero(counts)
    buckets = found + smallest + (found >= width) * (_NEGATIVE - width)
    return dict(zip(buckets.tolist(), counts[found].tolist(), strict=True))


def _bounds(bucket: int) -> tuple[float, float]:
    near, far = np.array([bucket << _BUCKET, (bucket + 1) << _BUCKET], dtype=np.uint64).view(np.float64).tolist()
    return (far, near) if np.signbit(near) else (near, far)
