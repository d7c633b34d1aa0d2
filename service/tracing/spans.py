"""Spans: how long a request and its parts took, each within another.

There are none until a `Tracer` is used: OpenTelemetry's in a service, where that is asked for, and a `Recorder` in its
worker processes, which hand what they recorded back with their reply and know nothing of OpenTelemetry.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from service.tracing.trace_context import TraceContext

Attributes: TypeAlias = Mapping[str, str | int | float | bool]
_NONE: Attributes = MappingProxyType({})
End: TypeAlias = Callable[[BaseException | None], None]  # of a span: what failed, if anything did
NO_SPAN: AbstractContextManager[Any] = nullcontext()
_MOST_RECORDED = 1000  # of one task


@dataclass(slots=True)
class RecordedSpan:
    """What took from one time to another, in nanoseconds since 1970, within the span of the number `parent`, if any.

    `failure` is the name of the exception that ended it.
    """

    name: str
    attributes: Attributes
    parent: int | None
    began: int
    ended: int = 0
    failure: str | None = None


class RequestSpan(Protocol):
    """The span of a request, which lasts as long as its context."""

    context: TraceContext

    def answered(self, method: str, path: str, route: str | None, status: int) -> None:
        """Say of it what was asked and how it was answered."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *failure: Any) -> None: ...


class Tracer(Protocol):
    """What is told of spans. One within a span lasts as long as its context; without a span around it there is none."""

    def request(self, parent: TraceContext | None, state: str) -> RequestSpan | None:
        """The span of a request that came within `parent` and with the header `tracestate`, if there is to be one."""

    def current(self) -> TraceContext | None:
        """The span that lasts, if there is one."""

    def root(
        self, name: str, attributes: Attributes, parent: TraceContext | None = None
    ) -> AbstractContextManager[Any]:
        """A span within no other, or within one that is known by its name alone."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[Any]:
        """A span within the one that lasts."""

    def begin(self, name: str, attributes: Attributes) -> End:
        """A span within the one that lasts, until what is returned is called, in whatever thread."""

    def replay(self, spans: Sequence[RecordedSpan]) -> None:
        """Spans that were recorded in another process, within the one that lasts."""


_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Have this process's spans told to a tracer, or to none."""
    global _tracer  # noqa: PLW0603  # as OpenTelemetry has it: one for the process
    _tracer = tracer


def request_span(parent: TraceContext | None, state: str) -> RequestSpan | None:
    """The span of a request, if there is to be one; see `Tracer`."""
    return _tracer.request(parent, state) if _tracer else None


def span(name: str, attributes: Attributes = _NONE) -> AbstractContextManager[Any]:
    """A part of what goes on, as long as the context lasts."""
    return _tracer.span(name, attributes) if _tracer else NO_SPAN


def current() -> TraceContext | None:
    """The span that lasts, if there is one."""
    return _tracer.current() if _tracer else None


def root(name: str, attributes: Attributes = _NONE, parent: TraceContext | None = None) -> AbstractContextManager[Any]:
    """What no request waits for, though one may have asked for it."""
    return _tracer.root(name, attributes, parent) if _tracer else NO_SPAN


def begin(name: str, attributes: Attributes = _NONE) -> End:
    """A part of what goes on, until what is returned is called, in whatever thread."""
    return _tracer.begin(name, attributes) if _tracer else _no_end


def _no_end(failure: BaseException | None) -> None:
    """End no span."""


def replay(spans: Sequence[RecordedSpan]) -> None:
    """What was recorded in another process, as a part of what goes on."""
    if _tracer and spans:
        _tracer.replay(spans)


class Recorder:
    """A tracer that keeps the spans of one task, which one thread does."""

    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []
        self._around: int | None = None

    def request(self, parent: TraceContext | None, state: str) -> None:
        """None: whoever handed the request over has its span."""

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[None]:
        """As `Tracer`; after the first thousand nothing is kept."""
        if len(self.spans) == _MOST_RECORDED:
            yield
            return
        within, self._around = self._around, len(self.spans)
        kept = RecordedSpan(name, {**attributes}, within, time.time_ns())
        self.spans.append(kept)
        try:
            yield
        except BaseException as error:
            kept.failure = type(error).__name__
            raise
        finally:
            kept.ended = time.time_ns()
            self._around = within

    def root(
        self, name: str, attributes: Attributes, parent: TraceContext | None = None
    ) -> AbstractContextManager[Any]:
        """As `Tracer`, within the one that lasts all the same."""
        return self.span(name, attributes)

    def current(self) -> None:
        """None: the span has no name before it is told to OpenTelemetry."""

    def begin(self, name: str, attributes: Attributes) -> End:
        """None: a task has no other threads."""
        return _no_end

    def replay(self, spans: Sequence[RecordedSpan]) -> None:
        """Nothing: a worker process has no workers."""


@contextmanager
def recorded(wanted: bool) -> Iterator[list[RecordedSpan]]:
    """The spans of what is done within the context, as they come, if they are wanted."""
    if not wanted:
        yield []
        return
    recorder = Recorder()
    use(recorder)
    try:
        yield recorder.spans
    finally:
        use(None)
