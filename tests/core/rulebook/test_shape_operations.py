"""The operations on shapes by ONNX's semantics, each expectation written out; and what they refuse."""

import math
from typing import Any

import numpy as np
import pytest

from tests.tensors import evaluate, operation_of, propagate

X = np.arange(24.0).reshape(2, 3, 4)
ROW = [10.0, 11.0, 12.0, 13.0, 14.0]


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("Transpose", {}, (4, 3, 2)),
        ("Transpose", {"perm": [1, 0, 2]}, (3, 2, 4)),
        ("Reshape", {"shape": [6, 4]}, (6, 4)),
        ("Reshape", {"shape": [0, -1]}, (2, 12)),
        ("Reshape", {"shape": [-1]}, (24,)),
        ("Reshape", {"shape": [4, 0, 2, 1]}, (4, 3, 2, 1)),
        ("Flatten", {}, (2, 12)),
        ("Flatten", {"axis": 0}, (1, 24)),
        ("Flatten", {"axis": 3}, (24, 1)),
        ("Flatten", {"axis": -1}, (6, 4)),
        ("Unsqueeze", {"axes": [0, -1]}, (1, 2, 3, 4, 1)),
        ("Unsqueeze", {"axes": [2, 1]}, (2, 1, 1, 3, 4)),
        ("Expand", {"shape": [5, 1, 3, 1]}, (5, 2, 3, 4)),
        ("Expand", {"shape": [4]}, (2, 3, 4)),
    ],
)
def test_elements_keep_their_order_in_another_shape(
    name: str, attributes: dict[str, Any], expected: tuple[int, ...]
) -> None:
    value = evaluate(name, X, **attributes)
    assert value.shape == expected
    if name == "Transpose":
        order = attributes.get("perm", [2, 1, 0])
        assert all(value[tuple(position[axis] for axis in order)] == X[position] for position in np.ndindex(2, 3, 4))
    elif name == "Expand":
        assert (value == X).all()
    else:
        assert value.ravel().tolist() == X.ravel().tolist()


def test_a_transposition_is_undone() -> None:
    upstream = np.arange(24.0).reshape(3, 4, 2)
    (gradient,) = propagate("Transpose", upstream, X, perm=[1, 2, 0])
    assert all(gradient[i, j, k] == upstream[j, k, i] for i, j, k in np.ndindex(X.shape))


def test_squeeze() -> None:
    x = np.ones((1, 3, 1))
    assert evaluate("Squeeze", x).shape == (3,)
    assert evaluate("Squeeze", x, axes=[]).shape == (3,)
    assert evaluate("Squeeze", x, axes=[-1]).shape == (1, 3)


def test_reshaping_what_is_empty() -> None:
    assert evaluate("Reshape", np.ones((0, 3)), shape=[3, 0], allowzero=1).shape == (3, 0)
    assert evaluate("Reshape", np.ones((0, 3)), shape=[0, 3]).shape == (0, 3)
    assert evaluate("Reshape", np.ones((0, 3)), shape=[-1, 3]).shape == (0, 3)
    assert evaluate("Size", np.ones((0, 3))) == 0.0
    assert evaluate("Size", 7.0) == 1.0


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"starts": [1], "ends": [3]}, [11.0, 12.0]),
        ({"starts": [-2], "ends": [99]}, [13.0, 14.0]),
        ({"starts": [-99], "ends": [-3]}, [10.0, 11.0]),
        ({"starts": [3], "ends": [1]}, []),
        ({"starts": [99], "ends": [100]}, []),
        ({"starts": [0], "ends": [5], "steps": [2]}, [10.0, 12.0, 14.0]),
        ({"starts": [-1], "ends": [-99], "steps": [-2]}, [14.0, 12.0, 10.0]),
        ({"starts": [3], "ends": [0], "steps": [-1]}, [13.0, 12.0, 11.0]),
        ({"starts": [99], "ends": [-(2**63) + 1], "steps": [-3]}, [14.0, 11.0]),
        ({"starts": [-99], "ends": [-99], "steps": [-1]}, [10.0]),  # the start is kept within the axis
        ({"starts": [], "ends": []}, ROW),
    ],
)
def test_slices(attributes: dict[str, Any], expected: list[float]) -> None:
    assert evaluate("Slice", ROW, **attributes).tolist() == expected


