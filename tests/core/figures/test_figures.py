"""Figures: what is packed comes back, bit for bit and of its shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from service.core.figures.figures import Figures, FloatArray, no_figures, pack

float64_arrays = arrays(np.float64, array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=3))
ODD = [np.nan, np.inf, -np.inf, -0.0, 5e-324]


def bits(array: FloatArray | None) -> tuple[bytes, tuple[int, ...]] | None:
    """What tells −0.0 from 0.0 and one NaN from another."""
    return None if array is None else (array.tobytes(), array.shape)


@given(st.lists(st.none() | float64_arrays, max_size=6))
def test_what_is_packed_comes_back(given_arrays: list[FloatArray | None]) -> None:
    figures = pack(given_arrays)
    assert [bits(array) for array in figures] == [bits(array) for array in given_arrays]
    assert [bits(figures[position]) for position in range(len(figures))] == [bits(array) for array in given_arrays]
    assert [figures.shape(position) for position in range(len(figures))] == [
        () if array is None else array.shape for array in given_arrays
    ]
    assert figures.flat.dtype == np.float64
    assert figures.offsets[-1] == len(figures.flat)


def test_scalars_need_no_shapes() -> None:
    figures = pack([np.float64(1.5), *ODD, np.array(2.0)])
    assert (figures.shapes, figures.present) == (None, None)
    assert figures.flat.tobytes() == np.array([1.5, *ODD, 2.0]).tobytes()
    assert len(figures) == 7


def test_what_is_packed_is_a_copy_that_cannot_be_written_to() -> None:
    array = np.array([1.0, 2.0])
    figures = pack([array])
    array[0] = 9.0
    first = figures[0]
    assert first is not None
    assert first.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 9.0


def test_a_node_without_a_figure_has_none() -> None:
    figures = pack([np.array(1.0), None, np.array([2.0, 3.0])])
    assert figures[1] is None
    assert figures.shape(1) == ()
    assert figures.present is not None
    assert figures.present.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("figures", "first", "last"),
    [
        (pack([1.0, 2.0]), None, None),
        (pack([]), None, None),
        (pack([1.0, np.nan, np.inf, 2.0]), 1, 2),
        (pack([np.ones(3), np.zeros((0, 2)), np.array([1.0, -np.inf]), np.array(np.nan), np.ones(2)]), 2, 3),
        (pack([np.zeros((0,)), np.array([np.nan])]), 1, 1),
        (Figures(np.array([np.nan, 1.0, np.inf]), None, np.array([False, True, True])), 2, 2),
        (Figures(np.array([np.nan, 1.0, 2.0]), ((), (2,)), np.array([False, True])), None, None),
    ],
)
def test_the_first_figure_that_is_not_finite(figures: Figures, first: int | None, last: int | None) -> None:
    found = figures.nonfinite_nodes()
    assert (found[:1], found[-1:]) == ([], []) if first is None else ([first], [last])
    assert set(figures.nonfinite_nodes(nan_alone=True)) <= set(found)


@given(st.lists(st.none() | float64_arrays, max_size=6), st.integers(0, 6), st.integers(0, 8))
def test_a_part_holds_the_figures_of_its_nodes(given_arrays: list[FloatArray | None], start: int, stop: int) -> None:
    start = min(start, len(given_arrays))
    stop = max(start, stop)
    part = pack(given_arrays).part(start, stop)
    assert [bits(array) for array in part] == [bits(array) for array in given_arrays[start:stop]]


def test_a_part_is_no_copy() -> None:
    whole = pack([1.0, 2.0, 3.0])
    assert np.shares_memory(whole.part(1, 2).flat, whole.flat)


def test_nodes_without_any_figure() -> None:
    assert list(no_figures(2)) == [None, None]
    assert no_figures(2).nonfinite_nodes() == []
