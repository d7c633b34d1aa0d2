"""The errors of figures, and the least tolerance under which two runs are the same."""

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.comparison.verdicts import Comparison, Phase, Verdict
from service.core.figures.figures import BoolArray, Figures, FloatArray, IntArray, same_bits


def ulps(x: FloatArray, y: FloatArray) -> list[int | None]:
    """How many float64 numbers lie between x and y, one of them counted, element by element; None where one is NaN."""
    bits = (np.asarray(numbers, dtype=np.float64).view(np.int64) for numbers in (x, y))
    ordered = [np.where(each >= 0, each, -(each & 0x7FFF_FFFF_FFFF_FFFF)) for each in bits]
    # In int64 the difference may overflow; modulo 2^64 it is right.
    apart = np.maximum(*ordered).view(np.uint64) - np.minimum(*ordered).view(np.uint64)
    return [None if nan else count for nan, count in zip(np.isnan(x) | np.isnan(y), apart.tolist(), strict=True)]


def errors(candidate: FloatArray, baseline: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The absolute and the relative error of each element.

    The relative error is |c − b| / |b|, 0 where the two are equal. The errors of unequal figures are infinite where one
    is not finite.
    """
    with np.errstate(all="ignore"):
        absolute = np.abs(candidate - baseline)
        equal = (candidate == baseline) | (np.isnan(candidate) & np.isnan(baseline))
        absolute[equal] = 0.0
        absolute[np.isnan(absolute)] = np.inf
        relative = absolute / np.abs(baseline)
        relative[equal] = 0.0
        relative[np.isnan(relative)] = np.inf
    return absolute, relative


@memoize_on_argument
def minimum_tolerance(found: Comparison) -> dict[str, float | None]:
    """The least rtol, with atol 0, and the least atol, with rtol 0, under which the two runs are the same."""
    rtol = atol = 0.0
    for phase in found.phases:
        compared = _elements(phase.verdicts != Verdict.NOT_COMPARED, phase.candidate)
        candidate, baseline = phase.candidate.flat[compared], phase.baseline.flat[compared]
        absolute, relative = errors(candidate, baseline)
        # A quotient may be rounded, so that more than one element can need the greatest bound.
        near = relative >= relative.max(initial=0.0) * (1.0 - 1e-12)
        rtol = max(rtol, _least_bound(absolute[near], np.abs(baseline[near])))
        atol = max(atol, _least_bound(absolute.max(initial=0.0, keepdims=True), np.array([phase.scale])))
    return {"rtol": _finite(rtol), "atol": _finite(atol)}


def _least_bound(apart: FloatArray, units: FloatArray) -> float:
    """The least x for which, in float64, x × unit ≥ apart in each element."""
    with np.errstate(all="ignore"):
        bound = apart / units
        lower = np.nextafter(bound, 0.0)  # the product is rounded: the number below the quotient may suffice
        bound = np.where(lower * units >= apart, lower, bound)
        bound = np.where(bound * units < apart, np.nextafter(bound, np.inf), bound)
        bound[np.isnan(bound) | np.isinf(apart)] = np.inf
        bound[apart == 0.0] = 0.0
    return float(bound.max(initial=0.0))


def _elements(nodes: BoolArray, figures: Figures) -> BoolArray:
    """Repeat a condition on nodes for each element of their figures."""
    return nodes if figures.shapes is None else np.repeat(nodes, np.diff(figures.offsets))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def worst_elements(phase: Phase, positions: IntArray) -> IntArray:
    """The element of each node's figure that exceeds its bound most, by its offset in the flat figures; −1 for none.

    Of several that exceed it as much it is the one whose |c − b| is the greatest, and of those the first.
    """
    figures = phase.candidate
    if figures.shapes is None:
        return positions
    worst = np.full(len(positions), -1)
    sizes = np.diff(figures.offsets)[positions]
    full = np.flatnonzero(sizes)
    if not full.size:
        return worst
    sizes, starts = sizes[full], figures.offsets[positions[full]]
    firsts = np.cumsum(sizes) - sizes  # where each node's elements begin among those of all
    elements = np.repeat(starts - firsts, sizes) + np.arange(sizes.sum())
    c, b = figures.flat[elements], phase.baseline.flat[elements]
    with np.errstate(all="ignore"):
        apart = np.abs(c - b)
        excess = apart / (phase.rtol * np.abs(b) + phase.atol)
    apart[np.isnan(apart)] = np.inf
    excess[np.isnan(excess)] = np.inf
    excess[same_bits(c, b)] = 0.0
    apart[excess < np.repeat(np.maximum.reduceat(excess, firsts), sizes)] = -1.0
    greatest = np.flatnonzero(apart == np.repeat(np.maximum.reduceat(apart, firsts), sizes))
    worst[full] = elements[greatest[np.searchsorted(greatest, firsts)]]
    return worst
