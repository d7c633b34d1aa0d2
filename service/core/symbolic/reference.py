"""The rulebook for readers: each formula comes from applying the rule to symbols; none is typed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.core.rulebook.operation import Operation
from service.core.symbolic.equation import Formula, equate, gradient_of, local_gradient_of
from service.core.symbolic.names import named
from service.core.symbolic.term import (
    NotSymbolic,
    Term,
    Variable,
    contribution_terms,
    local_gradient_terms,
    nondifferentiable_term,
    value_term,
)
from service.core.symbolic.textbook import has_textbook_form, textbook_gradients


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation's rule, and the condition under which no derivative exists.

    Its gradients by operand are local gradients where it is elementwise, else contributions: None for an operand to
    which no gradient flows, and none at all where they cannot be written as formulas. `conventions` holds those of each
    library that chooses otherwise where no derivative exists; `textbook` the local gradients as a textbook writes them
    where the rule, which avoids overflow and cancellation, is another.
    """

    operation: Operation
    operands: tuple[str, ...]
    rule: Formula | None
    local_gradients: tuple[Formula, ...]
    contributions: tuple[Formula | None, ...]
    nondifferentiable: Formula | None
    conventions: Mapping[str, tuple[Formula | None, ...]]
    textbook: tuple[Formula, ...] = ()

    @property
    def rule_equation(self) -> Formula | None:
        """z = the rule."""
        return self.rule and equate(_VALUE, self.rule.first)

    @property
    def gradient_equations(self) -> tuple[Formula, ...]:
        """For each operand ∂z/∂x = its local gradient or, if not elementwise, dL/dx = its contribution to that; without
        those to which no gradient flows."""
        locals_ = [local_gradient_of("z", name) for name in self.operands] if self.local_gradients else None
        subjects = locals_ or [gradient_of("L", name) for name in self.operands]
        pairs = zip(subjects, self.local_gradients or self.contributions, strict=False)
        return tuple(equate(subject, formula.first) for subject, formula in pairs if formula)


_VALUE = Variable("z")


def describe(operation: Operation) -> Entry:
    """Describe one operation; z stands for its value. One that takes any number of operands is shown with two."""
    operands = operation.operands
    if not operands:
        return Entry(operation, (), None, (), (), None, {})
    if operation.most_inputs is None:
        operands = tuple(f"{name}{number}" for name in operands for number in (1, 2))
    terms = [named(name) for name in operands]
    elementwise = operation.is_elementwise
    attributes = {
        attribute.name: named(attribute.name) if elementwise or attribute.required else attribute.default
        for attribute in operation.attributes
    }
    kink = nondifferentiable_term(operation, terms, _VALUE, attributes) if operation.kinks else None

    def gradients(operation: Operation) -> tuple[Formula | None, ...]:
        slopes: Sequence[Term | None]
        if elementwise:
            slopes = local_gradient_terms(operation, terms, _VALUE, attributes)
        else:
            upstream = Variable("upstream", r"\mathrm{upstream}")
            try:
                slopes = contribution_terms(operation, upstream, terms, _VALUE, attributes)
            except NotSymbolic:
                slopes = ()
        return tuple(None if slope is None else Formula(slope) for slope in slopes)

    formulas = gradients(operation)
    return Entry(
        operation,
        operands,
        Formula(value_term(operation, terms, attributes)),
        tuple(filter(None, formulas)) if elementwise else (),
        () if elementwise else formulas,
        Formula(kink) if kink else None,
        {library: gradients(operation.with_convention(library)) for library in operation.conventions},
        tuple(map(Formula, textbook_gradients(operation, terms, _VALUE))) if has_textbook_form(operation) else (),
    )
