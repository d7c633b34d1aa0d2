"""Hash-consed terms, simplified as they are made by the rules of `simplifications.py`.

Operands are simplified before the operation on them, and the number of rules that follow from one another is bounded.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import operation_of
from service.core.symbolic.finite import FiniteTerms
from service.core.symbolic.simplifications import SIMPLIFICATIONS
from service.core.symbolic.term import Application, Literal, Term, Variable, evaluation_order

# A shape as far as it is known: the set of shapes that broadcast to it. Its elements are shapes in figures, names of
# variables and ids of terms; a scalar's is empty. Equal partial shapes are equal shapes; the reverse need not hold.
PartialShape: TypeAlias = frozenset[Any]
SCALAR: PartialShape = frozenset()

# How many rules may follow from one another: in x/(y/(z/…)) there is no end to them.
_DEEPEST = 10


class TermTable:
    """A hash-consing table: equal terms are one object, so that a common sub-expression is kept once.

    With `for_reading`, factors and divisors are combined: −f/d/d becomes −f/d², which overflows sooner; if `keep_range`
    too, only where nothing then leaves float64's range sooner: x·(1/d) becomes x/d, and x·x becomes x². With
    `keep_shapes`, terms may stand for tensors: 0·x is then not simplified to 0, whose shape may differ from that of x,
    and a SumTo or ExpandTo that changes no shape is left out.

    Where all intermediate values are finite, simplifying changes no value but the sign of a zero and, for a reader, the
    rounding. With `finite`, which tells finite terms, that holds where some are not: 0·x, which may be 0 · ∞, and
    x + 0, which turns −0 into 0, are simplified only where that cannot be.
    """

    def __init__(
        self,
        *,
        for_reading: bool = False,
        keep_range: bool = False,
        keep_shapes: bool = False,
        finite: FiniteTerms | None = None,
    ) -> None:
        self.for_reading = for_reading
        self.keep_range = keep_range
        self.keep_shapes = keep_shapes
        self.finite = finite
        self._known: dict[Any, Term] = {}
        self._partial_shapes: dict[int, PartialShape] = {}
        self._depth = 0

    def __len__(self) -> int:
        return len(self._known)

    def literal(self, value: float) -> Term:
        """Return the term of a number."""
        value = float(value)
        key = repr(value)
        return self._known.get(key) or self._known.setdefault(key, Literal(value))

    def variable(self, variable: Variable) -> Term:
        """Return the term of a name."""
        made = self._known.setdefault(variable, variable)
        if self.keep_shapes:
            self._partial_shapes.setdefault(id(made), frozenset([variable.name]))
        return made

    def of(self, operation: Operation, operands: Sequence[Term], attributes: tuple[tuple[str, Any], ...] = ()) -> Term:
        """Apply an operation to terms of this table and simplify."""
        key = _key(operation, operands, attributes)
        made = self._known.get(key)
        if made is None:
            made = self._simplified(operation, operands, attributes)
            if made is None:
                made = Application(operation, tuple(operands), attributes)
                if self.finite is not None:
                    self.finite.has(made)  # its operands are known: asked later, all that lies before it is walked
                if self.keep_shapes:
                    self._partial_shapes[id(made)] = self._infer_partial_shape(operation, operands, attributes)
            self._known[key] = made
        return made

    def named(self, name: str, *operands: Term) -> Term:
        """Apply the operation of that name to terms of this table and simplify."""
        return self.of(operation_of(name), operands)

    def assign(
        self,
        variable: Variable,
        operation: Operation,
        operands: Sequence[Term],
        attributes: tuple[tuple[str, Any], ...] = (),
    ) -> Term:
        """Let a variable stand for an operation on these terms, unless one stands for it already; return that one."""
        known = self.variable(variable)
        if self.finite is not None:
            self.finite.define(known, Application(operation, tuple(operands), attributes))
        if self.keep_shapes:
            self._partial_shapes[id(known)] = self._infer_partial_shape(operation, operands, attributes)
        return self._known.setdefault(_key(operation, operands, attributes), known)

    def partial_shape(self, *terms: Term) -> PartialShape:
        """Return the shape to which these terms broadcast, as far as it is known."""
        if not self.keep_shapes:
            return SCALAR
        return reduce(frozenset.union, [self._partial_shapes.get(id(term), SCALAR) for term in terms], SCALAR)

    def set_partial_shape(self, term: Term, partial_shape: PartialShape) -> None:
        """Set the shape of a term that its operation alone does not show."""
        if self.keep_shapes and not isinstance(term, Literal):
            self._partial_shapes[id(term)] = partial_shape

    def add(self, *terms: Term) -> list[Term]:
        """Return terms of this table that equal the given ones."""
        made = self.substitute(evaluation_order(*terms), {})
        return [made[id(term)] for term in terms]

    def substitute(self, order: Sequence[Term], values: Mapping[str, Term]) -> Mapping[int, Term]:
        """Map the ids of given terms, each listed after its operands, to terms of this table.

        `values` are terms of this table that replace the variables of those names.
        """
        made: dict[int, Term] = {}
        for part in order:
            if isinstance(part, Application):
                operands = [made[id(operand)] for operand in part.operands]
                made[id(part)] = self.of(part.operation, operands, part.attributes)
            elif isinstance(part, Literal):
                made[id(part)] = self.literal(part.value)
            else:
                made[id(part)] = values.get(part.name) or self.variable(part)
        return made

    def _infer_partial_shape(
        self, operation: Operation, operands: Sequence[Term], attributes: tuple[tuple[str, Any], ...]
    ) -> PartialShape:
        if operation.name in ("ExpandTo", "SumTo", "ReshapeTo"):
            return self.partial_shape(operands[1])
        if not operation.is_elementwise:
            return frozenset([_key(operation, operands, attributes)])
        constant = np.shape(dict(attributes)["value"]) if not operands else ()
        return frozenset([constant]) if constant else self.partial_shape(*operands)

    def _simplified(
        self, operation: Operation, operands: Sequence[Term], attributes: tuple[tuple[str, Any], ...]
    ) -> Term | None:
        numbers = [x.value for x in operands if isinstance(x, Literal)]
        if numbers and len(numbers) == len(operands) and operation.is_elementwise:
            with np.errstate(all="ignore"):
                folded = float(operation.evaluate([*map(np.float64, numbers)], dict(attributes)))
            return self.literal(folded) if np.isfinite(folded) else None
        rule = SIMPLIFICATIONS.get(operation.name)
        if rule is None or self._depth == _DEEPEST:
            return None
        self._depth += 1
        simplified = rule(self, operands)
        self._depth -= 1
        return simplified


def simplify(term: Term) -> Term:
    """Simplify a term of scalars for a reader, combining quotients and powers."""
    return TermTable(for_reading=True).add(term)[0]


_COMMUTING = {"Add", "Mul"}  # x·y is y·x to the last bit


def _key(operation: Operation, operands: Sequence[Term], attributes: tuple[tuple[str, Any], ...]) -> Any:
    positions = sorted(map(id, operands)) if operation.name in _COMMUTING else map(id, operands)
    return operation.name, *positions, repr(attributes) if attributes else ""
