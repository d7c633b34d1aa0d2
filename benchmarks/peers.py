"""The servers to measure against, each in a process of its own."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from service.process import free_port

_SECONDS_TO_START = 120
# MLflow needs other releases of what the service needs too.
_MLFLOW = Path(".venv-mlflow/bin/python")


@contextmanager
def flask_server(threads: int) -> Iterator[str]:
    """An empty Flask view, at the route of a run, under the service's own server with as many threads."""
    with _process([sys.executable, "-m", "benchmarks.peers", "flask", "{port}", str(threads)], "/") as url:
        yield url


@contextmanager
def umbridge_server() -> Iterator[str]:
    """The tutorial's function and its gradient, written by hand, under UM-Bridge."""
    with _process([sys.executable, "-m", "benchmarks.peers", "umbridge", "{port}"], "/Info") as url:
        yield url


@contextmanager
def mlflow_server(folder: Path, threads: int) -> Iterator[str]:
    """MLflow's tracking server, tuned: SQLite in WAL, gunicorn with threads, no access log."""
    database = folder / "mlflow.db"
    sqlite3.connect(database).execute("PRAGMA journal_mode=WAL").close()  # persists in the file
    command = [str(_MLFLOW), "-m", "mlflow", "server", "--port", "{port}", "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{database}", "--default-artifact-root", str(folder / "artifacts")]
    command += ["--gunicorn-opts", f"--threads {threads} --worker-class gthread --log-level error"]
    with _process(command, "/health", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true") as url:
        yield url


@contextmanager
def _process(command: list[str], path: str, **environment: str) -> Iterator[str]:
    port = free_port()
    filled = [part.replace("{port}", str(port)) for part in command]
    quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(filled, env={**os.environ, **environment}, start_new_session=True, **quiet)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _SECONDS_TO_START
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(filled)} did not start")
            try:
                requests.get(url + path, timeout=5)
                break
            except requests.RequestException:
                time.sleep(0.1)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)  # gunicorn's workers too
            process.wait(60)


def _serve_flask(port: int, threads: int) -> None:
    from flask import Flask

    from service.server.server import Server
    from service.server.sources import Listener
    from service.settings import Limits, ServerBounds

    app = Flask("empty")
    app.get("/", endpoint="ready")(lambda: b"{}")
    app.post("/v1/graphs/<graph_id>/runs", endpoint="run")(lambda graph_id: b"{}")

    server = Server(app, _refuse, threads=threads, body_bytes=Limits().body_bytes, bounds=ServerBounds())
    with socket.create_server(("127.0.0.1", port)) as listener:
        server.run(Listener(listener), lambda: None, signals=True)


def _refuse(status: int, slug: str, *rest: object) -> tuple[list[tuple[str, str]], bytes]:
    return [], f"{status} {slug}".encode()


def _serve_umbridge(port: int) -> None:
    import umbridge

    class Tutorial(umbridge.Model):  # type: ignore[misc]
        """F(a, b, c, d) = ((a + b) * c) / d of one vector."""

        def __init__(self) -> None:
            super().__init__("tutorial")

        def get_input_sizes(self, config: Any) -> list[int]:
            return [4]

        def get_output_sizes(self, config: Any) -> list[int]:
            return [1]

        def gradient(self, out_wrt: int, in_wrt: int, parameters: Any, sens: Any, config: Any) -> list[float]:
            a, b, c, d = parameters[0]
            f = sens[0] / d
            e = f * c
            return [e, e, f * (a + b), -f * (a + b) * c / d]

        def supports_gradient(self) -> bool:
            return True

    umbridge.serve_models([Tutorial()], port)


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"flask": _serve_flask, "umbridge": _serve_umbridge}[name](*map(int, arguments))
