"""Spans for OpenTelemetry, sent by OTLP over HTTP. It needs the extra `otel`; the standard OTEL_… variables say where
they go, which are sampled, and what the service is called."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from threading import Thread
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
    use_span,
)

from service.tracing.spans import NO_SPAN, Attributes, End, RecordedSpan
from service.tracing.trace_context import TraceContext

_SECONDS_TO_SEND = 2.0  # at the end, what is not sent yet
# It warns of each header `tracestate` that is not valid, and shows it as it came.
logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class OpenTelemetry:
    """A `Tracer` that sends the spans, in the background and many at a time."""

    def __init__(self) -> None:
        named = Resource({"service.name": "gradbook", "service.version": version("gradbook")})
        resource = Resource.create().merge(named).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("gradbook", version("gradbook"))

    def request(self, parent: TraceContext | None, state: str) -> "_Request | None":
        """As `Tracer`; none where OTEL_SDK_DISABLED says so."""
        if isinstance(self._tracer, NoOpTracer):
            return None
        return _Request(self._tracer.start_span("HTTP", _within(parent, state), SpanKind.SERVER))

    def current(self) -> TraceContext | None:
        """As `Tracer`."""
        lasting = get_current_span()
        return _named(lasting) if lasting.is_recording() else None

    def root(
        self, name: str, attributes: Attributes, parent: TraceContext | None = None
    ) -> AbstractContextManager[Any]:
        """As `Tracer`."""
        span: AbstractContextManager[Any] = self._tracer.start_as_current_span(
            name, _within(parent), attributes=attributes
        )
        return span

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[Any]:
        """As `Tracer`."""
        if not get_current_span().is_recording():
            return NO_SPAN
        span: AbstractContextManager[Any] = self._tracer.start_as_current_span(name, attributes=attributes)
        return span

    def begin(self, name: str, attributes: Attributes) -> End:
        """As `Tracer`."""
        span = self._tracer.start_span(name, attributes=attributes) if get_current_span().is_recording() else None

        def end(failure: BaseException | None) -> None:
            if span and failure:
                span.record_exception(failure)
                span.set_status(Status(StatusCode.ERROR, type(failure).__name__))
            if span:
                span.end()

        return end

    def replay(self, spans: Sequence[RecordedSpan]) -> None:
        """As `Tracer`."""
        around = get_current_span()
        if not around.is_recording():
            return
        made: list[Any] = []
        for each in spans:
            context = set_span_in_context(around if each.parent is None else made[each.parent])
            span = self._tracer.start_span(each.name, context, attributes=each.attributes, start_time=each.began)
            if each.failure:
                span.set_status(Status(StatusCode.ERROR, each.failure))
            span.end(each.ended)
            made.append(span)

    def close(self) -> None:
        """Send what is left, as far as it is taken within two seconds."""
        last = Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(_SECONDS_TO_SEND)


def _within(parent: TraceContext | None, state: str = "") -> Context:
    """Where a span of another process lasts, or none."""
    if not parent:
        return Context()
    flags, known = TraceFlags(parent.flags), TraceState.from_header([state])
    caller = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, flags, known)
    return set_span_in_context(NonRecordingSpan(caller), Context())


def _named(span: Span) -> TraceContext:
    own = span.get_span_context()
    return TraceContext(f"{own.trace_id:032x}", f"{own.span_id:016x}", int(own.trace_flags))


class _Request:
    """A `RequestSpan`."""

    def __init__(self, span: Any) -> None:
        self._span, self._lasts = span, use_span(span, end_on_exit=True)
        self.context = _named(span)

    def answered(self, method: str, path: str, route: str | None, status: int) -> None:
        """As `RequestSpan`, in the words of OpenTelemetry's conventions for HTTP."""
        if not self._span.is_recording():
            return
        method = method if method in _METHODS else "_OTHER"
        asked = {"http.request.method": method, "url.path": path, "http.response.status_code": status}
        self._span.set_attributes({**asked, "http.route": route} if route else asked)
        self._span.update_name(f"{method} {route}" if route else method)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))

    def __enter__(self) -> Any:
        return self._lasts.__enter__()

    def __exit__(self, *failure: Any) -> None:
        self._lasts.__exit__(*failure)
