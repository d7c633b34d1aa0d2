"""How figures are written, and that a sentence and a step take the same number for the same fraction."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core.figures.text import exact_text, figure_text, listed, number_text, short_number
from service.core.symbolic.equation import write_equation
from service.core.symbolic.term import Variable


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2"), (-0.5, "-0.5"), (0.1 + 0.2, "0.30000000000000004"), (1e15, "1000000000000000"), (1e16, "1e+16")],
)
def test_whole_numbers_are_written_without_a_point(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats())
def test_a_number_reads_back_as_the_same_float(value: float) -> None:
    text = number_text(value)
    assert np.float64(text).tobytes() == np.float64(value).tobytes() or math.isnan(value)
    assert math.isnan(float(text)) == math.isnan(value)


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (3.0, "3"),
        (-3.0, "−3"),
        (-1 / 3, "−1/3"),
        (4 / 3, "4/3"),
        (0.25, "0.25"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.3"),
        (0.015625, "1/64"),
        (-0.0625, "−0.0625"),
        (22 / 97, "22/97"),
        (0.123456789, "0.123457"),
        (np.pi, "3.14159"),
        (1 / 3 + 1e-9, "0.333333"),
        (1e-9, "1e−09"),
        (1e300, "1e+300"),
        (-0.0, "−0"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_as_a_person_writes_them(figure: float, words: str) -> None:
    assert figure_text(np.float64(figure)) == words


def test_words_are_listed() -> None:
    assert [listed(["PyTorch", "JAX", "TensorFlow"][:count]) for count in range(4)] == [
        "",
        "PyTorch",
        "PyTorch and JAX",
        "PyTorch, JAX and TensorFlow",
    ]
    assert listed(["a", "b"], "or") == "a or b"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0.0, "0"), (-0.0, "−0"), (2 / 3, "0.667"), (-12.0, "−12"), (108.0, "108"), (1234.5, "1234")],
        *[(99999.0, "99999"), (100000.0, "1e5"), (123456.0, "1.23e5"), (-1.2345e-300, "−1.23e−300")],
        *[
            (0.00012, "0.00012"),
            (0.999999, "1"),
            (999.7, "1000"),
            (math.inf, "∞"),
            (-math.inf, "−∞"),
            (math.nan, "NaN"),
        ],
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short_number(value) == text


@given(st.floats(-1.79e308, 1.79e308))
def test_a_short_number_is_the_number_to_three_digits(value: float) -> None:
    text = short_number(value)
    assert float(text.replace("−", "-")) == pytest.approx(value, rel=5.01e-3, abs=0)
    assert len(text) <= 10


def in_step(value: float) -> str:
    """A figure as the step writes it that says where it comes from."""
    line = write_equation(Variable("y"), Variable("x"), {"x": np.asarray(value)}, np.asarray(value))
    written = line.fractions or line.numbers
    assert written is not None
    return written.text


@given(st.integers(-9000, 9000), st.integers(1, 120), st.integers(-6, 6))
@example(2, 3, 3)
@example(2, 3, 5)
def test_a_sentence_and_a_step_agree_on_fractions(numerator: int, denominator: int, ulps: int) -> None:
    value = numerator / denominator
    value += ulps * math.ulp(value)
    sentence, step = figure_text(np.float64(value)), in_step(value)
    assert ("/" in sentence) == ("/" in step)
    if "/" in sentence:
        assert sentence.replace("−", "-").replace("/", " / ") == step


def test_a_fraction_survives_a_few_roundings() -> None:
    assert 0.6666666666666669 != 2 / 3
    assert figure_text(np.float64(0.6666666666666669)) == "2/3"
    assert in_step(0.6666666666666669) == "2 / 3"
    assert figure_text(np.float64(0.666666666666669)) == "0.666667"
    assert in_step(0.666666666666669) == "0.666666666666669"


@pytest.mark.parametrize(("value", "text"), [(-2.5, "-2.5"), (2 / 3, "0.6666666666666666"), (-math.inf, "−∞")])
def test_all_digits_for_a_reader(value: float, text: str) -> None:
    assert exact_text(value) == text
