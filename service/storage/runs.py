"""Runs and their figures: row ↔ core."""

from math import prod
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, insert, select, tuple_, update

from service.core.errors import Conflict, NotFound
from service.core.figures import Figures
from service.storage.models import Chunk, FiguresRow, GraphRow, RunRow, RunTag
from service.storage.records import RunRecord

CHUNK_VALUES = 64 * 1024
_BYTES = 8

_COLUMNS = select(
    RunRow.__table__,
    GraphRow.digest,
    select(func.aggregate_strings(FiguresRow.kind, ",")).where(FiguresRow.run_id == RunRow.id).scalar_subquery().label("kinds"),
).join(GraphRow, GraphRow.id == RunRow.graph_id)


def insert_run(connection: Connection, record: RunRecord, values: Figures | None, gradients: Figures | None) -> None:
    """Keep a run and its figures."""
    seed = None if record.seed is None else np.ascontiguousarray(record.seed, dtype="<f8")
    row = {
        "id": record.id,
        "graph_id": record.graph_id,
        "source": record.source,
        "recorded_by": record.recorded_by,
        "dtype": record.dtype,
        "output": record.output,
        "seed": None if seed is None else seed.tobytes(),
        "seed_shape": None if record.seed is None else list(record.seed.shape),
        "nonfinite_forward": record.nonfinite_forward,
        "nonfinite_backward": record.nonfinite_backward,
        "nondifferentiable": list(record.nondifferentiable),
        "label": record.label,
        "created_at": record.created_at,
    }
    connection.execute(insert(RunRow), row)
    if record.tags:
        tags = [{"run_id": record.id, "key": key, "value": value} for key, value in record.tags.items()]
        connection.execute(insert(RunTag), tags)
    given = [(kind, figures) for kind, figures in (("values", values), ("gradients", gradients)) if figures is not None]
    _insert_figures(connection, record.id, given)


def add_gradients(connection: Connection, record: RunRecord, gradients: Figures) -> None:
    """Keep the gradients of a run that has none, with the output and the seed they belong to; raises Conflict."""
    taken = (FiguresRow.run_id == record.id, FiguresRow.kind == "gradients")
    if connection.execute(select(FiguresRow.run_id).where(*taken)).first():
        raise Conflict("this run has its gradients; create another run for another output or seed")
    assert record.seed is not None
    changed = {
        "output": record.output,
        "seed": np.ascontiguousarray(record.seed, dtype="<f8").tobytes(),
        "seed_shape": list(record.seed.shape),
        "nonfinite_backward": record.nonfinite_backward,
    }
    connection.execute(update(RunRow).where(RunRow.id == record.id).values(changed))
    _insert_figures(connection, record.id, [("gradients", gradients)])


def get_run(connection: Connection, identifier: str) -> RunRecord:
    """One run's record; raises NotFound."""
    row = connection.execute(_COLUMNS.where(RunRow.id == identifier)).one_or_none()
    if row is None:
        raise NotFound(f"there is no run {identifier!r}")
    return _records(connection, [row])[0]


def list_runs(
    connection: Connection,
    *,
    graph: str | None,
    label: str | None,
    tag: tuple[str, str] | None,
    recorded_by: str | None,
    after: str | None,
    limit: int,
) -> list[RunRecord]:
    """Runs, newest first, from the one after `after`."""
    query = _COLUMNS.order_by(RunRow.id.desc()).limit(limit)
    for column, wanted in ((RunRow.graph_id, graph), (RunRow.label, label), (RunRow.recorded_by, recorded_by)):
        if wanted is not None:
            query = query.where(column == wanted)
    if tag is not None:
        tagged = select(RunTag.run_id).where(tuple_(RunTag.key, RunTag.value) == tag)
        query = query.where(RunRow.id.in_(tagged))
    if after is not None:
        query = query.where(RunRow.id < after)
    return _records(connection, connection.execute(query).all())


