"""Series and their steps: row ↔ record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias, Unpack

from sqlalchemy import Connection, Row, Select, delete, exists, func, insert, or_, select, update

from service.core.errors import Conflict, NotFound
from service.core.figures.figures import FloatArray
from service.core.series.steps import DIGEST_BYTES, Trace
from service.storage.deletion import delete_runs
from service.storage.graphs import is_tag
from service.storage.listing import Listed, narrow
from service.storage.models import Base, ComparisonRow, GraphRow, RunRow, SeriesRow, SeriesStep, SeriesTag
from service.storage.run_figures import read_array, write_array
from service.storage.tags import insert_tags

Marked: TypeAlias = Literal["origins", "broken"]


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """A training run, whose steps are runs of one graph: as it was declared, and how far it has come.

    `carry` leads from a node of one step to the Input that takes its value in the next; `every` is how far apart the
    numbers of steps are. `nodes` are those whose values each step has, None before the first. Of its `steps` so many
    are `wrong`, having an origin, and so many `broken`, having another value than was carried to them. `comparison_id`
    is that of the first wrong one, None if it was deleted.
    """

    id: str
    graph_id: str
    graph_name: str
    graph_version: int
    graph_digest: str
    carry: Mapping[str, str]
    recorded_by: str
    dtype: str
    tolerance: Any
    retain: str
    every: int
    label: str | None
    created_at: datetime
    changed_at: datetime
    nodes: Sequence[str] | None = None
    comparison_id: str | None = None
    steps: int = 0
    first_step: int | None = None
    last_step: int | None = None
    first_wrong: int | None = None
    wrong: int = 0
    broken: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def next_step(self) -> int | None:
        """The number of the step that comes next; None if any may, before the first."""
        return None if self.last_step is None else self.last_step + self.every


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """A step: its verdict, same or differ, the names of its first origins, and the nodes whose values it did not take
    over from the step before; `run_id` is that of the recorded run, None if it is not kept whole."""

    number: int
    verdict: str
    origins: Sequence[str]
    broken: Sequence[str]
    trace: Trace
    run_id: str | None = None


_TABLE = Base.metadata.tables[SeriesRow.__tablename__]
_STEPS = Base.metadata.tables[SeriesStep.__tablename__]
_SERIES: Select[Any] = select(
    _TABLE,
    GraphRow.name.label("graph_name"),
    GraphRow.version.label("graph_version"),
    GraphRow.digest.label("graph_digest"),
).join(GraphRow)


def insert_series(connection: Connection, record: SeriesRecord) -> None:
    """Insert a series."""
    connection.execute(insert(_TABLE), {column.name: getattr(record, column.name) for column in _TABLE.columns})
    insert_tags(connection, SeriesTag.series_id, {record.id: record.tags})


def get_series(connection: Connection, identifier: str) -> SeriesRecord:
    """One series; raises NotFound."""
    found = _records(connection, connection.execute(_SERIES.where(SeriesRow.id == identifier)).all())
    if not found:
        raise NotFound(f"there is no series {identifier!r}")
    return found[0]


class ListedSeries(Listed, total=False):
    """Series with a label, and with a tag, key:value."""

    label: str | None
    tag: str | None


def list_series(
    connection: Connection, *, graph: str | None = None, limit: int, **asked: Unpack[ListedSeries]
) -> list[SeriesRecord]:
    """At most `limit` of the series that are asked for, of all graphs or of one, newest first unless `sort` says."""
    query = narrow(connection, _SERIES, SeriesRow, asked, limit)
    for member, wanted in {"graph_id": graph, "label": asked.get("label")}.items():
        if wanted is not None:
            query = query.where(getattr(SeriesRow, member) == wanted)
    if (tag := asked.get("tag")) is not None:
        query = query.where(SeriesRow.id.in_(select(SeriesTag.series_id).where(is_tag(SeriesTag, tag))))
    return _records(connection, connection.execute(query).all())


def append_steps(connection: Connection, record: SeriesRecord, steps: Sequence[StepRecord]) -> None:
    """Insert the last steps of a series, which `record` counts already.

    Raises NotFound, and Conflict if the number of the first is among those that are there.
    """
    stands = get_series(connection, record.id)
    if stands.steps + len(steps) != record.steps or (stands.next_step or 0) > steps[0].number:
        raise Conflict(f"other steps were added meanwhile; the next one is {stands.next_step}")
    columns = {column.name: getattr(record, column.name) for column in _TABLE.columns}
    connection.execute(update(_TABLE).where(_TABLE.c.id == record.id).values(columns))
    rows = [
        {
            "series_id": record.id,
            "number": step.number,
            "verdict": step.verdict,
            "origins": list(step.origins) or None,
            "broken": list(step.broken) or None,
            "norms": write_array(step.trace.norms),
            "digests": b"".join(step.trace.digests),
            "run_id": step.run_id,
        }
        for step in steps
    ]
    connection.execute(insert(_STEPS), rows)


def let_go(connection: Connection, record: SeriesRecord, since: int, until: int) -> None:
    """Delete the runs of the steps from the number `since` to before `until`, but for those that have a label or that a
    comparison is of, and for that of the step before the first wrong one."""
    steps = select(SeriesStep.run_id).where(
        SeriesStep.series_id == record.id, SeriesStep.number.between(since, until - 1)
    )
    if record.first_wrong is not None:
        steps = steps.where(SeriesStep.number != record.first_wrong - record.every)
    unused = select(RunRow.id).where(
        RunRow.id.in_(steps),
        RunRow.label.is_(None),
        ~exists().where(or_(ComparisonRow.baseline_id == RunRow.id, ComparisonRow.candidate_id == RunRow.id)),
    )
    delete_runs(connection, [*connection.scalars(unused)])


def list_series_steps(
    connection: Connection, series: str, *, start: int = 0, limit: int, only: Marked | None = None
) -> list[StepRecord]:
    """At most `limit` steps of a series from the number `start` on, in their order: all, or `only` those with origins,
    or with broken carries."""
    query = select(_STEPS).where(_STEPS.c.series_id == series, _STEPS.c.number >= start)
    if only is not None:
        query = query.where(_STEPS.c[only].is_not(None))
    return [_step(row) for row in connection.execute(query.order_by(_STEPS.c.number).limit(limit))]


def load_norms(connection: Connection, series: str, numbers: Sequence[int]) -> dict[int, FloatArray]:
    """The norms of these steps of a series, by number, in their order."""
    query = select(_STEPS.c.number, _STEPS.c.norms).where(_STEPS.c.series_id == series, _STEPS.c.number.in_(numbers))
    rows = connection.execute(query.order_by(_STEPS.c.number))
    return {number: read_array(norms, (-1,)) for number, norms in rows}


def load_curve(connection: Connection, series: str, stride: int) -> dict[int, FloatArray]:
    """The norms of every `stride`-th step of a series and of its last, by number, in their order."""
    place = func.row_number().over(order_by=_STEPS.c.number)
    of = select(_STEPS.c.number, _STEPS.c.norms, place.label("place")).where(_STEPS.c.series_id == series).subquery()
    last = select(func.max(of.c.number)).scalar_subquery()
    some = select(of.c.number, of.c.norms).where(or_((of.c.place - 1) % stride == 0, of.c.number == last))
    rows = connection.execute(some.order_by(of.c.number))
    return {number: read_array(norms, (-1,)) for number, norms in rows}


def delete_series(connection: Connection, identifier: str) -> None:
    """Delete a series with its steps, the runs that are kept of them, and the one that the first wrong step is compared
    with; raises NotFound."""
    record = get_series(connection, identifier)
    compared = select(ComparisonRow.baseline_id).where(ComparisonRow.id == record.comparison_id)
    baselines = [*connection.scalars(compared)]
    delete_runs(connection, select(RunRow.id).join(SeriesStep).where(SeriesStep.series_id == identifier))
    delete_runs(connection, baselines)
    connection.execute(delete(SeriesRow).where(SeriesRow.id == identifier))


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> list[SeriesRecord]:
    tags: dict[str, dict[str, str]] = {row.id: {} for row in rows}
    query = select(SeriesTag.__table__).where(SeriesTag.series_id.in_(tags)).order_by(SeriesTag.key)
    for tag in connection.execute(query):
        tags[tag.series_id][tag.key] = tag.value
    return [SeriesRecord(**row._mapping, tags=tags[row.id]) for row in rows]


def _step(row: Row[Any]) -> StepRecord:
    digests = tuple(row.digests[at : at + DIGEST_BYTES] for at in range(0, len(row.digests), DIGEST_BYTES))
    trace = Trace(read_array(row.norms, (-1,)), digests)
    return StepRecord(row.number, row.verdict, row.origins or (), row.broken or (), trace, row.run_id)
