"""W3C's Trace Context: what of a header `traceparent` is read, and what is ignored."""

import pytest

from service.tracing.trace_context import TraceContext, read_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f" \t00-{TRACE}-{SPAN}-00 ", 0),  # what HTTP allows around a header's value
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),  # flags that version 00 does not know are not handed on
        (f"01-{TRACE}-{SPAN}-01", 1),  # of a later version what is known of it
        (f"cc-{TRACE}-{SPAN}-01-what the future brings", 1),
    ],
)
def test_what_is_valid_is_read(text: str, flags: int) -> None:
    assert read_traceparent(text) == TraceContext(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"01-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",  # two headers
        f"01-{TRACE}-{SPAN}-01-more,01-{TRACE}-{SPAN}-01-more",
        f"\N{NO-BREAK SPACE}00-{TRACE}-{SPAN}-01",
        f"٠٠-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_not_valid_is_ignored(text: str) -> None:
    assert read_traceparent(text) is None


def test_a_child_is_another_span_of_the_same_trace() -> None:
    parent = TraceContext(TRACE, SPAN, 1)
    children = {parent.child() for _ in range(100)}
    assert len(children) == 100 and parent not in children
    assert all(read_traceparent(str(child)) == child for child in children)
    assert {(child.trace_id, child.flags) for child in children} == {(TRACE, 1)}
