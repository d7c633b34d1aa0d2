"""The header `traceparent` of W3C's Trace Context: which trace a request is part of, and which span it was sent in."""

import re
from dataclasses import dataclass
from random import getrandbits

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-[^,]*)?")
_VERSION_0 = 55  # characters
_KNOWN_FLAGS = 0b11  # sampled; of a random trace id


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span: 32 hexadecimal digits name its trace, 16 itself."""

    trace_id: str
    span_id: str
    flags: int = 0

    def child(self) -> "TraceContext":
        """A new span within this one."""
        return TraceContext(self.trace_id, f"{getrandbits(64) or 1:016x}", self.flags)

    def __str__(self) -> str:
        """The value of `traceparent`, or of `traceresponse`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def read_traceparent(text: str) -> TraceContext | None:
    """The span that a header `traceparent` names, None where it is not valid: then the standard has it ignored.

    A later version may have more after the four parts of version 00. Several headers, parted by commas, are not valid.
    """
    text = text.strip(" \t")
    found = _TRACEPARENT.fullmatch(text)
    if not found:
        return None
    version, trace_id, span_id, flags = found.groups()
    if (version == "00" and len(text) != _VERSION_0) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS)
