"""Two processes that serve a small application at a free port, which is printed; `python -c` runs `main`."""

import os
import signal
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from service.server.server import Server
from service.server.sources import Source
from service.server.supervisor import Supervisor
from service.settings import ServerBounds

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

PATIENCE = 20.0
BRIEF = 0.5  # seconds that requests under way are given


def answer(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    """The number of the process; /slow is answered when the process is to stop, /stuck never."""
    if environ["PATH_INFO"] == "/stuck":
        time.sleep(2 * PATIENCE)
    while environ["PATH_INFO"] == "/slow" and not SERVERS[0].stopping:
        time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


SERVERS: list[Server] = []


def serve(source: Source) -> None:
    """Serve in one of the processes."""
    signal.alarm(int(2 * PATIENCE))  # nothing outlives its test
    bounds = ServerBounds(stop_seconds=BRIEF)
    SERVERS.append(Server(answer, refuse, threads=2, body_bytes=100, bounds=bounds))
    SERVERS[0].run(source, lambda: None, signals=True)


def refuse(*_: Any) -> tuple[list[tuple[str, str]], bytes]:
    """What is said to a request that is refused."""
    return [], b""


def main() -> None:
    """Supervise."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        Supervisor([serve, serve], stop_seconds=BRIEF).run(
            listener, lambda: print(listener.getsockname()[1], flush=True)
        )
