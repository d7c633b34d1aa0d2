"""Both passes, every node's value and gradient kept, against peers given the same graph and inputs.

On one thread, by that thread's processor time, since the machine is shared; on two threads, by wall time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from statistics import median
from typing import Any

import numba
import numpy as np
import torch

from benchmarks.engine_peers import casadi_passes, micrograd_passes, torch_network, torch_passes
from service import example
from service.core.execution import kernel
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.program import pack_graph
from service.core.figures.figures import Figures
from service.core.graph.building import assemble_graph, build_graph
from service.core.graph.graph import Graph
from service.core.language.expression import parse_expression

# Ten common operations, two of which call the math library.
_KINDS = ("Add", "Sub", "Mul", "Neg", "Max", "Min", "Relu", "Abs", "Sin", "Tanh")
_UNARY = frozenset({"Neg", "Relu", "Abs", "Sin", "Tanh"})
_INPUTS = 10
_POINTS = 1_000_000

Inputs = Mapping[str, Any]


def measure() -> str:
    """Measure each row of the engine's table."""
    torch.set_num_threads(1)
    kernel.warm()
    rows = [batch(), *networks(), large_graph(), small_graph(), chains(), compiling(), two_threads()]
    return "\n".join(rows)


def medians(*timed: Callable[[], object], repeats: int, clock: Callable[[], float] = time.thread_time) -> list[float]:
    """The median seconds of each callable, measured in turns."""
    seconds: list[list[float]] = [[] for _ in timed]
    for function in timed:
        function()
    for _ in range(repeats):
        for position, function in enumerate(timed):
            begin = clock()
            function()
            seconds[position].append(clock() - begin)
    return [median(taken) for taken in seconds]


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


def large_graph(count: int = 100_000) -> str:
    """Against PyTorch, CasADi and the gathering loop."""
    graph = random_graph(count)
    inputs = inputs_of(graph)
    theirs = casadi_passes(graph, inputs)
    ours, gather = medians(lambda: both_passes(graph, inputs), gathering(graph), repeats=31)
    (casadi,) = medians(theirs, repeats=7)
    (pytorch,) = medians(lambda: torch_passes(graph, inputs), repeats=3)
    return (
        f"random graph of {count:,} nodes: {pytorch / ours:.0f} × PyTorch (target ≥ 400), {casadi / ours:.1f} × CasADi "
        f"(≥ 2), {ours / gather:.1f} × a loop of gathers (≤ 2.5); {ours / count * 1e9:.1f} ns a node, CasADi "
        f"{casadi / count * 1e9:.1f}, gathers {gather / count * 1e9:.2f}, PyTorch {pytorch / count * 1e9:.0f}"
    )


def small_graph(count: int = 1000) -> str:
    """Against micrograd and CasADi."""
    graph = random_graph(count)
    inputs = inputs_of(graph)
    ours, casadi = medians(lambda: both_passes(graph, inputs), casadi_passes(graph, inputs), repeats=301)
    (micrograd,) = medians(lambda: micrograd_passes(graph, inputs), repeats=11)
    return (
        f"random graph of {count:,} nodes: {micrograd / ours:.0f} × micrograd (target ≥ 100), {casadi / ours:.1f} × "
        f"CasADi (≥ 1.2); {ours * 1e6:.0f} µs, CasADi {casadi * 1e6:.0f}"
    )


def chains() -> str:
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
        taken.append(medians(lambda graph=graph, inputs=inputs: both_passes(graph, inputs), repeats=11)[0] / count)  # type: ignore[misc]
    return (
        f"chain of 1,000,000 nodes: {taken[1] / taken[0]:.2f} × the time a node of one of 100,000 (target ≤ 1.5); "
        f"{taken[1] * 1e9:.1f} ns / {taken[0] * 1e9:.1f} ns"
    )


def compiling(count: int = 100_000) -> str:
    """The time to pack a graph that has not been packed yet."""
    graph = random_graph(count)
    levels = kernel.warm().find_levels
    (taken,) = medians(lambda: pack_graph(replace(graph), levels), repeats=11)
    return f"compiling a graph of {count:,} nodes: {taken / count * 1e6:.2f} µs a node (target ≤ 1)"


