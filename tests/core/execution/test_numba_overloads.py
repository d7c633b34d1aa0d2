"""What Numba is taught, as Python runs it."""

import numpy as np
import pytest

from service.core.execution.numba_overloads import _floor_divide, _power_slope, _remainder, _sech
from service.core.rulebook.operations.arithmetic import power_slope
from service.core.rulebook.operations.exponential import sech


def test_remainder_and_floor_division_are_numpys_to_the_sign_of_zero() -> None:
    ends = [0.0, 5e-324, 0.1, 0.7, 1.0, 2.0, 3.0, 7.0, 1e300, np.inf]
    signed = np.array([*ends, *np.negative(ends), np.nan])
    x, y = (grid.ravel() for grid in np.meshgrid(signed, signed))
    with np.errstate(all="ignore"):
        for compiled, known in ((_remainder, np.remainder), (_floor_divide, np.floor_divide)):
            found, expected = np.array([compiled(*pair) for pair in zip(x, y, strict=True)]), known(x, y)
            np.testing.assert_array_equal(found, expected)
            signs = np.signbit(found) == np.signbit(expected)
            assert (signs | np.isnan(expected)).all()


@pytest.mark.parametrize("y", [3.0, 0.1, -0.3, 1e-20, 1e16])
def test_the_slope_of_a_power_is_that_over_arrays(y: float) -> None:
    x = 1.0 + 1e-15
    assert _power_slope(x, y) == pytest.approx(power_slope(np.float64(x), np.float64(y)), rel=1e-15)


@pytest.mark.parametrize(
    "x", [0.0, 1e-300, 1e-9, 0.3, 1.0, 20.0, 354.9, 708.5, 710.4758600739439, 710.475860073944, 800.0, np.inf, np.nan]
)
def test_sech_is_that_over_arrays_where_it_vanishes_too(x: float) -> None:
    with np.errstate(over="ignore"):
        expected = sech(np.array([x, -x]))
    np.testing.assert_array_max_ulp(np.array([_sech(x), _sech(-x)]), expected, 2)
