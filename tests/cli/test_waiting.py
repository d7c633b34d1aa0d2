"""What a terminal shows of waiting: a pseudo-terminal as standard error, a server that answers when it is told to."""

import os
import pty
import select
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.cli import waiting
from service.cli.waiting import connect


@contextmanager
def impatient_terminal() -> Iterator[int]:
    """Where what standard error shows can be read, a terminal at which nobody is patient.

    No fixture: pytest sets standard error anew between fixtures and tests.
    """
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stderr, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        patch.setenv("TERM", "xterm")
        patch.setattr(waiting, "_MOMENT", 0.0)
        yield ours
    os.close(ours)


def read_until(terminal: int, wanted: bytes) -> None:
    shown = b""
    while wanted not in shown and len(shown) < 20_000:
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, shown
        shown += os.read(terminal, 1000)
    assert wanted in shown


def test_a_terminal_shows_what_is_waited_for_until_it_comes() -> None:
    asked = threading.Event()

    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.wait(20)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            pass

    server, pool = ThreadingHTTPServer(("127.0.0.1", 0), Late), ThreadPoolExecutor()
    with server, pool, impatient_terminal() as terminal:
        pool.submit(server.serve_forever)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        with connect(url) as service:
            answered = pool.submit(service.check_alive)
            read_until(terminal, f"waiting for {url}".encode())
            asked.set()
            answered.result(20)
        server.shutdown()
        read_until(terminal, b"\x1b[?25h")  # the cursor is shown again


def test_elsewhere_nothing_is_shown(service_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with connect(service_url) as service, waiting.waiting("something", began=0.0):
        service.check_alive()
    assert capsys.readouterr() == ("", "")
