"""Contributions of tensor operations in the sentences about wrong gradients: a textbook's formulas, or words."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison.listing import explained_origins
from tests.planted import graph_of, judge, run_of

POINT = {
    "x": np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]]),
    "y": np.array([[2.0, 3.0, 5.0], [4.0, 6.0, 10.0]]),
    "i": np.array([1.0, 0.0]),
    "g": np.ones(3),
    "s": np.array([[1.0, 2.0], [3.0, 5.0]]),
    "l": np.array([[[1.0, 3.0, 2.0, 7.0]]]),
    "k": np.array([[[1.0, 2.0]]]),
    "b": np.ones(1),
}

# Expression, the node whose gradient is wrong throughout, and what the sentence has in it.
WRITTEN = [
    ("F = sum(x)", "x", "it should be 1 there by the ReduceSum rule."),
    ("z = mean(x, axis=1); F = sum(z)", "x", "it should be ∂F/∂z/3 = 1/3 there by the ReduceMean rule."),
    ("F = sum(mean(x, axis=1)^2)", "x", "it should be ∂F/∂mean(x, axis=1)/3 = "),
    (
        "F = sum(x[1] * [1, 2, 3])",
        "x",
        "be 0 there, ∂F/∂x[1:2] at the elements that are taken and 0 elsewhere, by the Slice",
    ),
    ("F = max(x)", "x", "it should be 0 there, 1 where x is the maximum and 0 elsewhere, by the ReduceMax rule."),
    ("z = min(x, axis=0); F = sum(z)", "x", " there, ∂F/∂z where x is the minimum and 0 elsewhere, by the ReduceMin"),
    ("F = softmax_cross_entropy(x, i)", "x", "it should be 1·(softmax(x) − one_hot(i))/2 = "),
    ('z = softmax_cross_entropy(x, i, reduction="none"); F = sum(z)', "x", "be ∂F/∂z·(softmax(x) − one_hot(i)) = "),
    ("F = softmax_cross_entropy(x, i, g)", "x", " there by the SoftmaxCrossEntropyLoss rule."),
    ("z = mse(x, y); F = z + 0", "x", "it should be ∂F/∂z·2·(x − y)/6 = −1/3 there by the MeanSquaredError rule."),
    ("z = var(x, axis=1); F = sum(z)", "x", "it should be ∂F/∂z·2·(x − mean(x))/3 = "),
    ("z = std(x, ddof=1); F = z + 0", "x", "it should be ∂F/∂z·(x − mean(x))/(5·z) = "),
    ("z = x.T; F = sum(z)", "x", "it should be (∂F/∂z).T = 1 there by the Transpose rule."),
    ("z = gemm(y, x, transB=1); F = sum(z)", "x", "it should be (∂F/∂z).T @ y = "),
    ("z = layer_norm(x, g); F = sum(z * y)", "x", " there by the LayerNormalization rule."),
    ("z = prod(x); F = z + 0", "x", "it should be ∂F/∂z·z/x = "),
    ("z = norm(x); F = z + 0", "x", "it should be ∂F/∂z·x/z = "),
    ("z = logsumexp(x); F = z + 0", "x", "it should be ∂F/∂z·exp(x − z) = "),
    ("z = softmax(x); F = sum(z * y)", "x", "it should be z·(∂F/∂z − sum(∂F/∂z·z)) = "),
    ("z = log_softmax(x); F = sum(z * y)", "x", "it should be ∂F/∂z − exp(z)·sum(∂F/∂z) = "),
    ("z = det(s); F = z + 0", "s", "it should be ∂F/∂z·cofactors(s) = "),
    ("z = inv(s); F = sum(z)", "s", "it should be −z.T @ ∂F/∂z @ z.T = "),
    ("z = gather(x, i); F = sum(z)", "x", " there, ∂F/∂z summed over the places where i names the element, by the"),
    ("z = concat(x, y, axis=0); F = sum(z)", "x", " there, the part of ∂F/∂z that is x's, by the Concat rule."),
    ("z = pad(x, pads=[1, 0, 0, 1]); F = sum(z)", "x", " there, ∂F/∂z without the padding, by the Pad rule."),
    ("z = expand(x, shape=[2, 2, 3]); F = sum(z)", "x", " there, ∂F/∂z summed over the copies, by the Expand rule."),
    (
        "z = split(x, axis=1, split=[1, 2], output=0); F = sum(z)",
        "x",
        " there, ∂F/∂z at the elements that are taken and",
    ),
    ("z = conv(l, k, b); F = sum(z)", "l", " there, ∂F/∂z convolved with the kernel k flipped, by the Conv rule."),
    ("z = conv(l, k, b); F = sum(z)", "k", " there, l times ∂F/∂z, summed over the places of the kernel, by the Conv"),
    ("z = conv(l, k, b); F = sum(z)", "b", " there, ∂F/∂z summed over all but the channels, by the Conv rule."),
    (
        "z = max_pool(l, kernel_shape=[2]); F = sum(z)",
        "l",
        " summed over the windows of which the element is the maximum",
    ),
    ("z = average_pool(l, kernel_shape=[2]); F = sum(z)", "l", " there, ∂F/∂z/2 summed over the windows that hold the"),
]


@pytest.mark.parametrize(("text", "node", "says"), WRITTEN, ids=[f"{text}, {node}" for text, node, _ in WRITTEN])
def test_a_contribution_is_written_as_a_textbook_does(text: str, node: str, says: str) -> None:
    graph = graph_of(text)
    inputs: dict[str, Any] = {name: POINT[name] for name in graph.inputs}
    wrong = run_of(graph, inputs, gradients={node: 7.3 * np.ones(POINT[node].shape)})
    (origin,) = explained_origins(judge(run_of(graph, inputs), wrong))
    assert says in origin.sentence
