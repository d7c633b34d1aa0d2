"""How long chunks take, whatever computes them, and the spans of jobs."""

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from threading import Event
from typing import TypeAlias

from service.jobs.engine import ChunkWork, Engine, Unavailable
from service.jobs.runner import ClaimedJob, Ending, Perform
from service.storage.jobs import TRACEPARENT
from service.tracing import spans
from service.tracing.trace_context import read_traceparent
from service.workers.pool import Gone

# Is told how a chunk ended, "done" or "failed", and after how many seconds.
Observe: TypeAlias = Callable[[str, float], None]


class MeasuredEngine:
    """An engine whose chunks are measured from being submitted to their result, but for those that nobody began or that
    were stopped."""

    def __init__(self, engine: Engine, observe: Observe) -> None:
        self._engine, self._observe = engine, observe
        self.close = engine.close

    @property
    def window(self) -> int:
        """As `Engine`."""
        return self._engine.window

    def submit(self, work: ChunkWork, number: int, stop: Event) -> "Future[bytes]":
        """As `Engine`."""
        began = time.monotonic()

        def ended(future: "Future[bytes]") -> None:
            failure = CancelledError() if future.cancelled() else future.exception()
            stopped = isinstance(failure, Gone | CancelledError | Unavailable)
            end(None if stopped else failure)
            if not stopped:
                self._observe("failed" if failure else "done", time.monotonic() - began)

        end = spans.begin("chunk", {"gradbook.chunk": number})
        future = self._engine.submit(work, number, stop)
        future.add_done_callback(ended)
        return future


def traced(perform: Perform) -> Perform:
    """The same, as a span within that of the request that made the job, with its chunks and transactions within."""

    def do(claim: ClaimedJob) -> Ending | None:
        record = claim.record
        parent = read_traceparent(record.task.get(TRACEPARENT, ""))
        with spans.root(f"job {record.kind}", {"gradbook.job": record.id}, parent):
            return perform(claim)

    return do
