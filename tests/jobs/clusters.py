"""Schedulers and workers of dask.distributed, in processes of their own that tests may kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.core.figures.figures import FloatArray, IntArray
from service.process import free_port
from tests.waiting import until

_WORKS = "GRADBOOK_TESTS_KILL_THIS"  # a variable of the workers


@dataclass(frozen=True)
class Deadly:
    """Numbers that end a worker that makes those of the first chunk."""

    count: int
    chunk: int

    def at(self, name: str, indices: IntArray) -> FloatArray:
        """As `Axis`."""
        if len(indices) > 1 and indices[0] < self.chunk and _WORKS in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return indices * 1.0


@dataclass(frozen=True)
class Slow:
    """Numbers of which each block takes a moment and leaves a mark in a file."""

    count: int
    file: str

    def at(self, name: str, indices: IntArray) -> FloatArray:
        """As `Axis`."""
        with Path(self.file).open("ab") as file:
            file.write(b".")
        time.sleep(0.05)
        return indices * 1.0


@dataclass
class Cluster:
    """A scheduler at a port, and workers of one thread each."""

    port: int = field(default_factory=free_port)
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where the scheduler listens, or will."""
        return f"tcp://127.0.0.1:{self.port}"

    def begin_scheduler(self) -> None:
        """Begin a scheduler, in the place of one that was killed."""
        self.scheduler = _begin("scheduler", ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"])
        until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as each:
            return each.connect_ex(("127.0.0.1", self.port)) == 0

    def begin_worker(self) -> None:
        """Begin one more worker, which waits for the scheduler."""
        self.workers.append(
            _begin("worker", [self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60"])
        )

    def kill_worker(self) -> None:
        """Kill the worker that was begun first."""
        _kill(self.workers.pop(0))

    def kill_scheduler(self) -> None:
        """Kill the scheduler; the workers end by themselves then."""
        if self.scheduler:
            _kill(self.scheduler)

    def close(self) -> None:
        """Kill everything."""
        self.kill_scheduler()
        while self.workers:
            self.kill_worker()


@contextmanager
def cluster(workers: int) -> Iterator[Cluster]:
    """A scheduler with so many workers."""
    made = Cluster()
    try:
        made.begin_scheduler()
        for _ in range(workers):
            made.begin_worker()
        yield made
    finally:
        made.close()


def _begin(part: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    variables = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
        _WORKS: "1",
    }
    command = [sys.executable, "-m", "distributed.cli.dask_" + part, *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
