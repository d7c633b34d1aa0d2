"""Threads that run the views."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread

_BEHIND = 256  # places; a client that does not wait for its answers comes after those that do


class Workers:
    """A number of threads, and a bounded number of jobs that wait for one of them.

    `submit` and `done` are called in one thread, the event loop's. The threads are daemons: at the end of the process
    none is waited for, since whoever stops the server has waited as long as it means to.
    """

    def __init__(self, name: str, threads: int, most_waiting: int) -> None:
        self._jobs: list[tuple[int, int, Callable[[], None]]] = []  # a heap: place, number, job
        self._numbers = count()
        self._there_is_one: SimpleQueue[None] = SimpleQueue()
        self._most = threads + most_waiting
        self._under_way = 0
        self._name = name
        self._surplus, self._counting = 0, Lock()
        for _ in range(threads):
            self._start()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._jobs)

    @property
    def under_way(self) -> int:
        """How many jobs a thread has begun; the event loop may not know yet that one is done."""
        return max(0, self._under_way - self.waiting)

    def submit(self, job: Callable[[], None], behind: bool = False) -> bool:
        """Have a thread do the job, which raises nothing; False if too many wait already.

        Jobs are done in turn, but for those `behind`: others that come soon after go before them.
        """
        if self._under_way >= self._most:
            return False
        self._under_way += 1
        number = next(self._numbers)
        heappush(self._jobs, (number + _BEHIND * behind, number, job))
        self._there_is_one.put(None)
        return True

    def done(self) -> None:
        """A job is done."""
        self._under_way -= 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Have another thread do jobs while this one only waits for another process."""
        self._start()
        try:
            yield
        finally:
            with self._counting:
                self._surplus += 1

    def _start(self) -> None:
        Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while not self._is_surplus():
            self._there_is_one.get()
            heappop(self._jobs)[-1]()

    def _is_surplus(self) -> bool:
        if not self._surplus:
            return False
        with self._counting:
            surplus = self._surplus > 0
            self._surplus -= surplus
        return surplus
