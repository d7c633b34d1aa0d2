"""The rulebook's page: each entry is made by applying the rule to symbols."""

from xml.etree import ElementTree

import pytest

from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import find, operations
from service.core.symbolic.reference import Entry, describe


def entry_of(name: str) -> Entry:
    """The entry of one operation."""
    operation = find(name)
    assert operation is not None
    return describe(operation)


def test_the_entry_of_an_operation() -> None:
    tanh = entry_of("Tanh")
    assert tanh.operands == ("x",)
    assert tanh.rule and (tanh.rule.text, tanh.rule.latex) == ("tanh(x)", r"\tanh\left(x\right)")
    (slope,) = tanh.local_gradients
    assert (slope.text, slope.latex) == ("sech(x) ^ 2", r"\operatorname{sech}\left(x\right)^{2}")
    assert [form.plain for form in tanh.textbook] == ["1 − z²"]
    assert tanh.rule_equation and tanh.rule_equation.plain == "z = tanh(x)"
    assert [line.plain for line in tanh.gradient_equations] == ["∂z/∂x = sech(x)²"]
    assert tanh.nondifferentiable is None


def test_attributes_stand_by_name() -> None:
    relu = entry_of("LeakyRelu")
    assert relu.rule
    assert relu.rule.text == "where(x > 0, x, alpha * x)"
    assert relu.rule.latex == r"\begin{cases} x & \text{if } x > 0 \\ \alpha \cdot x & \text{otherwise} \end{cases}"
    assert "<mo>{</mo><mtable>" in relu.rule.mathml and "<mi>α</mi>" in relu.rule.mathml
    assert relu.nondifferentiable is not None
    assert relu.nondifferentiable.text == "and(x == 0, alpha != 1)"


def test_an_operation_of_any_number_of_operands_is_shown_with_two() -> None:
    mean = entry_of("Mean")
    assert mean.operands == ("x1", "x2")
    assert mean.rule and (mean.rule.text, mean.rule.latex) == ("(x1 + x2) / 2", r"\frac{x_{1} + x_{2}}{2}")
    assert [slope.text for slope in mean.local_gradients] == ["0.5", "0.5"]


def test_the_gradients_of_a_tensor_operation_are_contributions() -> None:
    product, gather = entry_of("MatMul"), entry_of("Gather")
    assert [line.latex for line in product.gradient_equations] == [
        r"\frac{d L}{d x} = \mathrm{upstream} \, y^{\top}",
        r"\frac{d L}{d y} = x^{\top} \, \mathrm{upstream}",
    ]
    assert len(gather.gradient_equations) == 1  # none flows to the indices


@pytest.mark.parametrize("name", ["Input", "Constant"])
def test_what_is_given_has_no_formulas(name: str) -> None:
    entry = entry_of(name)
    assert (entry.operands, entry.rule, entry.local_gradients, entry.nondifferentiable) == ((), None, (), None)
    assert (entry.rule_equation, entry.gradient_equations) == (None, ())


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
def test_every_operation_has_an_entry(operation: Operation) -> None:
    entry = describe(operation)
    assert entry.operation is operation
    for formula in filter(None, (entry.rule, *entry.local_gradients, *entry.contributions, entry.nondifferentiable)):
        ElementTree.fromstring(f"<math>{formula.mathml}</math>")
    assert len(entry.operands) >= len(operation.operands)
    gradients = entry.contributions if operation.contributions else entry.local_gradients
    # The rule of Einsum is made from its equation.
    assert len(gradients) == (0 if operation.name == "Einsum" else len(entry.operands))
    assert not (entry.contributions and entry.local_gradients)
    assert (entry.rule is None) == (not operation.operands)
    assert (entry.nondifferentiable is None) == (operation.kinks is None)
