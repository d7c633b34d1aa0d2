"""The rules by which a term is simplified, by operation: 0·x, 1·x, x + 0, double minus, leading signs, choices.

Each returns a simpler term, or None. Where a table has `finite`, infinities, NaN and the signs of zeros stay as they
are, but for the sign of the 0 that a choice puts in place of a product.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from service.core.symbolic.term import Application, Literal, Term
from service.core.symbolic.zeros import is_never_negative_zero

if TYPE_CHECKING:
    from service.core.symbolic.simplify import TermTable

_Rule: TypeAlias = Callable[["TermTable", Sequence[Any]], "Term | None"]


def _is(term: Term, number: float) -> bool:
    return isinstance(term, Literal) and term.value == number


def _operands(term: Term, name: str) -> tuple[Term, ...]:
    """Return the operands of an operation of that name; of any other term none."""
    return term.operands if isinstance(term, Application) and term.operation.name == name else ()


def _without_sign(terms: "TermTable", term: Term) -> Term | None:
    """Return u for the term −u, else None."""
    if isinstance(term, Literal):
        return terms.literal(-term.value) if term.value < 0.0 else None
    negated = _operands(term, "Neg")
    return negated[0] if negated else None


def _number(terms: "TermTable", number: float, *operands: Term) -> Term | None:
    """Return a number in place of an operation on these operands, if they are scalars."""
    return None if terms.partial_shape(*operands) else terms.literal(number)


def _identity(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    return operands[0]


def _keeps_sign(terms: "TermTable", term: Term) -> bool:
    """Whether adding 0 leaves the sign of a term as it is."""
    return terms.finite is None or is_never_negative_zero(term, terms.finite)


def _neg(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    (x,) = operands
    if (difference := _operands(x, "Sub")) and terms.finite is None:  # −(x − x) is −0
        return terms.named("Sub", *reversed(difference))
    return _without_sign(terms, x)


def _add(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, y = operands
    for zero, other in ((x, y), (y, x)):
        if _is(zero, 0.0) and _keeps_sign(terms, other):
            return other
    if positive := _without_sign(terms, y):
        return terms.named("Sub", x, positive)
    if positive := _without_sign(terms, x):
        return terms.named("Sub", y, positive)
    return terms.named("Mul", terms.literal(2.0), x) if x is y else None


def _sub(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if _is(y, 0.0):
        return x
    if _is(x, 0.0) and terms.finite is None:
        return terms.named("Neg", y)
    if positive := _without_sign(terms, y):
        return terms.named("Add", x, positive)
    if (positives := _operands(x, "Neg")) and terms.finite is None:
        return terms.named("Neg", terms.named("Add", *positives, y))
    return None


def _mul(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if isinstance(y, Literal) and not isinstance(x, Literal):
        x, y = y, x
    if _is(x, 1.0):
        return y
    if _is(x, 0.0) and terms.finite is None and (zero := _number(terms, 0.0, y)):
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


def _mul_for_reading(terms: "TermTable", x: Term, y: Term) -> Term | None:
    if (quotient := _operands(y, "Div")) and (not terms.keep_range or _is(quotient[0], 1.0)):
        return terms.named("Div", terms.named("Mul", x, quotient[0]), quotient[1])
    if (quotient := _operands(x, "Div")) and (not terms.keep_range or _is(quotient[0], 1.0)):
        return terms.named("Div", terms.named("Mul", quotient[0], y), quotient[1])
    if _is_factor(terms, x) and (factors := _operands(y, "Mul")) and not _operands(factors[0], "Mul"):
        return terms.named("Mul", terms.named("Mul", x, factors[0]), factors[1])
    if (scaled := _operands(y, "Mul")) and _is_factor(terms, scaled[0]):
        first, *rest = _operands(x, "Mul") or (x,)
        if not rest or _is_factor(terms, first):
            coefficient = terms.named("Mul", scaled[0], first)
            return terms.named("Mul", terms.named("Mul", coefficient, *rest) if rest else coefficient, scaled[1])
    for factor, choice in ((x, y), (y, x)):
        parts = _operands(choice, "Where") if terms.finite is None or terms.finite.has(factor) else ()
        if parts and all(_is(part, 0.0) or _is(part, 1.0) for part in parts[1:]):
            return terms.named("Where", parts[0], *(factor if _is(part, 1.0) else part for part in parts[1:]))
    (base, exponent), (other, other_exponent) = _power(x), _power(y)
    if base is other and not isinstance(base, Literal):
        return terms.named("Pow", base, terms.literal(exponent + other_exponent))
    if (factors := _operands(x, "Mul")) and _power(factors[1])[0] is other and not terms.keep_range:
        return terms.named("Mul", factors[0], terms.named("Mul", factors[1], y))
    return None


def _is_factor(terms: "TermTable", term: Term) -> bool:
    """Whether a term is a number by which factors may be multiplied in any order."""
    return isinstance(term, Literal) and (terms.finite is None or 0.0 < abs(term.value) < math.inf)


def _power(term: Term) -> tuple[Term, float]:
    """Return base and exponent, where the exponent is a positive whole number; else the term and 1."""
    base, exponent = _operands(term, "Pow") or (term, None)
    if isinstance(exponent, Literal) and exponent.value >= 1.0 and exponent.value.is_integer():
        return base, exponent.value
    return term, 1.0


def _div(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if _is(y, 1.0):
        return x
    if _is(x, 0.0) and terms.finite is None and (zero := _number(terms, 0.0, y)):
        return zero
    if positive := _without_sign(terms, x):
        return terms.named("Neg", terms.named("Div", positive, y))
    if positive := _without_sign(terms, y):
        return terms.named("Neg", terms.named("Div", x, positive))
    if terms.for_reading and not terms.keep_range and (quotient := _operands(x, "Div")):
        return terms.named("Div", quotient[0], terms.named("Mul", quotient[1], y))
    return None


def _pow(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if _is(y, 1.0):
        return x
    return _number(terms, 1.0, x) if _is(y, 0.0) else None


def _and(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    if any(_is(x, 0.0) for x in operands):
        return _number(terms, 0.0, *operands)
    return operands[0] if operands[0] is operands[1] and _is_condition(operands[0]) else None


def _or(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    for x, y in (operands, reversed(operands)):
        if _is_condition(x) and (x is y or (_is(y, 0.0))):
            return x
    return None


def _not(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    (x,) = operands
    if (inner := _operands(x, "Not")) and _is_condition(inner[0]):
        return inner[0]
    return None


def _is_condition(term: Term) -> bool:
    """Whether a term is 0 or 1."""
    return isinstance(term, Application) and term.operation.name in _CONDITIONS


def _not_zero(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, y = operands
    return x if _is(y, 0.0) and _is_condition(x) else None


def _equal(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, y = operands
    if x is y and terms.finite is not None and terms.finite.has(x):  # no NaN
        return _number(terms, 1.0, x)
    return terms.named("Not", x) if _is(y, 0.0) and _is_condition(x) else None


def _abs(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    return operands[0] if _is_condition(operands[0]) else None


def complements(choice: Application, condition: Term) -> bool:
    """Whether a Where chooses 0 exactly where a condition holds."""
    chosen_if, then, otherwise = choice.operands
    return (_is(then, 0.0) and chosen_if is condition) or (
        _is(otherwise, 0.0) and any(inner is chosen_if for inner in _operands(condition, "Not"))
    )


def _where(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    condition, x, y = operands
    if x is y:
        return x if terms.partial_shape(condition) <= terms.partial_shape(x) else None
    if inner := _operands(condition, "Not"):
        return terms.named("Where", inner[0], y, x)
    if not isinstance(condition, Literal):
        return _where_nested(terms, condition, x, y)
    chosen, dropped = (x, y) if condition.value else (y, x)
    return chosen if terms.partial_shape(dropped) <= terms.partial_shape(chosen) else None


def _where_nested(terms: "TermTable", condition: Term, x: Term, y: Term) -> Term | None:
    """Choose once where a branch chooses by the same condition again."""
    kept, dropped = [x, y], []
    for index, branch in enumerate((x, y)):
        if (inner := _operands(branch, "Where")) and inner[0] is condition:
            kept[index], other = inner[1 + index], inner[2 - index]
            dropped.append(other)
    if not dropped or not terms.partial_shape(*dropped) <= terms.partial_shape(condition, *kept):
        return None
    return terms.named("Where", condition, *kept)


def _sum_to(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, like = operands
    if terms.partial_shape(x) == terms.partial_shape(like):
        return x
    summed = _operands(x, "SumTo") if terms.for_reading else ()
    return terms.named("SumTo", summed[0], like) if summed else None


def _expand_to(terms: "TermTable", operands: Sequence[Term]) -> Term | None:
    x, like = operands
    if terms.partial_shape(x) == terms.partial_shape(like):
        return x
    repeated = _operands(x, "ExpandTo")
    return terms.named("ExpandTo", repeated[0], like) if repeated else None


_CONDITIONS = frozenset({"Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not"})

SIMPLIFICATIONS: dict[str, _Rule] = {
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
