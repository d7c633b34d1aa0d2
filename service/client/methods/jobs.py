"""Wait for long work, stop it, and read what it comes to."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import requests

from service.client.figures import Document
from service.client.methods.requests import Requests, id_of, listing
from service.client.results.comparisons import read_comparison
from service.client.results.derivatives import read_derivatives
from service.client.results.graphs import read_graph
from service.client.results.jobs import Job, read_job
from service.client.results.result import Source
from service.client.results.runs import read_run
from service.client.results.series import read_series
from service.client.results.sweeps import read_sweep
from service.client.transport import Query

# How what is kept is read, by the collection that it is in.
_READERS: Mapping[str, Callable[[Document, Source], Any]] = {
    "comparisons": read_comparison,
    "derivatives": lambda document, _: read_derivatives(document),
    "graphs": read_graph,
    "runs": read_run,
    "series": lambda document, _: read_series(document),
    "sweeps": read_sweep,
}
_READ_WITH = ("gradients",)  # the parameters that are those of the result too


class JobMethods(Requests):
    """The methods of `Client`; raise as it says."""

    def list_jobs(
        self,
        *,
        state: Literal["waiting", "running", "done", "failed", "cancelled"] | None = None,
        kind: Literal["sweep", "request"] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        sort: Literal["created_at", "-created_at"] | None = None,
    ) -> Iterator[Job]:
        """Jobs, newest first unless `sort` says, page by page as they are asked for."""
        query = {"state": state, "kind": kind, **listing(since, until, sort)}
        return (read_job(document, self) for document in self._http.pages("/v1/jobs", "jobs", query))

    def get_job(self, job: Job | str) -> Job:
        """A job as it is by this time."""
        return read_job(self._http.read(self._http.send("GET", f"/v1/jobs/{id_of(job)}", shown=False)), self)

    def cancel_job(self, job: Job | str) -> Job:
        """Stop a job; what is done of it stays and can be read."""
        return read_job(self._http.read(self._http.send("DELETE", f"/v1/jobs/{id_of(job)}")), self)

    def retry_job(self, job: Job | str, *, key: str | None = None) -> Job:
        """Go on with a job that failed or was cancelled, with what is not done of it."""
        return read_job(self._http.read(self._http.send_keyed(f"/v1/jobs/{id_of(job)}/retry", b"", key, {})), self)

    def get_job_result(self, job: Job | str) -> Any:
        """What a job came to; `result` of the job waits for it. It is the sweep, or the run, graph, comparison,
        derivatives or series that was made; where nothing was, the document as the service wrote it, or bytes that are
        not JSON.

        Raises JobFailed and JobCancelled.
        """
        ended = job if isinstance(job, Job) and job.ended else self.get_job(job)
        answer = self._answer(ended)
        collection = answer.url.removeprefix(self._http.url).split("/")[2]
        if answer.headers.get("Content-Type") != "application/json":
            return answer.content
        document = self._http.read(answer)
        return _READERS[collection](document, self) if collection in _READERS else document

    def _finish(
        self, on_job: Callable[[Job], Job], accepted: requests.Response, headers: Mapping[str, str], query: Query
    ) -> requests.Response:
        """The answer of the job that a request with these headers and this query became, which `on_job` waits for."""
        job = on_job(read_job(self._http.read(accepted), self))
        alike = {
            name: value for name, value in (query or {}).items() if name == "gradients"
        }  # a run is read with it too
        return self._answer(job, {name: value for name, value in headers.items() if name == "Accept"}, alike)

    def _answer(self, job: Job, headers: Mapping[str, str] | None = None, query: Query = None) -> requests.Response:
        """What a job came to, as it is answered to these headers and this query."""
        job.raise_for_state()
        kept = f"/v1/jobs/{id_of(job)}/result"
        path = job.link or kept
        return self._http.send("GET", path, headers=headers, params=None if path == kept else query)
