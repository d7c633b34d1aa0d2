"""Terms written with the brackets they need, names and numbers as each language has them, shared terms once."""

import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import LimitExceeded
from service.core.execution.passes import forward_pass
from service.core.graph.building import assemble_graph
from service.core.language.expression import parse_expression
from service.core.rulebook.attribute import Attribute
from service.core.rulebook.notation import fenced, function
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import find, operations
from service.core.rulebook.tensor import Tensor
from service.core.symbolic.printing import name_latex, write_latex, write_mathml, write_text
from service.core.symbolic.term import Application, Literal, Symbol, Term, Variable, application, symbols

x, y = symbols("x", "y")


def operation(name: str) -> Operation:
    found = find(name)
    assert found is not None
    return found


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
        (x * -math.inf, "x * Constant(value=-Infinity)", r"x \cdot \left(-\infty\right)"),
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


# --- names, attributes, shared terms --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "latex", "mathml"),
    [
        ("w", "w", "w", "<mi>w</mi>"),
        ("é", "`é`", "é", "<mi>é</mi>"),
        ("pi", "`pi`", r"\mathrm{pi}", "<mi>pi</mi>"),
        ("layer1.0.weight", "`layer1.0.weight`", r"\mathrm{layer1\text{.}0\text{.}weight}", "<mi>layer1.0.weight</mi>"),
        ("a<b&c", "`a<b&c`", r"\mathrm{a\text{<}b\&c}", "<mi>a&lt;b&amp;c</mi>"),
        (r"{_%#$}", r"`{_%#$}`", r"\mathrm{\{\_\%\#\$\}}", "<mi>{_%#$}</mi>"),
        ("\\frac ^~", "`\\frac ^~`", r"\mathrm{\backslash{}frac\ \wedge{}\sim{}}", "<mi>\\frac ^~</mi>"),
        ("%", "`%`", r"\mathrm{\%}", "<mi>%</mi>"),
    ],
)
def test_names_are_escaped(name: str, text: str, latex: str, mathml: str) -> None:
    variable = Variable(name)
    assert (write_text(variable), write_latex(variable), write_mathml(variable)) == (text, latex, mathml)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="`"), min_size=1, max_size=20))
def test_any_name_reads_back_and_cannot_break_out(name: str) -> None:
    text = write_text(Application(operation("Sin"), (Variable(name),)))
    assert assemble_graph(parse_expression(text, max_bytes=1000, max_depth=10)).inputs == (name,)
    assert ET.fromstring(write_mathml(Variable(name))).text == name
    latex = name_latex(name).replace(r"\{", "").replace(r"\}", "")
    assert latex.count("{") == latex.count("}")


@pytest.mark.parametrize(
    ("attributes", "text", "latex"),
    [
        ({"axes": [0, 1]}, "f(x, axes=[0, 1])", r"\mathrm{axes} = \left[0, 1\right]"),
        ({"axes": (1,)}, "f(x, axes=[1])", r"\mathrm{axes} = \left[1\right]"),
        ({"axes": None}, "f(x, axes=null)", r"\mathrm{axes} = \mathrm{null}"),
        ({"axes": "ij,j_k"}, 'f(x, axes="ij,j_k")', r"\mathrm{axes} = \mathrm{ij\text{,}j\_k}"),
        ({"axes": True}, "f(x, axes=true)", r"\mathrm{axes} = \mathrm{true}"),
        ({"axes": -2}, "f(x, axes=-2)", r"\mathrm{axes} = -2"),
        ({"axes": [math.nan, 0.5]}, "f(x, axes=[NaN, 0.5])", r"\mathrm{axes} = \left[\mathrm{NaN}, 0.5\right]"),
        ({"axes": 7}, "f(x)", ""),
    ],
)
def test_attributes_of_any_kind_are_written_where_they_are_not_the_default(
    attributes: Attributes, text: str, latex: str
) -> None:
    made = replace(
        operation("Sin"), attributes=(Attribute("axes", lambda value: value, 7),), notation=function("f", "f")
    )
    term = application(made, [Variable("x")], attributes)
    assert write_text(term) == text
    assert write_latex(term) == rf"f\left(x{', ' if latex else ''}{latex}\right)"
    ET.fromstring(write_mathml(term))


