"""What difference quotients say of a claimed slope: an interval in which each side's error of it lies.

Along a direction v the residual quotient (L(x + hv) − L(x) − claimed change) / h tends to the error e of the claimed
slope as h vanishes, from each side by itself. Two things keep it from e: rounding, at most `noise` / h, which grows as
h falls, and the curvature of L, whose part falls with h. A shorter step shows that part: what is left of it is
about the last change times ρ / (1 − ρ), where ρ is the ratio of the last two changes (Aitken, 1926).
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import BoolArray, FloatArray

STEPS: FloatArray = np.exp2(-np.arange(1.0, 42.0, 2.0))  # of the closer look
_NOISE = 2.0
_CHANGE = 4.0  # times the last change of a quotient: what vanishes like h^0.17 is known to vanish
_TAIL = 3.0  # times the tail that Aitken expects


def in_rows(moves: Any) -> Any:
    """An array of shape (count, *a node's shape) as one of shape (count, elements)."""
    return moves.reshape(len(moves), prod(moves.shape[1:]))


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """For each direction the interval of the error of the claimed slope, and the best figure for it, from one side.

    `known` is false where L is not finite on that side, however short the step.
    """

    low: FloatArray
    high: FloatArray
    likeliest: FloatArray
    known: BoolArray

    def excludes_zero(self, slack: Any = 0.0) -> BoolArray:
        """Where the claim, right to `slack`, is not borne out on this side."""
        excluded: BoolArray = self.known & ((self.low > slack) | (self.high < -slack))
        return excluded

    @property
    def furthest(self) -> FloatArray:
        """How large the error may be; 0 on a side that is not known."""
        return np.where(self.known, np.maximum(np.absolute(self.low), np.absolute(self.high)), 0.0)


def error_seen(residuals: FloatArray, noise: FloatArray, steps: FloatArray = STEPS) -> Side:
    """The error of the claimed slope from the residuals L(x + hv) − L(x) − claimed change, on one side.

    `residuals`, and `noise`, the rounding errors in them, have a row for each direction and a column for each step,
    each step a quarter of the one before. From the finest step on, each gives an interval; the intersection is taken as
    far as it is not empty, for from there on the steps reach past what L does at the point.
    """
    quotients, noise = residuals / steps, noise / steps
    # What is on the far side of a place where L is not finite says nothing of the point.
    finite = np.flip(np.logical_and.accumulate(np.flip(np.isfinite(quotients), axis=1), axis=1), axis=1)
    changes = np.diff(quotients, axis=1)
    low, high = np.full(len(quotients), -np.inf), np.full(len(quotients), np.inf)
    within = np.ones(len(quotients), dtype=np.bool_)
    likeliest, narrowest = np.zeros(len(quotients)), np.full(len(quotients), np.inf)
    for step in range(len(steps) - 1, 1, -1):
        last, before = changes[:, step - 1], changes[:, step - 2]
        ratio = np.clip(np.nan_to_num(last / before, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 0.999)
        spread = _NOISE * noise[:, step] + np.absolute(last) * np.maximum(_CHANGE, _TAIL * ratio / (1.0 - ratio))
        spread = np.where(finite[:, step - 2], spread, np.inf)
        centre = np.where(finite[:, step], quotients[:, step], 0.0)
        lower, upper = np.maximum(low, centre - spread), np.minimum(high, centre + spread)
        within &= lower <= upper
        low, high = np.where(within, lower, low), np.where(within, upper, high)
        better = within & (spread < narrowest)
        likeliest, narrowest = np.where(better, centre, likeliest), np.where(better, spread, narrowest)
    return Side(low, high, likeliest, finite[:, -3])


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """For each direction, whether both sides bear the claim out, whether both contradict it alike, and the error."""

    right: BoolArray
    contradicted: BoolArray
    drowned: BoolArray
    nowhere: BoolArray
    error: FloatArray


def judge_sides(above: Side, below: Side, resolution: FloatArray, slack: Any, both: bool) -> Judgement:
    """The judgement of the two sides; an error that is certainly at most `resolution`, or `slack`, is none.

    With `both`, a side on which L is not finite leaves the matter open; else the other one is enough.
    """
    low = np.maximum(np.where(above.known, above.low, -np.inf), np.where(below.known, below.low, -np.inf))
    high = np.minimum(np.where(above.known, above.high, np.inf), np.where(below.known, below.high, np.inf))
    agree = (low <= high) & np.isfinite(low) & np.isfinite(high)
    excluded = [above.excludes_zero(slack), below.excludes_zero(slack)]
    enough = above.known & below.known if both else above.known | below.known
    resolved = np.maximum(above.furthest, below.furthest) <= resolution + 2.0 * slack
    borne_out = enough & ~excluded[0] & ~excluded[1]
    contradicted = enough & agree & (excluded[0] | ~above.known) & (excluded[1] | ~below.known)
    sides = above.known.astype(float) + below.known
    mean = (np.where(above.known, above.likeliest, 0.0) + np.where(below.known, below.likeliest, 0.0)) / sides
    error = np.where(agree, np.clip(mean, low, high), np.nan)
    return Judgement(borne_out & resolved, contradicted, borne_out & ~resolved, ~above.known & ~below.known, error)
