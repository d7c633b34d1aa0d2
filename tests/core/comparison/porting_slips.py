"""Mistakes of programs ported from one library to another: tensors, losses, normalization, convolution."""

from typing import Any

import numpy as np

from tests.core.comparison.slips import G, Mistake, V

_R = np.random.default_rng(7)
A, B = _R.normal(size=(3, 3)), _R.normal(size=(3, 3))
M, W = _R.normal(size=(4, 3)), _R.normal(size=(4, 3))
BIAS = _R.normal(size=3)
P = np.exp(M) / np.exp(M).sum(axis=1, keepdims=True)
LABELS = np.array([0.0, 2.0, 1.0, 2.0])
HOT = np.eye(3)[LABELS.astype(int)]
MV = {"x": M, "w": W}
SOFT = {"text": "s = softmax(x, axis=-1); F = sum(s * w)", "inputs": MV}
ENTROPY = {"text": "F = softmax_cross_entropy(x, labels)", "inputs": {"x": M, "labels": LABELS}}
LINEAR = {"text": "z = x @ y; F = sum(z * w)", "inputs": {"x": A, "y": B, "w": M[:3]}}
DENSE = {"text": "z = x + b; F = sum(tanh(z) * w)", "inputs": {**MV, "b": BIAS}}
NORM = {"text": "n = layernormalization(x, g); F = sum(n * w)", "inputs": {**MV, "g": np.ones(3)}}
OWN = {
    "text": "m = mean(x, axis=1, keepdims=1); c = x - m; q = mean(c*c, axis=1, keepdims=1); "
    "v = q + 1e-5; d = sqrt(v); n = c / d; F = sum(n * w)",
    "inputs": MV,
}
GATHER = {
    "text": "z = gather(x, i); F = sum(z * w)",
    "inputs": {"x": BIAS, "i": np.array([0.0, 2.0, 0.0, 1.0]), "w": M[:, 0]},
}
CENTRED = M - M.mean(axis=1, keepdims=True)
DEVIATION = np.sqrt((CENTRED**2).mean(axis=1, keepdims=True) + 1e-5)
FLOW = (1 - np.tanh(M + BIAS) ** 2) * W


def _softmax(x: Any, axis: int) -> Any:
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def _softmax_gradient(s: Any, upstream: Any) -> Any:
    return s * (upstream - (s * upstream).sum(axis=1, keepdims=True))


def _port(what: str, case: Any, kind: str, node: str, wrong: Any, names: str) -> Mistake:
    return Mistake(what, case["text"], case["inputs"], kind, node, wrong, names)


def _of(text: str, **inputs: Any) -> dict[str, Any]:
    return {"text": text, "inputs": inputs}


LINE, KERNEL, WEIGHTS = np.array([0.3, -1.2, 0.7, 1.9, -0.4, 0.8]), np.array([0.5, -1.0, 2.0]), 0.5 + np.arange(6.0) / 4
X = 0.7
CUBE = np.arange(8.0).reshape(2, 2, 2) ** 2
UNBIASED = np.sqrt(M.var(axis=1, keepdims=True, ddof=1) + 1e-5)


def _slid(x: Any, before: int = 0, after: int = 0) -> Any:
    """KERNEL slid along x."""
    return np.correlate(np.pad(x, (before, after)), KERNEL)[None, None]


def _line(text: str, **inputs: Any) -> dict[str, Any]:
    """A signal of one channel, the kernel, and the weights of the result."""
    return _of(f"{text}; F = sum(z * w)", x=LINE[None, None], k=KERNEL[None, None], w=WEIGHTS[None, None], **inputs)


POOL = _of(
    "z = max_pool(x, kernel_shape=[2], strides=[2]); F = sum(z * w)", x=LINE[None, None], w=WEIGHTS[None, None, :3]
)

