"""Networks and graphs whose every result is rounded to a precision, and what that does to their output."""

from collections.abc import Container, Mapping
from functools import cache
from typing import Any

import numpy as np

from service.core.execution.chain_rule import contributions_at
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures, pack
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operations.arithmetic import rounded_to
from tests.planted import graph_of

NETWORK = (
    "h = x @ W; s = h + b; r = gelu(s); n = layer_norm(r, g, c); o = n @ V; p = log_softmax(o); L = -sum(p * t) / 4"
)
LAYER = """q = x @ Q; k = x @ K; v = x @ V; s = q @ k.T / 4; a = softmax(s); o = a @ v; r = x + o @ O;
n = layer_norm(r, g, c); m = gelu(n @ U + b) @ W; y = r + m; L = mean(y * y)"""
_UNARY = [
    "Tanh",
    "Sigmoid",
    "Exp",
    "Sin",
    "Cos",
    "Softplus",
    "Sqrt",
    "Log",
    "Erf",
    "Atan",
    "Neg",
    "Gelu",
    "Relu",
    "Abs",
]
_BINARY = ["Add", "Sub", "Mul", "Div", "Atan2", "Max"]
Case = tuple[Graph, dict[str, Any]]


def rounded(figure: Any, dtype: str) -> Any:
    """The nearest number of that precision."""
    with np.errstate(all="ignore"):
        return rounded_to(np.asarray(figure, np.float64), dtype)


@cache
def network(seed: int) -> Case:
    """A network of two layers with a layer normalization and a cross-entropy loss."""
    shapes = {"x": (4, 16), "W": (16, 32), "b": (32,), "g": (32,), "c": (32,), "V": (32, 5), "t": (4, 5)}
    graph, inputs = _drawn(NETWORK, shapes, seed)
    return graph, {**inputs, "t": np.eye(5)[np.random.default_rng(seed).integers(0, 5, 4)]}


@cache
def layer(seed: int) -> Case:
    """A layer of a transformer."""
    wide = {"x": (8, 16), "U": (16, 64), "b": (64,), "W": (64, 16), "g": (16,), "c": (16,)}
    return _drawn(LAYER, {**wide, **dict.fromkeys("QKVO", (16, 16))}, seed)


def _drawn(text: str, shapes: Mapping[str, tuple[int, ...]], seed: int) -> Case:
    random, graph = np.random.default_rng(seed), graph_of(text, ["L"])
    scales = {name: 1.0 if name == "x" or len(shape) < 2 else shape[0] ** -0.5 for name, shape in shapes.items()}
    return graph, {name: scales[name] * random.standard_normal(shapes[name]) for name in graph.inputs}


@cache
def scalars(seed: int) -> Case:
    """A random graph of ten to sixty scalars of moderate values."""
    random = np.random.default_rng(seed)
    names = [f"x{number}" for number in range(4)]
    nodes: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names]
    inputs = {name: random.uniform(0.2, 2.0) for name in names}
    while len(nodes) < 14 or random.random() < 0.95:
        operation = str(random.choice(_UNARY if random.random() < 0.4 else _BINARY))
        near = names[-8:] if random.random() < 0.7 else names
        operands = [str(random.choice(near)) for _ in range(1 if operation in _UNARY else 2)]
        node = {"name": f"y{len(nodes)}", "operation": operation, "inputs": operands}
        value = forward_pass(build_graph([*nodes, node]), {name: np.float64(x) for name, x in inputs.items()}).flat[-1]
        if 1e-3 < abs(value) < 50:
            nodes.append(node)
            names.append(node["name"])
    return build_graph(nodes, outputs=[names[-1]]), inputs


def right_run(graph: Graph, inputs: Mapping[str, Any]) -> Run:
    """The run in float64, with the gradients of its only output."""
    values = forward_pass(graph, {name: np.asarray(figure, np.float64) for name, figure in inputs.items()})
    (output,) = graph.outputs
    seed = np.ones(values.shape(graph.position[output]))
    return Run(graph, values, backward=Backward(output, seed, backward_pass(graph, values, output)))


def rounded_values(graph: Graph, inputs: Mapping[str, Any], dtype: str, kept: Container[int] = ()) -> Figures:
    """The values where each is rounded as soon as it is computed, but for the nodes that are kept."""
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
            right = (
                inputs[node.name]
                if node.operation.is_input
                else node.operation.evaluate([values[source] for source in sources], node.attributes)
            )
            values.append(right if node.operation.is_constant or position in kept else rounded(right, dtype))
    return pack(values)


def moved(run: Run, values: Figures) -> float:
    """How far the sum of seed × output is from the run's."""
    assert run.backward
    at = run.graph.position[run.backward.output]
    right, other = run.values[at], values[at]
    assert right is not None and other is not None
    apart = np.subtract(other, right, out=np.zeros(right.shape), where=other != right)  # −∞ of no elements is the same
    return abs(float(np.sum(run.backward.seed * apart)))


def rounded_gradients(graph: Graph, values: Figures, dtype: str) -> Figures:
    """The gradients of the only output where each contribution and each sum is rounded."""
    (output,), arrays = graph.outputs, list(values)
    gradients: list[Any] = [np.zeros(np.shape(value)) for value in arrays]
    gradients[graph.position[output]] = np.ones(values.shape(graph.position[output]))
    for position in reversed(range(len(graph))):
        sources = graph.operands[position]
        if not sources or not np.any(gradients[position]):
            continue
        operands = [arrays[source] for source in sources]
        parts = contributions_at(graph, position, gradients[position], operands, arrays[position])
        for source, part in zip(sources, parts, strict=True):
            if part is not None:
                gradients[source] = rounded(gradients[source] + rounded(part, dtype), dtype)
    return pack([each if node.has_gradient else None for node, each in zip(graph.nodes, gradients, strict=True)])
