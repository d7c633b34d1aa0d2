"""Runs and their figures: row ↔ core."""

from collections.abc import Collection, Sequence
from typing import Any, Unpack

from sqlalchemy import ColumnElement, Connection, Row, Select, exists, func, or_, select, union, update
from sqlalchemy.exc import IntegrityError

from service.core.errors import Conflict, NotFound
from service.core.execution.nonfinite import FirstNonfinite
from service.core.figures.figures import Figures, FloatArray
from service.storage.failures import refers_to_nothing
from service.storage.graphs import is_tag
from service.storage.listing import Listed, holds, narrow, some_counted, together
from service.storage.models import Base, GraphRow, RunFigures, RunRow, RunTag
from service.storage.plain import insert_plainly
from service.storage.records import NewRun, RunEnds, RunRecord
from service.storage.run_figures import fits_row, insert_chunked, read_array, row_columns, write_array
from service.storage.tags import insert_tags
from service.storage.tensors import find_tensors

_runs = Base.metadata.tables[RunRow.__tablename__]
_LOOKED_THROUGH = 10_000  # runs of a list, for a text
_RUNS_TOGETHER = 100  # are in memory as bytes while they are inserted
_IN_ROW = {"values", "gradients", "ends"}  # figures, each with its layout


def _has(kind: str) -> Any:
    return or_(_runs.c[kind].is_not(None), exists().where(RunFigures.run_id == RunRow.id, RunFigures.kind == kind))


