"""Symbols: NumPy's functions and Python's operators build terms, and terms are written with the brackets they need."""

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.differentiation import forward_pass
from service.core.expression import parse_expression
from service.core.figures import FloatArray
from service.core.graph import build_graph
from service.core.operation import Operation, find, select
from service.core.symbol import (
    Application,
    Literal,
    Symbol,
    Term,
    Variable,
    local_gradient_terms,
    nondifferentiable_term,
    number_text,
    symbols,
    term_of,
    value_term,
    write_latex,
    write_text,
)
from tests.elementwise import attribute_samples, each_elementwise, grid, operand_counts

x, y = symbols("x", "y")
VARIABLES = [Variable("x"), Variable("y")]


def rule_terms(name: str) -> list[Term]:
    """The rule of an operation of one or two operands over x and y: its value, then its local gradients."""
    operation = find(name)
    assert operation is not None
    operands = VARIABLES[: len(operation.operands)]
    return [value_term(operation, operands), *local_gradient_terms(operation, operands, Variable("z"))]


@pytest.mark.parametrize(
    ("symbol", "text", "latex"),
    [
        (x + y, "x + y", "x + y"),
        (x - (y - 1), "x - (y - 1)", r"x - \left(y - 1\right)"),
        (2.0 * x / y, "2 * x / y", r"\frac{2 \cdot x}{y}"),
        (x / (y * y), "x / (y * y)", r"\frac{x}{y \cdot y}"),
        (-(x**2), "-x ^ 2", "-x^{2}"),
        ((-x) ** 2, "(-x) ^ 2", r"\left(-x\right)^{2}"),
        (x**-y, "x ^ -y", "x^{-y}"),
        ((x**y) ** 2, "(x ^ y) ^ 2", r"\left(x^{y}\right)^{2}"),
        (x ** (y**2), "x ^ y ^ 2", "x^{y^{2}}"),
        (-(x + y), "-(x + y)", r"-\left(x + y\right)"),
        (np.tanh(x), "tanh(x)", r"\tanh\left(x\right)"),
        (np.reciprocal(x) ** 2, "(reciprocal(x)) ^ 2", r"\left(\frac{1}{x}\right)^{2}"),
        (abs(x), "abs(x)", r"\left|x\right|"),
        (np.sqrt(x) ** 2, "sqrt(x) ^ 2", r"\sqrt{x}^{2}"),
        (np.maximum(x, 0.0), "max(x, 0)", r"\max\left(x, 0\right)"),
        (x >= y, "x >= y", r"x \ge y"),
        (
            select(x > 0.0, x, -0.5),
            "where(x > 0, x, -0.5)",
            r"\begin{cases} x & \text{if } x > 0 \\ -0.5 & \text{otherwise} \end{cases}",
        ),
        (np.logical_and(x > 0.0, y != x), "and(x > 0, y != x)", r"\left(x > 0\right) \land \left(y \ne x\right)"),
        (1e-20 * x, "1e-20 * x", r"1 \cdot 10^{-20} \cdot x"),
        (x ** (-2.5e300), "x ^ -2.5e+300", r"x^{-2.5 \cdot 10^{300}}"),
        ((Symbol(Literal(-2.0))) ** x, "(-2) ^ x", r"\left(-2\right)^{x}"),
        ((Symbol(Literal(3e20))) ** x, "3e+20 ^ x", r"\left(3 \cdot 10^{20}\right)^{x}"),
        (x + math.inf, "x + Constant(value=Infinity)", r"x + \infty"),
        (x * -math.inf, "x * Constant(value=-Infinity)", r"x \cdot -\infty"),
        (x + math.nan, "x + Constant(value=NaN)", r"x + \mathrm{NaN}"),
    ],
)
def test_terms_are_written_with_the_brackets_they_need(symbol: Symbol, text: str, latex: str) -> None:
    assert write_text(symbol.term) == text
    assert write_latex(symbol.term) == latex


def test_variables_of_more_than_one_letter_are_upright_unless_typeset_otherwise() -> None:
    assert write_latex(Variable("layer_1")) == r"\mathrm{layer\_1}"
    assert write_latex(Variable("x1", latex="x_{1}")) == "x_{1}"
    assert write_text(Variable("x1", latex="x_{1}")) == "x1"


def test_attributes_are_written_by_name() -> None:
    elu = find("Elu")
    assert elu is not None
    assert write_text(Application(elu, (Variable("x"),), (("alpha", 2.0),))) == "elu(x, alpha=2)"


def test_a_rule_over_symbols() -> None:
    assert [write_text(term) for term in rule_terms("Div")] == ["x / y", "1 / y", "-x / y / y"]
    assert [write_text(term) for term in rule_terms("Tanh")] == ["tanh(x)", "(1 / cosh(x)) ^ 2"]


def test_attributes_are_numbers_or_stand_by_name() -> None:
    clip = find("Clip")
    assert clip is not None
    operand = [Variable("x")]
    assert write_text(value_term(clip, operand, {"min": 0.0, "max": 1.0})) == "min(max(x, 0), 1)"
    by_name = {"min": Variable("min"), "max": Variable("max")}
    assert write_text(value_term(clip, operand, by_name)) == "min(max(x, min), max)"
    assert (
        write_text(nondifferentiable_term(clip, operand, Variable("z"), by_name))
        == "and(min < max, or(x == min, x == max))"
    )


