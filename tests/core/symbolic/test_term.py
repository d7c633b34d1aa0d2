"""Symbols: NumPy's functions and Python's operators build terms of the operations they stand for."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest

from service.core.execution.passes import forward_pass
from service.core.figures.figures import FloatArray
from service.core.graph.building import assemble_graph
from service.core.language.expression import parse_expression
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import find
from service.core.symbolic.printing import write_latex, write_text
from service.core.symbolic.term import (
    Literal,
    NotSymbolic,
    Term,
    Variable,
    local_gradient_terms,
    nondifferentiable_term,
    passing_terms,
    symbols,
    term_of,
    value_term,
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


def test_a_rule_over_symbols() -> None:
    assert [write_text(term) for term in rule_terms("Div")] == ["x / y", "1 / y", "-x / y / y"]
    assert [write_text(term) for term in rule_terms("Tanh")] == ["tanh(x)", "sech(x) ^ 2"]


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
        (lambda: np.median(x), "a rule may not call median"),
        (lambda: np.spacing(x), "a rule may not call spacing"),
        (lambda: np.shape(x), "a rule may not call shape"),
        (lambda: x.shape, "a formula has neither shape nor elements, and no figures"),
        (lambda: x[0], "a formula has neither shape nor elements, and no figures"),
        (lambda: 1.0 if x else 0.0, "a formula has neither shape nor elements, and no figures"),
    ],
)
def test_what_a_rule_may_not_call(rule: object, wrong: str) -> None:
    assert callable(rule)
    with pytest.raises(NotSymbolic, match=wrong):
        rule()


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
    graph = assemble_graph(parse_expression(text, max_bytes=10_000, max_depth=100))
    values = forward_pass(graph, {name: figures[name] for name in graph.inputs})
    return values[graph.position[graph.outputs[0]]]


# The slope of Pow is written in the textbook's form, y·x^(y − 1), which rounds y − 1 before it is an exponent.
TEXTBOOK = {"Pow": 1e-13}


@each_elementwise
@np.errstate(all="ignore")
def test_rules_over_symbols_are_formulas_of_the_same_figures(operation: Operation) -> None:
    for count, attributes in product(operand_counts(operation), attribute_samples(operation)):
        names = [f"x{position}" for position in range(count)]
        columns = list(np.array(grid(min(count, 3))).T)
        operands = [columns[position % 3] for position in range(count)]
        value = np.multiply(operation.evaluate(operands, attributes), 1.0)
        expected = [
            value,
            *operation.differentiate(operands, value, attributes),
            operation.is_nondifferentiable(operands, value, attributes),
        ]
        figures = dict(zip(names, operands, strict=True)) | {"z": value}
        figures |= {name: np.full(value.shape, number) for name, number in attributes.items()}
        by_name = {name: word if isinstance(word, str) else Variable(name) for name, word in attributes.items()}
        for settings in (attributes, by_name):
            if operation.name == "Polygamma" and settings is by_name:  # its order is no operand of anything
                continue
            variables, z = [Variable(name) for name in names], Variable("z")
            terms = [
                value_term(operation, variables, settings),
                *local_gradient_terms(operation, variables, z, settings),
                nondifferentiable_term(operation, variables, z, settings),
            ]
            for term, figure in zip(terms, expected, strict=True):
                read_to = TEXTBOOK.get(operation.name, 1e-15)
                assert_reads_as(term, figures, np.broadcast_to(np.multiply(figure, 1.0), value.shape), read_to)


def assert_reads_as(term: Term, figures: Mapping[str, FloatArray], expected: FloatArray, rtol: float) -> None:
    """The term, and its text, have these figures to `rtol`; its LaTeX has all its brackets."""
    text, latex = write_text(term), write_latex(term)
    for read in (evaluate_term(term, figures), evaluate_text(text, figures)):
        read_at_shape = np.broadcast_to(np.multiply(read, 1.0), expected.shape)
        np.testing.assert_allclose(read_at_shape, expected, rtol=rtol, err_msg=text)
    assert latex
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Transpose", ["f.T"]),
        (
            "MatMul",
            [
                "matmul_left_adjoint(f, expand_to(1, x1), expand_to(1, x0))",
                "matmul_right_adjoint(expand_to(1, x0), f, expand_to(1, x1))",
            ],
        ),
        ("Conv", [None, None]),
        ("Softmax", [None]),
        ("MaxPool", [None]),
    ],
)
def test_where_an_operation_leads_to_is_written_where_one_operand_alone_is_linear_or_its_rule_says(
    name: str, expected: list[str | None]
) -> None:
    operation = find(name)
    assert operation is not None
    attributes = {attribute.name: attribute.default for attribute in operation.attributes}
    attributes |= {"kernel_shape": (2,)} if name == "MaxPool" else {}
    operands = [Variable(f"x{position}") for position in range(len(expected))]
    found = passing_terms(operation, Variable("f"), operands, Variable("z"), attributes)
    assert [term and write_text(term) for term in found] == expected
