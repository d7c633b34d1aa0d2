"""The operations that are declared exact: of figures in a precision they make figures in that precision."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.rulebook.operation import Operation
from service.core.rulebook.operations.arithmetic import rounded_to
from service.core.rulebook.registry import operation_of, operations
from tests.elementwise import attribute_samples, operand_counts
from tests.examples import examples
from tests.tensors import samples

EXACT = [operation for operation in operations() if operation.rounding.exact]


def in_bfloat16(figure: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return rounded_to(np.asarray(figure, float), "bfloat16")


@pytest.mark.parametrize(
    "operation", [each for each in EXACT if each.is_elementwise], ids=lambda operation: operation.name
)
def test_what_is_made_of_rounded_figures_needs_no_rounding(operation: Operation) -> None:
    operands = in_bfloat16(np.random.default_rng(0).standard_normal((5, 1000)) * 10)
    for count in operand_counts(operation):
        for attributes in attribute_samples(operation):
            written = {name: in_bfloat16(value) for name, value in attributes.items()}
            value = np.asarray(operation.evaluate(operands[:count], written), float)
            assert np.array_equal(in_bfloat16(value), value)


@pytest.mark.parametrize(
    "operation", [each for each in EXACT if not each.is_elementwise], ids=lambda operation: operation.name
)
@settings(max_examples=examples(5))
@given(data=st.data())
def test_nor_does_what_moves_tensors(operation: Operation, data: st.DataObject) -> None:
    sample = data.draw(samples(operation))
    operands = [in_bfloat16(operand) for operand in sample.operands]
    value = np.asarray(operation.evaluate(operands, sample.attributes), float)
    assert np.array_equal(in_bfloat16(value), value)


def test_arithmetic_is_not_exact() -> None:
    for name in ("Add", "Mul", "MatMul", "ReduceSum", "Softmax", "LeakyRelu", "AveragePool", "ScatterElements"):
        assert not operation_of(name).rounding.exact
