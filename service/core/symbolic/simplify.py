"""Hash-consed terms, simplified as they are made: 0·x, 1·x, x + 0, double minus, folded constants, leading signs.

Where all intermediate values are finite, simplifying changes no value but the sign of a zero and, where it combines
quotients and powers for a reader, the rounding. Operands are simplified before the operation on them, and the number
of rules that follow from one another is bounded.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import operation_of
from service.core.symbolic.term import Application, Literal, Term, Variable, evaluation_order

_Rule: TypeAlias = Callable[["TermTable", Sequence[Any]], "Term | None"]

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
    """

    def __init__(self, *, for_reading: bool = False, keep_range: bool = False, keep_shapes: bool = False) -> None:
        self.for_reading = for_reading
        self.keep_range = keep_range
        self.keep_shapes = keep_shapes
        self._known: dict[Any, Term] = {}
        self._partial_shapes: dict[int, PartialShape] = {}
        self._depth = 0

    def __len__(self) -> int:
        return len(self._known)

    def literal(self, value: float) -> Term:
        """Return the term of a number."""
        made = Literal(float(value))
        return self._known.setdefault(repr(made.value), made)

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
        if self.keep_shapes:
            self._partial_shapes[id(known)] = self._infer_partial_shape(operation, operands, attributes)
        return self._known.setdefault(_key(operation, operands, attributes), known)

    def partial_shape(self, *terms: Term) -> PartialShape:
        """Return the shape to which these terms broadcast, as far as it is known."""
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
        if operands and operation.is_elementwise and all(isinstance(x, Literal) for x in operands):
            numbers = [np.float64(x.value) for x in operands if isinstance(x, Literal)]
            with np.errstate(all="ignore"):
                folded = float(operation.evaluate(numbers, dict(attributes)))
            return self.literal(folded) if np.isfinite(folded) else None
        rule = _RULES.get(operation.name)
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


# --- the rules: each returns a simpler term, or None ------------------------------------------------------------------


def _is(term: Term, number: float) -> bool:
    return isinstance(term, Literal) and term.value == number


def _operands(term: Term, name: str) -> tuple[Term, ...]:
    """Return the operands of an operation of that name; of any other term none."""
    return term.operands if isinstance(term, Application) and term.operation.name == name else ()


def _without_sign(terms: TermTable, term: Term) -> Term | None:
    """Return u for the term −u, else None."""
    if isinstance(term, Literal):
        return terms.literal(-term.value) if term.value < 0.0 else None
    return next(iter(_operands(term, "Neg")), None)


def _number(terms: TermTable, number: float, *operands: Term) -> Term | None:
    """Return a number in place of an operation on these operands, if they are scalars."""
    return None if terms.partial_shape(*operands) else terms.literal(number)


