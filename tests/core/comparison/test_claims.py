"""Figures as a person writes them, and what they stand for."""

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.comparison import claims
from service.core.comparison.claims import (
    AmbiguousNumber,
    Claim,
    common_decimals,
    read_json_number,
    read_number,
    resolve_claims,
    stands_rounded,
)
from service.core.execution.chain_rule import value_at
from service.core.graph.graph import Graph
from service.core.rulebook import registry
from service.core.rulebook.registry import define
from tests.planted import SEED, SEED_INPUTS, graph_of, named, run_of

finite = st.floats(allow_nan=False, allow_infinity=False)


def claim(*texts: str) -> Claim:
    """One figure; with several texts, a vector."""
    figures, slacks = zip(*map(read_number, texts), strict=True)
    shape = () if len(texts) == 1 else (len(texts),)
    return Claim(np.array(figures).reshape(shape), np.array(slacks).reshape(shape))


# --- one number ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "half_unit"),
    [
        ("6", 6.0, 0.0),
        ("+6", 6.0, 0.0),
        ("-6", -6.0, 0.0),
        ("−6", -6.0, 0.0),
        (" 6 ", 6.0, 0.0),
        ("2/3", 2 / 3, 0.0),
        ("-2/3", -2 / 3, 0.0),
        ("−1 / 3", -1 / 3, 0.0),
        ("0/5", 0.0, 0.0),
        ("0.667", 0.667, 0.0005),
        ("-.5", -0.5, 0.05),
        ("2.", 2.0, 0.5),
        ("2.50", 2.5, 0.005),
        ("1e-3", 1e-3, 0.0005),
        ("1E3", 1000.0, 500.0),
        ("1.5e+2", 150.0, 5.0),
        ("0.0", 0.0, 0.05),
        ("1e-400", 0.0, 0.0),
        ("1" + "0" * 299 + "/1", 1e299, 0.0),
        ("1 1/3", 4 / 3, 0.0),
        ("-1 1/3", -4 / 3, 0.0),
        ("−2  1 / 2", -2.5, 0.0),
        ("+0 2/3", 2 / 3, 0.0),
        ("≈0.667", 0.667, 0.0005),
        ("~ −0.53", -0.53, 0.005),
        ("≈6", 6.0, 0.5),
        ("≈2/3", 2 / 3, 0.0),
        ("0,667", 0.667, 0.0005),
        ("−0,667", -0.667, 0.0005),
        ("1,5", 1.5, 0.05),
        (",25", 0.25, 0.005),
        ("12,3456", 12.3456, 0.00005),
        ("1,5e-3", 0.0015, 0.00005),
        ("1000,00", 1000.0, 0.005),
    ],
)
def test_what_a_text_says(text: str, value: float, half_unit: float) -> None:
    read, slack = read_number(text)
    assert read == value
    assert slack == pytest.approx(half_unit, rel=1e-9, abs=1e-300 if half_unit == 0 and value else 1e-320)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "5,",
        "1,5,2",
        "1.000,5",
        "1,000,000",
        "1 2",
        "1 1/",
        "≈",
        "≈≈1",
        "2/0",
        "1 2/0",
        "1/2/3",
        "2/-3",
        "0x10",
        "1_000",
        "1e",
        "e5",
        ".",
        "NaN",
        "inf",
        "٣",
        "--1",
        "1e9999",
    ],
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"fraction|decimal"):
        read_number(text)


@pytest.mark.parametrize(
    ("text", "decimal", "grouped"),
    [
        ("1,000", "1.000", "1000"),
        ("-12,345", "-12.345", "-12345"),
        (" 10,500 ", "10.500", "10500"),
        ("≈1,000", "1.000", "1000"),
        ("1,000e3", "1.000e3", "1000e3"),
        ("1000,000", "1000.000", "1000000"),
    ],
)
def test_a_comma_before_three_digits_has_two_readings(text: str, decimal: str, grouped: str) -> None:
    with pytest.raises(AmbiguousNumber, match=rf"write {re.escape(decimal)} or {grouped}$") as refused:
        read_number(text)
    assert f"is {float(decimal):g} where a comma is the decimal sign" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "decimals", "half_unit"),
    [
        ("0.667", None, 0.0005),
        ("0.670", None, 0.0005),
        ("0.37", None, 0.005),
        ("-0.53", None, 0.005),
        ("1.5", None, 0.05),
        ("12.0", None, 0.0),
        ("12.00", None, 0.005),
        ("1.5e-7", None, 0.5e-8),
        ("1.5e+7", None, 0.0),
        ("0.2", None, 0.0),
        ("0.2", 2, 0.005),
        ("0.2", 3, 0.0005),
        ("0.05", None, 0.0),
        ("0.05", 2, 0.005),
        ("0.003", 2, 0.0005),
        ("0.37", 3, 0.005),
        ("1.0", None, 0.0),
        ("1.0", 2, 0.005),
        ("0.0", 2, 0.0),
        ("0.00", None, 0.0),
        ("2e3", 2, 0.0),
        ("0.6666666666666666", None, 0.0),
        ("0.6666666666666666", 2, 0.0),
        ("0.666666666666667", None, 0.5e-15),
        ("0e999", None, 0.0),
        ("1.5e-0007", None, 0.0),
    ],
)
def test_how_far_a_number_may_be_rounded(text: str, decimals: int | None, half_unit: float) -> None:
    value, slack = read_json_number(text, decimals)
    assert value == float(text)
    assert slack == pytest.approx(half_unit, rel=1e-9, abs=4 * np.spacing(abs(value)) if half_unit else 0.0)


