"""How threads share the database: they take turns to write, and have one of them commit, or insert, for several."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from threading import Condition, Event, Lock
from typing import Generic, TypeVar

from sqlalchemy import Connection, NestedTransaction, RootTransaction
from sqlalchemy.exc import IntegrityError

from service.core.errors import GradbookError

Item = TypeVar("Item")


class Turns:
    """Threads that take turns, and wait for theirs for as long as they like."""

    def __init__(self) -> None:
        self._changed = Condition(Lock())
        self._taken = False
        self.waiting = 0

    def take(self, seconds: float) -> bool:
        """Take the turn as soon as it is free; False if it is not in time."""
        with self._changed:
            self.waiting += 1
            try:
                free = self._changed.wait_for(lambda: not self._taken, seconds)
            finally:
                self.waiting -= 1
            self._taken = self._taken or free
            return free

    def pass_on(self) -> bool:
        """Give the turn to one of those that wait; False if there is none, and the turn is kept."""
        with self._changed:
            if self.waiting:
                self._taken = False
                self._changed.notify()
            return not self._taken

    def give_back(self) -> None:
        """Have the next one take the turn."""
        with self._changed:
            self._taken = False
            self._changed.notify()


class Batch(Generic[Item]):
    """Items of several threads, which one of them writes for all; `ended` is set once they are committed, or failed."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._failures: dict[int, Exception] = {}
        self.failure: BaseException | None = None  # of all
        self.ended = Event()

    def add(self, item: Item) -> int:
        """Add an item, and return its place."""
        self._items.append(item)
        return len(self._items) - 1

    def write(self, connection: Connection, insert: Callable[[Connection, Sequence[Item]], None]) -> None:
        """Insert all items at once or, if one of them is at fault, each that is not."""
        if len(self._items) == 1:
            insert(connection, self._items)
            return
        try:
            with connection.begin_nested():
                insert(connection, self._items)
        except (GradbookError, IntegrityError):
            for place, item in enumerate(self._items):
                try:
                    with connection.begin_nested():
                        insert(connection, [item])
                except (GradbookError, IntegrityError) as failure:
                    self._failures[place] = failure

    def confirm(self, place: int) -> None:
        """Raise what kept the item at that place from being committed, if anything did."""
        if failure := self._failures.get(place) or self.failure:
            raise failure


class SharedTransaction:
    """A transaction in which several threads write a part each, in turn; the last one commits it for all."""

    def __init__(self, connection: Connection, lock: Callable[[Connection, float], None], end: float = inf) -> None:
        self.connection = connection
        self.file = connection.info.get("file")
        self._transaction = connection.begin()
        self._parts = 0
        self._ended = Event()
        self._failure: BaseException | None = None
        self.is_over = False
        try:
            lock(connection, end)
        except BaseException:
            connection.close()
            raise

    @contextmanager
    def part(self) -> Iterator[Connection]:
        """A part that is rolled back alone if an exception leaves the block, with the others if it must be."""
        savepoint: RootTransaction | NestedTransaction = self._transaction
        try:
            if self._parts:
                savepoint = self.connection.begin_nested()
            yield self.connection
            if self._parts:
                savepoint.commit()
        except BaseException as error:
            failure = error
            try:
                savepoint.rollback()
            except BaseException as another:  # on a full disk SQLite undoes the whole transaction by itself
                failure = another
            is_lost = failure is not error or self.connection.invalidated or savepoint is self._transaction
            if is_lost and self._parts:
                self._failure = failure
            self.is_over = is_lost
            raise
        self._parts += 1

    def end(self) -> bool:
        """Commit all parts and wake the threads that wait; returns whether the connection may be used again, and closes
        it otherwise."""
        try:
            if self._failure is None and self._transaction.is_active:
                self._transaction.commit()
        except BaseException as failure:
            self._failure = failure
        usable = self._failure is None and not self.is_over
        if self._failure is not None:
            self.connection.invalidate()  # its state is unknown
        if not usable:
            self.connection.close()
        self._ended.set()
        return usable

    def wait(self) -> None:
        """Wait for the commit; raise its exception if it failed."""
        self._ended.wait()
        if self._failure is not None:
            raise self._failure
