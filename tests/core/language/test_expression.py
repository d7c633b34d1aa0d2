"""What the expression language means: nodes and their names, precedence, and text that reads back as the same graph."""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lark import Token

from service.core.errors import InvalidExpression
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph, node_document
from service.core.language.parser import read_number
from service.core.language.writing import write_expression
from service.core.rulebook import registry
from service.core.rulebook.attribute import Attribute
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import define, find, operations
from tests.attributes import accepts, given_attributes
from tests.expressions import graph_of_expression as build
from tests.expressions import parsed_documents as parse


def listed(text: str) -> list[str]:
    """The nodes of a text, one line each: a constant by its value, an operation by its inputs."""
    return [line(document) for document in parse(text)]


def line(document: dict[str, Any]) -> str:
    """One node in short."""
    attributes = document.get("attributes", {})
    assert set(document) <= {"name", "operation", "inputs", "attributes"}
    if document["operation"] == "Constant":
        assert "inputs" not in document
        return f"{document['name']} = {attributes['value']}"
    settings = [f"{name}={value!r}" for name, value in attributes.items()]
    return f"{document['name']} = {document['operation']}({', '.join([*document.get('inputs', []), *settings])})"


def inputs(names: str) -> list[str]:
    """The lines of Input nodes."""
    return [f"{name} = Input()" for name in names.split()]


# --- nodes and their names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "F(a, b, c, d) = ((a + b) * c) / d",
        "F(a, b, c, d) = ((a + b) × c) ÷ d",
        "F (a,b , c,\n d)\t= (\n(a + b) · c # a comment\r\n) ÷ d;;",
    ],
)
def test_the_seed_in_one_statement(text: str) -> None:
    assert parse(text) == [
        {"name": "a", "operation": "Input"},
        {"name": "b", "operation": "Input"},
        {"name": "c", "operation": "Input"},
        {"name": "d", "operation": "Input"},
        {"name": "add_1", "operation": "Add", "inputs": ["a", "b"]},
        {"name": "mul_1", "operation": "Mul", "inputs": ["add_1", "c"]},
        {"name": "F", "operation": "Div", "inputs": ["mul_1", "d"]},
    ]


@pytest.mark.parametrize(
    "text", ["e = a + b; f = e * c; F = f / d", "e = a + b\nf = e * c\r\n\n  F = f / d  # the end\r"]
)
def test_the_seed_in_three_statements(text: str) -> None:
    assert listed(text) == [*inputs("a b c d"), "e = Add(a, b)", "f = Mul(e, c)", "F = Div(f, d)"]


