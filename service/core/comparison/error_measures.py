"""How far figures are apart, and how wide a tolerance would have to be to let them pass."""

import numpy as np

from service.core.comparison.verdicts import Comparison, Phase, Verdict
from service.core.figures.figures import BoolArray, Figures, FloatArray, same_bits


def ulps(x: float, y: float) -> int | None:
    """How many float64 numbers lie between x and y, one of them counted; None where one is NaN."""
    if np.isnan(x) or np.isnan(y):
        return None
    ordered = [int(np.float64(value).view(np.int64)) for value in (x, y)]
    lifted = [bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF) for bits in ordered]
    return abs(lifted[0] - lifted[1])


def errors(phase: Phase) -> tuple[FloatArray, FloatArray]:
    """The absolute and the relative error of every element, laid out as the candidate's figures.

    The relative error is |c − b| / |b|, 0 where the two are equal. Figures that are not finite and not equal are an
    infinity apart.
    """
    c, b = phase.candidate.flat, phase.baseline.flat
    with np.errstate(all="ignore"):
        absolute = np.abs(c - b)
        equal = (c == b) | (np.isnan(c) & np.isnan(b))
        absolute[equal] = 0.0
        absolute[np.isnan(absolute)] = np.inf
        relative = absolute / np.abs(b)
        relative[equal] = 0.0
        relative[np.isnan(relative)] = np.inf
    return absolute, relative


def minimum_tolerance(found: Comparison) -> dict[str, float | None]:
    """The least rtol, with atol 0, and the least atol, with rtol 0, under which the two runs are the same."""
    rtol = atol = 0.0
    for phase in found.phases:
        compared = _elements(phase.verdicts != Verdict.NOT_COMPARED, phase.candidate)
        absolute, relative = (figures[compared] for figures in errors(phase))
        # A quotient may be rounded, so that more than one element can need the greatest bound.
        near = relative >= relative.max(initial=0.0) * (1.0 - 1e-12)
        rtol = max(rtol, _least_bound(absolute[near], np.abs(phase.baseline.flat[compared][near])))
        atol = max(atol, _least_bound(absolute.max(initial=0.0, keepdims=True), np.array([phase.scale])))
    return {"rtol": _finite(rtol), "atol": _finite(atol)}


def _least_bound(apart: FloatArray, units: FloatArray) -> float:
    """The least x for which, in float64, x × unit ≥ apart in each element."""
    with np.errstate(all="ignore"):
        bound = apart / units
        lower = np.nextafter(bound, 0.0)  # the product is rounded, so that the number below the quotient may do
        bound = np.where(lower * units >= apart, lower, bound)
        bound = np.where(bound * units < apart, np.nextafter(bound, np.inf), bound)
        bound[np.isnan(bound)] = np.inf
        bound[apart == 0.0] = 0.0
    return float(bound.max(initial=0.0))


def _elements(nodes: BoolArray, figures: Figures) -> BoolArray:
    """A condition on nodes as one on the elements of their figures."""
    return nodes if figures.shapes is None else np.repeat(nodes, np.diff(figures.offsets))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def worst_element(phase: Phase, position: int) -> tuple[int | None, list[int] | None]:
    """The element of a node's figure that exceeds its bound most: its offset in the flat figures, and its index.

    The index is None for a scalar; both are for a figure without elements.
    """
    start, stop = int(phase.candidate.offsets[position]), int(phase.candidate.offsets[position + 1])
    shape = phase.candidate.shape(position)
    if not shape:
        return start, None
    if stop == start:
        return None, None
    c, b = phase.candidate.flat[start:stop], phase.baseline.flat[start:stop]
    with np.errstate(all="ignore"):
        apart = np.abs(c - b)
        excess = apart / (phase.rtol * np.abs(b) + phase.atol)
    apart[np.isnan(apart)] = np.inf
    excess[np.isnan(excess)] = np.inf
    excess[same_bits(c, b)] = 0.0
    worst = np.flatnonzero(excess == excess.max())
    chosen = int(worst[np.argmax(apart[worst])])
    return start + chosen, [int(step) for step in np.unravel_index(chosen, shape)]
