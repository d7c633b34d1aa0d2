"""Networks: second derivatives of a small one, float32, and where textbook forms of these operations fail."""

import math
from typing import Any

import numpy as np
import pytest

from service.core.comparison.replay import replay_gradients, replay_values
from service.core.comparison.rounding import Weights
from service.core.derivatives.gradient_graph import gradient_graph
from service.core.errors import InvalidInputs
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import pack
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph, node_document
from tests.passes import graph_of, run
from tests.tensors import evaluate, propagate

# --- second derivatives -------------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(3)
LAYERS: dict[str, dict[str, Any]] = {
    "F = sum(softmax(x @ W + b)[:, 0])": {"x": (3, 4), "W": (4, 2), "b": (2,)},
    "F = sum(log_softmax(gemm(x, W, b, transB=1), axis=0) ^ 2)": {"x": (3, 4), "W": (2, 4), "b": (2,)},
    "F = sum(layer_norm(x, s, b) ^ 3)": {"x": (2, 4), "s": (4,), "b": (4,)},
    "F = softmax_cross_entropy(tanh(x @ W) @ V, t)": {
        **{"x": (3, 4), "W": (4, 5), "V": (5, 3)},
        "t": np.array([0.0, 2.0, 1.0]),
    },
    "F = softmax_cross_entropy(x @ W, t, w)": {
        **{"x": (3, 4), "W": (4, 3)},
        **{"t": np.array([0.0, 2.0, 1.0]), "w": np.array([0.5, 1.0, 2.0])},
    },
    "F = mse(sin(x) @ y, z)": {"x": (3, 4), "y": (4,), "z": (3,)},
    'F = sum(einsum(x, y, z, equation="ij,jk,k->i") ^ 2)': {"x": (3, 4), "y": (4, 2), "z": (2,)},
    "F = sum(conv(x, k, b, strides=[2], pads=[1, 1]) ^ 2)": {"x": (2, 2, 5), "k": (3, 2, 3), "b": (3,)},
    "F = sum(conv_transpose(x, k, b, strides=[2], output_padding=[1], pads=[1, 0]) ^ 2)": {
        **{"x": (2, 2, 3), "k": (2, 3, 2), "b": (3,)},
    },
    'F = sum(conv(x, k, auto_pad="SAME_UPPER", strides=[1, 2, 1]) ^ 2)': {"x": (1, 1, 2, 3, 2), "k": (2, 1, 2, 1, 2)},
    "F = sum(lp_pool(x, kernel_shape=[2], p=3, ceil_mode=1) ^ 2) + sum(lp_pool(x, kernel_shape=[2]) ^ 3)": {
        "x": (2, 1, 5),
    },
    'F = sum(resize(x, scales=[1, 1.5, 0.6], mode="cubic", coordinate_transformation_mode="align_corners") ^ 2)': {
        "x": (2, 3, 4),
    },
    "F = sum(global_average_pool(x) ^ 3) + sum(global_max_pool(x) ^ 3)": {"x": (2, 2, 3)},
    "F = sum(max_pool(x, kernel_shape=[2], strides=[2], ceil_mode=1) ^ 3)": {"x": (2, 1, 5)},
    "F = sum(batch_norm(x, s, b, m, v) ^ 2)": {
        **{"x": (2, 3, 2), "s": (3,), "b": (3,), "m": (3,)},
        "v": np.array([0.5, 1.0, 2.0]),
    },
    "F = sum(average_pool(x, kernel_shape=[2]) ^ 2)": {"x": (2, 3, 5)},
    "F = sum(inv(x) @ solve(x, b)) + det(x)": {"x": np.eye(3) * 3.0 + 0.3, "b": (3,)},
}


