"""Threads that run the views."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread


class Workers:
    """A number of threads, and a bounded number of jobs that wait for one of them.

    `submit` and `done` are called in one thread, the event loop's. The threads are daemons: at the end of the process
    none is waited for, since whoever stops the server has waited as long as it means to.
    """

    def __init__(self, name: str, threads: int, most_waiting: int) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._most = threads + most_waiting
        self._under_way = 0
        for number in range(threads):
            Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, job: Callable[[], None]) -> bool:
        """Have a thread do the job, which raises nothing; False if too many wait already."""
        if self._under_way >= self._most:
            return False
        self._under_way += 1
        self._jobs.put(job)
        return True

    def done(self) -> None:
        """A job is done."""
        self._under_way -= 1

    def _work(self) -> None:
        while True:
            self._jobs.get()()
