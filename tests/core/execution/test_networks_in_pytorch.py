"""Linear algebra and the operations of neural networks against PyTorch, where it is installed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.tensors import Sample, operation_of, samples

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

pytestmark = pytest.mark.peers
F = torch.nn.functional


def gemm(sample: Sample, a: Any, b: Any, c: Any = 0.0) -> Any:
    alpha, beta, trans_a, trans_b = sample.attributes.values()
    return alpha * (a.T if trans_a else a) @ (b.T if trans_b else b) + beta * c


def layer_norm(sample: Sample, x: Any, scale: Any, bias: Any = 0.0) -> Any:
    axis, epsilon, output = sample.attributes.values()
    axes = tuple(range(axis, 0))
    if output:
        mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
        return mean if output == 1 else torch.rsqrt(variance + epsilon)
    return F.layer_norm(x, x.shape[axis:], eps=epsilon) * scale + bias


def cross_entropy(sample: Sample, scores: Any, labels: Any, weights: Any = None) -> Any:
    if sample.attributes.get("output"):
        return F.log_softmax(scores, 1)
    loss = F.nll_loss if sample.operation.name == "NegativeLogLikelihoodLoss" else F.cross_entropy
    ignored = sample.attributes["ignore_index"]
    ignored = -12345 if ignored is None else ignored
    return loss(scores, labels.long(), weights, reduction=sample.attributes["reduction"], ignore_index=ignored)


def mean_squared_error(sample: Sample, x: Any, y: Any) -> Any:
    return F.mse_loss(*torch.broadcast_tensors(x, y))


def sliding(sample: Sample, axes: int) -> dict[str, Any]:
    """PyTorch's names; it knows pads alike on both sides only."""
    given = sample.attributes
    named = {"stride": given["strides"] or (1,) * axes, "dilation": given["dilations"] or (1,) * axes}
    return {name: tuple(value) for name, value in named.items()}


