"""The runner: what it claims it does, stores and ends, beside others and whatever happens."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from service.core.errors import NotFound
from service.core.sweeps.axes import Linspace
from service.core.sweeps.chunks import Stopped, compute_chunk, read_chunk
from service.jobs.engine import ChunkWork, Unavailable
from service.jobs.runner import ClaimedJob, Ending, Perform, Runner
from service.jobs.sweeps import perform_sweep
from service.settings import Limits
from service.storage.database import Database
from service.storage.identifiers import new_id
from service.storage.jobs import JobRecord, insert_job, load_chunks
from service.usecases.context import Context
from service.usecases.graphs import create_graph
from service.usecases.jobs import cancel_job, get_job, list_jobs, retry_job
from service.usecases.sweeps import create_sweep, prepare_sweep
from service.workers.pool import Gone, Lost
from tests.waiting import until


class ThreadEngine:
    """Computes chunks in threads of this process; `before` is called before each, and may raise."""

    window = 3

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self._before = before
        self._threads = ThreadPoolExecutor(2)

    def submit(self, work: ChunkWork, number: int, stop: Event) -> "Future[bytes]":
        def compute() -> bytes:
            self._before(number)
            try:
                return compute_chunk([*work.graphs.values()], work.sweep, number, stop.is_set)
            except Stopped:
                raise Gone from None

        return self._threads.submit(compute)

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def context(empty_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Context]:
    with closing(Database(empty_database(tmp_path))) as database:
        yield Context(database, Limits())


@contextmanager
def running(context: Context, perform: Perform | ThreadEngine, days: float = 30.0) -> Iterator[Runner]:
    """A runner that does sweeps so, until the end of the block."""
    does = partial(perform_sweep, context, perform) if isinstance(perform, ThreadEngine) else perform
    runner = Runner(context.database, {"sweep": does}, days)
    runner.begin()
    try:
        yield runner
    finally:
        runner.close()


def sweep(context: Context, points: int = 50_000) -> JobRecord:
    """y = x² − 1 at that many points from 0 to 1."""
    graph, *_ = create_graph(context, "parabola", expression="y = x*x - 1", tags={})
    return create_sweep(context, graph.id, {"x": Linspace(0, 1, points)})


def state(context: Context, identifier: str) -> str:
    return get_job(context, identifier).state


def ended(context: Context, identifier: str) -> JobRecord:
    until(lambda: get_job(context, identifier).has_ended)
    return get_job(context, identifier)


def values(context: Context, record: JobRecord) -> Any:
    sweep = prepare_sweep(context, record).sweep
    with context.database.read() as connection:
        chunks = load_chunks(connection, record.id, range(record.chunks))
        return np.concatenate([read_chunk(sweep, data)["y"] for _, data in chunks])


def test_a_sweep_is_done_and_every_chunk_is_stored(context: Context) -> None:
    made = sweep(context)
    with running(context, ThreadEngine()):
        record = ended(context, made.id)
    assert (record.state, record.done, record.owner) == ("done", 50_000, None)
    assert record.result == f"/v1/sweeps/{made.id}"
    expected = np.linspace(0, 1, 50_000)
    assert np.array_equal(values(context, record), expected * expected - 1)


def test_what_is_done_is_seen_while_it_grows(context: Context) -> None:
    begun, go = Event(), Event()

    def hold(number: int) -> None:
        if number == 3:
            begun.set()
            go.wait(30)

    made = sweep(context)
    with running(context, ThreadEngine(hold)):
        assert begun.wait(30)
        until(lambda: get_job(context, made.id).done >= 30_000)
        assert state(context, made.id) == "running"
        go.set()
        assert ended(context, made.id).done == 50_000


def test_a_job_that_is_cancelled_stops_and_goes_on_where_it_stopped(context: Context) -> None:
    hold, computed = Event(), []

    def note(number: int) -> None:
        computed.append(number)
        if number >= 2:
            hold.wait(30)

    made = sweep(context)
    with running(context, ThreadEngine(note)):
        until(lambda: get_job(context, made.id).done == 20_000)
        assert cancel_job(context, made.id).state == "cancelled"
        hold.set()
        retry_job(context, made.id)
        assert ended(context, made.id).done == 50_000
    assert computed.count(0) == computed.count(1) == 1


def test_a_chunk_that_ends_its_process_is_tried_twice_and_the_rest_goes_on(context: Context) -> None:
    tried = []

    def die(number: int) -> None:
        tried.append(number)
        if number == 1:
            raise Lost

    made = sweep(context)
    with running(context, ThreadEngine(die)):
        record = ended(context, made.id)
    assert sorted(tried) == [0, 1, 1, 2, 3, 4]
    assert (record.state, record.done) == ("failed", 40_000)
    assert record.problem is not None
    assert record.problem["detail"] == "points 10000 to 19999: it ended 2 processes"
    retry_job(context, made.id)
    with running(context, ThreadEngine()):
        assert ended(context, made.id).state == "done"


def test_a_chunk_that_ended_one_process_is_computed_by_another(context: Context) -> None:
    died = Event()

    def die(number: int) -> None:
        if number == 1 and not died.is_set():
            died.set()
            raise Lost

    made = sweep(context)
    with running(context, ThreadEngine(die)):
        assert ended(context, made.id).state == "done"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "points 0 to 9999: it took more memory than was set aside for it"),
        (ZeroDivisionError("no"), "points 0 to 9999: ZeroDivisionError: no"),
    ],
)
def test_a_chunk_that_cannot_be_computed_is_named(context: Context, error: Exception, said: str) -> None:
    def fail(number: int) -> None:
        if number == 0:
            raise error

    made = sweep(context)
    with running(context, ThreadEngine(fail)):
        record = ended(context, made.id)
    assert record.state == "failed" and record.problem is not None and record.problem["detail"] == said


def test_a_job_whose_engine_is_away_waits_for_it(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.jobs.runner._AGAIN", 0.01)
    away = iter(range(3))

    def be_away(number: int) -> None:
        if next(away, None) is not None:
            raise Unavailable("no scheduler answers")

    made = sweep(context)
    with running(context, ThreadEngine(be_away)):
        assert ended(context, made.id).state == "done"


def test_a_runner_that_closes_leaves_its_jobs_to_the_next(context: Context) -> None:
    begun, hold = Event(), Event()

    def wait(number: int) -> None:
        if number == 2:
            begun.set()
            hold.wait(30)

    made = sweep(context)
    with running(context, ThreadEngine(wait)) as runner:
        assert begun.wait(30)
        until(lambda: get_job(context, made.id).done >= 20_000)
        hold.set()
        runner.close()
        found = get_job(context, made.id)
    assert found.state in ("waiting", "done") and found.owner is None
    with running(context, ThreadEngine()):
        assert ended(context, made.id).done == 50_000


def test_two_runners_share_the_jobs_and_do_each_once(context: Context) -> None:
    made = [sweep(context, 100).id for _ in range(12)]
    done: list[str] = []

    def note(claim: ClaimedJob) -> Ending:
        done.append(claim.record.id)
        return Ending("/x")

    with running(context, note), running(context, note):
        for identifier in made:
            ended(context, identifier)
    assert sorted(done) == made


def test_jobs_that_are_done_at_once_keep_nobody_from_looking_at_the_others(context: Context) -> None:
    long, *short = (sweep(context, 100).id for _ in range(40))
    done: list[str] = []
    before: list[int] = []

    def perform(claim: ClaimedJob) -> Ending | None:
        if claim.record.id != long:
            done.append(claim.record.id)
            if len(done) == 1:
                cancel_job(context, long)
            return Ending("/x")
        claim.stop.wait(30)
        before.append(len(done))
        return None

    with running(context, perform):
        ended(context, short[-1])
    assert before and before[0] < len(short) / 2


def test_a_request_does_not_wait_until_sweeps_have_ended(context: Context) -> None:
    for _ in range(6):
        sweep(context, 100)
    request = JobRecord(new_id(), "request", {}, datetime.now(UTC), total=1, chunks=1)
    with context.database.write() as connection:
        insert_job(connection, request)

    def hold(claim: ClaimedJob) -> None:
        claim.stop.wait(30)

    with closing(Runner(context.database, {"sweep": hold, "request": lambda claim: Ending("/x")}, 30)) as runner:
        runner.begin()
        assert ended(context, request.id).result == "/x"


def test_jobs_are_done_while_many_others_are_deleted(context: Context) -> None:
    old = datetime(2020, 1, 1, tzinfo=UTC)
    with context.database.write() as connection:
        for _ in range(4):
            insert_job(connection, JobRecord(new_id(), "sweep", {}, old, 1, 1, state="done", ended_at=old))
    left: list[int] = []

    def count(claim: ClaimedJob) -> Ending:
        left.append(len(list_jobs(context, limit=100, state="done")))
        return Ending("/x")

    made = sweep(context, 100)
    with running(context, count):
        ended(context, made.id)
        until(lambda: len(list_jobs(context, limit=100)) == 1)
    assert left[0] > 0


def test_what_refuses_a_job_is_its_problem(context: Context) -> None:
    def refuse(claim: ClaimedJob) -> Ending:
        raise NotFound("there is no graph any more")

    made = sweep(context)
    with running(context, refuse):
        problem = ended(context, made.id).problem
    assert problem is not None and (problem["status"], problem["detail"]) == (404, "there is no graph any more")


def test_a_fault_of_ours_fails_the_job_and_not_the_runner(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    first, second = sweep(context), sweep(context)

    def fail(claim: ClaimedJob) -> Ending:
        if claim.record.id == first.id:
            raise ZeroDivisionError
        return Ending("/x")

    with running(context, fail):
        assert ended(context, second.id).state == "done"
    record = get_job(context, first.id)
    assert record.state == "failed" and record.problem is not None and record.problem["status"] == 500
    assert "ZeroDivisionError" in caplog.text


def test_jobs_that_ended_long_ago_are_deleted(context: Context) -> None:
    made = sweep(context, 100)
    with running(context, ThreadEngine()):
        ended(context, made.id)
    with running(context, ThreadEngine(), days=0.0):
        until(lambda: not exists(context, made.id))


def exists(context: Context, identifier: str) -> bool:
    try:
        return bool(get_job(context, identifier))
    except NotFound:
        return False
