"""One structured log line a request, another for what it changed, with its id, and the measurements behind /metrics."""

import json
import logging
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TextIO

import orjson
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, ProcessCollector
from prometheus_client.registry import Collector

from service.api.http.readings import Readings
from service.api.http.siblings import Sibling
from service.storage.identifiers import new_id
from service.tracing.spans import NO_SPAN, request_span
from service.tracing.trace_context import TraceContext, read_traceparent

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

REQUEST_ID, BEGAN = "gradbook.request_id", "gradbook.began"  # of the environment; the latter by `time.perf_counter`
HEADER, TRACE = "X-Request-Id", "traceresponse"
_PROBES = ("/livez", "/readyz", "/metrics")  # which have no spans: they would be most of them
NO_TRACE: Mapping[str, str] = {}
_CHUNKS = "Seconds that a chunk of a job takes, from being handed over to its result; several are handed over at once"
_REQUEST_SECONDS = (0.001, 0.0025, *Histogram.DEFAULT_BUCKETS[:-1], 30.0)  # a deadline, by default
_CHUNK_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_MOST_LEFT = 1000  # lines
_SOUND_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Measurements(Collector):
    """What is counted, by route and not by path, lest every id (or method that somebody made up) be a series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sibling: Sibling | None = None
        labels = ["method", "route"]
        self.requests = Counter("gradbook_requests", "Requests", [*labels, "status"], registry=self.registry)
        self.seconds = Histogram(
            "gradbook_request_seconds", "Seconds a request", labels, buckets=_REQUEST_SECONDS, registry=self.registry
        )
        self._chunks = Histogram(
            "gradbook_chunk_seconds", _CHUNKS, ["outcome"], buckets=_CHUNK_SECONDS, registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        self.series = cache(self._series)
        self._log = logging.getLogger("gradbook.requests")
        if not self._log.handlers:
            self._log.addHandler(_Lines(sys.stderr))
            self._log.setLevel(logging.INFO)
            self._log.propagate = False

    def share(self, sibling: Sibling) -> None:
        """Have each of the processes that serve together show what all have measured."""
        sibling.answer(self.registry)
        self._sibling = sibling

    def collect(self) -> Iterable[Metric]:
        """What is measured, as Prometheus has it."""
        return self._sibling.collect(self.registry) if self._sibling else self.registry.collect()

    def add(self, read: Callable[[], Iterable[Metric]]) -> None:
        """Show also what is read whenever somebody asks for the measurements."""
        self.registry.register(Readings(read))

    def _series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """What is counted and what is timed for such a request."""
        return self.requests.labels(method, route, status), self.seconds.labels(method, route)

    def record(
        self,
        request_id: str,
        method: str,
        path: str,
        status: int,
        seconds: float,
        route: str | None = None,
        trace: Mapping[str, str] = NO_TRACE,
    ) -> None:
        """Log and measure an answered request, with the members by which the log says of which trace it is."""
        requests, durations = self.series(*((method, route) if route else ("any", "none")), status)
        requests.inc()
        durations.observe(seconds)
        self.log(request_id, method=method, path=path, status=status, milliseconds=round(seconds * 1000, 3), **trace)

    def record_chunk(self, outcome: str, seconds: float) -> None:
        """Measure a chunk of a job, "done" or "failed"."""
        self._chunks.labels(outcome).observe(seconds)

    def log(self, request_id: str | None, **members: Any) -> None:
        """Log a line about a request, or what happened without one."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "request_id": request_id, **members}
        text = orjson.dumps(line).decode()
        # Of what a client may send, what moves a terminal's cursor or ends a line lies beyond ASCII, but for what JSON
        # escapes at any rate.
        text = text if text.isascii() else json.dumps(line, separators=(",", ":"))
        # As `info` does, but for looking where it was called: a record for each request is to cost little.
        if self._log.isEnabledFor(logging.INFO):
            self._log.handle(logging.LogRecord(self._log.name, logging.INFO, "", 0, text, None, None))


class _Lines(logging.Handler):
    """Writes each message as it is, a line, to a stream that is flushed after each.

    Threads do not wait for one another: who finds a thread that writes leaves it the line.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream, self._lines, self._writing = stream, deque[str](), Lock()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the line, and those that others leave meanwhile; wait where ever more are left."""
        self._lines.append(f"{record.msg}\n")
        while self._lines and self._writing.acquire(blocking=len(self._lines) > _MOST_LEFT):
            try:
                text = "".join([self._lines.popleft() for _ in range(len(self._lines))])
                with suppress(OSError, ValueError):  # nobody reads them any more; that is no reason to answer nobody
                    self._stream.write(text)
            finally:
                self._writing.release()
        return True


def _members(own: TraceContext, parent: TraceContext | None) -> Mapping[str, str]:
    known = {"trace_id": own.trace_id, "span_id": own.span_id}
    return {**known, "parent_id": parent.span_id} if parent else known


def observe(app: Flask) -> Measurements:
    """Log and measure every request; returns what is measured.

    Its id comes back in X-Request-Id. One that is part of a trace is a span of its own in it, which comes back too.
    """
    measurements = app.extensions["measurements"] = Measurements()
    application = app.wsgi_app

    def observed(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        began = environ[BEGAN] = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = environ[REQUEST_ID] = given if _SOUND_ID.fullmatch(given) else new_id()

        parent = read_traceparent(environ.get("HTTP_TRACEPARENT", ""))
        span = request_span(parent, environ.get("HTTP_TRACESTATE", "")) if environ["PATH_INFO"] not in _PROBES else None
        context = span.context if span else parent.child() if parent else None
        said = [(HEADER, request_id), *([(TRACE, str(context))] if context else [])]

        def start(status: str, headers: list[tuple[str, str]], *failure: Any) -> Any:
            asked = environ["werkzeug.request"]
            route = asked.url_rule.rule if asked.url_rule else None
            seconds = time.perf_counter() - began
            trace = _members(context, parent) if context else NO_TRACE
            measurements.record(request_id, asked.method, asked.path, int(status[:3]), seconds, route, trace)
            if span:
                span.answered(asked.method, asked.path, route, int(status[:3]))
            return start_response(status, [*headers, *said], *failure)

        with span or NO_SPAN:
            return application(environ, start)

    app.wsgi_app = observed  # type: ignore[method-assign]  # Flask's own way to wrap it
    return measurements
