"""What jobs do in the service's own worker processes, which are killed where they are to stop."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any

from service.core.sweeps.chunks import compute_chunk
from service.core.sweeps.sweep import Sweep
from service.jobs.engine import ChunkWork
from service.settings import UNWEIGHED
from service.usecases.context import Context
from service.workers.pool import Gone, Pool

_NO_END = 10 * 365 * 86_400.0  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class ChunkTask:
    """A chunk, as it is handed to a process: that finds the graphs by their digests."""

    digests: tuple[str, ...]
    sweep: Sweep
    number: int


def compute_with(context: Context) -> Callable[[ChunkTask], tuple[Any, Iterable[bytes]]]:
    """What a process of the pool does with a chunk."""

    def compute(task: ChunkTask) -> tuple[Any, Iterable[bytes]]:
        context.forget_changed()
        graphs = [context.compact_graph(digest) for digest in task.digests]
        return None, [compute_chunk(graphs, task.sweep, task.number)]

    return compute


class ProcessEngine:
    """An `Engine` that has at most `size` processes of a pool at a time."""

    def __init__(self, pool: Pool, size: int) -> None:
        self._pool = pool
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="chunk")
        self.window = 2 * size

    def submit(self, work: ChunkWork, number: int, stop: Event) -> "Future[bytes]":
        """As `Engine`."""
        return self._threads.submit(self._compute, work, number, stop)

    def ask(self, task: Any, given: Iterable[bytes], nbytes: int, stop: Event) -> tuple[Any, Any]:
        """The reply to a task and its bytes, as `Pool.call`, but without an end and in turn with the chunks."""
        return self._threads.submit(self._call, task, given, nbytes, stop).result()

    def _compute(self, work: ChunkWork, number: int, stop: Event) -> bytes:
        task = ChunkTask(tuple(work.graphs), work.sweep, number)
        return bytes(self._call(task, (), work.nbytes + UNWEIGHED, stop)[1])

    def _call(self, task: Any, given: Iterable[bytes], nbytes: int, stop: Event) -> tuple[Any, Any]:
        if stop.is_set():
            raise Gone
        most = min(nbytes, self._pool.nbytes)
        return self._pool.call(task, given, nbytes=most, seconds=_NO_END, gone=stop, behind=True)

    def close(self) -> None:
        """As `Engine`; what is under way is let go of by whoever gave it."""
        self._threads.shutdown(wait=False, cancel_futures=True)
