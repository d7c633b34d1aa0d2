"""Jacobians and Hessians agree with the run where edges are closed, in forward mode as in reverse mode."""

from typing import Any

import numpy as np
import pytest

from service.core.derivatives import jacobian as sweeps
from service.core.derivatives.gradient_graph import define_function, formula, gradient_graph
from service.core.derivatives.jacobian import hessian, jacobian, push_forward
from service.core.execution.passes import backward_pass, forward_pass
from service.core.symbolic.printing import write_text
from tests.passes import arrays_of, graph_of

POINTS: list[tuple[str, dict[str, Any]]] = [
    *(
        (text, {"x": x})
        for text in ("sqrt(relu(x))", "sqrt(max(x, 0))", "where(x > 0, sqrt(x), 0)")
        for x in (-1, 0, 4)
    ),
    *((text, {"x": x}) for text in ("sqrt(floor(x))", "where(x > 1, 1/x, x)", "sqrt(x)^2") for x in (0, 0.5)),
    ("exp(log(a) + log(b))", {"a": 0, "b": 0}),
    ("x * sqrt(y)", {"x": 2, "y": 0}),
    ("sqrt(x)[1]", {"x": [0, 4]}),
    ("max(sqrt(x))", {"x": [0, 4]}),
    ("sum(sqrt(relu(x)))", {"x": [-1, 0, 4]}),
    ("sqrt(norm(x))", {"x": [0, 0]}),
    ("sum(softmax(sqrt(x))[1])", {"x": [[0, 0], [1, 4]]}),
    ("sum([[1, 2]] @ sqrt(relu(x)))", {"x": [-1, 4]}),
]


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize(("text", "inputs"), POINTS)
def test_a_jacobian_is_the_gradient_of_the_run(
    text: str, inputs: dict[str, Any], forward: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "prefers_forward", lambda *given: forward)
    graph = graph_of(text)
    values, output = forward_pass(graph, arrays_of(inputs)), graph.outputs[0]
    gradients = backward_pass(graph, values, output)
    for (_, name), block in jacobian(graph, values, [output], list(inputs)).items():
        np.testing.assert_allclose(block, gradients[graph.position[name]], rtol=1e-12, atol=1e-15, err_msg=name)


def test_each_row_of_a_jacobian_has_its_own_open_edges() -> None:
    graph = graph_of("y = sqrt(x)")
    values = forward_pass(graph, arrays_of({"x": [0, 4]}))
    (block,) = jacobian(graph, values, ["y"], ["x"]).values()
    assert block.tolist() == [[np.inf, 0], [0, 0.25]]


@pytest.mark.parametrize(
    ("text", "x", "second"),
    [
        ("sqrt(relu(x))", -1, 0),
        ("sqrt(relu(x))", 4, -1 / 32),
        ("where(x > 0, sqrt(x), x^2)", -1, 2),
        ("sqrt(x)^2", 0, np.nan),
    ],
)
def test_second_derivatives_behind_closed_edges(text: str, x: float, second: float) -> None:
    graph = graph_of(text)
    values = forward_pass(graph, arrays_of({"x": x}))
    (block,) = hessian(graph, values, graph.outputs[0], ["x"]).values()
    np.testing.assert_allclose(block, second, rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        # ∂²F/∂a∂b = e^(log a + log b)/(a·b) is 0 · ∞ by either order of the two derivatives
        ("exp(log(a) + log(b))", {"a": 0, "b": 2}, [[np.nan, np.nan], [np.nan, 0]]),
        ("a + sqrt(b)", {"a": 1, "b": -1}, [[0, 0], [0, np.nan]]),
        ("b / a", {"a": 0, "b": 0}, [[np.nan, -np.inf], [-np.inf, 0]]),
        ("a * sqrt(relu(b))", {"a": 1, "b": -1}, [[0, 0], [0, 0]]),
        ("exp(log(where(b, a, b)))", {"a": 2, "b": 0}, [[0, 0], [0, np.nan]]),
        ("a * b + sqrt(b)", {"a": 1, "b": -1}, [[0, 1], [1, np.nan]]),
    ],
)
def test_a_hessian_is_symmetric_where_it_is_not_finite(text: str, inputs: dict[str, Any], expected: Any) -> None:
    graph = graph_of(text)
    values, output = forward_pass(graph, arrays_of(inputs)), graph.outputs[0]
    blocks = hessian(graph, values, output, ["a", "b"])
    np.testing.assert_array_equal([[blocks[one, other] for other in "ab"] for one in "ab"], expected)
    once = gradient_graph(graph, output, ["a", "b"])
    slopes = forward_pass(once, arrays_of(inputs))
    for name, row in zip(once.outputs, expected, strict=True):
        twice = backward_pass(once, slopes, name)
        np.testing.assert_array_equal([twice[once.position[other]] for other in "ab"], row)


