"""The engine's peers, each given one of our graphs to compute every node's value and gradient."""

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"  # read by the import

import casadi
import jax
import numpy as np
import torch
from jax import numpy as jnp
from micrograd.engine import Value

from service.core.graph.graph import Graph

jax.config.update("jax_enable_x64", True)
torch.set_num_threads(1)

# The operations of the benchmarks' graphs; each function takes the node's attributes and its operands.
_TORCH: Mapping[str, Callable[..., Any]] = {
    "Add": lambda _, x, y: x + y,
    "Sub": lambda _, x, y: x - y,
    "Mul": lambda _, x, y: x * y,
    "Div": lambda _, x, y: x / y,
    "Neg": lambda _, x: -x,
    "Max": lambda _, x, y: torch.maximum(x, y),
    "Min": lambda _, x, y: torch.minimum(x, y),
    "Relu": lambda _, x: torch.relu(x),
    "Abs": lambda _, x: torch.abs(x),
    "Sin": lambda _, x: torch.sin(x),
    "Tanh": lambda _, x: torch.tanh(x),
    "Sigmoid": lambda _, x: torch.sigmoid(x),
    "Exp": lambda _, x: torch.exp(x),
    "Gelu": lambda _, x: torch.nn.functional.gelu(x),
    "Sum": lambda _, *terms: torch.stack(terms).sum(),
    "ReduceSum": lambda _, x: x.sum(),
    "MatMul": lambda _, x, y: x @ y,
    "Transpose": lambda given, x: x.permute(given["perm"]),
    "Reshape": lambda given, x: x.reshape(given["shape"]),
    "Softmax": lambda given, x: torch.softmax(x, given["axis"]),
    "LayerNormalization": lambda given, x, scale, bias: torch.nn.functional.layer_norm(
        x, scale.shape, scale, bias, given["epsilon"]
    ),
    "Conv": lambda given, x, kernel: torch.nn.functional.conv2d(x, kernel, padding=given["pads"][0]),
    "MaxPool": lambda given, x: torch.nn.functional.max_pool2d(x, given["kernel_shape"], given["strides"]),
    "SoftmaxCrossEntropyLoss": lambda _, scores, labels: torch.nn.functional.cross_entropy(scores, labels),
}


