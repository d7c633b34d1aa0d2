"""Several processes that serve at one address: this one accepts the connections and hands each to the process that has
the fewest; it begins another process where one ends, and stops all together.

    python -P -m service.server.supervisor DESCRIPTOR

is one of them, which is told over that channel what to do. Were they to accept by themselves, the first to wake up
would take all connections that a client opens together.
"""

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from service.server.sources import BACKLOG, GONE, READY, Channel
from service.workers import messages

Serve: TypeAlias = Callable[[Channel], None]

_LOOK = 0.05  # seconds between two looks at the processes
_AGAIN = 1.0  # from one beginning of a process to the next in its place
_TO_END = 5.0  # for a process to end that has answered its last request
_ACCEPTED_AT_ONCE = 16
_HEARD_AT_ONCE = 4096
_log = logging.getLogger("gradbook")


class Supervisor:
    """A process for each of `serves`, which serves until its channel ends, and then for `stop_seconds` at most."""

    def __init__(self, serves: Sequence[Serve], *, stop_seconds: float) -> None:
        self._serves, self._stop_seconds = serves, stop_seconds
        self._places: list[_Place] = []
        self._told = 0  # how often to stop

    def run(self, listener: socket.socket, started: Callable[[], None]) -> None:
        """Have the processes serve at a bound socket until SIGTERM or SIGINT, and return when all have ended; raises
        OSError if it cannot listen."""
        listener.listen(BACKLOG)
        listener.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)
        started()
        with selectors.DefaultSelector() as selector:
            self._places = [_Place(serve, listener.getsockname()[:2], selector) for serve in self._serves]
            selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
            while not self._told:
                for place in self._places:
                    place.fill()
                for key, _ in selector.select(_LOOK):
                    key.data()
        listener.close()
        self._stop()

    def _tell(self, *_: Any) -> None:
        self._told += 1

    def _accept(self, listener: socket.socket) -> None:
        """Hand on the connections that wait, or let them wait until a process is ready."""
        ready = [place for place in self._places if place.is_ready]
        if not ready:
            time.sleep(_LOOK)
            return
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # it may open no more files at the moment, or the client has left
                time.sleep(_LOOK)
                return
            with connection:
                any(place.hand(connection) for place in sorted(ready, key=lambda place: place.connections))

    def _stop(self) -> None:
        """Have all stop; hand on each further signal, and kill what is there when it should long have ended."""
        processes = [process for place in self._places if (process := place.end())]
        end, handed_on = time.monotonic() + self._stop_seconds + _TO_END, 1
        while any(process.poll() is None for process in processes):
            for process in processes:
                if time.monotonic() >= end:
                    process.kill()
                elif self._told > handed_on:
                    process.terminate()
            handed_on = self._told
            time.sleep(_LOOK)


class _Place:
    """Where there is to be a process that serves."""

    def __init__(self, serve: Serve, address: tuple[str, int], selector: selectors.BaseSelector) -> None:
        self._serve, self._address, self._selector = serve, address, selector
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket
        self._begun = -_AGAIN
        self.is_ready = False  # to be handed connections
        self.connections = 0

    def fill(self) -> None:
        """Begin a process if there is none, though not again at once."""
        if self._process and (code := self._process.poll()) is not None:
            _log.warning("process %d, which served, ended with the code %s", self._process.pid, code)
            self._forget_channel()
            self._process = None
        if self._process is None and time.monotonic() - self._begun >= _AGAIN:
            self._begun = time.monotonic()
            self._process = self._begin()

    def _begin(self) -> "subprocess.Popen[bytes]":
        self._channel, theirs = socket.socketpair()
        self.connections = 0
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "service.server.supervisor", str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # a Ctrl-C is the supervisor's to hand on
            )
        with suppress(OSError):  # it has ended already
            messages.send(self._channel, (self._serve, self._address))
        self._channel.setblocking(False)
        self._selector.register(self._channel, selectors.EVENT_READ, self._hear)
        return process

    def _hear(self) -> None:
        try:
            said = self._channel.recv(_HEARD_AT_ONCE)
        except OSError:
            said = b""
        self.is_ready = bool(said) and (self.is_ready or READY in said)
        self.connections -= said.count(GONE)
        if not said:  # it ends, or has ended
            self._forget_channel()

    def _forget_channel(self) -> None:
        self.is_ready = False
        if self._channel.fileno() >= 0:
            self._selector.unregister(self._channel)
            self._channel.close()

    def hand(self, connection: socket.socket) -> bool:
        """Hand the process a connection; False if it takes none."""
        try:
            socket.send_fds(self._channel, [b"c"], [connection.fileno()])
        except OSError:
            return False
        self.connections += 1
        return True

    def end(self) -> "subprocess.Popen[bytes] | None":
        """End the channel; return the process, if there is one."""
        if self._process and self._channel.fileno() >= 0:
            self._channel.shutdown(socket.SHUT_WR)
        return self._process


def _serve(channel: socket.socket) -> None:
    (serve, address), _ = messages.receive(channel)
    serve(Channel(channel, address))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