def batch() -> str:
    """The tutorial's graph at a million points."""
    graph = assemble_graph(parse_expression(example.EXPRESSION, max_bytes=1000, max_depth=10))
    random = np.random.default_rng(0)
    inputs = {name: random.uniform(1.0, 2.0, _POINTS) for name in graph.inputs}
    values, gradients = both_passes(graph, inputs)
    ours, pytorch, copying = medians(
        lambda: both_passes(graph, inputs),
        lambda: torch_passes(graph, inputs),
        lambda: (values.flat.copy(), gradients.flat.copy()),
        repeats=31,
    )
    return (
        f"the tutorial's graph at {_POINTS:,} points: {pytorch / ours:.2f} × PyTorch (target ≥ 1.5), "
        f"{ours / copying:.2f} × copying its figures (≤ 1.6); "
        f"{ours * 1e3:.1f} ms, PyTorch {pytorch * 1e3:.1f}, copying {copying * 1e3:.1f}"
    )


def networks() -> list[str]:
    """784-512-512-10, a batch of 256, softmax cross-entropy, in both precisions."""
    lines = []
    for precision, target in (("float64", 1.35), ("float32", 1.2)):
        graph, inputs, labels = network(precision)
        ours, pytorch = medians(
            lambda graph=graph, inputs=inputs, labels=labels: both_passes(graph, {**inputs, "labels": labels}),  # type: ignore[misc]
            lambda inputs=inputs, labels=labels: torch_network(inputs, labels),  # type: ignore[misc]
            repeats=31,
        )
        lines.append(
            f"network 784-512-512-10, batch 256, {precision}: {ours / pytorch:.2f} × PyTorch's time "
            f"(target ≤ {target}); {ours * 1e3:.1f} ms, PyTorch {pytorch * 1e3:.1f}"
        )
    return lines


def network(precision: str) -> tuple[Graph, Inputs, Any]:
    """The network's graph, its inputs, and the labels of the batch."""
    widths = (784, 512, 512, 10)
    random = np.random.default_rng(0)
    shapes = {"x": (256, 784)}
    nodes: list[dict[str, Any]] = []
    below = "x"
    for layer, (wide, narrow) in enumerate(pairwise(widths), start=1):
        shapes |= {f"w{layer}": (wide, narrow), f"b{layer}": (narrow,)}  # type: ignore[dict-item]
        nodes.append({"name": f"m{layer}", "operation": "MatMul", "inputs": [below, f"w{layer}"]})
        nodes.append({"name": f"a{layer}", "operation": "Add", "inputs": [f"m{layer}", f"b{layer}"]})
        nodes.append({"name": f"h{layer}", "operation": "Relu", "inputs": [f"a{layer}"]})
        below = f"h{layer}"
    nodes[-1] = {"name": "loss", "operation": "SoftmaxCrossEntropyLoss", "inputs": ["a3", "labels"]}
    nodes += [
        {"name": name, "operation": "Input", "attributes": {"dtype": precision, "shape": list(shape)}}
        for name, shape in shapes.items()
    ]
    nodes.append({"name": "labels", "operation": "Input", "attributes": {"dtype": "int64"}})
    inputs = {name: (random.normal(size=shape) * 0.05).astype(precision) for name, shape in shapes.items()}
    return build_graph(nodes), inputs, random.integers(0, 10, 256).astype(np.float64)


def two_threads(count: int = 100_000) -> str:
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
            one, two = medians(
                work,
                lambda work=work: list(pool.map(work, range(2))),  # type: ignore[misc]
                repeats=41,
                clock=time.perf_counter,
            )
            gains.append(2 * one / two)
    return (
        f"two runs in two threads: {gains[0]:.2f} × the runs a second of one thread (two free cores: 2); "
        f"two hashes at the same time {gains[1]:.2f} ×"
    )