@pytest.mark.parametrize("text", LAYERS)
def test_gradients_of_gradients_are_differences_of_gradients(text: str) -> None:
    """Along a random direction d: the gradient graph's own gradient of Σ d·∂F/∂x, against differences of ∂F/∂x."""
    graph = graph_of(text)
    inputs = {
        name: given if isinstance(given, np.ndarray) else RANDOM.normal(size=given)
        for name, given in LAYERS[text].items()
    }
    wrt = [name for name in inputs if name not in "tw"]
    slopes = gradient_graph(graph, "F", wrt)
    directions = {name: RANDOM.normal(size=inputs[name].shape) for name in wrt}

    def gradients(at: dict[str, Any]) -> list[Any]:
        values = forward_pass(graph, at)
        found = backward_pass(graph, values, "F")
        return [found[graph.position[name]] for name in wrt]

    def made(at: dict[str, Any]) -> Any:
        return forward_pass(slopes, {name: at[name] for name in slopes.inputs})

    values = made(inputs)
    for name, expected in zip(slopes.outputs, gradients(inputs), strict=True):
        np.testing.assert_allclose(values[slopes.position[name]], expected, rtol=1e-11, atol=1e-13)
    h = 1e-4
    ends = [gradients({**inputs, **{name: inputs[name] + s * h * directions[name] for name in wrt}}) for s in (1, -1)]
    differences = [(above - below) / (2 * h) for above, below in zip(*ends, strict=True)]
    # H is symmetric: Σ over outputs of the vector-Jacobian products with d is H·d.
    total = [np.zeros(inputs[name].shape) for name in wrt]
    for name, source in zip(slopes.outputs, wrt, strict=True):
        found = backward_pass(slopes, values, name, directions[source])
        for position, other in enumerate(wrt):
            gradient = found[slopes.position[other]] if other in slopes.position else None
            total[position] = total[position] + (0.0 if gradient is None else gradient)
    for hessian_product, expected in zip(total, differences, strict=True):
        np.testing.assert_allclose(hessian_product, expected, rtol=1e-5, atol=1e-6)


# --- float32 ------------------------------------------------------------------------------------------------------


def in_float32(graph: Graph, labels: str = "") -> Graph:
    return build_graph(
        [
            {**node_document(node), "attributes": {"dtype": "int64" if node.name in labels else "float32"}}
            if node.operation.name == "Input"
            else node_document(node)
            for node in graph.nodes
        ]
    )


def test_a_network_in_float32() -> None:
    """As PyTorch's float32 up to its rounding, and replayed within the slack of float32."""
    graph = in_float32(graph_of("h = relu(x @ W + b); F = softmax_cross_entropy(layer_norm(h @ V, s), t)"), labels="t")
    assert len(graph.float32_nodes) == len(graph) - 1
    random = np.random.default_rng(5)
    sizes = {"x": (8, 20), "W": (20, 16), "b": (16,), "V": (16, 5), "s": (5,)}
    inputs = {name: random.normal(size=size) for name, size in sizes.items()}
    inputs["t"] = random.integers(0, 5, 8).astype(np.float64)
    values = forward_pass(graph, inputs)
    gradients = backward_pass(graph, values, "F")
    exact = graph_of("h = relu(x @ W + b); F = softmax_cross_entropy(layer_norm(h @ V, s), t)")
    fine = forward_pass(exact, inputs)
    slopes = backward_pass(exact, fine, "F")
    for found, expected in ((values, fine), (gradients, slopes)):
        for one, other in zip(found, expected, strict=True):
            if one is not None:
                assert np.array_equal(one, np.float32(one))
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert gradients[graph.position["t"]] is None
    weights = Weights(32 * 2.0**-24, 16 * 2.0**-24)
    complete = pack(
        [np.zeros(values.shape(position)) if each is None else each for position, each in enumerate(gradients)]
    )
    replayed = replay_values(graph, values, weights)
    assert np.all(np.abs(replayed.expected.flat - values.flat) <= replayed.slack)
    again = replay_gradients(graph, values, complete, "F", np.float64(1.0), weights)
    assert np.all(np.abs(again.expected.flat - complete.flat) <= again.slack)


