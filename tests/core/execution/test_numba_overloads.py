"""What Numba is taught, as Python runs it."""

import numpy as np
import pytest
from scipy import special

from service.core.execution.numba_overloads import _scaled_complementary_error


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0, 5.0, 25.9, 26.0, 30.0, 1e3, 1e150])
def test_the_scaled_complementary_error_function_is_scipys(x: float) -> None:
    """SciPy's own errs by up to 7 of its last places."""
    assert _scaled_complementary_error(x) == pytest.approx(special.erfcx(x), rel=10 * np.finfo(float).eps)
