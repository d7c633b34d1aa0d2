"""Jobs and what they have done: row ↔ record.

A job is claimed by one owner at a time, for as long as a lease that is renewed. Whatever an owner writes it writes as
long as the job is its own and running, so that nothing comes in twice, or after the job was cancelled.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from service.core.errors import Conflict, NotFound
from service.storage.listing import Listed, narrow
from service.storage.models import Base, JobChunk, JobRow
from service.tracing import spans

# The kinds of jobs; a sweep is a result itself, and refers to graphs and tensors.
SWEEP, REQUEST = KINDS = ("sweep", "request")
WAITING, RUNNING, DONE, FAILED, CANCELLED = STATES = ("waiting", "running", "done", "failed", "cancelled")
TRACEPARENT = "traceparent"  # of a task
_MOST_CLAIMS = 3  # in vain, after which a job is no longer begun again
_LISTED_PROBLEMS = 10
CHUNKS_AT_ONCE = 16  # that `load_chunks` holds

_JOBS = Base.metadata.tables[JobRow.__tablename__]
_CHUNKS = Base.metadata.tables[JobChunk.__tablename__]


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job: what is to be done, how far it has come, and who is at it; see `models.JobRow`."""

    id: str
    kind: str
    task: Mapping[str, Any]
    created_at: datetime
    total: int
    chunks: int
    operations: int = 0
    graph_id: str | None = None
    other_graph_id: str | None = None
    state: str = WAITING
    done: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    owner: str | None = None
    lease_until: datetime | None = None
    claims: int = 0
    result: str | None = None
    problem: Mapping[str, Any] | None = None
    summary: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether nobody will work on it, unless it is begun again."""
        return self.state not in (WAITING, RUNNING)


@dataclass(frozen=True, slots=True)
class DoneChunk:
    """A chunk that was done: its number, of how many units it is, and what was made of it, or why nothing was."""

    number: int
    units: int
    data: bytes | None
    problem: str | None = None


def insert_job(connection: Connection, record: JobRecord, given: Sequence[bytes] = ()) -> None:
    """Insert a job, and the pieces of bytes that it was given; its task also says within which span it was made."""
    values = {column.name: getattr(record, column.name) for column in _JOBS.columns}
    if within := spans.current():
        values["task"] = {**record.task, TRACEPARENT: str(within)}
    connection.execute(insert(_JOBS), values)
    if given:
        rows = [{"job_id": record.id, "number": -1 - place, "data": piece} for place, piece in enumerate(given)]
        connection.execute(insert(_CHUNKS), rows)


def get_job(connection: Connection, identifier: str) -> JobRecord:
    """One job; raises NotFound."""
    row = connection.execute(select(_JOBS).where(_JOBS.c.id == identifier)).one_or_none()
    if row is None:
        raise NotFound(f"there is no job {identifier!r}")
    return JobRecord(**row._mapping)


class ListedJobs(Listed, total=False):
    """Jobs in a state, and of a kind."""

    state: str | None
    kind: str | None


def list_jobs(connection: Connection, *, limit: int, **asked: Unpack[ListedJobs]) -> list[JobRecord]:
    """At most `limit` of the jobs that are asked for, newest first unless `sort` says."""
    query = narrow(connection, select(_JOBS), JobRow, asked, limit)
    for member in ("state", "kind"):
        if wanted := asked.get(member):
            query = query.where(_JOBS.c[member] == wanted)
    return [JobRecord(**row._mapping) for row in connection.execute(query)]


# --- who is at it ---------------------------------------------------------------------------------------------------


def is_any_free(connection: Connection, kinds: Collection[str] = KINDS) -> bool:
    """Whether there is a job of these kinds that nobody is at."""
    return connection.execute(select(_JOBS.c.id).where(_free(_now(connection), kinds)).limit(1)).first() is not None


def claim_job(
    connection: Connection, owner: str, seconds: float, besides: Collection[str] = (), kinds: Collection[str] = KINDS
) -> JobRecord | None:
    """Have the owner be at the oldest job of these kinds that nobody is at, for so many seconds; None if there is none
    `besides`. Others that share the database may do kinds that this version does not know.

    A job that was begun again and again, with nothing done since, is failed instead: it may be what ends the service.
    """
    while True:
        now = _now(connection)
        oldest = (
            select(_JOBS.c.id)
            .where(_free(now, kinds), _JOBS.c.id.not_in(besides))
            .order_by(_JOBS.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        identifier = connection.scalar(oldest)
        if identifier is None:
            return None
        found = get_job(connection, identifier)
        if found.claims < _MOST_CLAIMS:
            break
        detail = f"it was begun {found.claims} times, and whoever was at it ended before anything was done"
        ended = {"state": FAILED, "problem": {"title": "The job ended its workers", "detail": detail}}
        _change(connection, _JOBS.c.id == identifier, **ended, ended_at=now, owner=None, lease_until=None)
    begun = {
        "state": RUNNING,
        "owner": owner,
        "lease_until": now + timedelta(seconds=seconds),
        "started_at": found.started_at or now,
        "claims": found.claims + 1,
    }
    _change(connection, _JOBS.c.id == identifier, **begun)
    return get_job(connection, identifier)


def _free(now: datetime, kinds: Collection[str]) -> ColumnElement[bool]:
    """Whether nobody is at a job of these kinds that has not ended."""
    free = or_(_JOBS.c.state == WAITING, and_(_JOBS.c.state == RUNNING, _JOBS.c.lease_until < now))
    return and_(free, _JOBS.c.kind.in_(kinds))


def renew_leases(connection: Connection, owner: str, identifiers: Collection[str], seconds: float) -> None:
    """Have the owner be at these jobs of its for so many seconds more."""
    mine = and_(_JOBS.c.id.in_(identifiers), _owned(owner))
    _change(connection, mine, lease_until=_now(connection) + timedelta(seconds=seconds))


def release_job(connection: Connection, identifier: str, owner: str) -> None:
    """Leave a job to whoever claims it next; that it was begun does not count against it."""
    mine = and_(_JOBS.c.id == identifier, _owned(owner))
    _change(connection, mine, state=WAITING, owner=None, lease_until=None, claims=0)


def list_owned(connection: Connection, owner: str) -> set[str]:
    """The ids of the jobs that the owner is at: those that were cancelled, or taken over, are not among them."""
    return set(connection.scalars(select(_JOBS.c.id).where(_owned(owner))))


def _owned(owner: str) -> ColumnElement[bool]:
    return and_(_JOBS.c.owner == owner, _JOBS.c.state == RUNNING)


# --- what is done ---------------------------------------------------------------------------------------------------


def insert_chunks(
    connection: Connection,
    identifier: str,
    owner: str,
    chunks: Sequence[DoneChunk],
    summary: Mapping[str, Any] | None = None,
) -> bool:
    """Insert what was done of a job, each chunk unless it is there, and, if there is one, what is known of it as a
    whole by then; whether the job is the owner's still: if not, nothing is inserted."""
    mine = and_(_JOBS.c.id == identifier, _owned(owner))
    # The job's row is locked first, so that nobody takes the job over before this is committed.
    if not _change(connection, mine, claims=0, **({"summary": summary} if summary else {})):
        return False
    known = _stored(connection, identifier, [chunk.number for chunk in chunks])
    new = [chunk for chunk in chunks if chunk.number not in known]
    rows = [
        {"job_id": identifier, "number": chunk.number, "data": chunk.data, "problem": chunk.problem} for chunk in new
    ]
    if rows:
        connection.execute(insert(_CHUNKS), rows)
        _change(connection, mine, done=_JOBS.c.done + sum(chunk.units for chunk in new if chunk.data is not None))
    return True