# --- where textbook forms fail ------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def test_softmax_neither_overflows_nor_loses_its_logarithm() -> None:
    np.testing.assert_allclose(evaluate("Softmax", [1e4, 1e4, -1e4]), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(evaluate("LogSoftmax", [0.0, -1000.0]), [0.0, -1000.0])
    scores = [[1e4, 0.0], [0.0, -2e4]]
    assert evaluate("SoftmaxCrossEntropyLoss", scores, [1, 1]) == 1.5e4
    (slope, _) = propagate("SoftmaxCrossEntropyLoss", 1.0, scores, [1, 1])
    np.testing.assert_array_equal(slope, [[0.5, -0.5], [0.5, -0.5]])
    # A score of minus infinity is a class that is ruled out.
    assert evaluate("SoftmaxCrossEntropyLoss", [[0.0, -math.inf]], [0]) == 0.0
    assert evaluate("SoftmaxCrossEntropyLoss", [[0.0, -math.inf]], [1]) == math.inf


@np.errstate(all="ignore")
def test_the_determinants_gradient_is_right_where_there_is_no_inverse() -> None:
    """The cofactors, by hand: of rank 2, of rank 1 and of zeros."""
    rank_two = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
    (slope,) = propagate("Det", 2.0, rank_two)
    np.testing.assert_allclose(slope, 2.0 * np.array([[-3, 6, -3], [6, -12, 6], [-3, 6, -3]]), rtol=1e-12)
    for flat in (np.ones((3, 3)), np.zeros((3, 3))):
        np.testing.assert_allclose(propagate("Det", 1.0, flat)[0], 0.0, atol=1e-15)
    np.testing.assert_array_equal(propagate("Det", 1.0, [[0.0]])[0], [[1.0]])
    assert np.isnan(propagate("Det", 1.0, [[np.nan, 1.0], [1.0, 1.0]])[0]).all()


def test_a_singular_matrix_has_no_inverse() -> None:
    for text in ("F = inv(x)", "F = solve(x, [1, 2])"):
        with pytest.raises(InvalidInputs, match=r"'F' .*Singular matrix"):
            forward_pass(graph_of(text), {"x": np.ones((2, 2))})


def test_einsum_with_a_diagonal_in_its_result() -> None:
    np.testing.assert_array_equal(evaluate("Einsum", [1.0, 2.0], equation="i->ii"), np.diag([1.0, 2.0]))
    np.testing.assert_array_equal(propagate("Einsum", 1.0, np.ones((2, 2)), equation="ii->")[0], np.eye(2))


@pytest.mark.parametrize(
    ("text", "inputs", "words"),
    [
        ("F = x @ y", {"x": np.ones((2, 3)), "y": np.ones((2, 3))}, r"'F' \(MatMul\) cannot take shapes \[2, 3\], \["),
        ("F = x @ y", {"x": np.ones(()), "y": np.ones((2, 3))}, "cannot take a scalar"),
        ("F = gemm(x, y)", {"x": np.ones((2, 3)), "y": np.ones((2, 3))}, "the inner lengths 3 and 2 differ"),
        ("F = gemm(x, y)", {"x": np.ones(3), "y": np.ones((3, 3))}, "expected two matrices"),
        ("F = gemm(x, y, x)", {"x": np.ones((2, 3)), "y": np.ones((3, 1))}, r"does not broadcast to \[2, 1\]"),
        ('F = einsum(x, equation="ij->i")', {"x": np.ones(3)}, r"'ij' names 2 axes; the shape \[3\] has 1"),
        ('F = einsum(x, equation="i,i->")', {"x": np.ones(3)}, "has 2 operands; 1 given"),
        ('F = einsum(x, x, equation="ij,jk")', {"x": np.ones((2, 3))}, "'j' stands for two lengths, 3 and 2"),
        ("F = det(x)", {"x": np.ones((2, 3))}, "expected a square matrix or a stack of them"),
        ("F = matrix_transpose(x)", {"x": np.ones(3)}, "expected a matrix or a stack of them"),
        ("F = solve(x, y)", {"x": np.ones((2, 2)), "y": np.ones(3)}, "expected a right side of 2 rows"),
        ("F = softmax(x, axis=2)", {"x": np.ones((2, 2))}, "axis 2 is out of range for 2 dimensions"),
        ("F = layer_norm(x, y)", {"x": np.ones((2, 3)), "y": np.ones(2)}, "cannot be broadcast"),
        ("F = softmax_cross_entropy(x, y)", {"x": np.ones((2, 3)), "y": np.ones(3)}, "that of the classes"),
        (
            "F = softmax_cross_entropy(x, y)",
            {"x": np.ones((1, 3)), "y": np.array([3.0])},
            "class 3 is out of range: there are 3 classes",
        ),
        (
            "F = softmax_cross_entropy(x, y)",
            {"x": np.ones((1, 3)), "y": np.array([0.5])},
            "class 0.5 is not an integer",
        ),
        (
            "F = softmax_cross_entropy(x, y, w)",
            {"x": np.ones((1, 3)), "y": np.zeros(1), "w": np.ones(2)},
            "a weight for each of the 3 classes",
        ),
        ("F = batch_norm(x, s, s, s, s)", {"x": np.ones((1, 3)), "s": np.ones(2)}, "one element per channel"),
        ("F = over_channels(s, x)", {"x": np.ones((1, 3)), "s": np.ones(2)}, "one element per channel"),
        ("F = conv(x, k)", {"x": np.ones((1, 3)), "k": np.ones((1, 1, 1))}, "a kernel with as many axes"),
        ("F = conv(x, k)", {"x": np.ones((1, 3, 4)), "k": np.ones((1, 2, 1))}, "3 channels in 1 groups do not fit"),
        (
            "F = conv(x, k)",
            {"x": np.ones((1, 1, 2)), "k": np.ones((1, 1, 3))},
            "a window of 3 elements does not fit an axis of 2",
        ),
        (
            "F = conv(x, k, kernel_shape=2)",
            {"x": np.ones((1, 1, 4)), "k": np.ones((1, 1, 3))},
            r"kernel_shape \[2\] differs",
        ),
        (
            "F = conv(x, k, b)",
            {"x": np.ones((1, 1, 4)), "k": np.ones((2, 1, 3)), "b": np.ones(1)},
            r"a bias of shape \[2\]",
        ),
        (
            "F = conv(x, k, strides=[1, 1])",
            {"x": np.ones((1, 1, 4)), "k": np.ones((1, 1, 3))},
            "expected 1 strides and dilations, and 2 pads",
        ),
        (
            "F = conv(x, k, strides=0)",
            {"x": np.ones((1, 1, 4)), "k": np.ones((1, 1, 3))},
            "strides and dilations must be 1 or more",
        ),
        ("F = maxpool(x, kernel_shape=2)", {"x": np.ones((1, 1, 4, 4))}, "one for each length of kernel_shape"),
        (
            "F = maxpool(x, kernel_shape=2, pads=[2, 0])",
            {"x": np.ones((1, 1, 4))},
            "each pad must be smaller than the window",
        ),
        (
            'F = conv(x, k, pads=[1, 1], auto_pad="VALID")',
            {"x": np.ones((1, 1, 4)), "k": np.ones((1, 1, 3))},
            "auto_pad VALID chooses the pads; none may be given",
        ),
        (
            "F = conv_transpose(x, k, output_padding=[1, 1])",
            {"x": np.ones((1, 1, 4)), "k": np.ones((1, 1, 3))},
            "expected 1 elements of output_padding",
        ),
        (
            "F = conv_transpose(x, k, pads=[2, 1])",
            {"x": np.ones((1, 1, 1)), "k": np.ones((1, 1, 3))},
            r"nothing is left of axes of \[3\] without the pads \[2, 1\]",
        ),
        ("F = resize(x)", {"x": np.ones(4)}, "expected either scales or sizes"),
        ("F = resize(x, scales=[2, 2])", {"x": np.ones(4)}, "expected 1 scales or sizes"),
        (
            'F = resize(x, sizes=[2], coordinate_transformation_mode="tf_crop_and_resize")',
            {"x": np.ones(4)},
            "needs roi",
        ),
        ("F = resize(x, sizes=[2], antialias=1)", {"x": np.ones(4)}, "are of linear and cubic interpolation"),
        ("F = resize(x, sizes=[2])", {"x": np.ones(0)}, r"axes of \[0\] cannot be resized to \[2\]"),
        ("F = global_max_pool(x)", {"x": np.ones((1, 4))}, "at least one more"),
    ],
)
def test_shapes_that_do_not_fit_are_named(text: str, inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputs, match=words):
        forward_pass(graph_of(text), inputs)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"i...->i"', "an ellipsis stands in the result where it stands in an operand"),
        ('"i;j"', "letters separated by commas"),
        ('"i->j"', "the result has the letter 'j', which no operand has"),
        ("1", 'expected an equation such as "ij,jk->ik"'),
    ],
)
def test_what_is_no_equation(text: str, words: str) -> None:
    with pytest.raises(Exception, match=words):
        graph_of(f"F = einsum(x, equation={text})")


