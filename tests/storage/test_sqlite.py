"""The file under a database: locked, gone, replaced, full, left complete."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError

from service.settings import WorkBounds
from service.storage.database import Database, NewerSchema
from service.storage.keys import KeyRecord, insert_key
from service.storage.models import KeyRow
from service.storage.sqlite import PATIENCE, is_full

pytestmark = pytest.mark.sqlite


def write(database: Database, key: str, size: int = 1) -> None:
    with database.write() as connection:
        insert_key(connection, KeyRecord(key, "f" * size, "r", 201, datetime.now(UTC)))


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(KeyRow)).scalar_one()


def test_a_lock_is_waited_for_aside_and_not_for_long(tmp_path: Path) -> None:
    assert PATIENCE == WorkBounds().lock_seconds == 5
    aside = []

    @contextmanager
    def note() -> Iterator[None]:
        aside.append(threading.get_ident())
        yield

    file = tmp_path / "gradbook.db"
    with closing(Database(f"sqlite:///{file}", note, 1.0)) as database, closing(sqlite3.connect(file)) as other:
        database.migrate()
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with ThreadPoolExecutor(6) as pool:
            written = [pool.submit(write, database, str(number)) for number in range(6)]
            assert count(database) == 0  # and readers do not wait
            database.check()  # nor is the database out of order, since somebody writes to it
            assert time.monotonic() - began < 0.9
            raised = [each.exception() for each in written]
        assert time.monotonic() - began < 3  # all together, not one after the other
        assert all(isinstance(each, OperationalError) and "locked" in str(each) for each in raised)
        assert len(set(aside)) == 6
        other.rollback()
        write(database, "afterwards")
        assert count(database) == 1


def test_a_writer_that_no_longer_waits_leaves_none_uncommitted(database: Database, tmp_path: Path) -> None:
    """Who has the turn passes its transaction on to one that waits: this one must not have left meanwhile."""
    database = Database(f"sqlite:///{tmp_path}/gradbook.db", patience=0.3)
    with closing(database), ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            insert_key(connection, KeyRecord("slow", "f", "r", 201, datetime.now(UTC)))
            late = pool.submit(write, database, "late")
            assert isinstance(late.exception(), OperationalError)
        assert count(database) == 1
    write(database, "next")
    assert count(database) == 2


def test_the_log_is_cut_once_no_reader_needs_it(database: Database, tmp_path: Path) -> None:
    log = tmp_path / "gradbook.db-wal"
    with database.read() as reader:
        reader.execute(select(KeyRow.key)).all()
        write(database, "large", 20_000_000)
        write(database, "small")
        assert log.stat().st_size > 20_000_000
    for number in range(2):
        write(database, str(number))
    assert log.stat().st_size <= 16 * 1024 * 1024


def test_a_file_that_is_left_is_complete_without_its_log(database: Database, tmp_path: Path) -> None:
    write(database, "kept")
    with database.read() as lingering:  # a thread that nobody waited for
        assert count(database) == 1
        database.finish()
        shutil.copy(tmp_path / "gradbook.db", tmp_path / "copy.db")
        assert not lingering.closed
    with closing(Database(f"sqlite:///{tmp_path}/copy.db")) as copy:
        assert count(copy) == 1


def refused(database: Database) -> bool:
    """Nothing is read, written or ready, and each says why."""
    for use in (count, lambda database: write(database, "lost"), Database.check):
        with pytest.raises(OperationalError, match=r"deleted or replaced|unable to open"):
            use(database)
    return True


@pytest.mark.parametrize("pooled", [False, True])
def test_a_file_that_is_gone_is_missed_until_it_is_back(pooled: bool, database: Database, tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "gradbook.db", tmp_path / "moved.db"
    write(database, "before")
    if not pooled:
        database.close()
    os.rename(file, elsewhere)
    assert refused(database) and not file.exists()
    os.rename(elsewhere, file)
    assert count(database) == 1
    write(database, "after")
    database.check()


def test_what_is_committed_to_a_file_that_goes_meanwhile_is_not_acknowledged(
    database: Database, tmp_path: Path
) -> None:
    with pytest.raises(OperationalError, match="deleted or replaced"), database.write() as connection:
        insert_key(connection, KeyRecord("lost", "f", "r", 201, datetime.now(UTC)))
        os.remove(tmp_path / "gradbook.db")


def test_another_file_is_read_once_the_old_log_is_gone(database: Database, tmp_path: Path) -> None:
    """Beside another file the log of the old one would be taken for its own."""
    file = tmp_path / "gradbook.db"
    with closing(Database(f"sqlite:///{tmp_path}/other.db")) as other:
        other.migrate()
        for key in "ab":
            write(other, key)
    write(database, "old")
    os.rename(tmp_path / "other.db", file)
    assert refused(database)
    for end in ("-wal", "-shm"):
        os.remove(f"{file}{end}")
    assert count(database) == 2
    write(database, "new")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert count(database) == 3


def test_what_has_no_room_says_so_and_harms_nothing(database: Database) -> None:
    def bound(pages: int) -> None:
        with database.write() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    bound(100)
    with pytest.raises(OperationalError) as raised:
        write(database, "large", 1_000_000)
    assert is_full(raised.value)
    bound(1_000_000_000)
    write(database, "large", 1_000_000)
    assert count(database) == 1


def test_writers_one_after_the_other_have_one_connection(database: Database) -> None:
    checkouts: list[object] = []
    event.listen(database._writer, "checkout", lambda *of: checkouts.append(of))
    for number in range(3):
        write(database, str(number))
    assert len(checkouts) <= 1 and count(database) == 3


@pytest.fixture
def newer(tmp_path: Path) -> Callable[[], str]:
    """The URL of a database with a schema that a later version made."""

    def make() -> str:
        url = f"sqlite:///{tmp_path}/newer.db"
        with closing(Database(url)) as database:
            database.migrate()
            with database.write() as connection:
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        return url

    return make


def test_a_newer_schema_is_refused_and_left_alone(newer: Callable[[], str]) -> None:
    with closing(Database(newer())) as database:
        with pytest.raises(NewerSchema, match="9999"):
            database.migrate()
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9999"
