"""What rounding may do to a replayed figure, by the magnitudes of the terms that it is computed from.

A figure in float64 or float32 is computed in that precision throughout. One in bfloat16 or float16 is accumulated in
float32 and rounded once, and so is whatever a library keeps on the way: each contribution before they are summed, each
copy of a broadcast operand's, the sum whose logarithm is taken (`Rounding` in `rulebook/operation.py` says which).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node
from service.core.rounding.precision import LEAST, ROUNDED_ONCE, UNIT_ROUNDOFF
from service.core.rounding.terms import finite_size
from service.core.rulebook.operation import Operation
from service.core.rulebook.primitives import sum_to_shape

# Toward their operands nothing is multiplied: each copy of the contribution is the upstream gradient itself.
_UNMULTIPLIED = ("sum", "difference")


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
    least = LEAST.get(dtype, 0.0)
    return Weights(32 * within, 16 * within, max(rtol, 2 * roundoff), 2 * roundoff, roundoff, least)


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


def spread(upstream: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Σ|upstream| over the elements that an operand was broadcast to; over all where the shapes are unrelated."""
    try:
        if np.broadcast_shapes(shape, upstream.shape) == upstream.shape:
            return np.asarray(sum_to_shape(upstream, shape))
    except ValueError:
        pass
    return np.broadcast_to(upstream.sum(), shape)
