"""HTTP below the client: one session with retries and idempotency keys, JSON in and out, and what is raised.

ClientError
├── Problem              an application/problem+json answer (RFC 9457)
└── ServiceUnavailable   no answer, or one that is not Gradbook's
"""

import json
import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.util import Retry

from service.client.figures import Document

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 60.0
_PASSING_STATUSES = (429, 502, 503, 504)

Query: TypeAlias = Mapping[str, str | Sequence[str] | None] | None


class ClientError(Exception):
    """The base of all that the client raises."""


class ServiceUnavailable(ClientError):
    """Nothing answers at the URL, or what answers is not Gradbook."""


class Problem(ClientError):
    """The service refused the request.

    `type` names the kind of problem and stays the same between releases; `status` is the HTTP status; `title` and
    `detail` are sentences. `errors` point at the faults in the request; `members` holds the document's other members.
    """

    def __init__(self, document: Document) -> None:
        members = dict(document)
        self.type: str = members.pop("type", "about:blank")
        self.title: str = members.pop("title", "")
        self.status: int = members.pop("status", 0)
        self.detail: str = members.pop("detail", "")
        self.errors: tuple[Document, ...] = tuple(members.pop("errors", ()))
        self.members: Document = members
        super().__init__(f"{self.status} {self.title}: {self.detail}")


class Transport:
    """One session with the service at `url`.

    `access_key` is sent with each request, if there is one. `timeout` is in seconds, for the answer or as (connection,
    answer). A GET, a PUT or a POST that met no answer or a passing failure is sent again up to `retries` times. Every
    POST carries an Idempotency-Key, so that it takes effect once. Each request is sent and answered within `during()`.
    """

    # Makes the answer of the job that a POST with these headers and this query became; without it none becomes a job.
    finish: Callable[[requests.Response, Mapping[str, str], Query], requests.Response] | None = None

    def __init__(
        self,
        url: str,
        timeout: float | tuple[float, float],
        retries: int,
        access_key: str | None = None,
        during: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.url = url.rstrip("/")
        self._during = during
        self._timeout = timeout
        self._session = requests.Session()
        # A proxy that the environment names cannot reach this machine's own loopback.
        self._session.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1")
        if access_key:
            self._session.auth = _Bearer(access_key)  # which goes before what ~/.netrc has for the host
        retry = Retry(
            retries,
            allowed_methods=("GET", "POST", "PUT"),
            status_forcelist=_PASSING_STATUSES,
            backoff_factor=0.1,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Document:
        """Read a JSON document."""
        return self.read(self.send("GET", path, params=query))

    def post(
        self, path: str, body: Document, key: str | None, query: Mapping[str, str | None] | None = None
    ) -> Document:
        """Send a JSON body under an idempotency key, `key` or a new one, and read the JSON document of the answer."""
        headers = {"Content-Type": "application/json"}
        return self.read(self.send_keyed(path, write_json(body), key, headers, query))

    def send_keyed(
        self,
        path: str,
        data: bytes,
        key: str | None,
        headers: Mapping[str, str],
        query: Query = None,
    ) -> requests.Response:
        """POST bytes under an idempotency key, `key` or a new one; what is refused as too long for one answer becomes a
        job, where `finish` makes its answer."""
        keyed = {**headers, "Idempotency-Key": key or str(uuid.uuid4())}
        try:
            return self.send("POST", path, params=query, data=data, headers=keyed)
        except Problem as problem:
            if self.finish is None or not _takes_too_long(problem):
                raise
        asked = {**keyed, "Prefer": "respond-async"}
        answer = self.send("POST", path, params=query, data=data, headers=asked)
        return self.finish(answer, headers, query) if answer.status_code == requests.codes.accepted else answer

    def patch(self, path: str, changes: Document) -> Document:
        """Send what is to change, a JSON Merge Patch (RFC 7396), and read the JSON document of the answer."""
        headers = {"Content-Type": "application/json"}
        return self.read(self.send("PATCH", path, data=write_json(changes), headers=headers))

    def delete(self, path: str, cascade: bool = False) -> None:
        """Delete what is there; with `cascade` also what rests on it."""
        self.send("DELETE", path, params={"cascade": "true"} if cascade else None)

    def pages(self, path: str, member: str, query: Mapping[str, str | None] | None = None) -> Iterator[Document]:
        """Yield the items of a list, reading each page when it is reached."""
        asked = dict(query or {})
        while True:
            page = self.get(path, asked)
            yield from page[member]
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]

    def send(self, method: str, path: str, *, shown: bool = True, **request: Any) -> requests.Response:
        """Send a request, within `during()` if it is `shown`.

        Raises Problem if the service refuses it, ServiceUnavailable if nothing answers.
        """
        try:
            with self._during() if shown else nullcontext():
                response = self._session.request(method, self.url + path, timeout=self._timeout, **request)
        except requests.RequestException as error:
            raise ServiceUnavailable(f"no service answers at {self.url}: {_reason(error)}") from error
        if response.ok:
            return response
        if response.headers.get("Content-Type", "").startswith("application/problem+json"):
            raise Problem(self.read(response))
        raise Problem({"title": response.reason, "status": response.status_code, "detail": f"{method} {response.url}"})

    def read(self, response: requests.Response) -> Document:
        """The JSON object of an answer; raises ServiceUnavailable if there is none."""
        try:
            document = response.json()
        except requests.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise ServiceUnavailable(f"what answers at {self.url} is not Gradbook")
        return document


class _Bearer(AuthBase):
    """Sends a key with each request, and to no other host that an answer may lead to."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def write_json(body: Document) -> bytes:
    """Strict JSON; arrays as nested lists, NaN and the infinities as strings."""
    try:
        text = json.dumps(body, allow_nan=False, default=_write_array)
    except ValueError:  # NaN or an infinity among the numbers
        text = json.dumps(_spell(body), allow_nan=False, default=_write_array)
    return text.encode()


def _write_array(array: Any) -> Any:
    """Nested lists from an array, or from what NumPy makes one of; raises TypeError for one that isn't real."""
    import numpy as np

    return _spell(np.asarray(array).astype(np.float64, casting="same_kind").tolist())


def _spell(value: Any) -> Any:
    """The same with NaN and the infinities as strings."""
    if isinstance(value, float):
        return (
            value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        )
    if isinstance(value, list | tuple):
        return [_spell(item) for item in value]
    if isinstance(value, dict):
        return {name: _spell(item) for name, item in value.items()}
    return value


def _takes_too_long(problem: Problem) -> bool:
    """Whether the service refused what it would do as a job."""
    return problem.type.endswith("deadline-exceeded") or problem.members.get("limit") == "operations"


def _reason(error: requests.RequestException) -> str:
    """The operating system's message, from below the layers of HTTP."""
    said = ""
    cause: BaseException | None = error
    while cause is not None:
        said = "it took too long" if isinstance(cause, HTTPTimeoutError) else getattr(cause, "strerror", None) or said
        cause = cause.__cause__ or cause.__context__
    return said or str(error)