_RUNS: Select[Any] = select(
    *(column for column in _runs.c if column.name.removesuffix("_layout") not in _IN_ROW),
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


def insert_run(
    connection: Connection,
    record: RunRecord,
    values: Figures | None,
    gradients: Figures | None,
    ends: RunEnds | None = None,
) -> None:
    """Insert a run and its figures; as `insert_runs`."""
    insert_runs(connection, [NewRun(record, values, gradients, ends)])


def insert_runs(connection: Connection, runs: Sequence[NewRun]) -> None:
    """Insert runs with their figures, tensors by their digests; raises NotFound if a graph of theirs was deleted
    meanwhile."""
    # Those that were deleted meanwhile, or that a restored backup lacks, are stored as the figures that they are.
    named = {digest for run in runs for digest in run.record.tensors.values()}
    stored = find_tensors(connection, sorted(named)) if named else {}
    for some in together(runs, _RUNS_TOGETHER):
        _insert_some(connection, some, stored)


def _insert_some(connection: Connection, runs: Sequence[NewRun], stored: Collection[str]) -> None:
    rows, chunked = [], []
    for record, values, gradients, ends in runs:
        tensors = {position: digest for position, digest in record.tensors.items() if digest in stored}
        in_row = {
            "values": values if fits_row(values) and not tensors else None,
            "gradients": gradients if fits_row(gradients) else None,
        }
        rows.append({**_run_columns(record), **row_columns(ends, **in_row)})
        for kind, figures in (("values", values), ("gradients", gradients)):
            if figures is not None and in_row[kind] is None:
                chunked.append((record.id, kind, figures, tensors if kind == "values" else {}))
    try:
        insert_plainly(connection, _runs, rows)
    except IntegrityError as error:
        if refers_to_nothing(error):
            graphs = ", ".join(sorted({repr(run.record.graph_id) for run in runs}))
            raise NotFound(f"there is no graph {graphs}") from None
        raise
    insert_tags(connection, RunTag.run_id, {run.record.id: run.record.tags for run in runs})
    insert_chunked(connection, chunked)


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


def add_gradients(connection: Connection, run: NewRun) -> None:
    """Insert the gradients of a run that has none, with the record's output and seed; raises NotFound, Conflict."""
    record, gradients = run.record, run.gradients
    if get_run(connection, record.id).has_gradients:
        raise Conflict("this run has gradients already; create another run for another output or seed")
    fits = fits_row(gradients)
    changed = {
        **_seed_columns(record.seed),
        "output": record.output,
        "nonfinite_backward": _nonfinite_text(record.nonfinite_backward),
        "convention": record.convention,
        **row_columns(run.ends, gradients=gradients if fits else None),
    }
    connection.execute(update(RunRow).where(RunRow.id == record.id).values(changed))
    if gradients is not None and not fits:
        insert_chunked(connection, [(record.id, "gradients", gradients, {})])


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
    rows = [row for part in together(identifiers) for row in connection.execute(_RUNS.where(RunRow.id.in_(part)))]
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
    wanted = [RunRow.graph_id == graph] if graph is not None else []
    for member in ("label", "source", "recorded_by"):
        if (value := asked.get(member)) is not None:
            wanted.append(getattr(RunRow, member) == value)
    if (tag := asked.get("tag")) is not None:
        wanted.append(RunRow.id.in_(select(RunTag.run_id).where(is_tag(RunTag, tag))))
    query = narrow(connection, _RUNS.where(*wanted), RunRow, asked, limit)
    if not (text := asked.get("q")):
        return _records(connection, connection.execute(query).all())
    found = together(_find(connection, wanted, text, limit, asked))
    return _records(connection, [row for ids in found for row in connection.execute(query.where(RunRow.id.in_(ids)))])


def _find(
    connection: Connection, wanted: Sequence[ColumnElement[bool]], text: str, limit: int, asked: ListedRuns
) -> Sequence[str]:
    """The ids of the runs of a list that have a text in them: those of its first ones, if that is enough of them.

    Otherwise those of all, where each text is looked through by itself, most rows having none: among millions of runs
    no one way finds both what many have and what few have.
    """
    texts = (RunRow.label, RunRow.recorded_by)
    named = select(GraphRow.id).where(holds(text, GraphRow.name))
    rows: Any = select(RunRow.id, RunRow.graph_id, *texts).where(*wanted)
    first = narrow(connection, rows, RunRow, asked, _LOOKED_THROUGH).subquery().c
    has_text = or_(holds(text, first.label, first.recorded_by), first.graph_id.in_(named))
    found = _first_ids(connection, select(first.id).where(has_text), limit, asked)
    if len(found) == limit:
        return found
    every = narrow(connection, select(RunRow.id).where(*wanted), RunRow, asked, limit).order_by(None).limit(None)
    parts = [every.where(each.is_not(None), holds(text, each)) for each in texts]
    ids = union(*parts, every.where(RunRow.graph_id.in_(named))).subquery().c.id
    return _first_ids(connection, select(ids), limit, asked)


def _first_ids(connection: Connection, query: Select[str], limit: int, asked: ListedRuns) -> Sequence[str]:
    (column,) = query.selected_columns
    order = column.asc() if asked.get("sort") == "created_at" else column.desc()
    return connection.scalars(query.order_by(order).limit(limit)).all()


def last_runs(connection: Connection, graphs: Sequence[str]) -> dict[str, tuple[int, RunRecord]]:
    """The number of runs, as `count_some`, and the newest run of each of these graphs that has any."""
    last = select(func.max(RunRow.id)).where(RunRow.graph_id == GraphRow.id).scalar_subquery().label("last")
    counted = some_counted(RunRow.graph_id == GraphRow.id, GraphRow.__table__).label("runs")
    found = connection.execute(select(GraphRow.id, last, counted).where(GraphRow.id.in_(graphs))).all()
    rows = connection.execute(_RUNS.where(RunRow.id.in_([row.last for row in found]))).all()
    newest = {record.id: record for record in _records(connection, rows)}
    return {row.id: (row.runs, newest[row.last]) for row in found if row.runs}


def _seed_columns(seed: FloatArray | None) -> dict[str, Any]:
    if seed is None:
        return {"seed": None, "seed_shape": None}
    return {"seed": write_array(seed), "seed_shape": list(seed.shape) or None}


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
            seed=None if row.seed is None else read_array(row.seed, row.seed_shape or ()),
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
