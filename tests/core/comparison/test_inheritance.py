"""What follows from an origin: along wrong and unrecorded figures, to what is computed from them."""

import pytest

from service.core.comparison.inheritance import inherited_from
from service.core.comparison.verdicts import Comparison, Verdict
from tests.planted import SEED, SEED_INPUTS, altered, graph_of, judge, only, run_of

GRAPH = graph_of(SEED)
RIGHT = run_of(GRAPH, SEED_INPUTS)
TUTORIAL = {"f": -3.0, "d": 108.0, "e": 6.0, "c": -18.0, "a": 6.0, "b": 6.0}


def follow(found: Comparison, origin: str) -> list[str]:
    """The figures that follow from an origin, those of values with a dot."""
    nodes = found.candidate.graph.nodes
    places = [place for place in found.places(Verdict.ORIGIN) if nodes[place[1]].name == origin]
    follows = inherited_from(found, places)
    assert follows.whole
    return [f"{nodes[position].name}{'.' * (phase.name == 'forward')}" for phase, position in follows.places]


def test_the_tutorials_other_figures_follow_from_its_first_slip_alone() -> None:
    found = judge(RIGHT, altered(RIGHT, gradients=TUTORIAL))
    assert follow(found, "f") == ["e", "c", "b", "a"]
    assert follow(found, "d") == []


def test_what_is_not_given_hands_on_what_is_wrong() -> None:
    found = judge(RIGHT, only(altered(RIGHT, gradients=TUTORIAL), values=list("abcd"), gradients=list("fa")))
    assert follow(found, "f") == ["a"]


def test_a_value_is_read_by_the_gradients_of_what_it_is_multiplied_with() -> None:
    """c is read by the gradient of e, and with it of a and b, but not by its own; f, after it, by that of d."""
    candidate = run_of(GRAPH, {**SEED_INPUTS, "c": -5.0})
    assert follow(judge(RIGHT, candidate), "c") == ["f.", "F.", "e", "d", "b", "a"]


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("L = sum(x + w)", ["add_1.", "L."]),
        ("L = sum(x @ w)", ["matmul_1.", "L.", "w"]),
        ("L = sum(tanh(x) + w)", ["tanh_1.", "add_1.", "L.", "x"]),
        ("L = sum(x * w)", ["mul_1.", "L.", "w"]),
    ],
)
def test_gradients_are_held_against_the_rules_that_read_a_value(expression: str, wrong: list[str]) -> None:
    graph = graph_of(expression)
    inputs = {"x": [[1.0, 2.0], [0.5, -1.0]], "w": [[1.0, 1.5], [0.3, 0.2]]}
    right, candidate = (run_of(graph, {**inputs, "x": x}) for x in (inputs["x"], [[1.0, 2.5], [0.5, 1.0]]))
    assert follow(judge(right, candidate), "x") == wrong


def test_of_very_many_operands_each_gradient_may_read_each() -> None:
    graph = graph_of(f"y = max({', '.join(f'x{k}' for k in range(9))})")
    inputs = {f"x{k}": float(k) for k in range(9)}
    right, candidate = run_of(graph, inputs), run_of(graph, {**inputs, "x0": 20.0})
    assert follow(judge(right, candidate), "x0") == ["y.", "x8", "x0"]


def test_a_walk_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.core.comparison.inheritance._MOST_WALKED", 3)
    found = judge(RIGHT, altered(RIGHT, gradients=TUTORIAL))
    assert not inherited_from(found, list(found.places(Verdict.ORIGIN))).whole
