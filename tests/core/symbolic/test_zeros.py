"""What is told never to be −0 is not."""

import numpy as np
import pytest

from service.core.execution.passes import forward_pass
from service.core.symbolic.finite import FiniteTerms
from service.core.symbolic.zeros import is_never_negative_zero
from tests.core.symbolic.test_finite import terms_of
from tests.expressions import graph_of_expression as graph_of
from tests.passes import array_loop, arrays_of

ZEROS = [(x, y) for x in (-0.0, 0.0, -1.0, 2.0, 1e-300, -np.inf) for y in (-0.0, 0.0, -1.0, -1e-300, np.inf)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x + 0 * y", False),
        ("x + exp(y)", True),
        ("x + 0", True),
        ("x - 0", False),
        ("x - 1", True),
        ("abs(x) - y", True),
        ("x * x", True),
        ("x * y", False),
        ("x^2 + y", True),
        ("x^3", False),
        ("x^y", False),
        ("sqrt(x)", False),
        ("sqrt(x^2)", True),
        ("where(x > 0, y^2, abs(y))", True),
        ("where(x > 0, y, abs(y))", False),
        ("identity(relu(x))", True),
        ("tanh(x)", False),
        ("max(x, y)", False),
        ("x > y", False),  # it is never, but that is not looked into
        ("Constant(value=[0, 1])", False),
    ],
)
def test_of_terms_of_any_inputs(text: str, expected: bool) -> None:
    graph, finite = graph_of(text), FiniteTerms(ordinary_inputs=False)
    assert is_never_negative_zero(terms_of(graph, finite)[-1], finite) == expected
    if expected:
        with array_loop(), np.errstate(all="ignore"):
            for x, y in ZEROS:
                inputs = {name: value for name, value in (("x", x), ("y", y)) if name in graph.inputs}
                value = forward_pass(graph, arrays_of(inputs))[graph.position["output"]]
                assert value is not None and not (value == 0.0 and np.signbit(value)), inputs


def test_ordinary_inputs_are_not() -> None:
    graph, finite = graph_of("sqrt(x)"), FiniteTerms(ordinary_inputs=True)
    assert is_never_negative_zero(terms_of(graph, finite)[-1], finite)


def test_no_deep_term_is_looked_through() -> None:
    graph, finite = graph_of("sqrt(" * 20 + "x^2" + ")" * 20), FiniteTerms(ordinary_inputs=False)
    assert not is_never_negative_zero(terms_of(graph, finite)[-1], finite)
