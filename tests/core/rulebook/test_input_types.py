"""What Inputs declare: shapes, float32 through both passes, and whole numbers."""

import math
from typing import Any

import numpy as np
import pytest

from service.core.errors import InvalidGraph, InvalidInputs
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph, node_document
from service.core.graph.shapes import fit_shapes
from service.core.rulebook.input_types import read_shape
from tests.expressions import parsed_documents


def declared(text: str = "F = exp(x) * y + 0.1", **attributes: dict[str, Any]) -> Graph:
    """The graph of a text whose Inputs have these attributes."""
    documents = [
        {**document, "attributes": attributes[document["name"]]} if document["name"] in attributes else document
        for document in parsed_documents(text)
    ]
    return build_graph(documents)


def test_what_is_the_default_does_not_stand_in_the_node() -> None:
    plain = declared()
    assert plain.nodes[0].attributes == {}
    assert declared(x={"dtype": "float64"}, y={"shape": None}).digest == plain.digest
    graph = declared(x={"shape": [None, 3], "dtype": "float32"})
    assert node_document(graph.nodes[0])["attributes"] == {"shape": [None, 3], "dtype": "float32"}
    assert build_graph([node_document(node) for node in graph.nodes]).digest == graph.digest != plain.digest


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"shape": 3}, "a list of lengths is expected, null for any"),
        ({"shape": [-1]}, "a length is 0 or more, or null for any"),
        ({"shape": [1.5]}, "a whole number is expected"),
        ({"dtype": "float16"}, "one of 'float64', 'float32', 'int64' is expected"),
        ({"precision": "float32"}, "Input has no attribute 'precision'"),
    ],
)
def test_what_no_input_declares(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidGraph, match=words):
        declared(x=attributes)


def test_shapes_are_held_to_what_is_declared() -> None:
    graph = declared(x={"shape": [None, 3]}, y={"shape": []})
    assert read_shape([None, 3.0]) == (None, 3)
    for rows in (0, 1, 5):
        forward_pass(graph, {"x": np.ones((rows, 3)), "y": np.float64(2.0)})
    for shape in [(), (3,), (2, 4), (1, 2, 3)]:
        with pytest.raises(InvalidInputs) as caught:
            forward_pass(graph, {"x": np.ones(shape), "y": np.float64(2.0)})
        (fault,) = caught.value.faults
        assert fault.location == ("inputs", "x")
        assert fault.detail == f"'x' is declared with shape [null, 3]; the figure has {list(shape)}"
    assert fit_shapes(graph, {0: (3,), 1: ()})[1] == [(0, "'x' is declared with shape [null, 3]; the figure has [3]")]


# --- float32 ------------------------------------------------------------------------------------------------------


def test_float32_goes_through_both_passes() -> None:
    """Against NumPy's float32, by hand; the literal 0.1 adapts to what it meets."""
    graph = declared(x={"dtype": "float32"}, y={"dtype": "float32"})
    x, y = np.array([0.1, 2.0, -30.0]), np.float64(1 / 3)
    x32, y32 = x.astype(np.float32), np.float32(y)
    values = forward_pass(graph, {"x": x, "y": y})
    at = graph.position
    expected = {"x": x32, "exp_1": np.exp(x32), "mul_1": np.exp(x32) * y32, "F": np.exp(x32) * y32 + np.float32(0.1)}
    for name, figure in expected.items():
        np.testing.assert_array_equal(values[at[name]], figure.astype(np.float64))
    gradients = backward_pass(graph, values, "F", np.array([1.0, 0.1, 3.0]))
    seed32 = np.array([1.0, 0.1, 3.0], dtype=np.float32)
    np.testing.assert_array_equal(gradients[at["F"]], seed32.astype(np.float64))
    np.testing.assert_array_equal(gradients[at["x"]], (seed32 * y32 * np.exp(x32)).astype(np.float64))
    np.testing.assert_array_equal(gradients[at["y"]], np.float64(np.sum(seed32 * np.exp(x32))))
    assert values.flat.dtype == gradients.flat.dtype == np.float64


def test_float32_and_float64_make_float64() -> None:
    graph = declared("p = x * x; F = p * y; q = 2 * pi; g = q * x", x={"dtype": "float32"})
    assert [node.name for position, node in enumerate(graph.nodes) if position in graph.float32_nodes] == [
        "x",
        "p",
        "g",
    ]
    x, y = np.float64(0.1), np.float64(0.7)
    values = forward_pass(graph, {"x": x, "y": y})
    x32 = np.float32(x)
    assert values[graph.position["p"]] == x32 * x32
    assert values[graph.position["F"]] == np.float64(x32 * x32) * y
    assert values[graph.position["g"]] == np.float32(2 * math.pi) * x32
    gradients = backward_pass(graph, values, "F")
    assert gradients[graph.position["p"]] == np.float32(y)
    assert gradients[graph.position["x"]] == 2 * (np.float32(y) * x32)


def test_float32_overflows_where_float32_does() -> None:
    graph = declared("F = exp(x)", x={"dtype": "float32"})
    assert forward_pass(graph, {"x": np.float64(100.0)})[1] == math.inf
    assert forward_pass(graph, {"x": np.float64(1e300)})[0] == math.inf
    assert declared().float32_nodes == frozenset()


# --- whole numbers ------------------------------------------------------------------------------------------------


def test_whole_numbers_have_no_gradient() -> None:
    graph = declared("F = x * k", k={"dtype": "int64"})
    values = forward_pass(graph, {"x": np.array([1.0, 2.0]), "k": np.float64(3.0)})
    gradients = backward_pass(graph, values, "F")
    assert gradients[graph.position["k"]] is None
    np.testing.assert_array_equal(gradients[graph.position["x"]], [3.0, 3.0])


@pytest.mark.parametrize("wrong", [0.5, math.nan, math.inf, 2.0**54])
def test_what_is_no_whole_number(wrong: float) -> None:
    with pytest.raises(InvalidInputs, match=r"'k' takes whole numbers, at most 2\^53 in magnitude"):
        forward_pass(declared("F = x * k", k={"dtype": "int64"}), {"x": np.float64(1.0), "k": np.float64(wrong)})