def test_slices_of_several_axes() -> None:
    value = evaluate("Slice", X, starts=[1, 0], ends=[3, 1], axes=[-1, 0])
    assert value.tolist() == X[0:1, :, 1:3].tolist()
    (gradient,) = propagate("Slice", 7.0, X, starts=[1, 0], ends=[3, 1], axes=[-1, 0])
    assert gradient.sum() == 7.0 * 6 and (gradient[0, :, 1:3] == 7.0).all()
    assert evaluate("Slice", np.ones((0, 2)), starts=[-1], ends=[-9], steps=[-1]).shape == (0, 2)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"split": [2, 0, 3], "output": 0}, [10.0, 11.0]),
        ({"split": [2, 0, 3], "output": 1}, []),
        ({"split": [2, 0, 3], "output": 2}, [12.0, 13.0, 14.0]),
        ({"num_outputs": 2}, [10.0, 11.0, 12.0]),
        ({"num_outputs": 2, "output": 1}, [13.0, 14.0]),  # the last part is the shorter one
        ({"num_outputs": 4, "output": 3}, []),
    ],
)
def test_splits(attributes: dict[str, Any], expected: list[float]) -> None:
    assert evaluate("Split", ROW, **attributes).tolist() == expected
    (gradient,) = propagate("Split", 1.0, ROW, **attributes)
    assert gradient.tolist() == [float(x in expected) for x in ROW]


def test_concatenation() -> None:
    parts = [np.full((2, 1), 1.0), np.full((2, 0), 2.0), np.full((2, 2), 3.0)]
    assert evaluate("Concat", *parts, axis=1).tolist() == [[1.0, 3.0, 3.0]] * 2
    assert evaluate("Concat", *parts, axis=-1).shape == (2, 3)
    assert evaluate("Concat", parts[0], axis=0).tolist() == parts[0].tolist()
    upstream = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    gradients = propagate("Concat", upstream, *parts, axis=1)
    assert [each.tolist() for each in gradients] == [[[1.0], [4.0]], [[], []], [[2.0, 3.0], [5.0, 6.0]]]


def test_gathering() -> None:
    table = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert evaluate("Gather", table, [[0, -1], [1, 1]]).tolist() == [[[1, 2], [5, 6]], [[3, 4], [3, 4]]]
    assert evaluate("Gather", table, -1.0, axis=1).tolist() == [2.0, 4.0, 6.0]
    rows, no_gradient = propagate("Gather", [[[1, 2], [4, 8]], [[16, 32], [64, 128]]], table, [[0, -1], [1, 1]])
    assert rows.tolist() == [[1.0, 2.0], [80.0, 160.0], [4.0, 8.0]]  # what is gathered twice gets both gradients
    assert no_gradient is None
    assert evaluate("Gather", np.ones((2, 3)), np.ones((0, 2)), axis=1).shape == (2, 0, 2)


@pytest.mark.parametrize(
    ("indices", "wrong"),
    [
        ([0, 3], "index 3 is out of range for axis 0 of length 3"),
        ([-4], "index -4 is out of range"),
        ([0.5], "index 0.5 is not an integer"),
        ([math.nan], "index nan is not an integer"),
        ([math.inf], "index inf is out of range"),
    ],
)
def test_what_is_no_index(indices: list[float], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        evaluate("Gather", [1.0, 2.0, 3.0], indices)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"pads": [2, 1]}, [0, 0, 1, 2, 3, 0]),
        ({"pads": [0, 2], "constant_value": -5}, [1, 2, 3, -5, -5]),
        ({"pads": [-1, 1]}, [2, 3, 0]),
        ({"pads": [1, -3], "constant_value": 7}, [7]),
        ({"pads": [2, 2], "mode": "reflect"}, [3, 2, 1, 2, 3, 2, 1]),
        ({"pads": [5, 0], "mode": "reflect"}, [2, 1, 2, 3, 2, 1, 2, 3]),
        ({"pads": [2, 1], "mode": "edge"}, [1, 1, 1, 2, 3, 3]),
        ({"pads": [2, 4], "mode": "wrap"}, [2, 3, 1, 2, 3, 1, 2, 3, 1]),
        ({"pads": [-1, 2], "mode": "edge"}, [2, 3, 3, 3]),
        ({"pads": [0, 0], "axes": [-1]}, [1, 2, 3]),
    ],
)
def test_padding(attributes: dict[str, Any], expected: list[float]) -> None:
    assert evaluate("Pad", [1.0, 2.0, 3.0], **attributes).tolist() == expected
    (gradient,) = propagate("Pad", 1.0, [1.0, 2.0, 3.0], **attributes)
    assert gradient.tolist() == [float(expected.count(x)) for x in (1, 2, 3)]


