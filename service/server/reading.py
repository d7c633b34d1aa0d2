"""Requests from the bytes of a connection. httptools parses them, with Node's llhttp; what it does not bound is bounded
here. llhttp refuses what two readers could understand differently, as Content-Length beside Transfer-Encoding."""

from collections import deque
from threading import Event
from typing import TypeAlias

import httptools

from service.server import refusals
from service.server.refusals import Refusal
from service.settings import ServerBounds

PIECE = 64 * 1024  # bytes that are parsed, or sent, at once
HEAD_BYTES = 64 * 1024  # of a request's line and headers; and of what surrounds the chunks of a body
_HEADERS = 256  # lines of headers in one head
_PIPELINED = 64  # requests that a connection may send before the first of them is answered
SLOWEST = 100_000  # bytes a second, on the whole of a body or an answer


class HTTPRequest:
    """A request whose head is whole. It is handed on when its body is."""

    __slots__ = (
        "body",
        "client",
        "gone",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query",
        "root",
        "size",
        "version",
    )

    def __init__(self, method: str, target: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> None:
        self.method, self.version, self.headers = method, version, headers
        path, _, self.query = target.partition(b"?")
        if not path.startswith(b"/"):  # http://host/path, as to a proxy
            _, scheme, rest = path.partition(b"://")
            path = b"/" + rest.partition(b"/")[2] if scheme else path
        self.root, self.path = b"", path
        self.keep_alive = True
        self.client = ""
        self.body: list[bytes] = []
        self.size = 0
        self.gone = Event()  # set when the client has left

    def mount(self, root: bytes) -> None:
        """Take its path to be one below `root`, whether a proxy has left that standing before it or not."""
        self.root = root
        if self.path == root or self.path.startswith(root + b"/"):
            self.path = self.path.removeprefix(root)

    def header(self, name: bytes) -> bytes | None:
        """The last header of that name, which is in lower case."""
        return next((value for key, value in reversed(self.headers) if key == name), None)

    @property
    def origin(self) -> str:
        """The header Origin, empty where there is none."""
        return (self.header(b"origin") or b"").decode("latin-1")


class Refused:
    """The request, as far as it is known, that the server refuses; nothing after it is read."""

    __slots__ = ("method", "origin", "path", "refusal")

    def __init__(self, refusal: Refusal, asked: HTTPRequest | None) -> None:
        self.refusal = refusal
        self.method, self.path, self.origin = (asked.method, asked.path, asked.origin) if asked else ("", b"", "")


Turn: TypeAlias = HTTPRequest | Refused


class BodiesInFlight:
    """Bytes of bodies that some connection has read and no view has done with."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0


class RequestReader:
    """The requests of one connection, in turn: `ready` holds those that are whole.

    When something is refused the reader turns `deaf`: what follows cannot be told apart, or is not wanted.
    """

    def __init__(self, bounds: ServerBounds, body_bytes: int, in_flight: BodiesInFlight) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._bounds, self._body_bytes, self._in_flight = bounds, body_bytes, in_flight
        self.ready: deque[Turn] = deque()
        self.incoming: HTTPRequest | None = None  # its body is being read
        self.in_head = False  # the beginning of a head has come, and not its end
        self.deaf = False
        self.begun = 0  # requests
        self.wants_continue = False
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._overhead = 0  # bytes of chunk sizes and trailers
        self._past_upgrade = False  # the parser reads a head that it was given before

    def refuse(self, refusal: Refusal) -> None:
        """Refuse the request that is being read, and hear no more."""
        if self.deaf:
            return
        self.deaf = True
        refused = self.incoming
        self.forget_incoming()
        self.ready.append(Refused(refusal, refused))

    def forget_incoming(self) -> None:
        """Drop the request whose body is being read."""
        self.in_head = False
        if self.incoming:
            self._in_flight.bytes -= self.incoming.size
            self.incoming = None

    def feed(self, data: memoryview) -> None:
        """Parse what has come, a piece of it."""
        while data and not self.deaf:
            if self.incoming:
                self._overhead += len(data)
            else:
                self.in_head = True
                self._head_bytes += len(data)
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as paused:  # another protocol is offered, which a server may ignore
                data = data[paused.args[0] :]
                self._read_on_past_upgrade()
                continue
            except httptools.HttpParserInvalidMethodError:
                self.refuse(refusals.UNKNOWN_METHOD)
            except httptools.HttpParserError as error:
                self.refuse(refusals.malformed(str(error)))
            if (self.in_head and self._head_bytes > HEAD_BYTES) or self._overhead > HEAD_BYTES + 16 * self._size():
                self.refuse(refusals.head_too_large(HEAD_BYTES))
            return

    def _read_on_past_upgrade(self) -> None:
        """Have a body read that belongs to a request with Upgrade: httptools takes it for the other protocol."""
        if self.incoming:
            self._parser = httptools.HttpRequestParser(self)
            self._past_upgrade = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + self._framing() + b"\r\n")
            self._past_upgrade = False

    def _framing(self) -> bytes:
        """The headers by which the body that is being read ends; none if there is no body."""
        headers = self.incoming.headers if self.incoming else ()
        return b"".join(
            name + b": " + value + b"\r\n"
            for name, value in headers
            if name == b"transfer-encoding" or (name == b"content-length" and int(value) > 0)
        )

    def _size(self) -> int:
        return self.incoming.size if self.incoming else 0

    # --- what httptools calls -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        if self._past_upgrade:
            return
        self.begun += 1
        self.in_head = True
        self._target, self._headers, self._overhead = b"", [], 0

    def on_url(self, part: bytes) -> None:
        """A part of the target."""
        if not self._past_upgrade:
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody asked for."""
        if not self.incoming:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide by the head whether the body is wanted."""
        if self.deaf or self._past_upgrade:
            return
        method = self._parser.get_method().decode("ascii")
        request = HTTPRequest(method, self._target, self._parser.get_http_version(), self._headers)
        request.keep_alive = self._parser.should_keep_alive()
        self.in_head, self.incoming, self._head_bytes = False, request, 0
        length, coding = request.header(b"content-length"), request.header(b"transfer-encoding")
        size = len(self._target) + sum(len(name) + len(value) + 4 for name, value in self._headers)
        if request.version not in ("1.0", "1.1"):
            self.refuse(refusals.malformed("HTTP/1.1 and HTTP/1.0 are spoken here"))
        elif method == "CONNECT":
            self.refuse(refusals.UNKNOWN_METHOD)
        elif size > HEAD_BYTES or len(self._headers) > _HEADERS:
            self.refuse(refusals.head_too_large(HEAD_BYTES))
        elif coding is not None and coding.lower() != b"chunked":
            self.refuse(refusals.UNKNOWN_CODING)
        elif length is not None and int(length) > self._body_bytes:
            self.refuse(refusals.body_too_large(self._body_bytes))
        else:
            self.wants_continue = (request.header(b"expect") or b"").lower() == b"100-continue"

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        request = self.incoming
        if request is None:  # it is refused
            return
        request.size += len(piece)
        self._in_flight.bytes += len(piece)
        self._overhead -= len(piece)
        request.body.append(piece)
        if request.size > self._body_bytes:
            self.refuse(refusals.body_too_large(self._body_bytes))
        elif self._in_flight.bytes > self._in_flight.most and request.size > PIECE:
            # Small bodies come in all the same: the number of connections bounds them, and large ones starve nobody.
            self.refuse(refusals.BODIES_IN_FLIGHT)

    def on_message_complete(self) -> None:
        """The request is whole, its last chunk too."""
        if self.incoming is None or (self._parser.should_upgrade() and self._framing()):
            return
        self.wants_continue = False
        self.ready.append(self.incoming)
        self.deaf = not self.incoming.keep_alive or len(self.ready) >= _PIPELINED
        self.incoming, self.in_head, self._head_bytes = None, False, 0
