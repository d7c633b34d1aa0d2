"""The magnitudes of the terms that a figure is computed from: what rounding may do to it is measured by them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node
from service.core.rulebook.operation import Operation
from service.core.rulebook.primitives import sum_to_shape


def finite_size(term: Any) -> FloatArray:
    """|term|, but 0 where a slope is infinite, as a square root's at 0: no bound follows from it."""
    size = np.abs(term)
    return np.where(np.isfinite(size), size, 0.0)


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
