"""Students' slips and porting mistakes: each with the node at fault and the hypotheses that would name it.

The wrong figures are computed here, by NumPy, as the mistaken person or program would.
"""

from typing import Any, NamedTuple

import numpy as np


class Mistake(NamedTuple):
    """A mistake at one node's value ("values") or gradient ("gradients"); `names` are the hypotheses that name it."""

    what: str
    text: str
    inputs: dict[str, Any]
    kind: str
    node: str
    wrong: Any
    names: str


X, Y = 0.7, 1.3
T, S, E = np.tanh(X), 1 / (1 + np.exp(-X)), np.exp(X)
ONE = {"x": X}
TWO = {"x": X, "y": Y}
V, G = "values", "gradients"


def _student(what: str, text: str, inputs: dict[str, Any], kind: str, node: str, wrong: Any, names: str) -> Mistake:
    return Mistake(what, text, inputs, kind, node, wrong, names)


STUDENTS = [
    _student("1 − x² for 1 − t²", "t = tanh(x); F = 3*t", ONE, G, "x", 3 * (1 - X**2), "input taken for output"),
    _student(
        "x(1 − x) for s(1 − s)", "s = sigmoid(x); F = 3*s", ONE, G, "x", 3 * X * (1 - X), "input taken for output"
    ),
    _student("x for eˣ", "z = exp(x); F = 3*z", ONE, G, "x", 3 * X, "input taken for output"),
    _student("cos(z) for cos(x)", "z = sin(x); F = 3*z", ONE, G, "x", 3 * np.cos(np.sin(X)), "input taken for output"),
    _student("1/z for 1/x", "z = log(x); F = 3*z", {"x": 1.7}, G, "x", 3 / np.log(1.7), "input taken for output"),
    _student("1/(2x) for 1/(2√x)", "z = sqrt(x); F = 3*z", ONE, G, "x", 3 / (2 * X), "input taken for output"),
    _student(
        "sigmoid applied twice",
        "s = sigmoid(x); F = 3*s",
        ONE,
        G,
        "x",
        3 * (q := 1 / (1 + np.exp(-S))) * (1 - q),
        "applied twice",
    ),
    _student("tanh applied twice", "t = tanh(x); F = 3*t", ONE, G, "x", 3 * (1 - np.tanh(T) ** 2), "applied twice"),
    _student("the exponent kept", "F = 5*x^3", ONE, G, "x", 5 * 3 * X**3, "power rule"),
    _student("the factor left out", "F = 5*x^3", ONE, G, "x", 5 * X**2, "power rule"),
    _student("n·x", "F = 5*x^3", ONE, G, "x", 5 * 3 * X, "power rule"),
    _student("the factor n − 1", "F = 5*x^3", ONE, G, "x", 5 * 2 * X**2, "power rule"),
    _student("integrated", "F = 5*x^3", ONE, G, "x", 5 * X**4 / 4, "power rule"),
    _student("the exponent raised", "F = 5*x^3", ONE, G, "x", 5 * 3 * X**4, "power rule"),
    _student("power rule for 2ˣ", "F = 5*2^x", ONE, G, "x", 5 * X * 2 ** (X - 1), "power rule"),
    _student("2ˣ without ln 2", "F = 5*2^x", ONE, G, "x", 5 * 2**X, "power rule|its own derivative"),
    _student("√ without 1/2", "F = 5*sqrt(x)", ONE, G, "x", 5 / np.sqrt(X), "power rule"),
    _student("√ not below the line", "F = 5*sqrt(x)", ONE, G, "x", 5 * 0.5 * np.sqrt(X), "power rule"),
    _student("quotient without the square", "z = x/y; F = 3*z", TWO, G, "y", -3 * X / Y, "quotient rule"),
    _student("quotient without the minus", "z = x/y; F = 3*z", TWO, G, "y", 3 * X / Y**2, "sign"),
    _student("quotient without the numerator", "z = x/y; F = 3*z", TWO, G, "y", -3 / Y**2, "quotient rule"),
    _student("quotient: 1/y", "z = x/y; F = 3*z", TWO, G, "y", 3 / Y, "quotient rule"),
    _student(
        "quotient: multiplied by y²",
        "z = x/y; F = 3*z",
        TWO,
        G,
        "y",
        -3 * X * Y**2,
        "quotient rule|operand taken as its reciprocal",
    ),
    _student("reciprocal without the square", "z = reciprocal(x); F = 3*z", ONE, G, "x", -3 / X, "quotient rule"),
    _student("reciprocal without both", "z = reciprocal(x); F = 3*z", ONE, G, "x", 3 / X, "quotient rule"),
    _student("reciprocal integrated", "z = reciprocal(x); F = 3*z", ONE, G, "x", 3 * np.log(X), "quotient rule"),
    _student("y for 1/y", "z = x/y; F = 3*z", TWO, G, "x", 3 * Y, "reciprocal of the local gradient"),
    _student(
        "cos(x) for cos(u)", "u = x^2; z = sin(u); F = 3*z", ONE, G, "u", 3 * np.cos(X), "taken at the wrong argument"
    ),
    _student(
        "eˣ for eᵘ",
        "u = -x; z = exp(u); F = 3*z",
        ONE,
        G,
        "u",
        3 * np.exp(X),
        "taken at the wrong argument|sign inside",
    ),
    _student("sin its own derivative", "z = sin(x); F = 3*z", ONE, G, "x", 3 * np.sin(X), "its own derivative"),
    _student("log its own derivative", "z = log(x); F = 3*z", ONE, G, "x", 3 * np.log(X), "its own derivative"),
    _student("tanh its own derivative", "z = tanh(x); F = 3*z", ONE, G, "x", 3 * T, "its own derivative"),
    _student("degrees in cos", "z = sin(x); F = 3*z", ONE, G, "x", 3 * np.cos(np.deg2rad(X)), "degrees for radians"),
    _student("degrees in sin", "z = sin(x); F = 3*z", ONE, V, "z", np.sin(np.deg2rad(X)), "another function"),
    _student("radians to degrees", "z = cos(x); F = 3*z", ONE, V, "z", np.cos(np.rad2deg(X)), "another function"),
    _student("log10 for ln", "z = log(x); F = 3*z", ONE, V, "z", np.log10(X), "another function"),
    _student("log2 for ln", "z = log(x); F = 3*z", ONE, V, "z", np.log2(X), "another function"),
    _student("the slope of log10", "z = log(x); F = 3*z", ONE, G, "x", 3 / (X * np.log(10)), "another logarithm"),
    _student("1 + t²", "t = tanh(x); F = 3*t", ONE, G, "x", 3 * (1 + T**2), "sign inside"),
    _student("s(1 + s)", "s = sigmoid(x); F = 3*s", ONE, G, "x", 3 * S * (1 + S), "sign inside"),
    _student(
        "1/(1 − x²) for arctan",
        "z = atan(x); F = 3*z",
        ONE,
        G,
        "x",
        3 / (1 - X**2),
        "sign inside|another function's derivative",
    ),
    _student("e⁻ˣ for eˣ", "z = exp(x); F = 3*z", ONE, V, "z", np.exp(-X), "another function"),
    _student("the minus of cos′", "z = cos(x); F = 3*z", ONE, G, "x", 3 * np.sin(X), "sign"),
    _student("sin′ = −cos", "z = sin(x); F = 3*z", ONE, G, "x", -3 * np.cos(X), "sign"),
    _student("cosh′ = −sinh", "z = cosh(x); F = 3*z", ONE, G, "x", -3 * np.sinh(X), "sign"),
    _student("cos for cosh", "z = cosh(x); F = 3*z", ONE, V, "z", np.cos(X), "another function"),
    _student("arctan for tan", "z = tan(x); F = 3*z", ONE, V, "z", np.arctan(X), "another function"),
    _student(
        "the slope of arctan for tan",
        "z = tan(x); F = 3*z",
        ONE,
        G,
        "x",
        3 / (1 + X**2),
        "another function's derivative",
    ),
    _student("the value for the gradient", "F = x*y", TWO, G, "x", X, "value taken for the gradient|operands swapped"),
    _student("one operand's sign", "z = x - y; F = 3*z", TWO, V, "z", X + Y, "another operation"),
    _student("+ for ×", "z = x*y; F = 3*z", TWO, V, "z", X + Y, "another operation"),
    _student("× for ^", "z = x^y; F = 3*z", TWO, V, "z", X * Y, "another operation"),
    _student("a/b for b/a", "z = x/y; F = 3*z", TWO, V, "z", Y / X, "operands swapped"),
    _student("digits exchanged", "z = x*y; F = 3*z", {"x": 17.0, "y": 13.0}, V, "z", 212.0, "digits exchanged"),
    _student(
        "decimal point", "z = x*y; F = 3*z", {"x": 17.0, "y": 13.0}, V, "z", 22.1, "digits exchanged|constant factor"
    ),
    _student(
        "an operand left out",
        "z = max(x, y, w); F = 3*z",
        {**TWO, "w": 2.9},
        V,
        "z",
        Y,
        "operand left out|another node's figure",
    ),
    _student(
        "sum without one", "z = mean(x, y, w); F = 3*z", {**TWO, "w": 2.9}, V, "z", (X + Y) / 2, "operand left out"
    ),
    _student(
        "mean without the division",
        "z = mean(x, y, w); F = 3*z",
        {**TWO, "w": 2.9},
        V,
        "z",
        X + Y + 2.9,
        "sum for mean",
    ),
    _student("counted twice", "z = x*y; F = sin(z)", TWO, G, "x", 2 * np.cos(X * Y) * Y, "counted twice"),
    _student(
        "product rule: f′g′", "p = sin(x); q = log(x); F = p*q", ONE, G, "x", np.cos(X) / X, "derivatives multiplied"
    ),
    _student(
        "product rule: f′g alone",
        "p = sin(x); q = log(x); F = p*q",
        ONE,
        G,
        "x",
        np.cos(X) * np.log(X),
        "contribution missing",
    ),
    _student(
        "product rule: fg′ alone", "p = sin(x); q = log(x); F = p*q", ONE, G, "x", np.sin(X) / X, "contribution missing"
    ),
    _student(
        "product rule: minus",
        "p = sin(x); q = log(x); F = p*q",
        ONE,
        G,
        "x",
        np.cos(X) * np.log(X) - np.sin(X) / X,
        "sign of one contribution",
    ),
    _student(
        "one path counted twice",
        "p = sin(x); q = log(x); F = p*q",
        ONE,
        G,
        "x",
        2 * np.cos(X) * np.log(X) + np.sin(X) / X,
        "contribution counted twice",
    ),
    _student(
        "the last path alone",
        "p = x*y; q = sin(x); F = p*q",
        TWO,
        G,
        "x",
        np.sin(X) * Y,
        "only the last contribution kept|contribution missing",
    ),
    _student("upstream left out", "z = x*y; F = exp(z)", TWO, G, "x", Y, "upstream factor dropped"),
    _student("inner derivative left out", "z = x*y; F = exp(z)", TWO, G, "x", np.exp(X * Y), "local factor dropped"),
    _student(
        "the factors' gradients swapped", "z = x*y; F = exp(z)", TWO, G, "x", np.exp(X * Y) * X, "operands swapped"
    ),
    _student(
        "the constant's factor left out", "z = 7*x; F = sin(z)", ONE, G, "x", np.cos(7 * X), "local factor dropped"
    ),
    _student("rounded early", "z = x/y; F = 3*z", {"x": 1.0, "y": 3.0}, V, "z", 0.33, "rounded or cut"),
    _student("cut", "z = x/y; F = 3*z", {"x": 2.0, "y": 3.0}, V, "z", 0.66, "rounded or cut"),
    _student("the wrong sign of a sum", "z = x + y; F = 3*z", TWO, V, "z", -(X + Y), "sign"),
    _student(
        "another node's value", "p = x*y; q = p + x; F = p*q", TWO, V, "q", X * Y + Y, "another node for an operand"
    ),
    _student(
        "copied from elsewhere",
        "p = x*y; q = sin(x); F = p*q",
        TWO,
        G,
        "p",
        X * Y,
        "another node's figure|value taken for the gradient",
    ),
    _student("relu passes nothing", "z = relu(x); F = 3*z", ONE, G, "x", 0.0, "contribution missing"),
    _student("relu's gate left open", "z = relu(x); F = 3*z", {"x": -X}, G, "x", 3.0, "local factor dropped"),
    _student("|x| without its sign", "z = abs(x); F = 3*z", {"x": -X}, G, "x", 3.0, "sign"),
]

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


def _port(what: str, case: Any, kind: str, node: str, wrong: Any, names: str) -> Mistake:
    return Mistake(what, case["text"], case["inputs"], kind, node, wrong, names)


def _of(text: str, **inputs: Any) -> dict[str, Any]:
    return {"text": text, "inputs": inputs}


LINE, KERNEL, WEIGHTS = np.array([0.3, -1.2, 0.7, 1.9, -0.4, 0.8]), np.array([0.5, -1.0, 2.0]), 0.5 + np.arange(6.0) / 4
CUBE = np.arange(8.0).reshape(2, 2, 2) ** 2
UNBIASED = np.sqrt(M.var(axis=1, keepdims=True, ddof=1) + 1e-5)


def _slid(x: Any, before: int = 0, after: int = 0) -> Any:
    """KERNEL slid along x."""
    return np.correlate(np.pad(x, (before, after)), KERNEL)[None, None]


def _line(text: str, **inputs: Any) -> dict[str, Any]:
    """A signal of one channel, the kernel, and the weights of the result."""
    return _of(f"{text}; F = sum(z * w)", x=LINE[None, None], k=KERNEL[None, None], w=WEIGHTS[None, None], **inputs)


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
]
