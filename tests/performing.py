"""Jobs that are done at once, in this process, for tests of what comes of them."""

from concurrent.futures import Future
from threading import Event

from flask import Flask

from service.core.sweeps.chunks import compute_chunk
from service.jobs.engine import ChunkWork
from service.jobs.runner import ClaimedJob
from service.jobs.sweeps import perform_sweep
from service.storage import jobs as storage

_OWNER = "the tests"


class Here:
    """An engine that computes each chunk when it is given."""

    window = 1

    def submit(self, work: ChunkWork, number: int, stop: Event) -> "Future[bytes]":
        """As `Engine`."""
        future: Future[bytes] = Future()
        try:
            future.set_result(compute_chunk([*work.graphs.values()], work.sweep, number))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """As `Engine`."""


def perform_jobs(app: Flask) -> None:
    """Do all sweeps that wait in the database of an application."""
    context = app.extensions["gradbook"]
    while True:
        with context.database.write() as connection:
            record = storage.claim_job(connection, _OWNER, 60.0)
        if record is None:
            return
        ended = perform_sweep(context, Here(), ClaimedJob(record, _OWNER, Event(), context.database))
        assert ended is not None
        with context.database.write() as connection:
            said = {"result": ended.result, "problem": ended.problem, "summary": ended.summary}
            storage.end_job(connection, record.id, _OWNER, **said)
