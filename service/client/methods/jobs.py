"""Look at long work, and stop it."""

from collections.abc import Iterator

from service.client.figures import Document
from service.client.methods.requests import Requests


class JobMethods(Requests):
    """The methods of `Client`; raise as it says."""

    def list_jobs(self, *, state: str | None = None, kind: str | None = None) -> Iterator[Document]:
        """Jobs, newest first, page by page as they are asked for."""
        return self._http.pages("/v1/jobs", "jobs", {"state": state, "kind": kind})

    def get_job(self, job: str) -> Document:
        """A job as it is by this time."""
        return self._http.read(self._http.send("GET", f"/v1/jobs/{job}"))

    def cancel_job(self, job: str) -> Document:
        """Stop a job; what is done of it stays and can be read."""
        return self._http.read(self._http.send("DELETE", f"/v1/jobs/{job}"))

    def retry_job(self, job: str, *, key: str | None = None) -> Document:
        """Go on with a job that failed or was cancelled, with what is not done of it."""
        return self._http.post(f"/v1/jobs/{job}/retry", {}, key)