def test_a_name_means_its_assignment_whatever_the_order() -> None:
    assert listed("F = f / d; f = e * c; e = a + b") == [
        *inputs("d c a b"),
        *("F = Div(f, d)", "f = Mul(e, c)", "e = Add(a, b)"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "column", "path"),
    [
        ("x = x + y", 1, 1, "x → x"),
        ("y = a * 2\na = b; b = sin(a)", 2, 1, "a → b → a"),
        ("q = c + 1\n  c = b; b = a;\na = c", 2, 3, "c → a → b → c"),
        ("z + 1\nz = output", 2, 1, "z → output → z"),
        ("`a b` = 1 + `a b`", 1, 1, "a b → a b"),
    ],
)
def test_a_cycle_is_told_with_its_nodes_and_its_place(text: str, line: int, column: int, path: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.faults[0].detail.endswith(f"is in a cycle: {path}")


def test_a_long_cycle_is_found_without_recursion_and_cut() -> None:
    count = 5_000
    text = ";".join(f"a{position}=a{(position + 1) % count}" for position in range(count))
    with pytest.raises(InvalidExpression) as caught:
        parse(text)
    (fault,) = caught.value.faults
    assert fault.detail.endswith("…")
    assert len(fault.detail) < 300


def test_what_a_later_statement_assigns_is_no_cycle() -> None:
    assert listed("b = a + a; c = b * a; a = x") == [
        *inputs("x"),
        *("b = Add(a, a)", "c = Mul(b, a)", "a = Identity(x)"),
    ]


def test_a_bare_expression_is_named_output() -> None:
    assert listed("a * b") == [*inputs("a b"), "output = Mul(a, b)"]
    assert listed("e = a + 1; 2 * e; f = output - e") == [
        *inputs("a"),
        *("constant_1 = 1", "e = Add(a, constant_1)"),
        *("constant_2 = 2", "output = Mul(constant_2, e)", "f = Sub(output, e)"),
    ]


def test_a_header_fixes_the_inputs_and_their_order() -> None:
    assert listed("F(c, unused, a) = a * c") == [*inputs("c unused a"), "F = Mul(a, c)"]
    assert listed("e = a + b; F(b, a) = e * a; G = F + e") == [
        *inputs("b a"),
        *("e = Add(a, b)", "F = Mul(e, a)", "G = Add(F, e)"),
    ]
    assert listed("F() = 2") == ["F = 2"]
    assert listed("F(a) = G; a + G; G = 3") == [*inputs("a"), "F = Identity(G)", "output = Add(a, G)", "G = 3"]
    assert listed("`my F`(`x 1`, b) = b") == ["x 1 = Input()", "b = Input()", "my F = Identity(b)"]


def test_nodes_stand_in_the_order_of_evaluation() -> None:
    assert listed("y = a * 2 + sin(b - 3) / (c + a * b)") == [
        *inputs("a b c"),
        *("constant_1 = 2", "mul_1 = Mul(a, constant_1)"),
        *("constant_2 = 3", "sub_1 = Sub(b, constant_2)", "sin_1 = Sin(sub_1)"),
        *("mul_2 = Mul(a, b)", "add_1 = Add(c, mul_2)", "div_1 = Div(sin_1, add_1)"),
        "y = Add(mul_1, div_1)",
    ]


def test_equal_parts_stay_separate_nodes() -> None:
    assert listed("(a + 2) * (a + 2)") == [
        *inputs("a"),
        *("constant_1 = 2", "add_1 = Add(a, constant_1)"),
        *("constant_2 = 2", "add_2 = Add(a, constant_2)"),
        "output = Mul(add_1, add_2)",
    ]


def test_numbers_of_names_skip_what_is_taken_anywhere_in_the_text() -> None:
    assert listed("y = a * b * c * d; add_1 = mul_2 + (a + b)") == [
        *inputs("a b c d mul_2"),
        *("mul_1 = Mul(a, b)", "mul_3 = Mul(mul_1, c)", "y = Mul(mul_3, d)"),
        *("add_2 = Add(a, b)", "add_1 = Add(mul_2, add_2)"),
    ]
    assert listed("F(mul_1, `neg_1`) = -(mul_1 * 2) * 2")[2:] == [
        *("constant_1 = 2", "mul_2 = Mul(mul_1, constant_1)", "neg_2 = Neg(mul_2)"),
        *("constant_2 = 2", "F = Mul(neg_2, constant_2)"),
    ]


def test_only_names_of_nodes_are_taken() -> None:
    assert listed("y = elu(x * 2, alpha=3)")[1:] == [
        *("constant_1 = 2", "mul_1 = Mul(x, constant_1)", "y = Elu(mul_1, alpha=3)"),
    ]


def test_a_name_in_backquotes_is_any_name() -> None:
    names = ["layer1.0.weight", "/block/MatMul_out:0", "é (1)", "a # b", "ﬁ", "fi", " ", '"']
    documents = parse(" + ".join(f"`{name}`" for name in names))
    assert [node["name"] for node in documents if node["operation"] == "Input"] == names
    assert listed("`x` = 2; y = x + `x`") == ["x = 2", "y = Add(x, x)"]


def test_plain_strings_and_numbers_are_given() -> None:
    """Tokens of the parser, which are strings of another class, stay inside."""
    documents = parse("F(a, `b c`) = elu(a, alpha=2) * `b c` + 1.5")
    for document in documents:
        flat = [*document, document["name"], document["operation"], *document.get("inputs", [])]
        assert {type(text) for text in flat} == {str}
        assert all(type(name) is str for name in document.get("attributes", {}))


# --- assignments of less than an operation ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("y = x", [*inputs("x"), "y = Identity(x)"]),
        ("y = ((x))", [*inputs("x"), "y = Identity(x)"]),
        ("y = +x", [*inputs("x"), "y = Identity(x)"]),
        ("x", [*inputs("x"), "output = Identity(x)"]),
        ("y = 2", ["y = 2"]),
        ("y = (++2)", ["y = 2"]),
        ("2", ["output = 2"]),
        ("y = -2", ["constant_1 = 2", "y = Neg(constant_1)"]),
        ("y = -x", [*inputs("x"), "y = Neg(x)"]),
        ("y = −(−x)", [*inputs("x"), "neg_1 = Neg(x)", "y = Neg(neg_1)"]),
        ("y = a; a = 1", ["y = Identity(a)", "a = 1"]),
    ],
)
def test_assignments_of_a_name_or_a_number(text: str, lines: list[str]) -> None:
    assert listed(text) == lines