def test_where_there_is_always_a_derivative() -> None:
    sine = find("Sin")
    assert sine is not None
    assert nondifferentiable_term(sine, [Variable("x")], Variable("z")) == Literal(0.0)


def test_terms_are_equal_where_they_say_the_same() -> None:
    assert term_of(x * y) == term_of(symbols("x")[0] * symbols("y")[0]) != term_of(y * x)
    assert term_of(2) == Literal(2.0)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        (lambda: np.add.reduce(x), "a rule may call add only plainly"),
        (lambda: np.add(x, y, where=True), "a rule may call add only plainly"),
        (lambda: np.clip(x, 0.0, 1.0), "a rule may call clip only plainly|a rule may not call clip"),
        (lambda: np.sum(x), "a rule may not call sum"),
    ],
)
def test_what_a_rule_may_not_call(rule: object, wrong: str) -> None:
    assert callable(rule)
    with pytest.raises(TypeError, match=wrong):
        rule()


def test_a_function_that_stands_for_no_operation() -> None:
    with pytest.raises(KeyError):
        np.spacing(x)


@given(st.floats())
def test_a_number_reads_back_as_the_same_float(value: float) -> None:
    text = number_text(value)
    assert np.float64(text).tobytes() == np.float64(value).tobytes() or math.isnan(value)
    assert math.isnan(float(text)) == math.isnan(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2"), (-0.5, "-0.5"), (0.1 + 0.2, "0.30000000000000004"), (1e15, "1000000000000000"), (1e16, "1e+16")],
)
def test_whole_numbers_are_written_without_a_point(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats())
def test_a_literal_is_text_of_the_expression_language(value: float) -> None:
    graph = build_graph(parse_expression(f"y = {write_text(Literal(value))}", max_bytes=100, max_depth=10))
    (figure,) = list(forward_pass(graph, {}))[-1:]
    np.testing.assert_array_equal(figure, value)


def test_a_long_term_is_written_without_recursion() -> None:
    term: Term = Variable("x")
    sine = find("Sin")
    assert sine is not None
    for _ in range(5_000):
        term = Application(sine, (term,))
    assert write_text(term) == "sin(" * 5_000 + "x" + ")" * 5_000


# --- every rule ---------------------------------------------------------------------------------------------------


def evaluate_term(term: Term, figures: Mapping[str, FloatArray]) -> Any:
    """A term over arrays, by the operations in it."""
    if isinstance(term, Variable):
        return figures[term.name]
    if isinstance(term, Literal):
        return np.float64(term.value)
    return term.operation.evaluate([evaluate_term(x, figures) for x in term.operands], dict(term.attributes))


def evaluate_text(text: str, figures: Mapping[str, FloatArray]) -> Any:
    """A text of the expression language over arrays: parsed, built, passed forward."""
    graph = build_graph(parse_expression(text, max_bytes=10_000, max_depth=100))
    values = forward_pass(graph, {name: figures[name] for name in graph.inputs})
    return values[graph.position[graph.outputs[0]]]


@each_elementwise
@np.errstate(all="ignore")
def test_rules_over_symbols_are_formulas_of_the_same_figures(operation: Operation) -> None:
    for count, attributes in product(operand_counts(operation), attribute_samples(operation)):
        names = [f"x{place}" for place in range(count)]
        columns = list(np.array(grid(min(count, 3))).T)
        operands = [columns[place % 3] for place in range(count)]
        value = np.multiply(operation.evaluate(operands, attributes), 1.0)
        expected = [
            value,
            *operation.differentiate(operands, value, attributes),
            operation.is_nondifferentiable(operands, value, attributes),
        ]
        figures = dict(zip(names, operands, strict=True)) | {"z": value}
        figures |= {name: np.full(value.shape, number) for name, number in attributes.items()}
        by_name = {name: Variable(name) for name in attributes}
        for settings in (attributes, by_name):
            variables, z = [Variable(name) for name in names], Variable("z")
            terms = [
                value_term(operation, variables, settings),
                *local_gradient_terms(operation, variables, z, settings),
                nondifferentiable_term(operation, variables, z, settings),
            ]
            for term, figure in zip(terms, expected, strict=True):
                assert_reads_as(term, figures, np.broadcast_to(np.multiply(figure, 1.0), value.shape))


def assert_reads_as(term: Term, figures: Mapping[str, FloatArray], expected: FloatArray) -> None:
    """The term, and its text, have these figures; its LaTeX has all its brackets."""
    text, latex = write_text(term), write_latex(term)
    for read in (evaluate_term(term, figures), evaluate_text(text, figures)):
        read_at_shape = np.broadcast_to(np.multiply(read, 1.0), expected.shape)
        np.testing.assert_allclose(read_at_shape, expected, rtol=1e-15, err_msg=text)
    assert latex
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