@pytest.mark.parametrize(
    ("texts", "decimals"),
    [
        (["0.37", "0.2"], 2),
        (["0.4312", "≈0.37", "−0.123"], 2),
        (["0,37", "0.2"], 2),
        (["1.5", "0.2", "2/3", "six", "0.05"], None),
        (["0.6666666666666666", "3.00"], 2),
        ([], None),
    ],
)
def test_how_many_decimals_claims_have_in_common(texts: list[str], decimals: int | None) -> None:
    assert common_decimals(texts) == decimals


@given(finite.filter(lambda x: 1e-9 < abs(x) < 1e9), st.integers(2, 12))
def test_what_a_program_rounds_is_within_its_slack(x: float, decimals: int) -> None:
    """`round` and the shortest decimal of its result, as `json.dumps(round(x, 2))` writes it."""
    rounded = round(x, decimals)
    value, slack = read_json_number(repr(rounded), decimals)
    assert value == rounded
    assert abs(rounded - x) <= slack + 4 * np.spacing(abs(x)) or rounded == 0.0 or len(repr(abs(rounded))) > 16


@pytest.mark.parametrize("text", ["1e309", "-1e400", "9" * 400, "0e999", "0.0e400"])
def test_what_is_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="out of float64's range"):
        read_number(text)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**30))
def test_a_fraction_is_read_to_the_nearest_number(numerator: int, denominator: int) -> None:
    assert read_number(f"{numerator}/{denominator}") == (float(Fraction(numerator, denominator)), 0.0)


@given(finite.filter(lambda x: abs(x) < 1e15), st.integers(1, 12))
def test_a_number_written_with_some_decimals_is_within_its_slack(x: float, decimals: int) -> None:
    value, slack = read_number(f"{x:.{decimals}f}")
    assert abs(value - x) <= slack
    assert slack <= 0.5 * 10.0**-decimals + 4 * np.spacing(abs(value))


@given(finite, st.integers(0, 16))
def test_a_number_written_with_an_exponent_is_within_its_slack(x: float, digits: int) -> None:
    try:
        value, slack = read_number(f"{x:.{digits}e}")
    except ValueError:
        assert abs(x) > 1e307
    else:
        assert abs(value - x) <= slack or abs(x) < 1e-300


def test_halves_round_to_either_side() -> None:
    for figure, text in ((0.125, "0.12"), (0.125, "0.13"), (0.45, "0.5"), (0.55, "0.5"), (-2.5, "-2."), (-2.5, "-3.")):
        value, slack = read_number(text)
        assert abs(value - figure) <= slack


# --- all claims of a check ----------------------------------------------------------------------------------------


def meant(
    text: str, inputs: Any, values: dict[str, str], gradients: dict[str, str], output: str = "F"
) -> dict[str, dict[str, Any]]:
    """What claims about an expression stand for."""
    graph = graph_of(text)
    right = run_of(graph, inputs, output=output)
    given = [{name: claim(*written.split()) for name, written in each.items()} for each in (values, gradients)]
    settled = resolve_claims(right if gradients else replace(right, backward=None), *given)
    return {kind: {name: figure.tolist() for name, figure in figures.items()} for kind, figures in settled.items()}


def test_a_rounded_claim_is_the_right_figure() -> None:
    settled = meant(SEED, SEED_INPUTS, {"e": "6.0", "F": "4"}, {"f": "-0.33", "e": "0.667", "d": "1.3", "a": "2/3"})
    right = named(graph_of(SEED), run_of(graph_of(SEED), SEED_INPUTS).gradients)
    assert settled["values"] == {"e": 6.0, "F": 4.0}
    assert settled["gradients"] == {name: float(right[name]) for name in "feda"}


def test_what_stands_rounded() -> None:
    right = np.array([2 / 3, 0.5, np.nan])
    assert stands_rounded(claim("0.667", "0.5", "1/2"), right)
    assert not stands_rounded(claim("2/3", "0.5", "0.37"), right)
    assert not stands_rounded(claim("0.30"), np.array(0.1 + 0.2))  # only the last bits differ


def test_a_claim_that_is_wrong_in_its_last_digit_stands_as_written() -> None:
    assert meant(SEED, SEED_INPUTS, {"e": "6.1"}, {})["values"] == {"e": 6.1}
    settled = meant(SEED, SEED_INPUTS, {}, {"f": "-0.34", "a": "0.66", "b": "0.67", "c": "-3", "d": "1.4"})
    assert settled["gradients"]["f"] == -0.34
    assert settled["gradients"]["c"] == -3.0
    assert settled["gradients"]["d"] == 1.4
    assert settled["gradients"]["a"] == 0.66
    assert settled["gradients"]["b"] == pytest.approx(2 / 3, rel=1e-15)


