"""Figures that hold the same numbers elsewhere: transposed, reshaped, or both."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from math import factorial

import numpy as np

from service.core.figures.figures import FloatArray, IntArray, Shape

_MOST_PERMUTATIONS = 120  # of axes that are tried: all of five


def layout_between(theirs: Sequence[FloatArray], own: Sequence[FloatArray], tolerance: float) -> IntArray | None:
    """Where each element of `own` lies in `theirs`, of the shape of `own`, at all probes alike; None if nowhere.

    Elements may differ by `tolerance`, relative to the largest.

    A permutation of the axes is preferred; else the order of distinct numbers tells.
    """
    size, shape = theirs[0].size, own[0].shape
    if size != own[0].size:
        return None
    for layout in _permuted(theirs[0].shape, shape):
        if _holds(theirs, own, layout, tolerance):
            return layout.reshape(shape)
    sorted_theirs, sorted_own = np.argsort(theirs[-1], axis=None), np.argsort(own[-1], axis=None)
    layout = np.empty(size, dtype=np.int64)
    layout[sorted_own] = sorted_theirs
    gaps = np.diff(theirs[-1].ravel()[sorted_theirs])
    distinct = bool((gaps > 2 * _allowed(theirs[-1], tolerance)).all())
    return layout.reshape(shape) if distinct and _holds(theirs, own, layout, tolerance) else None


def _permuted(theirs: Shape, own: Shape) -> Iterator[IntArray]:
    """The layouts that a permutation of the one's axes, or of the other's, makes."""
    lying = np.arange(int(np.prod(theirs, dtype=np.int64)))
    yield lying
    if factorial(len(theirs)) <= _MOST_PERMUTATIONS:
        for axes in permutations(range(len(theirs))):
            yield lying.reshape(theirs).transpose(axes).ravel()
    if factorial(len(own)) <= _MOST_PERMUTATIONS:
        for axes in permutations(range(len(own))):
            turned = lying.reshape([own[axis] for axis in axes])
            yield turned.transpose(np.argsort(axes)).ravel()


def _holds(theirs: Sequence[FloatArray], own: Sequence[FloatArray], layout: IntArray, tolerance: float) -> bool:
    return all(
        _near(other.ravel()[layout], mine.ravel(), _allowed(other, tolerance))
        for other, mine in zip(theirs, own, strict=True)
    )


def _near(one: FloatArray, other: FloatArray, allowed: float) -> bool:
    with np.errstate(all="ignore"):
        agree = (np.abs(one - other) <= allowed) | (one == other) | (np.isnan(one) & np.isnan(other))
    return bool(agree.all())


def _allowed(figure: FloatArray, tolerance: float) -> float:
    finite = figure[np.isfinite(figure)]
    return tolerance * float(np.abs(finite).max(initial=0.0))
