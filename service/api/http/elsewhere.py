"""Requests that are too large for a thread are answered by a worker process, which holds the same application.

Not the work is handed over but the request: the process reads its body, computes, stores, and writes the answer. So a
use case says what it is about to take, with `Context.admit`, before it has any effect.
"""

import io
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeAlias

from flask import Flask, Response, current_app, request
from sqlalchemy.exc import OperationalError
from werkzeug.datastructures import Headers

from service.api.http.deferring import advice, defer, is_to_be_deferred
from service.api.http.observability import BEGAN, HEADER, REQUEST_ID, TRACE
from service.api.http.problems import answer_error, answer_no_database, answer_undone
from service.core.figures.weight import Weight
from service.settings import MEMORY_OF_A_THREAD, UNWEIGHED
from service.storage.failures import reason
from service.tracing.spans import current, recorded, replay, span
from service.usecases.context import Context
from service.usecases.weighing import NeedsMore, takes_too_long
from service.workers.pool import Ended, Pool
from service.workers.process import Work

# What a thread does at once: about 50 ms of work.
IN_A_THREAD = Weight(operations=5e7, nbytes=MEMORY_OF_A_THREAD)
LARGE_BODY = 256 * 1024  # bytes; reading more would hold the interpreter for too long
_READ = 24  # bytes of memory for each byte of a body, as numbers of four characters each take
_NEEDED, _FAILED, _TRACED = "gradbook.needed", "gradbook.failed", "gradbook.traced"

# Has a process do a task that takes so many bytes: its reply and bytes.
Call: TypeAlias = Callable[[Any, int], tuple[Any, Any]]


class Reply(NamedTuple):
    """An answer without its body; `failed` has why the database did not answer, if it did not."""

    status: int
    headers: list[tuple[str, str]]
    failed: list[str]


def hand_over(app: Flask, pool: Pool, seconds: float) -> None:
    """Have the requests answered by the pool that are too large for a thread, each in that many seconds."""
    context: Context = app.extensions["gradbook"]
    context.granted = Weight(min(IN_A_THREAD.operations, context.limits.operations), IN_A_THREAD.nbytes)

    @app.before_request
    def large_body() -> Response | None:
        size = request.content_length or 0
        needed = Weight(nbytes=IN_A_THREAD.nbytes + _READ * size)
        return answer(needed) if size > LARGE_BODY else None

    def answer(needed: Weight) -> Response:
        return defer(needed) if is_to_be_deferred() else _answer_elsewhere(pool, needed, seconds)

    def answer_here_or_there(error: NeedsMore) -> Any:
        try:
            return answer(error.weight)
        except Exception as refusal:  # which Flask does not handle where it handles one
            return app.handle_user_exception(refusal)

    app.register_error_handler(NeedsMore, answer_here_or_there)


def work_with(app: Flask) -> Work:
    """What a process of the pool does: answer requests with that application."""
    for name in ("gradbook.requests", "gradbook.outage"):  # whoever handed them over logs that
        logging.getLogger(name).disabled = True
    context: Context = app.extensions["gradbook"]

    def note(error: NeedsMore) -> Response:
        request.environ[_NEEDED].append(error.weight)
        return Response(status=500)

    def note_failure(error: OperationalError) -> Response:
        request.environ[_FAILED].append(reason(error))
        return answer_no_database(error)

    app.register_error_handler(NeedsMore, note)
    app.register_error_handler(OperationalError, note_failure)

    def work(task: tuple[dict[str, Any], Weight], body: Any) -> tuple[Any, Iterable[bytes]]:
        environ, context.granted = task
        needed: list[Weight] = []
        failed: list[str] = []
        environ |= {"wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, _NEEDED: needed, _FAILED: failed}
        with recorded(environ[_TRACED]) as spans:
            answer = Response.from_app(app, environ)
        if needed:
            return needed[0], ()
        pieces, answer.response = deque(answer.iter_encoded()), []
        for header in (HEADER, TRACE):  # whoever handed it over adds those
            del answer.headers[header]
        return (answer.status_code, list(answer.headers), failed, spans), _taken_from(pieces)

    return work


def _taken_from(pieces: deque[bytes]) -> Iterator[bytes]:
    """The pieces, each of which is forgotten: they are in memory once, here or there."""
    while pieces:
        yield pieces.popleft()


def ask(call: Call, environ: Mapping[str, Any], needed: Weight, most: float) -> tuple[Reply, Any]:
    """The answer of a process, granted that much memory, or more as soon as it is known that it needs more.

    Raises NeedsMore where it takes more operations than `most`, and as `call`.
    """
    while needed.operations <= most:
        with span("worker process"):
            traced = {**environ, _TRACED: current() is not None}
            reply, data = call((traced, Weight(most, needed.nbytes)), round(needed.nbytes) + UNWEIGHED)
            if isinstance(reply, tuple):
                *answer, spans = reply
                replay(spans)
                return Reply(*answer), data
        needed = Weight(reply.operations, max(reply.nbytes, 2 * needed.nbytes))
    raise NeedsMore(needed)


def _answer_elsewhere(pool: Pool, needed: Weight, seconds: float) -> Response:
    """The answer of a worker process, or a refusal of what takes too long."""
    context: Context = current_app.extensions["gradbook"]
    limits = context.limits
    aside: Callable[[], AbstractContextManager[None]] = request.environ.get("gradbook.aside", nullcontext)
    body = request.environ.get("gradbook.body") or [request.get_data()]
    end, gone = request.environ[BEGAN] + seconds, request.environ.get("gradbook.client_gone")

    def call(task: Any, nbytes: int) -> tuple[Any, Any]:
        left = end - time.perf_counter()
        return pool.call(task, body, nbytes=min(nbytes, pool.nbytes), seconds=left, gone=gone)

    try:
        with aside():
            (status, headers, failed), data = ask(call, _environ(), needed, limits.operations)
    except NeedsMore as error:
        return answer_error(takes_too_long(error.weight.operations, limits, advice()))
    except (Ended, MemoryError) as error:
        return answer_undone(error, advice())
    if failed:
        context.database.outage.failed(failed[0], writing=True)
    pieces: Any = [memoryview(data)]  # which Werkzeug hands on as they are
    response = Response(pieces, status=status)
    response.headers = Headers(headers)
    return response


def _environ() -> dict[str, Any]:
    """What is said of the request, without the objects of this process, nor the key, which has let it in."""
    said = {name: value for name, value in request.environ.items() if isinstance(value, (str, bool, int))}
    for name in ("HTTP_AUTHORIZATION", "HTTP_COOKIE"):
        said.pop(name, None)
    return {**said, "wsgi.version": (1, 0), "HTTP_X_REQUEST_ID": request.environ[REQUEST_ID]}
