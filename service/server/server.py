"""Listen, watch the clocks, stop."""

import asyncio
import selectors
import signal
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from heapq import nsmallest
from importlib.util import find_spec
from math import inf

from service.server import refusals
from service.server.connection import Connection
from service.server.reading import BodiesInFlight, HTTPRequest, Turn
from service.server.refusals import Refusal, Refuse
from service.server.sources import Source
from service.server.workers import Workers
from service.server.wsgi import Answer, Application, call, make_answer
from service.settings import ServerBounds

_TICK = 0.05  # seconds between two looks at the clocks, and until it stops
_SENT_BEFORE = 1.0  # seconds, at most, for what was sent before the stop to be read
_OTHER_FILES = 128  # that the process may open besides its connections
_READS_AT_ONCE = 2  # of connections that send much; then all others have their turn

# Answered on the event loop, beside whatever goes on in the threads: it may wait for nothing.
ON_THE_LOOP = frozenset({b"/livez"})
# Answered in a thread of their own, so that they never wait for views.
APART = frozenset({b"/readyz", b"/metrics"})


class Server:
    """A WSGI application behind HTTP/1.1. `run` serves in the calling thread until `stop`."""

    def __init__(
        self,
        application: Application,
        refuse: Refuse,
        *,
        threads: int,
        body_bytes: int,
        bounds: ServerBounds,
        prefix: str = "",
    ) -> None:
        self.loop = new_event_loop()
        self.bounds, self.body_bytes, self._prefix = bounds, body_bytes, prefix.encode()
        self.in_flight = BodiesInFlight(bounds.bytes_in_flight)
        self.stopping = False
        self._end = inf  # when to stop waiting for what is under way
        self._application, self._refuse = application, refuse
        self._workers = Workers("view", threads, bounds.waiting_requests)
        self._probes = Workers("probe", 1, bounds.waiting_requests)
        self._source: Source
        self._told = False  # to stop
        self._connections: set[Connection] = set()
        self._to_read: deque[Connection] = deque()
        self._unsent = 0  # bytes of answers
        self._address = ("", 0)
        self._date = (-1, "")

    def run(self, source: Source, started: Callable[[], None], *, signals: bool = False) -> None:
        """Serve the connections of a source; with `signals`, SIGTERM and SIGINT stop it. Raises OSError if it cannot
        listen."""
        allow_open_files(self.bounds.connections + _OTHER_FILES)
        try:
            self.loop.run_until_complete(self._serve(source, started, signals))
        finally:
            self.loop.close()

    def stop(self) -> None:
        """Accept no connection and no request more; `run` returns when those under way are answered. Of any thread."""
        self.loop.call_soon_threadsafe(self._stop_soon)

    def load(self) -> Mapping[str, int]:
        """What it has to do at the moment. Of any thread."""
        return {
            "connections": len(self._connections),
            "requests_under_way": self._workers.under_way,
            "requests_waiting": self._workers.waiting,
            "body_bytes": self.in_flight.bytes,
            "unsent_bytes": self._unsent,
        }

    async def _serve(self, source: Source, started: Callable[[], None], signals: bool) -> None:
        self._address, self._source = source.address, source
        await source.begin(self.loop, partial(Connection, self), self._stop_unless_told)
        if signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self.loop.add_signal_handler(number, self._stop_soon)
        started()
        while self._connections or not self.stopping:
            await asyncio.sleep(_TICK)
            now = self.loop.time()
            for connection in tuple(self._connections):
                if now >= self._end:
                    connection.abort()
                elif now >= connection.due:
                    connection.late()

    def _stop_unless_told(self) -> None:
        """Stop soon, unless a signal has said so before: told twice, it would end at once."""
        if not self._told:
            self._stop_soon()

    def _stop_soon(self) -> None:
        """Stop when what clients have sent before is accepted and read, or after a second of ever more."""
        self._told = True
        self.loop.call_later(_TICK, self._stop_when_read, self.loop.time() + _SENT_BEFORE)

    def _stop_when_read(self, latest: float) -> None:
        # By the clock alone, a loop that comes late, whose timers are due before its sockets, would reset the unread.
        if not self.stopping and self.loop.time() < latest and self._unread():
            self.loop.call_later(_TICK, self._stop_when_read, latest)
        else:
            self._stop()

    def _unread(self) -> bool:
        """Whether a connection waits to be accepted, or one without a request under way to be read."""
        waiting = [connection.fileno() for connection in self._connections if connection.idle]
        with selectors.DefaultSelector() as selector:
            for number in (self._source.fileno(), *waiting):
                if number >= 0:
                    selector.register(number, selectors.EVENT_READ)
            return bool(selector.select(0))

    def _stop(self) -> None:
        self._end = 0 if self.stopping else self.loop.time() + self.bounds.stop_seconds  # told twice, it ends at once
        self.stopping = True
        self._source.close()
        for connection in tuple(self._connections):
            connection.stop()

    # --- what a connection asks for -----------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        """Watch a connection's clock. Where there are too many, those go that would be the first to be late."""
        if len(self._connections) >= self.bounds.connections:
            idle = [each for each in self._connections if each.idle]
            for each in nsmallest(1 + len(idle) // 16, idle or [connection], key=lambda each: each.due):
                each.abort()
        self._connections.add(connection)

    def disconnected(self, connection: Connection) -> None:
        """Watch it no more."""
        self._connections.discard(connection)
        self._source.gone()

    def read_in_turn(self, connection: Connection) -> None:
        """Have a connection that sends much read on after those that asked before."""
        self._to_read.append(connection)
        if len(self._to_read) == 1:
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        for _ in range(min(_READS_AT_ONCE, len(self._to_read))):
            self._to_read.popleft().read_on()
        if self._to_read:
            self.loop.call_soon(self._read_on)

    def sends(self, connection: Connection) -> None:
        """Count an answer that waits for its reader. Of too many bytes those go that would be the first to be late."""
        self._unsent += connection.unsent
        sending = [each for each in self._connections if each.unsent]
        for each in sorted(sending, key=lambda each: each.due)[: len(sending) - 1]:
            if self._unsent <= self.bounds.unsent_bytes:
                return
            self.sent(each)
            each.abort()

    def sent(self, connection: Connection) -> None:
        """Its answer takes no more memory."""
        self._unsent -= connection.unsent
        connection.unsent = 0

    def take(self, connection: Connection, request: HTTPRequest, pipelined: bool) -> Refusal | None:
        """Have a request answered, at once or in a thread, or say why not."""
        request.mount(self._prefix)
        if request.path in ON_THE_LOOP and request.method in ("GET", "HEAD"):
            connection.answered(call(self._application, request, self._address))
            return None
        workers = self._probes if request.path in APART else self._workers
        taken = workers.submit(partial(self._work, workers, connection, request), behind=pipelined)
        return None if taken else refusals.TOO_MANY_WAIT

    def _work(self, workers: Workers, connection: Connection, request: HTTPRequest) -> None:
        answer = call(self._application, request, self._address, workers.aside)
        with suppress(RuntimeError):  # of a loop that is closed, since the server has stopped meanwhile
            self.loop.call_soon_threadsafe(self._answered, workers, connection, answer)

    def _answered(self, workers: Workers, connection: Connection, answer: Answer | None) -> None:
        workers.done()
        connection.answered(answer)

    def refuse(self, refusal: Refusal, asked: Turn) -> Answer:
        """The problem that a refusal is."""
        said = (refusal.status, refusal.slug, refusal.title, refusal.detail, refusal.members)
        headers, body = self._refuse(*said, asked.method, asked.path.decode("latin-1"), asked.origin)
        return make_answer(asked.method, refusal.status, headers, [body])

    def date(self) -> str:
        """The time for the header Date."""
        now = int(self.loop.time())
        if now != self._date[0]:
            self._date = (now, formatdate(usegmt=True))
        return self._date[1]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, which is faster, else asyncio's own."""
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def allow_open_files(count: int) -> None:
    """Raise the process's own limit of open files to that, as far as the system allows; connections are such."""
    if find_spec("resource") is None:  # on Windows
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
