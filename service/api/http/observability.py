"""One structured log line a request, with its id, and the measurements behind /metrics."""

import json
import logging
import re
import sys
import time
from functools import cache

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

    def _series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """What is counted and what is timed for such a request."""
        return self.requests.labels(method, route, status), self.seconds.labels(method, route)


def observe(app: Flask) -> None:
    """Log and measure every request; its id comes back in X-Request-Id."""
    measurements = app.extensions["measurements"] = Measurements()
    log = logging.getLogger("gradbook.requests")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _SOUND_ID.fullmatch(given) else new_id()
        g.began = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.began
        labels = (request.method, request.url_rule.rule) if request.url_rule else ("any", "none")
        requests, durations = measurements.series(*labels, response.status_code)
        requests.inc()
        durations.observe(seconds)
        response.headers["X-Request-Id"] = g.request_id
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request_id": g.request_id,
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "milliseconds": round(seconds * 1000, 3),
        }
        log.info(json.dumps(line))
        return response