def list_chunks(connection: Connection, identifier: str) -> set[int]:
    """The numbers of the chunks that need not be done any more, or cannot be."""
    return set(
        connection.scalars(select(_CHUNKS.c.number).where(_CHUNKS.c.job_id == identifier, _CHUNKS.c.number >= 0))
    )


def _stored(connection: Connection, identifier: str, among: Sequence[int]) -> set[int]:
    stored = select(_CHUNKS.c.number).where(_CHUNKS.c.job_id == identifier, _CHUNKS.c.number.in_(among))
    return set(connection.scalars(stored))


def list_failed_chunks(connection: Connection, identifier: str) -> list[tuple[int, str]]:
    """The first of the chunks that could not be done, and why."""
    failed = and_(_CHUNKS.c.job_id == identifier, _CHUNKS.c.problem.is_not(None))
    stored = select(_CHUNKS.c.number, _CHUNKS.c.problem).where(failed).order_by(_CHUNKS.c.number)
    return [(number, problem) for number, problem in connection.execute(stored.limit(_LISTED_PROBLEMS))]


def load_chunks(connection: Connection, identifier: str, numbers: range) -> Iterator[tuple[int, bytes]]:
    """The chunks of these numbers that were done, in their order, each with its number."""
    wanted = and_(
        _CHUNKS.c.job_id == identifier,
        _CHUNKS.c.number >= numbers.start,
        _CHUNKS.c.number < numbers.stop,
        _CHUNKS.c.data.is_not(None),
    )
    query = select(_CHUNKS.c.number, _CHUNKS.c.data).where(wanted).order_by(_CHUNKS.c.number)
    for number, data in connection.execution_options(yield_per=CHUNKS_AT_ONCE).execute(query):
        yield number, bytes(data)