def test_pi_is_a_constant_of_its_own_each_time() -> None:
    assert listed("y = pi * r * pi") == [
        *inputs("r"),
        *(
            f"constant_1 = {math.pi}",
            "mul_1 = Mul(constant_1, r)",
            f"constant_2 = {math.pi}",
            "y = Mul(mul_1, constant_2)",
        ),
    ]
    assert listed("y = pi") == [f"y = {math.pi}"]
    assert listed("y = +(pi)") == [f"y = {math.pi}"]
    assert listed("pi") == [f"output = {math.pi}"]
    assert listed("F(r) = pi * r")[1:] == [f"constant_1 = {math.pi}", "F = Mul(constant_1, r)"]


def test_pi_is_a_name_where_the_graph_has_it() -> None:
    assert listed("y = 2 * pi; pi = 3") == ["constant_1 = 2", "y = Mul(constant_1, pi)", "pi = 3"]
    assert listed("F(pi) = pi") == [*inputs("pi"), "F = Identity(pi)"]
    assert listed("y = pi + `pi`") == [*inputs("pi"), "y = Add(pi, pi)"]


def test_e_is_never_a_constant() -> None:
    assert listed("y = e") == [*inputs("e"), "y = Identity(e)"]


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["0", "7", "007", "2.", ".5", "0.1", "1e3", "1E+3", "12.5e-3", ".5e1", "5e-324", "1.7976931348623157e308", "0e999"],
)
def test_a_literal_is_the_nearest_float64(text: str) -> None:
    (document,) = parse(f"y = {text}")
    assert document == {"name": "y", "operation": "Constant", "attributes": {"value": float(text)}}


def test_a_whole_number_is_an_int_where_that_is_exact() -> None:
    for text, kind in [("3", int), ("3.0", float), ("9007199254740991", int), ("9007199254740993", float)]:
        value = read_number(Token("NUMBER", text))
        assert type(value) is kind
        assert value == float(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2", -2),
        ("−2.5", -2.5),
        ("+3", 3),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("+Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e-3", 0.001),
    ],
)
def test_constants_that_no_literal_says(text: str, value: object) -> None:
    constant = {"operation": "Constant", "attributes": {"value": value}}
    assert parse(f"k = Constant(value={text})") == [{"name": "k", **constant}]
    assert parse(f"1 + Constant(value={text})")[1] == {"name": "constant_2", **constant}


@pytest.mark.parametrize("text", ["-0.0", "-0", "−0e5"])
def test_a_negative_zero_keeps_its_sign(text: str) -> None:
    value = parse(f"k = Constant(value={text})")[0]["attributes"]["value"]
    assert struct.pack("<d", value) == struct.pack("<d", -0.0)


# --- attributes ---------------------------------------------------------------------------------------------------


def test_attributes_follow_the_operands() -> None:
    assert listed("clip(x, min=-1, max=-Infinity)")[1:] == ["output = Clip(x, min=-1, max='-Infinity')"]
    assert listed("Clip(\nx,\nmin = 0.5\n)")[1:] == ["output = Clip(x, min=0.5)"]
    assert listed("clip(x + 1, max=1) * 2")[2:4] == ["add_1 = Add(x, constant_1)", "clip_1 = Clip(add_1, max=1)"]