def test_padding_of_several_axes() -> None:
    assert evaluate("Pad", [[1.0]], pads=[1, 0, 0, 2]).tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    assert evaluate("Pad", [[1.0, 2.0]], pads=[1, 1], axes=[1], mode="reflect").tolist() == [[2.0, 1.0, 2.0, 1.0]]
    assert evaluate("Pad", np.ones((0, 2)), pads=[1, 0, 0, 0], constant_value=3).tolist() == [[3.0, 3.0]]
    assert evaluate("Pad", [4.0], pads=[1, 2], mode="reflect").tolist() == [4.0] * 4


@pytest.mark.parametrize(
    ("attributes", "sums", "products"),
    [
        ({}, [1, 3, 6, 10], [1, 2, 6, 24]),
        ({"exclusive": 1}, [0, 1, 3, 6], [1, 1, 2, 6]),
        ({"reverse": 1}, [10, 9, 7, 4], [24, 24, 12, 4]),
        ({"exclusive": 1, "reverse": 1}, [9, 7, 4, 0], [24, 12, 4, 1]),
    ],
)
def test_running_sums_and_products(attributes: dict[str, Any], sums: list[float], products: list[float]) -> None:
    row = [1.0, 2.0, 3.0, 4.0]
    assert evaluate("CumSum", row, axis=0, **attributes).tolist() == sums
    assert evaluate("CumProd", row, axis=-1, **attributes).tolist() == products
    columns = np.array([row, row]).T
    assert evaluate("CumSum", columns, axis=0, **attributes)[:, 1].tolist() == sums
    assert evaluate("CumSum", np.ones((2, 0)), axis=1, **attributes).shape == (2, 0)


def test_a_running_product_is_differentiated_without_a_division() -> None:
    (gradient,) = propagate("CumProd", 1.0, [2.0, 0.0, 3.0, 0.0, 5.0], axis=0)
    assert gradient.tolist() == [1.0, 8.0, 0.0, 0.0, 0.0]


