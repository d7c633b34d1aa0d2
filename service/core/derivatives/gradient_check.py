"""Whether gradients, ours or recorded ones, are those that the forward pass has.

There are three methods. Each moves the value of one node and sees how far L moves, the sum of seed × output:

taylor         Along a random direction v the remainder |L(x + hv) − L(x) − h·g·v| vanishes like h² if the gradient g is
               right and like h if it is wrong. That exponent is the rate; no step size need be chosen, since the finest
               steps count at which the remainder stands above the rounding errors.
central        (L(x + h) − L(x − h)) / 2h for each element, extrapolated to h = 0 (Richardson, 1911; Ridders, 1982).
complex-step   Im L(x + ih) / h for each element (Squire and Trapp, 1998), right to rounding where L is analytic.

What a first look does not confirm is looked at closely (`closer_look.py`), with steps as long as the way to the edge of
the domain, each side by itself. Only what is contradicted there is wrong.

Rounding moves L by about u·Σ|gradient × value| over the nodes that were computed anew, u = 2⁻⁵³: each of them is wrong
by u of itself, and reaches L by its gradient (Linnainmaa, 1976). The node that is moved has no part in it, since the
step that was taken is known exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from service.core.derivatives.closer_look import MOVES, RANDOM_SEED, Closer, CloserLook, random_weights
from service.core.derivatives.difference_quotients import in_rows
from service.core.derivatives.finite_differences import Mover
from service.core.derivatives.gradient_point import Point, find_points
from service.core.errors import LimitExceeded
from service.core.execution.passes import backward_pass, spread_seed
from service.core.figures.figures import BoolArray, Figures, FloatArray
from service.core.graph.graph import Graph

__all__ = ["METHODS", "RANDOM_SEED", "CheckVerdict", "ClaimedGradient", "NodeCheck", "check_gradients", "worst_verdict"]

METHODS = ("taylor", "central", "complex-step")

# Steps are fractions of an element's own magnitude, so that they suit large and small ones alike.
_HALVED = 0.5 ** np.arange(1, 27)
_QUARTERED = slice(7, None, 2)  # of these, from 2⁻⁸ on
_IMAGINARY = np.array([1e-20, 5e-21])  # two, which disagree where L has no derivative as a complex function
_LONGER = 1e12  # times as long, for slopes whose products with the steps are too near 0 for float64
_STEPS = {
    "taylor": np.concatenate([_HALVED, -_HALVED]),
    "central": np.concatenate([_HALVED[_QUARTERED], -_HALVED[_QUARTERED]]),
    "complex-step": 1j * _IMAGINARY,
}
_LEAST_RATE = 1.25  # whatever vanishes faster than this is no multiple of h
_JUMP = 0.5  # whatever vanishes slower than this does not vanish
_AGREEMENT = 1e-3  # of a slope and its estimate, where the slope is right
_DROWNED = "rounding errors are larger than what the gradient makes"
_BENT = "the output bends or jumps within the steps"
_BENT_OR_INFINITE = "the output bends, jumps or is not finite within the steps"
_NOWHERE = "the output is not finite nearby"

# A claimed gradient, and how far each of its elements may be off and still be right.
ClaimedGradient = tuple[FloatArray, FloatArray]


class CheckVerdict(StrEnum):
    """What is found of one node; the worst of them, which is the last here, is the verdict on all."""

    RIGHT = "right"
    NOT_APPLICABLE = "not applicable"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, eq=False)
class NodeCheck:
    """One node's gradient beside the method's estimate of it, and the greatest difference of their elements.

    By taylor both are slopes along the random direction, scaled to length 1 (of a scalar, along 1: the gradient
    itself); else they have the node's shape. `rate` is None where the remainder is rounding error; `reason` says why
    the method does not apply; `estimate` and `error` are None where there is none. If `held`, the node is a label, a
    mask or an index: it was left where it is, and does not count.
    """

    name: str
    gradient: FloatArray
    estimate: FloatArray | None
    error: float | None
    rate: float | None
    verdict: CheckVerdict
    reason: str | None = None
    held: bool = False


def worst_verdict(checks: Iterable[NodeCheck]) -> CheckVerdict:
    """Wrong if any is wrong, right if all are right that are not held; not applicable if all there is is held."""
    checks = list(checks)
    found = {check.verdict for check in checks if not check.held} or {check.verdict for check in checks}
    return max(found, key=list(CheckVerdict).index, default=CheckVerdict.RIGHT)


def check_gradients(
    graph: Graph,
    values: Figures,
    output: str,
    positions: Sequence[int],
    method: str,
    *,
    seed: FloatArray | float = 1.0,
    claimed: Mapping[int, ClaimedGradient] | None = None,
    max_elements: int | None = None,
) -> tuple[NodeCheck, ...]:
    """Check the gradient of seed · output with respect to each node at `positions`, none of them a Constant.

    It is the one that is `claimed`, or else the one that the backward pass finds. Raises LimitExceeded, before any is
    looked at, where all might compute more than `max_elements` elements of values; a closer look at a node keeps to as
    many.
    """
    target = graph.position[output]
    with np.errstate(all="ignore"):
        mover = Mover(graph, values, target, spread_seed(seed, values.shape(target)))
        directions_of_node = np.ones(len(graph)) if method == "taylor" else np.diff(values.offsets)
        count = int(directions_of_node[list(positions)].sum())
        elements = count * len(_STEPS[method]) * mover.elements
        if max_elements is not None and elements > max_elements:
            detail = f"a check computes at most {max_elements} elements of values; this one would take {elements}"
            raise LimitExceeded("run_elements", max_elements, elements, detail)
        own: list[Any] = list(backward_pass(graph, values, output, seed))
        points = find_points(graph, values, output, positions, own, claimed or {}, analytic=method == "complex-step")
        tried = [point for point in points if point.reason is None]
        directions = {point.position: _directions(point, method) for point in tried}
        changes = mover.changes(directions, _STEPS[method])
        most = None if max_elements is None else max(1, max_elements // (MOVES * max(1, mover.elements)))
        looks = _Looks(CloserLook(mover, own), mover, most)
        judge = {"taylor": _by_taylor, "central": _by_differences, "complex-step": _by_complex_step}[method]
        return tuple(
            _not_applicable(point, point.reason)
            if point.reason is not None
            else _as_claimed(point, judge(looks, point, directions[point.position], changes[point.position]))
            for point in points
        )


def count_steps(method: str) -> int:
    """How many steps a method takes along each direction, unless it looks closer."""
    return len(_STEPS[method])


@dataclass(frozen=True, slots=True)
class _Looks:
    """What a closer look takes; `most` directions of a node are looked at."""

    closer: CloserLook
    mover: Mover
    most: int | None


def _directions(point: Point, method: str) -> FloatArray:
    """A random one for taylor, else one along each element; each as long as the elements are large."""
    scale, shape = point.scale, point.value.shape
    if method != "taylor":
        return np.diag(scale.reshape(-1)).reshape(scale.size, *shape)
    return (scale * random_weights(shape))[np.newaxis]


def _not_applicable(point: Point, reason: str) -> NodeCheck:
    held = point.held is not None
    if held and point.held != reason:
        reason = f"{point.held}: left where it is, since {reason}" if "within the steps" in reason else str(point.held)
    return NodeCheck(point.name, point.gradient, None, None, None, CheckVerdict.NOT_APPLICABLE, reason, held)


def _as_claimed(point: Point, ours: NodeCheck) -> NodeCheck:
    """The check of the gradient that is claimed: where ours is right, one that is not finite is wrong."""
    if point.nonfinite is None:
        return ours
    claimed = point.nonfinite if ours.gradient.shape == point.nonfinite.shape else np.asarray(point.nonfinite.sum())
    verdict = CheckVerdict.WRONG if ours.verdict is CheckVerdict.RIGHT else ours.verdict
    return replace(ours, gradient=claimed, error=None, rate=None, verdict=verdict)


def _taken(point: Point, directions: FloatArray, steps: FloatArray) -> FloatArray:
    """The changes of L that the gradient claims for the steps that were taken, those between two float64 numbers."""
    claimed = [in_rows((point.value + step * directions) - point.value) for step in steps]
    return np.stack([taken @ point.gradient.reshape(-1) for taken in claimed], axis=1)


def _doubt(closer: Closer, row: int, otherwise: str, loud: Any) -> str:
    """Why a closer look at a direction leaves the matter open; `loud` says that at a first look L moved otherwise than
    by rounding."""
    if closer.judgement.nowhere[row]:
        return _NOWHERE
    return _DROWNED if closer.silent[row] and not loud else otherwise


# --- taylor ---------------------------------------------------------------------------------------------------------


def _by_taylor(looks: _Looks, point: Point, directions: FloatArray, changes: FloatArray) -> NodeCheck:
    direction = directions[0]
    longest = float(np.absolute(direction).max(initial=0.0)) or 1.0
    length = longest * (float(np.linalg.norm(direction / longest)) or 1.0)
    slope = float(np.vdot(point.gradient, direction))
    slack = float(np.vdot(point.slack, np.absolute(direction)))
    residuals = changes - _taken(point, directions, _STEPS["taylor"])
    forward, backward = np.split(residuals, 2, axis=1)
    known = [rate for rate in (_rate(each, point.noise) for each in (forward[0], backward[0])) if not np.isnan(rate)]
    rate = min(known, default=np.inf)
    errors, bounds = _extrapolate(forward[:, _QUARTERED], backward[:, _QUARTERED], point.noise)
    error, verdict, reason = float(errors[0]), CheckVerdict.RIGHT, None
    within = abs(error) <= 8.0 * bounds[0]
    steepest = _steepest([half[:, _QUARTERED] for half in np.split(changes, 2, axis=1)], point.noise)[0]
    settled = np.isfinite(error)  # it is not where the output is finite on one side only
    vanishing = bool(known) and rate > _LEAST_RATE
    seen = abs(slope) > 0.0 or not np.any(point.gradient)  # else its product with the step is too near 0
    near = abs(error) <= _AGREEMENT * abs(slope) + slack or (within and 8.0 * bounds[0] <= _AGREEMENT * steepest)
    if not (vanishing and seen and settled and near):
        closer = looks.closer.judge(point, directions, both=False)
        judgement = closer.judgement
        one_sided = vanishing and not settled
        error, settled = float(judgement.error[0]), bool(np.isfinite(judgement.error[0]))
        if judgement.right[0] and seen:
            rate, settled = rate if rate > _LEAST_RATE else np.inf, settled and not one_sided
        elif judgement.contradicted[0] and looks.closer.has_witness(point):
            verdict = CheckVerdict.WRONG
            rate = rate if _JUMP <= rate <= _LEAST_RATE else 1.0
        elif not (one_sided and seen):
            loud = np.any(np.absolute(residuals) > point.noise)
            drowned = not seen or (vanishing and within)
            return _not_applicable(point, _DROWNED if drowned else _doubt(closer, 0, _BENT, loud))
        else:
            settled = False
    return NodeCheck(
        point.name,
        np.array(slope / length),
        np.array((slope + error) / length) if settled else None,
        abs(error) / length if settled else None,
        None if np.isinf(rate) else rate,
        verdict,
        reason,
    )


def _rate(residuals: FloatArray, noise: float) -> float:
    """The exponent with which the remainder vanishes: the median of the three finest halvings above the noise.

    Infinity where fewer stand above it: then nothing speaks against the gradient. NaN where the output is not finite
    on this side, however fine the step.
    """
    remainder = np.absolute(residuals)
    if not np.isfinite(remainder[-1]):
        return np.nan
    remainder = remainder[np.flatnonzero(~np.isfinite(remainder)).max(initial=-1) + 1 :]
    above = np.flatnonzero(remainder > noise)
    if above.size == 0 or above[-1] < 3:
        return np.inf
    last = above[-1]
    halvings = -np.diff(np.log2(np.maximum(remainder[last - 3 : last + 1], noise)))
    # From far above the noise it fell into it at once: a kink or a jump was left behind.
    if last + 1 < len(remainder) and np.log2(remainder[last] / noise) > max(float(np.median(halvings)), _LEAST_RATE):
        return np.inf
    return float(np.median(halvings))


# --- by elements ----------------------------------------------------------------------------------------------------


def _by_differences(looks: _Looks, point: Point, directions: FloatArray, changes: FloatArray) -> NodeCheck:
    residuals = changes - _taken(point, directions, _STEPS["central"])
    forward, backward = np.split(residuals, 2, axis=1)
    scale = point.scale.reshape(-1)
    errors, bounds = _extrapolate(forward, backward, point.noise)
    slopes, slack = np.absolute(point.gradient.reshape(-1) * scale), point.slack.reshape(-1) * scale
    # What the two sides do not share is of O(h²), 1/16 of the one before; at a kink it is 1/4, at a jump all of it.
    gaps = np.absolute(forward + backward)
    bent = gaps[:, -1] > 0.125 * gaps[:, -2] + point.noise
    still = np.all(changes == 0.0, axis=1) & (point.gradient.reshape(-1) == 0.0)
    seen = (slopes > 0.0) | (point.gradient.reshape(-1) == 0.0)
    near = np.absolute(errors) <= 8.0 * bounds + 1e-8 * slopes + slack
    # Where the slope is 0, or nearly, that of a step nearby is what the bounds are small against.
    steepest = _steepest(np.split(changes, 2, axis=1), point.noise)
    # The finest step must not see another slope, of what bends within the longer ones.
    finest = _HALVED[_QUARTERED][-1]
    odd = np.absolute(forward[:, -1] - backward[:, -1]) / (2.0 * finest)
    natural = np.maximum(slopes, np.where(odd <= _AGREEMENT * steepest + point.noise / finest, steepest, 0.0))
    right = seen & (still | (near & ~bent & (8.0 * bounds <= _AGREEMENT * natural)))
    loud = np.any(np.absolute(residuals) > point.noise, axis=1)
    drowned = ~seen | (np.isfinite(errors) & ~bent)
    return _by_elements(looks, point, directions, np.where(still, 0.0, errors), right, seen, drowned, loud)


def _by_complex_step(looks: _Looks, point: Point, directions: FloatArray, changes: Any) -> NodeCheck:
    errors, right, settled = _complex_errors(point, directions, changes, _IMAGINARY)
    doubted = np.flatnonzero(~right)
    if doubted.size:
        reach, _ = looks.closer.reach(point, directions[doubted])
        moves = directions[doubted] * reach.reshape(-1, *(1,) * point.value.ndim)
        longer = looks.mover.changes({point.position: moves}, 1j * _LONGER * _IMAGINARY)[point.position]
        again, confirmed, _ = _complex_errors(point, moves, longer, _LONGER * _IMAGINARY)
        errors[doubted], right[doubted] = np.where(confirmed, again / reach, errors[doubted]), confirmed
    nowhere = np.zeros(right.shape, dtype=np.bool_)
    return _by_elements(looks, point, directions, errors, right, ~nowhere, settled, nowhere)


def _complex_errors(
    point: Point, moves: FloatArray, changes: Any, steps: FloatArray
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """The errors of the slopes for these moves, which of the slopes are right, and where both steps agree."""
    wide, estimates = (changes.imag / steps).T
    flat = in_rows(moves)
    slopes, slack = flat @ point.gradient.reshape(-1), np.absolute(flat) @ point.slack.reshape(-1)
    errors = estimates - slopes
    bounds = point.noise / 2.0**10 + 1e-9 * (np.absolute(slopes) + np.absolute(estimates)) + slack
    settled = np.absolute(wide - estimates) <= bounds
    # That nothing moves at all is believed of the longer steps alone: products with the shorter vanish before it does.
    still = (steps[0] > _IMAGINARY[0]) & (estimates == 0.0) & ~np.any(flat * point.gradient.reshape(-1) != 0.0, axis=1)
    resolved = bounds <= _AGREEMENT * np.absolute(slopes) + 2.0 * slack
    # Imaginary parts are their own: that they agree by chance with a slope far below the noise is not to be feared.
    alike = (np.absolute(wide - estimates) <= 1e-9 * np.absolute(estimates)) & (estimates != 0.0)
    alike &= np.absolute(errors) <= _AGREEMENT * np.absolute(slopes)
    return errors, settled & (np.absolute(errors) <= bounds) & (still | resolved | alike), settled


def _by_elements(
    looks: _Looks,
    point: Point,
    directions: FloatArray,
    errors: FloatArray,
    right: BoolArray,
    seen: BoolArray,
    drowned: BoolArray,
    loud: BoolArray,
) -> NodeCheck:
    """The verdict on elements of which a first look found some right, and the errors of their slopes.

    Of those that are `drowned` nothing but rounding leaves the matter open.
    """
    doubted = np.flatnonzero(~right)
    wrong, reason = False, None
    if doubted.size:
        doubted = doubted[np.argsort(-np.nan_to_num(np.absolute(errors[doubted]), nan=0.0))][: looks.most]
        closer = looks.closer.judge(point, directions[doubted], both=True)
        judgement = closer.judgement
        errors = np.where(right, errors, np.nan)
        errors[doubted] = judgement.error
        borne_out = judgement.right & seen[doubted]
        right = right.copy()
        right[doubted] = borne_out
        wrong = bool(np.any(judgement.contradicted)) and looks.closer.has_witness(point)
        open_rows = np.flatnonzero(~borne_out)
        if not wrong and not right.all():
            row = int(open_rows[0]) if open_rows.size else 0
            reason = _DROWNED
            if not drowned[doubted][row]:
                reason = _doubt(closer, row, _BENT_OR_INFINITE, loud[doubted][row])
            return _not_applicable(point, reason)
    scale = point.scale.reshape(-1)
    errors = (errors / scale).reshape(point.value.shape)
    return NodeCheck(
        point.name,
        point.gradient,
        point.gradient + errors,
        float(np.nan_to_num(np.absolute(errors), nan=0.0).max(initial=0.0)),
        None,
        CheckVerdict.WRONG if wrong else CheckVerdict.RIGHT,
    )


def _steepest(changes: Sequence[FloatArray], noise: float) -> FloatArray:
    """How steep L is, at least, over the longest step to either side: what a slope there would be large against."""
    moved = np.maximum(*[np.absolute(side[:, 0]) for side in changes])
    steepest: FloatArray = np.maximum(moved - 2.0 * noise, 0.0) / _HALVED[_QUARTERED][0]
    return np.nan_to_num(steepest, nan=0.0, posinf=0.0)


def _extrapolate(forward: FloatArray, backward: FloatArray, noise: float) -> tuple[FloatArray, FloatArray]:
    """The slope along each direction and what it may be off by: the best of the table of central differences that
    Richardson's extrapolation makes, where it moved least from the entries it was made of."""
    steps = _HALVED[_QUARTERED]
    column = (forward - backward) / (2.0 * steps)
    best = column[:, -1]
    least = np.full(best.shape, np.inf)
    rows = np.arange(len(best))
    for order in (1, 2, 3):
        coarse, fine = column[:, :-1], column[:, 1:]
        column = fine + (fine - coarse) / (16.0**order - 1.0)
        moved = np.maximum(np.absolute(column - fine), np.absolute(column - coarse)) + noise / steps[order:]
        moved = np.where(np.isnan(moved), np.inf, moved)
        chosen = moved.argmin(axis=1)
        better = moved[rows, chosen] < least
        best = np.where(better, column[rows, chosen], best)
        least = np.where(better, moved[rows, chosen], least)
    return best, least
