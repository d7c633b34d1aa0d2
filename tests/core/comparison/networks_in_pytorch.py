"""Random networks that PyTorch computes, with every tensor's gradient, and the expressions of the same networks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.core.execution.run import Backward, Run
from service.core.figures.figures import pack
from service.core.graph.graph import Graph
from service.core.rounding.precision import ROUNDED_ONCE
from tests.planted import graph_of

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

F = torch.nn.functional

ACTIVATIONS = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "softplus": F.softplus,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "exp": lambda x: torch.exp(-F.softplus(x)),
}

KINKED = ("relu", "leaky_relu", "elu", "selu")


class Program:
    """A network in PyTorch and, statement by statement, the expression of the same network.

    `node` names a tensor and says in an expression what it is; every tensor keeps its gradient.
    """

    def __init__(self, seed: int, dtype: str = "float32") -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        self.always_kept = {"L"}  # and, in low precision, what decides which branch is taken or what is chosen
        self.statements: list[str] = []
        self.inputs: dict[str, Any] = {}
        self.tensors: dict[str, Any] = {}

    def size(self, least: int, most: int) -> int:
        """A random size."""
        return int(self.random.integers(least, most + 1))

    def chance(self, of: float = 0.5) -> bool:
        """True so often."""
        return bool(self.random.random() < of)

    def given(self, name: str, *shape: int, scale: float = 1.0) -> Any:
        """An input of normal deviates."""
        return self.fixed(name, scale * self.random.standard_normal(shape), differentiable=True)

    def weight(self, name: str, *shape: int) -> Any:
        """An input of normal deviates that keep the size of what they are multiplied by, more or less."""
        fan = max(1, int(np.prod(shape[1:]) if len(shape) > 2 else shape[0]))
        return self.given(name, *shape, scale=float(self.random.choice([0.3, 1.0, 3.0])) / np.sqrt(fan))

    def fixed(self, name: str, figure: Any, *, differentiable: bool = False) -> Any:
        """An input, of which no gradient is recorded unless it is differentiable."""
        tensor = torch.tensor(np.asarray(figure)).to(getattr(torch, self.dtype))
        self.inputs[name] = tensor.double().numpy()
        self.tensors[name] = tensor.requires_grad_(differentiable)
        return tensor

    def node(self, name: str, text: str, tensor: Any) -> Any:
        """A tensor that the expression computes."""
        self.statements.append(f"{name} = {text}")
        self.tensors[name] = tensor
        tensor.retain_grad()
        return tensor

    def decides(self, x: str) -> None:
        """Keep what a branch or a choice depends on: unrecorded, it may be rounded to either side of the kink."""
        if self.dtype in ROUNDED_ONCE:
            self.always_kept.add(x)

    def activate(self, name: str, x: str) -> Any:
        """A random activation of the tensor of that name."""
        which = str(self.random.choice([*ACTIVATIONS, "relu", "silu"]))
        tensor = self.tensors[x]
        if which in KINKED:
            self.decides(x)
        if which == "silu":
            return self.node(name, f"{x} * sigmoid({x})", F.silu(tensor))
        text = f"exp(-softplus({x}))" if which == "exp" else f"{which}({x})"
        return self.node(name, text, ACTIVATIONS[which](tensor))

    def linear(self, name: str, x: str, width: int, *, bias: bool = True) -> Any:
        """A linear layer of the tensor of that name, in one node or two."""
        tensor, w, b = self.tensors[x], f"W_{name}", f"b_{name}"
        if tensor.ndim == 2 and self.chance():
            weight, shift = self.weight(w, tensor.shape[-1], width).T, self.given(b, width)
            return self.node(name, f"gemm({x}, {w}, {b})", F.linear(tensor, weight, shift))
        weight = self.weight(w, tensor.shape[-1], width)
        if not bias:
            return self.node(name, f"{x} @ {w}", tensor @ weight)
        product = self.node(f"{name}_p", f"{x} @ {w}", tensor @ weight)
        return self.node(name, f"{name}_p + {b}", product + self.given(b, width))

    def loss(self, x: str) -> None:
        """A random loss of the tensor of that name."""
        tensor = self.tensors[x]
        which = self.size(0, 5)
        if which == 0 and tensor.ndim == 2:
            labels = self.random.integers(0, tensor.shape[1], tensor.shape[0])
            self.fixed("labels", labels)
            loss = F.cross_entropy(tensor, torch.tensor(labels))
            self.node("L", f"softmax_cross_entropy({x}, labels)", loss)
        elif which == 1:
            target = self.fixed("target", self.random.standard_normal(tuple(tensor.shape)))
            self.node("L", f"mse({x}, target)", F.mse_loss(tensor, target))
        elif which == 2:
            target = self.fixed("target", self.random.integers(0, 2, tuple(tensor.shape)))
            loss = F.binary_cross_entropy_with_logits(tensor, target)
            self.node("L", f"mean(softplus({x}) - {x} * target)", loss)
        elif which == 3:
            chosen = self.fixed("chosen", self.random.random(tuple(tensor.shape)))
            logs = self.node("logs", f"log_softmax({x}, axis=-1)", torch.log_softmax(tensor, -1))
            self.node("L", "-sum(logs * chosen)", -(logs * chosen).sum())
        elif which == 4:
            weights = self.given("weights", *tensor.shape)
            weighted = self.node("weighted", f"{x} * weights", tensor * weights)
            self.node("L", "mean(weighted ^ 2)", (weighted**2).mean())
        else:
            self.node("L", f"sum(logsumexp({x}, axis=-1))", torch.logsumexp(tensor, -1).sum())

    @property
    def overflowed(self) -> bool:
        """Whether a figure is beyond the largest number of the dtype; a mask's −∞ is none."""
        computed = [tensor for name, tensor in self.tensors.items() if name not in ("mask", "m")]
        slopes = [tensor.grad for tensor in self.tensors.values() if tensor.grad is not None]
        return not all(bool(torch.isfinite(each).all()) for each in (*computed, *slopes))

    def recorded(self) -> tuple[Graph, Run]:
        """The graph, and the run as a recorder of PyTorch's figures would give it: all, some, or the inputs' alone."""
        self.tensors["L"].backward()
        graph = graph_of("; ".join(self.statements), ["L"])
        values, gradients = self.tensors, {name: each.grad for name, each in self.tensors.items()}
        some = {name for name in self.tensors if self.chance(0.6)}
        kept = [set(self.tensors), some | self.always_kept, self.inputs.keys() | self.always_kept][self.size(0, 2)]

        def figures(tensors: Any) -> Any:
            return pack(
                [
                    None
                    if node.name not in kept or tensors.get(node.name) is None
                    else tensors[node.name].detach().double().numpy()
                    for node in graph.nodes
                ]
            )

        return graph, Run(graph, figures(values), self.dtype, Backward("L", np.ones(()), figures(gradients)))


