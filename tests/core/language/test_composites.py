"""What people type: functions composed of operations, signs, lists and arguments by position; by NumPy's figures."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import special

from service.core.derivatives.gradient_check import check_gradients
from service.core.derivatives.jacobian import hessian
from service.core.execution.passes import backward_pass, forward_pass
from service.core.language.hints import hints_of
from service.core.language.writing import write_expression
from tests.expressions import graph_of_expression as build

A = np.array([[0.5, -1.25, 2.0], [3.0, 0.75, -0.25]])
B = np.array([[1.5, 0.25, -3.0], [0.5, 2.5, 1.0]])
P = np.array([[0.2, 0.3, 0.5], [0.0, 0.25, 0.75]])
BCE = -P * special.log_expit(A) - (1 - P) * special.log_expit(-A)


def value_and_gradients(text: str, **inputs: Any) -> tuple[Any, list[Any]]:
    """The only output, and the gradients of the sum of its elements."""
    graph = build(text)
    given = {name: np.asarray(inputs[name], dtype=np.float64) for name in graph.inputs}
    values = forward_pass(graph, given)
    gradients = backward_pass(graph, values, graph.outputs[0])
    return values[graph.position[graph.outputs[0]]], [gradients[graph.position[name]] for name in given]


# Each text, the value that NumPy gives at A, B, P, and its gradients by hand.
CASES: list[tuple[str, Any, list[Any]]] = [
    ("square(a)", A**2, [2 * A]),
    ("a²", A**2, [2 * A]),
    ("-p² + 1", 1 - P**2, [-2 * P]),
    ("√(p + 1)", np.sqrt(P + 1), [0.5 / np.sqrt(P + 1)]),
    ("|a| * 2", 2 * abs(A), [2 * np.sign(A)]),
    ("||a| - 1| + |b|", abs(abs(A) - 1) + abs(B), [np.sign(abs(A) - 1) * np.sign(A), np.sign(B)]),
    ("a % 0.7", A % 0.7, [np.ones_like(A)]),
    ("a // b", A // B, [np.zeros_like(A)] * 2),
    ("silu(a)", A * special.expit(A), [special.expit(A) * (1 + A * special.expit(-A))]),
    ("log_sigmoid(a)", special.log_expit(A), [special.expit(-A)]),
    ("clip(a, 0, 1)", np.clip(A, 0, 1), [((A > 0) & (A < 1)) * 1.0]),
    ("clip(a, b, 9)", np.clip(A, B, 9), [(A > B) * 1.0, (B > A) * 1.0]),
    ("cumsum(a)", np.cumsum(A), [np.arange(6.0, 0.0, -1.0).reshape(2, 3)]),
    ("softmax(a, 0)", special.softmax(A, 0), [np.zeros_like(A)]),
    ("[a, b]", np.stack([A, B]), [np.ones_like(A)] * 2),
    ("stack([a, b, a], axis=-1)", np.stack([A, B, A], -1), [2 * np.ones_like(A), np.ones_like(A)]),
    ("sum(a) * stack([1, -2])", np.array([A.sum(), -2 * A.sum()]), [-np.ones_like(A)]),
    ("[sum(a), 1, -2]", np.array([A.sum(), 1, -2]), [np.ones_like(A)]),
    ("concatenate([a, b])", np.concatenate([A, B]), [np.ones_like(A)] * 2),
    ("a[..., 0]", A[..., 0], [[[1, 0, 0], [1, 0, 0]]]),
    ("a[0, ..., 1:]", A[0, 1:], [[[0, 1, 1], [0, 0, 0]]]),
    ("max(a, axis=(0, 1), keepdims=True)", A.max(keepdims=True), [[[0, 0, 0], [1, 0, 0]]]),
    ("dot(a, b.T)", A @ B.T, [np.tile(B.sum(0), (2, 1)), np.tile(A.sum(0), (2, 1))]),
    ('einsum("...i,...i->...", a, b)', (A * B).sum(1), [B, A]),
    ("var(a, axis=1)", A.var(1), [2 * (A - A.mean(1, keepdims=True)) / 3]),
    ("var(a, ddof=1)", A.var(ddof=1), [2 * (A - A.mean()) / 5]),
    ("std(a)", A.std(), [(A - A.mean()) / (6 * A.std())]),
    ("stop_gradient(a) * b + detach(b)", A * B + B, [np.zeros_like(A), A]),
    ("bce_with_logits(a, p)", BCE.mean(), [(special.expit(A) - P) / 6, -A / 6]),
    ('bce_with_logits(a, p, reduction="none")', BCE, [special.expit(A) - P, -A]),
    ("kl_div(a, p)", (special.xlogy(P, P) - P * A).mean(), [-P / 6, None]),
    (
        'kl_div(a, b, reduction="sum", log_target=True)',
        (np.exp(B) * (B - A)).sum(),
        [-np.exp(B), np.exp(B) * (B - A + 1)],
    ),
]


@pytest.mark.parametrize(("text", "expected", "slopes"), CASES, ids=[text for text, _, _ in CASES])
def test_values_are_numpys_and_gradients_the_textbooks(text: str, expected: Any, slopes: list[Any]) -> None:
    value, gradients = value_and_gradients(text, a=A, b=B, p=P)
    np.testing.assert_allclose(value, expected, rtol=1e-14, atol=1e-15)
    assert len(gradients) == len(slopes)
    for gradient, slope in zip(gradients, slopes, strict=True):
        if slope is not None:
            np.testing.assert_allclose(gradient, np.broadcast_to(slope, np.shape(gradient)), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("text", [text for text, _, _ in CASES])
def test_what_is_written_reads_back_to_the_same_graph(text: str) -> None:
    graph = build(text)
    written = write_expression(graph)
    assert written is not None
    assert build(written).digest == graph.digest


def test_the_same_in_other_spellings() -> None:
    for one, other in [
        ("x²", "x^2"),
        ("x⁻¹", "x^-1"),
        ("√x", "sqrt(x)"),
        ("|x|", "abs(x)"),
        ("detach(x)", "stop_gradient(x)"),
        ("sum(x, keepdims=True)", "sum(x, keepdims=true)"),
        ("sum(x, axis=(0, 1))", "sum(x, axis=[0, 1])"),
        ("clamp(x, 0, 1)", "clip(x, min=0, max=1)"),
        ('einsum("ij->ji", x)', 'einsum(x, equation="ij->ji")'),
        ("reshape(x, [2, 3])", "reshape(x, shape=[2, 3])"),
        ("swish(x)", "silu(x)"),
        ("triu(x) + tril(x, k=-1)", "trilu(x) + trilu(x, k=-1, upper=0)"),
    ]:
        assert build(one).digest == build(other).digest


def test_a_list_of_numbers_stays_one_constant() -> None:
    assert [node.operation.name for node in build("[1, -2, NaN]").nodes] == ["Constant"]
    assert [node.operation.name for node in build("[[1], [2]] * x").nodes][1:] == ["Constant", "Mul"]


def test_a_name_of_a_composite_can_be_a_target_and_a_header() -> None:
    value, _ = value_and_gradients("square(x) = x + 1", x=2.0)
    assert value == 3.0
    value, _ = value_and_gradients("square = x + 1; y = square(square)", x=2.0)
    assert value == 9.0


def test_no_gradient_flows_behind_a_stop_even_where_it_is_infinite() -> None:
    _, (gradient,) = value_and_gradients("sqrt(stop_gradient(x)) + x", x=0.0)
    assert gradient == 1.0


def test_a_binary_cross_entropy_far_out_keeps_its_digits() -> None:
    """log(1 + e^−40) is e^−40, which x·(1 − t) + log(1 + e^−x) as it stands, and σ(x) − 1, would lose."""
    value, (by_score, _) = value_and_gradients("bce_with_logits(x, t)", x=40.0, t=1.0)
    assert value == math.exp(-40.0) and by_score == pytest.approx(-math.exp(-40.0), rel=1e-15)


def test_second_derivatives_where_a_branch_is_taken_at_its_bound() -> None:
    for text, x, y, expected in [
        ("logaddexp(x, y)", 1.0, 1.0, [[0.25, -0.25], [-0.25, 0.25]]),
        ("xlogy(x, y)", 0.0, 2.0, [[0.0, 0.5], [0.5, 0.0]]),
        ("hypot(x, y)", 3.0, 4.0, [[16 / 125, -12 / 125], [-12 / 125, 9 / 125]]),
    ]:
        graph = build(text)
        values = forward_pass(graph, {"x": np.array(x), "y": np.array(y)})
        blocks = hessian(graph, values, "output", ["x", "y"])
        found = [[float(blocks[one, other]) for other in "xy"] for one in "xy"]
        np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_a_deviation_of_0_has_gradient_0_but_times_infinity_none() -> None:
    assert value_and_gradients("std(x)", x=[0.1, 0.1, 0.1])[1][0].tolist() == [0.0, 0.0, 0.0]
    assert value_and_gradients("var(x)", x=[0.1, 0.1, 0.1])[1][0].tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(value_and_gradients("sqrt(std(x))", x=[2.0, 2.0])[1][0]).all()


def test_a_power_of_an_input_e_has_a_hint() -> None:
    (hint,) = hints_of(build("y = e^x"), "y = e^x")
    assert "exp(x)" in hint
    for text in ("F(e, x) = e^x", "e = a + b; f = e^c", "x^e", "y = exp(x)", "e * x"):
        assert hints_of(build(text), text) == []


@pytest.mark.parametrize("method", ["taylor", "central"])
def test_a_gradient_check_leaves_what_is_stopped_where_it_is(method: str) -> None:
    graph = build("stop_gradient(x) * x + x²")
    values = forward_pass(graph, {"x": np.array(3.0)})
    (check,) = check_gradients(graph, values, "output", [0], method)
    assert (check.verdict, float(check.gradient)) == ("right", 9.0)
    graph = build("stop_gradient(x)")
    (check,) = check_gradients(graph, forward_pass(graph, {"x": np.array(3.0)}), "output", [0], method)
    assert (check.verdict, float(check.gradient)) == ("right", 0.0)
