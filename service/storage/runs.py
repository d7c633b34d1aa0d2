"""Runs and their figures: row ↔ core."""

from collections.abc import Collection, Container, Mapping, Sequence
from itertools import islice
from math import prod
from typing import Any, Unpack

import numpy as np
from sqlalchemy import Connection, Row, and_, bindparam, exists, func, insert, null, select, update
from sqlalchemy.exc import IntegrityError

from service.core.errors import Conflict, NotFound
from service.core.execution.nonfinite import FirstNonfinite
from service.core.figures.figures import BoolArray, Figures, FloatArray
from service.storage.failures import refers_to_nothing
from service.storage.graphs import is_tag
from service.storage.listing import Listed, holds, narrow
from service.storage.models import Base, GraphRow, RunChunk, RunFigures, RunRow, RunTag
from service.storage.records import RunRecord
from service.storage.tags import insert_tags
from service.storage.tensors import find_tensors, load_array

CHUNK_VALUES = 64 * 1024
_IDS_TOGETHER = 1000  # in one statement, which has a limit of parameters
_CHUNKS_TOGETHER = 16  # are in memory as bytes while they are inserted
_SMALL_BYTES = 64 * 1024  # of a run's values, which are then in one chunk
_STORED = np.dtype("<f8")


def _has(kind: str) -> Any:
    return exists().where(RunFigures.run_id == RunRow.id, RunFigures.kind == kind)


_RUNS = select(
    RunRow.__table__,
    GraphRow.name.label("graph_name"),
    GraphRow.version.label("graph_version"),
    GraphRow.digest,
    _has("values").label("has_values"),
    _has("gradients").label("has_gradients"),
    select(RunFigures.tensors)
    .where(RunFigures.run_id == RunRow.id, RunFigures.kind == "values")
    .scalar_subquery()
    .label("tensors"),
).join(GraphRow)


# Built once, and from tables instead of entities: that saves a third of the time of storing or reading a small run.
_INSERT_RUN, _INSERT_FIGURES, _INSERT_CHUNKS = (
    insert(Base.metadata.tables[row.__tablename__]) for row in (RunRow, RunFigures, RunChunk)
)
_figures, _chunks = (Base.metadata.tables[row.__tablename__].c for row in (RunFigures, RunChunk))
_LAYOUT = select(_figures.node_count, _figures.shapes, _figures.present, _figures.tensors).where(
    _figures.run_id == bindparam("run"), _figures.kind == bindparam("kind")
)
_LAYOUTS = select(_figures.node_count, _figures.shapes).where(_figures.run_id == bindparam("run"))
_PARTS = select(_chunks.number, _chunks.data).where(
    _chunks.run_id == bindparam("run"),
    _chunks.kind == bindparam("kind"),
    _chunks.number.between(bindparam("lowest"), bindparam("highest")),
)
_SIZES = (
    select(_chunks.run_id, func.sum(func.length(_chunks.data)))
    .where(_chunks.run_id.in_(bindparam("runs", expanding=True)))
    .group_by(_chunks.run_id)
)
_TENSORS = select(_figures.run_id, _figures.shapes, _figures.tensors).where(
    _figures.run_id.in_(bindparam("runs", expanding=True)), _figures.tensors.is_not(null())
)


def insert_run(connection: Connection, record: RunRecord, values: Figures | None, gradients: Figures | None) -> None:
    """Insert a run and its figures; as `insert_runs`."""
    insert_runs(connection, [(record, values, gradients)])


def insert_runs(connection: Connection, runs: Sequence[tuple[RunRecord, Figures | None, Figures | None]]) -> None:
    """Insert runs, each with its values and its gradients, tensors by their digests; raises NotFound if a graph of
    theirs was deleted meanwhile."""
    if not runs:
        return
    try:
        connection.execute(_INSERT_RUN, [_run_columns(record) for record, _, _ in runs])
    except IntegrityError as error:
        if refers_to_nothing(error):
            graphs = ", ".join(sorted({repr(record.graph_id) for record, _, _ in runs}))
            raise NotFound(f"there is no graph {graphs}") from None
        raise
    insert_tags(connection, RunTag.run_id, {record.id: record.tags for record, _, _ in runs})
    # Those that were deleted meanwhile, or that a restored backup lacks, are stored as the figures that they are.
    named = {digest for record, _, _ in runs for digest in record.tensors.values()}
    stored = find_tensors(connection, sorted(named)) if named else {}
    _insert_figures(
        connection,
        [
            (record.id, kind, figures, _stored_tensors(record, stored) if kind == "values" else {})
            for record, values, gradients in runs
            for kind, figures in (("values", values), ("gradients", gradients))
            if figures is not None
        ],
    )


