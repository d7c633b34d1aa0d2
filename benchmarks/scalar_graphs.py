"""Graphs of scalars: both passes, every node's value and gradient kept, against peers given the same graph and inputs.

On one thread, by that thread's processor time; JAX and two threads by the time that passes.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numba
import numpy as np

from benchmarks.graph_peers import casadi_passes, jax_passes, micrograd_passes, torch_passes
from benchmarks.measuring import Row, by_turns, milliseconds
from service.core.execution import kernel
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.program import pack_graph
from service.core.figures.figures import Figures
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph

# Ten common operations, two of which call the math library.
_KINDS = ("Add", "Sub", "Mul", "Neg", "Max", "Min", "Relu", "Abs", "Sin", "Tanh")
_UNARY = frozenset({"Neg", "Relu", "Abs", "Sin", "Tanh"})
_INPUTS = 10
# XLA compiles a thousand nodes for minutes.
_NODES_FOR_JAX = 200

Inputs = Mapping[str, Any]


def rows(quick: bool = False) -> Iterator[Row]:
    """A row for each graph and peer."""
    kernel.warm()
    yield from large_graph(quick)
    yield from small_graph()
    if not quick:
        yield against_jax()
    yield from chains(quick)
    yield compiling()
    yield from two_threads(quick)


def random_graph(count: int, kinds: Sequence[str] = _KINDS) -> Graph:
    """A graph whose nodes each read one or two of all earlier ones; unused nodes are summed."""
    random = np.random.default_rng(0)
    documents: list[dict[str, Any]] = [{"name": f"x{position}", "operation": "Input"} for position in range(_INPUTS)]
    names = [document["name"] for document in documents]
    for position in range(_INPUTS, count - 1):
        kind = kinds[random.integers(len(kinds))]
        sources = random.integers(0, position, 1 if kind in _UNARY else 2)
        names.append(f"n{position}")
        documents.append({"name": names[-1], "operation": kind, "inputs": [names[source] for source in sources]})
    read = {name for document in documents for name in document.get("inputs", ())}
    documents.append({"name": "all", "operation": "Sum", "inputs": [name for name in names if name not in read]})
    return build_graph(documents, ["all"])


def inputs_of(graph: Graph) -> Inputs:
    """A random number between −1 and 1 for each input."""
    random = np.random.default_rng(1)
    return {name: np.array(random.uniform(-1.0, 1.0)) for name in graph.inputs}


def both_passes(graph: Graph, inputs: Inputs) -> tuple[Figures, Figures]:
    """Values and gradients, computed as the service does."""
    values = forward_pass(graph, inputs)
    return values, backward_pass(graph, values, graph.outputs[0])


@numba.njit(error_model="numpy", fastmath={"contract"})  # type: ignore[untyped-decorator]
def _gather_and_add(first: Any, second: Any, figures: Any) -> None:
    for position in range(len(first)):
        figures[position] = figures[first[position]] * figures[second[position]] + 1.0


def gathering(graph: Graph) -> Callable[[], object]:
    """Gather two operands and do one fused multiply-add for each node."""
    pairs = np.array([(*sources, 0, 0)[:2] if len(sources) != 1 else sources * 2 for sources in graph.operands])
    first, second = pairs.T.astype(np.uint32).copy()
    figures = np.zeros(len(graph))
    return lambda: _gather_and_add(first, second, figures)


def large_graph(quick: bool, count: int = 100_000) -> Iterator[Row]:
    """Against PyTorch, CasADi and the gathering loop."""
    graph = random_graph(count)
    inputs = inputs_of(graph)
    name = f"random graph of {count:,} nodes"
    ours, gather = by_turns(lambda: both_passes(graph, inputs), gathering(graph), repeats=31)
    detail = f"{_nanoseconds(ours / count)} / {_nanoseconds(gather / count)} a node"
    yield Row(f"{name}, against a loop that gathers two operands for each", ours / gather, "×", 6, detail)
    if not quick:
        (casadi,) = by_turns(casadi_passes(graph, inputs), repeats=7)
        yield _faster(f"{name}: CasADi's time", ours, casadi, 2)
        (pytorch,) = by_turns(lambda: torch_passes(graph, inputs), repeats=3)
        yield _faster(f"{name}: PyTorch's time", ours, pytorch, 400)


def _faster(work: str, ours: float, theirs: float, target: float | None = None) -> Row:
    return Row(work, theirs / ours, "×", target, f"{milliseconds(theirs)} / {milliseconds(ours)}", at_least=True)


def _nanoseconds(seconds: float) -> str:
    return f"{1e9 * seconds:.3g} ns"


def small_graph(count: int = 1000) -> Iterator[Row]:
    """Against micrograd and CasADi."""
    graph = random_graph(count)
    inputs = inputs_of(graph)
    ours, casadi = by_turns(lambda: both_passes(graph, inputs), casadi_passes(graph, inputs), repeats=301)
    (micrograd,) = by_turns(lambda: micrograd_passes(graph, inputs), repeats=11)
    yield _faster(f"random graph of {count:,} nodes: micrograd's time", ours, micrograd, 100)
    yield _faster(f"random graph of {count:,} nodes: CasADi's time", ours, casadi, 1.2)


def against_jax(count: int = _NODES_FOR_JAX) -> Row:
    """Against JAX's compiled function, compiling left out."""
    graph = random_graph(count)
    inputs = inputs_of(graph)
    passes = jax_passes(graph, inputs)
    ours, theirs = by_turns(lambda: both_passes(graph, inputs), passes, repeats=101, clock=time.perf_counter)
    return _faster(f"random graph of {count:,} nodes: JAX's time", ours, theirs, 10)


