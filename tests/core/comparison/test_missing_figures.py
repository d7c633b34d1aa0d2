"""Recordings that leave figures out: shapes that follow, and what nothing can replay."""

from collections.abc import Mapping

import numpy as np
import pytest

from service.core.comparison.missing_figures import unreplayable_gradients, without_unknown
from service.core.errors import LimitExceeded
from service.core.graph.graph import Graph
from service.core.graph.shapes import fit_shapes
from tests.planted import graph_of

GRAPH = graph_of("p = x * y; q = p * p; r = q * k; F = r * z; k = 2", ["F"])


def shapes(given: Mapping[str, tuple[int, ...]], graph: Graph = GRAPH) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """By name: the shapes that follow, and what is wrong."""
    known, wrong = fit_shapes(graph, {graph.position[name]: shape for name, shape in given.items()})
    return {graph.nodes[position].name: shape for position, shape in known.items()}, [
        f"{graph.nodes[position].name}: {detail}" for position, detail in wrong
    ]


def test_shapes_follow_from_what_is_given_as_far_as_they_do() -> None:
    assert shapes({}) == ({"k": ()}, [])
    assert shapes({"x": (2, 1), "y": (3,)}) == (
        {"x": (2, 1), "y": (3,), "p": (2, 3), "q": (2, 3), "k": (), "r": (2, 3)},
        [],
    )
    assert shapes({"p": (2,), "F": (3, 2)}) == ({"p": (2,), "q": (2,), "k": (), "r": (2,), "F": (3, 2)}, [])


def test_what_does_not_fit_is_named_once() -> None:
    known, wrong = shapes({"x": (2,), "y": (), "p": (3,), "q": (2,), "z": (5,)})
    assert wrong[0] == "p: 'p' has shape [2]; the figure has [3]"
    assert wrong[1].startswith("F: 'F' (Mul) cannot take shapes [2], [5]: ")
    assert len(wrong) == 2
    assert (known["p"], known["r"]) == ((2,), (2,))


def test_what_follows_is_limited() -> None:
    given = {GRAPH.position["x"]: (100, 1), GRAPH.position["y"]: (1, 100)}
    assert fit_shapes(GRAPH, given, 30_201)[1] == []
    with pytest.raises(LimitExceeded) as caught:
        fit_shapes(GRAPH, given, 30_200)
    assert (caught.value.limit, caught.value.maximum, caught.value.actual) == ("run_elements", 30_200, 30_201)


@pytest.mark.parametrize(
    ("known", "cut"),
    [
        ("xyzk", ""),
        ("xyk", "F"),
        ("xk", "p q r F"),
        ("pk", "p F"),
        ("qk", "p q F"),
        ("k", "p q r F"),
        ("rk", "p q r F"),
    ],
)
def test_what_rests_on_the_unknown_is_cut_off(known: str, cut: str) -> None:
    given = np.array([node.name in known for node in GRAPH.nodes])
    before = given.copy()
    left = without_unknown(GRAPH, given)
    assert {node.name for node in left.nodes if not node.inputs} == {*"xyzk", *cut.split()}
    assert [node.name for node in left.nodes] == [node.name for node in GRAPH.nodes]
    assert (given == before).all()


@pytest.mark.parametrize(
    ("known", "given", "doubtful"),
    [
        ("xyzk", "", ""),
        ("xyk", "F", "k r z q p x y"),  # z is unknown, so F is cut off
        ("xyk", "Fr", "r z"),
        ("xyk", "Frz", "r z"),
        ("zpk", "Frqp", "x y"),
    ],
)
def test_gradients_that_rest_on_the_unknown(known: str, given: str, doubtful: str) -> None:
    cut = without_unknown(GRAPH, np.array([node.name in known for node in GRAPH.nodes]))
    recorded = np.array([node.name in given for node in GRAPH.nodes])
    found = unreplayable_gradients(GRAPH, cut, recorded, "F")
    assert {GRAPH.nodes[position].name for position in found} == set(doubtful.split())


def test_what_does_not_reach_the_output_makes_nothing_doubtful() -> None:
    graph = graph_of("p = x * 2; side = p * y; F = p * 3", ["F"])
    cut = without_unknown(graph, np.array([node.name != "y" for node in graph.nodes]))
    nothing = np.zeros(len(graph), dtype=bool)
    assert unreplayable_gradients(graph, cut, nothing, "F").size == 0
    assert {graph.nodes[position].name for position in unreplayable_gradients(graph, cut, nothing, "side")} >= {
        "p",
        "y",
    }