def mlp(program: Program) -> None:
    program.given("x", program.size(1, 16), program.size(1, 32), scale=float(program.random.choice([0.01, 1.0, 30.0])))
    last = "x"
    for layer in range(program.size(1, 5)):
        program.linear(f"h{layer}", last, program.size(1, 32), bias=program.chance(0.8))
        last = f"a{layer}"
        program.activate(last, f"h{layer}")
        if program.chance(0.3):
            mask = program.fixed(
                f"mask{layer}", 2.0 * program.random.integers(0, 2, tuple(program.tensors[last].shape))
            )
            program.node(f"d{layer}", f"{last} * mask{layer}", program.tensors[last] * mask)
            last = f"d{layer}"
    program.linear("o", last, program.size(2, 10))
    program.loss("o")


def cnn(program: Program) -> None:
    channels, side = program.size(1, 3), program.size(8, 14)
    program.given("x", program.size(1, 4), channels, side, side)
    last = "x"
    for layer in range(program.size(1, 3)):
        x = program.tensors[last]
        length = program.size(1, min(3, x.shape[-1]))
        step, pad = program.size(1, 2), program.size(0, length - 1)
        width = program.size(1, 6)
        kernel = program.weight(f"k{layer}", width, x.shape[1], length, length)
        bias = program.given(f"b{layer}", width)
        before, last = last, f"c{layer}"
        program.node(
            last,
            f"conv({before}, k{layer}, b{layer}, strides=[{step}, {step}], pads=[{pad}, {pad}, {pad}, {pad}])",
            F.conv2d(x, kernel, bias, stride=step, padding=pad),
        )
        before, last = last, f"a{layer}"
        if program.chance():
            program.activate(f"r{layer}", before)
            pool(program, last, f"r{layer}")
        else:
            pool(program, f"p{layer}", before)
            program.activate(last, f"p{layer}")
    x = program.tensors[last]
    program.node("flat", f"flatten({last})", x.flatten(1))
    program.linear("o", "flat", program.size(2, 10))
    program.loss("o")


