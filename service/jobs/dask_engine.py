"""The chunks of jobs on a cluster of dask.distributed, which needs the extra `dask`.

The service submits, and it alone writes what comes back: workers know no database. Whatever of the cluster ends, the
service computes what is not stored once more, so nothing has to be kept there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from threading import Event, Thread
from typing import Any, TypeAlias
from uuid import uuid4

import dask
from dask import distributed
from distributed.scheduler import KilledWorker

from service.core.graph.graph import Graph
from service.core.sweeps.chunks import Stopped
from service.core.sweeps.sweep import Sweep
from service.jobs.dask_worker import Done, Unfit, own_versions, run_chunks, written
from service.jobs.engine import ChunkWork, Unavailable
from service.workers.pool import Gone, Lost

_IN_FLIGHT = 3  # tasks for each thread of a worker: one is computed, one waits, one is on its way
# A task costs scheduler, worker and service six milliseconds or so: short chunks go together, up to so many of them.
_TASK_SECONDS, _MOST_CHUNKS = 0.25, 8
_TOGETHER = 0.002  # seconds that a chunk waits for others that are asked for with it
_GLANCE = 0.1  # seconds between two looks whether a chunk's job was stopped
_CONNECT = 5.0  # seconds for a scheduler to answer
_CLOSE = 10.0  # seconds for workers of the service's own to end
_STOPPING = 10.0  # seconds that a worker is told to stop: it looks for that between two blocks of points
# Dask has workers give memory back to the system at once: then each block of points takes fresh pages, which costs a
# tenth of the time of a chunk.
_ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": 2**28, "MALLOC_MMAP_THRESHOLD_": 2**25}

# The chunks that are computed in one task: by their numbers, what waits for them.
Asked: TypeAlias = "dict[int, Future[bytes]]"
Outcomes: TypeAlias = "Mapping[int, bytes | Exception]"


class DaskEngine:
    """An `Engine` on the workers of a scheduler: that at an address, as tcp://scheduler:8786, or one of the service's
    own for local:N, which has N processes.

    It connects when the first chunk comes, and again where the scheduler has ended.
    """

    def __init__(self, address: str) -> None:
        logging.getLogger("distributed").setLevel(logging.WARNING)  # that all is well is said at /metrics
        self._address = address
        self._client: distributed.Client | None = None
        self._cluster: distributed.LocalCluster | None = None
        self._connecting = asyncio.Lock()
        self._asked: dict[tuple[ChunkWork, Event], Asked] = {}
        self._threads = 0  # of the workers
        self._seconds = _TASK_SECONDS  # that a chunk took
        # Of the chunks that a worker had when it ended, one ended it. Each is tried with no other suspect beside it.
        self._suspects: set[tuple[str, int]] = set()
        self._trial = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="dask", daemon=True)
        self._thread.start()

    @property
    def window(self) -> int:
        """As `Engine`."""
        return _IN_FLIGHT * max(1, self._threads) * self._chunks_of_a_task

    @property
    def _chunks_of_a_task(self) -> int:
        return max(1, min(_MOST_CHUNKS, int(_TASK_SECONDS / self._seconds)))

    def submit(self, work: ChunkWork, number: int, stop: Event) -> "Future[bytes]":
        """As `Engine`."""
        future: Future[bytes] = Future()
        self._loop.call_soon_threadsafe(self._ask_soon, work, number, stop, future)
        return future

    def close(self) -> None:
        """As `Engine`; the workers of local:N end."""
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop).result(_CLOSE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE)

    def _ask_soon(self, work: ChunkWork, number: int, stop: Event, future: "Future[bytes]") -> None:
        asked = self._asked.setdefault((work, stop), {})
        if not asked:
            self._loop.call_later(_TOGETHER, self._ask_for_all, work, stop)
        asked[number] = future

    def _ask_for_all(self, work: ChunkWork, stop: Event) -> None:
        asked = self._asked.pop((work, stop))
        numbers, size = list(asked), self._chunks_of_a_task
        for begin in range(0, len(numbers), size):
            together = {number: asked[number] for number in numbers[begin : begin + size]}
            self._in_background(self._answer(work, together, stop))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, work: ChunkWork, asked: Asked, stop: Event) -> None:
        """Give those who wait what became of their chunks."""
        found: Outcomes
        try:
            found = await self._compute(work, asked, stop)
        except Stopped:
            found = dict.fromkeys(asked, Gone())
        except Unfit as error:
            found = dict.fromkeys(asked, Unavailable(str(error)))
        except (CancelledError, OSError):
            found = dict.fromkeys(asked, Unavailable(f"no scheduler answers at {self._address}"))
        except Exception as error:
            found = dict.fromkeys(asked, error)
        for number, future in asked.items():
            outcome = found[number]
            if not future.set_running_or_notify_cancel():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    async def _compute(self, work: ChunkWork, asked: Asked, stop: Event) -> Outcomes:
        client = await self._connected()
        chunks = {(work.job_id, number) for number in asked}
        if chunks.isdisjoint(self._suspects):
            with suppress(KilledWorker):
                return await self._ask(client, work, asked, stop)
            self._suspects |= chunks
        found: dict[int, bytes | Exception] = {}
        for number in asked:
            async with self._trial:
                found |= await self._try(client, work, {number: asked[number]}, stop)
            if not isinstance(found[number], Lost):
                self._suspects.discard((work.job_id, number))
        return found

    async def _try(self, client: Any, work: ChunkWork, asked: Asked, stop: Event) -> Outcomes:
        """A suspect: it is Lost if a worker ended that had begun it."""
        while True:
            name = f"gradbook-{uuid4().hex}"
            begun = distributed.Event(f"{name}-begun", client)
            try:
                return await self._ask(client, work, asked, stop, name, announce=True)
            except KilledWorker:
                if await begun.is_set():
                    return dict.fromkeys(asked, Lost())
            finally:
                await begun.clear()

    async def _ask(
        self, client: Any, work: ChunkWork, asked: Asked, stop: Event, name: str | None = None, announce: bool = False
    ) -> Outcomes:
        """These chunks, from a worker that is given what it lacks; raises KilledWorker, Gone, and as `run_chunks`."""
        name = name or f"gradbook-{uuid4().hex}"
        things: dict[str, Graph | Sweep] = {**work.graphs, work.job_id: work.sweep}
        given: dict[str, bytes] = {}
        while True:
            task = (tuple(things), tuple(asked), own_versions(), given, name, announce)
            future = client.submit(run_chunks, *task, pure=False)
            try:
                answer = await _unless(stop, asked, future.result())
            except (Gone, asyncio.CancelledError):
                self._in_background(_tell_to_stop(client, name))
                raise
            finally:
                future.release()
            if isinstance(answer, Done):
                self._threads = client.scheduler_info()["total_threads"]
                self._seconds = answer.seconds / len(asked)
                return dict(zip(asked, answer.outcomes, strict=True))
            given = {missing: written(things[missing]) for missing in answer}

    async def _connected(self) -> Any:
        """The client of a scheduler that was there a moment ago; raises OSError."""
        async with self._connecting:
            if self._client is None or self._client.status != "running":
                await self._disconnect()
                if self._address.startswith("local:"):
                    self._cluster = await _local_cluster(int(self._address.removeprefix("local:")))
                self._client = await distributed.Client(
                    self._cluster or self._address,
                    timeout=_CONNECT,
                    set_as_default=False,
                    direct_to_workers=True,
                    asynchronous=True,
                )
            return self._client

    async def _disconnect(self) -> None:
        for each in (self._client, self._cluster):
            if each is not None:
                await each.close()
        self._client = self._cluster = None


async def _local_cluster(workers: int) -> Any:
    """A scheduler in this process, and workers in processes of their own, which it begins again where they end."""
    environment = "distributed.nanny.pre-spawn-environ"
    with dask.config.set({environment: {**dask.config.get(environment), **_ALLOCATOR}}):
        return await distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"allowed_failures": 0},
            asynchronous=True,
        )


async def _tell_to_stop(client: Any, name: str) -> None:
    """Have whoever computes the task of that name stop."""
    event = distributed.Event(name, client)
    with suppress(OSError):
        await event.set()
        await asyncio.sleep(_STOPPING)
        await event.clear()


async def _unless(stop: Event, asked: Asked, result: Awaitable[Any]) -> Any:
    """A result; raises Gone if `stop` is set, or nobody waits for it any more, before it is there."""
    waiting = asyncio.ensure_future(result)
    try:
        while not (await asyncio.wait({waiting}, timeout=_GLANCE))[0]:
            if stop.is_set() or all(future.cancelled() for future in asked.values()):
                raise Gone
        return waiting.result()
    finally:
        waiting.cancel()
