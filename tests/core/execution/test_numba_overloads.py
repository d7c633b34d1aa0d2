"""What Numba is taught, as Python runs it."""

import numpy as np
import pytest
from scipy import special

from service.core.execution.numba_overloads import _floor_divide, _remainder, _scaled_complementary_error


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0, 5.0, 25.9, 26.0, 30.0, 1e3, 1e150])
def test_the_scaled_complementary_error_function_is_scipys(x: float) -> None:
    """SciPy's own errs by up to 7 of its last places."""
    assert _scaled_complementary_error(x) == pytest.approx(special.erfcx(x), rel=10 * np.finfo(float).eps)


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
