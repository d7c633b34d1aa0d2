"""Requests that ask to be answered later, by `Prefer: respond-async` (RFC 7240), become jobs, each kept with its body.

What a thread does at once is answered at once; the preference counts for the rest.
"""

from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request
from werkzeug.http import parse_list_header

from service.api.http.access import ADMITTED, require
from service.api.http.observability import REQUEST_ID
from service.api.http.request import context, idempotency_key
from service.api.jobs import respond_job
from service.core.figures.weight import Weight
from service.storage.access_keys import Scope
from service.usecases.job_results import defer_request

RESPOND_ASYNC = "respond-async"
# What is kept of a request: neither who sent it, by a key or a cookie, nor at which address it found the service.
_KEPT = (
    *("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "HTTP_HOST"),
    *("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_ACCEPT", "HTTP_CONTENT_ENCODING", "HTTP_IDEMPOTENCY_KEY"),
    *("wsgi.url_scheme", ADMITTED),
)
_PIECE = 1024 * 1024  # bytes of a body in one row


def may_be_deferred() -> bool:
    """Whether the request would become a job if it asked for that: one that is posted to the API, and makes none."""
    if request.method != "POST" or request.endpoint is None or not request.path.startswith("/v1/"):
        return False
    return _changes(request.endpoint) != HTTPStatus.ACCEPTED


def _changes(endpoint: str) -> int | None:
    """The status by which a view answers that it has changed something, None if it changes nothing."""
    changes: int | None = getattr(current_app.view_functions[endpoint], "changes", None)
    return changes


def advice() -> str:
    """What is added to the refusal of a request that takes too long."""
    return f"; send `Prefer: {RESPOND_ASYNC}` to have it done as a job" if may_be_deferred() else ""


def is_to_be_deferred() -> bool:
    """Whether the request asks for an answer later, and may."""
    if "HTTP_PREFER" not in request.environ or not may_be_deferred():
        return False
    named = (each.partition(";")[0].partition("=") for each in parse_list_header(request.environ["HTTP_PREFER"]))
    return any(name.strip().lower() == RESPOND_ASYNC and value.strip(' "') == "" for name, _, value in named)


def defer(needed: Weight) -> Response:
    """Keep the request as a job of that weight, as far as it is known, and answer with the job; raises OutOfScope for a
    key that may store nothing, KeyReused."""
    require(Scope.WRITE)
    said, endpoint = request.environ, str(request.endpoint)
    body = b"".join(said.get("gradbook.body") or [request.get_data()])
    task: dict[str, Any] = {
        "environ": {name: said[name] for name in _KEPT if name in said},
        "request_id": said[REQUEST_ID],
        "nbytes": needed.nbytes,
        "operation": endpoint.rpartition(".")[2],
        "changes": _changes(endpoint),
    }
    pieces = [body[begin : begin + _PIECE] for begin in range(0, len(body), _PIECE)]
    response = respond_job(defer_request(context(), task, pieces, needed.operations, key=idempotency_key()))
    response.headers["Preference-Applied"] = RESPOND_ASYNC
    return response
