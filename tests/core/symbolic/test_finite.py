"""What is told finite is so, on every elementwise operation and on terms of several."""

import numpy as np
import pytest

from service.core.derivatives.gradient_graph import formula
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Operation
from service.core.symbolic import finite as finite_terms
from service.core.symbolic.finite import FiniteTerms, _bound
from service.core.symbolic.simplify import TermTable
from service.core.symbolic.term import Literal, Term, Variable, application
from tests.elementwise import attribute_samples, each_elementwise, operand_counts
from tests.expressions import graph_of_expression as graph_of


def terms_of(graph: Graph, finite: FiniteTerms) -> list[Term]:
    """Each node as a variable that is defined by its operation, or as a number."""
    known: list[Term] = []
    for node, sources in zip(graph.nodes, graph.operands, strict=True):
        value, operands = node.attributes.get("value"), [known[source] for source in sources]
        known.append(Literal(value) if isinstance(value, float) else Variable(node.name))
        if not node.operation.is_input and not isinstance(value, float):
            finite.define(known[-1], application(node.operation, operands, node.attributes))
    return known


@pytest.mark.parametrize(
    ("text", "is_finite"),
    [
        ("x", True),
        ("2 * x + y", True),
        ("x * y", False),
        ("tanh(x) * y", True),
        ("exp(x)", False),
        ("where(exp(x) > 1, y, 0)", True),
        ("where(y > 1, exp(x), 0)", False),
        ("sin(exp(x))", False),
        ("tanh(log(x))", False),
        ("cos(x * y)", True),
        ("2 + x * y", False),
        ("max(log(x), 1, 2, 3)", False),
        ("max(x, y) * floor(x)", False),
        ("sum(x)", True),
        ("sum(exp(x))", False),
        ("softmax(x)", False),
        ("expand_to(1, x) * y * x", False),
        ("expand_to(1, x) * y", True),
        ("expand_to(1, exp(x)) * y", True),
        ("sum_to(x, exp(y))", True),
        ("sum_to(exp(x), y)", False),
        ("x + [1, 2]", True),
        ("x + Constant(value=[1, Infinity])", False),
        ("x * Constant(value=Infinity)", False),
    ],
)
def test_of_terms_of_several_operations(text: str, is_finite: bool) -> None:
    graph, finite = graph_of(text), FiniteTerms(ordinary_inputs=True)
    assert finite.has(terms_of(graph, finite)[-1]) == is_finite
    assert FiniteTerms(ordinary_inputs=True).has(formula(graph, "output")) == is_finite


@pytest.mark.parametrize(
    ("text", "is_finite"),
    [
        ("x", False),
        ("tanh(x)", False),
        ("x > y", True),
        ("where(x > 0, 2, 3)", True),
        ("where(x, 2, y)", False),
        ("expand_to(1, x) * (y > 0)", True),
        ("and(x, y) + not(x)", True),
    ],
)
def test_where_inputs_may_be_anything(text: str, is_finite: bool) -> None:
    graph, finite = graph_of(text), FiniteTerms(ordinary_inputs=False)
    assert finite.has(terms_of(graph, finite)[-1]) == is_finite


@each_elementwise
def test_an_operation_told_finite_is_so_at_finite_operands(operation: Operation) -> None:
    random = np.random.default_rng(0)
    for attributes in attribute_samples(operation):
        for count in operand_counts(operation):
            variables = [Variable(f"x{number}") for number in range(count)]
            sizes = 10.0 ** random.uniform(-300.0, 300.0, (count, 200))
            signed = sizes * random.choice([-1.0, 1.0], sizes.shape)
            anything = np.where(
                random.random(sizes.shape) < 0.2, random.choice([np.inf, -np.inf, np.nan], sizes.shape), signed
            )
            for ordinary, operands in ((True, signed), (False, anything)):
                if FiniteTerms(ordinary_inputs=ordinary).has(application(operation, variables, attributes)):
                    with np.errstate(all="ignore"):
                        assert np.isfinite(operation.evaluate(list(operands), attributes)).all(), attributes


def test_what_is_asked_of_a_term_walks_over_none_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = TermTable(finite=FiniteTerms(ordinary_inputs=True))
    term: Term = terms.variable(Variable("x"))
    for _ in range(5):
        term = terms.named("Sin", terms.named("Mul", term, term))
    monkeypatch.setattr(finite_terms, "_bound", None)  # no bound is left to be found
    assert terms.finite is not None and terms.finite.has(term)


def test_terms_of_one_operation_on_alike_operands_are_bounded_once() -> None:
    def bounded(count: int) -> int:
        before = _bound.cache_info().misses
        finite, terms = FiniteTerms(ordinary_inputs=False), TermTable()
        term: Term = terms.variable(Variable("x"))
        for position in range(count):
            term = terms.named(("Sin", "Exp", "Tanh")[position % 3], term)
        finite.has(term)
        return _bound.cache_info().misses - before

    _bound.cache_clear()
    assert bounded(1000) <= 6
    assert bounded(3000) == 0
