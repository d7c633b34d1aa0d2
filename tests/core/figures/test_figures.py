"""Figures: what is packed comes back, bit for bit and of its shape."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from service.core.figures.figures import Figures, FloatArray, euclidean_norm, hold, no_figures, pack

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


def large() -> list[FloatArray | None]:
    """A float64 array, a transposed float32 one, none, a broadcast number and a number."""
    random = np.random.default_rng(0)
    return [
        random.normal(size=3000),
        random.normal(size=(50, 60)).astype(np.float32).T,
        None,
        np.broadcast_to(2.0, (40, 50)),
        np.array(1.0),
    ]


def test_what_is_held_is_what_would_have_been_packed() -> None:
    arrays = large()
    held, packed = hold(arrays), pack(arrays)
    assert (held.shapes, held.offsets.tolist()) == (packed.shapes, packed.offsets.tolist())
    assert [bits(array) for array in held] == [bits(array) for array in packed]
    assert [bits(array) for array in held.part(1, 4)] == [bits(array) for array in packed.part(1, 4)]
    assert bits(held.part(1, 4).flat) == bits(packed.part(1, 4).flat)
    assert bits(held.flat) == bits(packed.flat)


def test_large_arrays_are_held_as_they_are_until_the_vector_is_asked_for() -> None:
    arrays = large()
    held = hold(arrays)
    for position, array in enumerate(arrays):
        computed = held.computed(position)
        assert array is None if computed is None else np.shares_memory(computed, array)
        assert computed is None or not computed.flags.writeable
    assert held.flat.dtype == np.float64 and not held.flat.flags.writeable
    assert held.flat is held.flat
    assert np.shares_memory(held[0], held.flat)


def test_small_arrays_are_packed_at_once() -> None:
    assert isinstance(hold([np.ones(3000), *[np.array(1.0)] * 9]).held, np.ndarray)


@pytest.mark.parametrize("nan_alone", [False, True])
def test_held_figures_that_are_not_finite_are_found(nan_alone: bool) -> None:
    arrays = large()
    for array, value in ((arrays[0], np.inf), (arrays[1], np.nan)):
        assert array is not None
        array[7] = value
    assert hold(arrays).nonfinite_nodes(nan_alone) == pack(arrays).nonfinite_nodes(nan_alone) == [0, 1][nan_alone:]


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


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.integers(-300, 300))
def test_a_norm_neither_overflows_nor_vanishes(numbers: list[float], exponent: int) -> None:
    figure = np.ldexp(np.array(numbers), exponent)
    assert euclidean_norm(figure) == pytest.approx(math.hypot(*figure.tolist()), rel=1e-12)
