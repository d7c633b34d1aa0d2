"""Forward mode: dual numbers, values with their derivatives along some directions, to which any rule can be applied.

A `Dual` takes part in NumPy's functions as a symbol does: a forward rule gives a Jacobian-vector product, and a local
gradient, or a contribution, the derivative of a derivative.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from service.core.figures.figures import FloatArray
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation
from service.core.rulebook.registry import operation_of_function

# Of a local gradient and tangents.
Product: TypeAlias = Callable[[Any, FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Dual(NDArrayOperatorsMixin):
    """A value and its derivative along each direction: an array of shape (count, *the value's shape)."""

    primal: Any
    tangent: FloatArray

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        assert method == "__call__", "a rule calls NumPy's functions plainly"
        return _call(ufunc, operands, options)

    def __array_function__(self, called: Callable[..., Any], types: Any, operands: Any, options: Any) -> Any:
        return _call(called, operands, options)


def _call(called: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Apply the operation that a NumPy function stands for to duals."""
    found = operation_of_function(called)
    if found is None:
        raise TypeError(f"no operation stands for {called.__name__}")
    operation, reading = found
    operands, given = reading(*arguments, **options)
    attributes = {
        attribute.name: attribute.default
        if given.get(attribute.name) is None
        else attribute.read(given[attribute.name])
        for attribute in operation.attributes
    }
    return push(operation, operands, attributes)


def push(
    operation: Operation,
    operands: Sequence[Any],
    attributes: Attributes = NO_ATTRIBUTES,
    value: Any = None,
    multiply: Product | None = None,
) -> Any:
    """Evaluate an operation on operands of which some are duals; the result is a dual unless it does not vary.

    `value`, where known, saves computing it. `multiply` is the product of a local gradient and tangents.
    """
    values = [operand.primal if isinstance(operand, Dual) else operand for operand in operands]
    value = operation.evaluate(values, attributes) if value is None else value
    moving = {
        operand_index: operand.tangent for operand_index, operand in enumerate(operands) if isinstance(operand, Dual)
    }
    rule = _push_elementwise if operation.is_elementwise else _push_linear if operation.linear else _push_any
    along = rule(operation, values, value, attributes, moving, multiply or times)
    return value if along is None else Dual(value, along)


def times(local: Any, tangents: FloatArray) -> FloatArray:
    """Local gradient × tangent, in which 0 × ∞ is 0 within a rule: an operand that does not matter changes nothing."""
    product: FloatArray = local * tangents
    if np.isfinite(product).all():
        return product
    return np.where((np.asarray(local) == 0.0) | (tangents == 0.0), 0.0, product)


def align(tangents: Any, rank: int) -> Any:
    """Reshape tangents of shape (count, *shape) so that they broadcast with arrays of `rank` dimensions."""
    count, *shape = tangents.shape
    return tangents.reshape(count, *(1,) * (rank - len(shape)), *shape)


def _push_elementwise(
    operation: Operation,
    values: Sequence[Any],
    value: Any,
    attributes: Attributes,
    moving: Mapping[int, FloatArray],
    multiply: Product,
) -> FloatArray | None:
    locals_ = operation.differentiate(values, value, attributes)
    parts = [
        multiply(locals_[operand_index], align(tangents, np.ndim(value)))
        for operand_index, tangents in moving.items()
        if multiply is not times or not (isinstance(locals_[operand_index], float) and locals_[operand_index] == 0.0)
    ]
    if not parts:
        return None
    return np.broadcast_to(sum(parts[1:], parts[0]), (len(parts[0]), *np.shape(value)))


def _push_linear(
    operation: Operation,
    values: Sequence[Any],
    value: Any,
    attributes: Attributes,
    moving: Mapping[int, FloatArray],
    multiply: Product,
) -> FloatArray:
    """An operation that is linear in an operand, the others fixed, is its own derivative."""

    def evaluate(operand_index: int, operand: Any) -> Any:
        return operation.evaluate([*values[:operand_index], operand, *values[operand_index + 1 :]], attributes)

    count = len(next(iter(moving.values())))
    along = np.zeros((count, *np.shape(value)))
    for operand_index, tangents in moving.items():
        at_zero = evaluate(operand_index, np.zeros_like(tangents[0])) if count else 0.0
        if tangents.ndim == 1 and count > 1 and np.isfinite(tangents).all():  # of a number: its slope is one
            along += align(tangents, np.ndim(value)) * (evaluate(operand_index, np.ones(())) - at_zero)
            continue
        for row in range(count):
            along[row] += evaluate(operand_index, tangents[row]) - at_zero
    return along


def _push_any(
    operation: Operation,
    values: Sequence[Any],
    value: Any,
    attributes: Attributes,
    moving: Mapping[int, FloatArray],
    multiply: Product,
) -> FloatArray:
    """Multiply by the Jacobian row by row: one vector-Jacobian product for each element of the value."""
    count, size = len(next(iter(moving.values()))), np.size(value)
    along = np.zeros((count, size))
    for element in range(size):
        upstream = np.zeros(size)
        upstream[element] = 1.0
        rows = operation.propagate(upstream.reshape(np.shape(value)), values, value, attributes)
        if all(rows[operand_index] is None for operand_index in moving):
            break  # to none of them a gradient flows, from any element
        for operand_index, tangents in moving.items():
            if rows[operand_index] is not None:
                along[:, element] += multiply(rows[operand_index], tangents).sum(axis=tuple(range(1, tangents.ndim)))
    return along.reshape(count, *np.shape(value))
