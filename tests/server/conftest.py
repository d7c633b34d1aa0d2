"""A server in a thread, with short clocks and a few views, and clients that send whatever they like."""

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.client import parse_headers
from threading import Event, Thread
from typing import Any

import pytest
from flask import Flask, Response, request

from service.api.http import observability, problems
from service.server.server import Server
from service.server.sources import Listener
from service.settings import ServerBounds

NOTES = "https://notes.example"  # a site whose pages may call
SECONDS = 0.3  # each clock, where a test waits for it; elsewhere there is time enough on any machine
PATIENCE = 20.0  # how long a client waits for what must come


@dataclass
class Views:
    """The views behind the server, and how often each ran."""

    ran: Counter[str] = field(default_factory=Counter)
    go: Event = field(default_factory=Event)  # what /wait waits for
    gone: Event = field(default_factory=Event)  # set when /watch has seen its client leave

    def app(self) -> Flask:
        """Views with the service's own log, measurements and problems."""
        app = Flask("views")
        app.extensions["gradbook"] = None
        observability.observe(app)
        problems.register(app, (NOTES,))

        @app.before_request
        def count() -> None:
            self.ran[request.path] += 1

        for path in ("/livez", "/readyz", "/metrics"):
            app.add_url_rule(path, path, lambda: {"status": "ok"})

        @app.route("/echo", methods=["GET", "POST"])
        def echo() -> bytes:
            return request.get_data()

        @app.get("/bytes/<int:count>")
        def some(count: int) -> bytes:
            return zeros(count)

        @app.get("/wait")
        def wait() -> bytes:
            self.go.wait(PATIENCE)
            return b"waited"

        @app.get("/aside")
        def wait_aside() -> bytes:
            with request.environ["gradbook.aside"]():
                self.go.wait(PATIENCE)
            return b"waited aside"

        @app.get("/watch")
        def watch() -> bytes:
            if request.environ["gradbook.client_gone"].wait(PATIENCE):
                self.gone.set()
            return b"watched"

        @app.get("/status/<int:status>")
        def answer(status: int) -> Response:
            return Response(status=status)

        return app


zeros = cache(bytes)  # once, for many readers


class Client:
    """A connection of its own."""

    def __init__(self, port: int, sent: bytes = b"", receives: int = 0) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if receives:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self._file = self.socket.makefile("rb")
        self.send(sent)

    def send(self, sent: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(sent)

    def read(self, method: str = "GET") -> "Got":
        """The next answer."""
        status = int(self._file.readline().split()[1])
        headers = {name.lower(): value for name, value in parse_headers(self._file).items()}
        bodiless = method == "HEAD" or status in (204, 304)
        return Got(status, headers, b"" if bodiless else self._file.read(int(headers["content-length"])))

    def rest(self) -> bytes:
        """All that still comes, until the server closes or resets the connection."""
        parts = []
        try:
            while part := self._file.read1():
                parts.append(part)
        except ConnectionError:
            pass
        return b"".join(parts)

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self.socket.close()


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> Any:
        """The problem that this answer must be."""
        document = json.loads(self.body)
        assert self.headers["content-type"] == "application/problem+json"
        assert document["status"] == self.status and self.headers["x-request-id"]
        assert document["type"].startswith("urn:gradbook:problem:") and document["title"] and document["detail"]
        assert self.headers.get("retry-after") == ("1" if self.status == 503 else None)
        return document


def ask(path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}"] if body is not None else []
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")


@dataclass
class Served:
    """A running server, its views and its clients."""

    server: Server
    views: Views
    port: int
    thread: Thread
    stack: ExitStack

    def client(self, sent: bytes = b"", receives: int = 0) -> Client:
        """A client that has sent something."""
        client = Client(self.port, sent, receives)
        self.stack.callback(client.close)
        return client

    def get(self, path: str) -> Got:
        """What a well-behaved client gets."""
        client = self.client(ask(path, Connection="close"))
        got = client.read()
        client.close()
        return got


Serve = Callable[..., Any]


@contextmanager
def serving(threads: int = 2, body_bytes: int = 1 << 20, clocks: float = PATIENCE, **bounds: float) -> Iterator[Served]:
    """A server that is up, with all its clocks alike unless given; at the end it stops, and leaves nothing."""
    seconds = dict.fromkeys(
        ("head_seconds", "body_seconds", "reader_seconds", "keep_alive_seconds", "transfer_seconds"), clocks
    )
    views = Views()
    app = views.app()
    chosen: dict[str, Any] = {**seconds, "stop_seconds": PATIENCE, **bounds}
    server = Server(
        app, app.extensions["refuse"], threads=threads, body_bytes=body_bytes, bounds=ServerBounds(**chosen)
    )
    up = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        thread = Thread(target=server.run, args=(Listener(listener), up.set))
        thread.start()
        assert up.wait(PATIENCE)
        try:
            yield Served(server, views, listener.getsockname()[1], thread, stack)
        finally:
            views.go.set()
            stack.close()
            if thread.is_alive():
                server.stop()
            thread.join(PATIENCE)
            assert not thread.is_alive()
            assert server.in_flight.bytes == server._unsent == 0


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that starts a server for this test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(**options))


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server with two threads."""
    started: Served = serve()
    return started


@pytest.fixture
def hasty(serve: Serve) -> Served:
    """A server with two threads and short clocks."""
    started: Served = serve(clocks=SECONDS)
    return started
