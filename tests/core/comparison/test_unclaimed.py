"""Mistakes on the way, at figures that a run does not give."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison.causes import find_causes
from service.core.comparison.listing import explained_origins
from service.core.comparison.unclaimed import dependence, unrecorded
from service.core.comparison.verdicts import Comparison
from tests.planted import graph_of, judge, only, run_of

R = np.random.default_rng(11)
NET = "z = x @ W; h = tanh(z); L = sum(h * u)"
POINT = {"x": R.normal(size=(2, 3)), "W": R.normal(size=(3, 2)), "u": R.normal(size=(2, 2))}
P = np.array([0.2, 0.5, 0.3])


def found(
    text: str, inputs: dict[str, Any], mistakes: dict[str, Any], values: list[str], gradients: list[str]
) -> Comparison:
    """A comparison with a run that gives a few figures, those after a mistake following from it."""
    graph = graph_of(text)
    wrong = run_of(graph, inputs, **mistakes)
    return judge(run_of(graph, inputs), only(wrong, values=[*inputs, *values], gradients=gradients))


def test_cos_x_for_cos_u_within_one_expression_is_named() -> None:
    wrong = {"gradients": {"x": 3 * np.cos(0.7) * 2 * 0.7}}
    (origin,) = explained_origins(found("F = 3 * sin(x^2)", {"x": 0.7}, wrong, [], ["x"]))
    assert origin.hypotheses[0].name == "unclaimed figure"
    assert origin.sentence.startswith("∂F/∂x is 3.21234; it should be 2.647 × 2·x")
    assert "A figure that is not given explains it. ∂F/∂(x²) is 2.29453; it should be 3 × cos(x²)" in origin.sentence
    assert origin.sentence.endswith("The local gradient toward sin(x²) was taken at x = 0.7, not at x² = 0.49.")


def test_a_tensors_unclaimed_gradient_explains_both_of_its_factors() -> None:
    """1 − z² for 1 − tanh²(z); from ∂L/∂z follow ∂L/∂x and ∂L/∂W."""
    z = POINT["x"] @ POINT["W"]
    comparison = found(NET, POINT, {"gradients": {"z": POINT["u"] * (1 - z**2)}}, [], ["x", "W"])
    (cause,) = find_causes(comparison)
    assert len(cause.explains) == 2
    assert cause.sentence.startswith("∂L/∂W and ∂L/∂x: a figure that is not given explains them. ∂L/∂z is ")
    assert "the input z" in cause.sentence and "was taken for the output h" in cause.sentence


def test_a_tensors_unclaimed_gradient_without_a_name_explains_both_too() -> None:
    comparison = found(NET, POINT, {"gradients": {"z": POINT["u"] ** 2 + 0.3}}, [], ["x", "W"])
    (cause,) = find_causes(comparison)
    assert len(cause.explains) == 2
    assert cause.sentence.startswith("∂L/∂W and ∂L/∂x: a figure that is not given explains them. ∂L/∂z is ")


def test_two_mistakes_are_not_explained_by_one_unclaimed_figure() -> None:
    wrong = {"gradients": {"x": POINT["x"] + 0.37, "W": POINT["W"] + 0.73}}
    causes = find_causes(found(NET, POINT, wrong, [], ["x", "W"]))
    assert [len(cause.explains) for cause in causes] == [1, 1]


@pytest.mark.parametrize(
    ("text", "inputs", "mistake", "claimed", "says"),
    [
        (
            "F = (a + b) * c / d",
            {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0},
            {"add_1": 4.0},
            ["F"],
            "A figure that is not given explains it. a + b is 4; it should be a + b = 5 + 1 = 6. "
            "− was taken for +: it is a − b.",
        ),
        (
            "F = -sum(t * log(p))",
            {"t": np.array([0.0, 1.0, 0.0]), "p": P},
            {"log_1": np.log10(P)},
            ["F"],
            "log10(p) was taken for it.",
        ),
        (
            "F = sum(w * sigmoid(x)) + 1",
            {"w": P, "x": 3 * P},
            {"sigmoid_1": np.tanh(3 * P)},
            ["F"],
            "tanh(x) was taken for it.",
        ),
    ],
)
def test_a_mistake_at_an_unclaimed_value_is_named(
    text: str, inputs: dict[str, Any], mistake: dict[str, Any], claimed: list[str], says: str
) -> None:
    (origin,) = explained_origins(found(text, inputs, {"values": mistake}, claimed, []))
    assert origin.hypotheses[0].name == "unclaimed figure"
    assert origin.sentence.endswith(says)


def test_an_unclaimed_value_explains_all_claims_that_follow_from_it() -> None:
    comparison = found(
        "e = a + b; f = e * c; g = sin(e); F = f + g",
        {"a": 5.0, "b": 1.0, "c": -2.0},
        {"values": {"e": 5.0}},
        ["f", "g"],
        [],
    )
    (cause,) = find_causes(comparison)
    assert cause.sentence == (
        "f and g: a figure that is not given explains them. e is 5; it should be a + b = 5 + 1 = 6. "
        "· was taken for +: it is a · b."
    )


def test_what_lies_behind_a_given_figure_explains_nothing() -> None:
    comparison = found(
        "g = 2 * e * x; v = 0.9 * u + g", {"e": -1.4, "x": 0.9, "u": -10.0}, {"values": {"v": -11.0}}, ["g", "v"], []
    )
    (origin,) = explained_origins(comparison)
    assert origin.hypotheses[0].name != "unclaimed figure"


def test_what_refuses_a_mistaken_value_is_passed_over() -> None:
    """sin(1) for 1 is no index."""
    inputs = {"i": np.array([0.0, 1.0]), "x": np.array([1.0, 5.0])}
    comparison = found("F = gather(x, abs(i))", inputs, {"values": {"F": np.array([0.2, 0.7])}}, ["F"], [])
    (origin,) = explained_origins(comparison)
    assert all(hypothesis.name != "unclaimed figure" for hypothesis in origin.hypotheses)


def test_it_is_sought_in_small_graphs_and_figures_alone() -> None:
    long = "; ".join(["z0 = sin(x)", *(f"z{step} = sin(z{step - 1})" for step in range(1, 70)), "F = z69"])
    comparison = found(long, {"x": 1.0}, {"gradients": {"x": 5.0}}, [], ["x"])
    assert comparison.backward is not None
    assert unrecorded(comparison, comparison.backward, 0) == []
    inputs = {"x": np.ones(13)}
    wide = found("h = tanh(x); F = sum(h * h)", inputs, {"gradients": inputs}, [], ["x"])
    assert wide.backward is not None
    assert dependence(wide, wide.backward, wide.candidate.graph.position["h"]) is None
    names = [wide.candidate.graph.nodes[place].name for place in unrecorded(wide, wide.backward, 0)]
    assert names == ["h", "mul_1"]


def test_what_one_number_cannot_tell_or_an_infinite_slope_hides_is_not_solved_for() -> None:
    few = found("h = tanh(w * x); F = sum(h)", {"w": 0.5, "x": P}, {"gradients": {"w": 5.0}}, [], ["w"])
    steep = found("u = sqrt(x); F = 2 * u", {"x": 0.0}, {"gradients": {"x": 5.0}}, [], ["x"])
    for comparison, place in ((few, "h"), (steep, "u")):
        assert comparison.backward is not None
        depends = dependence(comparison, comparison.backward, comparison.candidate.graph.position[place])
        assert depends is not None
        assert depends.solve(0, np.asarray(5.0), 0.0) is None


@pytest.mark.parametrize(
    ("text", "value", "claimed"),
    [
        ("e = a + b; f = e * c; g = sin(e); F = f + g", 7.3, ["f", "g"]),
        ("e = a + b; f = exp(e); g = e^2; h = 1/e; F = f + g + h", 6.41, ["f", "g", "h"]),
    ],
)
def test_an_unclaimed_number_without_a_name_explains_all_values_that_follow(
    text: str, value: float, claimed: list[str]
) -> None:
    comparison = found(text, {"a": 5.0, "b": 1.0, "c": -2.0}, {"values": {"e": value}}, claimed, [])
    (cause,) = find_causes(comparison)
    assert len(cause.explains) == len(claimed)
    assert f"a figure that is not given explains them. e is {value}; it should be a + b = 5 + 1 = 6." in cause.sentence


def test_values_that_no_one_number_explains_are_findings_of_their_own() -> None:
    inputs, mistakes = {"a": 5.0, "b": 1.0}, {"values": {"f": 1.713, "g": 0.377}}
    for text in (
        "e = a + b; f = 2 * e; g = sin(e)",
        "e = a + b; f = cos(e); g = sin(e)",
        "e = a + b; f = floor(e); g = 3*e",
    ):
        causes = find_causes(found(f"{text}; F = f + g", inputs, mistakes, ["f", "g"], []))
        assert [len(cause.explains) for cause in causes] == [1, 1]
