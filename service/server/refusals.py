"""What the server refuses by itself, before or instead of the application."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Refusal:
    """A request that the server does not hand to the application, as a problem (RFC 9457) names it.

    The connection is closed after it where the rest of the request is not read, or cannot be told from the next one.
    """

    status: int
    slug: str
    title: str
    detail: str
    members: dict[str, Any] = field(default_factory=dict)
    closes: bool = True


# Writes a refusal as the application writes its own problems, and logs it: status, slug, title, detail, other members,
# method, path and the header Origin, empty where the head was not understood or has none → headers and body.
Refuse: TypeAlias = Callable[
    [int, str, str, str, Mapping[str, Any], str, str, str],
    tuple[list[tuple[str, str]], bytes],
]


def malformed(reason: str) -> Refusal:
    """What is not HTTP/1.1; the parser says why."""
    return Refusal(400, "malformed-http", "The request is not HTTP/1.1", reason)


UNKNOWN_METHOD = Refusal(501, "not-implemented", "Not Implemented", "no resource has a method of that name")
UNKNOWN_CODING = Refusal(
    501, "not-implemented", "Not Implemented", "of transfer codings only chunked is read; send the body without another"
)


def head_too_slow(seconds: float) -> Refusal:
    """A head that took too long."""
    detail = f"the request's head was not whole after {seconds:g} s"
    return Refusal(408, "request-timeout", "Request Timeout", detail)


def body_too_slow(idle: float, whole: float) -> Refusal:
    """A body that stopped coming, or came too slowly."""
    detail = (
        f"of the body nothing came for {idle:g} s, or it was not whole after {whole:g} s and a second for each 100 kB"
    )
    return Refusal(408, "request-timeout", "Request Timeout", detail)


def head_too_large(most: int) -> Refusal:
    """A head, or the trailers of a body, of too many bytes or lines."""
    detail = f"the request's line and headers have at most {most} bytes"
    return Refusal(431, "request-header-fields-too-large", "Request Header Fields Too Large", detail)


def body_too_large(most: int) -> Refusal:
    """A body over the limit, of which no more is read."""
    return Refusal(
        413,
        "request-entity-too-large",
        "Request Entity Too Large",
        f"a body has at most {most} bytes (the limit body_bytes)",
        {"limit": "body_bytes", "maximum": most},
    )


BODIES_IN_FLIGHT = Refusal(
    503, "overloaded", "Too much is under way", "too many bytes of bodies are under way; try again a little later"
)
TOO_MANY_WAIT = Refusal(
    503, "overloaded", "Too much is under way", "too many requests wait; try again a little later", closes=False
)
FAILED = Refusal(500, "internal-server-error", "Internal Server Error", "the service failed; its log says how")
