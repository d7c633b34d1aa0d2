"""A collector of OpenTelemetry's, as far as a test needs one: it keeps the spans that are sent by OTLP over HTTP."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Collector:
    """The spans that came, in whatever order, and the resources that they are of."""

    def __init__(self, port: int) -> None:
        self.variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",  # milliseconds
        }
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []

    def named(self, name: str) -> Any:
        """The one span of that name; None if it has not come yet."""
        found = [span for span in tuple(self.spans) if span.name == name]
        return found[0] if len(found) == 1 else None

    def within(self, outer: Any) -> set[str]:
        """The names of the spans right within one."""
        return {span.name for span in tuple(self.spans) if span.parent_span_id == outer.span_id}

    def take(self, body: bytes) -> None:
        """Keep what was sent."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(attributes(resource.resource))
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]


def attributes(owner: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    values = {each.key: each.value for each in owner.attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values.items()}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server.server_port)
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