# --- what they refuse ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operands", "attributes", "wrong"),
    [
        ("Transpose", [X], {"perm": [0, 1]}, r"perm \[0, 1\] is not a permutation of 3 axes"),
        ("Transpose", [X], {"perm": [0, 1, 1]}, "is not a permutation of 3 axes"),
        ("Reshape", [X], {"shape": [5, -1]}, r"24 elements do not fill the shape \[5, -1\]"),
        ("Reshape", [X], {"shape": [-1, -1]}, "one may be -1"),
        ("Reshape", [X], {"shape": [-2, 12]}, "lengths are 0 or more"),
        ("Reshape", [X], {"shape": [2, 3, 4, 0]}, "a 0 keeps the length of an axis, but there are only 3 axes"),
        ("Reshape", [np.ones((0, 3))], {"shape": [0, -1]}, "beside a length of 0 the -1 could be any number"),
        ("Flatten", [X], {"axis": 4}, "axis 4 is out of range for 3 dimensions"),
        ("Squeeze", [X], {"axes": [1]}, "axis 1 has length 3, not 1"),
        ("Unsqueeze", [X], {"axes": [4]}, "axis 4 is out of range for 4 dimensions"),
        ("Unsqueeze", [X], {"axes": [0, 0]}, "name an axis twice"),
        ("Expand", [X], {"shape": [3, 3, 4]}, "could not be broadcast|shape mismatch"),
        ("Expand", [X], {"shape": [-1]}, r"invalid shape \[-1\]"),
        ("Slice", [X], {"starts": [0], "ends": [1, 2]}, "must have equal lengths"),
        ("Slice", [X], {"starts": [0], "ends": [1], "axes": [3]}, "axis 3 is out of range for 3 dimensions"),
        ("Split", [X], {}, "expected split, or num_outputs of at least 1"),
        ("Split", [X], {"num_outputs": 0}, "num_outputs of at least 1"),
        ("Split", [X], {"split": [1, 2]}, r"split \[1, 2\] does not sum to the length 2 of axis 0"),
        ("Split", [X], {"split": [3, -1]}, "a part cannot have a negative length"),
        ("Split", [X], {"num_outputs": 2, "output": 2}, "output 2 is out of range: there are 2 outputs"),
        ("Concat", [X, X[0]], {"axis": 0}, "the shapes differ along another axis than 0"),
        ("Concat", [X, X[:, :2]], {"axis": 0}, "the shapes differ along another axis than 0"),
        ("Concat", [1.0], {"axis": 0}, "axis 0 is out of range for 0 dimensions"),
        ("Gather", [X, 0], {"axis": 3}, "axis 3 is out of range for 3 dimensions"),
        ("Pad", [X], {"pads": [1, 1]}, "expected 6 pads, for both ends of 3 axes; 2 given"),
        ("Pad", [ROW], {"pads": [-3, -3]}, "pads -3 and -3 remove more than the 5 elements of axis 0"),
        ("Pad", [np.ones(0)], {"pads": [1, 0], "mode": "edge"}, "axis 0 is empty: there is no element to pad with"),
        ("CumSum", [X], {"axis": -4}, "axis -4 is out of range for 3 dimensions"),
        ("SumTo", [X, np.ones((5, 4))], {}, r"\[5, 4\] does not broadcast to \[2, 3, 4\]|shape mismatch"),
        ("SumTo", [np.ones(3), np.ones((2, 3))], {}, r"\[2, 3\] does not broadcast to \[3\]"),
        ("ExpandTo", [np.ones((2, 3)), np.ones(3)], {}, r"\[2, 3\] does not broadcast to \[3\]"),
        ("ReshapeTo", [X, np.ones(23)], {}, r"shapes \[2, 3, 4\] and \[23\] have different numbers of elements"),
        ("SliceAdjoint", [np.ones(3), ROW], {"starts": [0], "ends": [2]}, r"the part has shape \[2\], not \[3\]"),
        (
            "ConcatAdjoint",
            [np.ones(3), np.ones(1), np.ones(1)],
            {"axis": 0},
            r"shape \[3\] is not that of the parts, joined along axis 0",
        ),
        ("ConcatAdjoint", [np.ones(2), np.ones(2)], {"axis": 0, "operand": 1}, "operand 1 is out of range: 1 given"),
        ("GatherAdjoint", [np.ones(3), ROW, [0, 1]], {}, r"the gathered part has shape \[2\], not \[3\]"),
        ("PadAdjoint", [np.ones(3), ROW], {"pads": [1, 1]}, r"the padded tensor has shape \[7\], not \[3\]"),
    ],
)
def test_what_is_refused(name: str, operands: list[Any], attributes: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        evaluate(name, *operands, **attributes)


@pytest.mark.parametrize(
    ("name", "shapes", "attributes", "wrong"),
    [
        ("BatchNormalization", [(2, 3), *[(3,)] * 4], {"output": 1}, "are outputs only with training_mode 1"),
        ("LinearRecurrence", [(2, 3), (3,)], {"axis": 0, "reverse": 0}, "two operands of one shape"),
        ("CofactorsAlong", [(2, 2)], {}, "directions of the same shape"),
        ("CofactorsAlong", [(2, 2), (3, 3)], {}, "directions of the same shape"),
        ("MaxPoolTangent", [(1, 1, 3), (1, 1, 4)], {"kernel_shape": (2,)}, "the tangent has shape"),
        ("MaxPoolAdjoint", [(1, 1, 4), (1, 1, 4)], {"kernel_shape": (2,)}, "the upstream gradient has shape"),
    ],
)
def test_operands_whose_shapes_do_not_fit_are_refused(
    name: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], wrong: str
) -> None:
    operation = operation_of(name)
    given = {attribute.name: attribute.default for attribute in operation.attributes} | attributes
    with pytest.raises(ValueError, match=wrong):
        operation.infer_shape(shapes, given)
