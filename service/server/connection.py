"""One connection: requests in turn, the clock of what it waits for, and answers in pieces."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, cast

from service.server import refusals
from service.server.reading import HEAD_BYTES, PIECE, SLOWEST, HTTPRequest, RequestReader, Turn
from service.server.wsgi import Answer

if TYPE_CHECKING:
    from service.server.server import Server

_PIECES_AT_ONCE = 4  # then other connections have their turn
_HEADS = 2048  # bytes that are parsed at once where a head may be: a dozen requests
_LAST_WORDS = 0.25  # seconds for a client to read why it was refused, when the server stops
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close without sending what the kernel still holds


class Connection(asyncio.Protocol):
    """A client's connection. `due` is the time of the loop's clock at which what it waits for is too late.

    It waits for a head, for a body, for its request's turn and answer (which is never too late: the request's own work
    bounds that), for the reader of its answer, or, once it has hung up, for the client to hang up too.
    """

    def __init__(self, server: "Server") -> None:
        self._server, self._loop = server, server.loop
        self._reader = RequestReader(server.bounds, server.body_bytes, server.in_flight)
        self._transport: asyncio.Transport
        self._turn: Turn | None = None  # what is being answered
        self._ahead = b""  # what came meanwhile
        self._pieces: Iterator[bytes | memoryview] | None = None
        self._began = 0.0  # when the head or body that is being read, or the answer, began
        self._answer_size = 0
        self.unsent = 0  # bytes of an answer that the kernel did not take at once, until it has taken all
        self._in_turn = False  # it sends much, and others read before it
        self._full = False  # the kernel takes no more of the answer now
        self._refused = False  # so that the client may still be sending what is not read
        self._ended = self._hung_up = self._aborted = self._lost = False  # by the client; by us, at once; altogether
        self.due = inf

    # --- what the event loop calls ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)  # an answer is sent when the kernel has all of it
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # for what the kernel has, and the client does not take
            milliseconds = int(2000 * self._server.bounds.reader_seconds)
            self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._server.connected(self)
        self.due = self._loop.time() + self._server.bounds.head_seconds

    def data_received(self, data: bytes) -> None:
        """Bytes have come; they wait while an answer is under way."""
        body = self._reader.incoming
        if self._hung_up or len(data) >= PIECE or (body and body.size >= PIECE):
            self._in_turn = True
            self._transport.pause_reading()
            self._server.read_in_turn(self)
        if self._hung_up:
            return
        self._ahead += data
        if self._turn is None:
            self._advance()
        elif len(self._ahead) > HEAD_BYTES:
            self._transport.pause_reading()

    def read_on(self) -> None:
        """It is its turn to read what has come since."""
        self._in_turn = False
        self._read_on()

    def _read_on(self) -> None:
        """Read on, unless too much waits already or others that send much are before it."""
        if len(self._ahead) <= HEAD_BYTES and not self._in_turn and not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """The client sends no more: it has left, or waits for its answer. Return whether to keep the connection."""
        self._ended = self._reader.deaf = True
        self._reader.forget_incoming()
        self._ahead = b""
        if isinstance(self._turn, HTTPRequest):
            self._turn.gone.set()
        return self._turn is not None and not self._hung_up

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._lost, self.due, self._ahead, self._pieces = True, inf, b"", None
        self._reader.deaf = True
        self._reader.forget_incoming()
        for turn in self._reader.ready:
            self._release(turn)
        self._reader.ready.clear()
        if isinstance(self._turn, HTTPRequest):
            self._turn.gone.set()
        self._server.sent(self)
        self._server.disconnected(self)

    def pause_writing(self) -> None:
        """The kernel takes no more of the answer."""
        self._full = True

    def resume_writing(self) -> None:
        """The kernel has taken all that was written."""
        self._full = False
        self._push()

    # --- requests in turn ---------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Parse what has come, until a request is whole; of many heads that come at once the others wait."""
        reader, coming = self._reader, memoryview(self._ahead)
        while coming and not reader.ready and not reader.deaf:
            before = (reader.begun, reader.in_head, reader.incoming)
            size = PIECE if reader.incoming else _HEADS
            reader.feed(coming[:size])
            coming = coming[size:]
            if (reader.begun, reader.in_head, reader.incoming) != before:
                self._began = self._loop.time()
        self._ahead = bytes(coming)

    def _advance(self, pipelined: bool = False) -> None:
        """Answer the next request, or wait for it. It is pipelined if it came before the one before was answered."""
        if self._turn is not None or self._hung_up or self._lost:
            return
        if not self._reader.ready and not self._reader.deaf and self._ahead:
            self._feed()
            self._read_on()
        if self._reader.ready:
            self._answer(self._reader.ready.popleft(), pipelined)
        elif self._reader.deaf or (self._server.stopping and self._reader.incoming is None):
            self._hang_up()
        else:
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        bounds, now = self._server.bounds, self._loop.time()
        body = self._reader.incoming
        if self._reader.wants_continue:
            self._reader.wants_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if body is not None:
            self.due = min(now + bounds.body_seconds, self._began + bounds.transfer_seconds + body.size / SLOWEST)
        elif self._reader.in_head:
            self.due = self._began + bounds.head_seconds
        else:
            self.due = now + bounds.keep_alive_seconds

    def _answer(self, turn: Turn, pipelined: bool) -> None:
        self._turn, self.due = turn, inf
        if not isinstance(turn, HTTPRequest):
            self._send(self._server.refuse(turn.refusal, turn), closes=turn.refusal.closes)
            return
        turn.client = self._client()
        refusal = self._server.take(self, turn, pipelined)
        if refusal:
            self._send(self._server.refuse(refusal, turn), closes=refusal.closes)

    def answered(self, answer: Answer | None) -> None:
        """The request that was under way has its answer; None if the application failed."""
        turn = self._turn
        if self._lost or turn is None:
            if turn is not None:
                self._release(turn)
            return
        self._send(answer or self._server.refuse(refusals.FAILED, turn))

    # --- an answer ----------------------------------------------------------------------------------------------------

    def _send(self, answer: Answer, closes: bool = False) -> None:
        turn, reader = self._turn, self._reader
        assert turn is not None
        self._release(turn)
        self._refused = closes
        reader.deaf = reader.deaf or closes or self._server.stopping
        connection = None
        if reader.deaf and not reader.ready:
            connection = "close"
        elif isinstance(turn, HTTPRequest) and turn.version == "1.0":
            connection = "keep-alive"
        self._pieces = answer.to_http(self._server.date(), connection)
        self._began, self._answer_size = self._loop.time(), answer.size()
        self._push()
        if self._pieces is not None:
            self.unsent = self._answer_size
            self._server.sends(self)

    def _push(self) -> None:
        """Write the answer, as far as the kernel takes it now."""
        if self._pieces is None:
            return
        for _ in range(_PIECES_AT_ONCE):
            bounds = self._server.bounds
            whole = self._began + bounds.transfer_seconds + self._answer_size / SLOWEST
            self.due = min(self._loop.time() + bounds.reader_seconds, whole)
            if self._full:
                return
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = self._turn = None
                self._server.sent(self)
                self._loop.call_soon(self._advance, True)
                return
            self._transport.write(piece)
        self._loop.call_soon(self._push)

    def _release(self, turn: Turn) -> None:
        """The body of a request is done with."""
        if isinstance(turn, HTTPRequest):
            self._server.in_flight.bytes -= turn.size
            turn.size = 0

    # --- the end ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take no further request; what is under way is answered."""
        if self._hung_up:
            self.due = min(self.due, self._loop.time() + _LAST_WORDS)
        elif self._turn is None and self._reader.incoming is None:
            self._hang_up()

    def late(self) -> None:
        """What it waits for is too late."""
        reader, bounds = self._reader, self._server.bounds
        if self._hung_up or self._turn is not None:
            self.abort()
        elif reader.incoming is not None:
            reader.refuse(refusals.body_too_slow(bounds.body_seconds, bounds.transfer_seconds))
            self._advance()
        elif reader.in_head:
            reader.refuse(refusals.head_too_slow(bounds.head_seconds))
            self._advance()
        else:
            self._hang_up()

    @property
    def idle(self) -> bool:
        """Whether no request of it is under way."""
        return self._turn is None and not self._aborted

    def fileno(self) -> int:
        """Its socket's number; -1 once it is closed."""
        return self._socket().fileno()

    def abort(self) -> None:
        """End the connection now, and have the kernel forget what it has not sent."""
        self._aborted = True
        self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _hang_up(self) -> None:
        """Close. While the client still sends, hear it out: closing on bytes unread would take the answer from it."""
        self._hung_up = True
        bounds = self._server.bounds
        self.due = self._loop.time() + (_LAST_WORDS if self._server.stopping else bounds.reader_seconds)
        if (self._refused or self._ahead) and not self._ended:
            self._ahead = b""
            self._read_on()
            self._transport.write_eof()
        else:
            self._transport.close()

    def _socket(self) -> socket.socket:
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    def _client(self) -> str:
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if name else ""