def load_figures(
    connection: Connection, run: str, kind: str, start: int = 0, stop: int | None = None
) -> Figures:
    """The values or the gradients of the nodes from `start` to before `stop`; only the chunks they lie in are read."""
    where = (FiguresRow.run_id == run, FiguresRow.kind == kind)
    columns = (FiguresRow.node_count, FiguresRow.shapes, FiguresRow.present)
    row = connection.execute(select(*columns).where(*where)).one()
    start, stop, _ = slice(start, stop).indices(row.node_count)
    stop = max(start, stop)
    if row.shapes is None:
        shapes, first, last = None, start, stop
    else:
        shapes = tuple(map(tuple, row.shapes[start:stop]))
        first = sum(map(prod, row.shapes[:start]))
        last = first + sum(map(prod, shapes))
    present = None
    if row.present is not None:
        bits = np.unpackbits(np.frombuffer(row.present, dtype=np.uint8), count=row.node_count).astype(bool)
        present = bits[start:stop]
    blob = _read_chunks(connection, run, kind, first, last)
    return Figures(np.frombuffer(blob, dtype="<f8").astype(np.float64, copy=False), shapes, present)


def _read_chunks(connection: Connection, run: str, kind: str, first: int, last: int) -> bytes:
    """The bytes of the values from `first` to before `last`."""
    parts: list[bytes] = []
    lowest, highest = first // CHUNK_VALUES, max(first, last - 1) // CHUNK_VALUES
    if lowest == 0:
        where = (FiguresRow.run_id == run, FiguresRow.kind == kind)
        parts.append(connection.execute(select(FiguresRow.first_chunk).where(*where)).scalar_one())
    if highest > 0:
        among = (Chunk.run_id == run, Chunk.kind == kind, Chunk.number.between(max(lowest, 1), highest))
        parts.extend(connection.execute(select(Chunk.data).where(*among).order_by(Chunk.number)).scalars())
    offset = lowest * CHUNK_VALUES
    blob = parts[0] if len(parts) == 1 else b"".join(parts)
    return blob[(first - offset) * _BYTES : (last - offset) * _BYTES]


def _insert_figures(connection: Connection, run: str, given: list[tuple[str, Figures]]) -> None:
    rows: list[dict[str, Any]] = []
    chunks: list[dict[str, Any]] = []
    for kind, figures in given:
        blob = np.ascontiguousarray(figures.flat, dtype="<f8").view(np.uint8).data
        size = CHUNK_VALUES * _BYTES
        rows.append(
            {
                "run_id": run,
                "kind": kind,
                "node_count": len(figures),
                "shapes": None if figures.shapes is None else [list(shape) for shape in figures.shapes],
                "present": None if figures.present is None else np.packbits(figures.present).tobytes(),
                "first_chunk": bytes(blob[:size]),
            }
        )
        chunks.extend(
            {"run_id": run, "kind": kind, "number": start // size, "data": bytes(blob[start : start + size])}
            for start in range(size, len(blob), size)
        )
    if rows:
        connection.execute(insert(FiguresRow), rows)
    if chunks:
        connection.execute(insert(Chunk), chunks)


def _records(connection: Connection, rows: Any) -> list[RunRecord]:
    tags: dict[str, dict[str, str]] = {row.id: {} for row in rows}
    for tag in connection.execute(select(RunTag.__table__).where(RunTag.run_id.in_(tags))):
        tags[tag.run_id][tag.key] = tag.value
    return [
        RunRecord(
            id=row.id,
            graph_id=row.graph_id,
            graph_digest=row.digest,
            source=row.source,
            recorded_by=row.recorded_by,
            dtype=row.dtype,
            output=row.output,
            seed=None if row.seed is None else np.frombuffer(row.seed, dtype="<f8").reshape(row.seed_shape),
            has_values="values" in (row.kinds or ""),
            has_gradients="gradients" in (row.kinds or ""),
            nonfinite_forward=row.nonfinite_forward,
            nonfinite_backward=row.nonfinite_backward,
            nondifferentiable=tuple(row.nondifferentiable),
            label=row.label,
            tags=tags[row.id],
            created_at=row.created_at,
        )
        for row in rows
    ]
