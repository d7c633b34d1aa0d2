"""The rulebook for readers: each formula comes from applying the rule to symbols; none is typed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.core.rulebook.operation import Operation
from service.core.symbolic.printing import write_latex, write_text
from service.core.symbolic.term import (
    NotSymbolic,
    Term,
    Variable,
    contribution_terms,
    local_gradient_terms,
    nondifferentiable_term,
    value_term,
)


@dataclass(frozen=True, slots=True)
class RuleFormula:
    """A formula of the rulebook in the expression language and in LaTeX."""

    text: str
    latex: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation's rule, and the condition under which no derivative exists.

    Its gradients by operand are local gradients where it is elementwise, else contributions: None for an operand to
    which no gradient flows, and none at all where they cannot be written as formulas. `conventions` holds those of each
    library that chooses otherwise where no derivative exists.
    """

    operation: Operation
    operands: tuple[str, ...]
    rule: RuleFormula | None
    local_gradients: tuple[RuleFormula, ...]
    contributions: tuple[RuleFormula | None, ...]
    nondifferentiable: RuleFormula | None
    conventions: Mapping[str, tuple[RuleFormula | None, ...]]


def describe(operation: Operation) -> Entry:
    """Describe one operation; z stands for its value. One that takes any number of operands is shown with two."""
    operands = operation.operands
    if not operands:
        return Entry(operation, (), None, (), (), None, {})
    if operation.most_inputs is None:
        operands = tuple(f"{name}{number}" for name in operands for number in (1, 2))
    terms = [_variable(name) for name in operands]
    elementwise = operation.is_elementwise
    attributes = {
        attribute.name: _variable(attribute.name) if elementwise or attribute.required else attribute.default
        for attribute in operation.attributes
    }
    value = Variable("z")
    kink = nondifferentiable_term(operation, terms, value, attributes) if operation.kinks else None

    def gradients(operation: Operation) -> tuple[RuleFormula | None, ...]:
        slopes: Sequence[Term | None]
        if elementwise:
            slopes = local_gradient_terms(operation, terms, value, attributes)
        else:
            upstream = Variable("upstream", r"\mathrm{upstream}")
            try:
                slopes = contribution_terms(operation, upstream, terms, value, attributes)
            except NotSymbolic:
                slopes = ()
        return tuple(None if slope is None else _formula(slope) for slope in slopes)

    formulas = gradients(operation)
    return Entry(
        operation,
        operands,
        _formula(value_term(operation, terms, attributes)),
        tuple(filter(None, formulas)) if elementwise else (),
        () if elementwise else formulas,
        _formula(kink) if kink else None,
        {library: gradients(operation.with_convention(library)) for library in operation.conventions},
    )


def _variable(name: str) -> Variable:
    stem, number = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
    return Variable(name, f"{stem}_{{{number}}}" if number else rf"\mathrm{{{name}}}" if len(name) > 1 else name)


def _formula(term: Term) -> RuleFormula:
    return RuleFormula(write_text(term), write_latex(term))
