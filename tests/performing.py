"""Jobs that are done at once, in this process, for tests of what comes of them."""

from collections.abc import Collection, Iterable
from concurrent.futures import Future
from datetime import UTC, datetime
from threading import Event

from flask import Flask

from service.core.sweeps.chunks import compute_chunk
from service.jobs.engine import ChunkWork
from service.jobs.runner import ClaimedJob
from service.jobs.sweeps import perform_sweep
from service.storage import jobs as storage
from service.storage.identifiers import new_id
from service.storage.jobs import RUNNING, DoneChunk, JobRecord
from service.usecases.context import Context
from service.usecases.job_results import KeptAnswer, pack_answer, result_of
from service.usecases.sweeps import prepare_sweep

_OWNER = "the tests"


class Here:
    """An engine that computes each chunk when it is given, but for those that fail."""

    window = 1

    def __init__(self, failing: Collection[int]) -> None:
        self._failing = failing

    def submit(self, work: ChunkWork, number: int, stop: Event) -> "Future[bytes]":
        """As `Engine`."""
        future: Future[bytes] = Future()
        try:
            if number in self._failing:
                raise ArithmeticError("it is to fail")
            future.set_result(compute_chunk([*work.graphs.values()], work.sweep, number))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """As `Engine`."""


def perform_jobs(app: Flask, failing: Collection[int] = ()) -> None:
    """Do all sweeps that wait in the database of an application; chunks of these numbers fail."""
    context = app.extensions["gradbook"]
    while True:
        with context.database.write() as connection:
            record = storage.claim_job(connection, _OWNER, 60.0)
        if record is None:
            return
        ended = perform_sweep(context, Here(failing), ClaimedJob(record, _OWNER, Event(), context.database))
        assert ended is not None
        with context.database.write() as connection:
            said = {"result": ended.result, "problem": ended.problem, "summary": ended.summary}
            storage.end_job(connection, record.id, _OWNER, **said)


def perform_chunks(app: Flask, numbers: Iterable[int]) -> None:
    """Do these chunks of the sweep that waits in the database of an application, and leave it at that."""
    context = app.extensions["gradbook"]
    with context.database.write() as connection:
        record = storage.claim_job(connection, _OWNER, 60.0)
        assert record is not None
    plan = prepare_sweep(context, record)
    done = [
        DoneChunk(number, len(plan.sweep.numbers(number)), compute_chunk([*plan.graphs.values()], plan.sweep, number))
        for number in numbers
    ]
    with context.database.write() as connection:
        storage.insert_chunks(connection, record.id, _OWNER, done)
        storage.release_job(connection, record.id, _OWNER)


def keep_answer(context: Context, body: bytes) -> str:
    """The id of a job that is done, and was answered with this JSON."""
    answer, begun = KeptAnswer("application/json", len(body), None), datetime.now(UTC)
    job = JobRecord(new_id(), "request", {}, begun, 1, 1, state=RUNNING, started_at=begun, owner=_OWNER)
    with context.database.write() as connection:
        storage.insert_job(connection, job)
        storage.insert_chunks(connection, job.id, _OWNER, pack_answer(answer, body))
        storage.end_job(connection, job.id, _OWNER, result=result_of(job.id, answer))
    return job.id
