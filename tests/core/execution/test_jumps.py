"""Where no derivative exists although no operation shows it by its own operands."""

from typing import Any

import numpy as np
import pytest

from service.core.execution.jumps import jumping_nodes
from service.core.execution.passes import backward_pass, forward_pass, nondifferentiable_nodes
from service.core.figures.figures import pack
from tests.passes import Named, arrays_of, graph_of

INFINITY = np.inf


def marked(text: str, inputs: Named) -> list[str]:
    """The names of the nodes at which no derivative exists."""
    graph = graph_of(text)
    values = forward_pass(graph, arrays_of(inputs))
    return [graph.nodes[position].name for position in nondifferentiable_nodes(graph, values)]


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("F = where(x, 1/x, 1)", {"x": 0}, ["F"]),
        ("F = where(x, 1/x, 1)", {"x": 2}, []),
        ("F = where(x * y, x, y)", {"x": 0, "y": 3}, ["F"]),
        ("F = sum(where(x, x^2, 1))", {"x": [1, 0]}, ["where_1"]),
        ("F = sum(where(x, x^2, 1))", {"x": [1, 2]}, []),
        # A comparison moves by steps; it is marked itself where it jumps.
        ("F = where(x > 0, x, -x)", {"x": -1}, []),
        ("c = x > 0; F = where(c, x, -x)", {"x": 0}, ["c"]),
        ("F = where((x > 0) * (y > 0), x, y)", {"x": -1, "y": 2}, []),
        # What serves as a condition alone is a mask.
        ("F = where(m, x, y)", {"m": 0, "x": 1, "y": 2}, []),
        ("F = sum(where(m * n, x, y))", {"m": [0, 1], "n": [1, 0], "x": 1, "y": 2}, []),
        ("F = sum(gather(x, i)) + where(i, 1, 2)", {"x": [1, 2], "i": 0}, []),
    ],
)
def test_a_choice_is_marked_at_its_own_jump(text: str, inputs: dict[str, Any], expected: list[str]) -> None:
    assert marked(text, inputs) == expected


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("F = min(1, 1/x)", {"x": 0}, ["F"]),
        ("F = max(1, -1/x)", {"x": 0}, ["F"]),
        ("F = relu(-1/(x - 1))", {"x": 1}, ["F"]),
        ("F = clip(2 + 1/x, min=0, max=1)", {"x": 0}, ["F"]),  # constant on both sides, but not the same
        ("F = sign(1/x)", {"x": 0}, ["F"]),
        ("F = sign(1/x^2)", {"x": 0}, []),
        ("F = where(m, sign(1/x^2), 1)", {"x": 0, "m": 0}, []),
        ("F = (1/x > 0) * y", {"x": 0, "y": 2}, ["greater_1"]),
        ("F = min(1, 1/x^2)", {"x": 0}, []),
        ("F = min(1, 1/x)", {"x": 1e-300}, []),
        ("F = min(1, y)", {"y": INFINITY}, []),
        ("F = min(1, 1/x, y)", {"x": 2, "y": INFINITY}, []),
        ("F = max(0, log(x))", {"x": 0}, ["F"]),  # beyond 0 there is no value at all
        ("F = min(y / x)", {"x": [0, 1], "y": [1, 2]}, ["F"]),
        ("F = min(y / x^2)", {"x": [0, 1], "y": [1, 2]}, []),
        ("F = where(x > 1, 1/x, x)", {"x": 0}, []),
        ("F = sum(min(1, x^-3))", {"x": [0, 4]}, ["min_1"]),
        ("F = sum(max_pool(1 / x, kernel_shape=[2]))", {"x": [[[0, -4]]]}, []),
        ("F = sum(max_pool(-1 / x, kernel_shape=[2]))", {"x": [[[0, -4]]]}, ["maxpool_1"]),
    ],
)
def test_what_is_constant_on_one_side_of_a_pole_only_is_marked(
    text: str, inputs: dict[str, Any], expected: list[str]
) -> None:
    assert marked(text, inputs) == expected


def test_under_a_librarys_convention_the_same_nodes_are_marked() -> None:
    for convention in ("torch", "jax", "tensorflow"):
        graph = graph_of("F = min(1, 1/x)").with_convention(convention)
        assert nondifferentiable_nodes(graph, forward_pass(graph, arrays_of({"x": 0}))) == (graph.position["F"],)


def test_where_values_are_unknown_nothing_is_marked() -> None:
    graph = graph_of("p = 1/x; F = min(1, p) + where(x, p, 1)")
    values = list(forward_pass(graph, arrays_of({"x": 0})))
    least, chosen = graph.position["min_1"], graph.position["where_1"]
    assert jumping_nodes(graph, pack(values)) == {chosen, least}
    for names, expected in (("xp", set()), (["p"], {chosen}), (["min_1"], {chosen}), (["x"], set())):
        known = [None if node.name in names else value for node, value in zip(graph.nodes, values, strict=True)]
        assert jumping_nodes(graph, pack(known)) == expected


def test_the_gradient_of_what_is_constant_on_one_side_is_zero() -> None:
    graph = graph_of("F = min(1, 1/x)")
    values = forward_pass(graph, arrays_of({"x": 0}))
    assert backward_pass(graph, values, "F").flat[graph.position["x"]] == 0.0
