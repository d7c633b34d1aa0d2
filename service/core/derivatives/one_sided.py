"""One-sided derivatives: the slopes of an operation on both sides of a point where it has no derivative."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node

# A step to the next float64 changes a continuous operation by less than this fraction of its value, even where it is
# steepest in the rulebook: √ε ≈ 1.5e−8 at the ends of asin and acosh.
_JUMP = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class OneSided:
    """The derivatives by one operand from below and from above; NaN where undefined.

    Of an elementwise operation they have the value's shape. Of another they have the operand's: they are those of the
    sum of all elements of the value by each element of the operand alone.
    """

    operand: str
    left: FloatArray
    right: FloatArray


def one_sided_derivatives(node: Node, operands: Sequence[FloatArray], value: FloatArray) -> tuple[OneSided, ...]:
    """The limits of the difference quotient from both sides by each operand, the others held fixed.

    Of an elementwise operation each is the rule's slope at the neighbouring float64 on that side, or infinite where the
    value jumps, or where the slope grows without bound towards the point. Of another `Kinks.one_sided` gives them.
    Empty for an operation without kinks.
    """
    if node.operation.kinks is None:
        return ()
    with np.errstate(all="ignore"):
        if node.operation.kinks.one_sided:
            sides = node.operation.kinks.one_sided(*operands, value, *node.attributes.values())
            return tuple(
                OneSided(name, np.asarray(left, np.float64), np.asarray(right, np.float64))
                for name, (left, right) in zip(node.inputs, sides, strict=True)
            )
        slopes = node.operation.differentiate(operands, value, node.attributes)
        return tuple(
            OneSided(
                name,
                _derivative(node, operands, value, operand_index, slope, -1.0),
                _derivative(node, operands, value, operand_index, slope, 1.0),
            )
            for operand_index, (name, slope) in enumerate(zip(node.inputs, slopes, strict=True))
        )


def _derivative(
    node: Node, operands: Sequence[Any], value: Any, operand_index: int, slope: Any, side: float
) -> FloatArray:
    beside = [np.nextafter(x, side * np.inf) if position == operand_index else x for position, x in enumerate(operands)]
    moved = np.asarray(node.operation.evaluate(beside, node.attributes), dtype=np.float64)
    limit = node.operation.differentiate(beside, moved, node.attributes)[operand_index]
    limit = np.where(np.isinf(slope) & ~np.isnan(limit), slope, limit)
    step = moved - value
    jumps = np.abs(step) > _JUMP * np.maximum(1.0, np.abs(value))
    return np.where(jumps, np.sign(step) * side * np.inf, np.where(np.isnan(moved), np.nan, limit))
