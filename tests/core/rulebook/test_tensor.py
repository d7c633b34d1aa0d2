"""Constants that are tensors: read, written, told apart by bits, and run."""

import json
import math
from typing import Any

import numpy as np
import pytest

from service.core.errors import InvalidGraph, LimitExceeded
from service.core.graph.building import assemble_graph, build_graph, extend_graph
from service.core.graph.graph import node_document
from service.core.language.expression import parse_expression
from service.core.language.writing import write_expression
from service.core.rulebook.tensor import Tensor, number_or_tensor
from tests.passes import graph_of, run


def constant(value: Any) -> dict[str, Any]:
    return {"name": "c", "operation": "Constant", "attributes": {"value": value}}


def digest(value: Any) -> str:
    return build_graph([constant(value)]).digest


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ([1, 2, 3], (3,)),
        ([[1, 2], [3, 4]], (2, 2)),
        ([[[1.5]]], (1, 1, 1)),
        ([], (0,)),
        ([[], []], (2, 0)),
        ("0x3", (0, 3)),
        ("2x0x1", (2, 0, 1)),
    ],
)
def test_nested_lists_are_a_tensor_and_are_written_again(value: Any, shape: tuple[int, ...]) -> None:
    graph = build_graph([constant(value)])
    tensor = graph.nodes[0].attributes["value"]
    assert isinstance(tensor, Tensor) and tensor.shape == shape and not tensor.array.flags.writeable
    document = node_document(graph.nodes[0])
    assert document["attributes"]["value"] == value
    assert build_graph(json.loads(json.dumps([document]))).digest == graph.digest


def test_what_is_not_finite_is_a_string() -> None:
    graph = build_graph([constant([["NaN", "Infinity"], ["-Infinity", -0.0]])])
    document = node_document(graph.nodes[0])
    assert document["attributes"]["value"] == [["NaN", "Infinity"], ["-Infinity", -0.0]]
    assert math.copysign(1.0, document["attributes"]["value"][1][1]) == -1.0


def test_tensors_are_equal_bit_by_bit() -> None:
    assert digest([1, 2]) == digest([1.0, 2.0])
    different = [
        digest(value)
        for value in (1, [1], [[1]], [0.0], [-0.0], ["NaN"], [1, 2], [[1, 2]], [[1], [2]], [], "0x3", "0x2")
    ]
    assert len(set(different)) == len(different)
    one, same, other = (number_or_tensor(value) for value in ([0.0], (0,), [-0.0]))
    assert one == same and hash(one) == hash(same) and one not in (other, 0.0)
    assert number_or_tensor(one) is one
    assert repr(one) == repr(same) and repr(one).startswith("Tensor([1], ")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, [2]], "a number is expected"),
        ([[1], 2], "the same length"),
        ([[1], [2, 3]], "the same length"),
        ([1, "x"], "in a list of numbers a number is expected"),
        ([True], "a number is expected"),
        ([10**400], "out of float64's range"),
        (json.loads("[" * 33 + "]" * 33), "at most 32 dimensions"),
        ("x", "a number is expected"),
        ("2x3", "only a tensor without elements may be given by its shape alone"),
    ],
)
def test_what_is_no_tensor(value: Any, words: str) -> None:
    with pytest.raises(InvalidGraph, match=words) as caught:
        build_graph([constant(value)])
    assert caught.value.faults[0].location == ("nodes", 0, "attributes", "value")


def test_a_constant_keeps_to_the_limit_of_tensors() -> None:
    graph = build_graph([constant([1, 2])], max_tensor=2)
    with pytest.raises(LimitExceeded, match="a Constant has at most 2 elements; 'd' has 3") as caught:
        extend_graph(graph, [{**constant([1, 2, 3]), "name": "d"}], max_tensor=2)
    assert caught.value.limit == "tensor_elements"


def test_a_list_in_an_expression_is_a_constant() -> None:
    values, gradients = run("F = x * [[1, -2], [3, NaN]]", {"x": 2.0}, seed=[[1.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(values["F"], [[2.0, -4.0], [6.0, math.nan]])
    assert values["constant_1"][0] == [1.0, -2.0]
    assert math.isnan(gradients["x"]) and gradients["constant_1"] is None


@pytest.mark.parametrize(
    "text",
    [
        "c = [1, 2, 3]",
        "c = [[1, -0], [-Infinity, NaN]]; F = c * x",
        "c = []",
        'c = Constant(value="0x3")',
        "F = x + [0.1, 1e+300]",
    ],
)
def test_a_tensor_is_read_back_from_its_text(text: str) -> None:
    graph = graph_of(text)
    written = write_expression(graph)
    assert written is not None
    again = assemble_graph(parse_expression(written, max_bytes=1000, max_depth=10), inputs=graph.inputs)
    assert again.digest == graph.digest


def test_shapes_of_constants_count_in_the_inference() -> None:
    values, gradients = run("F = [1, 2, 3] * [10] + x", {"x": 1.0})
    assert values["F"] == [11.0, 21.0, 31.0] and gradients["x"] == 3.0
