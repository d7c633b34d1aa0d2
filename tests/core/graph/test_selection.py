"""Names that a request gives: of unknown ones the names near them are told."""

from typing import Any

import numpy as np
import pytest

from service.core.errors import GradbookError, Invalid, unknown_names
from service.core.execution.passes import forward_pass
from service.core.graph.building import build_graph
from service.core.graph.selection import find_output, read_names
from tests.planted import graph_of, judge, run_of

GRAPH = graph_of("hidden = weight * input + bias; F = sum(hidden * hidden)")


def refused(call: Any) -> str:
    """The first fault of a refusal."""
    with pytest.raises(GradbookError) as error:
        call()
    return error.value.faults[0].detail if isinstance(error.value, Invalid) else error.value.detail


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: find_output(GRAPH, "hiden"), "the graph has no node 'hiden'; near it is hidden"),
        (lambda: find_output(GRAPH, "Bias"), "the graph has no node 'Bias'; near it is bias"),
        (lambda: find_output(GRAPH, "f"), "the graph has no node 'f'; near it is F"),
        (lambda: find_output(GRAPH, "qqq"), "the graph has no node 'qqq'"),
        (lambda: read_names(GRAPH, ["wieght"], "wrt"), "the graph has no node 'wieght'; near it is weight"),
        (lambda: read_names(GRAPH, [["bias"]], "wrt"), "the name of a node is expected, a string"),
        (
            lambda: forward_pass(GRAPH, {**dict.fromkeys(GRAPH.inputs, np.ones(())), "weights": np.ones(())}),
            "the graph has no input 'weights'; near it is weight",
        ),
        (
            lambda: build_graph(
                [{"name": "alpha", "operation": "Input"}, {"name": "z", "operation": "Exp", "inputs": ["alfa"]}]
            ),
            "'z' reads 'alfa', which is not a node; near it is alpha",
        ),
        (
            lambda: build_graph([{"name": "alpha", "operation": "Input"}], ["alphas"]),
            "'alphas' is not a node of the graph; near it is alpha",
        ),
        (
            lambda: judge(*[run_of(graph_of("hidden = 2 * x"), {"x": 1.0})] * 2, names={"hiden": "hidden"}),
            "the candidate has no node 'hiden'; near it is hidden",
        ),
    ],
)
def test_near_names_are_told(call: Any, says: str) -> None:
    assert refused(call) == says


def test_near_names_are_sought_for_a_few_and_among_a_few() -> None:
    told = [detail for _, detail in unknown_names(["alph"] * 10, ["alpha"], "no")]
    assert told == ["no 'alph'; near it is alpha"] * 8 + ["no 'alph'"] * 2
    many = [f"alpha{number}" for number in range(1001)]
    assert [detail for _, detail in unknown_names(["alpha1x"], many, "no")] == ["no 'alpha1x'"]
    assert [detail for _, detail in unknown_names(["alpha1x"], many[:3], "no")] != ["no 'alpha1x'"]