@pytest.fixture
def own_rulebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the rulebook with an operation whose attributes may be anything."""
    for entries in ("_by_name", "_by_alias", "_by_function"):
        monkeypatch.setattr(registry, entries, dict(getattr(registry, entries)))
    label = Attribute("label", lambda value: value, required=True)
    axis = Attribute("axis", lambda value: value)
    define("Labelled", "x", forward=np.positive, contributions=lambda upstream, x, z: (), attributes=[label, axis])


@pytest.mark.usefixtures("own_rulebook")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[]", []),
        ("[1, 2.0]", [1, 2.0]),
        ("[[1, -2.5], [NaN, -Infinity]]", [[1, -2.5], ["NaN", "-Infinity"]]),
        ("true", True),
        ("false", False),
        ('""', ""),
        ('"ij,jk->ik"', "ij,jk->ik"),
        (r'"a \"quoted\" (é) \u00e9 # ; ` \\"', 'a "quoted" (é) é # ; ` \\'),
        ('["a", true,\n 0]', ["a", True, 0]),
    ],
)
def test_attributes_are_numbers_words_texts_and_lists(text: str, value: object) -> None:
    graph = build(f"y = labelled(x, axis=-1, label={text})\nz = y")
    attributes = graph.nodes[1].attributes
    assert attributes == {"label": value, "axis": -1}
    assert repr(attributes["label"]) == repr(value)  # 1 and true, 2 and 2.0 are equal in Python
    again = build(str(write_expression(graph)))
    assert repr(again.nodes[1].attributes["label"]) == repr(value)
    assert again.digest == graph.digest


@pytest.mark.usefixtures("own_rulebook")
def test_defaults_are_not_written() -> None:
    for text in ('y = labelled(x, label="é")', "y = elu(x)", "y = elu(x, alpha=-0)", "y = clip(x, max=0)"):
        assert write_expression(build(text)) == text


# --- operations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean"])
def test_lower_case_reduces_one_operand_and_takes_several_elementwise(name: str) -> None:
    several = name.capitalize()
    for text, operation in [
        (f"{name}(a)", f"Reduce{several}"),
        (f"{name}(a, b)", several),
        (f"{name}(a, b, c)", several),
        (f"{several}(a)", several),
        (f"{several}(a, b)", several),
        (f"Reduce{several}(a)", f"Reduce{several}"),
    ]:
        assert parse(text)[-1]["operation"] == operation
        assert [node.operation.name for node in build(str(write_expression(build(text)))).nodes][-1] == operation


CALLABLE = [
    (operation, alias)
    for operation in operations()
    for alias in (operation.name, *operation.aliases)
    if alias.isidentifier() and alias not in ("max", "min", "sum", "mean", "Input", "input")
]


@pytest.mark.parametrize(("operation", "alias"), CALLABLE, ids=lambda given: str(getattr(given, "name", given)))
def test_every_alias_calls_its_operation(operation: Operation, alias: str) -> None:
    operands = [f"x{position}" for position in range(operation.least_inputs)]
    settings = [
        f"{attribute.name}={next(json.dumps(value) for value in (1, 'i->i', 'float32') if accepts(attribute, value))}"
        for attribute in operation.attributes
        if attribute.required
    ]
    (document,) = parse(f"y = {alias}({', '.join([*operands, *settings])})")[len(operands) :]
    assert document["operation"] == operation.name
    assert document.get("inputs", []) == operands


@pytest.mark.parametrize(
    ("text", "attributes", "written"),
    [
        ("sum(x)", {"axes": None, "keepdims": 0}, "sum(x)"),
        ("sum(x, axis=0)", {"axes": (0,), "keepdims": 0}, "sum(x, axis=0)"),
        ("mean(x, axis=[0, -1])", {"axes": (0, -1), "keepdims": 0}, "mean(x, axis=[0, -1])"),
        ("max(x, axes=1, keepdims=true)", {"axes": (1,), "keepdims": 1}, "max(x, axis=1, keepdims=1)"),
        ("prod(x, axis=[])", {"axes": None, "keepdims": 0}, "prod(x)"),
        ("ReduceSum(x)", {"axes": None, "keepdims": 1}, "sum(x, keepdims=1)"),
        ("ReduceSum(x, axis=0)", {"axes": (0,), "keepdims": 1}, "sum(x, axis=0, keepdims=1)"),
        ("reducesum(x, axes=[0], keepdims=0)", {"axes": (0,), "keepdims": 0}, "sum(x, axis=0)"),
        ("ReduceL1(x)", {"axes": None, "keepdims": 1}, "reducel1(x)"),
        ("norm(x)", {"axes": None, "keepdims": 0}, "norm(x)"),
    ],
)
def test_reductions_are_read_as_numpy_has_them_by_its_names(
    text: str, attributes: dict[str, Any], written: str
) -> None:
    graph = build(f"y = {text}")
    assert graph.nodes[-1].attributes == {**attributes, "noop_with_empty_axes": 0}
    assert write_expression(graph) == f"y = {written}"
    assert build(f"y = {written}").digest == graph.digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sum(x, axis=0, axes=0)", 'the attribute "axes" is given twice'),
        ("sum(x, axis=0.5)", "in a list of whole numbers a whole number is expected"),
        ("sum(x, keepdims=2)", "0 or 1 is expected"),
    ],
)
def test_what_a_reduction_refuses(text: str, words: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse(text)
    assert words in caught.value.detail


@pytest.mark.parametrize(
    ("sign", "operation"),
    [
        *(
            ("+", "Add"),
            ("-", "Sub"),
            ("−", "Sub"),
            ("*", "Mul"),
            ("×", "Mul"),
            ("·", "Mul"),
            ("/", "Div"),
            ("÷", "Div"),
        ),
        *(("^", "Pow"), ("**", "Pow"), ("<", "Less"), ("<=", "LessOrEqual"), ("≤", "LessOrEqual"), (">", "Greater")),
        *((">=", "GreaterOrEqual"), ("≥", "GreaterOrEqual"), ("==", "Equal"), ("!=", "NotEqual"), ("≠", "NotEqual")),
    ],
)
def test_signs(sign: str, operation: str) -> None:
    for text in (f"y = a{sign}b", f"y = a {sign} b", f"y = (a\n{sign}\nb)"):
        assert listed(text) == [*inputs("a b"), f"y = {operation}(a, b)"]


def test_a_function_and_a_node_may_share_a_name() -> None:
    assert listed("exp = exp(x); y = exp(exp)") == [*inputs("x"), "exp = Exp(x)", "y = Exp(exp)"]


# --- precedence ---------------------------------------------------------------------------------------------------


def bracketed(text: str) -> str:
    """The text's one statement with all its brackets written."""
    written: dict[str, str] = {}
    for document in parse(text):
        operands = [written[name] for name in document.get("inputs", ())]
        match document["operation"]:
            case "Input":
                written[document["name"]] = document["name"]
            case "Constant":
                written[document["name"]] = str(document["attributes"]["value"])
            case "Neg":
                written[document["name"]] = f"(-{operands[0]})"
            case operation:
                sign = SIGNS.get(operation)
                inner = f" {sign} ".join(operands) if sign else f"{operation} {' '.join(operands)}"
                written[document["name"]] = f"({inner})"
    return written["output"]