PORTS = [
    _port(
        "padded on the other side", _line("z = conv(x, k, pads=[2, 0])"), V, "z", _slid(LINE, 0, 2), "another attribute"
    ),
    _port(
        "padded on the other side, in the gradient",
        _line("z = conv(x, k, pads=[2, 0])"),
        G,
        "x",
        np.convolve(WEIGHTS, KERNEL)[None, None, :6],
        "another attribute",
    ),
    _port(
        "not dilated, padded to match",
        _line("z = conv(x, k, dilations=[2], pads=[2, 2])"),
        V,
        "z",
        _slid(LINE, 1, 1),
        "another attribute",
    ),
    _port(
        "another stride",
        _of("z = conv(x, k, strides=[2]); F = sum(z)", x=LINE[None, None], k=KERNEL[None, None]),
        V,
        "z",
        _slid(LINE)[..., [0, 3]],
        "another attribute",
    ),
    _port(
        "another window",
        _of("z = average_pool(x, kernel_shape=[2], strides=[3]); F = sum(z)", x=LINE[None, None]),
        V,
        "z",
        LINE.reshape(1, 1, 2, 3).mean(axis=-1),
        "another attribute",
    ),
    _port(
        "the padding counted",
        _of("z = average_pool(x, kernel_shape=[3], pads=[1, 1]); F = sum(z)", x=LINE[None, None]),
        V,
        "z",
        np.correlate(np.pad(LINE, 1), np.full(3, 1 / 3))[None, None],
        "another attribute",
    ),
    _port(
        "padded by reflection",
        _of('z = pad(x, pads=[2, 2], mode="edge"); F = sum(z * z)', x=LINE),
        V,
        "z",
        np.pad(LINE, 2, mode="reflect"),
        "another attribute",
    ),
    _port(
        "other axes exchanged",
        _of("z = transpose(x, perm=[0, 2, 1]); F = sum(z * x)", x=CUBE),
        V,
        "z",
        CUBE.transpose(2, 1, 0),
        "another attribute",
    ),
    _port(
        "einsum of the transpose",
        _of('z = einsum(x, y, equation="ij,jk->ik"); F = sum(z * z)', x=A, y=B),
        V,
        "z",
        A @ B.T,
        "another attribute",
    ),
    _port("off by one", _of("z = x[2:5]; F = sum(z * z)", x=LINE), V, "z", LINE[1:4], "another attribute"),
    _port(
        "layer norm: ddof 1 in the scale's gradient",
        NORM,
        G,
        "g",
        (W * CENTRED / UNBIASED).sum(axis=0),
        "mean over another count",
    ),
    _port("layer norm: ddof 1", NORM, V, "n", CENTRED / UNBIASED, "mean over another count"),
    _port(
        "layer norm: ddof 1 in the gradient",
        NORM,
        G,
        "x",
        (
            W
            - W.mean(axis=1, keepdims=True)
            - CENTRED / UNBIASED * (W * CENTRED / UNBIASED).sum(axis=1, keepdims=True) / 2
        )
        / UNBIASED,
        "mean over another count",
    ),
    _port("softmax: diagonal alone", SOFT, G, "x", W * P * (1 - P), "Jacobian cut short"),
    _port("softmax over the other axis", SOFT, V, "s", _softmax(M, 0), "another attribute"),
    _port("softmax: s·u", SOFT, G, "x", W * P, "Jacobian cut short"),
    _port(
        "log_softmax: u alone",
        _of("s = log_softmax(x); F = sum(s * w)", **MV),
        G,
        "x",
        W,
        "Jacobian cut short|upstream factor dropped",
    ),
    _port(
        "log_softmax over the other axis",
        _of("s = log_softmax(x); F = sum(s * w)", **MV),
        V,
        "s",
        np.log(_softmax(M, 0)),
        "another attribute",
    ),
    _port("no one-hot", ENTROPY, G, "x", P / 4, "Jacobian cut short"),
    _port(
        "no one-hot, each loss apart",
        _of('l = softmax_cross_entropy(x, labels, reduction="none"); F = sum(l * u)', x=M, labels=LABELS, u=W[:, 0]),
        G,
        "x",
        P * W[:, :1],
        "Jacobian cut short",
    ),
    _port("one-hot minus softmax", ENTROPY, G, "x", (HOT - P) / 4, "sign"),
    _port("not over the batch", ENTROPY, G, "x", P - HOT, "sum for mean|another attribute"),
    _port("loss: sum for mean", ENTROPY, V, "F", lambda right: 4 * right, "sum for mean"),
    _port("loss: mean over classes", ENTROPY, G, "x", (P - HOT) / 3, "mean over another count"),
    _port("y·u for u·yᵀ", LINEAR, G, "x", M[:3] @ B, "wrong factor transposed"),
    _port("yᵀ·u", LINEAR, G, "x", B.T @ M[:3], "wrong factor transposed"),
    _port("x·u for xᵀ·u", LINEAR, G, "y", A @ M[:3], "wrong factor transposed"),
    _port("u·x", LINEAR, G, "y", M[:3] @ A, "wrong factor transposed"),
    _port("the transposed product", LINEAR, V, "z", (A @ B).T, "transposed"),
    _port("y·x for x·y", LINEAR, V, "z", B @ A, "operands swapped"),
    _port("bias: the last example", DENSE, G, "b", FLOW[-1], "not summed over the batch"),
    _port("bias: the first example", DENSE, G, "b", FLOW[0], "not summed over the batch"),
    _port("bias: the mean", DENSE, G, "b", FLOW.mean(axis=0), "sum for mean"),
    _port("two passes, no zero_grad", DENSE, G, "b", 2 * FLOW.sum(axis=0), "counted twice"),
    _port(
        "layer norm: mean detached",
        NORM,
        G,
        "x",
        (W - CENTRED / DEVIATION * (W * CENTRED / DEVIATION).mean(axis=1, keepdims=True)) / DEVIATION,
        "statistics detached",
    ),
    _port(
        "layer norm: variance detached",
        NORM,
        G,
        "x",
        (W - W.mean(axis=1, keepdims=True)) / DEVIATION,
        "statistics detached",
    ),
    _port("layer norm: both detached", NORM, G, "x", W / DEVIATION, "statistics detached"),
    _port("layer norm: epsilon 1e-3", NORM, V, "n", CENTRED / np.sqrt(DEVIATION**2 - 1e-5 + 1e-3), "another attribute"),
    _port("own norm: variance detached", OWN, G, "c", W / DEVIATION, "contribution missing|detached"),
    _port("own norm: variance cut far away", OWN, G, "x", (W - W.mean(axis=1, keepdims=True)) / DEVIATION, "detached"),
    _port(
        "own norm: mean detached",
        OWN,
        G,
        "x",
        (W - CENTRED / DEVIATION * (W * CENTRED / DEVIATION).mean(axis=1, keepdims=True)) / DEVIATION,
        "contribution missing|detached",
    ),
    _port(
        "a branch detached",
        _of("p = sin(x); q = exp(p); r = cos(x); F = q * r + 2 * p", x=X),
        G,
        "x",
        2 * np.cos(X) - np.exp(np.sin(X)) * np.sin(X),
        "detached",
    ),
    _port(
        "repeated index overwritten",
        GATHER,
        G,
        "x",
        np.array([M[2, 0], M[3, 0], M[1, 0]]),
        "repeated index overwritten",
    ),
    _port(
        "leaky_relu's alpha",
        _of("z = leaky_relu(x); F = sum(z * w)", **MV),
        V,
        "z",
        np.where(M > 0, M, 0.2 * M),
        "another attribute",
    ),
    _port(
        "leaky_relu's alpha in the slope",
        _of("z = leaky_relu(x); F = sum(z * w)", **MV),
        G,
        "x",
        np.where(M > 0, W, 0.2 * W),
        "another attribute",
    ),
    _port(
        "gelu by tanh",
        _of("z = gelu(x); F = sum(z * w)", **MV),
        V,
        "z",
        0.5 * M * (1 + np.tanh(np.sqrt(2 / np.pi) * (M + 0.044715 * M**3))),
        "another attribute",
    ),
    _port(
        "cumsum exclusive",
        _of("z = cumsum(x, axis=0); F = sum(z * w)", **MV),
        V,
        "z",
        np.cumsum(M, axis=0) - M,
        "another attribute",
    ),
    _port(
        "cumsum over the other axis",
        _of("z = cumsum(x, axis=0); F = sum(z * w)", **MV),
        V,
        "z",
        np.cumsum(M, axis=1),
        "another attribute",
    ),
    _port(
        "gemm without transB",
        _of("z = gemm(x, y, transB=1); F = sum(z * w)", x=A, y=B, w=M[:3]),
        V,
        "z",
        A @ B,
        "another attribute",
    ),
    _port(
        "mean over the other axis",
        _of("z = mean(x, axis=1); F = sum(z * w)", x=A, w=BIAS),
        V,
        "z",
        A.mean(axis=0),
        "another attribute",
    ),
    _port(
        "one wrong element",
        DENSE,
        G,
        "x",
        lambda right: right + 0.37 * (np.arange(12) == 5).reshape(4, 3),
        "one part wrong",
    ),
    _port(
        "one wrong row",
        DENSE,
        G,
        "x",
        lambda right: right * np.where(np.arange(4) == 2, 1.37, 1.0)[:, None],
        "one part wrong",
    ),
    _port(
        "0·log 0",
        _of("z = softplus(x); F = sum(z * w)", x=np.array([0.0, 1.0, 2.0]), w=BIAS),
        G,
        "x",
        lambda right: np.where(np.arange(3) == 0, np.nan, right),
        "0/0 left as NaN",
    ),
    _port("rows reversed", _of("z = tanh(x); F = sum(z * w)", **MV), V, "z", np.tanh(M)[::-1], "reordered"),
    _port("scaled everywhere", DENSE, G, "x", lambda right: 0.83 * right, "constant factor"),
    _port(
        "W·g for Wᵀ·g",
        _of("z = y @ x; F = sum(z * w)", x=BIAS, y=A, w=M[0]),
        G,
        "x",
        A @ M[0],
        "wrong factor transposed",
    ),
    _port(
        "Wᵀ·g for W·g",
        _of("z = x @ y; F = sum(z * w)", x=BIAS, y=A, w=M[0]),
        G,
        "x",
        A.T @ M[0],
        "wrong factor transposed",
    ),
    _port(
        "Wᵀ·x for W·x",
        _of("z = y @ x; F = sum(z * w)", x=BIAS, y=A, w=M[0]),
        V,
        "z",
        A.T @ BIAS,
        "wrong factor transposed|operands swapped",
    ),
    _port(
        "x·W for x·Wᵀ in a batch",
        _of("z = x @ y; F = sum(z * z)", x=np.stack([A, B]), y=B),
        V,
        "z",
        np.stack([A, B]) @ B.T,
        "wrong factor transposed",
    ),
    _port(
        "u·y for u·yᵀ in a batch",
        _of("z = x @ y; F = sum(z * w)", x=np.stack([A, B]), y=B, w=np.stack([B, A])),
        G,
        "x",
        np.stack([B, A]) @ B,
        "wrong factor transposed",
    ),
    _port("softmax twice", SOFT, V, "s", _softmax(P, 1), "applied twice"),
    _port("softmax twice, in the gradient", SOFT, G, "x", _softmax_gradient(_softmax(P, 1), W), "applied twice"),
    _port("softmax before the loss's own", ENTROPY, V, "F", -np.log(_softmax(P, 1)[HOT == 1]).mean(), "applied twice"),
    _port(
        "softmax before the loss's own, in the gradient",
        ENTROPY,
        G,
        "x",
        _softmax_gradient(P, (_softmax(P, 1) - HOT) / 4),
        "applied twice",
    ),
    _port(
        "softmax before the loss's own, its Jacobian left out",
        ENTROPY,
        G,
        "x",
        (_softmax(P, 1) - HOT) / 4,
        "applied twice",
    ),
    _port("labels from 1", ENTROPY, V, "F", -np.log(P[range(4), LABELS.astype(int) - 1]).mean(), "wrong label"),
    _port(
        "labels from 1, in the gradient", ENTROPY, G, "x", (P - np.eye(3)[LABELS.astype(int) - 1]) / 4, "wrong label"
    ),
    _port("one wrong label", ENTROPY, V, "F", -np.log(P[range(4), [0, 2, 0, 2]]).mean(), "wrong label"),
    _port("one wrong label, in the gradient", ENTROPY, G, "x", (P - np.eye(3)[[0, 2, 0, 2]]) / 4, "wrong label"),
    _port("cross-entropy by log10", ENTROPY, V, "F", -np.log10(P[HOT == 1]).mean(), "another logarithm"),
    _port("cross-entropy by log2, in the gradient", ENTROPY, G, "x", (P - HOT) / 4 / np.log(2), "another logarithm"),
    _port(
        "a kernel not flipped",
        _line("z = conv(x, k, pads=[1, 1])"),
        V,
        "z",
        np.convolve(np.pad(LINE, 1), KERNEL, "valid")[None, None],
        "kernel flipped",
    ),
    _port(
        "a kernel not flipped, in the gradient",
        _line("z = conv(x, k, pads=[1, 1])"),
        G,
        "x",
        np.correlate(np.pad(WEIGHTS, 1), KERNEL)[None, None],
        "kernel flipped",
    ),
    _port(
        "a kernel's gradient not flipped",
        _line("z = conv(x, k, pads=[1, 1])"),
        G,
        "k",
        np.correlate(np.pad(LINE, 1), WEIGHTS)[::-1][None, None],
        "kernel flipped",
    ),
    _port("mean for max pool", POOL, V, "z", LINE.reshape(1, 1, 3, 2).mean(axis=-1), "another operation"),
    _port(
        "mean for max pool, in the gradient",
        POOL,
        G,
        "x",
        np.repeat(WEIGHTS[:3] / 2, 2)[None, None],
        "another operation",
    ),
    _port("max for mean", _of("z = mean(x, axis=1); F = sum(z * z)", x=M), V, "z", M.max(axis=1), "another operation"),
    _port(
        "bias added twice",
        _of("z = x @ y + b; F = sum(z * z)", x=M, y=A, b=BIAS),
        V,
        "z",
        M @ A + 2 * BIAS,
        "counted twice",
    ),
    _port(
        "bias of gemm added twice",
        _of("z = gemm(x, y, b); F = sum(z * z)", x=M, y=A, b=BIAS),
        V,
        "z",
        M @ A + 2 * BIAS,
        "counted twice",
    ),
    _port(
        "bias of gemm left out",
        _of("z = gemm(x, y, b); F = sum(z * z)", x=M, y=A, b=BIAS),
        V,
        "z",
        M @ A,
        "operand left out",
    ),
    _port(
        "bias of conv added twice",
        _line("z = conv(x, k, b, pads=[1, 1])", b=np.array([0.7])),
        V,
        "z",
        _slid(LINE, 1, 1) + 1.4,
        "counted twice",
    ),
    _port("own norm: both detached", OWN, G, "x", W / DEVIATION, "detached"),
]
