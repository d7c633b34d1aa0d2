"""Two graphs of one function, or of two: whose figure is wrong by itself, and where the graphs part."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison.listing import explained_origins
from tests.planted import graph_of, judge, only, origins, run_of, verdicts

PARTS = "r = tanh(x); m = r * w; h = m + b; L = h * h"
SWAPPED = "r = tanh(x); h = b + w * r; L = h * h"
POINT = {"x": 0.5, "w": 2.0, "b": 1.0}
OPERATIONS = ["r", "mul_1", "h", "L"]


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({}, []),
        ({"r": 0.5}, ["r"]),
        ({"mul_1": 7.0}, ["mul_1"]),
        ({"h": 7.0}, ["h"]),
        ({"r": 0.5, "h": 9.0}, ["r", "h"]),
    ],
)
def test_a_node_defined_otherwise_is_judged_by_its_own_definition(
    wrong: dict[str, float], expected: list[str], shape: tuple[int, ...]
) -> None:
    baseline, candidate = graph_of(PARTS), graph_of(SWAPPED)
    inputs: dict[str, Any] = {name: np.full(shape, figure) for name, figure in POINT.items()}
    planted = {name: np.full(shape, figure) for name, figure in wrong.items()}
    run = only(run_of(candidate, inputs, values=planted), values=[*POINT, *OPERATIONS])
    found = judge(run_of(baseline, inputs), run)
    assert origins(found, candidate) == [("forward", name) for name in expected]
    assert [each.hypotheses[0].name for each in explained_origins(found) if each.hypotheses].count("definition") == 0
    # What only the candidate has is measured against its replay, or not judged at all.
    assert verdicts(found, candidate)["forward"].get("mul_1") == ("origin" if "mul_1" in wrong else None)
    if "mul_1" in wrong:
        assert found.forward is not None
        position = candidate.position["mul_1"]
        assert found.forward.baseline[position] is None
        replayed = found.forward.expected[position]
        assert replayed is not None and replayed == pytest.approx(2 * np.tanh(0.5), rel=1e-15)


def test_another_function_is_an_origin_by_definition_once() -> None:
    baseline, candidate = graph_of(PARTS), graph_of("r = tanh(x); h = b - w * r; L = h * h")
    found = judge(run_of(baseline, POINT), run_of(candidate, POINT))
    assert [name for phase, name in origins(found, candidate) if phase == "forward"] == ["h"]
    assert explained_origins(found)[0].hypotheses[0].name == "definition"
    assert verdicts(found, candidate)["forward"]["L"] == "inherited"


def test_a_definition_that_was_not_recorded_shows_in_the_next_figure_that_was() -> None:
    text = "r = {}(x); m = r * w; h = m + b; L = h * h"
    baseline, candidate = graph_of(text.format("tanh")), graph_of(text.format("sigmoid"))
    run = only(run_of(candidate, POINT), values=[*POINT, "h", "L"])
    found = judge(run_of(baseline, POINT), run)
    assert [name for phase, name in origins(found, candidate) if phase == "forward"] == ["h"]
    (hypothesis,) = explained_origins(found)[0].hypotheses
    assert hypothesis.name == "definition"
    assert str(hypothesis.because) == (
        "What it is computed from is defined differently in the two graphs: r is sigmoid(x), in the baseline tanh(x)."
    )
    assert verdicts(found, candidate)["forward"]["L"] == "inherited"


def test_a_definition_behind_something_wrong_is_not_accused() -> None:
    baseline, candidate = graph_of(PARTS), graph_of("r = tanh(x); m = r * w; h = b + m; L = h * h")
    found = judge(run_of(baseline, POINT), run_of(candidate, POINT, values={"r": 0.5}))
    assert origins(found, candidate) == [("forward", "r")]
    assert verdicts(found, candidate)["forward"] == {
        **dict.fromkeys("xwb", "same"),
        "r": "origin",
        **dict.fromkeys("mhL", "inherited"),
    }


def test_a_wrong_gradient_of_a_node_used_otherwise_is_one_by_its_own_consumers() -> None:
    baseline, candidate = graph_of("p = a * b; F = p + a"), graph_of("p = a * b; q = a * 1; F = p + q")
    inputs = {"a": 2.0, "b": 3.0}
    right = run_of(baseline, inputs)
    assert judge(right, run_of(candidate, inputs)).same
    found = judge(right, run_of(candidate, inputs, gradients={"a": 3.0}))
    assert origins(found, candidate) == [("backward", "a")]
    (origin,) = explained_origins(found)
    assert "contribution missing" in [hypothesis.name for hypothesis in origin.hypotheses]
    # ∂F/∂q is wrong, which the baseline does not have; what rests on it is not accused.
    found = judge(right, run_of(candidate, inputs, gradients={"q": 5.0}))
    assert origins(found, candidate) == [("backward", "q")]
    assert verdicts(found, candidate)["backward"]["a"] == "inherited"


def test_without_values_a_gradient_of_a_node_used_otherwise_is_an_origin_by_definition() -> None:
    baseline, candidate = graph_of("p = a * b; F = p + a"), graph_of("p = a * b; F = p - a")
    inputs = {"a": 2.0, "b": 3.0}
    right = only(run_of(baseline, inputs), gradients=["a", "b", "p", "F"])
    found = judge(right, run_of(candidate, inputs))
    assert found.forward is None
    assert origins(found, candidate) == [("backward", "a")]
    assert explained_origins(found)[0].hypotheses[0].name == "definition"


@pytest.mark.parametrize(
    ("baseline", "candidate", "told"),
    [
        ("y = clip(x, min=0, max=1)", "y = clip(x, min=0, max=2)", "it has max 2, in the baseline 1."),
        (
            "y = cumsum(x, axis=2)",
            "y = cumsum(x, axis=2, exclusive=1, reverse=1)",
            "exclusive 1, in the baseline 0 and",
        ),
        ("k = 2; y = x * k", "y = x * k", "it is an Input, in the baseline a Constant."),
        ("y = x * Constant(value=2)", "y = x * Constant(value=3)", "defined differently in the two graphs."),
        (f"y = x * {' * '.join(['x'] * 90)}", f"y = sum({', '.join(['x'] * 90)})", "it is Sum, in the baseline "),
    ],
)
def test_the_sentence_says_what_differs(baseline: str, candidate: str, told: str) -> None:
    graphs = [graph_of(baseline), graph_of(candidate)]
    sides = [run_of(graph, {"x": np.full((1, 1, 3), 1.5), "k": 3.0}) for graph in graphs]
    assert told in str(explained_origins(judge(*sides))[0].sentence)