@pytest.mark.parametrize(
    ("operation", "shapes"),
    [
        ("MatMulLeftAdjoint", [(2, 2), (3, 2), (2, 4)]),
        ("MatMulRightAdjoint", [(2, 3), (2, 2), (4, 2)]),
        ("ConvInputAdjoint", [(1, 1, 9), (1, 1, 3), (1, 1, 5)]),
        ("ConvTransposeInputAdjoint", [(1, 1, 9), (1, 1, 3), (1, 1, 5)]),
        ("AveragePoolAdjoint", [(1, 1, 9), (1, 1, 3)]),
    ],
)
def test_an_adjoint_takes_what_the_operation_gives(operation: str, shapes: list[tuple[int, ...]]) -> None:
    given = {"kernel_shape": [2]} if operation.startswith("Average") else {}
    with pytest.raises(ValueError, match=r"the upstream gradient has shape|the inner lengths"):
        evaluate(operation, *map(np.ones, shapes), **given)


def test_the_mean_of_a_window_over_padding_alone_is_0() -> None:
    """The window's two elements lie on both sides of x's only one."""
    graph = graph_of("y = average_pool(x, kernel_shape=[2], dilations=[2], pads=[1, 1]); F = sum(y * w)")
    inputs = {"x": np.full((1, 1, 1), 3.0), "w": np.full((1, 1, 1), 5.0)}
    values = forward_pass(graph, inputs)
    gradients = backward_pass(graph, values, "F")
    assert values[graph.position["y"]].tolist() == [[[0.0]]]
    assert [gradients[graph.position[name]].tolist() for name in "xyw"] == [[[[0.0]]], [[[5.0]]], [[[0.0]]]]
    slopes = gradient_graph(graph, "F", ["x"])
    values = forward_pass(slopes, inputs)
    gradients = backward_pass(slopes, values, "dF_dx", np.ones((1, 1, 1)))
    assert values[slopes.position["dF_dx"]].tolist() == [[[0.0]]]
    assert gradients[slopes.position["w"]].tolist() == [[[0.0]]]


