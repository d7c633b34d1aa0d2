"""The rulebook to be read by people: every formula comes from applying the rule to symbols, none is typed."""

from dataclasses import dataclass

from service.core.operation import Operation
from service.core.symbol import (
    Term,
    Variable,
    local_gradient_terms,
    nondifferentiable_term,
    value_term,
)
from service.core.writing import write_latex, write_text


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula in the service's own expression language and in LaTeX."""

    text: str
    latex: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation's rule, its local gradients by operand, and the condition under which no derivative exists."""

    operation: Operation
    operands: tuple[str, ...]
    rule: Formula | None
    local_gradients: tuple[Formula, ...]
    nondifferentiable: Formula | None


def describe(operation: Operation) -> Entry:
    """The entry of one operation; z stands for its value. One of any number of operands is shown with two."""
    operands = tuple(f"{name}{number}" for name in operation.operands for number in (1, 2)) if operation.fold else None
    operands = operands or operation.operands
    if not operands:
        return Entry(operation, (), None, (), None)
    terms = [_variable(name) for name in operands]
    attributes = {attribute.name: _variable(attribute.name) for attribute in operation.attributes}
    value = Variable("z")
    kink = nondifferentiable_term(operation, terms, value, attributes) if operation.nondifferentiable else None
    return Entry(
        operation,
        operands,
        _formula(value_term(operation, terms, attributes)),
        tuple(_formula(term) for term in local_gradient_terms(operation, terms, value, attributes)),
        _formula(kink) if kink else None,
    )


def _variable(name: str) -> Variable:
    stem, number = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
    return Variable(name, f"{stem}_{{{number}}}" if number else rf"\mathrm{{{name}}}" if len(name) > 1 else name)


def _formula(term: Term) -> Formula:
    return Formula(write_text(term), write_latex(term))
