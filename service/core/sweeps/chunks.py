"""What is stored of a chunk: what its points amount to, and their figures where those are kept.

Where each node is elementwise or a reduction, points are computed together, a block of them in one pass forward and one
back; in a very large graph of scalars and in any other one after the other. The figures of a point are the same, to the
bit, whichever points are beside it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod

import numpy as np

from service.core.comparison.agreement import near
from service.core.comparison.verdicts import Tolerance
from service.core.derivatives.gradient_check import CheckVerdict, check_gradients
from service.core.errors import Fault, InvalidInputs
from service.core.execution.passes import Fitted, backward_pass, evaluate, fit_again, fit_inputs
from service.core.figures.figures import BoolArray, FloatArray, Shape, same_bits
from service.core.graph.graph import Graph
from service.core.rulebook.input_types import read_input
from service.core.sweeps.batching import lay_out, over_points, rank_of
from service.core.sweeps.reductions import (
    Parting,
    Reductions,
    read_reductions,
    reduce_column,
    reduce_parting,
    write_reductions,
)
from service.core.sweeps.sweep import REDUCTIONS, Sweep

# Numbers, values and gradients of all nodes, that are held at once. If that were fewer points than are worth a call of
# NumPy for each node, the compiled loops are faster, point by point.
_AT_ONCE, _WORTH_A_CALL = 2**23, 400
_VERDICTS = list(CheckVerdict)
_LENGTH = 8  # bytes of the length of what a chunk begins with


class Stopped(Exception):
    """The chunk was given up, since its job was stopped."""


def never() -> bool:
    """For work that nobody stops."""
    return False


def compute_chunk(graphs: Sequence[Graph], sweep: Sweep, number: int, stop: Callable[[], bool] = never) -> bytes:
    """What is stored of a chunk: see `read_chunk_reductions` and `read_chunk`.

    `graphs` are the sweep's graph and, last, the one that it is held against, if there is one. Raises Stopped soon
    after `stop` returns true, which is asked before each block; InvalidInputs where an operation refuses its operands.
    """
    points = sweep.numbers(number)
    figures = np.empty((len(sweep.columns), len(points)), dtype="<f8")
    own = len(sweep.outputs) + len(sweep.wrt)
    _compute(graphs[0], sweep, sweep.outputs, sweep.output, points, stop, figures[:own])
    if sweep.against:
        theirs = [sweep.against.outputs[name] for name in sweep.outputs]
        output = None if sweep.output is None else sweep.against.outputs[sweep.output]
        _compute(graphs[-1], sweep, theirs, output, points, stop, figures[own : 2 * own])
    if sweep.check:
        _check(graphs[0].with_convention(sweep.convention), sweep, points, stop, figures[-2 * len(sweep.wrt) :])
    begin = json.dumps(write_reductions(_reduce(sweep, dict(zip(sweep.columns, figures, strict=True)), points.start)))
    begin += " " * (-len(begin) % figures.itemsize)  # so that figures lie where processors like to read them
    head = len(begin).to_bytes(_LENGTH, "little") + begin.encode()
    return head if sweep.reduce is not None else head + figures.tobytes()


def read_chunk_reductions(data: bytes) -> Reductions:
    """What the points of a chunk amount to; `data` may end where the figures of the points begin."""
    return read_reductions(json.loads(data[_LENGTH : chunk_reductions_end(data)]))


def read_chunk(sweep: Sweep, data: bytes) -> Mapping[str, FloatArray]:
    """The columns of a chunk by name, each a read-only vector with one figure for each point; none where the sweep does
    not keep them."""
    if sweep.reduce is not None:
        return {}
    figures = np.frombuffer(data, "<f8", offset=chunk_reductions_end(data)).reshape(len(sweep.columns), -1)
    return dict(zip(sweep.columns, figures, strict=True))


def chunk_reductions_end(data: bytes) -> int:
    """How many bytes of a chunk `read_chunk_reductions` needs, from its first bytes."""
    return _LENGTH + int.from_bytes(data[:_LENGTH], "little")


# --- what points amount to ----------------------------------------------------------------------------------------


def _reduce(sweep: Sweep, columns: Mapping[str, FloatArray], first: int) -> Reductions:
    wanted = REDUCTIONS if sweep.reduce is None else sweep.reduce
    return Reductions(
        {name: reduce_column(column, first, wanted) for name, column in columns.items()},
        {name: _part(sweep, columns, name, first) for name in sweep.pairs},
    )


def _part(sweep: Sweep, columns: Mapping[str, FloatArray], name: str, first: int) -> Parting:
    column = sweep.pairs[name]
    verdicts = columns.get(f"verdict {column}") if name.startswith("estimate ") else None
    if verdicts is not None:
        wrong, unknown = (verdicts == _VERDICTS.index(v) for v in (CheckVerdict.WRONG, CheckVerdict.NOT_APPLICABLE))
        return reduce_parting(columns[column], columns[name], wrong, unknown, first)
    assert sweep.against is not None
    parted = ~_agree(columns[column], columns[name], sweep.against.tolerance)
    return reduce_parting(columns[column], columns[name], parted, None, first)


def _agree(candidate: FloatArray, baseline: FloatArray, tolerance: Tolerance) -> BoolArray:
    if tolerance.exact:
        return same_bits(candidate, baseline)
    with np.errstate(all="ignore"):
        return near(candidate, baseline, tolerance.atol + tolerance.rtol * np.abs(baseline))


# --- the figures of points ----------------------------------------------------------------------------------------


def _compute(
    graph: Graph,
    sweep: Sweep,
    outputs: Sequence[str],
    output: str | None,
    points: range,
    stop: Callable[[], bool],
    columns: FloatArray,
) -> None:
    """Fill the rows of `columns` with the values of these outputs, and the gradients of that one, at the points."""
    graph = graph.with_convention(sweep.convention)
    kept = [graph.position[name] for name in outputs]
    wrt = [graph.position[name] for name in sweep.wrt]
    shapes = first_shapes(graph, sweep)
    batch, rank, at_once = batch_of(graph, sweep, shapes), rank_of(graph, shapes), points_at_once(shapes)
    for block in (points[begin : begin + at_once] for begin in range(0, len(points), at_once)):
        part = columns[:, block.start - points.start : block.stop - points.start]
        runs = _single_runs(graph, sweep, block) if batch is None else _one_run(batch, sweep, rank, block)
        for fitted, place in runs:
            if stop():
                raise Stopped
            with _named(block, place):
                values = evaluate(fitted)
            found = [values[position] for position in kept]
            if output is not None:
                gradients = backward_pass(fitted.graph, values, output)
                found += [gradients[position] for position in wrt]
            for row, figure in zip(part, found, strict=True):
                row[place] = np.ravel(figure)  # type: ignore[arg-type]


@contextmanager
def _named(block: range, place: slice) -> Iterator[None]:
    """Say at which point an operation refuses its operands."""
    try:
        yield
    except InvalidInputs as error:
        where = f"point {block[place][0]}: " if len(block[place]) == 1 else ""
        raise InvalidInputs([Fault(each.location, where + each.detail) for each in error.faults]) from None


def _check(graph: Graph, sweep: Sweep, points: range, stop: Callable[[], bool], columns: FloatArray) -> None:
    """Fill the rows with what the method estimates each gradient to be, NaN where it cannot, and then the verdicts."""
    positions = [graph.position[name] for name in sweep.wrt]
    for fitted, place in _single_runs(graph, sweep, points):
        if stop():
            raise Stopped
        found = check_gradients(graph, evaluate(fitted), str(sweep.output), positions, "central")
        estimates = [np.nan if each.estimate is None else each.estimate for each in found]
        columns[:, place] = np.reshape([*estimates, *(_VERDICTS.index(each.verdict) for each in found)], (-1, 1))


def _one_run(batch: Graph, sweep: Sweep, rank: int, block: range) -> Iterator[tuple[Fitted, slice]]:
    """The inputs of the run that computes a block, and the place of its points there: all."""
    varied = sweep.at(np.arange(block.start, block.stop))
    inputs = {name: lay_out(given, rank, name in varied) for name, given in {**sweep.fixed, **varied}.items()}
    read = {name: read_input(name, batch.nodes[batch.position[name]].attributes, inputs[name]) for name in batch.inputs}
    yield Fitted(batch, read, ((len(block),),) * len(batch)), slice(None)


def _single_runs(graph: Graph, sweep: Sweep, block: range) -> Iterator[tuple[Fitted, slice]]:
    """The inputs of a run at each point of a block, and its place there."""
    varied = sweep.at(np.arange(block.start, block.stop))
    fitted = None
    for place in range(len(block)):
        point = {**sweep.fixed, **{name: column[place, ...] for name, column in varied.items()}}
        fitted = fit_again(fitted, point) if fitted else fit_inputs(graph, point)
        yield fitted, slice(place, place + 1)


def batch_of(graph: Graph, sweep: Sweep, shapes: tuple[Shape, ...]) -> Graph | None:
    """The form of the graph in which points are computed together, given the shapes that its values have at one point;
    None where each is computed by itself."""
    if all(map(np.ndim, sweep.fixed.values())) and not sweep.axes:
        return None  # no input is a scalar
    if not any(shapes) and points_at_once(shapes) < _WORTH_A_CALL:
        return None
    return over_points(graph, shapes)


def points_at_once(shapes: Sequence[Shape]) -> int:
    """Of how many points a block is that is computed together, given the shapes of all values at one of them."""
    return max(1, _AT_ONCE // (2 * sum(map(prod, shapes))))


def first_shapes(graph: Graph, sweep: Sweep) -> tuple[Shape, ...]:
    """The shapes of all values at the first point; raises InvalidInputs where the inputs do not fit the graph."""
    first = {name: column[0, ...] for name, column in sweep.at(np.zeros(1, dtype=np.int64)).items()}
    return fit_inputs(graph, {**sweep.fixed, **first}).shapes or ((),) * len(graph)
