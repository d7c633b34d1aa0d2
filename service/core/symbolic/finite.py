"""Which terms are finite whatever the graph's inputs are: a product with one of them is no 0 · ∞.

Inputs may be anything, or `ordinary`: finite, as a reader of a formula takes them to be.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from service.core.rulebook.operation import Attributes, Operation
from service.core.symbolic.term import Application, Literal, Term, Variable

# At these operands an operation that can leave the finite numbers does so: by overflow, at a pole, out of its domain.
_EXTREMES = (-1e300, -800.0, -1.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 800.0, 1e300)
_NOT_FINITE = (-np.inf, np.inf, np.nan)

# The product of a number below the first bound and any finite number, for which the second stands, is finite. The third
# stands for what is finite unless a product of large numbers overflows: a sine of it is taken to be finite.
_SMALL, _LARGE, _OVERFLOWING = 1e3, 1e300, 1e305

_Attributes = tuple[tuple[str, Any], ...]


class FiniteTerms:
    """Tells finite terms over inputs and over the variables that it was told the definitions of."""

    def __init__(self, *, ordinary_inputs: bool) -> None:
        self.ordinary_inputs = ordinary_inputs
        self._definitions: dict[int, Application] = {}  # by the id of a variable
        self._bounds: dict[int, float] = {}  # of the magnitude, by the id of a term; infinite where there is none

    def define(self, variable: Term, definition: Application) -> None:
        """Let a variable stand for an operation on terms."""
        self._definitions.setdefault(id(variable), definition)

    def definition(self, term: Term) -> Term:
        """What a variable stands for; the term itself if it is no such variable."""
        return self._definitions.get(id(term), term)

    def has(self, term: Term) -> bool:
        """Whether a term is finite, unless a sum overflows."""
        waiting = [term]
        while waiting:
            part = waiting[-1]
            meant = self.definition(part)
            operands = meant.operands if isinstance(meant, Application) else ()
            missing = [x for x in operands if id(x) not in self._bounds]
            if id(part) in self._bounds or not missing:
                waiting.pop()
                if id(part) not in self._bounds:
                    self._bounds[id(part)] = self._bound_of(meant)
            else:
                waiting.extend(missing)
        return self._bounds[id(term)] <= _LARGE

    def _bound_of(self, term: Term) -> float:
        if isinstance(term, Literal):
            return abs(term.value)
        if isinstance(term, Variable):
            return _LARGE if self.ordinary_inputs else np.inf
        attributes = dict(term.attributes)
        if term.operands:
            return self._bound(term.operation, term.operands, attributes)
        return float(np.max(np.abs(term.operation.evaluate((), attributes)), initial=0.0))

    def _bound(self, operation: Operation, operands: Sequence[Term], attributes: Attributes) -> float:
        bounds = [self._bounds[id(x)] for x in operands]
        largest = max([_LARGE, *(bound for bound in bounds if bound < np.inf)])
        if operation.name in ("ExpandTo", "ReshapeTo"):  # the other operand lends its shape alone
            return bounds[0]
        if not operation.is_elementwise:
            summed = bounds[:1] if operation.name == "SumTo" else bounds
            return max(_LARGE, *summed) if operation.linear else np.inf
        unbounded = [bound == np.inf for bound in bounds]
        if operation.fold:  # more than three operands are no other than three
            unbounded = sorted(unbounded, reverse=True)[:3]
        if operation.name == "Mul" and not any(unbounded):
            return largest if min(bounds) <= _SMALL else _OVERFLOWING
        at_extremes = _bound_at_extremes(operation, tuple(unbounded), tuple(attributes.items()))
        return largest if at_extremes == _LARGE else at_extremes


@cache
def _bound_at_extremes(operation: Operation, unbounded: tuple[bool, ...], attributes: _Attributes) -> float:
    """Bound an elementwise operation's value at operands of which some may be infinite or NaN."""
    operands = np.meshgrid(*[(*_EXTREMES, *_NOT_FINITE) if is_any else _EXTREMES for is_any in unbounded])
    with np.errstate(all="ignore"):
        greatest = np.max(np.abs(np.multiply(operation.evaluate(operands, dict(attributes)), 1.0)))
    return float(greatest) if greatest <= _SMALL else _LARGE if greatest < np.inf else np.inf
