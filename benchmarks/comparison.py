"""A comparison of two runs of a million scalar nodes, one figure of which is wrong."""

import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.measuring import Row, by_turns
from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES, Comparison, Verdict
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph

_NODES = 1_000_000
_INPUTS = 10
_OPERATIONS = ("Add", "Mul", "Sub", "Sin", "Cos", "Tanh", "Max", "Sigmoid", "Softsign", "Atan")
_UNARY = frozenset({"Sin", "Cos", "Tanh", "Sigmoid", "Softsign", "Atan"})
_REPEATS = 7


def random_graph(count: int, seed: int = 0) -> Graph:
    """A random graph of scalars of ten kinds of operation; each node reads some of the thousand before it."""
    random = np.random.default_rng(seed)
    documents: list[dict[str, object]] = [{"name": f"x{position}", "operation": "Input"} for position in range(_INPUTS)]
    names = [str(document["name"]) for document in documents]
    for position in range(_INPUTS, count):
        operation = _OPERATIONS[position % len(_OPERATIONS)]
        arity = 1 if operation in _UNARY else 2
        # The first operand is the previous node, so that most nodes reach the output.
        sources = [position - 1, *random.integers(max(0, position - 1000), position, arity - 1)]
        names.append(f"n{position}")
        inputs = [names[source] for source in sources]
        documents.append({"name": names[-1], "operation": operation, "inputs": inputs})
    return build_graph(documents, [names[-1]])


def recording(graph: Graph, inputs: Mapping[str, float]) -> dict[str, Any]:
    """Every figure of a run as another program's, the value of the node in the middle wrong."""
    values = forward_pass(graph, inputs)  # type: ignore[arg-type]  # a number is an array of no axes
    gradients = backward_pass(graph, values, graph.outputs[0])
    names = [node.name for node in graph.nodes]
    wrong = names[len(graph) // 2]
    return {
        "by": "another program",
        "values": {**dict(zip(names, values.flat.tolist(), strict=True)), wrong: 0.5},
        "gradients": dict(zip(names, gradients.flat.tolist(), strict=True)),
    }


def rows(quick: bool = False) -> Iterator[Row]:
    """The comparison of two runs in memory, and what it takes of it, in arrays of as many figures."""
    count = _NODES // 10 if quick else _NODES
    graph = random_graph(count)
    random = np.random.default_rng(1)
    values = forward_pass(graph, {name: random.normal() for name in graph.inputs})
    gradients = backward_pass(graph, values, graph.outputs[0])
    wrong = values.flat.copy()
    wrong[count // 2] *= -1
    backward = Backward(graph.outputs[0], np.array(1.0), gradients)
    sides = [Run(graph, figures, backward=backward) for figures in (values, Figures(wrong))]

    def comparison() -> Comparison:
        return compare(*sides, TOLERANCES["float64"])

    found = comparison()
    assert found.forward is not None
    origins = found.forward.positions(Verdict.ORIGIN)
    assert origins == [count // 2], origins
    (seconds,) = by_turns(comparison, repeats=_REPEATS)
    yield Row(f"comparison of two runs of {count:,} nodes in memory", seconds, "s")
    tracemalloc.start()
    comparison()
    peak = tracemalloc.get_traced_memory()[1] / (8 * count)
    tracemalloc.stop()
    yield Row("the same: memory, in arrays of as many figures", peak, "arrays", 8)