def _run_columns(record: RunRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "graph_id": record.graph_id,
        "source": record.source,
        "recorded_by": record.recorded_by,
        "dtype": record.dtype,
        **_seed_columns(record.seed),
        "output": record.output,
        "nonfinite_forward": _nonfinite_text(record.nonfinite_forward),
        "nonfinite_backward": _nonfinite_text(record.nonfinite_backward),
        "nondifferentiable": list(record.nondifferentiable),
        "convention": record.convention,
        "label": record.label,
        "created_at": record.created_at,
    }


def _stored_tensors(record: RunRecord, stored: Container[str]) -> dict[int, str]:
    return {position: digest for position, digest in record.tensors.items() if digest in stored}


def add_gradients(connection: Connection, record: RunRecord, gradients: Figures) -> None:
    """Insert the gradients of a run that has none, with the record's output and seed; raises NotFound, Conflict."""
    if get_run(connection, record.id).has_gradients:
        raise Conflict("this run has gradients already; create another run for another output or seed")
    changed = {
        **_seed_columns(record.seed),
        "output": record.output,
        "nonfinite_backward": _nonfinite_text(record.nonfinite_backward),
        "convention": record.convention,
    }
    connection.execute(update(RunRow).where(RunRow.id == record.id).values(changed))
    _insert_figures(connection, [(record.id, "gradients", gradients, {})])


def move_label(connection: Connection, run: str, label: str) -> None:
    """Give a run a label, and take it from every other run of the versions of its graph's name; raises NotFound."""
    graph = select(RunRow.graph_id).where(RunRow.id == run).scalar_subquery()
    name = select(GraphRow.name).where(GraphRow.id == graph).scalar_subquery()
    versions = select(GraphRow.id).where(GraphRow.name == name)
    others = update(RunRow).where(RunRow.label == label, RunRow.graph_id.in_(versions), RunRow.id != run)
    connection.execute(others.values(label=None))
    if not connection.execute(update(RunRow).where(RunRow.id == run).values(label=label)).rowcount:
        raise NotFound(f"there is no run {run!r}")


def get_run(connection: Connection, identifier: str) -> RunRecord:
    """Load one run's record; raises NotFound."""
    return get_runs(connection, [identifier])[0]


def get_runs(connection: Connection, identifiers: Sequence[str]) -> list[RunRecord]:
    """Load the records of runs, in this order; raises NotFound."""
    parts = (identifiers[start : start + _IDS_TOGETHER] for start in range(0, len(identifiers), _IDS_TOGETHER))
    rows = [row for part in parts for row in connection.execute(_RUNS.where(RunRow.id.in_(part)))]
    found = {record.id: record for record in _records(connection, rows)}
    for identifier in identifiers:
        if identifier not in found:
            raise NotFound(f"there is no run {identifier!r}")
    return [found[identifier] for identifier in identifiers]


class ListedRuns(Listed, total=False):
    """Runs with a label, with a tag, key:value, of the `source` computed or recorded, recorded by someone, and with the
    text `q` in the label, in who recorded it or in the graph's name."""

    label: str | None
    tag: str | None
    source: str | None
    recorded_by: str | None
    q: str | None


def list_runs(
    connection: Connection, *, graph: str | None = None, limit: int, **asked: Unpack[ListedRuns]
) -> list[RunRecord]:
    """At most `limit` of the runs that are asked for, of all graphs or of one, newest first unless `sort` says."""
    query = narrow(connection, _RUNS, RunRow, asked, limit)
    exact = {"graph_id": graph, "label": asked.get("label"), "source": asked.get("source")}
    for member, wanted in {**exact, "recorded_by": asked.get("recorded_by")}.items():
        if wanted is not None:
            query = query.where(getattr(RunRow, member) == wanted)
    if (tag := asked.get("tag")) is not None:
        query = query.where(RunRow.id.in_(select(RunTag.run_id).where(is_tag(RunTag, tag))))
    if text := asked.get("q"):
        query = query.where(holds(text, RunRow.label, RunRow.recorded_by, GraphRow.name))
    return _records(connection, connection.execute(query).all())


