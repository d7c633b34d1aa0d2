"""What rounding every figure of a run to a precision may do to its output, from one backward pass.

A node's value z is off by ε when it is rounded, and the output then by its gradient times ε (to first order). With the
unit roundoff u of the precision, ε is likely u·(|z| + P) + w·|z|, and at most

    u·(|z| + P) + w·(|z| + T)

where P are the parts that a library rounds on the way (`Rounding.kept` in `rulebook/operation.py`), and w is the unit
roundoff in which z is computed: float32's where the precision is coarser. T is Σ|terms| of an operation that may sum,
which is not elementwise or takes any number of operands: so the sums inside a product of matrices are counted. Nothing
is rounded by an operation that is declared exact, nor in a Constant, and of an Input only what the precision has no
number for.

The greatest error is the sum of all |gradient|·ε. Roundings are about independent, so that the likely error is
√Σ(gradient·ε)²: more than two standard deviations, since a rounding is u·|z| at most and 0.4 of that as a rule.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from service.core.execution.chain_rule import contributions_at
from service.core.execution.groups import groups_of, is_grouped
from service.core.execution.run import Backward
from service.core.figures.figures import BoolArray, Figures, FloatArray, IntArray, euclidean_norm
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import walk_forward
from service.core.rounding.precision import LARGEST, LEAST, ROUNDED_ONCE, UNIT_ROUNDOFF
from service.core.rounding.terms import finite_size, terms_of_value
from service.core.rulebook.operation import Operation
from service.core.rulebook.operations.arithmetic import rounded_to

# An amplifier makes relative errors so many times greater, and so much of the likely error passes it.
_AMPLIFIES, _PASSES = 4.0, 0.5


@dataclass(frozen=True, eq=False)
class RoundingErrors:
    """What rounding to `dtype` may do to one number: `value`, the sum of seed × output.

    By position, `likely` and `greatest` are the absolute errors that the rounding of that node's figure alone makes in
    it. `arriving` is the likely error that reaches the output through the node if each of its operands is off by u + w
    of itself, `leaving` if its own value is. `overflowing` are the nodes with values beyond `dtype`'s largest number.
    """

    dtype: str
    value: float
    likely: FloatArray
    greatest: FloatArray
    arriving: FloatArray
    leaving: FloatArray
    overflowing: IntArray

    @cached_property
    def likely_error(self) -> float:
        """The likely absolute error of the value."""
        return euclidean_norm(self.likely)

    @cached_property
    def greatest_error(self) -> float:
        """The greatest absolute error of the value."""
        return float(self.greatest.sum())

    @cached_property
    def shares(self) -> FloatArray:
        """The part of each node in the square of the likely error; they sum to 1, or are all 0."""
        largest = self.likely.max(initial=0.0)
        with np.errstate(all="ignore"):
            squares = np.square(self.likely / largest) if largest else np.zeros(len(self.likely))
            return squares / squares.sum() if largest else squares

    @cached_property
    def amplification(self) -> FloatArray:
        """How many times greater the relative error of a node is than those that arrive; NaN where none does."""
        with np.errstate(all="ignore"):
            return np.where(self.arriving > 0.0, self.arriving / self.leaving, np.nan)

    @cached_property
    def worst_first(self) -> IntArray:
        """The nodes whose rounding makes an error, by falling likely error, NaN first."""
        made = np.flatnonzero(~(self.likely == 0.0) | ~(self.greatest == 0.0))
        return made[np.lexsort((-self.greatest[made], -self.likely[made], ~np.isnan(self.likely[made])))]

    @cached_property
    def amplifier(self) -> int | None:
        """The node that amplifies relative errors most, of those that at least half of the likely error passes; None
        where none makes them four times as great."""
        passed = (self.arriving >= _PASSES * self.likely_error) & (self.likely_error > 0.0)
        factors = np.where(passed, np.nan_to_num(self.amplification, nan=0.0, posinf=np.inf), 0.0)
        if not factors.size or not factors.max() >= _AMPLIFIES:
            return None
        return int(factors.argmax())

    def to_keep(self, bound: float) -> IntArray:
        """The fewest nodes without whose rounding the likely error is at most `bound`, the worst first."""
        order, unit = self.worst_first, self.likely.max(initial=0.0) or 1.0
        with np.errstate(all="ignore"):
            rest = unit * np.sqrt(np.cumsum(np.square(self.likely[order] / unit)[::-1])[::-1])
        return order[: int(np.count_nonzero(~(rest <= bound)))]


def rounding_errors(graph: Graph, values: Figures, backward: Backward, dtype: str) -> RoundingErrors:
    """Measure what rounding to `dtype` may do to the output of a backward pass; values and gradients are complete."""
    output = values[graph.position[backward.output]]
    assert output is not None
    with np.errstate(all="ignore"):
        carries = _carriers(graph, values, dtype)
        measure = _measure_scalars if values.shapes is None and is_grouped(graph) else _measure_tensors
        likely, greatest, arriving, leaving = measure(graph, values, backward.gradients, carries, dtype)
        value = float(np.sum(backward.seed * output))
    return RoundingErrors(dtype, value, likely, greatest, arriving, leaving, _overflowing(values, dtype))


def with_passed_on(graph: Graph, kept: IntArray, errors: RoundingErrors) -> IntArray:
    """The nodes that are kept in a finer precision, and those that only pass on what these give, an operation that is
    declared exact among them: what was not rounded before is rounded there."""
    chosen = set(kept.tolist())

    def visit(position: int, operands: list[bool]) -> bool:
        passes = any(operands) and graph.nodes[position].operation.rounding.exact
        return position in chosen or (passes and errors.leaving[position] != 0.0)

    return np.concatenate([kept, np.setdiff1d(np.flatnonzero(walk_forward(graph, visit)), kept)])


def _measure_scalars(
    graph: Graph, values: Figures, gradients: Figures, carries: BoolArray, dtype: str
) -> tuple[FloatArray, ...]:
    """The errors of each node, all nodes of one operation at once."""
    measured = np.zeros((4, len(graph)))
    for name in graph.inputs:
        position = graph.position[name]
        measured[:, position] = _of_input(gradients.flat[position], values.flat[position], dtype)
    for group in groups_of(graph):
        value, upstream = values.flat[group.nodes], gradients.flat[group.nodes]
        arriving = np.zeros(len(value))
        if not group.operation.rounding.exact:
            operands, terms = [values.flat[row] for row in group.operands], np.zeros(len(value))
            slopes = group.operation.differentiate(operands, value, group.attributes)
            for slope, operand, row in zip(slopes, operands, group.operands, strict=True):
                arriving = np.hypot(arriving, finite_size(upstream * slope * operand) * carries[row])
                terms += finite_size(slope * operand) if _sums(group.operation) else 0.0
            likely, greatest = _rounding(finite_size(value), 0.0, terms, dtype)
            measured[:2, group.nodes] = _moved(upstream, likely), _moved(upstream, greatest)
        measured[2, group.nodes] = _unit(dtype) * arriving
        measured[3, group.nodes] = _unit(dtype) * finite_size(upstream * value)
    return tuple(measured)


def _measure_tensors(
    graph: Graph, values: Figures, gradients: Figures, carries: BoolArray, dtype: str
) -> tuple[FloatArray, ...]:
    """The errors of each node, one after the other."""
    arrays: list[Any] = list(values)
    measured = np.zeros((4, len(graph)))
    for position, sources in enumerate(graph.operands):
        node, value, upstream = graph.nodes[position], arrays[position], gradients[position]
        if upstream is None or not node.has_gradient:
            continue
        if node.operation.is_input:
            measured[:, position] = _of_input(upstream, value, dtype)
            continue
        arriving = 0.0
        if not node.operation.rounding.exact:
            operands = [arrays[source] for source in sources]
            likely, greatest = _rounding(finite_size(value), *_parts_and_terms(node, operands, value), dtype)
            measured[0, position] = euclidean_norm(_moved(upstream, likely))
            measured[1, position] = np.sum(_moved(upstream, greatest))
            contributions = contributions_at(graph, position, upstream, operands, value)
            for source, contribution in zip(sources, contributions, strict=True):
                if contribution is not None and carries[source]:
                    arriving = math.hypot(arriving, euclidean_norm(finite_size(contribution * arrays[source])))
        measured[2, position] = _unit(dtype) * arriving
        measured[3, position] = _unit(dtype) * euclidean_norm(finite_size(upstream * value))
    return tuple(measured)


def _of_input(gradient: Any, value: Any, dtype: str) -> tuple[float, float, float, float]:
    """The errors of an Input, of which only what the precision has no number for is rounded."""
    moved = _moved(gradient, _rounded(finite_size(value), dtype) * _unrepresented(value, dtype))
    return (
        euclidean_norm(moved),
        float(np.sum(moved)),
        0.0,
        _unit(dtype) * euclidean_norm(finite_size(gradient * value)),
    )


def _rounding(size: Any, parts: Any, terms: Any, dtype: str) -> tuple[Any, Any]:
    """What rounding may do to values of these magnitudes: likely, and at most."""
    likely = _rounded(size, dtype) + UNIT_ROUNDOFF[dtype] * parts + _computing(dtype) * size
    return likely, likely + _computing(dtype) * terms


def _computing(dtype: str) -> float:
    """The unit roundoff in which values are computed before they are rounded."""
    return UNIT_ROUNDOFF["float32" if dtype in ROUNDED_ONCE else dtype]


def _unit(dtype: str) -> float:
    """By how much of itself a value is likely off."""
    return UNIT_ROUNDOFF[dtype] + _computing(dtype)


def _rounded(size: Any, dtype: str) -> Any:
    return np.maximum(UNIT_ROUNDOFF[dtype] * size, LEAST.get(dtype, 0.0) / 2 * (size > 0.0))


def _parts_and_terms(node: Node, operands: Sequence[Any], value: Any) -> tuple[Any, Any]:
    """The magnitudes of what is rounded on the way to a value, and of the terms of its sums."""
    operation, parts = node.operation, np.zeros(())
    if operation.rounding.kept is not None:
        given = operation.arguments(operands)
        parts = finite_size(operation.rounding.kept(*given, value, *node.attributes.values()))
    return parts, finite_size(terms_of_value(node, operands, value)) if _sums(operation) else 0.0


def _sums(operation: Operation) -> bool:
    """Whether sums may be rounded on the way to a value."""
    return not operation.is_elementwise or operation.fold is not None


def _moved(gradient: Any, error: Any) -> Any:
    """How far an error of a node's value moves the output; an infinite slope does not make one of none."""
    return np.where(error == 0.0, 0.0, np.abs(gradient) * error)


def _carriers(graph: Graph, values: Figures, dtype: str) -> BoolArray:
    """Which nodes are off at all: rounded themselves, or computed from one that is off."""

    def visit(position: int, operands: list[bool]) -> bool:
        operation = graph.nodes[position].operation
        if operation.is_input:
            return bool(np.any(_unrepresented(values[position], dtype)))
        return any(operands) or (bool(operands) and not operation.rounding.exact)

    return np.array(walk_forward(graph, visit), dtype=bool)


def _unrepresented(figure: Any, dtype: str) -> Any:
    """Which elements have no number of that precision."""
    return (rounded_to(figure, dtype) != figure) & np.isfinite(figure)


def _overflowing(values: Figures, dtype: str) -> IntArray:
    beyond = np.flatnonzero((np.abs(values.flat) > LARGEST[dtype]) & np.isfinite(values.flat))
    return np.unique(np.searchsorted(values.offsets, beyond, side="right") - 1)
