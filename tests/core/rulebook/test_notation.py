"""Notation: brackets where an operand binds less tightly than its place needs, and only there."""

import pytest

from service.core.rulebook.notation import (
    ATOM,
    PRODUCT,
    SIGN,
    SUM,
    Notation,
    Rendered,
    function,
    infix,
    write_latex,
    write_text,
)

MINUS = infix("-", "-", SUM)
SUM_OF_TWO = Rendered("a + b", SUM)


def test_an_operand_that_binds_less_tightly_is_put_in_brackets() -> None:
    assert write_text(infix("*", r"\cdot", PRODUCT), [SUM_OF_TWO, Rendered("c")]) == Rendered("(a + b) * c", PRODUCT)
    assert write_latex(infix("*", r"\cdot", PRODUCT), [SUM_OF_TWO, Rendered("c")]) == Rendered(
        r"\left(a + b\right) \cdot c", PRODUCT
    )


def test_a_sign_between_two_operands_leans_to_the_left() -> None:
    assert write_text(MINUS, [SUM_OF_TWO, Rendered("c")]).text == "a + b - c"
    assert write_text(MINUS, [Rendered("c"), SUM_OF_TWO]).text == "c - (a + b)"


def test_a_function_parts_its_operands_by_commas_and_needs_no_brackets() -> None:
    assert write_text(function("max"), [SUM_OF_TWO, Rendered("-c", SIGN)]) == Rendered("max(a + b, -c)", ATOM)
    assert write_latex(function("max", r"\max"), [SUM_OF_TWO]).text == r"\max\left(a + b\right)"
    assert write_latex(function("leaky_relu"), [Rendered("x")]).text == r"\operatorname{leaky\_relu}\left(x\right)"


def test_attributes_follow_the_operands() -> None:
    assert write_text(function("clip"), [Rendered("x")], ["min=0", "max=1"]).text == "clip(x, min=0, max=1)"
    assert write_text(function("Constant"), [], ["value=2"]).text == "Constant(value=2)"


def test_operands_stand_where_the_template_names_them() -> None:
    where = Notation("where(%(all)s)", r"\begin{cases} %(1)s & %(0)s \\ %(2)s \end{cases}")
    operands = [Rendered("c"), Rendered("x"), Rendered("y")]
    assert write_text(where, operands).text == "where(c, x, y)"
    assert write_latex(where, operands).text == r"\begin{cases} x & c \\ y \end{cases}"


def test_percent_signs_in_names_are_kept() -> None:
    assert write_text(MINUS, [Rendered("`5%`"), Rendered("`%(0)s`")]).text == "`5%` - `%(0)s`"


def test_each_operand_must_have_a_place() -> None:
    with pytest.raises(ValueError, match="zip"):
        write_text(MINUS, [Rendered("a"), Rendered("b"), Rendered("c")])
