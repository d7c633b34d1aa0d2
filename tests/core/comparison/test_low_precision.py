"""Runs in bfloat16 and float16: each figure accumulated in float32 and rounded once."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.core.comparison.verdicts import TOLERANCES, coarsest
from service.core.execution.chain_rule import contributions_at
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import pack
from service.core.graph.graph import Graph
from tests.planted import graph_of, judge, only, origins

MLP = "h = x @ W; s = h + b; r = {act}(s); o = r @ V; p = softmax(o); L = sum(p * t)"
GATE = "g = sigmoid(x @ W); c = tanh(x @ U); m = g * c; y = x + m; L = sum(y * y)"


def bfloat16(figure: Any) -> Any:
    """The nearest bfloat16, ties to even: the upper half of a float32."""
    bits = np.atleast_1d(np.asarray(figure, np.float32)).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
    return rounded.view(np.float32).astype(np.float64).reshape(np.shape(figure))


def float16(figure: Any) -> Any:
    """The nearest float16."""
    return np.asarray(figure).astype(np.float16).astype(np.float64)


ROUND = {"bfloat16": bfloat16, "float16": float16}


def rounded_run(graph: Graph, inputs: dict[str, Any], dtype: str, planted: dict[str, float]) -> Run:
    """A run that rounds each value, each contribution and each sum of contributions; `planted` multiplies figures."""
    rounded: Callable[[Any], Any] = ROUND[dtype]
    values: list[Any] = []
    for node, sources in zip(graph.nodes, graph.operands, strict=True):
        right = (
            inputs[node.name]
            if node.operation.is_input
            else node.operation.evaluate([values[source] for source in sources], node.attributes)
        )
        values.append(rounded(np.asarray(right) * planted.get(node.name, 1.0)))
    target = graph.position["L"]
    gradients: list[Any] = [np.zeros(np.shape(value)) for value in values]
    gradients[target] = np.ones(())
    for position in range(len(graph) - 1, -1, -1):
        gradients[position] = rounded(gradients[position] * planted.get(f"∂{graph.nodes[position].name}", 1.0))
        sources = graph.operands[position]
        if sources:
            operands = [values[source] for source in sources]
            parts = contributions_at(graph, position, gradients[position], operands, values[position])
            for source, part in zip(sources, parts, strict=True):
                gradients[source] = rounded(gradients[source] + rounded(part))
    return Run(graph, pack(values), dtype, Backward("L", np.ones(()), pack(gradients)))


def network(text: str, seed: int, dtype: str) -> tuple[Graph, dict[str, Any], Run]:
    random, graph = np.random.default_rng(seed), graph_of(text, ["L"])
    shapes = {"x": (4, 8), "W": (8, 8), "U": (8, 8), "V": (8, 3), "b": (8,), "t": (4, 3)}
    inputs = {name: ROUND[dtype](random.standard_normal(shapes[name]) / 2) for name in graph.inputs}
    values = forward_pass(graph, inputs)
    return graph, inputs, Run(graph, values, backward=Backward("L", np.ones(()), backward_pass(graph, values, "L")))


TEXTS = [MLP.format(act="tanh"), MLP.format(act="relu"), MLP.format(act="gelu"), GATE]


@pytest.mark.parametrize("dtype", ROUND)
@pytest.mark.parametrize("text", TEXTS)
def test_a_right_run_in_low_precision_has_no_origin(text: str, dtype: str) -> None:
    for seed in range(10):
        graph, inputs, right = network(text, seed, dtype)
        assert origins(judge(right, rounded_run(graph, inputs, dtype, {}), dtype), graph) == []


@pytest.mark.parametrize("dtype", ROUND)
@pytest.mark.parametrize(
    ("text", "node"),
    [
        *[(TEXTS[0], node) for node in ("h", "s", "r", "o", "p", "L", "∂p", "∂o", "∂V", "∂r", "∂W", "∂b")],
        *[(GATE, node) for node in ("g", "c", "m", "y", "∂y", "∂m", "∂g", "∂W")],
    ],
)
def test_an_error_of_5_percent_is_the_only_origin(text: str, node: str, dtype: str) -> None:
    phase = "backward" if node.startswith("∂") else "forward"
    for seed in range(3):
        graph, inputs, right = network(text, seed, dtype)
        found = judge(right, rounded_run(graph, inputs, dtype, {node: 1.05}), dtype)
        assert origins(found, graph) == [(phase, node.removeprefix("∂"))]


@pytest.mark.parametrize("dtype", ROUND)
def test_what_rests_on_unrecorded_roundings_is_not_accused(dtype: str) -> None:
    text = "a = sum(x * x); b = sum(t * t); L = a - b; F = L * 2"
    for seed in range(30):
        graph, inputs, right = network(text, seed, dtype)
        inputs["t"] = ROUND[dtype](np.sqrt(np.sum(inputs["x"] ** 2) / np.sum(inputs["t"] ** 2)) * inputs["t"])
        values = forward_pass(graph, inputs)
        right = Run(graph, values, backward=Backward("L", np.ones(()), backward_pass(graph, values, "L")))
        recorded = only(rounded_run(graph, inputs, dtype, {}), values=["x", "t", "L", "F"])
        assert origins(judge(right, recorded, dtype), graph) == []


def test_the_coarser_dtype() -> None:
    assert coarsest("float64", "float32") == "float32"
    assert coarsest("bfloat16", "float16") == "bfloat16"
    assert (TOLERANCES["bfloat16"].rtol, TOLERANCES["bfloat16"].atol) == (1.6e-2, 1e-5)
    assert (TOLERANCES["float16"].rtol, TOLERANCES["float16"].atol) == (1e-3, 1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("dtype", ROUND)
@pytest.mark.parametrize("act", ["tanh", "relu", "sigmoid", "exp", "softplus", "gelu"])
def test_a_network_of_pytorchs_has_no_origin(act: str, dtype: str) -> None:
    torch: Any = importlib.import_module("torch")
    apply = getattr(torch.nn.functional, act, None) or getattr(torch, act)
    graph = graph_of(
        f"h = x @ W; s = h + b; r = {act}(s); o = r @ V; y = x + r; n = softmax(o); q = n * t; "
        "L = sum(q) + mean(y * y)",
        ["L"],
    )
    shapes = {"x": (4, 8), "W": (8, 8), "b": (8,), "V": (8, 3), "t": (4, 3)}
    for seed in range(10):
        torch.manual_seed(seed)
        # Halved: the square of an exp above 11 would overflow in float16.
        halves = {name: torch.randn(*shape) / 2 for name, shape in shapes.items()}
        given = {name: half.to(getattr(torch, dtype)).requires_grad_() for name, half in halves.items()}
        nodes = dict(given)
        nodes["h"] = given["x"] @ given["W"]
        nodes["s"] = nodes["h"] + given["b"]
        nodes["r"] = apply(nodes["s"])
        nodes["o"] = nodes["r"] @ given["V"]
        nodes["y"] = given["x"] + nodes["r"]
        nodes["n"] = torch.softmax(nodes["o"], -1)
        nodes["q"] = nodes["n"] * given["t"]
        nodes["L"] = nodes["q"].sum() + (nodes["y"] * nodes["y"]).mean()
        for tensor in nodes.values():
            tensor.retain_grad()
        nodes["L"].backward()
        figures, slopes = (
            {name: read(tensor).detach().double().numpy() for name, tensor in nodes.items()}
            for read in (lambda tensor: tensor, lambda tensor: tensor.grad)
        )
        values = forward_pass(graph, {name: figures[name] for name in graph.inputs})
        right = Run(graph, values, backward=Backward("L", np.ones(()), backward_pass(graph, values, "L")))
        theirs = pack([figures.get(node.name) for node in graph.nodes])
        gradients = pack([slopes.get(node.name) for node in graph.nodes])
        recorded = Run(graph, theirs, dtype, Backward("L", np.ones(()), gradients))
        assert origins(judge(right, recorded, dtype), graph) == []
