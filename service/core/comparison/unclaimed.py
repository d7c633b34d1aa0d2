"""Figures that a run does not give and that explain one that it does: the mistake was made on the way.

∂F/∂o is affine in ∂F/∂u, so that what a wrong ∂F/∂o asks of an unrecorded ∂F/∂u is solved for. A value is not affine in
the values before it: there each mistake at u is tried, and what follows from it at o compared.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from service.core.comparison.replay import sweep_gradients
from service.core.comparison.verdicts import Comparison, Phase
from service.core.execution.chain_rule import value_at
from service.core.figures.figures import FloatArray
from service.core.graph.traversal import ancestors, nodes_between

# Nodes of a graph, unrecorded figures that are tried, elements of one, and of all values together.
_MOST_STEPS = 30  # of the secant method
_MOST_NODES, _MOST_TRIED, _MOST_ELEMENTS, _MOST_IN_ALL = 64, 6, 12, 10_000


def unrecorded(found: Comparison, phase: Phase, position: int) -> list[int]:
    """The nodes on the way to a figure whose own figures the run does not give, the nearest first; few in few."""
    graph, recorded = found.candidate.graph, phase.candidate.present
    if recorded is None or len(graph) > _MOST_NODES or found.values.flat.size > _MOST_IN_ALL:
        return []
    if phase.name == "forward":
        before = np.flatnonzero(ancestors(graph, [position])[:position])[::-1].tolist()
        return [each for each in before if not recorded[each] and graph.operands[each]][:_MOST_TRIED]
    backward = found.candidate.backward
    assert backward is not None
    later = nodes_between(graph, position, backward.output)[1:-1]
    return [each for each in later if not recorded[each] and graph.nodes[each].has_gradient][:_MOST_TRIED]


class Dependence(NamedTuple):
    """Every gradient as it depends on that of one node: `base` where that is 0, and what each of its elements adds."""

    base: Mapping[int, Any]
    slopes: Sequence[Mapping[int, Any]]
    shape: tuple[int, ...]

    def solve(self, position: int, figure: FloatArray, atol: float) -> FloatArray | None:
        """The node's gradient from which that figure at `position` follows, if it is one and one alone."""
        if figure.size < len(self.slopes):
            return None
        base = _at(self.base, position, figure)
        matrix = np.stack([(_at(each, position, figure) - base).ravel() for each in self.slopes], axis=1)
        wanted = (figure - base).ravel()
        if not (np.isfinite(matrix).all() and np.isfinite(wanted).all()):
            return None
        needed, _, rank, _ = np.linalg.lstsq(matrix, wanted, rcond=None)
        if rank < len(self.slopes) or np.abs(matrix @ needed - wanted).max() > atol + 1e-8 * np.abs(wanted).max():
            return None
        return np.asarray(needed.reshape(self.shape))

    def followed(self, gradient: FloatArray, position: int, like: FloatArray) -> tuple[FloatArray, bool]:
        """The gradient at `position` that follows from the node's, and whether it depends on that."""
        base = _at(self.base, position, like)
        moved = [_at(each, position, like) - base for each in self.slopes]
        total = np.asarray(sum((x * slope for x, slope in zip(gradient.ravel(), moved, strict=True)), base))
        return total, any(bool(np.any(slope)) for slope in moved)


def dependence(found: Comparison, phase: Phase, place: int) -> Dependence | None:
    """How the gradients depend on that of the node at `place`; None where it has too many elements."""
    shape = phase.expected.shape(place)
    count = prod(shape)
    if not 0 < count <= (_MOST_ELEMENTS if len(found.candidate.graph) <= _MOST_NODES else 1):
        return None
    with np.errstate(all="ignore"):
        base = _with_gradient(found, place, np.zeros(shape))
        slopes = [_with_gradient(found, place, unit) for unit in np.eye(count).reshape(count, *shape)]
    return Dependence(base, slopes, shape)


def _with_gradient(found: Comparison, place: int, gradient: FloatArray) -> Mapping[int, Any]:
    """The gradients as they follow from the run's own and this one."""
    backward, values = found.candidate.backward, found.values
    assert backward is not None

    def settle(position: int, replayed: Any) -> Any:
        given = gradient if position == place else backward.gradients[position]
        return replayed if given is None else given

    seed = np.zeros(values.shape(found.candidate.graph.position[backward.output])) + backward.seed
    return sweep_gradients(found.candidate.graph, list(values), backward.output, seed, settle)


def _at(gradients: Mapping[int, Any], position: int, like: FloatArray) -> FloatArray:
    return np.asarray(np.zeros(like.shape) + gradients.get(position, 0.0))


def needed_value(found: Comparison, place: int, position: int, figure: float, atol: float) -> FloatArray | None:
    """The number at `place` from which that one at `position` follows, if the secant method finds it from the right
    one."""
    start = _number(found.values[place])
    before, now = start, start + 1e-3 * max(1.0, abs(start))
    errors = [_number(with_value(found, place, np.asarray(x), position)) - figure for x in (before, now)]
    for _ in range(_MOST_STEPS):
        if abs(errors[1]) <= atol + 1e-12 * abs(figure):
            return np.asarray(now)
        rise = errors[1] - errors[0]
        if not np.isfinite(rise) or rise == 0.0:
            return None
        before, now = now, now - errors[1] * (now - before) / rise
        errors = [errors[1], _number(with_value(found, place, np.asarray(now), position)) - figure]
    return None


def _number(figure: Any) -> float:
    return float(np.asarray(figure))


def with_value(found: Comparison, place: int, value: FloatArray, position: int) -> FloatArray:
    """The value at `position` as it follows from the run's own values and another one at `place`, before it."""
    graph, phase = found.candidate.graph, found.forward
    assert phase is not None
    values: dict[int, Any] = {place: value}
    on_the_way = ancestors(graph, [position])
    for later in range(place + 1, position + 1):
        recorded = later != position and found.candidate.values[later] is not None
        if on_the_way[later] and not recorded and not values.keys().isdisjoint(graph.operands[later]):
            operands = [values.get(source, found.values[source]) for source in graph.operands[later]]
            values[later] = value_at(graph, later, operands)
    return np.asarray(values.get(position, phase.expected[position]), dtype=np.float64)
