"""Contributions of tensor operations as a textbook writes them."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from service.core.explanation.steps import BackwardStep
from service.core.rulebook.registry import operation_of
from service.core.rulebook.tensor import Tensor
from service.core.symbolic.equation import gradient_of
from service.core.symbolic.printing import write_latex, write_text
from service.core.symbolic.tensor_textbook import contribution_for_reading
from service.core.symbolic.term import Application, Term, Variable, application
from tests.core.explanation.test_steps import steps_of

X = np.arange(6.0).reshape(2, 3)
AT = {"x": X, "y": [0, 2]}


@pytest.mark.parametrize(
    ("text", "inputs", "node", "written"),
    [
        ("z = h @ w; L = sum(z)", {"h": X, "w": X.T}, "w", "h.T @ dL/dz"),
        ("z = h @ w; L = sum(z)", {"h": X, "w": X.T}, "h", "dL/dz @ w.T"),
        ("z = gemm(h, w, b); L = sum(z)", {"h": X, "w": X.T, "b": [1.0, 2.0]}, "b", "sum(dL/dz, axis=0)"),
        ("z = x.T; L = sum(z)", {"x": X}, "x", "(dL/dz).T"),
        ("z = reshape(x, shape=[6]); L = sum(z)", {"x": X}, "x", "reshape(dL/dz, shape=[2, 3])"),
        ("L = sum(x)", {"x": X}, "x", "1[2×3] * dL/dL"),
        ("L = mean(x)", {"x": X}, "x", "1[2×3] * dL/dL / 6"),
        ("z = sum(x, axis=1); L = sum(z)", {"x": X}, "x", "1[2×3] * dL/dz"),
        ("z = softmax(x, axis=1); L = sum(z)", {"x": X}, "x", "z * (dL/dz - sum(dL/dz * z, axis=1))"),
        (
            "L = softmax_cross_entropy(x, y)",
            AT,
            "x",
            "dL/dL * (softmax(x, axis=1) - one_hot(y)) / 2",
        ),
        (
            'L = softmax_cross_entropy(x, y, reduction="sum")',
            AT,
            "x",
            "dL/dL * (softmax(x, axis=1) - one_hot(y))",
        ),
        ("L = mse(x, y)", {"x": X, "y": X + 1}, "x", "2 * dL/dL * (x - y) / 6"),
        (
            "z = layer_norm(x, w, b); L = sum(z)",
            {"x": X, "w": X[1], "b": X[0]},
            "x",
            "(dL/dz * w - mean(dL/dz * w, axis=-1) - standardized(x) * mean(dL/dz * w * standardized(x), axis=-1)) "
            "/ sqrt(var(x, axis=-1) + 1e-05)",
        ),
        ("z = layer_norm(x, w); L = sum(z)", {"x": X, "w": X[1]}, "w", "sum(dL/dz * standardized(x), axis=0)"),
        ("z = layer_norm(x, w, b); L = sum(z)", {"x": X, "w": X[1], "b": X[0]}, "b", "sum(dL/dz, axis=0)"),
    ],
)
def test_a_contribution_reads_like_a_textbook(text: str, inputs: Mapping[str, Any], node: str, written: str) -> None:
    (step,) = (each for each in steps_of(text, inputs) if isinstance(each, BackwardStep) and each.node.name == node)
    assert step.equation.formula.text == f"dL/d{node} = {written}"
    (contribution,) = step.contributions
    for equation in (contribution.equation, step.equation):
        assert equation.readable is not None
        ElementTree.fromstring(f"<math>{equation.followed_by(equation.readable).mathml}</math>")


def test_in_latex_and_mathml_too() -> None:
    (step,) = (
        each
        for each in steps_of("z = h @ W2; L = softmax_cross_entropy(z, y)", {"h": X, "W2": X.T, "y": [0, 1]})
        if isinstance(each, BackwardStep) and each.node.name == "W2"
    )
    assert step.equation.formula.latex == r"\frac{d L}{d W_{2}} = h^{\top} \, \frac{d L}{d z}"
    assert "<msup><mi>h</mi><mo>⊤</mo></msup>" in step.equation.formula.mathml


def reading(name: str, rule: Term, shapes: Mapping[str, tuple[int, ...]], index: int = 0, **attributes: Any) -> str:
    """A contribution of an operation of x and y, of the rulebook's form given."""
    operation, upstream = operation_of(name), gradient_of("L", "z")
    operands = [Variable("x"), Variable("y")]
    return write_text(contribution_for_reading(operation, attributes, index, upstream, operands, rule, shapes))


def test_the_rule_stands_where_no_shapes_are_known_or_no_form_fits() -> None:
    x, y = Variable("x"), Variable("y")
    summed = application(operation_of("SumTo"), [x, y])
    assert reading("Gemm", summed, {}) == "sum_to(x, y)"
    assert reading("Gemm", application(operation_of("Size"), [x]), {"x": (2, 3)}) == "6"
    assert reading("Gemm", summed, {"x": (2, 3), "y": (2, 3)}) == "x"
    assert reading("Gemm", summed, {"x": (2, 3), "y": (2, 1)}) == "sum(x, axis=1)"
    assert reading("Gemm", summed, {"x": (2, 3), "y": ()}) == "sum(x)"
    expanded = application(operation_of("ExpandTo"), [x, y])
    assert reading("Gemm", expanded, {"x": (2,), "y": (2,)}) == "x"
    assert reading("Gemm", expanded, {"x": (2,), "y": (3,)}) == "expand_to(x, y)"  # it fits nothing
    loss = {"reduction": "mean", "ignore_index": None}
    for attributes, index, shapes in (
        ({**loss, "ignore_index": 0}, 0, {"y": (2,)}),
        ({**loss, "reduction": "none"}, 0, {"y": (2,)}),
        (loss, 1, {"y": (2,)}),
        (loss, 0, {}),
    ):
        assert reading("SoftmaxCrossEntropyLoss", x, shapes, index, **attributes) == "x"
    assert reading("LayerNormalization", x, {}, 2, axis=-1, epsilon=1e-5) == "x"
    constant = Application(operation_of("Constant"), (), (("value", Tensor(np.ones(2))),))
    assert reading("Gemm", constant, {}) == "Constant(value=[1, 1])"


def test_a_transpose_of_a_transpose_is_left_out_and_a_derivative_bracketed() -> None:
    turned = application(operation_of("Transpose"), [gradient_of("L", "z")], {"perm": None})
    twice = application(operation_of("Transpose"), [turned], {"perm": None})
    assert reading("Transpose", twice, {}) == "dL/dz"
    upstream = gradient_of("L", "z")
    made = contribution_for_reading(operation_of("Transpose"), {}, 0, upstream, [Variable("x")], turned, {})
    assert write_latex(made) == r"\left(\frac{d L}{d z}\right)^{\top}"
