"""What is gathered about a figure, and the words for it."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison.evidence import Evidence, gather
from service.core.comparison.sentences import statement
from service.core.comparison.verdicts import Verdict
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from tests.planted import SEED, SEED_INPUTS, altered, graph_of, judge, only, run_of

NAN, INF = float("nan"), float("inf")


def evidence(
    graph: Graph, inputs: Any, node: str, wrong: Any, phase: str = "backward", output: str | None = None
) -> Evidence:
    """The evidence about one wrong figure."""
    mistake = {"values" if phase == "forward" else "gradients": {node: wrong}}
    right, candidate = (run_of(graph, inputs, output=output, **planted) for planted in ({}, mistake))
    found = judge(right, candidate)
    judged = found.forward if phase == "forward" else found.backward
    assert judged is not None
    return gather(found, judged, graph.position[node], candidate)


@pytest.mark.parametrize(
    ("text", "inputs", "node", "wrong", "phase", "says"),
    [
        (SEED, SEED_INPUTS, "f", -3.0, "backward", "∂F/∂f is −3; it should be 1 × 1/d = −1/3."),
        (SEED, SEED_INPUTS, "F", 2.0, "backward", "∂F/∂F is 2; it should be 1."),
        (SEED, SEED_INPUTS, "e", 7.0, "forward", "e is 7; it should be a + b = 6."),
        (SEED, SEED_INPUTS, "a", 7.0, "forward", "a is 7; it should be 5."),
        (SEED, SEED_INPUTS, "a", NAN, "forward", "a is NaN; it should be 5."),
        ("F = 1 / x", {"x": 0.0}, "F", 7.0, "forward", "F is 7; it should be 1/x = ∞."),
        ("F = 1 / x", {"x": 1.0}, "F", -INF, "forward", "F is −∞; it should be 1/x = 1."),
        (
            "F = tanh(x) * y + y",
            {"x": 0.0, "y": 2.0},
            "y",
            5.0,
            "backward",
            "∂F/∂y is 5; it should be 1 × 1 + 1 × tanh(x) = 1.",
        ),
        (
            "F = sigmoid(x)",
            {"x": 0.0},
            "x",
            1.0,
            "backward",
            "∂F/∂x is 1; it should be 1 × F·(1 − F) = 0.25.",
        ),
        (
            "F = w * x",
            {"w": 2.0, "x": np.array([[1.0, 2.0]])},
            "F",
            np.array([[2.0, 5.0]]),
            "forward",
            "F is 5 at [0, 1]; it should be w·x = 4 there.",
        ),
        (
            "F = w * x",
            {"w": 2.0, "x": np.array([1.0, NAN, 2.0])},
            "F",
            np.array([9.0, NAN, NAN]),  # NaN is right in the middle
            "forward",
            "F is NaN at [2]; it should be w·x = 4 there.",
        ),
        (
            "F = w * x",
            {"w": 2.0, "x": np.array([1.0, 2.0])},
            "x",
            np.array([2.0, 3.0]),
            "backward",
            "∂F/∂x is 3 at [1]; it should be 1 × w = 2 there.",
        ),
        (
            "F = x + y",
            {"x": 1.0, "y": 2.0},
            "F",
            3.00001,
            "forward",
            "F is 3.00001; it should be x + y = 3.",
        ),
    ],
)
def test_what_a_figure_is_and_should_be(text: str, inputs: Any, node: str, wrong: Any, phase: str, says: str) -> None:
    assert statement(evidence(graph_of(text), inputs, node, wrong, phase)) == says


def test_the_output_that_is_used_further_on_begins_with_the_seed() -> None:
    graph = graph_of("p = x * y; F = p * z", ["F"])
    inputs = {"x": 2.0, "y": 3.0, "z": 4.0}
    unused = evidence(graph, inputs, "p", -1.0, output="p")
    assert statement(unused) == "∂p/∂p is −1; it should be 1."
    right = run_of(graph, inputs, output="p")
    wrong = altered(right, gradients={"F": 2.0, "p": -1.0})
    found = judge(right, wrong)
    assert found.backward is not None
    used = gather(found, found.backward, graph.position["p"], wrong)
    assert statement(used) == "∂p/∂p is −1; it should be 1 + 2 × z = 9."
    assert used.seed == 1.0 and len(used.edges) == 1


def test_long_formulas_are_left_out() -> None:
    names = [f"x{position}" for position in range(9)]
    graph = build_graph(
        [*({"name": name, "operation": "Input"} for name in names), {"name": "F", "operation": "Max", "inputs": names}]
    )
    inputs = {name: float(position) for position, name in enumerate(names)}
    assert statement(evidence(graph, inputs, "F", 5.5, "forward")) == "F is 5.5; it should be 8."
    assert statement(evidence(graph, inputs, "x8", 5.5)) == "∂F/∂x8 is 5.5; it should be 1."
    five = graph_of("F = (x + a) * (x + b) * (x + c) * (x + d) * (x + e)")
    said = statement(evidence(five, dict.fromkeys("xabcde", 0.5), "x", 7.0))
    assert said == "∂F/∂x is 7; it should be 5."


def test_evidence_about_a_gradient() -> None:
    gathered = evidence(graph_of("F = (a + b) * (b + d)"), {"a": 2.0, "b": 1.0, "d": 7.0}, "b", 3.0)
    assert not gathered.forward
    assert [edge.consumer.name for edge in gathered.edges] == ["add_2", "add_1"]
    assert [float(edge.contribution) for edge in gathered.edges] == [3.0, 8.0]
    assert (float(gathered.figure), float(gathered.expected)) == (3.0, 11.0)
    assert float(gathered.replaced(gathered.edges[0], 0.0)) == 8.0
    assert float(gathered.edges[1].with_local(0.5)) == 4.0
    assert gathered.followers == ()


def test_followers_are_the_verdicts_on_what_a_figure_fed() -> None:
    graph = graph_of("p = x * y; q = sin(p); r = cos(p); F = q + r")
    right = run_of(graph, {"x": 2.0, "y": 3.0})
    for hidden, verdicts in (
        ([], (Verdict.COMPENSATED, Verdict.COMPENSATED)),
        (["q"], (Verdict.COMPENSATED, Verdict.COMPENSATED)),  # r, and F in place of q
        (["q", "r"], (Verdict.COMPENSATED,)),
        (["q", "r", "F"], ()),
    ):
        wrong = altered(right, values={"p": 1.0, **dict.fromkeys(hidden)})
        found = judge(right, wrong)
        assert found.forward is not None
        assert gather(found, found.forward, graph.position["p"], wrong).followers == verdicts


def test_what_could_not_be_replayed_has_no_operands_and_no_edges() -> None:
    graph = graph_of("p = x * y; F = p * p")
    right = only(run_of(graph, {"x": 2.0, "y": 3.0}), values=["p"], gradients=["x", "p"])
    wrong = altered(right, values={"p": 7.0}, gradients={"x": 9.0})
    found = judge(right, wrong)
    assert found.forward is not None and found.backward is not None
    assert gather(found, found.forward, graph.position["p"], wrong).operands == ()
    assert gather(found, found.backward, graph.position["x"], wrong).edges == ()


def test_of_very_many_out_edges_none_is_looked_at() -> None:
    count = 1001
    documents = [
        {"name": "x", "operation": "Input"},
        *({"name": f"s{position}", "operation": "Sin", "inputs": ["x"]} for position in range(count)),
        {"name": "F", "operation": "Sum", "inputs": [f"s{position}" for position in range(count)]},
    ]
    gathered = evidence(build_graph(documents), {"x": 0.0}, "x", -float(count))
    assert gathered.edges == ()
    assert statement(gathered) == "∂F/∂x is −1001; it should be 1001."
