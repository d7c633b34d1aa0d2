"""What flows along closed edges: nothing, and nothing behind them. The right values are by hand."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from service.core.execution import kernel
from service.core.execution.closed_edges import closed_operands
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import FloatArray, pack
from service.core.graph.building import build_graph
from service.core.rulebook.registry import operations
from tests.elementwise import attribute_samples, operand_counts
from tests.passes import array_loop, arrays_of, graph_of, run

INFINITY, NAN = np.inf, np.nan

# Expression, inputs, and the gradients of the inputs.
ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # Behind a closed edge nothing flows.
    ("sqrt(relu(x))", {"x": -1}, {"x": 0}),
    ("where(x > 0, sqrt(x), 0)", {"x": -1}, {"x": 0}),
    ("where(x > 0, sqrt(x), 0)", {"x": 4}, {"x": 0.25}),
    ("where(x > 0, log(x), x)", {"x": 0}, {"x": 1}),
    ("sqrt(max(x, 0))", {"x": -1}, {"x": 0}),
    ("sqrt(0 - min(x, 0))", {"x": 1}, {"x": 0}),
    ("sqrt(floor(x))", {"x": 0.5}, {"x": 0}),
    ("sqrt(ceil(x))", {"x": -0.5}, {"x": 0}),
    ("sqrt(round(x))", {"x": 0.25}, {"x": 0}),
    ("sqrt(sign(x) + 1)", {"x": -2}, {"x": 0}),
    ("sqrt(x > 1)", {"x": 0}, {"x": 0}),
    ("sqrt(leaky_relu(x, alpha=0))", {"x": -1}, {"x": 0}),
    ("sqrt(elu(x, alpha=0))", {"x": -1}, {"x": 0}),
    ("where(x > 1, 1/x, x)", {"x": 0}, {"x": 1}),
    ("where(x > 1, 1/x, x) + y", {"x": 0, "y": 2}, {"x": 1, "y": 1}),
    ("where(where(x > 0, 1, 0) > 0, 1/x, 2*y)", {"x": 0, "y": 3}, {"x": 0, "y": 2}),
    # A 0 that only happens to be one, or that is chosen where no derivative exists, times infinity is NaN.
    ("sqrt(x)^2", {"x": 0}, {"x": NAN}),
    ("exp(log(a) + log(b))", {"a": 0, "b": 0}, {"a": NAN, "b": NAN}),
    ("sqrt(relu(x))", {"x": 0}, {"x": NAN}),
    ("sqrt(abs(x))", {"x": 0}, {"x": NAN}),
    ("sqrt(floor(x))", {"x": 0}, {"x": NAN}),
    ("sqrt(x * y)", {"x": 0, "y": 0}, {"x": NAN, "y": NAN}),
    ("sqrt(tanh(x) - 1)", {"x": 1000}, {"x": NAN}),
    ("sqrt(leaky_relu(x, alpha=0.1) * 0)", {"x": -1}, {"x": NAN}),
    # No edge is closed by NaN.
    ("sqrt(max(x, y) - max(x, y))", {"x": NAN, "y": 0}, {"x": NAN, "y": NAN}),
    ("sqrt(relu(x) * 0)", {"x": NAN}, {"x": NAN}),
    # One consumer may be reached where another is not.
    ("where(x > 0, sqrt(x), 0) + x^2", {"x": -1}, {"x": -2}),
    ("where(x > 0, sqrt(x), 0) + sqrt(x)^2", {"x": 0}, {"x": NAN}),
    ("sqrt(relu(x)) * y", {"x": -1, "y": 3}, {"x": 0, "y": 0}),
]

TENSOR_ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("sqrt(x)[1]", {"x": [0, 4]}, {"x": [0, 0.25]}),
    ("sum(sqrt(x)[1:])", {"x": [0, 4]}, {"x": [0, 0.25]}),
    ("max(sqrt(x))", {"x": [0, 4]}, {"x": [0, 0.25]}),
    ("min(log(x))", {"x": [0, 4]}, {"x": [INFINITY, 0]}),
    ("sqrt(max(x) - 3)", {"x": [1, 3]}, {"x": [0, INFINITY]}),
    ("sum(where(x > 0, sqrt(x), 0))", {"x": [-1, 0, 4]}, {"x": [0, 0, 0.25]}),
    ("sum(sqrt(relu(x)))", {"x": [-1, 0, 4]}, {"x": [0, NAN, 0.25]}),
    ("sqrt(norm(x))", {"x": [0, 0]}, {"x": [NAN, NAN]}),
    ("norm(x)", {"x": [0, 0]}, {"x": [0, 0]}),
    ("sum(Gather(sqrt(x), [1, 1]))", {"x": [0, 4]}, {"x": [0, 0.5]}),
    ("sum(gather_elements(sqrt(x), [1]))", {"x": [0, 4]}, {"x": [0, 0.25]}),
    ("sum(gather_nd(sqrt(x), [[1], [1]]))", {"x": [0, 4]}, {"x": [0, 0.5]}),
    ("sum(scatter_elements(sqrt(x), [0], [5]))", {"x": [0, 4]}, {"x": [0, 0.25]}),
    ('sum(scatter_nd(sqrt(x), [[0]], [5], reduction="max"))', {"x": [0, 4]}, {"x": [0, 0.25]}),
    ('sum(scatter_elements([5, 5], [0, 1], sqrt(x), reduction="max"))', {"x": [0, 64]}, {"x": [0, 1 / 16]}),
    ('sum(scatter_elements(sqrt(x), [0], [0], reduction="mul"))', {"x": [0, 4]}, {"x": [NAN, 0.25]}),
    ("sum(top_k(sqrt(x), k=1))", {"x": [0, 4]}, {"x": [0, 0.25]}),
    ("sum(trilu(sqrt(x)))", {"x": [[4, 4], [0, 4]]}, {"x": [[0.25, 0.25], [0, 0.25]]}),
    ("sum(Pad(sqrt(x), pads=[-1, 0]))", {"x": [0, 4]}, {"x": [0, 0.25]}),
    ("sum(Split(sqrt(x), num_outputs=2, output=1))", {"x": [0, 4]}, {"x": [0, 0.25]}),
    (
        "sum(max_pool(sqrt(x), kernel_shape=[2], strides=[2]))",
        {"x": [[[0, 4, 9, 0]]]},
        {"x": [[[0, 0.25, 1 / 6, 0]]]},
    ),
    # A row that is not taken does not poison what the other shares with it.
    ("(A @ w)[1]", {"A": [[INFINITY, 0], [2, 3]], "w": [1, 5]}, {"A": [[0, 0], [1, 5]], "w": [2, 3]}),
    ("sum((x @ y)[1])", {"x": [[1, 2], [3, 4]], "y": [[1, INFINITY], [1, 1]]}, {"x": [[0, 0], [INFINITY, 2]]}),
    ("(A @ log(w))[1]", {"A": [[1, 0], [2, 0]], "w": [1, 0]}, {"w": [2, NAN]}),
    ("sum(softmax(sqrt(x))[1])", {"x": [[0, 0], [1, 4]]}, {"x": [[0, 0], [0, 0]]}),
    ("sum(LayerNormalization(x, s, axis=1)[1])", {"x": [[INFINITY, 1], [1, 3]], "s": [2, 2]}, {"x": [[0, 0], [0, 0]]}),
    ("where(c > 0, sum(x @ y), 1)", {"c": -1, "x": [[INFINITY, 1]], "y": [[2], [3]]}, {"x": [[0, 0]], "y": [[0], [0]]}),
    # One system of linear equations is not taken; of the other no inverse may be known, for the figures are infinite.
    (
        "sum(solve(A, b)[0])",
        {"A": [[[2, 0], [0, 4]], [[INFINITY] * 2] * 2], "b": [[[2], [4]], [[1], [1]]]},
        {"A": [[[-0.5, -0.5], [-0.25, -0.25]], [[0, 0], [0, 0]]], "b": [[[0.5], [0.25]], [[0], [0]]]},
    ),
    ("sum(solve(A, b))", {"A": [[1, 0], [NAN, 0]], "b": [1, 1]}, {"A": [[NAN] * 2] * 2, "b": [NAN] * 2}),
    ("sum(m * sqrt(x))", {"x": [0, 4], "m": [0, 1]}, {"x": [NAN, 0.25]}),
]


@pytest.fixture(params=["kernel", "arrays"], scope="module")
def _loop(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "kernel":
        kernel.warm()
    with array_loop() if request.param == "arrays" else nullcontext():
        yield


@pytest.mark.usefixtures("_loop")
@pytest.mark.parametrize(("text", "inputs", "expected"), ROWS)
def test_gradients_behind_closed_edges(text: str, inputs: dict[str, Any], expected: dict[str, Any]) -> None:
    _, gradients = run(text, inputs)
    for name, gradient in expected.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-15, err_msg=name)


@pytest.mark.parametrize(("text", "inputs", "expected"), TENSOR_ROWS)
def test_gradients_of_tensors_behind_closed_edges(text: str, inputs: dict[str, Any], expected: dict[str, Any]) -> None:
    _, gradients = run(text, inputs)
    for name, gradient in expected.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-12, atol=1e-15, err_msg=name)


def test_a_large_batch_is_masked_point_by_point() -> None:
    points: FloatArray = np.tile([-1.0, 4.0, 0.25], 400_000)
    _, gradients = run("sqrt(relu(x)) * y", {"x": points, "y": 2.0})
    assert np.array_equal(gradients["x"], np.tile([0.0, 0.5, 2.0], 400_000))
    assert gradients["y"] == 400_000 * 2.5


GRID = [-INFINITY, -2.0, -1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 3.0, INFINITY, NAN]
CLOSING = [operation for operation in operations() if operation.closed and operation.is_elementwise]


@pytest.mark.parametrize("operation", CLOSING, ids=lambda operation: operation.name)
def test_the_local_gradient_along_a_closed_edge_is_zero_and_nan_closes_none(operation: Any) -> None:
    for count in operand_counts(operation):
        operands = np.stack(np.meshgrid(*[GRID] * count)).reshape(count, -1)
        for attributes in attribute_samples(operation):
            with np.errstate(all="ignore"):
                value = np.asarray(operation.evaluate(list(operands), attributes), dtype=float)
                slopes = operation.differentiate(list(operands), value, attributes)
                closed = operation.closed_operands(list(operands), value, attributes)
            assert closed is not None
            branches = operation.name == "Where"  # closed by the condition, whatever they are
            for index, (slope, shut) in enumerate(zip(slopes, closed, strict=True)):
                shut_here = np.broadcast_to(shut, value.shape)
                assert not np.broadcast_to(slope, value.shape)[shut_here].any()
                assert not np.any(shut_here & np.isnan(operands[0 if branches else index]))


@np.errstate(all="ignore")
def test_an_operation_does_not_change_where_its_edge_is_closed() -> None:
    step = 1e-9
    for operation in CLOSING:
        for count in operand_counts(operation):
            operands = np.stack(np.meshgrid(*[GRID[1:-2]] * count)).reshape(count, -1)
            for attributes in attribute_samples(operation):
                value = np.asarray(operation.evaluate(list(operands), attributes), dtype=float)
                closed = operation.closed_operands(list(operands), value, attributes)
                assert closed is not None
                if operation.name in {"And", "Or", "Not"} or operation.name == "Where":
                    closed = closed[1:] if operation.name == "Where" else ()  # a condition is 0 or 1
                for index, shut in enumerate(closed, start=1 if operation.name == "Where" else 0):
                    for moved in (step, -step):
                        beside = [*operands]
                        beside[index] = operands[index] + moved
                        after = np.asarray(operation.evaluate(beside, attributes), dtype=float)
                        assert np.array_equal(
                            after[np.broadcast_to(shut, value.shape)], value[np.broadcast_to(shut, value.shape)]
                        )


def test_nodes_of_whole_graphs_keep_their_bits_where_nothing_is_nan() -> None:
    graph = graph_of("y = sqrt(relu(x)) + exp(x) * x")
    values = forward_pass(graph, arrays_of({"x": [-1.0, 0.3]}))
    alone = forward_pass(graph, arrays_of({"x": [0.3]}))
    gradients, right = backward_pass(graph, values, "y"), backward_pass(graph, alone, "y")
    given, expected = gradients[graph.position["x"]], right[graph.position["x"]]
    assert given is not None and expected is not None
    assert given[1] == expected[0] and given[0] == 0.0 * np.exp(-1.0)


def test_a_graph_of_nodes_given_by_name() -> None:
    documents = [
        {"name": "x", "operation": "Input"},
        {"name": "r", "operation": "Relu", "inputs": ["x"]},
        {"name": "F", "operation": "Sqrt", "inputs": ["r"]},
    ]
    graph = build_graph(documents)
    values = forward_pass(graph, arrays_of({"x": -1.0}))
    assert backward_pass(graph, values, "F").flat.tolist() == [0.0, INFINITY, 1.0]


def closed_of(text: str, inputs: dict[str, Any], convention: str = "minimum-norm") -> dict[str, list[str]]:
    """The operands, by name, along which nothing flows back, of each node that has such."""
    graph = graph_of(text).with_convention(convention)
    found = closed_operands(graph, forward_pass(graph, arrays_of(inputs)), range(len(graph)))
    return {
        graph.nodes[position].name: [graph.nodes[position].inputs[operand] for operand in operands]
        for position, operands in found.items()
    }


def test_the_closed_operands_of_nodes() -> None:
    text = "r = relu(x); s = relu(y); l = leaky_relu(x, alpha=0); m = max(x, y, r); F = where(m, r + s, l)"
    assert closed_of(text, {"x": -1, "y": 2}) == {"r": ["x"], "l": ["x"], "m": ["x", "r"], "F": ["m", "l"]}
    assert closed_of(text, {"x": 1, "y": np.nan}) == {}
    assert closed_of("F = sum(max(x, y))", {"x": [1, 2], "y": [2, 3]}) == {"max_1": ["x"]}
    assert closed_of("F = sum(max(x, y))", {"x": [1, 4], "y": [2, 3]}) == {}
    assert closed_of("p = x[0]; F = relu(p)", {"x": [-1, 4]}) == {"F": ["p"]}
    assert closed_of(text, {"x": -1, "y": 2}, "torch") == {}


def test_closed_operands_where_values_are_unknown() -> None:
    graph = graph_of("r = relu(x); F = max(r, y)")
    values = list(forward_pass(graph, arrays_of({"x": -1, "y": 2})))
    position = graph.position
    for name, known in (("y", ["r"]), ("r", []), ("x", ["F"])):
        given = [None if index == position[name] else value for index, value in enumerate(values)]
        found = closed_operands(graph, pack(given), range(len(graph)))
        assert [graph.nodes[each].name for each in found] == known
