"""Errors → application/problem+json (RFC 9457). The one place where an error gets its status."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, request
from sqlalchemy.exc import IntegrityError, OperationalError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES

from service.api.http.browsers import shared_with
from service.api.http.npz import MalformedArchive
from service.api.http.problem_types import PROBLEM_TYPES, type_uri
from service.api.http.strict_json import Malformed
from service.core import errors
from service.storage.failures import is_full, refers_to_nothing
from service.storage.identifiers import new_id
from service.workers.pool import Busy, Ended, Gone, Late, Lost

MEDIA_TYPE = "application/problem+json"
_MOST_FAULTS_SHOWN = 100
_RETRY_SECONDS = 1
_LONGEST_SENTENCE = 1000  # characters
_NAMED = ("/v1/graphs/", "/v1/runs/")  # the paths below which names stand

# The type of the problem, as `problem_types.py` names it, that each of our errors is.
PROBLEMS: dict[type[errors.GradbookError], str] = {
    Malformed: "malformed-json",
    MalformedArchive: "malformed-npz",
    errors.MalformedModel: "malformed-onnx",
    errors.NotInstalled: "not-installed",
    errors.InvalidModel: "invalid-model",
    errors.MalformedTensor: "malformed-npy",
    errors.DigestMismatch: "digest-mismatch",
    errors.InvalidGraph: "invalid-graph",
    errors.InvalidExpression: "invalid-expression",
    errors.InvalidInputs: "invalid-inputs",
    errors.InvalidRequest: "invalid-request",
    errors.LimitExceeded: "limit-exceeded",
    errors.KeyReused: "idempotency-key-reused",
    errors.NotFound: "not-found",
    errors.Conflict: "conflict",
    errors.PreconditionFailed: "precondition-failed",
}


class InvalidParameters(errors.InvalidRequest):
    """Faults in the query, not in the body."""


def problem(name: str, detail: str, **members: Any) -> Response:
    """A problem of the type of that name as a response."""
    return _respond(name, PROBLEM_TYPES[name].status, PROBLEM_TYPES[name].title, detail, members)


def _respond(name: str, status: int, title: str, detail: str, members: Mapping[str, Any]) -> Response:
    document = {"type": type_uri(name), "title": title, "status": status, "detail": _cut(detail), **members}
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
    return problem(PROBLEMS[kind], error.detail, **members)


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
    elif status == HTTPStatus.NOT_FOUND and request.path.startswith(_NAMED):
        detail = "there is no such path; in a path what has / in its name is given by its id"
    name = phrase.lower().replace(" ", "-")
    title = PROBLEM_TYPES[name].title if name in PROBLEM_TYPES else phrase
    answered = _respond(name, status, title, detail, members)
    for header, value in error.get_headers():
        if header.lower() not in ("content-type", "content-length"):
            answered.headers[header] = value
    return answered


def answer_no_database(error: OperationalError) -> Response:
    """The database is gone, full or locked: the caller did nothing wrong and may try again."""
    if is_full(error):
        return problem("insufficient-storage", "the database cannot grow; its disk is full")
    return problem("not-ready", type(error.orig).__name__)


# What became of a request that was to be answered elsewhere: it was not, and nothing of it is kept but what it had
# stored altogether.
_UNDONE: dict[type[Ended], tuple[str, str]] = {
    Late: ("deadline-exceeded", "the request was given up"),
    Busy: ("overloaded", "the request waited too long for its turn; try again a little later"),
    Lost: ("lost", "the process that did it has ended; the service's log may say why"),
}
_CLIENT_GONE = 499  # for the log: nobody reads the answer


def answer_undone(error: Ended | MemoryError, advice: str = "") -> Response:
    """A request that a worker process did not answer; `advice` ends the sentence on one that took too long."""
    if isinstance(error, MemoryError):
        return answer_no_memory(error)
    if isinstance(error, Gone):
        return Response(status=_CLIENT_GONE)
    name, detail = _UNDONE[type(error)]
    return problem(name, detail + (advice if isinstance(error, Late) else ""))


def answer_no_memory(error: MemoryError) -> Response:
    """What was admitted took more memory than it was estimated to take."""
    most = current_app.extensions["gradbook"].limits.request_memory
    detail = "this took more memory than was set aside for it"
    return problem("limit-exceeded", detail, limit="request_memory", maximum=most)


def answer_deleted(error: IntegrityError) -> Response:
    """What the request names was there, and was deleted before its result was stored."""
    if refers_to_nothing(error):
        return answer_error(errors.NotFound("what this refers to was deleted meanwhile"))
    return answer_unexpected(error)


def answer_unexpected(error: Exception) -> Response:
    """A bug: the traceback is logged under the request's id, which the answer's header names."""
    logging.getLogger("gradbook").exception("unexpected error")
    return answer_http_error(InternalServerError("the service failed; its log has this request's id"))


def register(app: Flask, origins: tuple[str, ...] = ()) -> None:
    """Answer every error in every path with a problem, and have the server write its own refusals so.

    Of those too the pages of these origins may read why.
    """
    app.register_error_handler(errors.GradbookError, answer_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(OperationalError, answer_no_database)
    app.register_error_handler(IntegrityError, answer_deleted)
    app.register_error_handler(MemoryError, answer_no_memory)
    app.register_error_handler(Exception, answer_unexpected)

    def refuse(
        status: int, slug: str, title: str, detail: str, members: Mapping[str, Any], method: str, path: str, origin: str
    ) -> tuple[list[tuple[str, str]], bytes]:
        refused = _respond(slug, status, title, detail, members)
        refused.headers.update({"X-Request-Id": new_id(), **shared_with(origin, origins)})
        app.extensions["measurements"].record(refused.headers["X-Request-Id"], method, path, status, 0.0)
        return list(refused.headers), refused.get_data()

    app.extensions["refuse"] = refuse
