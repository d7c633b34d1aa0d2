"""What a column amounts to, whatever parts it is reduced in and whatever order they are merged in."""

import json
import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.figures.figures import FloatArray
from service.core.sweeps.reductions import (
    NAMED,
    Extreme,
    Reductions,
    merge,
    read_reductions,
    reduce_column,
    reduce_parting,
    write_reductions,
)

ANY = st.floats(width=64)


def reductions_of(column: FloatArray, first: int) -> Reductions:
    """Of a column, and of how it parts from its own absolute values."""
    other = np.abs(column)
    return Reductions(
        {"F": reduce_column(column, first)}, {"G": reduce_parting(column, other, column != other, None, first)}
    )


@given(st.lists(ANY, min_size=1, max_size=30), st.data())
def test_parts_merge_to_the_whole_in_any_order(numbers: list[float], data: st.DataObject) -> None:
    column = np.array(numbers)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(numbers)))) | {len(numbers)})
    parts = [reductions_of(column[start:stop], start) for start, stop in zip([0, *cuts], cuts, strict=False)]
    whole, merged = reductions_of(column, 0), merge(data.draw(st.permutations(parts)))
    assert repr(merged) == repr(whole)
    assert repr(read_reductions(json.loads(json.dumps(write_reductions(merged))))) == repr(whole)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1))
def test_a_mean_is_rounded_once(numbers: list[float]) -> None:
    mean = reduce_column(np.array(numbers), 0).mean
    assert mean == float(sum(map(Fraction, numbers)) / len(numbers))


@pytest.mark.parametrize(
    ("numbers", "mean"),
    [
        ([1e308, 1e308, 1e308], 1e308),
        ([5e-324, 0.0], 0.0),
        ([1.0, math.nan, 3.0], 2.0),
        ([1.0, math.inf], math.inf),
        ([-math.inf, math.inf], math.nan),
        ([math.nan], None),
    ],
)
def test_a_mean_is_of_all_that_are_numbers(numbers: list[float], mean: float | None) -> None:
    assert repr(reduce_column(np.array(numbers), 0).mean) == repr(mean)


def test_extremes_are_the_first_and_no_nan() -> None:
    found = reduce_column(np.array([math.nan, math.inf, 2.0, -1.0, -1.0, math.inf]), 10)
    assert (found.least, found.greatest) == (Extreme(-1.0, 13), Extreme(math.inf, 11))
    assert (found.count, found.nan, found.above, found.below) == (6, 1, 2, 0)
    assert [each.point for each in found.nonfinite] == [10, 11, 15]
    lost = reduce_column(np.array([math.nan, math.nan]), 0)
    assert (lost.least, lost.greatest, lost.nan) == (None, None, 2)


def test_so_many_points_are_named_and_all_are_counted() -> None:
    found = merge([Reductions({"F": reduce_column(np.full(700, np.inf), 700 * k)}, {}) for k in (2, 0, 1)]).columns["F"]
    assert found.above == 2100
    assert [each.point for each in found.nonfinite] == list(range(NAMED))


@given(st.lists(ANY, max_size=50))
def test_every_finite_figure_is_in_one_bucket(numbers: list[float]) -> None:
    column = np.array([*numbers, 1.0])
    histogram = reduce_column(column, 0).histogram
    assert sum(count for *_, count in histogram) == np.count_nonzero(np.isfinite(column))
    for low, high, count in histogram:
        negative = np.signbit(low)
        inside = (low < column) & (column <= high) if negative else (low <= column) & (column < high)
        assert count == np.count_nonzero(inside & (np.signbit(column) == negative) & np.isfinite(column))
    assert all(later[0] >= earlier[1] for earlier, later in pairwise(histogram))


def test_a_bucket_is_a_sixteenth_of_an_octave() -> None:
    assert reduce_column(np.array([1.0, 1.01, 1.0625, -2.0]), 0).histogram == [
        (-2.125, -2.0, 1),
        (1.0, 1.0625, 2),
        (1.0625, 1.125, 1),
    ]


def test_where_columns_part() -> None:
    column, other = np.array([1.0, math.nan, 3.0, math.inf]), np.array([1.0, 2.0, 5.0, math.inf])
    found = reduce_parting(column, other, np.array([False, True, True, False]), None, 100)
    assert (found.count, found.first, found.greatest, found.unjudged) == (2, 101, Extreme(2.0, 102), 0)
