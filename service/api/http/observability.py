"""One structured log line a request, another for what it changed, with its id, and the measurements behind /metrics."""

import json
import logging
import re
import sys
import time
from functools import cache
from typing import Any

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram

from service.storage.identifiers import new_id

_SOUND_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Measurements:
    """What is counted, by route and not by path, lest every id (or method that somebody made up) be a series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route"]
        self.requests = Counter("gradbook_requests", "Requests", [*labels, "status"], registry=self.registry)
        self.seconds = Histogram("gradbook_request_seconds", "Seconds a request", labels, registry=self.registry)
        self.series = cache(self._series)
        self._log = logging.getLogger("gradbook.requests")
        if not self._log.handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(message)s"))
            self._log.addHandler(handler)
            self._log.setLevel(logging.INFO)
            self._log.propagate = False

    def _series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """What is counted and what is timed for such a request."""
        return self.requests.labels(method, route, status), self.seconds.labels(method, route)

    def record(
        self, request_id: str, method: str, path: str, status: int, seconds: float, route: str | None = None
    ) -> None:
        """Log and measure an answered request."""
        requests, durations = self.series(*((method, route) if route else ("any", "none")), status)
        requests.inc()
        durations.observe(seconds)
        self.log(request_id, method=method, path=path, status=status, milliseconds=round(seconds * 1000, 3))

    def log(self, request_id: str | None, **members: Any) -> None:
        """Log a line about a request, or what happened without one."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "request_id": request_id, **members}
        self._log.info(json.dumps(line))


def observe(app: Flask) -> None:
    """Log and measure every request; its id comes back in X-Request-Id."""
    measurements = app.extensions["measurements"] = Measurements()

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _SOUND_ID.fullmatch(given) else new_id()
        g.began = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.began
        route = request.url_rule.rule if request.url_rule else None
        measurements.record(g.request_id, request.method, request.path, response.status_code, seconds, route)
        response.headers["X-Request-Id"] = g.request_id
        return response
