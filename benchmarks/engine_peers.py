"""The engine's peers, each given one of our graphs to compute every node's value and gradient."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import casadi
import numpy as np
import torch
from micrograd.engine import Value

from service.core.graph.graph import Graph

_TORCH: Mapping[str, Callable[..., Any]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Neg": torch.neg,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Relu": torch.relu,
    "Abs": torch.abs,
    "Sin": torch.sin,
    "Tanh": torch.tanh,
    "Sum": lambda *terms: torch.stack(terms).sum(),
}


def torch_passes(graph: Graph, inputs: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Define by run, as PyTorch is meant to be used; each tensor retains its gradient."""
    values: list[Any] = []
    for node, sources in zip(graph.nodes, graph.operands, strict=True):
        if node.operation.name == "Input":
            values.append(torch.as_tensor(inputs[node.name]).detach().requires_grad_())
        else:
            values.append(_TORCH[node.operation.name](*[values[source] for source in sources]))
            values[-1].retain_grad()
    values[-1].backward(torch.ones_like(values[-1]))
    return values, [value.grad for value in values]


def torch_network(inputs: Mapping[str, Any], labels: Any) -> list[Any]:
    """A network of three layers with softmax cross-entropy; each tensor retains its gradient."""
    leaves = {name: torch.as_tensor(array).detach().requires_grad_() for name, array in inputs.items()}
    kept = []
    below = leaves["x"]
    for layer in (1, 2, 3):
        product = below @ leaves[f"w{layer}"]
        below = product + leaves[f"b{layer}"]
        kept += [product, below]
        if layer < 3:
            below = torch.relu(below)
            kept.append(below)
    kept.append(torch.nn.functional.cross_entropy(below, torch.as_tensor(labels).long()))
    for tensor in kept:
        tensor.retain_grad()
    kept[-1].backward()
    return [tensor.grad for tensor in (*leaves.values(), *kept)]


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