def around(sample: Sample, x: Any, lengths: Sequence[int], value: float = 0.0) -> Any:
    axes = x.ndim - 2
    pads = sample.attributes["pads"] or (0,) * 2 * axes
    if sample.attributes["auto_pad"].startswith("SAME"):
        totals = []
        for axis, length in enumerate(lengths):
            stride, dilation = sliding(sample, axes)["stride"][axis], sliding(sample, axes)["dilation"][axis]
            steps = -(-x.shape[2 + axis] // stride)
            totals.append(max((steps - 1) * stride + dilation * (length - 1) + 1 - x.shape[2 + axis], 0))
        ends = [[total // 2, total - total // 2] for total in totals]
        pads = [end[at ^ sample.attributes["auto_pad"].endswith("LOWER")] for at in (0, 1) for end in ends]
    pairs = [pads[position + end * axes] for position in reversed(range(axes)) for end in (0, 1)]
    return F.pad(x, pairs, value=value)


def convolution(sample: Sample, x: Any, kernel: Any, bias: Any = None) -> Any:
    called, groups = getattr(F, f"conv{x.ndim - 2}d"), sample.attributes["group"]
    padded = around(sample, x, kernel.shape[2:])
    return called(padded, kernel, bias, groups=groups, **sliding(sample, x.ndim - 2))


def transposed_convolution(sample: Sample, x: Any, kernel: Any, bias: Any = None) -> Any:
    """PyTorch's without padding, of which pads are cut off and to which output_padding is put."""
    axes, groups = x.ndim - 2, sample.attributes["group"]
    slid = sliding(sample, axes)
    whole = getattr(F, f"conv_transpose{axes}d")(x, kernel, groups=groups, **slid)
    added, pads = (sample.attributes[name] or (0,) * 2 * axes for name in ("output_padding", "pads"))
    wanted, auto_pad = sample.attributes["output_shape"], sample.attributes["auto_pad"]
    if wanted is None and auto_pad.startswith("SAME"):
        wanted = [
            min(length * stride, full + more)
            for length, stride, full, more in zip(x.shape[2:], slid["stride"], whole.shape[2:], added, strict=False)
        ]
    for axis, full in enumerate(whole.shape[2:]):
        start, length = pads[axis], full + added[axis] - pads[axis] - pads[axis + axes]
        if wanted is not None:
            total, length = max(full + added[axis] - wanted[axis], 0), wanted[axis]
            start = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        whole = F.pad(whole, [0, 0] * (axes - 1 - axis) + [0, start + length])
        whole = whole.narrow(axis + 2, start, length)
    return whole if bias is None else whole + bias.reshape(-1, *[1] * axes)


def max_pool(sample: Sample, x: Any) -> Any:
    lengths, ceil_mode = sample.attributes["kernel_shape"], bool(sample.attributes["ceil_mode"])
    filled = around(sample, x, lengths, -torch.inf)
    return getattr(F, f"max_pool{x.ndim - 2}d")(filled, lengths, ceil_mode=ceil_mode, **sliding(sample, x.ndim - 2))


def norm_of_windows(sample: Sample, x: Any) -> Any:
    """By a convolution of each channel with ones."""
    lengths, order = sample.attributes["kernel_shape"], sample.attributes["p"]
    padded, slid = around(sample, x.abs() ** order, lengths), sliding(sample, x.ndim - 2)
    if sample.attributes["ceil_mode"]:
        padded = F.pad(padded, [0, max(slid["stride"]) - 1] * (x.ndim - 2))
    sums = getattr(F, f"conv{x.ndim - 2}d")(padded.flatten(0, 1)[:, None], torch.ones(1, 1, *lengths).double(), **slid)
    sums = sums.unflatten(0, x.shape[:2]).squeeze(2)
    return sums[tuple(slice(length) for length in sample.value.shape)] ** (1.0 / order)


def batch_norm(sample: Sample, x: Any, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
    if sample.attributes["training_mode"]:
        running, momentum, output = (mean, variance), sample.attributes["momentum"], sample.attributes["output"]
        axes = (0, *range(2, x.ndim))
        if output:  # PyTorch's running variance is a sample's, and has no gradient
            batch = (x.mean(axes), x.var(axes, correction=0))[output - 1]
            return running[output - 1] * momentum + batch * (1.0 - momentum)
        return F.batch_norm(x, None, None, scale, bias, training=True, eps=sample.attributes["epsilon"])
    shape = (1, -1, *[1] * (x.ndim - 2))
    scale, bias, mean, variance = (each.reshape(shape) for each in (scale, bias, mean, variance))
    return (x - mean) / torch.sqrt(variance + sample.attributes["epsilon"]) * scale + bias


ORACLES: dict[str, Callable[..., Any]] = {
    "MatMul": lambda sample, x, y: torch.matmul(x, y),
    "Gemm": gemm,
    "Einsum": lambda sample, *operands: torch.einsum(sample.attributes["equation"], *operands),
    "Det": lambda sample, x: torch.linalg.det(x),
    "Inverse": lambda sample, x: torch.linalg.inv(x),
    "Cholesky": lambda sample, x: torch.linalg.cholesky(x),
    "LogDet": lambda sample, x: torch.logdet(x),
    "Solve": lambda sample, a, b: torch.linalg.solve(a, b if b.ndim == 1 else b.expand(sample.value.shape)),
    "Softmax": lambda sample, x: torch.softmax(x, sample.attributes["axis"]),
    "LogSoftmax": lambda sample, x: torch.log_softmax(x, sample.attributes["axis"]),
    "LayerNormalization": layer_norm,
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "NegativeLogLikelihoodLoss": cross_entropy,
    "MeanSquaredError": mean_squared_error,
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "MaxPool": max_pool,
    "LpPool": norm_of_windows,
    "GlobalMaxPool": lambda sample, x: torch.amax(x, tuple(range(2, x.ndim)), keepdim=True),
    "GlobalAveragePool": lambda sample, x: torch.mean(x, tuple(range(2, x.ndim)), keepdim=True),
    "BatchNormalization": batch_norm,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=examples(30))
@given(data=st.data())
def test_values_and_contributions_are_pytorchs(name: str, data: st.DataObject) -> None:
    sample = data.draw(samples(operation_of(name)))
    value = np.asarray(sample.value)
    equation = str(sample.attributes.get("equation", "->"))
    result = equation.partition("->")[2]
    if len(set(result)) < len(result) or not all(map(np.size, sample.operands)):
        return  # PyTorch's einsum has no diagonals in the result; some of its functions refuse what is empty
    tensors = [torch.tensor(np.array(operand, order="C")) for operand in sample.operands]
    # To the weights of classes PyTorch sends nothing back.
    positions = [position for position in sample.differentiable if not (name.endswith("Loss") and position == 2)]
    for position in positions:
        tensors[position].requires_grad_(True)
    expected = ORACLES[name](sample, *tensors)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    upstream = np.random.default_rng(0).normal(size=value.shape)
    if expected.requires_grad:
        expected.backward(torch.tensor(upstream))
    contributions = sample.operation.propagate(upstream, sample.operands, value, sample.attributes)
    for position in positions:
        gradient = tensors[position].grad
        shown = np.zeros(sample.operands[position].shape) if gradient is None else gradient.numpy()
        ours = np.zeros_like(shown) if contributions[position] is None else contributions[position]
        np.testing.assert_allclose(ours, shown, rtol=1e-9, atol=1e-11, err_msg=str(position))