def test_the_indices_of_maxima_count_through_the_whole_and_no_gradient_flows_to_them() -> None:
    """The first of ties is named, in any storage order; a NaN upstream gradient does not come through."""
    text = "y = max_pool(x, kernel_shape=[2, 2], strides=[2, 2]{}); F = sum(y * w)"
    x = np.array([[[[1.0, 5.0, 0.0], [5.0, 2.0, 7.0]]], [[[-1.0, -2.0, 3.0], [-4.0, -3.0, 3.0]]]])
    for more, expected in (
        (", ceil_mode=1, output=1", [[[[1, 5]]], [[[6, 8]]]]),
        (", ceil_mode=1, output=1, storage_order=1", [[[[2, 5]]], [[[6, 10]]]]),
        (", output=1", [[[[1]]], [[[6]]]]),
    ):
        graph = graph_of(text.format(more))
        values = forward_pass(graph, {"x": x, "w": np.full(np.shape(expected), np.inf)})
        assert values[graph.position["y"]].tolist() == expected
        assert backward_pass(graph, values, "F")[graph.position["x"]].tolist() == np.zeros(x.shape).tolist()


def test_implicit_equations_are_written_out() -> None:
    graph = graph_of('F = einsum(x, y, equation="b a, ca")')
    assert graph.nodes[-1].attributes["equation"] == "ba,ca->bc"
    values, _ = run('F = einsum(x, equation="ba")', {"x": [[1.0, 2.0], [3.0, 4.0]]}, seed=1.0)
    assert values["F"] == [[1.0, 3.0], [2.0, 4.0]]


def test_the_readmes_expressions() -> None:
    values, gradients = run(
        "h = relu(x @ W + b); L = softmax_cross_entropy(h @ V, labels)",
        {"x": [[1.0, 2.0]], "W": np.eye(2), "b": [0.0, 0.0], "V": np.eye(2), "labels": [1.0]},
    )
    assert values["L"] == pytest.approx(math.log1p(math.exp(-1.0)))
    share = 1.0 / (1.0 + math.e)
    np.testing.assert_allclose(gradients["V"], [[share, -share], [2 * share, -2 * share]])
    values, _ = run(
        "F = sum(x[:, 0] * [1, 2, 3]) + max(mean(x.T, axis=0))", {"x": [[1.0, 3.0], [2.0, 0.0], [0.5, 0.5]]}
    )
    assert values["F"] == 6.5 + 2.0


def test_figures_in_float32_stay_that_until_they_are_read() -> None:
    inputs: list[dict[str, object]] = [
        {"name": name, "operation": "Input", "attributes": {"dtype": "float32"}} for name in ("x", "w")
    ]
    nodes = [
        {"name": "m", "operation": "MatMul", "inputs": ["x", "w"]},
        {"name": "y", "operation": "Tanh", "inputs": ["m"]},
    ]
    graph = build_graph([*inputs, *nodes])
    given = np.random.default_rng(0).normal(size=(2, 64, 64))
    values = forward_pass(graph, dict(zip(("x", "w"), given, strict=True)))
    gradients = backward_pass(graph, values, "y")
    for figures in (values, gradients):
        assert {held.dtype.name for held in figures.parts} == {"float32"}
        assert {figure.dtype.name for figure in figures if figure is not None} == {"float64"}
    assert gradients.flat.tobytes() == backward_pass(graph, pack(list(values)), "y").flat.tobytes()
