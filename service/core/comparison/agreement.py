"""Which figures agree within what is allowed, element by element and node by node."""

import numpy as np

from service.core.figures.figures import BoolArray, Figures, FloatArray


def near(x: FloatArray, y: FloatArray, allowed: FloatArray) -> BoolArray:
    """|x − y| ≤ allowed where both are finite; else equal, or both NaN."""
    apart = x - y
    np.abs(apart, out=apart)
    close: BoolArray = apart <= allowed
    finite = np.isfinite(apart)
    if not finite.all():
        close &= finite
        close |= (x == y) | (np.isnan(x) & np.isnan(y))
    return close


def all_elements(agrees: BoolArray, figures: Figures) -> BoolArray:
    """Whether all elements of each node's figure agree."""
    if figures.shapes is None:
        return agrees
    sizes = np.diff(figures.offsets)
    owners = np.repeat(np.arange(len(figures)), sizes)
    disagreeing: BoolArray = np.bincount(owners, ~agrees, minlength=len(figures)) == 0
    return disagreeing
