"""What several threads have for one insert while somebody writes is inserted, and committed, by one of them."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import IntegrityError

from service.core.errors import NotFound
from service.storage.database import Database
from service.storage.keys import KeyRecord, insert_key
from service.storage.models import KeyRow


class Inserts:
    """An insert of keys, which refuses one of them, and how many it had each time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, connection: Connection, keys: Sequence[str]) -> None:
        self.sizes.append(len(keys))
        for key in keys:
            insert_key(connection, KeyRecord(key, "f", "r", 201, datetime.now(UTC)))
            if key == "refused":
                raise NotFound("there is no graph")


def insert_together(database: Database, insert: Inserts, keys: str | list[str]) -> list[type[BaseException | None]]:
    """Have each key inserted by a thread of its own while somebody writes; what each raised."""
    with ThreadPoolExecutor(len(keys)) as pool:
        with suppress(OSError), database.write():
            waiting = [pool.submit(database.write_together, insert, key) for key in keys]
            deadline = time.monotonic() + 60
            while insert not in database._batches or len(database._batches[insert]._items) < len(keys):
                assert time.monotonic() < deadline
                time.sleep(0.001)
        raised = [each.exception() for each in waiting]
    assert not database._batches
    return [*map(type, raised)]


def kept(database: Database) -> str:
    with database.read() as connection:
        return "".join(connection.scalars(select(KeyRow.key).order_by(KeyRow.key)))


def test_what_waits_is_inserted_at_once(database: Database) -> None:
    insert = Inserts()
    assert insert_together(database, insert, "abcdef") == [type(None)] * 6
    assert (insert.sizes, kept(database)) == ([6], "abcdef")
    database.write_together(insert, "g")
    assert (insert.sizes, kept(database)) == ([6, 1], "abcdefg")


def test_what_cannot_be_inserted_keeps_nothing_else_from_it(database: Database) -> None:
    insert = Inserts()
    raised = insert_together(database, insert, ["a", "refused", "b", "b", "c"])
    assert sorted(each.__name__ for each in raised) == [
        "IntegrityError",
        "NoneType",
        "NoneType",
        "NoneType",
        "NotFound",
    ]
    assert raised[1] is NotFound and IntegrityError in raised[2:4]
    assert (insert.sizes, kept(database)) == ([5, 1, 1, 1, 1, 1], "abc")
    with pytest.raises(NotFound):
        database.write_together(insert, "refused")
    assert kept(database) == "abc"


def test_a_commit_that_fails_is_told_to_all(database: Database) -> None:
    def fail(connection: Connection) -> None:
        raise OSError("the disk is gone")

    event.listen(database._writer, "commit", fail)
    try:
        assert insert_together(database, Inserts(), "abc") == [OSError] * 3
    finally:
        event.remove(database._writer, "commit", fail)
    assert kept(database) == ""
    assert insert_together(database, Inserts(), "abc") == [type(None)] * 3
    assert kept(database) == "abc"


def test_a_turn_that_does_not_come_is_told_to_all(database: Database) -> None:
    database._patience = 0.0
    with database.write(), ThreadPoolExecutor(3) as pool:
        raised = [pool.submit(database.write_together, Inserts(), key).exception() for key in "abc"]
    assert ["lock" in str(each) for each in raised] == [True] * 3
    assert kept(database) == "" and not database._batches