def test_a_tensor_is_written_as_its_rows() -> None:
    made = replace(operation("Sin"), attributes=(Attribute("by", lambda value: value),), notation=function("f", "f"))
    term = application(made, [], {"by": Tensor(np.array([[1.0, -2.0]]))})
    assert write_text(term) == "f(by=[[1, -2]])"
    assert write_latex(term) == r"f\left(\mathrm{by} = \left[\left[1, -2\right]\right]\right)"
    numbers = "<mn>1</mn><mo>,</mo><mrow><mo>−</mo><mn>2</mn></mrow>"
    assert fenced("[", fenced("[", numbers, "]", tall=False), "]", tall=False) in write_mathml(term)


def test_brackets_stretch_round_what_is_taller_than_a_line() -> None:
    flat, tall = ((x + y) * -2.0).term, ((x / y) * (x + y) * abs(x / y)).term
    bracket = '<mo stretchy="false">(</mo>'
    assert write_mathml(flat).count(bracket) == 2
    assert write_mathml(tall).count(bracket) == 1
    assert write_mathml(tall).count("<mo>|</mo>") == 2
    assert write_mathml((np.sin(x) + np.sin(x / y)).term).count(bracket) == 1
    assert write_mathml((np.sin(x) + np.sin(x / y)).term).count("<mo>(</mo>") == 1


def test_mathml() -> None:
    term = (-x / y**2 + 3e20).term
    assert write_mathml(term) == (
        "<mrow><mfrac><mrow><mo>−</mo><mi>x</mi></mrow><msup><mi>y</mi><mn>2</mn></msup></mfrac><mo>+</mo>"
        "<mrow><mn>3</mn><mo>·</mo><msup><mn>10</mn><mn>20</mn></msup></mrow></mrow>"
    )
    assert write_mathml(Literal(-math.inf)) == "<mrow><mo>−</mo><mn>∞</mn></mrow>"
    assert write_mathml((select(x < y, x, abs(y))).term).startswith(
        "<mrow><mo>{</mo><mtable><mtr><mtd><mi>x</mi></mtd>"
    )


@pytest.mark.parametrize("each", operations(), ids=lambda each: each.name)
def test_every_operation_is_written_in_well_formed_mathml(each: Operation) -> None:
    operands = [Variable(name) for name in each.operands]
    attributes = {attribute.name: attribute.default for attribute in each.attributes}
    read = ET.fromstring(write_mathml(application(each, operands, attributes)))
    # Of some an operand counts by its shape only; LaTeX leaves it out too.
    latex = write_latex(application(each, [Variable(f"X{position}X") for position in range(len(operands))], attributes))
    shown = {name for position, name in enumerate(each.operands) if f"X{position}X" in latex}
    assert {"".join(found.itertext()) for found in read.iter("mi")} >= shown


def test_one_operand_of_max_is_written_by_its_own_name() -> None:
    assert write_text(application(operation("Max"), [Variable("x")])) == "Max(x)"


def test_a_shared_term_is_written_once_and_too_long_a_text_is_refused() -> None:
    term: Term = Variable("x")
    for _ in range(18):
        term = application(operation("Mul"), [term, term])
    assert len(write_text(term, None)) > 2**18
    for _ in range(2000):
        term = application(operation("Mul"), [term, term])
    for write in (write_text, write_latex, write_mathml):
        with pytest.raises(LimitExceeded, match="a formula has at most 5000 characters") as caught:
            write(term, 5000)
        assert caught.value.limit == "formula_characters"
    large = application(operation("Constant"), [], {"value": Tensor(np.zeros(1000))})
    with pytest.raises(LimitExceeded):
        write_text(large, 1999)


@given(st.floats())
def test_a_literal_is_text_of_the_expression_language(value: float) -> None:
    graph = assemble_graph(parse_expression(f"y = {write_text(Literal(value))}", max_bytes=100, max_depth=10))
    (figure,) = list(forward_pass(graph, {}))[-1:]
    np.testing.assert_array_equal(figure, value)


def test_a_long_term_is_written_without_recursion() -> None:
    term: Term = Variable("x")
    sine = find("Sin")
    assert sine is not None
    for _ in range(5_000):
        term = Application(sine, (term,))
    assert write_text(term) == "sin(" * 5_000 + "x" + ")" * 5_000
