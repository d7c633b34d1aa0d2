"""Which terms are never −0: where x is none, x + 0 is x to the last bit, and so is what is divided by it."""

import math
from functools import cache
from typing import Any

import numpy as np

from service.core.rulebook.operation import Operation
from service.core.symbolic.finite import FiniteTerms
from service.core.symbolic.term import Application, Literal, Term

_OPERANDS = (-np.inf, -1e300, -1.0, -1e-300, -5e-324, -0.0, 0.0, 5e-324, 1e-300, 1.0, 1e300, np.inf)

# How deep a term is looked into.
_DEEPEST = 8


def is_never_negative_zero(term: Term, finite: FiniteTerms, depth: int = _DEEPEST) -> bool:
    """Whether a term is −0 at no inputs, as far as a look at a few of its operations tells."""
    meant = finite.definition(term)
    if isinstance(meant, Literal):
        return meant.value != 0.0 or math.copysign(1.0, meant.value) > 0.0
    if not isinstance(meant, Application):
        return finite.ordinary_inputs
    if depth == 0 or not meant.operands:
        return False

    def never(operand: Term) -> bool:
        return is_never_negative_zero(operand, finite, depth - 1)

    first, *others = meant.operands
    match meant.operation.name:
        case "Add":  # −0 is the sum of two
            return any(map(never, meant.operands))
        case "Sub":  # −0 is −0 − 0 alone
            return never(first) or (isinstance(others[0], Literal) and others[0].value != 0.0)
        case "Mul":
            return first is others[0]
        case "Pow" if isinstance(others[0], Literal):
            return others[0].value % 2.0 == 0.0
        case "Sqrt" | "Identity" | "ExpandTo" | "ReshapeTo":
            return never(first)
        case "Where":
            return all(map(never, others))
    return _has_no_sign(meant.operation, meant.attributes) if meant.operation.is_elementwise and not others else False


@cache
def _has_no_sign(operation: Operation, attributes: tuple[tuple[str, Any], ...]) -> bool:
    """Whether an elementwise operation of one operand is never below +0."""
    with np.errstate(all="ignore"):
        values = np.multiply(operation.evaluate([np.array(_OPERANDS)], dict(attributes)), 1.0)
    return not (np.signbit(values) & ~np.isnan(values)).any()
