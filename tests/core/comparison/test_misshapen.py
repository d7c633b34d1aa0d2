"""A figure of the transpose's shape, or of a gradient not summed, is an origin; what rests on it is judged."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.comparison.causes import find_causes
from service.core.comparison.error_measures import minimum_tolerance
from service.core.comparison.listing import explained_origins, judged_figures, list_figures
from service.core.comparison.verdicts import Comparison
from service.core.errors import InvalidRequest
from service.core.execution.misshapen import is_transposed, is_unsummed, set_aside_misshapen
from tests.planted import altered, graph_of, judge, named, origins, run_of, verdicts

GRAPH = graph_of("h = x @ W; s = h + b; r = tanh(s) * k; F = sum(r * t)", ["F"])
RANDOM = np.random.default_rng(6)
INPUTS: dict[str, Any] = {
    "x": RANDOM.normal(size=(4, 3)),
    "W": RANDOM.normal(size=(3, 2)),
    "b": RANDOM.normal(size=2),
    "k": 1.5,
    "t": RANDOM.normal(size=(4, 2)),
}
RIGHT = run_of(GRAPH, INPUTS)
VALUES, GRADIENTS = named(GRAPH, RIGHT.values), named(GRAPH, RIGHT.gradients)
TANH = np.tanh(VALUES["s"])


def judged(values: Any = None, gradients: Any = None) -> Comparison:
    return judge(RIGHT, altered(RIGHT, values=values, gradients=gradients))


@pytest.mark.parametrize(
    ("phase", "node", "figure", "name", "said"),
    [
        ("forward", "h", VALUES["h"].T, "transposed", "h has the shape [2, 4]; it should have [4, 2]"),
        ("backward", "W", GRADIENTS["W"].T, "transposed", "∂F/∂W has the shape [2, 3]; it should have [3, 2]"),
        ("backward", "s", GRADIENTS["s"].T, "transposed", "It is transposed."),
        ("backward", "W", GRADIENTS["W"].T + 1.0, "transposed", "but other numbers"),
        ("backward", "b", GRADIENTS["s"], "not summed over the batch", "not summed over its 4 broadcast copies"),
        ("backward", "b", GRADIENTS["s"] + 1.0, "not summed over the batch", "but another sum"),
        ("backward", "k", GRADIENTS["r"] * TANH, "not summed over the batch", "its 8 broadcast copies"),
    ],
)
def test_it_is_the_only_origin_and_has_that_hypothesis(
    phase: str, node: str, figure: Any, name: str, said: str
) -> None:
    found = judged(**{"values" if phase == "forward" else "gradients": {node: figure}})
    assert origins(found, GRAPH) == [(phase, node)]
    assert found.counts["same"] == len(VALUES) + len(GRADIENTS) - 1
    (origin,) = explained_origins(found)
    assert [hypothesis.name for hypothesis in origin.hypotheses] == [name]
    assert said in origin.sentence
    assert [cause.sentence for cause in find_causes(found)] == [origin.sentence]
    assert minimum_tolerance(found) == {"rtol": None, "atol": None}
    (shown,) = judged_figures(found, list_figures(found, (origin.phase.verdicts[origin.position],)))
    assert (shown.worst, shown.absolute_error, shown.ulps) == (None, np.inf, None)
    np.testing.assert_array_equal(origin.phase.given(origin.position), figure)


def test_what_rests_on_it_is_judged_by_its_replay() -> None:
    # A program that goes on with the unsummed gradient passes the right numbers on; another error is found beside it.
    found = judged(values={"h": VALUES["h"].T, "s": VALUES["s"] + 1.0})
    assert origins(found, GRAPH) == [("forward", "h"), ("forward", "s")]
    assert verdicts(found, GRAPH)["forward"]["tanh_1"] == "compensated"
    found = judged(gradients={"s": GRADIENTS["s"].T, "h": 2.0 * GRADIENTS["h"]})
    assert origins(found, GRAPH) == [("backward", "s"), ("backward", "h")]


def test_the_baseline_says_what_is_right_where_the_candidate_does_not() -> None:
    bare = altered(RIGHT, values=dict.fromkeys(VALUES), gradients={"W": GRADIENTS["W"].T})
    assert origins(judge(RIGHT, bare), GRAPH) == [("backward", "W")]


def test_a_node_of_the_candidate_alone_is_judged_too() -> None:
    other = graph_of("h = x @ W; s = h + b; q = tanh(s) * k; F = sum(q * t)", ["F"])
    run = run_of(other, INPUTS)
    wrong = set_aside_misshapen(altered(run, values={"q": named(other, run.values)["q"].T}))
    found = judge(RIGHT, wrong)
    assert origins(found, other) == [("forward", "q")]
    assert explained_origins(found)[0].hypotheses[0].name == "transposed"


def test_other_shapes_are_refused() -> None:
    for figures in (
        {"W": np.zeros((3, 3))},
        {"b": np.zeros((3, 2))},
        {"b": np.zeros((1, 2))},
        {"b": np.zeros(3)},
        {"k": np.zeros(5)},
    ):
        with pytest.raises(InvalidRequest):
            judged(gradients=figures)
    with pytest.raises(InvalidRequest):
        judged(values={"x": INPUTS["x"].T})


def test_shapes() -> None:
    assert is_transposed((2, 3), (3, 2)) and is_transposed((4, 2, 3), (2, 3, 4))
    assert not is_transposed((2, 2), (2, 2)) and not is_transposed((3,), (3, 1))
    assert is_unsummed((4, 2), (2,), [(4, 2)]) and is_unsummed((5, 3, 2), (3, 2), [(5, 4, 2)])
    assert not is_unsummed((4, 2), (2,), [(3, 2)]) and not is_unsummed((2,), (2,), [(2,)])
    assert not is_unsummed((2, 4), (2,), [(4, 2)])


def test_a_run_of_right_shapes_is_left_alone() -> None:
    assert set_aside_misshapen(RIGHT) is RIGHT
    scalars = run_of(graph_of("F = a * a"), {"a": 2.0})
    assert set_aside_misshapen(scalars) is scalars
    none = replace(RIGHT.values, none=np.ones(len(GRAPH), bool))
    wrong = altered(replace(RIGHT, values=none), gradients={"W": GRADIENTS["W"].T})
    aside = set_aside_misshapen(wrong)
    assert aside.values.none is not None and list(aside.misshapen) == [("backward", GRAPH.position["W"])]
