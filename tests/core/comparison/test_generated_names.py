"""Generated names only count: what constant_1 or exp_2 is in one expression, it need not be in another."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.comparison.listing import explained_origins
from service.core.errors import InvalidRequest
from service.core.graph.building import assemble_graph
from service.core.graph.graph import Graph
from service.core.graph.names import is_generated
from tests.planted import graph_of, judge, only, origins, run_of

POINT = {"x": 3.0, "y": 4.0}


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        ("u = x + 1; v = y + 2; F = u * v", "v = y + 2; u = x + 1; F = u * v"),
        ("F = (x - 1)^2 + (y - 2)^2", "F = (y - 2)^2 + (x - 1)^2"),
        ("(x - 1)^2 + (y - 2)^2", "(y - 2)^2 + (x - 1)^2"),
        ("exp(x) * exp(y)", "exp(y) * exp(x)"),
        ("F = exp(x) * exp(y)", "F = exp(y) * exp(x)"),
        ("F = exp(x) * exp(y)", "e = exp(y); F = e * exp(x)"),
        ("u = x * 0.5; F = u + y", "u = x / 2; F = y + u"),
        ("u = 0.5 * x * 4; F = u * y", "u = 0.25 * x * 8; F = u * y"),
        ("F = sum(x) * mean(y) + sum(y)", "F = mean(y) * sum(x) + sum(y)"),
        ("F = exp(x) + exp(y) + exp(x)", "F = exp(y) + 2 * exp(x)"),
    ],
)
def test_two_right_programs_of_one_function_are_the_same(baseline: str, candidate: str, shape: tuple[int, ...]) -> None:
    inputs: dict[str, Any] = {name: np.full(shape, figure) for name, figure in POINT.items()}
    for first, second in ((baseline, candidate), (candidate, baseline)):
        found = judge(run_of(graph_of(first), inputs), run_of(graph_of(second), inputs))
        assert origins(found, found.candidate.graph) == []
        assert found.same
        assert not found.counts["compensated"]


@pytest.mark.parametrize(
    ("baseline", "candidate", "wrong"),
    [
        ("F = (x - 1)^2 + y", "F = (x - 2)^2 + y", ["constant_1"]),
        ("F = (x - 1) * (y - 2)", "F = (x - 5) * (y - 7)", ["constant_1", "constant_2"]),
        # The one that both have is paired; the other stands in the place of the baseline's other.
        ("u = x + 1; v = y + 2; F = u * v", "v = y + 3; u = x + 1; F = u * v", ["constant_1"]),
        # Of u × 4 × 0.5 nothing is wrong but u, whose operation it is.
        ("u = x + y; F = u * 4 * 0.5", "u = x - y; F = u * 8 * 0.25", ["u"]),
    ],
)
def test_a_wrong_constant_is_found_by_its_place(baseline: str, candidate: str, wrong: list[str]) -> None:
    graph = graph_of(candidate)
    found = judge(run_of(graph_of(baseline), POINT), run_of(graph, POINT))
    assert [name for phase, name in origins(found, graph) if phase == "forward"] == wrong
    assert explained_origins(found)[0].hypotheses[0].name == "definition" or wrong[0].startswith("constant")
    recorded = only(run_of(graph, POINT), values=["x", "y", "u", "F", "constant_1", "constant_2"])
    sparse = judge(run_of(graph_of(baseline), POINT), recorded)
    assert [name for _, name in origins(sparse, graph)] == wrong


def test_a_wrong_figure_of_a_generated_name_is_an_origin_wherever_it_stands() -> None:
    baseline, candidate = graph_of("F = exp(x) * exp(y)"), graph_of("F = exp(y) * exp(x)")
    for name, phase in (("exp_1", "values"), ("exp_2", "values"), ("exp_1", "gradients"), ("exp_2", "gradients")):
        run = run_of(candidate, POINT, **{phase: {name: 7.0}})  # type: ignore[arg-type]
        found = judge(run_of(baseline, POINT), run)
        assert origins(found, candidate)[0] == ("forward" if phase == "values" else "backward", name)


def test_names_that_a_person_mapped_are_pairs_whatever_they_are() -> None:
    baseline, candidate = graph_of("F = exp(x) * exp(y)"), graph_of("F = exp(y) * exp(x)")
    found = judge(run_of(baseline, POINT), run_of(candidate, POINT), names={"exp_1": "exp_1", "exp_2": "exp_2"})
    assert [name for phase, name in origins(found, candidate) if phase == "forward"] == ["exp_1", "exp_2"]
    assert judge(run_of(baseline, POINT), run_of(candidate, POINT), names={"exp_1": "exp_2"}).same


def test_a_use_that_moves_an_input_is_an_origin() -> None:
    baseline, candidate = graph_of("F = exp(x) * exp(x) * y"), graph_of("F = exp(x) * stop_gradient(exp(x)) * y")
    found = judge(run_of(baseline, POINT), run_of(candidate, POINT))
    assert not found.same
    assert [phase for phase, _ in origins(found, candidate)] == ["backward"]


def test_a_function_of_another_input_is_another_node() -> None:
    baseline, candidate = graph_of("F = exp(x) * y"), graph_of("F = exp(z) * y")
    found = judge(run_of(baseline, POINT), run_of(candidate, {"z": 3.0, "y": 4.0}))
    assert (found.only_in_baseline, found.only_in_candidate) == (("x", "exp_1"), ("z", "exp_1"))
    assert found.same


def recorded_graph(text: str, output: str) -> Graph:
    """The graph of an expression with names as recorders give them: neg__2 is neg:2."""
    nodes = [
        replace(
            node,
            name=node.name.replace("__", ":"),
            inputs=tuple(each.replace("__", ":") for each in node.inputs),
        )
        for node in graph_of(text).nodes
    ]
    return assemble_graph(nodes, [output])


def test_names_that_a_recorder_counted_are_pairs_only_where_shapes_are_alike() -> None:
    right = recorded_graph("neg = -x; e = exp(neg); neg__2 = -e; loss = sum(neg__2)", "loss")
    wrong = recorded_graph("neg = -x; e = exp(neg); s = sum(e); neg__2 = -s; loss = neg__2 * 2", "loss")
    inputs = {"x": np.array([0.5, 1.0])}
    found = judge(run_of(right, inputs), run_of(wrong, inputs))
    assert [name for phase, name in origins(found, wrong) if phase == "forward"] == ["loss"]
    with pytest.raises(InvalidRequest, match="'neg:2' has shape"):
        judge(run_of(right, inputs), run_of(wrong, inputs), names={"neg:2": "neg:2"})
    # A transpose is wrong, and no other node.
    right, wrong = (recorded_graph(f"mul = x @ w; mul__2 = {last}; s = sum(mul__2)", "s") for last in ("mul", "mul.T"))
    inputs = {"x": np.ones((2, 3)), "w": np.ones((3, 4))}
    found = judge(run_of(right, inputs), run_of(wrong, inputs))
    assert ("forward", "mul:2") in origins(found, wrong)


def test_the_only_output_of_each_graph_is_what_both_compute() -> None:
    right, wrong = graph_of("l = x * y; neg = -l"), graph_of("l = x * y; d = l * 2")
    inputs = {"x": 3.0, "y": 4.0}
    found = judge(run_of(right, inputs), run_of(wrong, inputs))
    assert origins(found, wrong) == [("forward", "d"), ("backward", "l")]
    assert not found.only_in_baseline
    refused = [
        (only(run_of(right, inputs), values=["l"], gradients=["l"]), run_of(wrong, inputs), {}),
        (run_of(graph_of("l = x * y; neg = -l", ["l", "neg"]), inputs, output="l"), run_of(wrong, inputs), {}),
        (run_of(right, inputs), run_of(wrong, inputs), {"d": "l"}),
        (run_of(right, inputs), run_of(wrong, inputs), {"l": "neg"}),
    ]
    for baseline, candidate, names in refused:
        with pytest.raises(InvalidRequest, match="gradients are of"):
            judge(baseline, candidate, names=names)


def test_a_generated_name_is_that_of_the_nodes_own_operation_and_a_number() -> None:
    assert is_generated("constant_12", "Constant") and is_generated("reducesum_1", "ReduceSum")
    assert not any(is_generated(name, "Mul") for name in ("mul", "mul_", "mul_a", "add_1", "Mul_1", "_1", "xmul_1"))
