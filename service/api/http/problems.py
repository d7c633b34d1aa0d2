"""Errors → application/problem+json (RFC 9457). The one place where an error gets its status."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app
from sqlalchemy.exc import IntegrityError, OperationalError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES

from service.api.http.npz import MalformedArchive
from service.api.http.strict_json import Malformed
from service.core import errors
from service.storage.failures import is_full, refers_to_nothing
from service.storage.identifiers import new_id
from service.workers.pool import Busy, Ended, Gone, Late, Lost

MEDIA_TYPE = "application/problem+json"
_MOST_FAULTS_SHOWN = 100
_RETRY_SECONDS = 1
_LONGEST_SENTENCE = 1000  # characters

# The type of a problem is stable: callers may branch on it.
PROBLEMS: dict[type[errors.GradbookError], tuple[int, str, str]] = {
    Malformed: (400, "malformed-json", "The body is not JSON"),
    MalformedArchive: (400, "malformed-npz", "The body is not an .npz"),
    errors.InvalidGraph: (422, "invalid-graph", "The nodes do not make a graph"),
    errors.InvalidExpression: (422, "invalid-expression", "The text is not an expression"),
    errors.InvalidInputs: (422, "invalid-inputs", "The figures do not fit the graph"),
    errors.InvalidRequest: (422, "invalid-request", "A part of the request is wrong"),
    errors.LimitExceeded: (422, "limit-exceeded", "A limit is exceeded"),
    errors.KeyReused: (422, "idempotency-key-reused", "The Idempotency-Key was used with a different request"),
    errors.NotFound: (404, "not-found", "There is no such thing"),
    errors.Conflict: (409, "conflict", "Not in the present state"),
}


class InvalidParameters(errors.InvalidRequest):
    """Faults in the query, not in the body."""


def problem(status: int, slug: str, title: str, detail: str, **members: Any) -> Response:
    """A problem document as a response."""
    detail = _cut(detail)
    document = {"type": f"urn:gradbook:problem:{slug}", "title": title, "status": status, "detail": detail, **members}
    passing = status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE)
    headers = {"Retry-After": str(_RETRY_SECONDS)} if passing else None
    return Response(json.dumps(document), status=status, content_type=MEDIA_TYPE, headers=headers)


def pointer(location: tuple[str | int, ...]) -> str:
    """A location as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in location)


def _cut(sentence: str) -> str:
    """A sentence that a caller's own text, such as the name of a node, does not make endless."""
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[:_LONGEST_SENTENCE]}…"


def answer_error(error: errors.GradbookError) -> Response:
    """One of our own errors."""
    kind = next(kind for kind in type(error).__mro__ if kind in PROBLEMS)
    members: dict[str, Any] = {}
    faults = getattr(error, "faults", ())
    if isinstance(error, InvalidParameters):
        members["errors"] = [{"parameter": str(fault.location[0]), "detail": _cut(fault.detail)} for fault in faults]
    elif faults:
        shown = faults[:_MOST_FAULTS_SHOWN]
        members["errors"] = [{"pointer": pointer(fault.location), "detail": _cut(fault.detail)} for fault in shown]
    if isinstance(error, errors.InvalidExpression):
        members.update(line=error.line, column=error.column, place=error.excerpt)
    if isinstance(error, errors.LimitExceeded):
        members.update(limit=error.limit, maximum=error.maximum)
        if error.actual is not None:
            members["estimate"] = error.actual
    return problem(*PROBLEMS[kind], error.detail, **members)


def answer_http_error(error: HTTPException) -> Response:
    """An error of Flask's or Werkzeug's: no such path, method not allowed, body too large …"""
    status = error.code or 500
    phrase = HTTP_STATUS_CODES[status]  # Werkzeug's, since Python's own table changes between versions
    members: dict[str, Any] = {}
    detail = error.description or phrase
    if isinstance(error, RequestEntityTooLarge):
        most = current_app.extensions["gradbook"].limits.body_bytes
        members = {"limit": "body_bytes", "maximum": most}
        detail = f"a body has at most {most} bytes (the limit body_bytes)"
    answered = problem(status, phrase.lower().replace(" ", "-"), phrase, detail, **members)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answered.headers[name] = value
    return answered


def answer_no_database(error: OperationalError) -> Response:
    """The database is gone, full or locked: the caller did nothing wrong and may try again."""
    if is_full(error):
        return problem(
            507, "insufficient-storage", "There is no room for it", "the database cannot grow; its disk is full"
        )
    return problem(503, "not-ready", "The database does not answer", type(error.orig).__name__)


# What became of a request that was to be answered elsewhere: it was not, and nothing of it is kept but what it had
# stored altogether.
_UNDONE: dict[type[Ended], tuple[str, str, str]] = {
    Late: ("deadline-exceeded", "It took too long", "the request was given up"),
    Busy: ("overloaded", "Too much is under way", "the request waited too long for its turn; try again a little later"),
    Lost: ("lost", "The work was lost", "the process that did it has ended; the service's log may say why"),
}
_CLIENT_GONE = 499  # for the log: nobody reads the answer


def answer_undone(error: Ended | MemoryError) -> Response:
    """A request that a worker process did not answer."""
    if isinstance(error, MemoryError):
        return answer_no_memory(error)
    if isinstance(error, Gone):
        return Response(status=_CLIENT_GONE)
    return problem(503, *_UNDONE[type(error)])


def answer_no_memory(error: MemoryError) -> Response:
    """What was admitted took more memory than it was estimated to take."""
    status, slug, title = PROBLEMS[errors.LimitExceeded]
    most = current_app.extensions["gradbook"].limits.request_memory
    detail = "this took more memory than was set aside for it"
    return problem(status, slug, title, detail, limit="request_memory", maximum=most)


def answer_deleted(error: IntegrityError) -> Response:
    """What the request names was there, and was deleted before its result was stored."""
    if refers_to_nothing(error):
        return answer_error(errors.NotFound("what this refers to was deleted meanwhile"))
    return answer_unexpected(error)


def answer_unexpected(error: Exception) -> Response:
    """A bug: the traceback is logged under the request's id, which the answer's header names."""
    logging.getLogger("gradbook").exception("unexpected error")
    return answer_http_error(InternalServerError("the service failed; its log has this request's id"))


def register(app: Flask) -> None:
    """Answer every error in every path with a problem, and have the server write its own refusals so."""
    app.register_error_handler(errors.GradbookError, answer_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(OperationalError, answer_no_database)
    app.register_error_handler(IntegrityError, answer_deleted)
    app.register_error_handler(MemoryError, answer_no_memory)
    app.register_error_handler(Exception, answer_unexpected)

    def refuse(
        status: int, slug: str, title: str, detail: str, members: Mapping[str, Any], method: str, path: str
    ) -> tuple[list[tuple[str, str]], bytes]:
        refused = problem(status, slug, title, detail, **members)
        refused.headers["X-Request-Id"] = new_id()
        app.extensions["measurements"].record(refused.headers["X-Request-Id"], method, path, status, 0.0)
        return list(refused.headers), refused.get_data()

    app.extensions["refuse"] = refuse
