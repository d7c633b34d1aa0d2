"""A closer look at gradients that a first look does not confirm.

Its steps are scaled by the way to the edge: the longest move at which no value that follows from it moves by more than
half of its own magnitude, so that neither a kink at 0 nor the end of a domain lies within. Each side is judged by its
own quotients. What both contradict is wrong only if there is a witness: an operation on the way whose own rule is
contradicted when its operands are moved by parts of their own magnitude, or, of a recorded gradient, that ours differs.
Without one the output bends within the steps, however fine they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from service.core.derivatives.difference_quotients import STEPS, Judgement, Side, error_seen, in_rows, judge_sides
from service.core.derivatives.finite_differences import Mover
from service.core.derivatives.gradient_point import UNIT_ROUNDOFF, Point, rounding_errors
from service.core.execution.chain_rule import contributions_at
from service.core.figures.figures import BoolArray, FloatArray, IntArray

RANDOM_SEED = 2026  # of the random directions: numpy.random.default_rng(2026).standard_normal(shape)
MOVES = 2 * len(STEPS) + 8  # of one direction, the search for its scale included

_SEARCHES = 4
_SMALLEST = 2.0**-60  # by which one search shortens a move
_RESOLUTION = 1e-3  # of a slope
_CANCELLED = 1e-6  # of what is summed up in a slope
_DIFFERENT = 1e-7  # of two gradients
_FINEST = 2  # steps at which a change has vanished if it is
_VANISHED = 0.1  # times the largest


@dataclass(frozen=True, slots=True, eq=False)
class Closer:
    """The judgement of each direction, and where nothing of L stood above the rounding errors."""

    judgement: Judgement
    silent: BoolArray

    def replaced(self, rows: IntArray, other: "Closer") -> "Closer":
        """With the findings of another look at these rows, where it is not drowned as well."""
        chosen = ~(other.judgement.drowned & other.silent)

        def put(old: Any, new: Any) -> Any:
            merged = old.copy()
            merged[rows[chosen]] = new[chosen]
            return merged

        mine, others = self.judgement, other.judgement
        parts = {each.name: put(getattr(mine, each.name), getattr(others, each.name)) for each in fields(Judgement)}
        return Closer(Judgement(**parts), put(self.silent, other.silent))


class CloserLook:
    """Looks closely at the directions of points, and asks the operations on the way for witnesses."""

    def __init__(self, mover: Mover, gradients: Sequence[Any]) -> None:
        self._mover, self._gradients = mover, gradients
        self._contradicted: dict[int, bool] = {}

    def judge(self, point: Point, directions: FloatArray, both: bool) -> Closer:
        """The judgement of the gradient along each direction, an array of shape (count, *the node's shape).

        Where rounding drowns what such short steps do, steps beyond the edges are tried, and then parts of 1 instead of
        parts of the node's magnitude.
        """
        reach, carried = self.reach(point, directions)
        found = self._judge(point, _scaled(directions, reach), carried, reach, both)
        larger = np.maximum(point.scale, 1.0) / point.scale
        for scale in (np.ones(()), larger):
            rows = np.flatnonzero(found.judgement.drowned & found.silent & (np.any(larger > 1.0) or reach < 1.0))
            if rows.size:
                moves = directions[rows] * scale
                _, carried = self._mover.motions(point.position, 0.5 * moves, self._gradients, point.path)
                again = self._judge(point, moves, 2.0 * carried, _factor(directions[rows], moves), both)
                found = found.replaced(rows, again)
        return found

    def _judge(self, point: Point, moves: FloatArray, carried: FloatArray, length: FloatArray, both: bool) -> Closer:
        """The judgement of these moves; the error of the slope is by their length, that of the directions being 1."""
        changes = self._mover.changes({point.position: moves}, np.concatenate([STEPS, -STEPS]))[point.position]
        halves = np.split(changes, 2, axis=1)
        above, below, residuals, noise = _sides(point.value, point.gradient, moves, halves, point.noise)
        slope = np.absolute(in_rows(moves) @ point.gradient.reshape(-1))
        slack = in_rows(np.absolute(moves)) @ point.slack.reshape(-1)
        still = np.all(changes == 0.0, axis=1) & (slope == 0.0)  # to the last bit, as is claimed
        resolution = np.where(still, np.inf, _RESOLUTION * slope + _CANCELLED * carried)
        judgement = judge_sides(above, below, resolution, slack, both)
        judgement = replace(
            judgement, contradicted=judgement.contradicted & _vanishing(halves, np.isfinite(noise), point.noise)
        )
        loud = [np.any(np.absolute(residual) > noise, axis=1) for residual in residuals]
        return Closer(replace(judgement, error=judgement.error / length), ~(loud[0] | loud[1]))

    def reach(self, point: Point, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What to multiply each direction by so that a move of half of it stays within the edges; and Σ|gradient ×
        change| of that move, by its length."""
        reach, carried = np.ones(len(directions)), np.zeros(len(directions))
        for _ in range(_SEARCHES):
            moves = 0.5 * _scaled(directions, reach)
            ends = [
                self._mover.motions(point.position, sign * moves, self._gradients, point.path) for sign in (1.0, -1.0)
            ]
            furthest = np.maximum(ends[0][0], ends[1][0])
            carried = np.maximum(ends[0][1], ends[1][1]) / 0.5
            if np.all(furthest <= 0.5):
                break
            reach = np.where(furthest <= 0.5, reach, reach * np.maximum(0.45 / furthest, _SMALLEST))
        return reach, carried

    def has_witness(self, point: Point) -> bool:
        """Whether the gradient is not ours, or an operation on the way contradicts its own rule."""
        different = np.absolute(point.gradient - point.own) > point.slack + _DIFFERENT * np.absolute(point.own)
        return bool(np.any(different)) or any(map(self._is_contradicted, point.path[1:]))

    def _is_contradicted(self, position: int) -> bool:
        if position not in self._contradicted:
            self._contradicted[position] = self._contradicts(position)
        return self._contradicted[position]

    def _contradicts(self, position: int) -> bool:
        """Whether what an operation contributes to the gradients of its operands contradicts its values."""
        node, sources, arrays = (
            self._mover.graph.nodes[position],
            self._mover.graph.operands[position],
            self._mover.arrays,
        )
        upstream, value = self._gradients[position], arrays[position]
        operands = [arrays[source] for source in sources]
        contributions = contributions_at(self._mover.graph, position, upstream, operands, value)
        for operand_index, (operand, contribution) in enumerate(zip(operands, contributions, strict=True)):
            flat = "step" in node.operation.rules and not np.any(contribution)  # nothing contradicts that
            if contribution is None or flat or not np.isfinite(contribution).all():
                continue

            def change(moved: Any, operand_index: int = operand_index) -> Any:
                taken = [moved if index == operand_index else each for index, each in enumerate(operands)]
                try:
                    return np.sum(
                        upstream * (np.multiply(node.operation.evaluate(taken, node.attributes), 1.0) - value)
                    )
                except ValueError:
                    return np.nan

            if _is_contradicted(change, operand, np.asarray(contribution), rounding_errors(upstream, value)):
                return True
        return False


def _is_contradicted(change: Callable[[Any], Any], value: FloatArray, gradient: FloatArray, noise: float) -> bool:
    moves = (np.where(value == 0.0, 1.0, np.absolute(value)) * random_weights(value.shape))[np.newaxis]
    halves = [np.array([[change(value + sign * step * moves[0]) for step in STEPS]]) for sign in (1.0, -1.0)]
    above, below, _, rounding = _sides(value, gradient, moves, halves, noise)
    judgement = judge_sides(above, below, np.zeros(1), 0.0, both=False)
    return bool((judgement.contradicted & _vanishing(halves, np.isfinite(rounding), noise))[0])


def _vanishing(changes: Sequence[FloatArray], taken: BoolArray, noise: float) -> BoolArray:
    """Whether the changes of L vanish with the steps that were `taken`.

    Where they do not, even the shortest passes over many bends, as of sin at 1e64: neighbouring numbers are many
    periods apart.
    """
    finest = taken & (np.cumsum(taken[:, ::-1], axis=1)[:, ::-1] <= _FINEST)
    vanishing, seen = np.ones(len(taken), dtype=np.bool_), np.zeros(len(taken), dtype=np.bool_)
    for change in changes:
        usable = taken & np.isfinite(change)
        enough = np.count_nonzero(usable, axis=1) >= 2 * _FINEST
        size = np.where(usable, np.absolute(change), 0.0)
        last = np.where(finest, size, 0.0)
        vanished = np.all((last <= _VANISHED * size.max(axis=1, keepdims=True)) | (last <= noise), axis=1)
        vanishing, seen = vanishing & (vanished | ~enough), seen | enough
    return vanishing & seen


def random_weights(shape: tuple[int, ...]) -> FloatArray:
    """The random direction of nodes of that shape; 1 for a scalar."""
    return np.random.default_rng(RANDOM_SEED).standard_normal(shape) if shape else np.ones(())


def _sides(
    value: FloatArray, gradient: FloatArray, moves: FloatArray, changes: Sequence[FloatArray], noise: float
) -> tuple[Side, Side, tuple[FloatArray, FloatArray], FloatArray]:
    """The sides above and below the point, the residuals on both, and the rounding errors in them."""
    sides, residuals, noises = [], [], []
    for sign, change in zip((1.0, -1.0), changes, strict=True):
        claimed, blurred = np.empty(change.shape), np.empty(change.shape)
        for column, step in enumerate(STEPS):
            # The step that was taken is that between two float64 numbers, not quite the one that was meant.
            meant = sign * step * moves
            taken = (value + meant) - value
            claimed[:, column] = in_rows(taken) @ gradient.reshape(-1)
            rows = in_rows(np.absolute(taken - meant)).max(axis=1, initial=0.0)
            length = in_rows(np.absolute(taken)).max(axis=1, initial=0.0)
            blurred[:, column] = np.where(length > 0.0, rows / length, np.inf)
        residual = change - claimed
        rounded = noise + 8.0 * UNIT_ROUNDOFF * (np.absolute(change) + np.absolute(claimed))
        rounded = np.where(
            np.isinf(blurred), np.inf, rounded + np.absolute(residual) * np.where(np.isinf(blurred), 0.0, blurred)
        )
        sides.append(error_seen(sign * residual, np.where(np.isnan(rounded), noise, rounded)))
        residuals.append(residual)
        noises.append(np.where(np.isnan(rounded), noise, rounded))
    return sides[0], sides[1], (residuals[0], residuals[1]), np.maximum(*noises)


def _scaled(directions: FloatArray, factors: FloatArray) -> FloatArray:
    return directions * factors.reshape(-1, *(1,) * (directions.ndim - 1))


def _factor(directions: FloatArray, moves: FloatArray) -> FloatArray:
    """How many times as long as the directions the moves are."""
    lengths = [in_rows(np.absolute(each)).max(axis=1, initial=0.0) for each in (moves, directions)]
    factor: FloatArray = lengths[0] / lengths[1]
    return factor
