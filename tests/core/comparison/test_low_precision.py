"""Runs in bfloat16 and float16: each figure accumulated in float32 and rounded once."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.comparison.verdicts import TOLERANCES, Tolerance
from service.core.execution.chain_rule import contributions_at
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import pack
from service.core.graph.graph import Graph
from service.core.rounding.precision import coarsest
from tests.planted import altered, graph_of, judge, only, origins, run_of

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


SQUARES = "h = x @ W; s = h + b; r = tanh(s); o = r @ V; L = mean(o * o)"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ROUND)
@pytest.mark.parametrize("node", ["∂o", "∂V", "∂s", "o", "s"])
@pytest.mark.parametrize("unrecorded", ["mul_1", "h"])
def test_it_is_so_beside_a_figure_that_is_not_recorded(node: str, unrecorded: str, dtype: str) -> None:
    for seed in range(3):
        graph, inputs, right = network(SQUARES, seed, dtype)
        names = {each.name for each in graph.nodes} - {unrecorded}
        clean = only(rounded_run(graph, inputs, dtype, {}), values=names, gradients=names)
        assert origins(judge(right, clean, dtype), graph) == []
        wrong = only(rounded_run(graph, inputs, dtype, {node: 1.05}), values=names, gradients=names)
        phase = "backward" if node.startswith("∂") else "forward"
        assert origins(judge(right, wrong, dtype), graph) == [(phase, node.removeprefix("∂"))]


def rounded(figure: Any, dtype: str) -> Any:
    return ROUND[dtype](figure)


# What PyTorch 2.13 computes on a CPU, step by step.
@pytest.mark.parametrize("dtype", ROUND)
def test_what_libraries_keep_on_the_way_is_rounded_too(dtype: str) -> None:
    graph = graph_of("y = log_softmax(x); L = sum(y * w)", ["L"])
    x = rounded(np.array([6.0, 0.03, 0.7, -0.4]), dtype)
    total = rounded(np.sum(np.exp(x - 6.0)), dtype)
    y = rounded(x - 6.0 - np.log(total), dtype)
    assert judged_at(graph, {"x": x, "w": np.arange(1.0, 5.0)}, {"y": y}, {}, dtype) == []
    assert judged_at(graph, {"x": x, "w": np.arange(1.0, 5.0)}, {"y": 1.05 * y}, {}, dtype) == [("forward", "y")]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ROUND)
def test_the_losses_of_a_batch_are_summed_one_by_one(dtype: str, reduction: str) -> None:
    graph = graph_of(f"L = softmax_cross_entropy(x, t, reduction={reduction!r})", ["L"])
    random = np.random.default_rng(2)
    x, t = rounded(5.0 * random.normal(size=(16, 3)), dtype), random.integers(0, 3, 16)
    losses = rounded(np.log(np.sum(np.exp(x), axis=1)) - x[np.arange(16), t], dtype)
    total = 0.0
    for loss in losses:
        total = rounded(total + loss, dtype)
    right = rounded(total / 16 if reduction == "mean" else total, dtype)
    given = {"x": x, "t": t.astype(float)}
    assert judged_at(graph, given, {"L": right}, {}, dtype) == []
    assert judged_at(graph, given, {"L": 1.1 * right}, {}, dtype) == [("forward", "L")]


@pytest.mark.parametrize("dtype", ROUND)
def test_the_products_with_copies_of_an_operand_are_rounded_before_they_are_summed(dtype: str) -> None:
    graph = graph_of("y = x * w; L = sum(y * t)", ["L"])
    random = np.random.default_rng(0)
    x, t = (rounded(random.normal(size=(64, 1)), dtype) for _ in range(2))
    t[-1] -= rounded(np.sum(x * t) / x[-1, 0], dtype)
    t = rounded(t, dtype)
    slope = rounded(np.sum(rounded(x * t, dtype), axis=0), dtype)
    assert judged_at(graph, {"x": x, "w": np.ones(1), "t": t}, {}, {"w": slope}, dtype) == []


@pytest.mark.parametrize("dtype", ROUND)
def test_the_parts_of_a_convolutions_gradient_are_rounded_before_they_are_summed(dtype: str) -> None:
    graph = graph_of("y = conv(x, k); L = sum(y * t)", ["L"])
    random = np.random.default_rng(1)
    x, k, t = (rounded(random.normal(size=shape), dtype) for shape in ((6, 2, 8), (3, 2, 3), (6, 3, 6)))
    to_kernel = np.zeros(k.shape)
    for sample in range(6):
        part = [
            [[np.sum(t[sample, o] * x[sample, c, i : i + 6]) for i in range(3)] for c in range(2)] for o in range(3)
        ]
        to_kernel = rounded(to_kernel + rounded(np.array(part), dtype), dtype)
    to_x = np.zeros(x.shape)
    for i in range(3):
        columns = rounded(np.einsum("ocx,nol->ncl", k[:, :, i : i + 1], t), dtype)
        to_x[:, :, i : i + 6] = rounded(to_x[:, :, i : i + 6] + columns, dtype)
    given = {"x": x, "k": k, "t": t}
    assert judged_at(graph, given, {}, {"x": to_x, "k": to_kernel}, dtype) == []
    assert judged_at(graph, given, {}, {"x": 1.05 * to_x, "k": to_kernel}, dtype) == [("backward", "x")]


def test_what_is_below_the_least_numbers_of_float16_is_rounded_to_them() -> None:
    graph = graph_of("y = x * w; L = y * 3", ["L"])
    given = {"x": float16(1e-5), "w": float16(2.0)}
    slopes = {"w": float16(3.6e-5), "x": 6.0}
    assert judged_at(graph, given, {}, slopes, "float16") == [("backward", "w")]
    slopes["w"] = float16(3.0 * given["x"] + 2.0**-24)
    assert judged_at(graph, given, {}, slopes, "float16") == []


def judged_at(graph: Graph, inputs: dict[str, Any], values: Any, gradients: Any, dtype: str) -> Any:
    """The origins of a run that is right and not rounded but for these figures."""
    run = run_of(graph, inputs)
    recorded = replace(altered(run, values=values, gradients=gradients), dtype=dtype)
    return origins(judge(run, recorded, Tolerance(0.0, 0.0)), graph)


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
