"""Chunks are measured, whatever engine computes them."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service.jobs.engine import Unavailable
from service.jobs.measured import MeasuredEngine, traced
from service.jobs.runner import ClaimedJob, Ending
from service.storage.database import Database
from service.storage.identifiers import new_id
from service.storage.jobs import JobRecord, get_job, insert_job
from service.tracing import spans
from service.tracing.spans import Recorder
from service.tracing.trace_context import TraceContext
from service.workers.pool import Gone, Lost

SPAN = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)


@pytest.fixture
def database(empty_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Database]:
    with closing(Database(empty_database(tmp_path))) as made:
        yield made


@pytest.fixture(autouse=True)
def no_tracer() -> Iterator[None]:
    yield
    spans.use(None)


class Told:
    """An engine whose chunks end as they are told to."""

    window = 7

    def __init__(self) -> None:
        self.futures: list[Future[bytes]] = []
        self.closed = False

    def submit(self, work: Any, number: int, stop: Event) -> "Future[bytes]":
        self.futures.append(Future())
        return self.futures[-1]

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("failure", "outcomes"),
    [(None, ["done"]), (Lost(), ["failed"]), (ValueError(), ["failed"]), (Gone(), []), (Unavailable("no"), [])],
)
def test_what_was_computed_is_measured(failure: Exception | None, outcomes: list[str]) -> None:
    engine, seen, tracer = Told(), list[tuple[str, float]](), Lasting()
    spans.use(tracer)
    measured = MeasuredEngine(engine, lambda outcome, seconds: seen.append((outcome, seconds)))
    work: Any = None
    future = measured.submit(work, 0, Event())
    assert seen == [] and measured.window == 7
    if failure:
        engine.futures[0].set_exception(failure)
        assert future.exception() is failure
    else:
        engine.futures[0].set_result(b"x")
        assert future.result() == b"x"
    assert tracer.failures == [failure if outcomes else None]
    assert [outcome for outcome, _ in seen] == outcomes and all(seconds >= 0 for _, seconds in seen)


class Lasting(Recorder):
    """A span that lasts, and within which span each job was done."""

    def __init__(self) -> None:
        super().__init__()
        self.parents: list[TraceContext | None] = []
        self.failures: list[BaseException | None] = []

    def begin(self, name: str, attributes: Any) -> Any:
        return self.failures.append

    def current(self) -> TraceContext | None:  # type: ignore[override]  # which a recorder does not know
        return SPAN

    def root(self, name: str, attributes: Any, parent: TraceContext | None = None) -> AbstractContextManager[Any]:
        self.parents.append(parent)
        return super().root(name, attributes)


def test_a_job_is_done_within_the_span_in_which_it_was_made(database: Database) -> None:
    made = [JobRecord(new_id(), "sweep", {"digests": []}, datetime.now(UTC), 1, 1) for _ in range(2)]
    tracer = Lasting()
    for record, used in zip(made, (tracer, None), strict=True):
        spans.use(used)
        with database.write() as connection:
            insert_job(connection, record)
    spans.use(tracer)
    do = traced(lambda claim: Ending(claim.record.id))
    with database.read() as connection:
        claims = [ClaimedJob(get_job(connection, record.id), "", Event(), database) for record in made]
    assert [do(claim) for claim in claims] == [Ending(record.id) for record in made]
    spans.use(None)
    assert tracer.parents == [SPAN, None] and claims[1].record == made[1]
    assert [span.name for span in tracer.spans if span.name.startswith("job")] == ["job sweep"] * 2


def test_what_was_cancelled_is_not() -> None:
    engine, seen = Told(), list[str]()
    measured = MeasuredEngine(engine, lambda outcome, _: seen.append(outcome))
    work: Any = None
    measured.submit(work, 0, Event()).cancel()
    measured.close()
    assert seen == [] and engine.closed
