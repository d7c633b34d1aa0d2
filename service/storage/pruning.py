"""Prune a database: old runs go, and what nothing needs any more; the room that they took is given back.

It is done in many short transactions, so that others, who write meanwhile, wait for no longer than for one another.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, true

from service.storage.database import Database
from service.storage.deletion import compares, delete_runs
from service.storage.jobs import delete_old_jobs
from service.storage.models import JobRow, KeyRow, RunFigures, RunRow, SeriesRow, TensorRow
from service.storage.tensors import used_tensors

_AT_ONCE, _JOBS_AT_ONCE = 100, 1  # runs or tensors of one transaction, and jobs, which may have many chunks
_ALL = true()


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much went: runs, comparisons of them, unused tensors, idempotency keys, series, jobs, bytes of the file."""

    runs: int
    comparisons: int
    tensors: int
    keys: int
    series: int = 0
    jobs: int = 0
    nbytes: int = 0


def prune(database: Database, before: datetime, *, keep_labelled: bool = False, dry_run: bool = False) -> Pruned:
    """Delete the runs, the unused tensors and the idempotency keys made before a moment, the runs' comparisons, the
    series to which no step was added since, and the jobs that had ended by then.

    With `keep_labelled` runs and series that have a label stay; with `dry_run` everything stays, and what would go is
    counted.
    """
    is_old, is_still = (
        and_(moment < before, label.is_(None) if keep_labelled else true())
        for moment, label in ((RunRow.created_at, RunRow.label), (SeriesRow.changed_at, SeriesRow.label))
    )
    if dry_run:
        with database.read() as connection:
            return _count(connection, is_old, is_still, before)
    runs, comparisons = _delete_runs(database, is_old)
    series = sum(iter(lambda: _delete_series(database, is_still), 0))
    jobs = sum(iter(lambda: _delete_jobs(database, before), 0))
    with database.write() as connection:
        keys = connection.execute(delete(KeyRow).where(KeyRow.created_at < before)).rowcount
    tensors = sum(iter(lambda: _delete_tensors(database, before), 0))
    return Pruned(runs, comparisons, tensors, keys, series, jobs, database.give_back())


def _count(
    connection: Connection, is_old: ColumnElement[bool], is_still: ColumnElement[bool], before: datetime
) -> Pruned:
    old = select(RunRow.id).where(is_old)

    def count(condition: ColumnElement[bool]) -> int:
        return connection.execute(select(func.count()).where(condition)).scalar_one()

    has_ended = JobRow.ended_at < before
    stays = or_(JobRow.ended_at.is_(None), ~has_ended)
    unused = _unused_tensors(connection, before, RunFigures.run_id.not_in(old), stays)
    keys = count(KeyRow.created_at < before)
    return Pruned(count(is_old), count(compares(old)), len(unused), keys, count(is_still), count(has_ended))


def _delete_runs(database: Database, is_old: ColumnElement[bool]) -> tuple[int, int]:
    """Delete runs, and return how many, and how many comparisons of them."""
    runs = comparisons = 0
    last: str | None = ""
    while last is not None:
        some = select(RunRow.id).where(is_old, RunRow.id > last).order_by(RunRow.id).limit(_AT_ONCE)
        with database.read() as connection:  # after the last one it looks through all others, which takes a while
            found = list(connection.scalars(some))
        with database.write() as connection:
            still = select(RunRow.id).where(is_old, RunRow.id.in_(found))
            comparisons += delete_runs(connection, list(connection.scalars(still)))
        runs += len(found)
        last = found[-1] if found else None
    return runs, comparisons


def _delete_series(database: Database, is_still: ColumnElement[bool]) -> int:
    """Delete one series with its steps, whose runs are others' concern, and return how many are gone."""
    with database.write() as connection:
        some = select(SeriesRow.id).where(is_still).limit(1)
        return connection.execute(delete(SeriesRow).where(SeriesRow.id.in_(some))).rowcount


def _delete_jobs(database: Database, before: datetime) -> int:
    """Delete some of the jobs that ended before a moment, with all that they did, and return how many."""
    with database.write() as connection:
        return delete_old_jobs(connection, before, _JOBS_AT_ONCE)


def _delete_tensors(database: Database, before: datetime) -> int:
    """Delete some of the unused tensors, and return how many: who uses one says so in a transaction of its own."""
    with database.write() as connection:
        some = sorted(_unused_tensors(connection, before))[:_AT_ONCE]
        connection.execute(delete(TensorRow).where(TensorRow.digest.in_(some)))
    return len(some)


def _unused_tensors(
    connection: Connection, before: datetime, figures: ColumnElement[bool] = _ALL, jobs: ColumnElement[bool] = _ALL
) -> set[str]:
    """The digests of tensors made before that moment to which no graph, derivatives, figures or jobs refer."""
    unused = set(connection.scalars(select(TensorRow.digest).where(TensorRow.created_at < before)))
    return unused - used_tensors(connection, figures=figures, jobs=jobs) if unused else unused
