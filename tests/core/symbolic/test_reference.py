"""The rulebook's page: each entry is made by applying the rule to symbols."""

import pytest

from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import find, operations
from service.core.symbolic.reference import Entry, RuleFormula, describe


def entry_of(name: str) -> Entry:
    """The entry of one operation."""
    operation = find(name)
    assert operation is not None
    return describe(operation)


def test_the_entry_of_an_operation() -> None:
    tanh = entry_of("Tanh")
    assert tanh.operands == ("x",)
    assert tanh.rule == RuleFormula("tanh(x)", r"\tanh\left(x\right)")
    assert tanh.local_gradients == (RuleFormula("sech(x) ^ 2", r"\operatorname{sech}\left(x\right)^{2}"),)
    assert tanh.nondifferentiable is None


def test_attributes_stand_by_name() -> None:
    relu = entry_of("LeakyRelu")
    assert relu.rule == RuleFormula(
        "where(x > 0, x, alpha * x)",
        r"\begin{cases} x & \text{if } x > 0 \\ \mathrm{alpha} \cdot x & \text{otherwise} \end{cases}",
    )
    assert relu.nondifferentiable is not None
    assert relu.nondifferentiable.text == "and(x == 0, alpha != 1)"


def test_an_operation_of_any_number_of_operands_is_shown_with_two() -> None:
    mean = entry_of("Mean")
    assert mean.operands == ("x1", "x2")
    assert mean.rule == RuleFormula("(x1 + x2) / 2", r"\frac{x_{1} + x_{2}}{2}")
    assert mean.local_gradients == (RuleFormula("0.5", "0.5"),) * 2


@pytest.mark.parametrize("name", ["Input", "Constant"])
def test_what_is_given_has_no_formulas(name: str) -> None:
    entry = entry_of(name)
    assert (entry.operands, entry.rule, entry.local_gradients, entry.nondifferentiable) == ((), None, (), None)


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
def test_every_operation_has_an_entry(operation: Operation) -> None:
    entry = describe(operation)
    assert entry.operation is operation
    assert len(entry.operands) >= len(operation.operands)
    gradients = entry.contributions if operation.contributions else entry.local_gradients
    # The rule of Einsum is made from its equation.
    assert len(gradients) == (0 if operation.name == "Einsum" else len(entry.operands))
    assert not (entry.contributions and entry.local_gradients)
    assert (entry.rule is None) == (not operation.operands)
    assert (entry.nondifferentiable is None) == (operation.kinks is None)
