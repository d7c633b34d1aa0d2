"""The rulebook, operation by operation, read from the registry: no list of operations stands here."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import mpmath
import numba
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import nnls

from service.core import kernel, operation
from service.core.expression import parse_expression
from service.core.figures import FloatArray
from service.core.graph import build_graph
from service.core.differentiation import forward_pass
from service.core.operation import NO_ATTRIBUTES, Attribute, Attributes, Operation, Rule, define, find, operations
from service.core.symbol import (
    Application,
    Literal,
    Term,
    Variable,
    local_gradient_terms,
    nondifferentiable_term,
    value_term,
    write_latex,
    write_text,
)
from tests.random_graphs import (
    ANALYTIC,
    BROADCAST_SHAPES,
    ELEMENTWISE,
    MARGIN,
    NEIGHBOURHOOD,
    attribute_samples,
    domains,
    is_smooth,
    operand_counts,
)

# Operands with a kink or a jump somewhere among them, and those where textbook forms fail.
KINKS = (-2.0, -1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 2.0)
EXTREMES = (-math.inf, -800.0, -1.0, -1e-20, -0.0, 0.0, 5e-324, 0.3, 1.0, 2.5, 745.0, 1e200, math.inf, math.nan)


def named(rulebook: Sequence[Operation]) -> Any:
    """One test for each operation, called by its name."""
    return pytest.mark.parametrize("rule", rulebook, ids=lambda rule: rule.name)


@st.composite
def samples(draw: st.DrawFn, rule: Operation) -> tuple[list[FloatArray], Attributes]:
    """Operands inside the domain, of shapes that broadcast, empty ones among them; and attributes."""
    count = draw(st.sampled_from(operand_counts(rule)))
    attributes = draw(st.sampled_from(list(attribute_samples(rule))))
    shapes = draw(
        st.one_of(
            st.lists(st.sampled_from(BROADCAST_SHAPES), min_size=count, max_size=count),
            st.lists(st.sampled_from([(0,), (1,), (2, 0)]), min_size=count, max_size=count),
        )
    )
    operands = []
    for shape, (low, high) in zip(shapes, domains(rule, count), strict=True):
        elements = st.floats(max(low + MARGIN, -4.0), min(high - MARGIN, 4.0))
        size = math.prod(shape)
        row = draw(st.lists(elements, min_size=size, max_size=size))
        operands.append(np.reshape(np.array(row, dtype=np.float64), shape))
    return operands, attributes


def replaced(operands: Sequence[Any], place: int, operand: Any) -> list[Any]:
    """The operands with one of them changed."""
    return [*operands[:place], operand, *operands[place + 1 :]]


def central_difference(
    rule: Operation, operands: Sequence[Any], place: int, attributes: Attributes, step: float = 1e-3
) -> Any:
    """The local gradient along one operand, by Richardson's extrapolation from three central differences: O(h⁶)."""

    def difference(h: float) -> Any:
        above, below = (
            np.multiply(rule.evaluate(replaced(operands, place, operands[place] + s), attributes), 1.0) for s in (h, -h)
        )
        return (above - below) / (2.0 * h)

    wide, middle, narrow = difference(step), difference(step / 2), difference(step / 4)
    return (64.0 * narrow - 20.0 * middle + wide) / 45.0


# --- against derivatives that are not ours ------------------------------------------------------------------------


@named(ELEMENTWISE)
@given(data=st.data())
def test_local_gradients_are_central_differences(rule: Operation, data: st.DataObject) -> None:
    operands, attributes = data.draw(samples(rule))
    value = np.asarray(rule.evaluate(operands, attributes))
    smooth = is_smooth(rule, operands, attributes)
    assume(smooth.any() or not smooth.size)
    local_gradients = rule.differentiate(operands, value, attributes)
    assert len(local_gradients) == len(operands)
    for place, local in enumerate(local_gradients):
        expected = central_difference(rule, operands, place, attributes, NEIGHBOURHOOD)
        np.testing.assert_allclose(
            np.broadcast_to(local, value.shape)[smooth], expected[smooth], rtol=1e-8, atol=1e-9 * (1 + np.abs(expected[smooth]))
        )
