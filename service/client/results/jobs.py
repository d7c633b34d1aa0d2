"""Jobs: work that takes longer than a request should."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Any

from service.client.figures import Document
from service.client.progress import progress_bar
from service.client.results.result import Result, Source
from service.client.transport import ClientError, Problem, ServiceUnavailable

_ENDED = ("done", "failed", "cancelled")
_SOONEST, _SLOWER, _LATEST = 0.1, 1.5, 2.0  # seconds between two looks at a job, and how they grow
_OUTAGE = 120.0  # seconds for which a service may be away, as for a restart
_PASSING = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Job(Result):
    """Work that the service does beside its requests, as it stood when it was read.

    `state` is waiting, running, done, failed or cancelled; so many of `total` units (points or requests) are `done`.
    `estimate` is how many seconds it takes in all, as expected; `link` is the path of what it comes to, and `problem`
    the problem document that says why it failed; each is None until it is known.
    """

    id: str
    kind: str
    state: str
    done: int
    total: int
    unit: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    estimate: float | None
    graph_id: str | None
    link: str | None
    problem: Document | None
    document: Document = field(repr=False, compare=False)
    _source: Source = field(repr=False, compare=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in _ENDED

    def wait(self, timeout: float | None = None, on_progress: Callable[["Job"], Any] | None = None) -> "Job":
        """Wait until the job has ended, and return it as it then is.

        `on_progress` is called with the job whenever it was looked at; left out, a terminal shows a bar, if Rich is
        installed. The service may be restarted meanwhile. Raises TimeoutError after `timeout` seconds: the job goes on.
        """
        until = inf if timeout is None else time.monotonic() + timeout
        shown: AbstractContextManager[Callable[[Job], Any]]
        shown = progress_bar() if on_progress is None else nullcontext(on_progress)
        job, pause, answered = self, _SOONEST, time.monotonic()
        with shown as show:
            show(job)
            while not job.ended:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"job {job.id} is {job.state}: {job.done} of {job.total} {job.unit} are done")
                time.sleep(min(pause, left))
                pause = min(pause * _SLOWER, _LATEST)
                try:
                    job, answered = self._source.get_job(self.id), time.monotonic()
                except (ServiceUnavailable, Problem) as error:
                    lasts = isinstance(error, Problem) and error.status not in _PASSING
                    if lasts or time.monotonic() > answered + _OUTAGE:
                        raise
                show(job)
        return job

    def raise_for_state(self) -> None:
        """Raise JobFailed or JobCancelled if that is how the job ended."""
        if self.state == "failed":
            raise JobFailed(self)
        if self.state == "cancelled":
            raise JobCancelled(self)

    def result(self, timeout: float | None = None, on_progress: Callable[["Job"], Any] | None = None) -> Any:
        """Wait as `wait` does, and return what the job came to, as `get_job_result` does.

        Raises JobFailed, JobCancelled and TimeoutError.
        """
        return self._source.get_job_result(self.wait(timeout, on_progress))

    def cancel(self) -> "Job":
        """Stop the job, as `cancel_job` does."""
        cancelled: Job = self._source.cancel_job(self.id)
        return cancelled


class JobFailed(Problem):
    """The work of a job failed, for what the job's problem says; what was done of a sweep can be read."""

    def __init__(self, job: Job) -> None:
        self.job = job
        super().__init__(job.problem or {"title": "Job failed", "detail": f"job {job.id} failed"})


class JobCancelled(ClientError):
    """A job was cancelled before it was done; what was done of a sweep can be read."""

    def __init__(self, job: Job) -> None:
        self.job = job
        super().__init__(f"job {job.id} was cancelled: {job.done} of {job.total} {job.unit} were done")


def read_job(document: Document, source: Source) -> Job:
    """Read a job."""
    names = Job.__dataclass_fields__.keys() & document.keys()
    moments = {
        name: document[name] and datetime.fromisoformat(document[name]) for name in names if name.endswith("_at")
    }
    members: dict[str, Any] = {**{name: document[name] for name in names}, **moments}
    return Job(**members, link=document["result"], document=document, _source=source)
