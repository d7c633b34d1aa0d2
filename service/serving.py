"""Start the service: migrate its database, then run one process with several threads under granian."""

import gc
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any

from service import example
from service.client import Client, ClientError
from service.settings import Settings

_SECONDS_TO_FINISH = 30  # for the requests under way at shutdown
_SECONDS_TO_START = 120  # the first start on a machine compiles
_LAST_LINES = 5
_LOG_TO_STDERR = {
    "handlers": {
        name: {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}
        for name in ("console", "access")
    }
}


class CannotStart(Exception):
    """The service cannot be started; the message says why."""


def migrate(settings: Settings) -> None:
    """Migrate the database to the newest version; raises CannotStart if it is unreachable, ValueError for its URL."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.storage.database import Database

    database = Database(settings.database_url)
    try:
        database.migrate()
    except SQLAlchemyError as error:
        raise CannotStart(f"the database cannot be used: {str(error).splitlines()[0]}") from error
    finally:
        database.close()


def store_seed_example(settings: Settings) -> tuple[str, str]:
    """Store the seed example's graph and run in a migrated database, once; return their ids."""
    import numpy as np

    from service.storage.database import Database
    from service.usecases.context import Context
    from service.usecases.graphs import create_graph
    from service.usecases.idempotency import IdempotencyKey
    from service.usecases.runs import create_run

    context = Context(Database(settings.database_url), settings.limits)
    try:
        graph, *_ = create_graph(context, example.NAME, expression=example.EXPRESSION, tags={})
        inputs = {name: np.array(value) for name, value in example.INPUTS.items()}
        once = IdempotencyKey("gradbook migrate --seed-example", graph.id)
        run = create_run(context, graph.id, inputs, label=example.LABEL, tags={}, key=once)
        return graph.id, run.record.id
    finally:
        context.database.close()


def serve(settings: Settings) -> None:
    """Migrate, then serve until SIGTERM or SIGINT; raises CannotStart if the address is unavailable."""
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    address, port = _bind(settings.host, settings.port)
    migrate(settings)
    _end_forked_processes_by_signals()
    shown = f"[{address}]" if ":" in address else address
    print(f"Gradbook serves at http://{shown}:{port} and explains itself at /docs", file=sys.stderr, flush=True)
    Granian(
        "service.app:create_app",
        address=address,
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=settings.threads,
        workers_kill_timeout=_SECONDS_TO_FINISH,
        log_level=LogLevels.error,
        log_dictconfig=_LOG_TO_STDERR,
    ).serve(target_loader=partial(_load_app, settings), wrap_loader=False)


def _load_app(settings: Settings) -> Callable[..., Any]:
    """Create the application, imported only in the process that serves it.

    It serves at once; meanwhile a thread compiles the rulebook, or loads it from the cache.
    """
    from service.app import create_app
    from service.core.execution import kernel

    app = create_app(settings)
    # Reading a large body would have the cycle collector scan every live object. What is alive now stays alive, and
    # requests leave few cycles behind.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    Thread(target=kernel.warm, name="warm", daemon=True).start()
    return app


def _end_forked_processes_by_signals() -> None:
    """Let SIGTERM and SIGINT end a process that is forked from now on, until it sets handlers of its own.

    Granian's worker sets them once it has imported the application, a second later. Until then it would inherit its
    parent's handlers, in which a signal is lost. Signals are blocked around the fork.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)

    def end_by_signals() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, numbers),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers),
        after_in_child=end_by_signals,
    )


def _bind(host: str, port: int) -> tuple[str, int]:
    """Return the address and port to listen at; a port of 0 becomes a free one. Raises CannotStart.

    Granian shares its port (SO_REUSEPORT): without this check a second service would start beside the first and take
    half of its requests.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            found = listener.getsockname()
    except OSError as error:
        raise CannotStart(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
    return str(found[0]), int(found[1])


def free_port() -> int:
    """A free port of 127.0.0.1."""
    return _bind("127.0.0.1", 0)[1]


@contextmanager
def service_process(database_url: str, port: int | None = None) -> Iterator[str]:
    """Run `gradbook serve` in a process of its own, with the default settings; yield its URL once it is ready.

    Raises CannotStart, with the last lines of its log, if it exits before.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port), "--database", database_url]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADBOOK_")}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            if not _wait_until_ready(url, process):
                log.seek(0)
                said = "".join(log.readlines()[-_LAST_LINES:]).strip()
                raise CannotStart(f"the service did not start: {said or 'its log is empty'}")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_SECONDS_TO_FINISH)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _SECONDS_TO_START
    with Client(url, timeout=5, retries=0) as gradbook:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                gradbook.check_ready()
                return True
            except ClientError:
                time.sleep(0.05)
    return False
