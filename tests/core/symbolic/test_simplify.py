"""Simplified terms read well, and are the same functions."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.language.expression import parse_expression
from service.core.rulebook.registry import find
from service.core.symbolic.printing import write_latex, write_text
from service.core.symbolic.simplify import TermTable, simplify
from service.core.symbolic.term import (
    Application,
    Literal,
    Term,
    Variable,
    application,
    evaluation_order,
    local_gradient_terms,
)

VARIABLES = {name: Variable(name) for name in "xyz"}
LEAVES = [*VARIABLES.values(), *map(Literal, (0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 3.0))]
OPERATIONS = ("Add", "Sub", "Mul", "Div", "Neg", "Pow", "Identity", "Sin", "Greater", "And", "Where", "Max", "Abs")
POINT = {"x": 0.7, "y": -1.3, "z": 2.2}
LARGEST = 1e4


def term(text: str) -> Term:
    """The term of an expression."""
    known: dict[str, Term] = {}
    for node in parse_expression(text, max_bytes=1000, max_depth=20):
        made: Term = application(node.operation, [known[name] for name in node.inputs], node.attributes)
        if node.operation.name == "Input":
            made = Variable(node.name)
        elif node.operation.name == "Constant":
            made = Literal(node.attributes["value"])
        known[node.name] = made
    return known["output"]


def figure(term: Term, figures: Mapping[str, float]) -> float:
    """A term at a point, by the operations in it; NaN where anything on the way is not finite or is large."""
    known: dict[int, np.float64] = {}
    for part in evaluation_order(term):
        match part:
            case Variable(name):
                value = np.float64(figures[name])
            case Literal(number):
                value = np.float64(number)
            case Application(operation, operands, attributes):
                with np.errstate(all="ignore"):
                    value = np.float64(operation.evaluate([known[id(x)] for x in operands], dict(attributes)))
        known[id(part)] = value if abs(value) <= LARGEST else np.float64("nan")
        if np.isnan(known[id(part)]):
            return math.nan
    return float(known[id(term)])


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("0 * x + y * 1 - 0", "y"),
        ("x + 0 + 0 / y", "x"),
        ("x / 1 - -y", "x + y"),
        ("-(-x)", "x"),
        ("x ^ 1 + x ^ 0", "x + 1"),
        ("2 * 3 + x ^ (3 - 1)", "6 + x ^ 2"),
        ("-x * -y", "x * y"),
        ("x * -2 + y", "y - 2 * x"),
        ("x + -2", "x - 2"),
        ("x - -2", "x + 2"),
        ("-x - y", "-(x + y)"),
        ("-(x - y)", "y - x"),
        ("0 - x", "-x"),
        ("x / -y", "-x / y"),
        ("-x / y / y", "-x / y ^ 2"),
        ("x / y / y / y", "x / y ^ 3"),
        ("x / y / z", "x / (y * z)"),
        ("1 / y * x", "x / y"),
        ("x * (1 / y)", "x / y"),
        ("x * x * x", "x ^ 3"),
        ("2 * x * x", "2 * x ^ 2"),
        ("x * 3 * 2", "6 * x"),
        ("x + x", "2 * x"),
        ("x * (2 * y)", "2 * x * y"),
        ("3 * x * (2 * y)", "6 * x * y"),
        ("x * y * (2 * z)", "x * y * (2 * z)"),
        ("x * where(y > 0, 1, 0)", "where(y > 0, x, 0)"),
        ("where(y > 0, 0, 1) * x", "where(y > 0, 0, x)"),
        ("where(y > 0, 2, 1) * x", "where(y > 0, 2, 1) * x"),
        ("where(x > 0, y * 1, y)", "y"),
        ("where(x > 0, 1, where(x == 0, 3, 3))", "where(x > 0, 1, 3)"),
        ("x * y + y * x", "2 * x * y"),
        ("where(1 > 0, x, y)", "x"),
        ("where(and(x > 0, 1 < 0), x, y)", "y"),
        ("where(x > 0, x, y)", "where(x > 0, x, y)"),
        ("identity(x) + sin(0)", "x"),
        ("1 / 0 + x", "1 / 0 + x"),
        ("1e200 * 1e200 * x", "1e+200 * 1e+200 * x"),
        ("clip(x, max=2)", "clip(x, max=2)"),
        ("2 ^ 0.5", "1.4142135623730951"),
    ],
)
def test_simplified_for_reading(text: str, simple: str) -> None:
    assert write_text(simplify(term(text))) == simple


def test_the_rule_of_division_reads_as_in_a_book() -> None:
    division = find("Div")
    assert division is not None
    f, d = Variable("f"), Variable("d")
    by_numerator, by_denominator = map(simplify, local_gradient_terms(division, [f, d], Variable("F")))
    assert (write_text(by_numerator), write_text(by_denominator)) == ("1 / d", "-f / d ^ 2")
    assert write_latex(by_denominator) == r"-\frac{f}{d^{2}}"


def test_what_may_be_a_tensor_keeps_its_shape() -> None:
    terms = TermTable(keep_shapes=True)
    for text, kept in [
        ("0 * x", "0 * x"),
        ("0 / x", "0 / x"),
        ("x ^ 0", "x ^ 0"),
        ("where(1 > 0, x, y)", "where(1, x, y)"),
        ("where(1 > 0, x, 0)", "x"),
        ("and(x, 0)", "and(x, 0)"),
        ("x + 0", "x"),
        ("where(y > 0, x, x + 0)", "where(y > 0, x, x)"),
        ("where(x > 0, x, x + 0)", "x"),
        ("sum_to(x * y, y * x)", "x * y"),
        ("sum_to(x * y, x)", "sum_to(x * y, x)"),
        ("expand_to(expand_to(1, x), x * y)", "expand_to(1, x * y)"),
        ("expand_to(x, x * x)", "x"),
        ("expand_to(2, x) * sin(x)", "2 * sin(x)"),
        ("expand_to(2, x) * y", "expand_to(2, x) * y"),
        ("sum_to(sum_to(x * y * z, x * y), x)", "sum_to(sum_to(x * y * z, x * y), x)"),
        ("sum_to(reshape_to(z, x), x)", "reshape_to(z, x)"),
    ]:
        assert write_text(terms.add(term(text))[0]) == kept


def test_what_is_summed_twice_is_summed_once_for_reading() -> None:
    terms = TermTable(for_reading=True, keep_shapes=True)
    assert write_text(terms.add(term("sum_to(sum_to(x * y * z, x * y), x)"))[0]) == "sum_to(x * y * z, x)"


def test_equal_terms_are_one_object() -> None:
    terms = TermTable()
    first, second, other = terms.add(term("sin(x * y) + 1"), term("sin(y * x) + 1"), term("elu(x, alpha=2)"))
    assert first is second
    size = len(terms)
    assert terms.add(term("elu(x, alpha=2)")) == [other]
    assert len(terms) == size
    assert terms.add(term("elu(x, alpha=3)"))[0] is not other


def test_a_bound_operation_goes_by_its_name() -> None:
    terms = TermTable()
    x, y = terms.variable(Variable("x")), terms.variable(Variable("y"))
    product = find("Mul")
    assert product is not None
    terms.assign(Variable("p"), product, [x, y])
    assert write_text(terms.add(term("sin(y * x)"))[0]) == "sin(p)"


@st.composite
def terms_and_points(draw: st.DrawFn) -> tuple[Term, dict[str, float]]:
    """A term over a few operations and telling numbers, finite at a point in all that is computed on the way."""
    figures = {name: draw(st.integers(-30, 30)) / 10 for name in VARIABLES}
    known: list[Term] = list(LEAVES)
    for name in draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=15)):
        operation = find(name)
        assert operation is not None
        count = len(operation.operands) * (2 if operation.fold else 1)
        made = application(operation, [draw(st.sampled_from(known)) for _ in range(count)])
        if not math.isnan(figure(made, figures)):
            known.append(made)
    return known[-1], figures


@given(terms_and_points())
def test_no_value_changes_where_all_is_finite(case: tuple[Term, dict[str, float]]) -> None:
    whole, figures = case
    for terms in (TermTable(), TermTable(keep_shapes=True)):
        assert figure(terms.add(whole)[0], figures) == figure(whole, figures)


@given(terms_and_points())
def test_for_reading_only_rounding_changes(case: tuple[Term, dict[str, float]]) -> None:
    whole, figures = case
    simple = figure(simplify(whole), figures)
    if not math.isnan(simple):  # drawn together, it may be large on the way
        assert simple == pytest.approx(figure(whole, figures), rel=1e-9, abs=1e-9)


def test_a_long_chain_is_simplified_without_recursion() -> None:
    chain: Term = Variable("x")
    negation = find("Neg")
    assert negation is not None
    for _ in range(50_001):
        chain = application(negation, [chain])
    assert write_text(simplify(chain)) == "-x"


def test_a_long_continued_fraction_is_simplified_without_recursion() -> None:
    division, product = find("Div"), find("Mul")
    assert division is not None and product is not None
    fraction: Term = Variable("x")
    for number in range(3_000):
        fraction = application(division, [Variable("xyz"[number % 3]), application(product, [fraction, Literal(0.5)])])
    figures = {"x": 1.1, "y": 0.9, "z": -1.2}
    assert figure(simplify(fraction), figures) == pytest.approx(figure(fraction, figures), rel=1e-9)


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("(x > 0) != 0", "x > 0"),
        ("(x > 0) == 0", "not(x > 0)"),
        ("abs(x > 0) > 0", "x > 0"),
        ("not(not(x < y))", "x < y"),
        ("or(x > 0, 0 > 1)", "x > 0"),
        ("or(0 > 1, x > 0)", "x > 0"),
        ("and(x > 0, x > 0)", "x > 0"),
        ("or(x > 0, x > 0)", "x > 0"),
        ("not(not(x))", "not(not(x))"),
        ("x != 0", "x != 0"),
        ("x == 0", "x == 0"),
        ("or(x, y)", "or(x, y)"),
    ],
)
def test_conditions_on_conditions(text: str, simple: str) -> None:
    assert write_text(TermTable(keep_shapes=True).add(term(text))[0]) == simple
