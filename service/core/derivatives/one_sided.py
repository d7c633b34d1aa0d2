"""One-sided derivatives: what an operation does on each side of a point at which it has no derivative."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node

# One step of a float64 moves a continuous operation less than this part of its value, even where it is steepest in the
# rulebook: √ε ≈ 1.5e−8 at the ends of asin and acosh.
_JUMP = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class OneSided:
    """The derivatives by one operand from below and from above, of the value's shape; NaN where it is undefined."""

    operand: str
    left: FloatArray
    right: FloatArray


def one_sided_derivatives(node: Node, operands: Sequence[FloatArray], value: FloatArray) -> tuple[OneSided, ...]:
    """The limits of the difference quotient from both sides by each operand, the others held where they are.

    Read from the rule at the nearest number on that side: its slope there; an infinity where the value jumps, or where
    the slope grows without bound towards the point. None are known of an operation that is not elementwise.
    """
    if not node.operation.is_elementwise:
        return ()
    with np.errstate(all="ignore"):
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