SIGNS = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Pow": "^", "Less": "<", "Equal": "=="}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a + b + c", "((a + b) + c)"),
        ("a - b + c", "((a - b) + c)"),
        ("a - b - c", "((a - b) - c)"),
        ("a - (b - c)", "(a - (b - c))"),
        ("a * b / c * d", "(((a * b) / c) * d)"),
        ("a / b / c", "((a / b) / c)"),
        ("a + b * c", "(a + (b * c))"),
        ("a * b + c", "((a * b) + c)"),
        ("a - b / c - d", "((a - (b / c)) - d)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("a ** b ^ c", "(a ^ (b ^ c))"),
        ("(a ^ b) ^ c", "((a ^ b) ^ c)"),
        ("a * b ^ c", "(a * (b ^ c))"),
        ("a ^ b * c", "((a ^ b) * c)"),
        ("-x^2", "(-(x ^ 2))"),
        ("−x**2", "(-(x ^ 2))"),
        ("(-x)^2", "((-x) ^ 2)"),
        ("2^-x", "(2 ^ (-x))"),
        ("2^-x^3", "(2 ^ (-(x ^ 3)))"),
        ("2^--x", "(2 ^ (-(-x)))"),
        ("2^-x * y", "((2 ^ (-x)) * y)"),
        ("2^+x^y", "(2 ^ (x ^ y))"),
        ("a * -1", "(a * (-1))"),
        ("a*-b^2", "(a * (-(b ^ 2)))"),
        ("a / -b * c", "((a / (-b)) * c)"),
        ("a - -b", "(a - (-b))"),
        ("a--b", "(a - (-b))"),
        ("a + +b", "(a + b)"),
        ("a -+- b", "(a - (-b))"),
        ("-a * b", "((-a) * b)"),
        ("-a + b", "((-a) + b)"),
        ("- - a", "(-(-a))"),
        ("+-+a", "(-a)"),
        ("-(a + b)", "(-(a + b))"),
        ("-sin(a)^2", "(-((Sin a) ^ 2))"),
        ("sin(-a)^-2", "((Sin (-a)) ^ (-2))"),
        ("a < b", "(a < b)"),
        ("a + b < c * d", "((a + b) < (c * d))"),
        ("-a == b ^ c", "((-a) == (b ^ c))"),
        ("a < -b", "(a < (-b))"),
        ("a<-b", "(a < (-b))"),
        ("(a < b) == (c < d)", "((a < b) == (c < d))"),
        ("1 - (a < b) * c", "(1 - ((a < b) * c))"),
        ("where(a < b, -c, d - 1)", "(Where (a < b) (-c) (d - 1))"),
        ("max(a + b, c ^ d, e)", "(Max (a + b) (c ^ d) e)"),
    ],
)
def test_precedence(text: str, meaning: str) -> None:
    assert bracketed(text) == meaning


