"""What a slip yields, and what several of them need."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from service.core.comparison.evidence import Edge, Evidence
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node
from service.core.rulebook import registry
from service.core.rulebook.operation import NO_ATTRIBUTES, Operation
from service.core.symbolic.term import Term, Variable
from service.core.symbolic.textbook import evaluate_term, textbook_gradients

OF_ANGLES = ("Sin", "Cos", "Tan")
LOGARITHMS = {"10": math.log(10.0), "2": math.log(2.0)}
ANGLES = ("Asin", "Acos", "Atan", "Atan2")  # what these return

# The figure that a mistake would produce, and a sentence with the numbers.
Guesses: TypeAlias = Iterator[tuple[Any, str]]
Slip: TypeAlias = tuple[str, Callable[[Evidence], Guesses]]


def apply(node: Node, operands: Sequence[FloatArray]) -> FloatArray:
    """The node's operation on other operands."""
    return np.asarray(node.operation.evaluate(operands, node.attributes), dtype=np.float64)


def slope_term(edge: Edge) -> Term:
    """The local gradient of an edge in a textbook's form, in the variables 0, 1 … for the operands and z."""
    names = [Variable(str(place)) for place in range(len(edge.operands))]
    return textbook_gradients(edge.consumer.operation, names, Variable("z"), edge.consumer.attributes)[
        edge.operand_index
    ]


def slope(edge: Edge, operands: Sequence[FloatArray], value: FloatArray) -> FloatArray:
    """The local gradient of an edge at other operands and another value."""
    figures = {str(place): operand for place, operand in enumerate(operands)}
    return evaluate_term(slope_term(edge), {**figures, "z": value})


def taken(edge: Edge, figure: FloatArray) -> tuple[FloatArray, ...]:
    """The operands of an edge's consumer with another figure for the node's."""
    operands = list(edge.operands)
    operands[edge.operand_index] = figure
    return tuple(operands)


def unary_operations() -> tuple[Operation, ...]:
    """The operations of one number without attributes that have a slope: sin, exp, tanh …"""
    every = [each for each in registry.operations() if each.is_elementwise and len(each.operands) == 1]
    return tuple(each for each in every if not each.attributes and not each.fold and each.rules != ("step",))


def unary_slope(operation: Operation, x: FloatArray) -> FloatArray:
    """The derivative of such an operation."""
    value = np.asarray(operation.evaluate([x], NO_ATTRIBUTES), dtype=np.float64)
    return np.asarray(operation.differentiate([x], value, NO_ATTRIBUTES)[0], dtype=np.float64)


def function_name(operation: Operation) -> str:
    """The operation's name in a sentence."""
    if operation.name.startswith("Reduce"):
        return operation.name.removeprefix("Reduce").lower()
    spelled = [alias for alias in operation.aliases if "_" in alias.strip("_")]
    return [*spelled, *operation.aliases, operation.name][0]
