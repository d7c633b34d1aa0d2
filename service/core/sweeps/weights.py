"""The weights of sweeps, from the shapes that the values have at their first point."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from service.core.derivatives.weights import weigh_check
from service.core.execution.weights import weigh_forward, weigh_run
from service.core.figures.figures import blank_figures
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.sweeps.batching import rank_of
from service.core.sweeps.chunks import batch_of, first_shapes, points_at_once
from service.core.sweeps.sweep import CHUNK, Sweep

_FLOAT = 8
_RUN = Weight(30_000.0)  # the calls of a run at one point, beside its rules
# Of each figure: to reduce it, and to hold it twice; and of the column that is being reduced.
_FIGURE, _REDUCED = Weight(30.0, 2.0 * _FLOAT), Weight(0.0, 6.0 * _FLOAT)
_VARIED = Weight(20.0, 4.0 * _FLOAT)  # of an input's number at a point
# Of a column, and of each point that may be named in its reduction or have a bucket for itself.
_COLUMN, _NAMED, _MOST_NAMED = Weight(100_000.0, 50_000.0), Weight(0.0, 150.0), 2**16
_SECOND = 1e9  # operations
_REDUCED_CHUNK, _FIGURES = 100_000, 2**21  # points, and figures of all of them
_CHECK = Weight(1e6, 200_000.0)  # of the gradient with respect to one input, beside what is computed for it


def weigh_chunk(graphs: Sequence[Graph], sweep: Sweep) -> Weight:
    """Of computing a chunk, and of its bytes; the graphs are those of `compute_chunk`."""
    count = min(sweep.chunk, sweep.points)
    work = _weigh_runs(graphs[0], sweep, count, sweep.output is not None)
    if sweep.against:
        work = work.then(_weigh_runs(graphs[-1], sweep, count, sweep.output is not None))
    if sweep.check:
        work = work.then(_weigh_checks(graphs[0], sweep, count))
    columns = len(sweep.columns)
    return (
        work.then(_REDUCED * count)
        + _FIGURE * (count * columns)
        + (_COLUMN + _NAMED * min(count, _MOST_NAMED)) * columns
    )


def choose_chunk(graphs: Sequence[Graph], sweep: Sweep) -> int:
    """How many points a chunk has unless it is told: ten thousand, a hundred thousand where only what they amount to is
    kept, or as many as take about a second, and have no more figures than a row of the database well holds."""
    most = min(CHUNK if sweep.reduce is None else _REDUCED_CHUNK, _FIGURES // len(sweep.columns))
    one = replace(sweep, chunk=CHUNK)
    operations = weigh_chunk(graphs, one).operations / min(CHUNK, sweep.points)
    return max(1, min(most, int(_SECOND / operations)))


def weigh_sweep(graphs: Sequence[Graph], sweep: Sweep) -> Weight:
    """Of computing all chunks, one after the other."""
    return weigh_chunk(graphs, sweep).times(sweep.points / min(sweep.chunk, sweep.points))


def _weigh_runs(graph: Graph, sweep: Sweep, count: int, backward: bool) -> Weight:
    weigh = weigh_run if backward else weigh_forward
    varied, shapes = _VARIED * len(graph.inputs), first_shapes(graph, sweep)
    batch = batch_of(graph, sweep, shapes)
    if batch is None:
        single = weigh(graph, shapes if any(shapes) else None)
        return (single + _RUN).times(count) + varied * count
    at_once, rank = min(count, points_at_once(shapes)), rank_of(graph, shapes)
    laid = tuple((at_once, *(1,) * (rank - len(shape)), *shape) for shape in shapes)
    return (weigh(batch, laid) + varied * at_once).times(ceil(count / at_once))


def _weigh_checks(graph: Graph, sweep: Sweep, count: int) -> Weight:
    values = blank_figures(first_shapes(graph, sweep), len(graph))
    positions = [graph.position[name] for name in sweep.wrt]
    return (weigh_check(graph, values, str(sweep.output), positions, "central") + _CHECK * len(positions)).times(count)