def load_beginnings(connection: Connection, identifier: str, start: int, nbytes: int) -> Iterator[tuple[int, bytes]]:
    """The first bytes of each chunk from the number `start` on that was done, in their order, each with its number."""
    done = and_(_CHUNKS.c.job_id == identifier, _CHUNKS.c.number >= start, _CHUNKS.c.data.is_not(None))
    query = select(_CHUNKS.c.number, func.substr(_CHUNKS.c.data, 1, nbytes)).where(done).order_by(_CHUNKS.c.number)
    for number, data in connection.execution_options(yield_per=256).execute(query):
        yield number, bytes(data)


def load_given(connection: Connection, identifier: str) -> list[bytes]:
    """The pieces of bytes that a job was given."""
    given = and_(_CHUNKS.c.job_id == identifier, _CHUNKS.c.number < 0)
    query = select(_CHUNKS.c.data).where(given).order_by(_CHUNKS.c.number.desc())
    return [bytes(data) for data in connection.scalars(query)]


# --- how it ends ----------------------------------------------------------------------------------------------------


def end_job(
    connection: Connection,
    identifier: str,
    owner: str,
    *,
    result: str | None = None,
    problem: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
) -> bool:
    """End a job of the owner's, as failed if there is a problem; whether it was the owner's still.

    Of one that is done what it was given is deleted: it cannot be begun again.
    """
    ended = {"state": FAILED if problem else DONE, "result": result, "problem": problem, "summary": summary}
    mine = and_(_JOBS.c.id == identifier, _owned(owner))
    if not _change(connection, mine, **ended, ended_at=_now(connection), owner=None, lease_until=None):
        return False
    if not problem:
        connection.execute(delete(_CHUNKS).where(_CHUNKS.c.job_id == identifier, _CHUNKS.c.number < 0))
    return True


def cancel_job(connection: Connection, identifier: str) -> JobRecord:
    """Cancel a job, which stays as it is if it is cancelled already; raises NotFound, Conflict if it has ended."""
    under_way = and_(_JOBS.c.id == identifier, _JOBS.c.state.in_((WAITING, RUNNING)))
    _change(connection, under_way, state=CANCELLED, ended_at=_now(connection), owner=None, lease_until=None)
    record = get_job(connection, identifier)
    if record.state != CANCELLED:
        raise Conflict(f"the job has ended: it is {record.state}")
    return record


def retry_job(connection: Connection, identifier: str) -> JobRecord:
    """Have a job that failed or was cancelled be done again, as far as it is not; raises NotFound, Conflict."""
    ended = and_(_JOBS.c.id == identifier, _JOBS.c.state.in_((FAILED, CANCELLED)))
    begun = {"state": WAITING, "ended_at": None, "problem": None, "claims": 0}
    if not _change(connection, ended, **begun):
        record = get_job(connection, identifier)
        raise Conflict(f"what failed or was cancelled can be retried; the job is {record.state}")
    connection.execute(delete(_CHUNKS).where(_CHUNKS.c.job_id == identifier, _CHUNKS.c.data.is_(None)))
    return get_job(connection, identifier)


def delete_job(connection: Connection, identifier: str) -> None:
    """Delete a job with all that it did; raises NotFound, Conflict unless it has ended."""
    ended = and_(_JOBS.c.id == identifier, _JOBS.c.state.in_((DONE, FAILED, CANCELLED)))
    if not connection.execute(delete(_JOBS).where(ended)).rowcount:
        raise Conflict(f"the job is {get_job(connection, identifier).state}: cancel it first")


def delete_old_jobs(connection: Connection, before: datetime, most: int) -> int:
    """Delete at most so many of the jobs that ended before a moment, with all that they did; how many those were."""
    old = select(_JOBS.c.id).where(_JOBS.c.ended_at < before).order_by(_JOBS.c.id).limit(most)
    return connection.execute(delete(_JOBS).where(_JOBS.c.id.in_(old))).rowcount


def count_jobs(connection: Connection) -> dict[str, int]:
    """How many jobs there are in each state."""
    counted = connection.execute(select(_JOBS.c.state, func.count()).group_by(_JOBS.c.state))
    return dict.fromkeys(STATES, 0) | {state: count for state, count in counted}


def seconds_waiting(connection: Connection) -> float:
    """Seconds since the oldest of the jobs that wait was made; 0 where none waits."""
    oldest: datetime | None = connection.scalar(select(func.min(_JOBS.c.created_at)).where(_JOBS.c.state == WAITING))
    return max(0.0, (_now(connection) - oldest).total_seconds()) if oldest else 0.0


def _change(connection: Connection, which: ColumnElement[bool], **values: Any) -> bool:
    """Whether there were such jobs; they have these values."""
    return connection.execute(update(_JOBS).where(which).values(values)).rowcount > 0


def _now(connection: Connection) -> datetime:
    """The time by the one clock that all who share the database go by: the server's, or the machine's of a file."""
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(select(func.timezone("UTC", func.clock_timestamp()))).scalar_one()
        return now.replace(tzinfo=UTC)
    return datetime.now(UTC)
