"""The tutorial's graph at many points in one run, against PyTorch and JAX.

PyTorch by the thread's processor time; JAX, which computes in threads of its own, by the time that passes.
"""

import time
from collections.abc import Iterator
from functools import cache

import numpy as np

from benchmarks.graph_peers import jax_passes, torch_passes
from benchmarks.measuring import Row, Series, by_turns, milliseconds
from benchmarks.scalar_graphs import both_passes
from service import example
from service.core.execution import kernel
from service.core.graph.building import assemble_graph
from service.core.language.expression import parse_expression

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
_TARGETS = {1_000_000: 1 / 1.5}  # else no slower than PyTorch


def rows(quick: bool = False) -> Iterator[Row]:
    """A row for each number of points and peer."""
    seconds = measure(quick)
    for count in COUNTS:
        ours, theirs = seconds["Gradbook"][count], seconds["PyTorch"][count]
        work = f"the tutorial's graph at {count:,} points, against PyTorch's time"
        yield _ratio(work, ours, theirs, _TARGETS.get(count, 1.0))
        if not quick:
            ours, theirs = seconds["Gradbook beside JAX"][count], seconds["JAX"][count]
            yield _ratio(f"the tutorial's graph at {count:,} points, against JAX's time", ours, theirs)


def _ratio(work: str, ours: float, theirs: float, target: float | None = None) -> Row:
    return Row(work, ours / theirs, "×", target, f"{milliseconds(ours)} / {milliseconds(theirs)}")


@cache
def measure(quick: bool = False) -> Series:
    """Seconds of both passes, ours and each peer's, by the number of points."""
    kernel.warm()
    graph = assemble_graph(parse_expression(example.EXPRESSION, max_bytes=1000, max_depth=10))
    random = np.random.default_rng(0)
    seconds: Series = {}
    for count in COUNTS:
        inputs = {name: random.uniform(1.0, 2.0, count) for name in graph.inputs}
        repeats = max(7 if quick else 31, min(1001, 3_000_000 // count))

        def ours(inputs=inputs) -> object:  # type: ignore[no-untyped-def]
            return both_passes(graph, inputs)

        pair = by_turns(ours, lambda inputs=inputs: torch_passes(graph, inputs), repeats=repeats)  # type: ignore[misc]
        found = dict(zip(("Gradbook", "PyTorch"), pair, strict=True))
        if not quick:
            pair = by_turns(ours, jax_passes(graph, inputs), repeats=repeats, clock=time.perf_counter)
            found |= dict(zip(("Gradbook beside JAX", "JAX"), pair, strict=True))
        for name, taken in found.items():
            seconds.setdefault(name, {})[count] = taken
    return seconds
