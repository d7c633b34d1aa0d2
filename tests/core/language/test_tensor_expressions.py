"""Tensors in expressions: `@`, `.T`, subscripts and lists: the nodes that they are, and NumPy's figures."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core.errors import InvalidExpression, InvalidInputs
from service.core.execution.passes import forward_pass
from service.core.graph.building import build_graph
from service.core.language.writing import write_expression
from service.core.rulebook.attribute import LARGEST_INTEGER
from tests.expressions import parsed_documents as parse
from tests.passes import graph_of, near, run

X = np.arange(24.0).reshape(2, 3, 4)


def value(text: str, **inputs: Any) -> Any:
    graph = graph_of(text)
    values = forward_pass(graph, {name: np.asarray(figure, dtype=np.float64) for name, figure in inputs.items()})
    return values[graph.position[graph.outputs[0]]]


# --- the nodes ----------------------------------------------------------------------------------------------------


def test_a_product_of_matrices_is_as_tight_as_a_product() -> None:
    assert [node.get("operation") for node in parse("F = a @ b.T * c + d")] == [
        *["Input"] * 4,
        *("Transpose", "MatMul", "Mul", "Add"),
    ]
    assert parse("F = a @ b @ c")[3:] == [
        {"name": "matmul_1", "operation": "MatMul", "inputs": ["a", "b"]},
        {"name": "F", "operation": "MatMul", "inputs": ["matmul_1", "c"]},
    ]
    assert parse("-a.T ^ 2")[1:3] == [
        {"name": "transpose_1", "operation": "Transpose", "inputs": ["a"]},
        {"name": "constant_1", "operation": "Constant", "attributes": {"value": 2}},
    ]


def test_a_subscript_is_a_slice_and_single_places_are_squeezed_away() -> None:
    whole = {"starts": [1], "ends": [3], "axes": [0], "steps": [1]}
    assert parse("F = x[1:3]")[1:] == [{"name": "F", "operation": "Slice", "inputs": ["x"], "attributes": whole}]
    picked = {"starts": [-1, 0], "ends": [LARGEST_INTEGER] * 2, "axes": [0, 2], "steps": [1, 2]}
    assert parse("F = x[-1, :, ::2]")[1:] == [
        {"name": "slice_1", "operation": "Slice", "inputs": ["x"], "attributes": picked},
        {"name": "F", "operation": "Squeeze", "inputs": ["slice_1"], "attributes": {"axes": [0]}},
    ]
    assert parse("F = x[:, ::]")[1:] == [{"name": "F", "operation": "Identity", "inputs": ["x"]}]


@pytest.mark.parametrize(
    "text", ["x[None]", "x[..., None]", "x[:, None]", "x[0, None]", "x[None, ..., None, 0]", "x[:, None, 1, 1:3]"]
)
def test_none_adds_an_axis_as_in_numpy(text: str) -> None:
    right = eval(text, {"x": X})
    assert value(text, x=X).shape == right.shape
    assert (value(text, x=X) == right).all()


def test_a_node_is_no_subscript() -> None:
    with pytest.raises(InvalidExpression) as error:
        parse("y = x[i]")
    assert error.value.detail.endswith(
        "a subscript is a whole number, a range such as 1:3, ... or None; by a node: gather(x, i)"
    )
    assert error.value.column == 7


def test_a_tuple_is_read_as_a_list() -> None:
    assert parse("F = stack((a, b))") == parse("F = stack([a, b])")
    assert parse("F = concat((a, b,), axis=1)") == parse("F = concat([a, b], axis=1)")
    assert parse("F = reshape(x, (3, 2))") == parse("F = reshape(x, shape=[3, 2])")


def test_a_text_may_stand_in_single_quotes() -> None:
    assert parse("F = einsum('ij,jk->ik', a, b)") == parse('F = einsum("ij,jk->ik", a, b)')
    assert parse("F = gelu(x, approximate='tanh')") == parse('F = gelu(x, approximate="tanh")')
    with pytest.raises(InvalidExpression, match="is expected"):
        parse("F = gelu(x, approximate='it\\'s \"so\"')")


def test_a_list_is_one_constant() -> None:
    (constant, _) = parse("F = [[1, -2.5], [NaN, -Infinity]].T")
    assert constant["attributes"] == {"value": [[1, -2.5], ["NaN", "-Infinity"]]}
    assert parse("F = [1, 2][0]")[0]["name"] == "constant_1"


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("F = x + [[1], 2]", 9, "the same length"),
        ("F = x[::2] + [1, true]", 14, "in a list of numbers a number is expected"),
        ("F = x[::0]", 6, "a step cannot be 0"),
        ("F = x[99999999999999999999]", 7, "an index is a whole number"),
        ("F = [a, ]", 9, "is expected, but"),
    ],
)
def test_what_is_wrong_is_named_at_its_place(text: str, column: int, words: str) -> None:
    with pytest.raises(InvalidExpression, match=words) as caught:
        parse(text)
    assert caught.value.column == column


# --- the figures: Python reads the same text ----------------------------------------------------------------------


# A start before the first place, with a negative step, is that place in ONNX's Slice, and nothing in Python's.
STARTS = st.sampled_from(["", "0", "1", "2", "3", "-1", "-2", "7"])
ENDS = st.sampled_from(["", "0", "1", "2", "3", "-1", "-2", "-3", "7", "-7"])


@st.composite
def subscripts(draw: st.DrawFn) -> str:
    texts = []
    for length in X.shape[: draw(st.integers(1, 3))]:
        step = draw(st.sampled_from(["", ":", ":1", ":2", ":-1", ":-2"]))
        single = str(draw(st.integers(-length, length - 1)))
        texts.append(single if draw(st.booleans()) else f"{draw(STARTS)}:{draw(ENDS)}{step}")
    return ", ".join(texts)


@given(subscripts())
@example("::-1, ::-1, ::-1")
@example("-1, -1, -1")
@example("5:, :")
def test_subscripts_are_numpys(text: str) -> None:
    np.testing.assert_array_equal(value(f"F = x[{text}]", x=X), eval(f"x[{text}]", {"x": X}))


def test_a_place_that_is_not_there_is_refused() -> None:
    graph = graph_of("F = x[2]")
    with pytest.raises(InvalidInputs, match=r"'F' \(Squeeze\) cannot take shapes"):
        forward_pass(graph, {"x": X})


@pytest.mark.parametrize(
    "text",
    ["x @ y.T", "x.T @ x @ y.T", "(x @ y.T).T", "x[0] @ y[1]", "(x * y)[:, 1:].T @ [1, 2]", "[[1, 2], [3, 4]] @ x"],
)
def test_figures_are_numpys(text: str) -> None:
    x, y = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -3.0]])
    names = {"x": x, "y": y}
    expected = eval(
        text.replace("[[1, 2], [3, 4]]", "c").replace("[1, 2]", "d"),
        {**names, "c": np.array([[1, 2], [3, 4]]), "d": np.array([1, 2])},
    )
    np.testing.assert_allclose(value(f"F = {text}", **{name: names[name] for name in "xy" if name in text}), expected)


def test_a_layer_and_its_gradients() -> None:
    """sum((x·Wᵀ + b)[:, 0]): by hand."""
    x, w = [[1.0, 2.0], [3.0, 4.0]], [[0.5, -1.0], [2.0, 0.0]]
    values, gradients = run("F = sum((x @ w.T + b)[:, 0])", {"x": x, "w": w, "b": [0.1, 0.2]})
    assert values["F"] == near(0.5 * 1 - 2 + 0.1 + 0.5 * 3 - 4 + 0.1)
    assert gradients["w"] == [[4.0, 6.0], [0.0, 0.0]]
    assert gradients["b"] == [2.0, 0.0]
    assert gradients["x"] == [[0.5, -1.0], [0.5, -1.0]]


# --- text that reads back -----------------------------------------------------------------------------------------

TENSORIAL = st.recursive(
    st.sampled_from(["a", "b", "`c d`", "[[1, -2], [0.5, NaN]]", "2"]),
    lambda inner: st.one_of(
        st.builds("({} @ {})".format, inner, inner),
        st.builds("({}).T".format, inner),
        st.builds("({})[{}]".format, inner, subscripts()),
        st.builds("sum({}, axis={})".format, inner, st.sampled_from(["0", "-1", "[0, 1]"])),
        st.builds("transpose({}, perm=[1, 0])".format, inner),
        st.builds("mean({}, axis=[0, 1], keepdims=1)".format, inner),
        st.builds("({} - {})".format, inner, inner),
    ),
    max_leaves=6,
)


@given(TENSORIAL)
@example("(a)[::-1, 0:1]")
@example("a[0:2, :, 1]")
def test_what_is_written_reads_back_as_the_same_nodes(text: str) -> None:
    graph = graph_of(f"F = {text}")
    written = write_expression(graph)
    assert written is not None
    assert build_graph(parse(written), inputs=graph.inputs).digest == graph.digest


@pytest.mark.parametrize(
    "text",
    [
        "F = a @ b.T",
        "F = a[1:3, ::-1]",
        "F = a[:, -2:]",
        "F = sum(a, axis=0)",
        "F = [[1, 2.5], [-3, 0]]",
        "F = transpose(a, perm=[1, 0])",
        "F = slice(a, starts=[1], ends=[3])",
        "F = slice(a, starts=[0], ends=[9223372036854775807], axes=[0], steps=[1])",  # a subscript could not say it
        "F = slice(a, starts=[0, 1], ends=[2, 3], axes=[1, 0], steps=[1, 1])",
    ],
)
def test_it_is_written_as_people_write_it(text: str) -> None:
    shown = "; ".join(text.split("; "))
    if "@" in text:
        assert write_expression(graph_of(text)) == "transpose_1 = b.T; F(a, b) = a @ transpose_1"
    else:
        assert write_expression(graph_of(text)) == shown.replace("transpose(", "Transpose(")
