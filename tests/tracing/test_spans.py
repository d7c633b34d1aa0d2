"""Spans without OpenTelemetry: none, and those that a worker process records."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from service.tracing import spans


@pytest.fixture(autouse=True)
def no_tracer() -> Iterator[None]:
    yield
    spans.use(None)


def test_where_no_tracer_is_used_there_are_no_spans() -> None:
    assert isinstance(spans.span("a"), nullcontext) and isinstance(spans.root("a"), nullcontext)
    assert spans.request_span(None, "") is None
    spans.begin("a")(ValueError())
    with spans.recorded(False) as none, spans.span("a"):
        pass
    assert none == []
    spans.replay([spans.RecordedSpan("a", {}, None, 1, 2)])


def test_a_worker_process_records_what_lasts_within_what() -> None:
    with spans.recorded(True) as kept:
        assert spans.request_span(None, "") is None
        spans.begin("of another thread")(None)
        spans.replay(kept)
        with spans.span("outer", {"a": 1}):
            with pytest.raises(ValueError, match="wrong"), spans.span("inner"):
                raise ValueError("wrong")
            with spans.span("next"):
                pass
        with spans.root("last"):
            pass
    found = [(span.name, span.attributes, span.parent, span.failure) for span in kept]
    assert found == [
        ("outer", {"a": 1}, None, None),
        ("inner", {}, 0, "ValueError"),
        ("next", {}, 0, None),
        ("last", {}, None, None),
    ]
    outer, inner, after, _ = kept
    assert outer.began <= inner.began <= inner.ended <= after.began <= after.ended <= outer.ended
    assert isinstance(spans.span("a"), nullcontext)


def test_no_more_than_a_thousand_are_recorded() -> None:
    with spans.recorded(True) as kept, spans.span("outer"):
        for _ in range(2000):
            with spans.span("inner"):
                pass
    assert len(kept) == 1000 and {span.parent for span in kept[1:]} == {0} and all(span.ended for span in kept)
