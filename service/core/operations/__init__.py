"""The rulebook: one operation, one block. Importing this package enters them all, in this order."""

from service.core.operations import (
    activation,
    arithmetic,
    comparison,
    exponential,
    like,
    reduction,
    scan,
    selection,
    shape,
    trigonometric,
    variadic,
)

__all__ = [
    "activation",
    "arithmetic",
    "comparison",
    "exponential",
    "like",
    "reduction",
    "scan",
    "selection",
    "shape",
    "trigonometric",
    "variadic",
]
