"""Which terms are finite whatever the graph's inputs are: a product with one of them is no 0 · ∞.

Inputs may be anything, or `ordinary`: finite, as a reader of a formula takes them to be.
"""

from functools import cache, lru_cache
from typing import Any

import numpy as np

from service.core.rulebook.operation import Operation
from service.core.symbolic.term import Application, Literal, Term, Variable

# At these operands an operation that can leave the finite numbers does so: by overflow, at a pole, out of its domain.
_EXTREMES = (-1e300, -800.0, -1.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 800.0, 1e300)
_NOT_FINITE = (-np.inf, np.inf, np.nan)

# The product of a number below the first bound and any finite number, for which the second stands, is finite. The third
# stands for what is finite unless a product of large numbers overflows: a sine of it is taken to be finite.
_SMALL, _LARGE, _OVERFLOWING = 1e3, 1e300, 1e305

_UNKNOWN = -1.0  # no bound of a magnitude
_MOST_BOUNDS = 10_000  # that are remembered

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
        bounds, waiting = self._bounds, [term]
        while waiting:
            part = waiting[-1]
            if id(part) in bounds:
                waiting.pop()
                continue
            meant = self._definitions.get(id(part), part)
            if not isinstance(meant, Application):
                bounds[id(part)] = self._bound_of(meant)
                continue
            known = tuple([bounds.get(id(x), _UNKNOWN) for x in meant.operands])
            if _UNKNOWN in known:
                waiting.extend([x for x in meant.operands if id(x) not in bounds])
            else:
                attributes = meant.attributes if meant.operation.is_elementwise or not known else ()
                bounds[id(part)] = _bound(meant.operation, known, attributes)
        return bounds[id(term)] <= _LARGE

    def _bound_of(self, term: Literal | Variable) -> float:
        if isinstance(term, Literal):
            return abs(term.value)
        return _LARGE if self.ordinary_inputs else np.inf


@lru_cache(_MOST_BOUNDS)
def _bound(operation: Operation, bounds: tuple[float, ...], attributes: _Attributes) -> float:
    """Bound an operation's value by the bounds of its operands."""
    if not bounds:
        return float(np.max(np.abs(operation.evaluate((), dict(attributes))), initial=0.0))
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
    at_extremes = _bound_at_extremes(operation, tuple(unbounded), attributes)
    return largest if at_extremes == _LARGE else at_extremes


@cache
def _bound_at_extremes(operation: Operation, unbounded: tuple[bool, ...], attributes: _Attributes) -> float:
    """Bound an elementwise operation's value at operands of which some may be infinite or NaN."""
    operands = np.meshgrid(*[(*_EXTREMES, *_NOT_FINITE) if is_any else _EXTREMES for is_any in unbounded])
    with np.errstate(all="ignore"):
        greatest = np.max(np.abs(np.multiply(operation.evaluate(operands, dict(attributes)), 1.0)))
    return float(greatest) if greatest <= _SMALL else _LARGE if greatest < np.inf else np.inf
