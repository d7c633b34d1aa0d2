"""A request through a WSGI application (PEP 3333), and its answer as HTTP."""

import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from service.server.reading import PIECE, HTTPRequest

Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Headers: TypeAlias = list[tuple[str, str]]
Aside: TypeAlias = Callable[[], AbstractContextManager[None]]

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; its pieces lie in memory, so that no thread waits for who reads them."""

    head: bytes  # but for the headers that are the server's own
    pieces: list[bytes]

    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.pieces))

    def to_http(self, date: str, connection: str | None) -> Iterator[bytes | memoryview]:
        """Head and body, in pieces of at most 64 KiB, or of a little more where the body is small."""
        own = f"Date: {date}\r\n" + (f"Connection: {connection}\r\n\r\n" if connection else "\r\n")
        head = self.head + own.encode("ascii")
        if self.size() <= PIECE:
            yield b"".join((head, *self.pieces))
            return
        yield head
        for piece in self.pieces:
            view = memoryview(piece)
            for begin in range(0, len(piece), PIECE):
                yield view[begin : begin + PIECE]


def make_answer(method: str, status: int, headers: Headers, pieces: list[bytes]) -> Answer:
    """The answer to a request with that method; raises ValueError for a header that HTTP cannot carry."""
    bodiless = method == "HEAD" or status in (204, 304)
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} "]
    own = {"date"} if bodiless else {"date", "content-length"}
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in own]
    if not bodiless:
        lines.append(f"Content-Length: {sum(map(len, pieces))}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n"
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
        raise ValueError("a header has more than one line")
    return Answer(head, [] if bodiless else pieces)


def call(
    application: Application, request: HTTPRequest, server: tuple[str, int], aside: Aside = nullcontext
) -> Answer | None:
    """The application's answer; None, and a traceback in the log, if it has none."""
    status, headers, pieces = 0, Headers(), list[bytes]()

    def start_response(line: str, given: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        nonlocal status, headers
        status, headers = int(line[:3]), given
        return pieces.append

    try:
        answered = application(environ(request, server, aside), start_response)
        try:
            pieces.extend(answered)
        finally:
            close = getattr(answered, "close", None)
            if close:
                close()
        return make_answer(request.method, status, headers, pieces)
    except BaseException:  # whatever it is, the thread goes on and the client is answered
        logging.getLogger("gradbook").exception("the application failed")
        return None


def environ(request: HTTPRequest, server: tuple[str, int], aside: Aside = nullcontext) -> dict[str, Any]:
    """The request as PEP 3333 has it, with three members of our own.

    `gradbook.body` has the pieces of the body, which need not be put together. `gradbook.client_gone` is an Event that
    is set when the client has left. Within the context `gradbook.aside()` a view only waits for another process, and
    another thread takes its place.
    """
    body, request.body = request.body, []
    size = sum(map(len, body))
    found = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": request.root.decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query.decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "REMOTE_ADDR": request.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b"".join(body)) if len(body) < 2 else io.BufferedReader(_Body(body)),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "gradbook.body": body,
        "gradbook.client_gone": request.gone,
        "gradbook.aside": aside,
    }
    for key, value in request.headers:
        if b"_" in key or key in (b"transfer-encoding", b"content-length"):
            continue  # X_Name and X-Name would become the same variable
        name = key.decode("latin-1").upper().replace("-", "_")
        name = name if name == "CONTENT_TYPE" else f"HTTP_{name}"
        text = value.decode("latin-1")
        found[name] = f"{found[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{text}" if name in found else text
    if size or request.header(b"content-length") is not None:
        found["CONTENT_LENGTH"] = str(size)
    return found


class _Body(io.RawIOBase):
    """The pieces of a body, read as a file."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces, self._position, self._taken = pieces, 0, 0  # taken of the piece at that position

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._position < len(self._pieces):
            part = memoryview(self._pieces[self._position])[self._taken : self._taken + len(buffer)]
            if part:
                buffer[: len(part)] = part
                self._taken += len(part)
                return len(part)
            self._position, self._taken = self._position + 1, 0
        return 0
