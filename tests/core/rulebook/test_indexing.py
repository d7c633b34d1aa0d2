"""What takes, writes, orders and rearranges elements: at ties, NaN and repeated indices, and what it refuses."""

import math
from typing import Any

import numpy as np
import pytest

from service.core.derivatives.one_sided import one_sided_derivatives
from service.core.graph.graph import Node
from tests.tensors import evaluate, operation_of, propagate

NAN, X = math.nan, np.arange(6.0).reshape(2, 3)


def test_updates_that_go_to_one_element_are_combined() -> None:
    combined = {
        reduction: evaluate("ScatterElements", [5, 6, 7], [1, -2, 0], [2, 3, 1], reduction=reduction).tolist()
        for reduction in ("add", "mul", "max", "min")
    }
    assert combined == {"add": [6, 11, 7], "mul": [5, 36, 7], "max": [5, 6, 7], "min": [1, 2, 7]}
    with np.errstate(invalid="ignore"):
        found = evaluate("ScatterElements", [5, NAN], [0, 1], [NAN, 2], reduction="max")
    assert np.isnan(found).all()


def test_a_product_by_zero_has_the_product_of_the_others_as_derivative() -> None:
    to_x, _, to_updates = propagate("ScatterElements", 1.0, [0, 3], [0, 0, 1, 1], [4, 5, 0, 2], reduction="mul")
    assert to_x.tolist() == [20, 0] and to_updates.tolist() == [0, 0, 6, 0]


def test_extrema_that_are_scattered_are_shared_among_ties() -> None:
    operands = [[2, 1], [0, 0, 1], [2, 1, 3]]
    to_x, _, to_updates = propagate("ScatterElements", [6.0, 4.0], *operands, reduction="max")
    assert to_x.tolist() == [3, 0] and to_updates.tolist() == [3, 0, 4]
    operation = operation_of("ScatterElements")
    for reduction, (left, right) in {"max": ([0, 0], [1, 0]), "min": ([0, 1], [0, 1])}.items():
        node = Node("z", operation, ("x", "i", "u"), {"axis": 0, "reduction": reduction})
        given = [np.array(each, dtype=float) for each in operands]
        (of_x, *_) = one_sided_derivatives(node, given, operation.evaluate(given, node.attributes))
        assert (of_x.left.tolist(), of_x.right.tolist()) == (left, right)


def test_the_lower_index_comes_first_and_nan_is_the_greatest() -> None:
    assert evaluate("Sort", [2, NAN, 1, 2], output=1).tolist() == [2, 0, 3, 1]
    assert evaluate("Sort", [2, NAN, 1, 2], descending=1, output=1).tolist() == [1, 0, 3, 2]
    assert evaluate("TopK", [1, 2, 2, 0], k=2, output=1).tolist() == [1, 2]
    assert evaluate("TopK", [0, 2, 1, 0], k=3, largest=0, sorted=0).tolist() == [0, 1, 0]
    assert evaluate("ArgMax", [1, 2, 2], select_last_index=1, keepdims=0) == 2
    assert evaluate("ArgMin", [3, NAN, 1], keepdims=0) == 1


@pytest.mark.parametrize(
    ("k", "largest", "left", "right"),
    [(1, 1, [0, 0, 0], [1, 0, 1]), (1, 0, [0, 1, 0], [0, 1, 0]), (2, 0, [1, 1, 1], [0, 1, 0])],
)
def test_one_element_of_a_tie_is_chosen_on_one_side(k: int, largest: int, left: list[int], right: list[int]) -> None:
    attributes = {"k": k, "axis": 0, "largest": largest, "sorted": 1, "output": 0}
    node, x = Node("z", operation_of("TopK"), ("x",), attributes), np.array([3.0, 1.0, 3.0])
    (sides,) = one_sided_derivatives(node, [x], node.operation.evaluate([x], node.attributes))
    assert (sides.left.tolist(), sides.right.tolist()) == (left, right)


def test_labels_out_of_range_are_nowhere_where_a_depth_is_given() -> None:
    found = evaluate("OneHot", [0, 3, -1, -4], [2, 5], depth=3, axis=0)
    assert found.T.tolist() == [[5, 2, 2], [2, 2, 2], [2, 2, 5], [2, 2, 2]]
    _, to_values = propagate("OneHot", np.arange(12.0).reshape(4, 3), [0, 3, -1, -4], [2, 5], depth=3)
    assert to_values.tolist() == [66 - 0 - 8, 8]


@pytest.mark.parametrize(
    ("operation", "operands", "given", "fault"),
    [
        ("GatherElements", [X, [0]], {}, "the indices have 1 axes; as many as x has, 2, are expected"),
        ("GatherElements", [X, [[0], [0], [0]]], {"axis": 1}, "along axis 0 there are 3 indices, but x has length 2"),
        ("GatherElements", [X, [[0, 2]]], {}, "index 2 is out of range for axis 0 of length 2"),
        ("GatherElements", [X, [[0.5]]], {}, "index 0.5 is not an integer"),
        ("ScatterElements", [X, [[0, 1]], [[1]]], {}, r"the updates have shape \[1, 1\], not \[1, 2\]"),
        ("ScatterElements", [[1, 2], [0, -2], [3, 4]], {}, "two updates go to one element; a reduction says"),
        ("ScatterElements", [X, [[0]], [[1]]], {"axis": 2}, "axis 2 is out of range"),
        ("GatherND", [X, [[0, 1, 0]]], {}, "each row of the indices names 3 axes; 1 to 2 are expected"),
        ("GatherND", [X, [[0], [1], [0]]], {"batch_dims": 1}, "the first 1 axes of x and of the indices must"),
        ("GatherND", [X, [0]], {"batch_dims": 1}, "batch_dims is 1; x and the indices need more axes than that"),
        ("GatherND", [X, [[0, 3]]], {}, "index 3 is out of range for axis 1 of length 3"),
        ("ScatterND", [X, [[0]], [1]], {}, r"the updates have shape \[1\], not \[1, 3\]"),
        ("TopK", [X], {"k": 4}, "k is 4, but axis 1 has length 3"),
        ("ArgMax", [np.ones((0, 2))], {}, "axis 0 has no elements"),
        ("SumOfTies", [[1, 2], [1]], {}, r"expected two operands of one shape, not \[2\] and \[1\]"),
        ("Trilu", [[1, 2]], {}, "a matrix, or a stack of them, is expected"),
        ("Tile", [X], {"repeats": [2]}, r"repeats is \[2\]; a number from 0 on is expected for each of 2 axes"),
        ("TileAdjoint", [X, X], {"repeats": [2, 1]}, r"has shape \[2, 3\]; the copies have \[4, 3\]"),
        ("DepthToSpace", [X], {"blocksize": 2}, "axes for samples, channels, rows and columns are expected"),
        ("DepthToSpace", [np.ones((1, 3, 1, 1))], {"blocksize": 2}, "3 channels cannot be spread over squares"),
        ("SpaceToDepth", [np.ones((1, 1, 2, 3))], {"blocksize": 2}, "2 × 3 pixels cannot be parted into squares"),
        ("OneHot", [[0], [0, 1, 2]], {"depth": 2}, r"elsewhere and at the label, not the shape \[3\]"),
        ("OneHot", [[0.5], [0, 1]], {"depth": 2}, "label 0.5 is not an integer"),
        ("OneHot", [[0], [0, 1]], {"depth": 2, "ignore_index": 1}, "expected a depth or ignore_index, not both"),
    ],
)  # fmt: skip
def test_what_is_refused(operation: str, operands: list[Any], given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        evaluate(operation, *operands, **given)
