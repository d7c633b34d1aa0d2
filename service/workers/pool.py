"""A bounded number of worker processes. The thread that has a task done owns a process for as long as it takes."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from mmap import mmap
from multiprocessing.connection import wait
from queue import Empty, LifoQueue
from threading import Condition, Event, Lock, Thread, get_ident
from typing import Any
from weakref import finalize

from service.workers import messages
from service.workers.process import Work
from service.workers.template import Template

_UNTOLD = 10.0  # seconds that a task waits for the processes to be told to begin
_LOOK = 0.05  # seconds between two looks whether the client has gone whose task is under way
_GLANCE = 0.25  # and of those whose tasks wait, which may be many
_AGAIN = 0.1  # seconds until it is tried again to begin a process
# Bytes that a process may keep of what it took, beside what is in its caches; one that keeps more is replaced.
KEPT = 64 * 1024 * 1024
_log = logging.getLogger("gradbook")


class Ended(Exception):
    """The task was not done, and never will be."""


class Late(Ended):
    """It was not done in time; its process was killed."""


class Gone(Ended):
    """Nobody waits for it any more; its process was killed."""


class Busy(Ended):
    """No process, or not as much memory, became free in time; it was not begun."""


class Lost(Ended):
    """Its process ended by itself, for example since the machine had no memory left."""


class Pool:
    """`size` processes that do the tasks of `begin()`, and `nbytes` of memory that all tasks under way have in common.

    Each may hold `cached` bytes in its caches. They begin when `begin_processes` is called, or some seconds after the
    first is needed.
    """

    def __init__(self, begin: Callable[[], Work], size: int, nbytes: int, *, cached: int = 0) -> None:
        self._begin, self._size, self.cached = begin, size, cached
        self._begun, self._beginning = Event(), Lock()
        self._template: Template | None = None
        self._telling = Lock()  # one thread at a time tells the template what to do
        self._idle: LifoQueue[_Worker] = LifoQueue()  # the one used last has most in its caches
        self._memory = Memory(nbytes)
        self._workers: set[_Worker] = set()
        self._calls: set[int] = set()  # threads that have called
        self._closed = False

    def begin_processes(self, begin: Callable[[], Work] | None = None) -> None:
        """Have the processes begin, once and in the background; if `begin` is given, with that instead."""
        with self._beginning:
            if self._begun.is_set() or self._closed:
                return
            self._begin = begin or self._begin
            for _ in range(self._size):
                self._add()
            self._begun.set()

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all tasks together may take."""
        return self._memory.most

    def load(self) -> Mapping[str, int]:
        """What the processes have to do at the moment; those that are about to begin are no processes yet."""
        processes = len(self._workers)
        busy = max(0, processes - self._idle.qsize())
        return {
            "processes": processes,
            "processes_busy": busy,
            "tasks_waiting": max(0, len(self._calls) - busy),
            "memory_bytes": self._memory.taken,
            "memory_limit_bytes": self._memory.most,
        }

    def call(
        self,
        task: Any,
        given: Iterable[bytes],
        *,
        nbytes: int,
        seconds: float,
        gone: Event | None = None,
        behind: bool = False,
    ) -> tuple[Any, mmap | bytes]:
        """The reply to a task, which is given those pieces of bytes and takes at most `nbytes` of memory, and the bytes
        of the reply, which take part of that as long as they live.

        A task that is `behind` begins when no other waits for memory. Raises what the task raises, MemoryError if it
        took more memory, or Ended.
        """
        end = time.monotonic() + seconds
        if not self._begun.wait(min(seconds, _UNTOLD)):
            self.begin_processes()
        kept = taken = 0
        self._calls.add(get_ident())
        try:
            self._memory.take(nbytes, end, gone, behind)
            taken = nbytes
            reply, data = self._ask(self._take(end, gone), (task, nbytes), given, end, gone)
            if isinstance(reply, BaseException):
                raise reply
            if isinstance(data, mmap):
                kept = min(len(data), nbytes)
                finalize(data, self._memory.give_back, kept)
            return reply, data
        finally:
            self._memory.give_back(taken - kept)
            self._calls.discard(get_ident())

    def close(self) -> None:
        """End all processes."""
        self._closed = True
        for worker in tuple(self._workers):
            worker.kill()
        if self._template:
            self._template.close()

    def _ask(
        self, worker: "_Worker", task: Any, given: Iterable[bytes], end: float, gone: Event | None
    ) -> tuple[Any, mmap | bytes]:
        try:
            answered = worker.ask(task, given, end, gone)
        except BaseException:
            self._replace(worker)
            raise
        self._idle.put(worker)
        return answered

    def _take(self, end: float, gone: Event | None) -> "_Worker":
        """A process that has nothing to do."""
        while True:
            try:
                worker = self._idle.get(timeout=max(0.0, min(_GLANCE, end - time.monotonic())))
            except Empty:
                if gone is not None and gone.is_set():
                    raise Gone from None
                if time.monotonic() >= end:
                    raise Busy from None
                continue
            try:
                if worker.is_ready(self.cached, end, gone):
                    return worker
            except Ended:
                self._idle.put(worker)
                raise
            self._replace(worker)

    def _replace(self, worker: "_Worker") -> None:
        worker.kill()
        self._workers.discard(worker)
        self._add()

    def _add(self) -> None:
        Thread(target=self._start, name="begin-worker", daemon=True).start()

    def _start(self) -> None:
        while not self._closed:
            try:
                worker = _Worker(self._living_template())
            except (EOFError, OSError):
                time.sleep(_AGAIN)
                continue
            self._workers.add(worker)
            if self._closed:
                worker.kill()
            self._idle.put(worker)
            return

    def _living_template(self) -> Template:
        """The template, another one if that has ended."""
        with self._beginning:
            if self._template and self._template.has_ended:
                self._template.close()
                self._template = None
            self._template = self._template or Template(self._begin)
            return self._template


