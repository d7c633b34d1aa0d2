"""Whether the gradients that the backward pass finds are those that the forward pass has.

There are three methods. Each moves the value of one node and sees how far L moves, the sum of the output's elements:

taylor         Along a random direction v the remainder |L(x + hv) − L(x) − h·g·v| vanishes like h² if the gradient g is
               right and like h if it is wrong. That exponent is the rate; no step size need be chosen, since the finest
               steps count at which the remainder stands above the rounding errors.
central        (L(x + h) − L(x − h)) / 2h for each element, extrapolated to h = 0 (Richardson, 1911; Ridders, 1982).
complex-step   Im L(x + ih) / h for each element (Squire and Trapp, 1998), right to rounding where L is analytic.

Rounding moves L by about u·Σ|gradient × value| over the nodes that were computed anew, u = 2⁻⁵³: each of them is wrong
by u of itself, and reaches L by its gradient (Linnainmaa, 1976).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from service.core.derivatives.finite_differences import output_changes
from service.core.errors import LimitExceeded
from service.core.execution.passes import backward_pass, nondifferentiable_nodes
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Graph
from service.core.graph.traversal import nodes_between

METHODS = ("taylor", "central", "complex-step")
RANDOM_SEED = 2026  # of the random directions: numpy.random.default_rng(2026).standard_normal(shape)

# Steps are fractions of an element's own magnitude, so that they suit large and small ones alike.
_HALVED = 0.5 ** np.arange(1, 27)
_QUARTERED = slice(7, None, 2)  # of these, from 2⁻⁸ on
_IMAGINARY = np.array([1e-20, 5e-21])  # two, which disagree where L has no derivative as a complex function
_STEPS = {
    "taylor": np.concatenate([_HALVED, -_HALVED]),
    "central": np.concatenate([_HALVED[_QUARTERED], -_HALVED[_QUARTERED]]),
    "complex-step": 1j * _IMAGINARY,
}
_UNIT_ROUNDOFF = 2.0**-53
_LEAST_RATE = 1.25  # whatever vanishes faster than this is no multiple of h
_JUMP = 0.5  # whatever vanishes slower than this does not vanish
_AGREEMENT = 1e-6  # of two figures that cannot agree by chance
_DROWNED = "rounding errors are larger than what the gradient makes"


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
    the method does not apply; `estimate` and `error` are None where there is none.
    """

    name: str
    gradient: FloatArray
    estimate: FloatArray | None
    error: float | None
    rate: float | None
    verdict: CheckVerdict
    reason: str | None = None


def worst_verdict(checks: Iterable[NodeCheck]) -> CheckVerdict:
    """Wrong if any is wrong, right if all are right."""
    found = {check.verdict for check in checks}
    return max(found, key=list(CheckVerdict).index, default=CheckVerdict.RIGHT)


