"""Whether rounding explains a first difference that nothing introduced."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.comparison.grown_rounding import grown_rounding
from service.core.comparison.listing import summary
from service.core.execution.run import Backward, Run
from service.core.figures.figures import pack
from service.core.graph.graph import Graph
from tests.planted import graph_of, judge, only
from tests.rounded_runs import layer, network, right_run, rounded, rounded_gradients, rounded_values, scalars

CASES = [network(0), layer(1), *map(scalars, range(12))]
DISTANCE = graph_of("p = softmax(z); d = p - q; s = sum(d * d); L = sqrt(s)")
NEAR = {"z": np.array([1.0, 0.5, -1.0]), "q": np.array([0.578125, 0.341796875, 0.07958984375])}


def pair(graph: Graph, inputs: dict[str, Any], dtype: str) -> tuple[Run, Run]:
    """A run in float64, and one whose every figure is rounded, at the same inputs."""
    given = {name: rounded(figure, dtype) for name, figure in inputs.items()}
    right, values = right_run(graph, given), rounded_values(graph, given, dtype)
    assert right.backward
    gradients = rounded_gradients(graph, values, dtype)
    return right, Run(graph, values, dtype, Backward(right.backward.output, right.backward.seed, gradients))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_grew_in_a_rounded_run_is_within_what_rounding_may_do(dtype: str) -> None:
    explained = {"forward": 0, "backward": 0}
    for graph, inputs in CASES:
        right, other = pair(graph, inputs, dtype)
        assert right.backward and other.backward
        gradients = rounded_gradients(graph, right.values, dtype)
        slopes = replace(right, dtype=dtype, backward=replace(right.backward, gradients=gradients))
        for candidate in (other, slopes):
            found = judge(right, candidate, dtype)
            grown = grown_rounding(found)
            assert not found.arose
            assert (grown is None) == found.same
            if grown is not None:
                explained[grown.phase.name] += 1
                assert grown.seen <= (grown.greatest or grown.likely)
                assert "more than that" not in grown.sentence
    assert min(explained.values()) >= 3


def test_it_names_what_amplifies_and_says_what_was_seen() -> None:
    right, other = pair(DISTANCE, NEAR, "bfloat16")
    found = judge(right, only(other, values=["z", "q", "L"], gradients=[]), "bfloat16")
    grown = grown_rounding(found)
    assert grown is not None and grown.errors is not None and grown.greatest is not None
    assert (grown.phase.name, grown.position, grown.index) == ("forward", DISTANCE.position["L"], ())
    assert grown.errors.amplifier == DISTANCE.position["d"]
    assert grown.seen <= grown.greatest
    assert "Rounding in bfloat16 likely moves L by" in grown.sentence
    assert "d = p − q amplifies relative errors" in grown.sentence
    said = summary(found)
    assert said is not None and said.endswith(grown.sentence)


def test_of_a_tensor_it_is_told_at_the_worst_element() -> None:
    right, other = pair(*network(0), "bfloat16")
    grown = grown_rounding(judge(right, other, "bfloat16"))
    assert grown is not None and len(grown.index) == 2
    name = right.graph.nodes[grown.position].name
    assert f"moves {name} at {list(grown.index)} by" in grown.sentence
    figures = right.values[grown.position], other.values[grown.position]
    assert figures[0] is not None and figures[1] is not None
    assert grown.seen == abs(figures[0] - figures[1])[grown.index]


def test_the_roundings_of_both_runs_count() -> None:
    right, other = pair(DISTANCE, NEAR, "bfloat16")
    alone, both = (
        grown_rounding(judge(replace(right, dtype=dtype), other, "bfloat16")) for dtype in ("float64", "bfloat16")
    )
    assert alone is not None and both is not None and alone.greatest is not None and both.greatest is not None
    assert both.likely == pytest.approx(2**0.5 * alone.likely)
    assert both.greatest == pytest.approx(2 * alone.greatest)


def test_a_difference_beyond_it_is_told_to_be_more() -> None:
    graph = graph_of("a = x * w; b = a * 1000; L = b - y")
    inputs = {"x": 1.0, "w": 1.0, "y": 999.0}
    right = right_run(graph, inputs)
    values = {name: figure for name, figure in zip(graph.position, right.values, strict=True)}
    # Each step is off by less than the tolerance allows it, by far more than float64 does.
    values.update(a=np.array(1.0 + 9e-10), b=np.array(1000.0 * (1 + 1.8e-9)), L=np.array(1.0 + 1.8e-6))
    other = replace(right, values=pack([values[node.name] for node in graph.nodes]), backward=None)
    grown = grown_rounding(judge(replace(right, backward=None), other, "float64"))
    assert grown is not None and grown.greatest is not None
    assert grown.seen > grown.greatest
    assert grown.sentence.endswith("was seen, more than that.") or "more than that. " in grown.sentence


def test_origins_equal_runs_and_hidden_figures_have_none() -> None:
    right, other = pair(DISTANCE, NEAR, "bfloat16")
    assert grown_rounding(judge(right, right, "float64")) is None
    wrong = replace(right, values=pack([*list(right.values)[:-1], np.array(1.0)]))
    assert grown_rounding(judge(right, wrong, "bfloat16")) is None
    unknown = only(other, values=["q", "p", "d", "mul_1", "s", "L"], gradients=[])
    grown = grown_rounding(judge(replace(right, values=unknown.values, backward=None), unknown, "bfloat16"))
    assert grown is None


def test_where_a_slope_is_infinite_nothing_is_told() -> None:
    right = right_run(graph_of("s = x * x; L = sqrt(s)"), {"x": 1e-4})
    lost = replace(right, dtype="float16", values=pack([1e-4, 0.0, 0.0]), backward=None)
    found = judge(replace(right, backward=None), lost, "float16")
    assert not found.same and not found.arose
    assert grown_rounding(found) is None
