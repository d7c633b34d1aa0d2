"""Every operation that is not elementwise, read from the registry, against differences and over symbols."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.figures.figures import FloatArray
from service.core.rulebook.operation import Operation
from service.core.symbolic.term import Literal, Term, Variable, contribution_terms
from tests.examples import examples
from tests.tensors import (
    TENSOR_OPERATIONS,
    Sample,
    arrays,
    drawings,
    each_analytic_tensor_operation,
    each_tensor_operation,
    samples,
)

# Nothing flows back, though the value moves.
CUT = {"StopGradient"}


@pytest.fixture(autouse=True)
def _quiet_numpy() -> Iterator[None]:
    """Overflow and NaN are data: the passes ignore them too."""
    with np.errstate(all="ignore"):
        yield


def test_there_are_operands_for_every_operation() -> None:
    assert {operation.name for operation in TENSOR_OPERATIONS} == set(drawings())


def drawn(data: st.DataObject, operation: Operation) -> tuple[Sample, FloatArray, FloatArray]:
    """A sample, its value, and an upstream gradient."""
    sample = data.draw(samples(operation))
    value = np.asarray(sample.value)
    return sample, value, data.draw(arrays(value.shape))


@each_tensor_operation
@settings(max_examples=examples(30))
@given(data=st.data())
def test_contributions_are_central_differences(operation: Operation, data: st.DataObject) -> None:
    """d(Σ upstream · z)/dx, one element after the other; O(h⁴) by two steps extrapolated. Shapes are as inferred."""
    sample, value, upstream = drawn(data, operation)
    shapes = [operand.shape for operand in sample.operands]
    assert operation.infer_shape(shapes, sample.attributes) == value.shape
    contributions = operation.propagate(upstream, sample.operands, value, sample.attributes)
    assert [shape for shape, each in zip(shapes, contributions, strict=True) if each is not None] == [
        np.shape(each) for each in contributions if each is not None
    ]
    scale = 1.0 + np.abs(upstream).sum() * (1.0 + np.abs(value).max(initial=0.0))
    for position in sample.differentiable:
        operand, contribution = sample.operands[position], contributions[position]
        expected = np.zeros(operand.shape)
        for index in np.ndindex(operand.shape):
            differences = []
            for h in (1e-3, 5e-4):
                ends = []
                for step in (h, -h):
                    moved = operand.copy()
                    moved[index] += step
                    ends.append(np.sum(upstream * sample.moved(position, moved)))
                differences.append((ends[0] - ends[1]) / (2 * h))
            expected[index] = (4.0 * differences[1] - differences[0]) / 3.0 if operation.name not in CUT else 0.0
        shown = np.zeros(operand.shape) if contribution is None else contribution
        np.testing.assert_allclose(shown, expected, rtol=1e-8, atol=1e-9 * scale, err_msg=str(sample))


@pytest.mark.slow
@each_analytic_tensor_operation
@settings(max_examples=examples(20))
@given(data=st.data())
def test_contributions_are_complex_steps(operation: Operation, data: st.DataObject) -> None:
    """Im f(x + ih) / h, which takes no difference."""
    sample, value, upstream = drawn(data, operation)
    contributions = operation.propagate(upstream, sample.operands, value, sample.attributes)
    for position in sample.differentiable:
        operand, contribution = sample.operands[position], contributions[position]
        expected = np.zeros(operand.shape)
        for index in np.ndindex(operand.shape):
            moved = operand.astype(np.complex128)
            moved[index] += 1e-30j
            expected[index] = np.sum(upstream * np.imag(sample.moved(position, moved))) / 1e-30
        shown = np.zeros(operand.shape) if contribution is None else contribution
        np.testing.assert_allclose(shown, expected, rtol=1e-11, atol=1e-12, err_msg=str(sample))


# --- over symbols -------------------------------------------------------------------------------------------------


def evaluate_term(term: Term, figures: Mapping[str, FloatArray]) -> Any:
    """A term over arrays, by the operations in it."""
    if isinstance(term, Variable):
        return figures[term.name]
    if isinstance(term, Literal):
        return np.float64(term.value)
    return term.operation.evaluate([evaluate_term(x, figures) for x in term.operands], dict(term.attributes))


@each_tensor_operation
@settings(max_examples=examples(20))
@given(data=st.data())
def test_contributions_over_symbols_are_formulas_of_the_same_figures(operation: Operation, data: st.DataObject) -> None:
    sample, value, upstream = drawn(data, operation)
    names = [f"x{position}" for position in range(len(sample.operands))]
    variables = [Variable(name) for name in names]
    terms = contribution_terms(operation, Variable("u"), variables, Variable("z"), sample.attributes)
    figures = dict(zip(names, sample.operands, strict=True)) | {"u": upstream, "z": value}
    expected = operation.propagate(upstream, sample.operands, value, sample.attributes)
    for term, contribution in zip(terms, expected, strict=True):
        assert (term is None) == (contribution is None)
        if term is not None:
            np.testing.assert_allclose(evaluate_term(term, figures), contribution, rtol=1e-13, atol=1e-300)