# --- Python's own arithmetic --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Figure:
    """A float64 under Python's operators; what they do is NumPy's, so that figures agree to the last bit."""

    value: np.float64

    def __add__(self, other: "Figure") -> "Figure":
        return Figure(np.add(self.value, other.value))

    def __sub__(self, other: "Figure") -> "Figure":
        return Figure(np.subtract(self.value, other.value))

    def __mul__(self, other: "Figure") -> "Figure":
        return Figure(np.multiply(self.value, other.value))

    def __truediv__(self, other: "Figure") -> "Figure":
        return Figure(np.divide(self.value, other.value))

    def __pow__(self, other: "Figure") -> "Figure":
        return Figure(np.power(self.value, other.value))

    def __neg__(self) -> "Figure":
        return Figure(np.negative(self.value))

    def __pos__(self) -> "Figure":
        return self

    def __lt__(self, other: "Figure") -> "Figure":
        return Figure(np.float64(np.less(self.value, other.value)))

    def __ge__(self, other: "Figure") -> "Figure":
        return Figure(np.float64(np.greater_equal(self.value, other.value)))


def combined(operands: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Operands in a row with signs between and before them, in brackets or not."""
    signs = st.sampled_from(["+", "-", "*", "/", "**", " + -", "*-", "**-", " - +", "/(-1)**"])
    rows = st.tuples(st.sampled_from(["", "-", "+", "--"]), operands, st.lists(st.tuples(signs, operands), max_size=5))
    plain = rows.map(lambda row: row[0] + row[1] + "".join(sign + operand for sign, operand in row[2]))
    compared = st.tuples(plain, st.sampled_from(["<", " >= "]), plain).map("".join)
    return st.one_of(plain.map("({})".format), compared.map("({})".format), plain)


ARITHMETIC = st.recursive(st.sampled_from(["x", "y", "x1", "2", "0.5", "3.", "1e-2", ".25"]), combined, max_leaves=25)
FIGURES = {"x": np.float64(0.75), "y": np.float64(-1.5), "x1": np.float64(3.25)}


def evaluate(documents: list[dict[str, Any]], figures: Mapping[str, np.float64]) -> np.float64:
    """The value of the last node, by the operations' own rules and nothing else."""
    values: dict[str, Any] = {}
    for document in documents:
        name = document["name"]
        operation = find(document["operation"])
        assert operation is not None
        match operation.name:
            case "Input":
                values[name] = figures[name]
            case "Constant":
                values[name] = np.float64(document["attributes"]["value"])
            case _:
                values[name] = np.float64(operation.evaluate([values[source] for source in document["inputs"]]))
    return np.float64(values[documents[-1]["name"]])


@given(ARITHMETIC, st.booleans())
def test_arithmetic_agrees_with_python(text: str, as_written_by_hand: bool) -> None:
    in_python = re.sub(r"(?<![\w.])(\d*\.?\d+\.?(e-\d+)?)", r"figure(\1)", text)
    ours = text.replace("**", "^").replace("*", "×").replace("/", "÷").replace("-", "−") if as_written_by_hand else text
    ours = ours.replace("1e−2", "1e-2")
    names: dict[str, Any] = {name: Figure(value) for name, value in FIGURES.items()}
    with np.errstate(all="ignore"):
        expected = eval(in_python, {"figure": lambda number: Figure(np.float64(number))}, names).value
        value = evaluate(parse(ours), FIGURES)
    assert struct.pack("<d", value) == struct.pack("<d", expected) or (np.isnan(value) and np.isnan(expected))


# --- text and back ------------------------------------------------------------------------------------------------


def test_what_is_written() -> None:
    assert write_expression(build("F(a, b, c, d) = ((a + b) * c) / d")) == (
        "add_1 = a + b; mul_1 = add_1 * c; F = mul_1 / d"
    )
    assert write_expression(build("F(b, a, unused) = -a ** b <= max(a, b)")) == (
        "pow_1 = a ^ b; neg_1 = -pow_1; max_1 = max(a, b); F(b, a, unused) = neg_1 <= max_1"
    )
    assert write_expression(build("y = 2.5; z = Max(`pi`); `a b` = z; w = elu(`a b`, alpha=2)")) == (
        "y = 2.5; z = Max(`pi`); `a b` = z; w = elu(`a b`, alpha=2)"
    )


def test_a_graph_of_inputs_alone_has_no_text() -> None:
    assert write_expression(build_graph([{"name": "x", "operation": "Input"}])) is None


def test_a_header_is_written_only_where_it_is_needed() -> None:
    difference = {"name": "F", "operation": "Sub", "inputs": ["a", "b"]}
    nodes = [{"name": "a", "operation": "Input"}, {"name": "b", "operation": "Input"}, difference]
    assert write_expression(build_graph(nodes, inputs=["a", "b"])) == "F = a - b"
    assert write_expression(build_graph(nodes, inputs=["b", "a"])) == "F(b, a) = a - b"


NAMES = st.one_of(
    st.sampled_from(["a", "b", "F", "e", "pi", "output", "constant_1", "add_1", "sin", "Max", "NaN", "x.T", "é"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="`"), min_size=1, max_size=8),
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A graph over the whole rulebook under names of all kinds, its inputs in any order, some of them not used."""
    names = draw(st.lists(NAMES, min_size=2, max_size=12, unique=True))
    count = draw(st.integers(1, len(names) - 1))
    documents: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names[:count]]
    for position, name in enumerate(names[count:], start=count):
        operation = draw(st.sampled_from([operation for operation in operations() if operation.name != "Input"]))
        most = operation.least_inputs + 2 if operation.most_inputs is None else operation.most_inputs
        arity = draw(st.integers(operation.least_inputs, most))
        sources = draw(st.lists(st.sampled_from(names[:position]), min_size=arity, max_size=arity))
        attributes = draw(given_attributes(operation))
        documents.append({"name": name, "operation": operation.name, "inputs": sources, "attributes": attributes})
    return build_graph(documents, inputs=draw(st.permutations(names[:count])))


NO_OPERATION = build_graph(
    [
        {"name": "a", "operation": "Input"},
        {"name": "b", "operation": "Input"},
        {"name": "k", "operation": "Constant", "attributes": {"value": 2}},
    ],
    inputs=["b", "a"],
)


@given(graphs())
@example(NO_OPERATION)
def test_a_graph_is_read_back_from_its_text(graph: Graph) -> None:
    text = write_expression(graph)
    assert text is not None
    # Without an operation the outputs are what is listed, in the order of listing, which no expression can say.
    told = None if any(node.operation.operands for node in graph.nodes) else graph.outputs
    again = build(text, told)
    assert again.inputs == graph.inputs
    assert documents_of(again) == documents_of(graph)
    assert again.digest == graph.digest
    assert write_expression(again) == text


def documents_of(graph: Graph) -> list[str]:
    """The nodes that are not Inputs, in order; as text, since −0.0 equals 0.0 and NaN not itself."""
    return [repr(node_document(node)) for node in graph.nodes if node.operation.name != "Input"]


@given(ARITHMETIC)
def test_an_expression_is_read_back_from_what_is_written_of_it(text: str) -> None:
    graph = build(text)
    again = build(str(write_expression(graph)))
    assert documents_of(again) == documents_of(graph)
    assert again.digest == graph.digest
