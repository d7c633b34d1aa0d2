"""Where an edge is closed the names of libraries do what those do, held against them where they are installed."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison.replay import replay_gradients
from service.core.comparison.rounding import Weights
from service.core.execution.passes import backward_pass, forward_pass
from tests.conventions import FUNCTIONS, GRADIENTS, LIBRARIES
from tests.passes import arrays_of, graph_of

NAN, INFINITY = np.nan, np.inf

# Expression, x, and the gradient by PyTorch 2.13, by JAX 0.10.2 and by TensorFlow 2.21. TensorFlow's relu multiplies;
# its square root and reciprocal return 0 wherever the upstream gradient is 0.
ROWS: list[tuple[str, float, float, float, float]] = [
    ("sqrt(relu(x))", -1, 0, 0, NAN),
    ("sqrt(relu(x))", 0, 0, 0, NAN),
    ("where(x > 0, sqrt(x), 0)", -1, NAN, NAN, 0),
    ("where(x > 0, sqrt(x), 0)", 0, NAN, NAN, 0),
    ("where(x > 0, log(x), 0)", 0, NAN, NAN, NAN),
    ("where(x > 1, 1/x, x)", 0, NAN, NAN, NAN),
    ("where(x > 1, reciprocal(x), x)", 0, NAN, NAN, 1),
    ("sqrt(maximum(x, 0))", -1, 0, NAN, 0),
    ("sqrt(maximum(x, 0))", 0, INFINITY, INFINITY, INFINITY),
    ("sqrt(clip(x, min=0, max=1))", -1, 0, NAN, 0),
    ("sqrt(floor(x))", 0.5, 0, 0, 0),
    ("sqrt(floor(x))", 0, 0, 0, 0),
    ("sqrt(floor(sqrt(x)))", 0, NAN, 0, 0),
]


@pytest.mark.parametrize(("text", "x", "torch", "jax", "tensorflow"), ROWS)
def test_a_librarys_name_does_what_the_library_does(
    text: str, x: float, torch: float, jax: float, tensorflow: float
) -> None:
    for convention, expected in (("torch", torch), ("jax", jax), ("tensorflow", tensorflow)):
        graph = graph_of(text).with_convention(convention)
        values = forward_pass(graph, arrays_of({"x": x}))
        gradients = backward_pass(graph, values, graph.outputs[0])
        np.testing.assert_array_equal(gradients.flat[graph.position["x"]], expected, err_msg=convention)
        replay = replay_gradients(graph, values, gradients, graph.outputs[0], np.ones(()), Weights(0.0, 0.0))
        np.testing.assert_array_equal(replay.expected.flat, gradients.flat, err_msg=convention)


# Behind what a reduction or a pool did not choose: the expression, an operation after the square root, its attributes,
# x, and the gradient by PyTorch and JAX, and by TensorFlow.
BEHIND: list[tuple[str, str, dict[str, Any], Any, Any, Any]] = [
    ("F = max(sqrt(x))", "ReduceMax", {}, [0.0, 4.0], [NAN, 0.25], [0, 0.25]),
    ("F = min(sqrt(x), axis=0)", "ReduceMin", {"axes": [0]}, [0.0, 4.0], [INFINITY, 0], [INFINITY, 0]),
    (
        "F = sum(max_pool(sqrt(x), kernel_shape=[2], strides=[2]))",
        "MaxPool",
        {"kernel_shape": [2], "strides": [2], "pads": [0, 0]},
        [[[0.0, 4.0, 1.0, 0.0]]],
        [[[NAN, 0.25, 0.5, NAN]]],
        [[[0, 0.25, 0.5, 0]]],
    ),
]


@pytest.mark.parametrize(("text", "operation", "attributes", "x", "expected", "tensorflow"), BEHIND)
def test_behind_what_was_not_chosen_too(
    text: str, operation: str, attributes: dict[str, Any], x: Any, expected: Any, tensorflow: Any
) -> None:
    for convention in LIBRARIES:
        graph = graph_of(text).with_convention(convention)
        values = forward_pass(graph, arrays_of({"x": x}))
        gradient = backward_pass(graph, values, graph.outputs[0])[graph.position["x"]]
        right = tensorflow if convention == "tensorflow" else expected
        np.testing.assert_array_equal(gradient, right, err_msg=convention)


@pytest.mark.peers
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("text", "operation", "attributes", "x", "expected", "tensorflow"), BEHIND)
def test_behind_what_the_library_did_not_choose(
    library: str, text: str, operation: str, attributes: dict[str, Any], x: Any, expected: Any, tensorflow: Any
) -> None:
    after, root = FUNCTIONS[library](operation, attributes), FUNCTIONS[library]("Sqrt", {})
    (found,) = GRADIENTS[library](lambda x: after(root(x)), [x], 1.0)
    np.testing.assert_array_equal(found, tensorflow if library == "tensorflow" else expected)


def evaluated(text: str, names: dict[str, Any]) -> Any:
    return eval(text.replace("0)", "0.0)"), {}, names)


@pytest.mark.peers
@pytest.mark.parametrize(("text", "x", "expected"), [(text, x, torch) for text, x, torch, _, _ in ROWS])
def test_against_pytorch(text: str, x: float, expected: float) -> None:
    torch = pytest.importorskip("torch", reason="left to `make test-peers`")
    point = torch.tensor(float(x), dtype=torch.float64, requires_grad=True)
    called = {"maximum": lambda x, y: torch.maximum(x, torch.full_like(x, y)), "relu": torch.relu, "clip": torch.clamp}
    names = {name: getattr(torch, name) for name in ("sqrt", "log", "reciprocal", "floor", "where")}
    evaluated(text, {**names, **called, "x": point}).backward()
    np.testing.assert_array_equal(point.grad.item(), expected)


@pytest.mark.peers
@pytest.mark.parametrize(("text", "x", "expected"), [(text, x, jax) for text, x, _, jax, _ in ROWS])
def test_against_jax(text: str, x: float, expected: float) -> None:
    jax = pytest.importorskip("jax", reason="left to `make test-peers`")
    names = {
        name: getattr(jax.numpy, name) for name in ("sqrt", "log", "reciprocal", "floor", "where", "maximum", "clip")
    }
    gradient = jax.grad(lambda x: evaluated(text, {**names, "relu": jax.nn.relu, "x": x}))(float(x))
    np.testing.assert_array_equal(float(gradient), expected)


@pytest.mark.peers
@pytest.mark.parametrize(("text", "x", "expected"), [(text, x, tf) for text, x, _, _, tf in ROWS])
def test_against_tensorflow(text: str, x: float, expected: float) -> None:
    tf = pytest.importorskip("tensorflow", reason="left to `make test-peers`")
    names = {"sqrt": tf.sqrt, "floor": tf.floor, "maximum": tf.maximum, "relu": tf.nn.relu}
    named = {
        "log": tf.math.log,
        "reciprocal": tf.math.reciprocal,
        "clip": lambda x, min, max: tf.clip_by_value(x, min, max),  # noqa: PLW0108 (other names)
    }
    where = {"where": lambda condition, x, y: tf.where(condition, x, tf.cast(y, tf.float64))}
    point = tf.Variable(x, dtype=tf.float64)
    with tf.GradientTape() as tape:
        value = evaluated(text, {**names, **named, **where, "x": point})
    gradient = tape.gradient(value, point, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    np.testing.assert_array_equal(gradient.numpy(), expected)