def check_gradients(
    graph: Graph,
    values: Figures,
    output: str,
    positions: Sequence[int],
    method: str,
    *,
    max_elements: int | None = None,
) -> tuple[NodeCheck, ...]:
    """Check the gradient of the output with respect to each node at `positions`, none of them a Constant.

    Raises LimitExceeded, before any is checked, where that would compute more than `max_elements` elements of values.
    """
    target = graph.position[output]
    with np.errstate(all="ignore"):
        points = _points(graph, values, target, positions, method)
        tried = {point.position: point for point in points if point.reason is None}
        count = sum(1 if method == "taylor" else point.value.size for point in tried.values())
        elements = count * len(_STEPS[method]) * int(values.offsets[target + 1])
        if max_elements is not None and elements > max_elements:
            detail = f"a check computes at most {max_elements} elements of values; this one would take {elements}"
            raise LimitExceeded("run_elements", max_elements, elements, detail)
        directions = {position: _directions(point, method) for position, point in tried.items()}
        changes = output_changes(graph, values, target, directions, _STEPS[method])
        judge = {"taylor": _by_taylor, "central": _by_differences, "complex-step": _by_complex_step}[method]
        return tuple(
            _not_applicable(point, point.reason)
            if point.reason is not None
            else judge(point, directions[point.position], changes[point.position])
            for point in points
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """A node to check. `noise` is how far rounding may move the output, `reason` why there is nothing to check."""

    name: str
    position: int
    value: FloatArray
    gradient: FloatArray
    noise: float
    reason: str | None

    @property
    def scale(self) -> FloatArray:
        """The magnitude of each element, 1 for those that have none: what a step is a fraction of."""
        magnitude = np.absolute(self.value)
        return np.where(magnitude < 1e-100, 1.0, magnitude)


def _points(graph: Graph, values: Figures, target: int, positions: Sequence[int], method: str) -> list[_Point]:
    arrays: list[Any] = list(values)
    output = graph.nodes[target].name
    gradients: list[Any] = list(backward_pass(graph, values, output))
    kinks = frozenset(nondifferentiable_nodes(graph, values))
    # ∞ is a value that cannot be told from another; 0 × ∞ one that does not reach the output.
    noises = [
        0.0 if gradient is None else float(np.nan_to_num(np.absolute(gradient * value), nan=0.0, posinf=np.inf).sum())
        for gradient, value in zip(gradients, arrays, strict=True)
    ]
    points = []
    for position in positions:
        name, path = graph.nodes[position].name, nodes_between(graph, position, output)
        noise = 32.0 * _UNIT_ROUNDOFF * sum(noises[each] for each in path) + float(np.finfo(np.float64).tiny)
        reason = None
        if not (np.isfinite(arrays[target]).all() and np.isfinite(arrays[position]).all()):
            reason = "the output is not finite" if np.isfinite(arrays[position]).all() else "the value is not finite"
        elif not np.isfinite(gradients[position]).all():
            reason = "the gradient is not finite"
        elif bent := [graph.nodes[each].name for each in path[1:] if each in kinks]:
            reason = f"no derivative exists at {bent[0]!r}"
        elif index := _index_among(graph, path):
            reason = f"{index!r} takes it as an index"
        elif method == "complex-step" and (
            rough := [graph.nodes[each] for each in path[1:] if not graph.nodes[each].operation.analytic]
        ):
            reason = f"{rough[0].name!r} ({rough[0].operation.name}) is not analytic"
        points.append(_Point(name, position, arrays[position], gradients[position], noise, reason))
    return points


def _index_among(graph: Graph, path: Sequence[int]) -> str | None:
    """The first node on a path that takes another on it as an index, which cannot be moved a little."""
    moved = frozenset(path)
    for position in path[1:]:
        indices = graph.nodes[position].operation.indices
        if any(index and source in moved for index, source in zip(indices, graph.operands[position], strict=False)):
            return graph.nodes[position].name
    return None


def _directions(point: _Point, method: str) -> FloatArray:
    """A random one for taylor, else one along each element; each as long as the elements are large."""
    scale, shape = point.scale, point.value.shape
    if method != "taylor":
        return np.diag(scale.reshape(-1)).reshape(scale.size, *shape)
    weights = np.random.default_rng(RANDOM_SEED).standard_normal(shape) if point.value.ndim else np.ones(())
    return (scale * weights)[np.newaxis]


def _not_applicable(point: _Point, reason: str) -> NodeCheck:
    return NodeCheck(point.name, point.gradient, None, None, None, CheckVerdict.NOT_APPLICABLE, reason)


# --- taylor ---------------------------------------------------------------------------------------------------------


def _by_taylor(point: _Point, directions: FloatArray, changes: FloatArray) -> NodeCheck:
    direction, (forward, backward) = directions[0], np.split(changes, 2, axis=1)
    length = float(np.linalg.norm(direction)) or 1.0
    slope = float(np.vdot(point.gradient, direction))
    estimates, _ = _extrapolate(forward[:, _QUARTERED], backward[:, _QUARTERED], point.noise)
    rates = []
    for sign, change in ((1.0, forward[0]), (-1.0, backward[0])):
        # The step that was taken is that between two float64 numbers, not quite the one that was meant.
        taken = [(point.value + sign * step * direction) - point.value for step in _HALVED]
        claimed = np.array([np.vdot(point.gradient, step) for step in taken])
        rates.append(_rate(np.absolute(change - claimed), point.noise))
    known = [rate for rate in rates if not np.isnan(rate)]
    verdict, reason = _judge_rates(known)
    rate, error = min(known, default=np.inf), float(abs(slope - estimates[0]))
    drowned = np.isinf(rate) and 0.5 * abs(slope) <= point.noise and error > _AGREEMENT * abs(slope)
    if verdict is CheckVerdict.RIGHT and drowned:
        verdict, reason = CheckVerdict.NOT_APPLICABLE, _DROWNED
    settled = np.isfinite(error)  # it is not where the output is finite on one side only
    return NodeCheck(
        point.name,
        np.array(slope / length),
        np.array(estimates[0] / length) if settled else None,
        error / length if settled else None,
        None if np.isinf(rate) else rate,
        verdict,
        reason,
    )


def _rate(remainder: FloatArray, noise: float) -> float:
    """The exponent with which the remainder vanishes: the median of the three finest halvings above the noise.

    Infinity where fewer stand above it: then nothing speaks against the gradient. NaN where the output is not finite
    on this side, however fine the step.
    """
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


def _judge_rates(rates: Sequence[float]) -> tuple[CheckVerdict, str | None]:
    """The verdict of the two sides of the point."""
    if not rates:
        return CheckVerdict.NOT_APPLICABLE, "the output is not finite nearby"
    if min(rates) > _LEAST_RATE:
        return CheckVerdict.RIGHT, None
    if max(rates) > _LEAST_RATE or min(rates) < _JUMP:
        return CheckVerdict.NOT_APPLICABLE, "the output bends or jumps within the steps"
    return CheckVerdict.WRONG, None


# --- by elements ----------------------------------------------------------------------------------------------------


def _by_differences(point: _Point, directions: FloatArray, changes: FloatArray) -> NodeCheck:
    forward, backward = np.split(changes, 2, axis=1)
    scale, finest = point.scale.reshape(-1), _HALVED[_QUARTERED][-1]
    estimates, errors = _extrapolate(forward, backward, point.noise)
    slopes = point.gradient.reshape(-1) * scale
    # What the two sides do not share is of O(h²), 1/16 of the one before; at a kink it is 1/4, at a jump all of it.
    gaps = np.absolute(forward + backward)
    bent = gaps[:, -1] > 0.125 * gaps[:, -2] + point.noise
    settled = np.isfinite(estimates) & ((errors <= 0.5 * np.absolute(estimates)) | (errors <= point.noise / finest))
    bounds = 8.0 * errors + 1e-8 * (np.absolute(slopes) + np.absolute(estimates))
    return _by_elements(point, estimates, bounds, settled & ~bent)


def _by_complex_step(point: _Point, directions: FloatArray, changes: Any) -> NodeCheck:
    wide, estimates = (changes.imag / _IMAGINARY).T
    slopes = point.gradient.reshape(-1) * point.scale.reshape(-1)
    bounds = point.noise + 1e-9 * (np.absolute(slopes) + np.absolute(estimates))
    return _by_elements(point, estimates, bounds, np.absolute(wide - estimates) <= bounds)


def _by_elements(point: _Point, estimates: FloatArray, bounds: FloatArray, settled: Any) -> NodeCheck:
    """The verdict of slopes for a step of each element's magnitude; `bounds` are what a right one may be off by."""
    scale = point.scale.reshape(-1)
    slopes = point.gradient.reshape(-1) * scale
    errors = np.absolute(slopes - estimates)
    largest = np.absolute(slopes).max(initial=0.0)
    verdict, reason = CheckVerdict.RIGHT, None
    if np.any(settled & (errors > bounds)):
        verdict = CheckVerdict.WRONG
    elif not np.all(settled):
        verdict, reason = CheckVerdict.NOT_APPLICABLE, "the output bends, jumps or is not finite within the steps"
    elif 0.0 < largest <= bounds.min() and errors.max() > _AGREEMENT * largest:
        verdict, reason = CheckVerdict.NOT_APPLICABLE, _DROWNED
    estimate = (estimates / scale).reshape(point.value.shape)
    error = float((errors / scale).max(initial=0.0))
    return NodeCheck(point.name, point.gradient, estimate, error, None, verdict, reason)


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