def last_runs(connection: Connection, graphs: Sequence[str]) -> dict[str, tuple[int, RunRecord]]:
    """The number of runs and the newest run of each of these graphs that has any."""
    counted = select(RunRow.graph_id, func.count().label("runs"), func.max(RunRow.id).label("last"))
    found = connection.execute(counted.where(RunRow.graph_id.in_(graphs)).group_by(RunRow.graph_id)).all()
    rows = connection.execute(_RUNS.where(RunRow.id.in_([row.last for row in found]))).all()
    newest = {record.id: record for record in _records(connection, rows)}
    return {row.graph_id: (row.runs, newest[row.last]) for row in found}


def load_small_values(connection: Connection, positions: Mapping[str, int]) -> dict[str, FloatArray]:
    """The value of one node of each of these runs, by the run's id; left out as by `load_small_figures`, or where the
    node has none."""
    small = load_small_figures(connection, positions, ["values"])
    found = {run: figures[positions[run]] for (run, _), figures in small.items()}
    return {run: figure for run, figure in found.items() if figure is not None}


def load_small_figures(
    connection: Connection, runs: Collection[str], kinds: Collection[str] = ("values", "gradients")
) -> dict[tuple[str, str], Figures]:
    """The figures of these runs, by the run's id and the kind; left out where they take more than 64 KB, or some are
    tensors. One query, whatever their number."""
    rows = connection.execute(
        select(_figures.run_id, _figures.kind, _figures.node_count, _figures.shapes, _figures.present, _chunks.data)
        .join(
            Base.metadata.tables[RunChunk.__tablename__],
            and_(_chunks.run_id == _figures.run_id, _chunks.kind == _figures.kind),
        )
        .where(_figures.run_id.in_(runs), _figures.kind.in_(kinds))
        .where(_chunks.number == 0, func.length(_chunks.data) <= _SMALL_BYTES, _figures.tensors.is_(null()))
    )
    found = {}
    for row in rows:
        shapes = None if row.shapes is None else tuple(map(tuple, row.shapes))
        present = none = None
        if row.present is not None:
            present, none = _unpack(row.present, row.node_count)
        found[row.run_id, row.kind] = Figures(np.frombuffer(row.data, _STORED), shapes, present, none)
    return found


def load_figures(connection: Connection, run: str, kind: str, start: int = 0, stop: int | None = None) -> Figures:
    """Load the "values" or "gradients" of the nodes from `start` to before `stop`, read-only; raises NotFound.

    Only the chunks that hold them are read.
    """
    row = _figures_row(connection, run, kind)
    tensors: dict[int, str] = dict(row.tensors or ())
    start, stop, _ = slice(start, stop).indices(row.node_count)
    stop = max(start, stop)
    present = none = None
    if row.present is not None:
        present, none = _unpack(row.present, row.node_count)
        present = present[start:stop]
        present.setflags(write=False)
        none = None if none is None else none[start:stop]
    if row.shapes is None and not tensors:
        return Figures(_read_flat(connection, run, kind, start, stop), None, present, none)
    shapes = None if row.shapes is None else tuple(tuple(shape) for shape in row.shapes[start:stop])
    sizes = [1] * row.node_count if row.shapes is None else [*map(prod, row.shapes)]
    chunked = [0 if position in tensors else size for position, size in enumerate(sizes)] if tensors else sizes
    first = sum(chunked[:start])
    flat = _read_flat(connection, run, kind, first, first + sum(chunked[start:stop]))
    within = {position - start: digest for position, digest in tensors.items() if start <= position < stop}
    return Figures(_with_tensors(connection, flat, sizes[start:stop], within), shapes, present, none)


def count_bytes(connection: Connection, runs: Sequence[str]) -> list[int]:
    """The bytes of all stored figures of each run that has any, which the database knows without reading them."""
    sizes = {run: int(nbytes) for run, nbytes in connection.execute(_SIZES, {"runs": runs})}
    for run, shapes, tensors in connection.execute(_TENSORS, {"runs": runs}):
        elements = sum(1 if shapes is None else prod(shapes[position]) for position, _ in tensors)
        sizes[run] = sizes.get(run, 0) + 8 * elements
    return list(sizes.values())