class Memory:
    """An amount of memory that several threads share. They take it in turn, so that none waits for ever for much."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._changed = Condition()
        self.waiting: list[object] = []  # in turn

    @property
    def taken(self) -> int:
        """Bytes that are not free."""
        return self.most - self._free

    def take(self, nbytes: int, end: float, gone: Event | None = None, behind: bool = False) -> None:
        """Take as much, in turn, as soon as it is free; raises Busy if it is not at the time `end`, Gone.

        Who is `behind` has no turn, and holds up nobody: it takes what is free while nobody waits.
        """
        turn = object()
        with self._changed:
            if not behind:
                self.waiting.append(turn)
            try:
                while self.waiting[:1] not in ([], [turn]) or nbytes > self._free:
                    if gone is not None and gone.is_set():
                        raise Gone
                    if nbytes > self.most or time.monotonic() >= end:
                        raise Busy
                    self._changed.wait(min(_GLANCE, end - time.monotonic()))
                self._free -= nbytes
            finally:
                if not behind:
                    self.waiting.remove(turn)
                self._changed.notify_all()

    def give_back(self, nbytes: int) -> None:
        """It is no longer needed."""
        with self._changed:
            self._free += nbytes
            self._changed.notify_all()


class _Worker:
    """One process and the connection to it."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._number, self._connection = template.fork()
        self._resident: int | None = None  # at first

    def is_ready(self, cached: int, end: float, gone: Event | None) -> bool:
        """Wait until the process, whose caches may hold `cached` bytes, can take a task; whether it should be given
        one. Raises Busy, Gone."""
        try:
            if not self._wait(end, gone):
                raise Busy
            resident, _ = messages.receive(self._connection)
        except (EOFError, OSError):
            return False
        self._resident = self._resident or resident
        has_hung_up = bool(wait([self._connection], 0))  # it says nothing more before it has a task
        return resident <= self._resident + cached + KEPT and not has_hung_up

    def ask(self, task: Any, given: Iterable[bytes], end: float, gone: Event | None) -> tuple[Any, mmap | bytes]:
        """The reply to a task and its bytes; raises Ended, after which the process is of no more use."""
        try:
            messages.send(self._connection, task, given)
            if not self._wait(end, gone):
                raise Late
            return messages.receive(self._connection)
        except (EOFError, OSError):
            _log.warning("a worker process ended by itself, with the code %s", self.kill())
            raise Lost from None

    def _wait(self, end: float, gone: Event | None) -> bool:
        """Wait until there is something to receive, or nothing more to expect; False if it comes too late."""
        while not wait([self._connection], max(0.0, min(_LOOK, end - time.monotonic()))):
            if gone is not None and gone.is_set():
                raise Gone
            if time.monotonic() >= end:
                return False
        return True

    def kill(self) -> int | None:
        """End the process, whatever it does; its exit code, None if that is not known."""
        self._connection.close()
        return self._template.end(self._number)