def pool(program: Program, name: str, x: str) -> None:
    """A random pool of the tensor of that name; the zeros that a relu has made tie in it."""
    tensor = program.tensors[x]
    length = program.size(1, min(3, tensor.shape[-1]))
    step, pad = program.size(1, 2), program.size(0, length // 2)
    window = f"kernel_shape=[{length}, {length}], strides=[{step}, {step}], pads=[{pad}, {pad}, {pad}, {pad}]"
    kind = program.random.choice(["mean", "max", "max", "average"])
    if kind == "mean":
        program.node(name, f"mean({x}, axis=[2, 3], keepdims=1)", tensor.mean((2, 3), keepdim=True))
    elif kind == "max":
        program.decides(x)
        program.node(name, f"max_pool({x}, {window})", F.max_pool2d(tensor, length, step, pad))
    else:
        pooled = F.avg_pool2d(tensor, length, step, pad)
        program.node(name, f"average_pool({x}, {window}, count_include_pad=1)", pooled)


def attention(program: Program) -> None:
    batch, length, width, heads = program.size(1, 3), program.size(1, 8), program.size(1, 8), program.size(1, 4)
    x = program.given("x", batch, length, width * heads, scale=float(program.random.choice([0.1, 1.0, 10.0])))
    split = {}
    for name in "qkv":
        program.linear(f"{name}0", "x", width * heads, bias=program.chance())
        shape = (batch, length, heads, width)
        tensor = program.tensors[f"{name}0"].reshape(shape).transpose(1, 2)
        split[name] = program.node(name, f"transpose(reshape({name}0, shape={list(shape)}), perm=[0, 2, 1, 3])", tensor)
    keys = program.node("t", "transpose(k, perm=[0, 1, 3, 2])", split["k"].transpose(-1, -2))
    raw = program.node("r", "q @ t", split["q"] @ keys)
    scores = program.node("s", f"r / {float(np.sqrt(width))!r}", raw / np.sqrt(width))
    masked = "s"
    if program.chance():
        bias = program.fixed("mask", np.triu(np.full((length, length), -1e9 if program.chance() else -np.inf), 1))
        scores = program.node("m", "s + mask", scores + bias)
        masked = "m"
    p = program.node("p", f"softmax({masked}, axis=-1)", torch.softmax(scores, -1))
    z = program.node("z", "p @ v", p @ split["v"])
    joined = z.transpose(1, 2).reshape(batch, length, width * heads)
    program.node("y", f"reshape(transpose(z, perm=[0, 2, 1, 3]), shape={[batch, length, width * heads]})", joined)
    program.linear("u", "y", width * heads)
    program.node("o", "x + u", x + program.tensors["u"])
    program.loss("o")


def gru(program: Program) -> None:
    batch, width, state = program.size(1, 8), program.size(1, 8), program.size(1, 8)
    w = {gate: program.weight(f"W{gate}", width, state) for gate in "rzn"}
    u = {gate: program.weight(f"U{gate}", state, state) for gate in "rzn"}
    b = {gate: program.given(f"b{gate}", state) for gate in "rznc"}
    h = program.given("h0", batch, state)
    steps = program.size(1, 6)
    for step in range(1, steps + 1):
        x, before = program.given(f"x{step}", batch, width), f"h{step - 1}"
        gates = {
            gate: program.node(
                f"{gate}{step}",
                f"sigmoid(x{step} @ W{gate} + {before} @ U{gate} + b{gate})",
                torch.sigmoid(x @ w[gate] + h @ u[gate] + b[gate]),
            )
            for gate in "rz"
        }
        inner = program.node(f"i{step}", f"{before} @ Un + bc", h @ u["n"] + b["c"])
        n = torch.tanh(x @ w["n"] + b["n"] + gates["r"] * inner)
        program.node(f"n{step}", f"tanh(x{step} @ Wn + bn + r{step} * i{step})", n)
        h = (1 - gates["z"]) * n + gates["z"] * h
        program.node(f"h{step}", f"(1 - z{step}) * n{step} + z{step} * {before}", h)
    program.linear("o", f"h{steps}", program.size(2, 6))
    program.loss("o")


def layer_norm(program: Program) -> None:
    batch, width = program.size(1, 8), program.size(2, 32)
    program.given("x", batch, width, scale=float(program.random.choice([0.01, 1.0, 100.0])))
    last = "x"
    for layer in range(program.size(1, 4)):
        x, n = program.tensors[last], f"n{layer}"
        scale, shift = program.given(f"s{layer}", width), program.given(f"b{layer}", width)
        if program.chance():
            program.node(n, f"layer_norm({last}, s{layer}, b{layer}, axis=-1)", F.layer_norm(x, (width,), scale, shift))
        else:
            mean = program.node(f"m{layer}", f"mean({last}, axis=1, keepdims=1)", x.mean(1, keepdim=True))
            centred = program.node(f"c{layer}", f"{last} - m{layer}", x - mean)
            variance = program.node(
                f"v{layer}", f"mean(c{layer} ^ 2, axis=1, keepdims=1)", (centred**2).mean(1, keepdim=True)
            )
            root = program.node(f"d{layer}", f"sqrt(v{layer} + 1e-5)", torch.sqrt(variance + 1e-5))
            program.node(n, f"c{layer} / d{layer} * s{layer} + b{layer}", centred / root * scale + shift)
        program.linear(f"h{layer}", n, width)
        program.activate(f"a{layer}", f"h{layer}")
        before, last = last, f"y{layer}"
        program.node(last, f"{before} + a{layer}", x + program.tensors[f"a{layer}"])
    program.loss(last)


NETWORKS: dict[str, Callable[[Program], None]] = {
    "MLP": mlp,
    "CNN": cnn,
    "attention": attention,
    "GRU": gru,
    "layer norm": layer_norm,
}
