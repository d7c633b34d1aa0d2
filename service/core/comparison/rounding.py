"""What rounding may do to a replayed figure, by the magnitudes of the terms that it is computed from.

A figure in float64 or float32 is computed in that precision throughout. One in bfloat16 or float16 is accumulated in
float32 and rounded once, and so is whatever a library keeps on the way: each contribution before they are summed, each
copy of a broadcast operand's, the sum whose logarithm is taken (`Rounding` in `rulebook/operation.py` says which).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.comparison.verdicts import ROUNDED_ONCE, UNIT_ROUNDOFF
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node
from service.core.rulebook.operation import Operation
from service.core.rulebook.primitives import sum_to_shape

# Toward their operands nothing is multiplied: each copy of the contribution is the upstream gradient itself.
_UNMULTIPLIED = ("sum", "difference")
# The spacing of the least numbers, to which whatever is below 2⁻¹⁴ is rounded; bfloat16's is that of float32, about 0.
_LEAST = {"float16": 2.0**-24}


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of Σ|terms| and Σ|upstream| in the bound on a replayed figure's rounding error.

    For figures that are rounded once, coarsely, also those of the figure itself, of the parts that were rounded before
    they were put together, and of the upstream gradient of a consumer whose slope may be computed from its rounded
    value; and the spacing of the least numbers.
    """

    terms: float
    upstream: float
    figure: float = 0.0
    part: float = 0.0
    slope: float = 0.0
    least: float = 0.0


def rounding_weights(dtype: str, rtol: float) -> Weights:
    """What rounding in that dtype allows a figure to differ from its replay."""
    roundoff = UNIT_ROUNDOFF[dtype]
    if dtype not in ROUNDED_ONCE:
        return Weights(max(rtol, 32 * roundoff), 16 * roundoff)
    within = UNIT_ROUNDOFF["float32"]
    least = _LEAST.get(dtype, 0.0)
    return Weights(32 * within, 16 * within, max(rtol, 2 * roundoff), 2 * roundoff, roundoff, least)


def finite_size(term: Any) -> FloatArray:
    """|term|, but 0 where a slope is infinite, as a square root's at 0: no bound follows from it."""
    size = np.abs(term)
    return np.where(np.isfinite(size), size, 0.0)


def rounding_of_figures(expected: FloatArray, weights: Weights) -> Any:
    """What coarse rounding of the figures themselves makes."""
    return weights.figure * finite_size(expected) + weights.least if weights.figure else 0.0


def rounding_of_parts(node: Node, operands: Sequence[Any], value: Any, weights: Weights) -> Any:
    """What coarse rounding on the way to a value makes."""
    kept = node.operation.rounding.kept
    if not weights.part or kept is None:
        return 0.0
    return weights.part * finite_size(kept(*node.operation.arguments(operands), value, *node.attributes.values()))


def rounding_of_contribution(
    operation: Operation, operand_index: int, contribution: Any, terms: Any, flow: Any, shared: Any, weights: Weights
) -> Any:
    """What coarse rounding of a contribution's parts, and of the value that its slope is computed from, makes.

    `terms` is its Σ|terms|, `flow` its Σ|upstream|; one that is not `shared` with others, the operand having no other
    consumer, is the gradient itself, the rounding of which is counted already.
    """
    size = finite_size(contribution)
    rule = operation.rule_name(operand_index) if operation.is_elementwise else ""
    whole = rule in _UNMULTIPLIED or (operation.linear and not operation.rounding.in_parts)
    if whole or (rule == "product" and np.all(terms <= size)):
        return weights.part * size * shared + weights.least
    slope = weights.slope * flow if operation.is_elementwise and len(operation.operands) == 1 else 0.0
    return weights.part * terms + weights.least + slope


def terms_of_value(node: Node, operands: Sequence[Any], value: FloatArray) -> Any:
    """Σ|local × input|; 0 where the operation cannot tell."""
    operation, attributes = node.operation, node.attributes
    if operation.rounding.value:
        return finite_size(operation.rounding.value(*operation.arguments(operands), value, *attributes.values()))
    if operation.linear:
        return operation.evaluate(_magnitudes(operation, operands), attributes)
    if not operation.is_elementwise:
        return 0.0
    slopes = operation.differentiate(operands, value, attributes)
    return sum(finite_size(local * operand) for local, operand in zip(slopes, operands, strict=True))


def terms_of_contributions(node: Node, upstream: Any, operands: Sequence[Any], value: Any) -> Sequence[Any]:
    """Σ|terms| of each contribution; 0 where the operation cannot tell.

    The contributions of a broadcast operand's copies are terms.
    """
    operation, attributes = node.operation, node.attributes
    if operation.rounding.contributions:
        given = operation.arguments(operands)
        return tuple(operation.rounding.contributions(upstream, *given, value, *attributes.values())[: len(operands)])
    if operation.linear:
        return operation.propagate(np.abs(upstream), _magnitudes(operation, operands), np.abs(value), attributes)
    if not operation.is_elementwise or all(np.shape(operand) == np.shape(value) for operand in operands):
        return (0.0,) * len(operands)
    slopes = operation.differentiate(operands, value, attributes)
    return [
        sum_to_shape(np.broadcast_to(np.abs(upstream * local), np.shape(value)), np.shape(operand))
        for local, operand in zip(slopes, operands, strict=True)
    ]


def _magnitudes(operation: Operation, operands: Sequence[Any]) -> list[Any]:
    """|operands|; indices are left as they are."""
    indices = (*operation.indices, *[False] * len(operands))
    return [operand if is_index else np.abs(operand) for operand, is_index in zip(operands, indices, strict=False)]


def spread(upstream: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Σ|upstream| over the elements that an operand was broadcast to; over all where the shapes are unrelated."""
    try:
        if np.broadcast_shapes(shape, upstream.shape) == upstream.shape:
            return np.asarray(sum_to_shape(upstream, shape))
    except ValueError:
        pass
    return np.broadcast_to(upstream.sum(), shape)
