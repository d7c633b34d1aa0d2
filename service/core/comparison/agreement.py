"""Which figures agree within what is allowed, element by element and node by node."""

from collections.abc import Callable

import numpy as np

from service.core.comparison.replay import Replay
from service.core.figures.figures import BoolArray, Figures, FloatArray, IntArray


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


def following(
    figures: Figures,
    replay: Replay,
    atol: float,
    judged: BoolArray | IntArray,
    unrecorded: Callable[[], FloatArray | None],
) -> BoolArray:
    """Which elements agree with their replay.

    `unrecorded` says how far rounding of figures that are not recorded may move each replay, if it may; it is called
    where nodes that are `judged` do not agree without.
    """
    with np.errstate(all="ignore"):
        agree = near(figures.flat, replay.expected.flat, replay.slack + atol)
        if not all_elements(agree, figures)[judged].all() and (moved := unrecorded()) is not None:
            agree = near(figures.flat, replay.expected.flat, moved + replay.slack + atol)
    return agree
