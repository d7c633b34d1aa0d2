"""The numbers of an axis are NumPy's, and the same whichever of them are made together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.figures.figures import FloatArray, same_bits
from service.core.sweeps.axes import Axis, Linspace, Logspace, Normal, Uniform

BOUND = st.floats(-1e300, 1e300)
RANDOM: list[Axis] = [Normal(1.0, 2.0, 10**9, seed=7), Uniform(-1.0, 3.0, 10**9, seed=7)]


def whole(axis: Axis, name: str = "a") -> FloatArray:
    """All numbers of an axis."""
    return axis.at(name, np.arange(axis.count))


@given(BOUND, BOUND, st.integers(1, 50))
def test_linspace_is_numpys(start: float, stop: float, count: int) -> None:
    assert same_bits(whole(Linspace(start, stop, count)), np.linspace(start, stop, count)).all()


@given(st.floats(-320.0, 308.0), st.floats(-320.0, 308.0), st.integers(1, 50))
def test_logspace_is_numpys(start: float, stop: float, count: int) -> None:
    assert same_bits(whole(Logspace(start, stop, count)), np.logspace(start, stop, count)).all()


@pytest.mark.parametrize("axis", RANDOM, ids=["normal", "uniform"])
@given(st.integers(0, 10**9 - 10_000), st.lists(st.integers(0, 9999), min_size=1, max_size=20))
def test_a_random_number_depends_on_its_index_alone(axis: Axis, first: int, offsets: list[int]) -> None:
    together = axis.at("a", np.arange(first, first + 10_000))
    chosen = np.array(offsets)
    assert same_bits(axis.at("a", first + chosen), together[chosen]).all()
    assert same_bits(axis.at("a", np.append(first + chosen, 0))[:-1], together[chosen]).all()


@pytest.mark.parametrize(("axis", "mean", "deviation"), [(RANDOM[0], 1.0, 2.0), (RANDOM[1], 1.0, 4.0 / np.sqrt(12.0))])
def test_random_numbers_are_distributed_so(axis: Axis, mean: float, deviation: float) -> None:
    drawn = axis.at("a", np.arange(100_000))
    assert drawn.mean() == pytest.approx(mean, abs=5 * deviation / np.sqrt(len(drawn)))
    assert drawn.std() == pytest.approx(deviation, rel=0.02)
    assert np.isfinite(drawn).all() and len(np.unique(drawn)) == len(drawn)
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("axis", [*RANDOM, Linspace(0.0, 1.0, 3), Logspace(0.0, 1.0, 3)])
def test_no_numbers_are_made_of_no_indices(axis: Axis) -> None:
    assert axis.at("a", np.zeros(0, dtype=np.int64)).shape == (0,)


def test_names_and_seeds_make_random_numbers_independent() -> None:
    first = whole(Normal(0.0, 1.0, 20_000, seed=7))
    for other in (whole(Normal(0.0, 1.0, 20_000, seed=7), "b"), whole(Normal(0.0, 1.0, 20_000, seed=8))):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.03


def test_these_random_numbers_stay_the_same_from_release_to_release() -> None:
    drawn = np.concatenate([axis.at("a", np.array([0, 10**9 - 1])) for axis in RANDOM])
    assert drawn.tolist() == pytest.approx(
        [-2.6660560835094156, -4.671173632791498, -0.8664031979722682, -0.9908516837886816]
    )