def test_what_follows_from_a_wrong_claim_is_not_blamed_for_its_rounding() -> None:
    graph = "p = x / y; q = p * 2; F = q / 7"
    settled = meant(graph, {"x": 1.0, "y": 3.0}, {"p": "0.9", "q": "1.80", "F": "0.26"}, {})
    assert settled["values"] == {"p": 0.9, "q": 1.8, "F": 1.8 / 7}
    near = meant(graph, {"x": 1.0, "y": 3.0}, {"p": "334/1000", "q": "0.67", "F": "0.1"}, {})
    assert near["values"]["q"] == 2 / 3  # both 2/3 and 0.668 would be written so
    slopes = meant(SEED, SEED_INPUTS, {}, {"f": "-3", "e": "6.0", "c": "-18.000", "a": "6.1"})
    assert slopes["gradients"] == {"f": -3.0, "e": 6.0, "c": -18.0, "a": 6.1}


def test_claims_are_followed_even_to_zero() -> None:
    settled = meant(SEED, SEED_INPUTS, {}, {"f": "0", "e": "0.01", "c": "0.0"})
    assert settled["gradients"] == {"f": 0.0, "e": 0.01, "c": 0.0}


def test_each_element_is_settled_by_itself() -> None:
    settled = meant(
        "F = x / y",
        {"x": np.array([1.0, 2.0, 4.0]), "y": 3.0},
        {"F": "0.33 0.66 4/3"},
        {"x": "0.33 0.33 0.3", "y": "-0.8"},
    )
    assert settled["values"]["F"] == [1 / 3, 0.66, 4 / 3]
    assert settled["gradients"]["x"] == [1 / 3, 1 / 3, 1 / 3]
    assert settled["gradients"]["y"] == pytest.approx(-7 / 9, rel=1e-15)


def test_values_alone_are_settled_without_gradients() -> None:
    assert meant(SEED, SEED_INPUTS, {"f": "-12.0"}, {}) == {"values": {"f": -12.0}, "gradients": {}}


def test_what_does_not_reach_the_output_has_no_slope() -> None:
    text = "w = sqrt(x); F = x * 2"
    settled = meant(text, {"x": 0.0}, {}, {"w": "0.0", "x": "2.0"})
    assert settled["gradients"] == {"w": 0.0, "x": 2.0}
    followed = meant("w = sqrt(x); p = x * 3; F = p * 2", {"x": 0.0}, {}, {"p": "5/9", "x": "1.67"})
    assert followed["gradients"]["x"] == pytest.approx(5 / 3, rel=1e-15)
    claimed = meant("w = x * 3; F = x * 2", {"x": 0.0}, {}, {"w": "1.0", "x": "5.0"})
    assert claimed["gradients"] == {"w": 1.0, "x": 5.0}


def test_a_condition_is_a_number() -> None:
    assert meant("w = x > 1; F = -w", {"x": 2.0}, {"w": "1.0", "F": "-1.0"}, {})["values"] == {"w": 1.0, "F": -1.0}


def test_an_index_has_no_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    for entries in ("_by_name", "_by_alias", "_by_function"):
        monkeypatch.setattr(registry, entries, dict(getattr(registry, entries)))
    define(
        "OwnPick",
        "x index",
        forward=lambda x, index: x[int(index)],
        contributions=lambda upstream, x, index, z: (upstream * (np.arange(len(x)) == index), None),
        infer_shape=lambda shapes, attributes: (),
    )
    settled = meant(
        "F = ownpick(x, i)", {"x": np.array([3.0, 4.0]), "i": 1.0}, {"F": "4.0"}, {"x": "0.0 1.0", "i": "0.0"}
    )
    assert settled == {"values": {"F": 4.0}, "gradients": {"x": [0.0, 1.0], "i": 0.0}}


def test_claims_that_stand_for_the_right_figures_are_settled_without_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    for function in ("walk_forward", "sweep_gradients"):
        monkeypatch.setattr(claims, function, None)
    settled = meant(SEED, SEED_INPUTS, {"e": "6.0", "F": "5"}, {"f": "-0.33", "d": "4/3", "a": "7"})
    assert settled["values"] == {"e": 6.0, "F": 5.0}
    assert settled["gradients"] == {"f": -1 / 3, "d": 4 / 3, "a": 7.0}


def test_only_what_a_claim_moves_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    met = []

    def noted(graph: Graph, position: int, operands: Any) -> Any:
        met.append(graph.nodes[position].name)
        return value_at(graph, position, operands)

    monkeypatch.setattr(claims, "value_at", noted)
    text = "p = x * 2; q = x + 1; r = p * q; s = q - 3; F = r * s"
    assert meant(text, {"x": 1.0}, {"p": "2.25", "F": "0.1"}, {})["values"] == {"p": 2.25, "F": 0.1}
    assert met == ["r", "F"]