def chains(quick: bool) -> Iterator[Row]:
    """The time of a node in a chain of a million against one in a chain of 100,000."""
    kinds = ("Sin", "Neg", "Tanh", "Abs")
    taken = []
    for count in (100_000, 1_000_000):
        chain: list[dict[str, Any]] = [{"name": "n0", "operation": "Input"}]
        chain += [
            {"name": f"n{position}", "operation": kinds[position % 4], "inputs": [f"n{position - 1}"]}
            for position in range(1, count)
        ]
        graph = build_graph(chain)
        inputs = inputs_of(graph)
        (seconds,) = by_turns(lambda graph=graph, inputs=inputs: both_passes(graph, inputs), repeats=3 if quick else 11)  # type: ignore[misc]
        taken.append(seconds / count)
    detail = " / ".join(map(_nanoseconds, reversed(taken)))
    work = "chain of 1,000,000 nodes: time of a node against that in one of 100,000"
    yield Row(work, taken[1] / taken[0], "×", 1.5, detail)


def compiling(count: int = 100_000) -> Row:
    """The time to pack a graph that has not been packed yet."""
    graph = random_graph(count)
    levels = kernel.warm().find_levels
    (taken,) = by_turns(lambda: pack_graph(replace(graph), levels), repeats=11)
    return Row(f"packing a graph of {count:,} nodes for the loops, a node", taken / count * 1e6, "µs", 1)


def two_threads(quick: bool, count: int = 100_000) -> Iterator[Row]:
    """Two runs of one graph at once, by wall time.

    Beside it two hashes at once, which hold no Python lock either: what the machine can give at the moment.
    """
    graph = random_graph(count)
    inputs = inputs_of(graph)
    noise = bytes(2_000_000)

    def runs(_: int = 0) -> None:
        for _ in range(5):
            both_passes(graph, inputs)

    def hashes(_: int = 0) -> None:
        for _ in range(5):
            sha256(noise).digest()

    gains = []
    with ThreadPoolExecutor(2) as pool:
        for work in (runs, hashes):
            one, two = by_turns(
                work,
                lambda work=work: list(pool.map(work, range(2))),  # type: ignore[misc]
                repeats=7 if quick else 41,
                clock=time.perf_counter,
            )
            gains.append(2 * one / two)
    detail = f"two hashes at once {gains[1]:.3g} ×"
    yield Row("two runs in two threads, against one: runs a second", gains[0], "×", 1.7, detail, at_least=True)
