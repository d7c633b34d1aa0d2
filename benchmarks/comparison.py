"""A comparison of two stored runs of a million scalar nodes, origins included, against loading and subtracting them."""

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES, Comparison, Verdict
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operation import MINIMUM_NORM
from service.storage import graphs, runs
from service.storage.database import Database
from service.storage.records import GraphRecord, RunRecord

NODES = 1_000_000
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


def measure(count: int = NODES) -> str:
    """Measure the comparison: the ratio, both medians, and the memory in arrays of `count` figures."""
    graph = random_graph(count)
    random = np.random.default_rng(1)
    values = forward_pass(graph, {name: random.normal() for name in graph.inputs})
    gradients = backward_pass(graph, values, graph.outputs[0])
    wrong = values.flat.copy()
    wrong[count // 2] *= -1
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        database.migrate()
        pair = [
            _store(database, graph, Figures(flat), gradients, f"run {position}")
            for position, flat in enumerate((values.flat, wrong))
        ]

        def load(run: str) -> Run:
            with database.read() as connection:
                figures = [runs.load_figures(connection, run, kind) for kind in ("values", "gradients")]
            return Run(graph, figures[0], backward=Backward(graph.outputs[0], np.array(1.0), figures[1]))

        def difference() -> None:
            first, second = load(pair[0]), load(pair[1])
            with np.errstate(all="ignore"):
                for x, y in ((first.values, second.values), (first.gradients, second.gradients)):
                    assert x is not None and y is not None
                    absolute = np.abs(x.flat - y.flat)
                    absolute / np.abs(x.flat)

        def comparison() -> Comparison:
            return compare(load(pair[0]), load(pair[1]), TOLERANCES["float64"])

        found = comparison()
        assert found.forward is not None
        origins = found.forward.positions(Verdict.ORIGIN)
        assert origins == [count // 2], origins
        ours, plain = _medians(comparison, difference)
        sides = load(pair[0]), load(pair[1])
        tracemalloc.start()
        compare(*sides, TOLERANCES["float64"])
        peak = tracemalloc.get_traced_memory()[1] / (8 * count)
        tracemalloc.stop()
        database.close()
    return (
        f"comparison of {count:,} nodes: {ours / plain:.2f} × loading and subtracting "
        f"({ours * 1000:.0f} ms / {plain * 1000:.0f} ms), {peak:.1f} arrays of memory"
    )


def _medians(*timed: Callable[[], object]) -> list[float]:
    seconds: list[list[float]] = [[] for _ in timed]
    for _ in range(_REPEATS):
        for position, function in enumerate(timed):
            begin = time.perf_counter()
            function()
            seconds[position].append(time.perf_counter() - begin)
    return [median(taken) for taken in seconds]


def _store(database: Database, graph: Graph, values: Figures, gradients: Figures, identifier: str) -> str:
    now = datetime.now(UTC)
    with database.write() as connection:
        known = graphs.find_graph(connection, "bench", graph.digest)
        if known is None:
            known = GraphRecord(
                "bench", "bench", 1, graph.digest, graph.inputs, graph.outputs, len(graph), None, None, {}, now
            )
            graphs.insert_graph(connection, known, graph)
        record = RunRecord(
            identifier,
            known.id,
            graph.digest,
            "recorded",
            "bench",
            "float64",
            graph.outputs[0],
            np.float64(1.0),
            True,
            True,
            None,
            None,
            (),
            MINIMUM_NORM,
            None,
            {},
            now,
        )
        runs.insert_run(connection, record, values, gradients)
    return identifier