def test_a_node_may_move_by_itself_and_with_what_it_depends_on() -> None:
    graph = graph_of("s = sqrt(relu(x)); F = 2 * s")
    values = forward_pass(graph, arrays_of({"x": -1}))
    (along,) = push_forward(graph, values, {"x": np.array([1.0, 3.0]), "s": np.array([5.0, 0.0])}, ["F"])
    assert along.tolist() == [10, 0]


@pytest.mark.parametrize(
    ("text", "inputs", "tame"),
    [
        ("((A @ w)[1])^2", {"A": [[np.inf, 0], [2, 3]], "w": [1, 5]}, {"A": [[7, 0], [2, 3]], "w": [1, 5]}),
        ("sum((x @ y)[1]^2)", {"x": [[2, np.nan], [3, 4]], "y": [1, 2]}, {"x": [[2, 7], [3, 4]], "y": [1, 2]}),
        ("(log(x) @ y)[1]", {"x": [[0, 1], [2, 1]], "y": [1, 5]}, {"x": [[7, 1], [2, 1]], "y": [1, 5]}),
        ("(sqrt(x) @ y)[1]^2", {"x": [[0, 1], [2, 1]], "y": [1, 5]}, {"x": [[7, 1], [2, 1]], "y": [1, 5]}),
        ("(x @ x)[1, 1]", {"x": [[np.inf, 0], [1, 2]]}, {"x": [[7, 0], [1, 2]]}),
        ("sum(relu(x @ y)^2)", {"x": [[-1, 2]], "y": [[np.inf], [1]]}, {"x": [[-1, 2]], "y": [[7], [1]]}),
        ("sum(softmax(sqrt(x))[1] * [1, 2])", {"x": [[0, 0], [1, 4]]}, {"x": [[7, 7], [1, 4]]}),
        (
            "where(c > 0, sum(x @ y), 1)",
            {"c": -1, "x": [[np.inf, 1]], "y": [[2], [3]]},
            {"c": -1, "x": [[7, 1]], "y": [[2], [3]]},
        ),
    ],
)
def test_second_derivatives_are_what_they_are_where_what_is_left_out_is_finite(
    text: str, inputs: dict[str, Any], tame: dict[str, Any]
) -> None:
    graph, names = graph_of(text), list(inputs)
    found, expected = (
        hessian(graph, forward_pass(graph, arrays_of(given)), graph.outputs[0], names) for given in (inputs, tame)
    )
    for pair, block in found.items():
        np.testing.assert_allclose(block, expected[pair], rtol=1e-12, atol=1e-15, err_msg=str(pair))


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("sqrt(x)[1]", {"x": [0, 4]}),
        ("sum(sqrt(x)[1:])", {"x": [0, 4]}),
        ("sum(sqrt(x).T[1])", {"x": [[0, 1], [0, 4]]}),
        ("max(sqrt(x))", {"x": [0, 4]}),
        ("max(relu(x)) + min(sqrt(x))", {"x": [1, 4]}),
        ("min(log(x))", {"x": [0, 4]}),
        ("sum(gather(sqrt(x), [1, 1]))", {"x": [0, 4]}),
        ("sum(pad(sqrt(x), pads=[-1, 0]))", {"x": [0, 4]}),
        ("sum(split(sqrt(x), num_outputs=2, output=1))", {"x": [0, 4]}),
        ("where(c > 0, sum(sqrt(x)), 0)", {"c": -1, "x": [0, 4]}),
        ("where(c > 0, sum(sqrt(x)), 0)", {"c": 1, "x": [0, 4]}),
        ("where(c > 0, sum(x @ sqrt(y)), 0)", {"c": -1, "x": [0, 4], "y": [0, 4]}),
        ("where(c > 0, sum(log(x) @ y), 0)", {"c": -1, "x": [[0, 4]], "y": [[1], [2]]}),
        ("sum(where(c > 0, sqrt(x), 0))", {"c": -1, "x": [0, 4]}),
        ("sum(where(c > 0, sqrt(x), y))", {"c": 1, "x": [0, 4], "y": [1, 2]}),
        ("max(softmax(sqrt(x)) * y)", {"x": [0, 4], "y": 2}),
        ("sum(where(c > 0, softmax(x) * sqrt(y), 0))", {"c": [-1, 1], "x": [1, 4], "y": [0, 1]}),
        ("where(c > 0, sum(softmax(x * sqrt(y)) * [1, 2]), 0)", {"c": -1, "x": [1, 4], "y": 0}),
        ("sum(where(c > 0, log(x) @ y, 0))", {"c": [[-1], [0]], "x": [[0, 4]], "y": [[1], [2]]}),
        ("sum(where(c > 0, sqrt(x), 0) * softmax(x))", {"c": [-1, 1], "x": [0, 4]}),
        ("sum(m * sqrt(x))", {"x": [0, 4], "m": [0, 1]}),
        ("(log(x) @ y)[1]", {"x": [[0, 1], [2, 1]], "y": [1, 5]}),
        ("(sqrt(x) @ log(y))[0, 1]", {"x": [[1, 4], [0, 1]], "y": [[0, 2], [0, 3]]}),
    ],
)
def test_gradient_graphs_of_tensors_have_the_gradients_of_the_run(text: str, inputs: dict[str, Any]) -> None:
    graph = graph_of(text)
    values, output, names = forward_pass(graph, arrays_of(inputs)), graph.outputs[0], list(inputs)
    gradients, derived = backward_pass(graph, values, output), gradient_graph(graph, output, names)
    slopes = forward_pass(derived, arrays_of(inputs))
    for name, slope in zip(names, derived.outputs, strict=True):
        written = graph_of(define_function("the result", graph.inputs, formula(graph, output, name)))
        posted = forward_pass(written, arrays_of(inputs))[written.position[written.outputs[0]]]
        right = gradients[graph.position[name]]
        assert right is not None
        for found in (slopes[derived.position[slope]], posted):
            assert found is not None
            np.testing.assert_allclose(np.broadcast_to(found, right.shape), right, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("sum(relu(x @ w))", {"x": [[-1, 2], [np.inf, 1]], "w": [[1], [-1]]}),
        ("sum(relu(x @ w)^2)", {"x": [[-1, 2], [-np.inf, 1]], "w": [[1], [-1]]}),
        ("((x @ w)[1])^2", {"x": [[np.inf, 2], [1, 1]], "w": [1, -1]}),
        ("sum(where(c > 0, x @ w, 0))", {"c": [[-1], [1]], "x": [[np.inf, 2], [1, 1]], "w": [[1], [-1]]}),
        ("(x @ w)[0, 1]", {"x": [[1, 2], [1, 1]], "w": [[np.inf, 2], [np.nan, 3]]}),
        ("sum(relu(x) * w)", {"x": [-1, 2, 0], "w": [np.inf, 1, 1]}),
        ("max(x * w)", {"x": [1, 2, 3], "w": [-np.inf, 1, 1]}),
        ("sum(layer_norm(x, s) * [1, 2])", {"x": [[np.inf, 2], [1, 3]], "s": [1, 1]}),
    ],
)
def test_gradient_graphs_of_tensors_have_the_gradients_of_the_run_at_infinite_inputs(
    text: str, inputs: dict[str, Any]
) -> None:
    graph = graph_of(text)
    gradients = backward_pass(graph, forward_pass(graph, arrays_of(inputs)), graph.outputs[0])
    derived = gradient_graph(graph, graph.outputs[0], list(inputs))
    slopes = forward_pass(derived, arrays_of(inputs))
    for name, slope in zip(inputs, derived.outputs, strict=True):
        right = gradients[graph.position[name]]
        np.testing.assert_allclose(slopes[derived.position[slope]], right, rtol=1e-12, err_msg=name)


def test_where_nothing_is_steep_no_more_is_chosen_in_the_formula_of_a_network() -> None:
    """At finite inputs; at others the gradient graph leaves out what is infinite, without a search for it."""
    graph = graph_of("h = relu(x @ w + b); L = sum(h[1:] @ v - t)")
    for name in ("w", "b", "v"):
        text = write_text(formula(graph, "L", name))
        assert text.count("where") == (name != "v")  # for relu
        assert "max" not in text
    derived = gradient_graph(graph, "L", ["w", "b", "v"])
    assert [node.operation.name for node in derived.nodes].count("Where") == 6
    assert not any(node.operation.name == "ReduceMax" for node in derived.nodes)
