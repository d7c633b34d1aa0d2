"""The backward sweep against PyTorch's, both given the same values, on graphs of 100,000 nodes."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from random import Random
from typing import Any

import numpy as np
import pytest

from service.core.execution import kernel
from service.core.execution.passes import backward_pass
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from tests.passes import array_loop

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

pytestmark = pytest.mark.peers

COUNT = 100_000

THEIRS: Mapping[str, Callable[..., Any]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Max": torch.maximum,
    "Relu": torch.relu,
    "Sin": torch.sin,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
    "Sum": lambda *terms: torch.stack(terms).sum(),
}
ARITY = {"Add": 2, "Sub": 2, "Mul": 2, "Max": 2}
BOUNDED = ("Sin", "Tanh", "Sigmoid")


def random_graph(seed: int) -> Graph:
    """Each node reads any of those before it; those that none reads are summed, and every other one is bounded."""
    random = Random(seed)
    documents: list[dict[str, object]] = [{"name": f"x{position}", "operation": "Input"} for position in range(10)]
    names = [str(document["name"]) for document in documents]
    kinds = [name for name in THEIRS if name not in ("Sum", *BOUNDED)]
    read = set()
    for position in range(10, COUNT - 1):
        kind = random.choice(BOUNDED if position % 2 else kinds)
        sources = [names[random.randrange(position)] for _ in range(ARITY.get(kind, 1))]
        read.update(sources)
        names.append(f"n{position}")
        documents.append({"name": names[-1], "operation": kind, "inputs": sources})
    documents.append({"name": "all", "operation": "Sum", "inputs": [name for name in names if name not in read]})
    return build_graph(documents, ["all"])


def theirs(graph: Graph) -> tuple[Figures, Figures]:
    """PyTorch's values and gradients."""
    random = Random(0)
    values: list[Any] = []
    for node, sources in zip(graph.nodes, graph.operands, strict=True):
        if node.operation.name == "Input":
            values.append(torch.tensor(random.uniform(-1.0, 1.0), dtype=torch.float64, requires_grad=True))
        else:
            values.append(THEIRS[node.operation.name](*[values[source] for source in sources]))
            values[-1].retain_grad()
    values[-1].backward()
    return Figures(np.array([each.item() for each in values])), Figures(np.array([each.grad.item() for each in values]))


def sums_of_magnitudes(graph: Graph, values: Figures) -> FloatArray:
    """Σ|contributions| of each node, those of its consumers taken as magnitudes too: what the sweep adds up without any
    cancellation, and what its rounding is measured by."""
    local: dict[int, list[float]] = {}
    groups: dict[tuple[str, int], list[int]] = {}
    for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if sources:
            groups.setdefault((node.operation.name, len(sources)), []).append(position)
    for positions in groups.values():
        operands = np.array([values.flat[list(graph.operands[position])] for position in positions]).T
        slopes = graph.nodes[positions[0]].operation.differentiate(list(operands), values.flat[positions])
        rows = np.stack([np.broadcast_to(np.abs(slope), len(positions)) for slope in slopes], axis=1)
        local.update(zip(positions, rows.tolist(), strict=True))
    sums = [0.0] * len(graph)
    sums[-1] = 1.0
    for position in range(len(graph) - 1, -1, -1):
        for source, slope in zip(graph.operands[position], local.get(position, ()), strict=True):
            sums[source] += sums[position] * slope
    return np.array(sums)


def test_gradients_at_pytorchs_values_are_pytorchs_to_the_last_digits() -> None:
    graph = random_graph(0)
    values, expected = theirs(graph)
    assert np.all(np.isfinite(values.flat)) and np.all(np.isfinite(expected.flat))
    kernel.warm()
    magnitudes = sums_of_magnitudes(graph, values)
    for loop in (nullcontext(), array_loop()):
        with loop:
            gradients = backward_pass(graph, values, "all")
        assert np.all(np.abs(gradients.flat - expected.flat) <= 3e-14 * magnitudes)
