"""Where a server's connections come from: it accepts them itself, or is handed what another process has accepted."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

BACKLOG = 4096  # connections that wait to be accepted
READY, GONE = b"r", b"g"  # what is said over a channel: connections may come; one of them is gone
_ACCEPTED_AT_ONCE = 16  # libuv accepts one connection a turn, for each time that it listens


class Source(Protocol):
    """Where connections come from, and the address that clients connect to."""

    address: tuple[str, int]

    async def begin(
        self, loop: asyncio.AbstractEventLoop, make: Callable[[], asyncio.Protocol], over: Callable[[], None]
    ) -> None:
        """Have each connection be one that is made; `over` is called if there will be no more. Raises OSError."""

    def fileno(self) -> int:
        """What can be read as long as a connection waits; negative if none will."""

    def gone(self) -> None:
        """A connection has ended."""

    def close(self) -> None:
        """Have no connection more."""


class Listener:
    """A bound socket."""

    def __init__(self, listener: socket.socket) -> None:
        self.address = listener.getsockname()[:2]
        self._listener = listener
        self._listening: list[asyncio.Server] = []  # at the same socket

    async def begin(
        self, loop: asyncio.AbstractEventLoop, make: Callable[[], asyncio.Protocol], over: Callable[[], None]
    ) -> None:
        """Listen."""
        for _ in range(_ACCEPTED_AT_ONCE):
            self._listening.append(await loop.create_server(make, sock=self._listener.dup(), backlog=BACKLOG))

    def fileno(self) -> int:
        """The socket's."""
        return self._listener.fileno()

    def gone(self) -> None:
        """Nobody asks."""

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        for each in self._listening:
            each.close()


class Channel:
    """A Unix socket over which each connection comes, with a byte, and the other side is told of each that is gone."""

    def __init__(self, channel: socket.socket, address: tuple[str, int]) -> None:
        self.address = address
        self._channel = channel
        self._is_over = False
        self._tasks: set[asyncio.Task[object]] = set()

    async def begin(
        self, loop: asyncio.AbstractEventLoop, make: Callable[[], asyncio.Protocol], over: Callable[[], None]
    ) -> None:
        """Say that connections may come."""
        self._loop, self._make, self._over = loop, make, over
        self._channel.setblocking(False)
        loop.add_reader(self._channel.fileno(), self._take)
        self._say(READY)

    def _take(self) -> None:
        try:
            told, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        except BlockingIOError:
            return
        except OSError:
            told, descriptors = b"", []
        if not told:  # the other side is no more, or wants an end
            self._is_over = True
            self._loop.remove_reader(self._channel.fileno())
            self._over()
        elif not descriptors:  # this process may open no more files
            self._say(GONE)
        else:
            connection = socket.socket(fileno=descriptors[0])
            connection.setblocking(False)
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._make, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def fileno(self) -> int:
        """The channel's, until the other side has ended it."""
        return -1 if self._is_over else self._channel.fileno()

    def gone(self) -> None:
        """Tell the other side."""
        self._say(GONE)

    def close(self) -> None:
        """Close the channel."""
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
        self._channel.close()

    def _say(self, word: bytes) -> None:
        with suppress(OSError):  # nobody listens any more
            self._channel.send(word)
