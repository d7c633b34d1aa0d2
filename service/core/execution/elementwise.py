"""Rules over arrays: elementwise ones block by block, so that what they hold on the way stays in the cache.

In blocks every operand is a number or has the shape of the value. Where one is broadcast otherwise, where the arrays
are small, and for a forward rule that is one function of NumPy's, the rule is applied to whole arrays.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.primitives import sum_to_shape
from service.core.rulebook.work import BLOCK, is_in_blocks


def evaluate(operation: Operation, operands: Sequence[Any], attributes: Attributes, dtype: Any) -> Any:
    """The value in that precision: a comparison yields booleans, and a condition is 0 or 1."""
    in_one = not operation.is_elementwise or isinstance(operation.forward, np.ufunc)
    shape = None if in_one else _shape_in_blocks(operands)
    if shape is None:
        value = operation.evaluate(operands, attributes)
        return value if value.dtype == dtype else value.astype(dtype)
    value, rows = np.empty(prod(shape), dtype), list(map(_row, operands))
    for block in _blocks(shape):
        value[block] = operation.evaluate(_parts(rows, block), attributes)
    return value.reshape(shape)


def contributions(
    operation: Operation,
    upstream: Any,
    operands: Sequence[Any],
    value: Any,
    attributes: Attributes,
    dtypes: Sequence[Any],
) -> list[Any]:
    """Upstream gradient × local gradient, summed to the operand's shape, for each operand; None where none is wanted.

    `dtypes` holds the operands' precisions, in which a product that needs no sum may be made, and None where no
    contribution is wanted.
    """
    wanted = [index for index, dtype in enumerate(dtypes) if dtype is not None]
    shape = _shape_in_blocks([*operands, value])
    if shape is not None:
        rows, flow = list(map(_row, (*operands, value))), np.reshape(upstream, -1)

        def slopes_in(block: slice) -> Sequence[Any]:
            *known, result = _parts(rows, block)
            found: Sequence[Any] = operation.differentiate(known, result, attributes)
            return found

        first = slopes_in(slice(BLOCK))
        if any(np.ndim(first[index]) for index in wanted):
            products: list[Any] = [None] * len(operands)
            for index in wanted:
                summed = not np.ndim(operands[index])
                products[index] = np.empty(len(flow), np.result_type(flow, first[index]) if summed else dtypes[index])
            for block in _blocks(shape):
                slopes = slopes_in(block)
                for index in wanted:
                    np.multiply(flow[block], slopes[index], out=products[index][block], casting="same_kind")
            return [
                None if product is None else sum_to_shape(product.reshape(shape), np.shape(operand))
                for product, operand in zip(products, operands, strict=True)
            ]
    upstream, slopes = np.asarray(upstream, order="C"), operation.differentiate(operands, value, attributes)
    return [
        None if dtype is None else sum_to_shape(_product(upstream, slope), np.shape(operand))
        for slope, operand, dtype in zip(slopes, operands, dtypes, strict=True)
    ]


def _product(upstream: Any, slope: Any) -> Any:
    """A local gradient that is the number 1, and no array of ones, is not multiplied by."""
    return upstream if type(slope) is float and slope == 1.0 else upstream * slope


def _shape_in_blocks(arrays: Sequence[Any]) -> Shape | None:
    """The shape of all that are no numbers; None where the rule is applied to whole arrays."""
    shapes = list(map(np.shape, arrays))
    return max(shapes, key=len) if is_in_blocks(shapes) else None


def _blocks(shape: Shape) -> Sequence[slice]:
    return [slice(start, start + BLOCK) for start in range(0, prod(shape), BLOCK)]


def _row(array: Any) -> Any:
    return array.reshape(-1) if np.ndim(array) else array


def _parts(rows: Sequence[Any], block: slice) -> list[Any]:
    return [row[block] if np.ndim(row) else row for row in rows]