def torch_passes(graph: Graph, inputs: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Define by run, as PyTorch is meant to be used; each tensor retains its gradient."""
    values: list[Any] = []
    for node, sources in zip(graph.nodes, graph.operands, strict=True):
        if node.operation.name == "Input":
            given = torch.as_tensor(inputs[node.name])
            values.append(given.detach().requires_grad_() if node.has_gradient else given.long())
        else:
            values.append(_TORCH[node.operation.name](node.attributes, *[values[source] for source in sources]))
            values[-1].retain_grad()
    values[-1].backward(torch.ones_like(values[-1]))
    return values, [value.grad for value in values]


def _softmax_cross_entropy(_: Any, scores: Any, labels: Any) -> Any:
    rows = jnp.arange(len(labels))
    return -jnp.mean(jax.nn.log_softmax(scores)[rows, labels])


def _layer_norm(given: Mapping[str, Any], x: Any, scale: Any, bias: Any) -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + given["epsilon"]) * scale + bias


def _max_pool(given: Mapping[str, Any], x: Any) -> Any:
    window, strides = (1, 1, *given["kernel_shape"]), (1, 1, *given["strides"])
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, "VALID")


_JAX: Mapping[str, Callable[..., Any]] = {
    "Add": lambda _, x, y: x + y,
    "Sub": lambda _, x, y: x - y,
    "Mul": lambda _, x, y: x * y,
    "Div": lambda _, x, y: x / y,
    "Neg": lambda _, x: -x,
    "Max": lambda _, x, y: jnp.maximum(x, y),
    "Min": lambda _, x, y: jnp.minimum(x, y),
    "Relu": lambda _, x: jax.nn.relu(x),
    "Abs": lambda _, x: jnp.abs(x),
    "Sin": lambda _, x: jnp.sin(x),
    "Tanh": lambda _, x: jnp.tanh(x),
    "Sigmoid": lambda _, x: jax.nn.sigmoid(x),
    "Exp": lambda _, x: jnp.exp(x),
    "Gelu": lambda _, x: jax.nn.gelu(x, approximate=False),
    "Sum": lambda _, *terms: jnp.stack(terms).sum(),
    "ReduceSum": lambda _, x: x.sum(),
    "MatMul": lambda _, x, y: x @ y,
    "Transpose": lambda given, x: jnp.transpose(x, given["perm"]),
    "Reshape": lambda given, x: x.reshape(given["shape"]),
    "Softmax": lambda given, x: jax.nn.softmax(x, given["axis"]),
    "LayerNormalization": _layer_norm,
    "Conv": lambda given, x, kernel: jax.lax.conv(x, kernel, (1, 1), "SAME" if given["pads"][0] else "VALID"),
    "MaxPool": _max_pool,
    "SoftmaxCrossEntropyLoss": _softmax_cross_entropy,
}


def jax_passes(graph: Graph, inputs: Mapping[str, Any]) -> Callable[[], Any]:
    """A jitted function of the inputs and of an array of zeros for each node, which is added to the node's value: the
    gradients with respect to these are the nodes' own."""
    shapes = [value.shape for value in torch_passes(graph, inputs)[0]]

    def last_and_all(nudges: list[Any], given: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        values: list[Any] = []
        for node, sources, nudge in zip(graph.nodes, graph.operands, nudges, strict=True):
            if node.operation.name == "Input":
                value = given[node.name]
            else:
                value = _JAX[node.operation.name](node.attributes, *[values[source] for source in sources])
            values.append(value + nudge if node.has_gradient else value.astype(jnp.int32))
        return values[-1].sum(), values

    passes = jax.jit(jax.grad(last_and_all, has_aux=True))
    kind = next(
        np.asarray(inputs[node.name]).dtype for node in graph.nodes if node.name in inputs and node.has_gradient
    )
    nudges = [jnp.zeros(shape, kind) for shape in shapes]
    given = {name: jnp.asarray(array) for name, array in inputs.items()}
    return lambda: jax.block_until_ready(passes(nudges, given))


_CASADI: Mapping[str, Callable[..., Any]] = {
    "Add": lambda x, y: x + y,
    "Sub": lambda x, y: x - y,
    "Mul": lambda x, y: x * y,
    "Neg": lambda x: -x,
    "Max": casadi.fmax,
    "Min": casadi.fmin,
    "Relu": lambda x: casadi.fmax(x, 0.0),
    "Abs": casadi.fabs,
    "Sin": casadi.sin,
    "Tanh": casadi.tanh,
    "Sum": lambda *terms: casadi.sum1(casadi.vertcat(*terms)),
}


def casadi_passes(graph: Graph, inputs: Mapping[str, Any]) -> Callable[[], Any]:
    """A compiled CasADi function over buffers.

    For the gradients of all nodes, not only of the inputs, a variable that is 0 is added to each node, and the output
    is differentiated with respect to all of these.
    """
    given = casadi.SX.sym("x", len(graph.inputs))
    nudges = casadi.SX.sym("p", len(graph))
    order = {name: position for position, name in enumerate(graph.inputs)}
    values: list[Any] = []
    for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if node.operation.name == "Input":
            value = given[order[node.name]]
        else:
            value = _CASADI[node.operation.name](*[values[source] for source in sources])
        values.append(value + nudges[position])
    function = casadi.Function(
        "passes", [given, nudges], [casadi.vertcat(*values), casadi.gradient(values[-1], nudges)]
    )
    buffer, evaluate = function.buffer()
    kept = [np.array([float(inputs[name]) for name in graph.inputs]), np.zeros(len(graph))]
    kept += [np.empty(len(graph)), np.empty(len(graph))]
    for position in range(2):
        buffer.set_arg(position, memoryview(kept[position]))
        buffer.set_res(position, memoryview(kept[2 + position]))

    def passes() -> Any:
        evaluate()
        return kept, buffer

    return passes


def _micrograd(figure: float, sources: tuple[Any, ...], slopes: tuple[float, ...]) -> Any:
    """An operation that micrograd lacks, defined in its way."""
    made = Value(figure, sources)

    def backward() -> None:
        for source, slope in zip(sources, slopes, strict=True):
            source.grad += slope * made.grad

    made._backward = backward
    return made


_MICROGRAD: Mapping[str, Callable[..., Any]] = {
    "Add": lambda x, y: x + y,
    "Sub": lambda x, y: x - y,
    "Mul": lambda x, y: x * y,
    "Neg": lambda x: -x,
    "Max": lambda x, y: _micrograd(max(x.data, y.data), (x, y), (float(x.data > y.data), float(x.data < y.data))),
    "Min": lambda x, y: _micrograd(min(x.data, y.data), (x, y), (float(x.data < y.data), float(x.data > y.data))),
    "Relu": lambda x: x.relu(),
    "Abs": lambda x: _micrograd(abs(x.data), (x,), (math.copysign(1.0, x.data),)),
    "Sin": lambda x: _micrograd(math.sin(x.data), (x,), (math.cos(x.data),)),
    "Tanh": lambda x: _micrograd(math.tanh(x.data), (x,), (1.0 - math.tanh(x.data) ** 2,)),
    "Sum": lambda *terms: _micrograd(sum(term.data for term in terms), terms, (1.0,) * len(terms)),
}


def micrograd_passes(graph: Graph, inputs: Mapping[str, Any]) -> list[Any]:
    """Define by run."""
    values: list[Any] = []
    for node, sources in zip(graph.nodes, graph.operands, strict=True):
        if node.operation.name == "Input":
            values.append(Value(float(inputs[node.name])))
        else:
            values.append(_MICROGRAD[node.operation.name](*[values[source] for source in sources]))
    values[-1].backward()
    return values
