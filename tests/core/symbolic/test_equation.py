"""Equations in parts and in figures for reading."""

import math
from typing import Any

import numpy as np
import pytest

from service.core.symbolic.equation import Equation, gradient_of, write_equation
from service.core.symbolic.term import Literal, Symbol, Term, Variable, symbols, term_of

a, b = symbols("a", "b")


def equation(term: Symbol | Term, result: Any, **figures: Any) -> Equation:
    """y = term at these figures."""
    known = {name: np.asarray(figure, dtype=np.float64) for name, figure in figures.items()}
    return write_equation(Variable("y"), term_of(term) if isinstance(term, Symbol) else term, known, np.asarray(result))


def texts(found: Equation) -> tuple[str, str]:
    """The whole equation in figures for reading, and in all digits."""
    return found.followed_by(found.readable).plain, found.followed_by(found.full).plain


@pytest.mark.parametrize(
    ("found", "readable", "full"),
    [
        (equation(a * b, -12, a=6, b=-2), "y = a·b = 6·(−2) = −12", "y = a·b = 6·(−2) = −12"),
        (equation(a / b, 2 / 3, a=2, b=3), "y = a/b = 2/3", "y = a/b = 2/3 ≈ 0.6666666666666666"),
        (
            equation(-a * b, -2 / 3, a=1 / 3, b=2),
            "y = −a·b = −1/3·2 = −2/3",
            "y = −a·b = −1/3·2 = −2/3 ≈ −0.6666666666666666",
        ),
        (
            equation(a * b, math.pi / 2, a=math.pi, b=0.5),
            "y = a·b ≈ 3.14·0.5 ≈ 1.57",
            "y = a·b = 3.141592653589793·0.5 = 1.5707963267948966",
        ),
        (equation(a * b, 1.0, a=math.pi, b=1 / math.pi), "y = a·b ≈ 3.14·0.318 ≈ 1", None),
        (equation(np.exp(a), math.e, a=1), "y = exp(a) = exp(1) ≈ 2.72", "y = exp(a) = exp(1) = 2.718281828459045"),
        (equation(a * 0.0447156, 0.0447156, a=1), "y = a·0.0447156 ≈ 1·0.0447 ≈ 0.0447", None),
        (equation(Variable("a"), math.e, a=math.e), "y = a ≈ 2.72", "y = a = 2.718281828459045"),
        (equation(Literal(1.0), 1.0), "y = 1", "y = 1"),
        (equation(-a, -math.inf, a=math.inf), "y = −a = −∞", "y = −a = −∞"),
        (equation(a * 1e-9, 1.25e-9, a=1.25), "y = a·1e−09 = 1.25·1e−09 = 1.25e−09", None),
    ],
)
def test_figures_for_reading_and_all_digits(found: Equation, readable: str, full: str | None) -> None:
    short, whole = texts(found)
    assert short == readable
    assert full is None or whole == full


@pytest.mark.parametrize(
    ("figure", "readable", "full"),
    [
        ([1 / 3, -2.0], "y = a = [1/3, −2]", "y = a = [1/3, −2]"),
        ([[1.0, math.pi], [0.0, math.inf]], "y = a ≈ [[1, 3.14], [0, ∞]]", "y = a = [[1, 3.141592653589793], [0, ∞]]"),
        (np.ones(13), "y = a = [13]", "y = a = [13]"),
        (np.ones((2, 1, 2)), "y = a = [2×1×2]", "y = a = [2×1×2]"),
        (np.ones((0, 3)), "y = a = [0×3]", "y = a = [0×3]"),
    ],
)
def test_a_small_tensor_is_shown_with_its_numbers(figure: Any, readable: str, full: str) -> None:
    assert texts(equation(Variable("a"), figure, a=figure)) == (readable, full)


def test_a_small_matrix_is_typeset() -> None:
    found = equation(Variable("a"), np.eye(2), a=np.eye(2))
    assert found.readable is not None and found.numbers is not None
    assert found.readable.latex == r"\begin{bmatrix} 1 & 0 \\ 0 & 1 \end{bmatrix}"
    rows = "<mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mn>0</mn></mtd><mtd><mn>1</mn></mtd></mtr>"
    assert found.readable.mathml == f"<mrow><mo>[</mo><mtable>{rows}</mtable><mo>]</mo></mrow>"
    assert found.numbers.text == "[2×2]"


def test_without_a_figure_there_is_the_formula_alone() -> None:
    found = equation(a * b, 2.0, a=1.0)
    assert (found.numbers, found.fractions, found.readable, found.full) == (None,) * 4
    assert texts(found) == ("y = a·b",) * 2


def test_each_side_is_a_piece_of_mathml_and_the_whole_is_made_of_them() -> None:
    found = equation(a * b, math.pi / 2, a=math.pi, b=0.5)
    whole = found.followed_by(found.readable)
    assert whole.sides == (
        "<mi>y</mi>",
        "<mo>=</mo><mrow><mi>a</mi><mo>·</mo><mi>b</mi></mrow>",
        "<mo>≈</mo><mrow><mn>3.14</mn><mo>·</mo><mn>0.5</mn></mrow>",
        "<mo>≈</mo><mn>1.57</mn>",
    )
    assert whole.mathml == "".join(whole.sides)
    assert whole.latex == r"y = a \cdot b \approx 3.14 \cdot 0.5 \approx 1.57"
    assert whole.text == "y = a * b ≈ 3.14 * 0.5 ≈ 1.57"


def test_the_differential_is_upright_so_that_it_differs_from_a_node_called_d() -> None:
    upright = '<mi mathvariant="normal">d</mi>'
    assert gradient_of("F", "d").mathml == (
        f"<mfrac><mrow>{upright}<mi>F</mi></mrow><mrow>{upright}<mi>d</mi></mrow></mfrac>"
    )
