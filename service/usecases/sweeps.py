"""Sweeps: one graph at many points, as a job, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.core.comparison.verdicts import Tolerance
from service.core.errors import Conflict, NotFound
from service.core.figures.figures import FloatArray, IntArray
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.rulebook.operation import MINIMUM_NORM
from service.core.sweeps.axes import Axis
from service.core.sweeps.chunks import read_chunk
from service.core.sweeps.planning import plan_sweep
from service.core.sweeps.reductions import NAMED, Reductions
from service.core.sweeps.sweep import Against, Sweep
from service.core.sweeps.weights import weigh_chunk, weigh_sweep
from service.storage import jobs as storage
from service.storage.identifiers import new_id
from service.storage.jobs import JobRecord
from service.storage.records import GraphRecord
from service.usecases import references
from service.usecases.comparisons import read_tolerance
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, made_before, write_once
from service.usecases.sweep_inputs import (
    SweptInput,
    keep_inputs,
    load_inputs,
    read_inputs,
    read_kept,
    tensors_of_inputs,
)
from service.usecases.sweep_tallies import load_reductions
from service.usecases.tensors import TensorReference, require_tensors, with_weights
from service.usecases.weighing import AXIS_NUMBER, JSON, STORED_BYTE, SWEPT_POINT, Form, WholeAnswer, admit

_LISTED_NUMBERS = 100_000  # of the points of a page
_BUCKET = Weight(6000.0, 300.0)  # of a histogram, to tell it
MOST_NAMED = 10_000  # figures that are not finite that are told, of all columns
FLOAT64 = "float64"  # the tolerance that two graphs are held to unless another is named


@dataclass(frozen=True, slots=True)
class AskedAgainst:
    """A second graph that a sweep's is held against: its nodes for the outputs of the first one that are not called the
    same there, and how far the two may differ."""

    graph: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    tolerance: Any = FLOAT64


@dataclass(frozen=True, slots=True, eq=False)
class SweepPlan:
    """A sweep that is ready to be computed: its graphs by digest, and the bytes of memory that a chunk takes."""

    graphs: Mapping[str, Graph]
    sweep: Sweep
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class StoredSweep:
    """A sweep and its job, which may be under way; what the points amount to that are computed, None if none is."""

    record: JobRecord
    sweep: Sweep
    reductions: Reductions | None


@dataclass(frozen=True, slots=True, eq=False)
class SweepPoints:
    """Points of a sweep that were computed: their numbers, and by name the inputs that vary and the figures there.

    `is_complete` unless some that were asked for are not computed; `following` is the number of the point after those
    that were asked for, None if there is none.
    """

    numbers: IntArray
    inputs: Mapping[str, FloatArray]
    figures: Mapping[str, FloatArray]
    is_complete: bool
    following: int | None


def create_sweep(
    context: Context,
    graph_id: str,
    inputs: Mapping[str, SweptInput],
    *,
    mode: str = "grid",
    outputs: Sequence[str] | None = None,
    gradients: bool = False,
    output: str | None = None,
    convention: str = MINIMUM_NORM,
    reduce: Sequence[str] | None = None,
    against: AskedAgainst | None = None,
    check: bool = False,
    key: IdempotencyKey | None = None,
) -> JobRecord:
    """Have a stored graph computed at many points; returns the job that does it.

    Each input varies along its axis or is the same at every point; the graph's weights are those that are left out. In
    `mode` "grid" the points are all combinations, in which the first input that varies does so slowest, in "zip" the
    axes go side by side. Raises NotFound, InvalidInputs, InvalidRequest, LimitExceeded.
    """
    stored = get_graph(context, graph_id)
    with context.database.read() as connection:
        known = made_before(connection, key)
        if known:
            return storage.get_job(connection, known.resource_id)
    other, held = _find_other(context, against)
    graph = context.compact_graph(stored.digest)
    given = {**with_weights(stored, {}, without=inputs), **inputs}
    sweep = plan_sweep(
        graph,
        load_inputs(context, given),
        mode=mode,
        outputs=outputs,
        gradients=gradients,
        output=output,
        convention=convention,
        reduce=reduce,
        against=held,
        check=check,
        max_points=context.limits.sweep_points,
    )
    weight = weigh_sweep([graph, held[0]] if held else [graph], sweep)
    admit(weight, context.limits, Weight(inf, inf), _told_of(sweep))
    kept = keep_inputs(context, given)
    tensors = tensors_of_inputs(kept)
    record = JobRecord(
        id=new_id(),
        kind=storage.SWEEP,
        task={
            **_write_sweep(sweep),
            "inputs": kept,
            "digests": [each.digest for each in (stored, other) if each],
            "tensors": [*tensors.values()],
        },
        created_at=datetime.now(UTC),
        total=sweep.points,
        chunks=sweep.chunks,
        operations=round(weight.operations),
        graph_id=stored.id,
        other_graph_id=other.id if other else None,
    )

    def make(connection: Connection) -> tuple[JobRecord, str, bool]:
        require_tensors(connection, tensors, ("inputs",))
        storage.insert_job(connection, record)
        return record, record.id, True

    return write_once(context.database, key, make, storage.get_job)[0]


def _told_of(sweep: Sweep) -> WholeAnswer:
    """What the points amount to, as it is answered: places, of each column three and some of all, and what varies
    there."""
    columns, longest = len(sweep.columns), max(map(len, sweep.axes), default=0)
    places = 3 * columns
    if sweep.reduce is None or "nonfinite" in sweep.reduce:
        places += min(MOST_NAMED, NAMED * columns, sweep.points * columns)
    form = Form(JSON.media_type, JSON.number + longest, JSON.item)
    return WholeAnswer(form, places * len(sweep.axes), 0, other_form=False)


def _find_other(
    context: Context, against: AskedAgainst | None
) -> tuple[GraphRecord, tuple[Graph, Mapping[str, str], Tolerance]] | tuple[None, None]:
    """The graph that another is held against, and what `plan_sweep` takes of it; raises NotFound, InvalidRequest."""
    if against is None:
        return None, None
    with references.named_at("against", "graph"):
        other = get_graph(context, against.graph)
    tolerance = read_tolerance(against.tolerance, ("against", "tolerance"))
    return other, (context.compact_graph(other.digest), against.outputs, tolerance)


def get_sweep(context: Context, sweep_id: str) -> StoredSweep:
    """Read a sweep; raises NotFound, and as `Context.admit` where histograms have very many buckets."""
    record = get_sweep_job(context, sweep_id)
    with context.database.read() as connection:
        reductions = load_reductions(connection, record)
    buckets = sum(len(each.buckets) for each in reductions.columns.values()) if reductions else 0
    context.admit(_BUCKET * buckets, WholeAnswer(JSON, 3 * buckets, 0, other_form=False))
    return StoredSweep(record, _read_axes(context, record.task), reductions)


def get_sweep_job(context: Context, sweep_id: str) -> JobRecord:
    """The job of a sweep; raises NotFound."""
    with context.database.read() as connection:
        record = storage.get_job(connection, references.sweep_id(connection, sweep_id))
    if record.kind != storage.SWEEP:
        raise NotFound(f"there is no sweep {sweep_id!r}")
    return record


def list_sweep_points(
    context: Context, sweep_id: str, *, start: int, limit: int, form: Form | None = None
) -> SweepPoints:
    """At most `limit` points of a sweep from the number `start` on, those of them that are computed.

    `form` is the form in which they are answered whole, None for a page, which has fewer where they have many figures.
    Raises NotFound, and Conflict where no points are kept, and as `Context.admit`.
    """
    record = get_sweep_job(context, sweep_id)
    sweep = _read_axes(context, record.task)
    _require_points(sweep)
    width = 1 + len(sweep.axes) + len(sweep.columns)
    most = limit if form else min(limit, max(1, _LISTED_NUMBERS // width))
    asked = range(min(start, sweep.points), min(start + most, sweep.points))
    numbers = len(asked) * width
    answer = None if form is None else WholeAnswer(form, numbers, 1, other_form=False)
    context.admit(Weight(10.0 * numbers, 24.0 * numbers + 8.0 * width * sweep.chunk), answer)
    with context.database.read() as connection:
        chunks = [*storage.load_chunks(connection, record.id, _chunks_of(sweep, asked))]
    parts = [_cut(sweep, number, read_chunk(sweep, data), asked) for number, data in chunks]
    places = _joined([numbers for numbers, _ in parts], np.int64)
    figures = {name: _joined([part[name] for _, part in parts], np.float64) for name in sweep.columns}
    inputs = {name: each for name, each in sweep.at(places).items() if name in sweep.axes}
    following = asked.stop if asked.stop < sweep.points else None
    return SweepPoints(places, inputs, figures, len(places) == len(asked), following)


def load_points(context: Context, stored: StoredSweep) -> Iterator[tuple[int, Mapping[str, FloatArray]]]:
    """The chunks that are computed so far, in their order, each with its number and its figures by name.

    Raises Conflict where no points are kept, and as `Context.admit`, for a picture of them.
    """
    sweep = stored.sweep
    _require_points(sweep)
    nbytes = 8 * len(sweep.columns) * sweep.chunk
    chunks = (SWEPT_POINT * sweep.chunk + STORED_BYTE * nbytes).times(sweep.chunks)
    axes = AXIS_NUMBER * sum(axis.count for axis in sweep.axes.values())
    context.admit(chunks + axes + Weight(nbytes=storage.CHUNKS_AT_ONCE * nbytes))
    return _load_points(context, stored)


def _load_points(context: Context, stored: StoredSweep) -> Iterator[tuple[int, Mapping[str, FloatArray]]]:
    with context.database.read() as connection:
        for number, data in storage.load_chunks(connection, stored.record.id, range(stored.sweep.chunks)):
            yield number, read_chunk(stored.sweep, data)


def _require_points(sweep: Sweep) -> None:
    if sweep.reduce is not None:
        raise Conflict("of this sweep only what its points amount to is kept; without `reduce` every point is")


def _chunks_of(sweep: Sweep, points: range) -> range:
    """The chunks that have these points."""
    return range(points.start // sweep.chunk, -(-points.stop // sweep.chunk))


def _cut(
    sweep: Sweep, number: int, columns: Mapping[str, FloatArray], points: range
) -> tuple[IntArray, Mapping[str, FloatArray]]:
    """Those points of a chunk that are among these: their numbers, and their figures."""
    there = sweep.numbers(number)
    first, stop = max(there.start, points.start), min(there.stop, points.stop)
    part = slice(first - there.start, stop - there.start)
    return np.arange(first, stop), {name: column[part] for name, column in columns.items()}


def _joined(parts: Sequence[Any], dtype: type) -> Any:
    return np.concatenate([np.zeros(0, dtype), *parts])


def prepare_sweep(context: Context, record: JobRecord) -> SweepPlan:
    """A sweep as it is computed; raises NotFound."""
    graphs = {digest: context.compact_graph(digest) for digest in record.task["digests"]}
    sweep = _read_sweep(context, record.task)
    return SweepPlan(graphs, sweep, int(weigh_chunk([*graphs.values()], sweep).nbytes))


_PLAIN = ("mode", "outputs", "output", "wrt", "convention", "reduce", "chunk", "check")


def _write_sweep(sweep: Sweep) -> dict[str, Any]:
    """A sweep as its job has it, without its inputs."""
    plain = {name: getattr(sweep, name) for name in _PLAIN}
    return {**plain, "against": asdict(sweep.against) if sweep.against else None}


def _read_sweep(context: Context, task: Mapping[str, Any]) -> Sweep:
    """The sweep that a job has."""
    return _as_sweep(task, load_inputs(context, read_inputs(task["inputs"], read_kept)))


def _read_axes(context: Context, task: Mapping[str, Any]) -> Sweep:
    """The sweep that a job has without its fixed arrays, which may be large: as it takes to say where points are."""
    inputs = read_inputs(task["inputs"], read_kept)
    varied = {name: each for name, each in inputs.items() if not isinstance(each, TensorReference)}
    return _as_sweep(task, load_inputs(context, varied))


def _as_sweep(task: Mapping[str, Any], inputs: Mapping[str, Axis | FloatArray]) -> Sweep:
    plain: dict[str, Any] = {name: tuple(each) if isinstance(each := task[name], list) else each for name in _PLAIN}
    held = task["against"]
    against = Against(held["outputs"], Tolerance(**held["tolerance"])) if held else None
    return Sweep(inputs, **plain, against=against)