def count_elements(connection: Connection, run: str, positions: Sequence[int]) -> int:
    """The elements of the values and the gradients of the nodes at `positions`, without reading them."""
    return sum(
        1 if row.shapes is None else prod(row.shapes[position])
        for row in connection.execute(_LAYOUTS, {"run": run})
        for position in positions
        if position < row.node_count
    )


def load_some_figures(connection: Connection, run: str, kind: str, positions: Sequence[int]) -> Figures:
    """Load the figures of the nodes at `positions`; the other nodes have none. Only the chunks with them are read."""
    row = _figures_row(connection, run, kind)
    tensors: dict[int, str] = dict(row.tensors or ())
    shapes = None if row.shapes is None else tuple(map(tuple, row.shapes))
    sizes = np.ones(row.node_count, np.int64) if shapes is None else np.array([*map(prod, shapes)], np.int64)
    chunked = sizes.copy()
    chunked[list(tensors)] = 0
    ends = np.cumsum(chunked)
    numbers = {
        number
        for position in positions
        for number in range((ends[position] - chunked[position]) // CHUNK_VALUES, -(-ends[position] // CHUNK_VALUES))
    }
    flat = np.zeros(int(ends[-1]))
    columns = select(RunChunk.number, RunChunk.data).where(RunChunk.run_id == run, RunChunk.kind == kind)
    for chunk in connection.execute(columns.where(RunChunk.number.in_(map(int, numbers)))):
        part = np.frombuffer(chunk.data, _STORED)
        flat[chunk.number * CHUNK_VALUES : chunk.number * CHUNK_VALUES + len(part)] = part
    if tensors:
        flat = _with_tensors(connection, flat, sizes.tolist(), tensors, {*positions})
    present = np.zeros(row.node_count, bool)
    present[list(positions)] = True
    if row.present is not None:
        present &= _unpack(row.present, row.node_count)[0]
    return Figures(flat, shapes, present)


def _with_tensors(
    connection: Connection,
    flat: FloatArray,
    sizes: Sequence[int],
    tensors: Mapping[int, str],
    positions: Collection[int] | None = None,
) -> FloatArray:
    """The figures of these sizes, read-only, with those that are tensors between the others, which `flat` has; of the
    tensors those at `positions` alone, if given, and 0 in place of the others."""
    if not tensors:
        return flat
    whole, ends = np.zeros(sum(sizes)), np.cumsum(sizes, dtype=np.int64)
    begin = taken = 0
    for position in sorted(tensors):
        end = int(ends[position]) - sizes[position]
        whole[begin:end] = flat[taken : taken + end - begin]
        taken, begin = taken + end - begin, int(ends[position])
        if positions is None or position in positions:
            whole[end:begin] = load_array(connection, tensors[position]).ravel()
    whole[begin:] = flat[taken:]
    whole.setflags(write=False)
    return whole


def _without_tensors(figures: Figures, tensors: Mapping[int, str]) -> FloatArray:
    """The elements of the figures that are no tensors."""
    offsets = figures.offsets
    ends = [0, *(int(each) for position in sorted(tensors) for each in offsets[position : position + 2]), None]
    return np.concatenate([figures.flat[begin:end] for begin, end in zip(ends[::2], ends[1::2], strict=True)])


def _figures_row(connection: Connection, run: str, kind: str) -> Any:
    row = connection.execute(_LAYOUT, {"run": run, "kind": kind}).one_or_none()
    if row is None:
        raise NotFound(f"the run {run!r} has no {kind}")
    return row


def _unpack(present: bytes, count: int) -> tuple[BoolArray, BoolArray | None]:
    """Which nodes have a figure, and which were recorded as none; None where no node was."""
    size = -(-count // 8)
    masks = (np.unpackbits(np.frombuffer(part, np.uint8), count=count) for part in (present[:size], present[size:]))
    given, none = (mask.view(np.bool_) for mask in masks)
    return given, none if len(present) > size else None


def _pack_masks(figures: Figures) -> bytes | None:
    if figures.present is None:
        return None
    masks = [figures.present] if figures.none is None else [figures.present, figures.none]
    return b"".join(np.packbits(mask).tobytes() for mask in masks)


def _read_flat(connection: Connection, run: str, kind: str, first: int, last: int) -> FloatArray:
    """The elements of the packed vector from `first` to before `last`, read-only; one chunk at a time is copied."""
    flat = np.zeros(last - first)
    numbers = {"lowest": first // CHUNK_VALUES, "highest": (last - 1) // CHUNK_VALUES}
    for number, data in connection.execute(_PARTS, {"run": run, "kind": kind, **numbers}):
        part, begin = np.frombuffer(data, _STORED), number * CHUNK_VALUES - first
        flat[max(begin, 0) : begin + len(part)] = part[max(-begin, 0) : len(flat) - begin]
    flat.setflags(write=False)
    return flat


def _insert_figures(connection: Connection, given: Sequence[tuple[str, str, Figures, Mapping[int, str]]]) -> None:
    """Insert figures of runs: the run's id, the kind, the figures, and those of them that are tensors, by position."""
    rows = [
        {
            "run_id": run,
            "kind": kind,
            "node_count": len(figures),
            "shapes": None if figures.shapes is None else [list(shape) for shape in figures.shapes],
            "present": _pack_masks(figures),
            "tensors": sorted(tensors.items()) if tensors else None,
        }
        for run, kind, figures, tensors in given
    ]
    chunks = (
        {"run_id": run, "kind": kind, "number": number, "data": write_array(elements[start : start + CHUNK_VALUES])}
        for run, kind, figures, tensors in given
        for elements in [_without_tensors(figures, tensors) if tensors else figures.flat]
        for number, start in enumerate(range(0, len(elements), CHUNK_VALUES))
    )
    if rows:
        connection.execute(_INSERT_FIGURES, rows)
    while together := list(islice(chunks, _CHUNKS_TOGETHER)):
        connection.execute(_INSERT_CHUNKS, together)


def write_array(figures: FloatArray) -> bytes:
    """Serialise an array for storage: little-endian float64, row-major."""
    return figures.astype(_STORED, copy=False).tobytes()


def _seed_columns(seed: FloatArray | None) -> dict[str, Any]:
    if seed is None:
        return {"seed": None, "seed_shape": None}
    return {"seed": write_array(seed), "seed_shape": list(seed.shape)}


def read_array(blob: bytes, shape: Sequence[int]) -> FloatArray:
    """Deserialise an array that `write_array` wrote; read-only."""
    return np.frombuffer(blob, _STORED).astype(np.float64, copy=False).reshape(shape)


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> list[RunRecord]:
    tags: dict[str, dict[str, str]] = {row.id: {} for row in rows}
    query = select(RunTag.__table__).where(RunTag.run_id.in_(tags)).order_by(RunTag.key)
    for tag in connection.execute(query):
        tags[tag.run_id][tag.key] = tag.value
    return [
        RunRecord(
            id=row.id,
            graph_id=row.graph_id,
            graph_name=row.graph_name,
            graph_version=row.graph_version,
            graph_digest=row.digest,
            source=row.source,
            recorded_by=row.recorded_by,
            dtype=row.dtype,
            output=row.output,
            seed=None if row.seed is None else read_array(row.seed, row.seed_shape),
            has_values=row.has_values,
            has_gradients=row.has_gradients,
            nonfinite_forward=_nonfinite(row.nonfinite_forward),
            nonfinite_backward=_nonfinite(row.nonfinite_backward),
            nondifferentiable=tuple(row.nondifferentiable),
            convention=row.convention,
            label=row.label,
            tags=tags[row.id],
            created_at=row.created_at,
            tensors=dict(row.tensors or ()),
        )
        for row in rows
    ]


def _nonfinite_text(first: FirstNonfinite | None) -> str | None:
    """Names of nodes, which hold no line feed, in lines of their own; an empty line for None."""
    return None if first is None else "\n".join((first.node, first.infinity or "", first.nan or ""))


def _nonfinite(text: str | None) -> FirstNonfinite | None:
    """Read what `_nonfinite_text` wrote, or the one name that earlier releases wrote."""
    if text is None:
        return None
    node, *kinds = text.split("\n")
    return FirstNonfinite(node, *(name or None for name in kinds))