def _identity(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    return operands[0]


def _neg(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    (x,) = operands
    if difference := _operands(x, "Sub"):
        return terms.named("Sub", *reversed(difference))
    return _without_sign(terms, x)


def _add(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if _is(x, 0.0):
        return y
    if _is(y, 0.0):
        return x
    if positive := _without_sign(terms, y):
        return terms.named("Sub", x, positive)
    if positive := _without_sign(terms, x):
        return terms.named("Sub", y, positive)
    return terms.named("Mul", terms.literal(2.0), x) if x is y else None


def _sub(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if _is(y, 0.0):
        return x
    if _is(x, 0.0):
        return terms.named("Neg", y)
    if positive := _without_sign(terms, y):
        return terms.named("Add", x, positive)
    if positives := _operands(x, "Neg"):
        return terms.named("Neg", terms.named("Add", *positives, y))
    return None


def _mul(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if isinstance(y, Literal) and not isinstance(x, Literal):
        x, y = y, x
    if _is(x, 1.0):
        return y
    if _is(x, 0.0) and (zero := _number(terms, 0.0, y)):
        return zero
    for repeated, other in ((x, y), (y, x)):
        if (once := _operands(repeated, "ExpandTo")) and terms.partial_shape(repeated) <= terms.partial_shape(other):
            return terms.named("Mul", once[0], other)
    for factor, other in ((x, y), (y, x)):
        if positive := _without_sign(terms, factor):
            return terms.named("Neg", terms.named("Mul", *((positive, other) if factor is x else (other, positive))))
    if terms.for_reading and (drawn := _mul_for_reading(terms, x, y)):
        return drawn
    return terms.named("Mul", x, y) if y is operands[0] and x is not y else None


def _mul_for_reading(terms: TermTable, x: Term, y: Term) -> Term | None:
    if (quotient := _operands(y, "Div")) and (not terms.keep_range or _is(quotient[0], 1.0)):
        return terms.named("Div", terms.named("Mul", x, quotient[0]), quotient[1])
    if (quotient := _operands(x, "Div")) and (not terms.keep_range or _is(quotient[0], 1.0)):
        return terms.named("Div", terms.named("Mul", quotient[0], y), quotient[1])
    if isinstance(x, Literal) and (factors := _operands(y, "Mul")) and not _operands(factors[0], "Mul"):
        return terms.named("Mul", terms.named("Mul", x, factors[0]), factors[1])
    if (scaled := _operands(y, "Mul")) and isinstance(scaled[0], Literal):
        first, *rest = _operands(x, "Mul") or (x,)
        if not rest or isinstance(first, Literal):
            coefficient = terms.named("Mul", scaled[0], first)
            return terms.named("Mul", terms.named("Mul", coefficient, *rest) if rest else coefficient, scaled[1])
    for factor, choice in ((x, y), (y, x)):
        if (parts := _operands(choice, "Where")) and all(_is(part, 0.0) or _is(part, 1.0) for part in parts[1:]):
            return terms.named("Where", parts[0], *(factor if _is(part, 1.0) else part for part in parts[1:]))
    (base, exponent), (other, other_exponent) = _power(x), _power(y)
    if base is other and not isinstance(base, Literal):
        return terms.named("Pow", base, terms.literal(exponent + other_exponent))
    if (factors := _operands(x, "Mul")) and _power(factors[1])[0] is other and not terms.keep_range:
        return terms.named("Mul", factors[0], terms.named("Mul", factors[1], y))
    return None


def _power(term: Term) -> tuple[Term, float]:
    """Return base and exponent, where the exponent is a positive whole number; else the term and 1."""
    base, exponent = _operands(term, "Pow") or (term, None)
    if isinstance(exponent, Literal) and exponent.value >= 1.0 and exponent.value.is_integer():
        return base, exponent.value
    return term, 1.0


def _div(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if _is(y, 1.0):
        return x
    if _is(x, 0.0) and (zero := _number(terms, 0.0, y)):
        return zero
    if positive := _without_sign(terms, x):
        return terms.named("Neg", terms.named("Div", positive, y))
    if positive := _without_sign(terms, y):
        return terms.named("Neg", terms.named("Div", x, positive))
    if terms.for_reading and not terms.keep_range and (quotient := _operands(x, "Div")):
        return terms.named("Div", quotient[0], terms.named("Mul", quotient[1], y))
    return None


def _pow(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if _is(y, 1.0):
        return x
    return _number(terms, 1.0, x) if _is(y, 0.0) else None


def _and(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    if any(_is(x, 0.0) for x in operands):
        return _number(terms, 0.0, *operands)
    return operands[0] if operands[0] is operands[1] and _is_condition(operands[0]) else None


def _or(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    for x, y in (operands, reversed(operands)):
        if _is_condition(x) and (x is y or (_is(y, 0.0))):
            return x
    return None


def _not(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    (x,) = operands
    if (inner := _operands(x, "Not")) and _is_condition(inner[0]):
        return inner[0]
    return None


def _is_condition(term: Term) -> bool:
    """Whether a term is 0 or 1."""
    return isinstance(term, Application) and term.operation.name in _CONDITIONS


def _not_zero(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, y = operands
    return x if _is(y, 0.0) and _is_condition(x) else None


def _equal(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, y = operands
    return terms.named("Not", x) if _is(y, 0.0) and _is_condition(x) else None


def _abs(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    return operands[0] if _is_condition(operands[0]) else None


def complements(choice: Application, condition: Term) -> bool:
    """Whether a Where chooses 0 exactly where a condition holds."""
    chosen_if, then, otherwise = choice.operands
    return (_is(then, 0.0) and chosen_if is condition) or (
        _is(otherwise, 0.0) and any(inner is chosen_if for inner in _operands(condition, "Not"))
    )


def _where(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    condition, x, y = operands
    if x is y:
        return x if terms.partial_shape(condition) <= terms.partial_shape(x) else None
    if not isinstance(condition, Literal):
        return None
    chosen, dropped = (x, y) if condition.value else (y, x)
    return chosen if terms.partial_shape(dropped) <= terms.partial_shape(chosen) else None


def _sum_to(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, like = operands
    if terms.partial_shape(x) == terms.partial_shape(like):
        return x
    summed = _operands(x, "SumTo") if terms.for_reading else ()
    return terms.named("SumTo", summed[0], like) if summed else None


def _expand_to(terms: TermTable, operands: Sequence[Term]) -> Term | None:
    x, like = operands
    if terms.partial_shape(x) == terms.partial_shape(like):
        return x
    repeated = _operands(x, "ExpandTo")
    return terms.named("ExpandTo", repeated[0], like) if repeated else None


_CONDITIONS = frozenset({"Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not"})

_RULES: dict[str, _Rule] = {
    "Identity": _identity,
    "Neg": _neg,
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Pow": _pow,
    "And": _and,
    "Or": _or,
    "Not": _not,
    "Equal": _equal,
    "NotEqual": _not_zero,
    "Greater": _not_zero,
    "Abs": _abs,
    "Where": _where,
    "SumTo": _sum_to,
    "ExpandTo": _expand_to,
}
