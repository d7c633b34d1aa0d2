"""The chunks of jobs on a cluster of dask.distributed, which needs the extra `dask`.

The service submits, and it alone writes what comes back: workers know no database. Whatever of the cluster ends, the
service computes what is not stored once more, so nothing has to be kept there.
"""

import asyncio
import logging
from collections.abc import Awaitable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from dask import distributed
from distributed.scheduler import KilledWorker

from service.core.graph.graph import Graph
from service.core.sweeps.chunks import Stopped
from service.core.sweeps.sweep import Sweep
from service.jobs.dask_worker import Unfit, own_versions, run_chunk, written
from service.jobs.engine import ChunkWork, Unavailable
from service.workers.pool import Gone, Lost

_IN_FLIGHT = 3  # chunks for each thread of a worker: one is computed, one waits, one is on its way
_GLANCE = 0.1  # seconds between two looks whether a chunk's job was stopped
_CONNECT = 5.0  # seconds for a scheduler to answer
_CLOSE = 10.0  # seconds for workers of the service's own to end
_STOPPING = 10.0  # seconds that a worker is told to stop: it looks for that between two blocks of points
_log = logging.getLogger("gradbook")


class DaskEngine:
    """An `Engine` on the workers of a scheduler: that at an address, as tcp://scheduler:8786, or one of the service's
    own for local:N, which has N processes.

    It connects when the first chunk comes, and again where the scheduler has ended.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: distributed.Client | None = None
        self._cluster: distributed.LocalCluster | None = None
        self._connecting = asyncio.Lock()
        # Of the chunks that a worker had when it ended, one ended it. Each is tried with no other suspect beside it.
        self._suspects: set[tuple[str, int]] = set()
        self._trial = asyncio.Lock()
        self._telling: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="dask", daemon=True)
        self._thread.start()

    @property
    def window(self) -> int:
        """As `Engine`."""
        threads = self._client.scheduler_info()["total_threads"] if self._client else 0
        return _IN_FLIGHT * max(1, threads)

    def submit(self, work: ChunkWork, number: int, stop: Event) -> "Future[bytes]":
        """As `Engine`."""
        return asyncio.run_coroutine_threadsafe(self._compute(work, number, stop), self._loop)

    def close(self) -> None:
        """As `Engine`; the workers of local:N end."""
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop).result(_CLOSE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE)

    async def _compute(self, work: ChunkWork, number: int, stop: Event) -> bytes:
        try:
            client = await self._connected()
            chunk = (work.job_id, number)
            if chunk not in self._suspects:
                with suppress(KilledWorker):
                    return await self._ask(client, work, number, stop)
                self._suspects.add(chunk)
            async with self._trial:
                data = await self._try(client, work, number, stop)
            self._suspects.discard(chunk)
            return data
        except Stopped:
            raise Gone from None
        except Unfit as error:
            raise Unavailable(str(error)) from None
        except (CancelledError, OSError) as error:
            raise Unavailable(f"no scheduler answers at {self._address}") from error

    async def _try(self, client: Any, work: ChunkWork, number: int, stop: Event) -> bytes:
        """A suspect's chunk; raises Lost if a worker ended that had begun it."""
        while True:
            name = f"gradbook-{uuid4().hex}"
            begun = distributed.Event(f"{name}-begun", client)
            try:
                return await self._ask(client, work, number, stop, name, announce=True)
            except KilledWorker:
                if await begun.is_set():
                    raise Lost from None
            finally:
                await begun.clear()

    async def _ask(
        self, client: Any, work: ChunkWork, number: int, stop: Event, name: str | None = None, announce: bool = False
    ) -> bytes:
        """A chunk, from a worker that is given what it lacks; raises KilledWorker, Gone, and as `run_chunk`."""
        name = name or f"gradbook-{uuid4().hex}"
        things: dict[str, Graph | Sweep] = {**work.graphs, work.job_id: work.sweep}
        given: dict[str, bytes] = {}
        while True:
            future = client.submit(run_chunk, tuple(things), number, own_versions(), given, name, announce, pure=False)
            try:
                answer = await _unless(stop, future.result())
            except (Gone, asyncio.CancelledError):
                self._tell_to_stop(client, name)
                raise
            finally:
                future.release()
            if isinstance(answer, bytes):
                return answer
            given = {missing: written(things[missing]) for missing in answer}

    async def _connected(self) -> Any:
        """The client of a scheduler that was there a moment ago; raises OSError."""
        async with self._connecting:
            if self._client is None or self._client.status != "running":
                await self._disconnect()
                if self._address.startswith("local:"):
                    self._cluster = await distributed.LocalCluster(
                        n_workers=int(self._address.removeprefix("local:")),
                        threads_per_worker=1,
                        host="127.0.0.1",
                        dashboard_address=None,
                        scheduler_kwargs={"allowed_failures": 0},
                        asynchronous=True,
                    )
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

    def _tell_to_stop(self, client: Any, name: str) -> None:
        """Have whoever computes the chunk of that name stop, in the background."""

        async def tell() -> None:
            event = distributed.Event(name, client)
            with suppress(OSError):
                await event.set()
                await asyncio.sleep(_STOPPING)
                await event.clear()

        task = self._loop.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


async def _unless(stop: Event, result: Awaitable[Any]) -> Any:
    """A result; raises Gone if `stop` is set before it is there."""
    waiting = asyncio.ensure_future(result)
    try:
        while not (await asyncio.wait({waiting}, timeout=_GLANCE))[0]:
            if stop.is_set():
                raise Gone
        return waiting.result()
    finally:
        waiting.cancel()
