"""Several origins with one cause are one finding."""

import pytest

from service.core.comparison.causes import find_causes
from service.core.execution.run import Run
from tests.planted import SEED, SEED_INPUTS, altered, graph_of, judge, only, run_of

GRAPH = graph_of(SEED)
RIGHT = run_of(GRAPH, SEED_INPUTS)
TUTORIAL = run_of(GRAPH, SEED_INPUTS, gradients={"f": -3.0, "d": 108.0})


def causes(candidate: Run) -> list[tuple[str, str]]:
    """Each finding's sentence, and the nodes whose gradients it explains."""
    return [
        (cause.sentence, "".join(GRAPH.nodes[position].name for _, position in cause.explains))
        for cause in find_causes(judge(RIGHT, candidate))
    ]


def test_the_tutorials_two_origins_have_one_cause() -> None:
    assert causes(TUTORIAL) == [("∂F/∂f and ∂F/∂d: In the local gradient 1/d was taken for d: −1/3 for −3.", "fd")]


@pytest.mark.parametrize("values", ["abcdefF", "abcd"])
def test_one_unclaimed_figure_explains_the_last_answers(values: str) -> None:
    """The tutorial's a, b, c and d alone: ∂F/∂f = −3 explains a, b and c; d has its own mistake."""
    own, shared = causes(only(TUTORIAL, values=list(values), gradients=list("abcd")))
    assert (own[1], shared[1]) == ("d", "cba")
    assert own[0].startswith("∂F/∂d is 108; it should be 1 × (−f/d²)")
    assert shared[0] == (
        "∂F/∂c, ∂F/∂b and ∂F/∂a: a figure that is not given explains them. ∂F/∂f is −3; it should be 1 × 1/d = "
        "1 × 1/(−3) = −1/3 by the quotient rule. −3 is the reciprocal of the right local gradient."
    )


def test_gradients_counted_twice_are_one_finding() -> None:
    assert RIGHT.gradients is not None
    doubled = {name: 2.0 * RIGHT.gradients[GRAPH.position[name]] for name in "abcd"}
    (cause,) = causes(altered(RIGHT, gradients=doubled))
    assert cause[1] == "dcba"
    assert "the gradients of two backward passes were added" in cause[0]


def test_origins_without_anything_in_common_are_findings_of_their_own() -> None:
    found = causes(run_of(GRAPH, SEED_INPUTS, gradients={"f": -0.7731, "a": 11.377}))
    assert [nodes for _, nodes in found] == ["f", "a"]
    assert [sentence.split(";")[0] for sentence, _ in found] == ["∂F/∂f is −0.7731", "∂F/∂a is 11.377"]


def test_equal_runs_have_none() -> None:
    assert causes(RIGHT) == []


def test_a_definition_that_differs_is_one_finding_in_both_passes() -> None:
    other = graph_of("e = a + b; f = e - c; F = f / d")
    (cause,) = find_causes(judge(RIGHT, run_of(other, SEED_INPUTS)))
    assert cause.sentence == (
        "f, ∂F/∂e and ∂F/∂c: f is defined differently in the two graphs: it is e − c, in the baseline e·c."
    )
    assert [other.nodes[position].name for _, position in cause.explains] == ["f", "e", "c"]
