"""A load client of negligible cost, so that the server is measured: prepared bytes over persistent connections."""

import socket
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import TypeAlias
from urllib.parse import urlsplit

# A task yields each request, is sent the body of its answer, and ends.
Task: TypeAlias = Generator[bytes, bytes, None]


def post(url: str, body: bytes, content_type: str = "application/json", accept: str = "*/*") -> bytes:
    """The bytes of a request."""
    parts = urlsplit(url)
    lines = (
        f"POST {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Type: {content_type}",
        f"Accept: {accept}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def request_once(request: bytes) -> Callable[[], Task]:
    """The task of one request."""

    def task() -> Task:
        yield request

    return task


def tasks_per_second(url: str, task: Callable[[], Task], connections: int, seconds: float) -> float:
    """Tasks per second while each connection always has one request under way.

    Runs for `seconds`, or until each has done one; raises where a request is refused.
    """
    parts = urlsplit(url)
    done = 0
    with ExitStack() as stack:
        lanes = [
            _Lane(stack.enter_context(socket.create_connection((parts.hostname, parts.port), 60)), task)
            for _ in range(connections)
        ]
        begin = time.perf_counter()
        while (taken := time.perf_counter() - begin) < seconds or done < connections:
            done += sum(lane.step() for lane in lanes)
        for lane in lanes:
            lane.read()
    return done / taken


class _Lane:
    """A connection with a request under way."""

    def __init__(self, connection: socket.socket, task: Callable[[], Task]) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection, self._begin = connection, task
        self._task = task()
        connection.sendall(next(self._task))

    def step(self) -> bool:
        """Read the answer and send the next request; return whether that finished a task."""
        answer = self.read()
        try:
            self._connection.sendall(self._task.send(answer))
        except StopIteration:
            self._task = self._begin()
            self._connection.sendall(next(self._task))
            return True
        return False

    def read(self) -> bytes:
        """The body of the pending answer."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1]
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        parts = [body]
        missing = length - len(body)
        while missing:
            parts.append(self._receive())
            missing -= len(parts[-1])
        if not status.startswith(b"2"):
            raise RuntimeError(f"the server answered {status.decode()}: {b''.join(parts)[:500]!r}")
        return b"".join(parts)

    def _receive(self) -> bytes:
        received = self._connection.recv(1 << 18)
        if not received:
            raise RuntimeError("the server closed the connection")
        return received
