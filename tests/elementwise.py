"""The registry's elementwise operations, each as a test parameter, with operands and attributes to try."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

import service.core.rulebook.operations  # noqa: F401 (fills the registry)
from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.registry import operations
from tests.attributes import accepts

ELEMENTWISE = tuple(operation for operation in operations() if operation.local_gradients or operation.fold)
ANALYTIC = tuple(operation for operation in ELEMENTWISE if operation.analytic)

each_elementwise = pytest.mark.parametrize("operation", ELEMENTWISE, ids=lambda operation: operation.name)
each_analytic = pytest.mark.parametrize("operation", ANALYTIC, ids=lambda operation: operation.name)

# Shapes that broadcast with one another, and their common shape.
BROADCAST_SHAPES: tuple[Shape, ...] = ((), (1,), (3,), (2, 1), (1, 3), (2, 3))

# Operands keep this distance from the bounds of their domain.
MARGIN = 0.05

# Half of the interval around a point that must hold no kink, and the greatest second derivative within it.
NEIGHBOURHOOD = 1e-3
MOST_CURVED = 20.0

# Operands where textbook forms fail, and some where they do not.
EXTREMES = (-math.inf, -800.0, -1.0, -1e-20, -0.0, 0.0, 5e-324, 0.3, 1.0, 2.5, 745.0, 1e200, math.inf, math.nan)


def attribute_samples(operation: Operation) -> Iterator[Attributes]:
    """The operation's attributes: the defaults, other numbers, each of their words."""
    choices = [
        attribute.read.words if isinstance(attribute.read, OneOf) else _numbers(attribute)
        for attribute in operation.attributes
    ]
    for chosen in product(*choices):
        yield {attribute.name: value for attribute, value in zip(operation.attributes, chosen, strict=True)}


def _numbers(attribute: Attribute) -> list[Any]:
    """The default, and up to three others that the attribute accepts."""
    others = [attribute.read(value) for value in (0.3, 2.0, -0.5, 1) if accepts(attribute, value)]
    return [attribute.default, *others[:3]]


def domains(operation: Operation, count: int) -> Sequence[tuple[float, float]]:
    """The open interval of each of `count` operands; a fold's are all the same."""
    return operation.domain * count if operation.fold else operation.domain


def operand_counts(operation: Operation) -> tuple[int, ...]:
    """The numbers of operands to try."""
    return (1, 2, 3, 5) if operation.fold else (len(operation.operands),)


def is_smooth(operation: Operation, operands: Sequence[Any], attributes: Attributes) -> Any:
    """Whether, elementwise, no kink or jump lies within NEIGHBOURHOOD of the operands, judged by values alone.

    Along each operand the second difference of a smooth function is at most MOST_CURVED · h²; that of a kink is about
    h times the change of slope, and that of a jump is the jump.
    """
    value = np.asarray(operation.evaluate(operands, attributes), dtype=np.float64)
    smooth = np.isfinite(value) & ~np.asarray(operation.is_nondifferentiable(operands, value, attributes))
    if operation.name == "Mod":  # else many jumps lie there
        smooth = smooth & (np.abs(operands[1]) > 2.0 * NEIGHBOURHOOD)
    for position in range(len(operands)):
        above, below = (
            operation.evaluate([*operands[:position], operands[position] + step, *operands[position + 1 :]], attributes)
            for step in (NEIGHBOURHOOD, -NEIGHBOURHOOD)
        )
        bend = np.multiply(above, 1.0) - 2.0 * value + np.multiply(below, 1.0)
        smooth = smooth & (np.abs(bend) <= MOST_CURVED * NEIGHBOURHOOD**2)
    return smooth


def grid(count: int) -> list[tuple[float, ...]]:
    """All combinations of EXTREMES; of every other one for three operands."""
    return list(product(EXTREMES[:: 1 if count < 3 else 2], repeat=count))
