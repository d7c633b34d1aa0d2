import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Connection, Float, Numeric, event, func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from service.core.graph.graph import Graph
from service.storage.database import Database
from service.storage.graphs import insert_graph, list_graphs, next_version
from service.storage.identifiers import new_id
from service.storage.keys import KeyRecord, insert_key
from service.storage.models import Base, Content, KeyRow, deletions
from service.storage.records import GraphRecord
from service.storage.sharing import SharedTransaction


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "begins with"),
        ("gradbook.db", "begins with"),
        ("mysql://localhost/gradbook", "begins with"),
        ("postgres://localhost/gradbook", "begins with"),
        ("sqlite+aiosqlite:///gradbook.db", "begins with"),
        ("sqlite://", "is a file"),
        ("sqlite:///:memory:", "is a file"),
        ("sqlite:///file:gradbook?mode=memory&uri=true", "is a file"),
        ("sqlite:///{folder}/missing/gradbook.db", "the folder .*missing of the database does not exist"),
    ],
)
def test_a_url_that_cannot_be_one_is_refused(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        Database(url.format(folder=tmp_path))


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ValueError, match=r"install gradbook\[postgres\]"):
        Database("postgresql://localhost/gradbook")


@pytest.mark.sqlite
def test_a_relative_path_is_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Database("sqlite:///gradbook.db")) as database:
        database.migrate()
    assert (tmp_path / "gradbook.db").is_file()


@pytest.mark.sqlite
def test_every_connection_is_durable_and_holds_foreign_keys(database: Database) -> None:
    with database.read() as first, database.write() as second, database.read() as third:
        for connection in (first, second, third):
            settings = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 250}


@pytest.mark.sqlite
def test_a_writer_holds_the_lock_from_its_beginning_and_a_reader_never(database: Database, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "gradbook.db", timeout=0, isolation_level=None)) as other:
        with database.read():
            other.execute("BEGIN IMMEDIATE").execute("ROLLBACK")
        with database.write(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def test_what_an_exception_leaves_is_undone(
    database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]
) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        insert_graph(connection, graph_record(graph, tags={"key": "value"}), graph)
        raise ZeroDivisionError
    with database.read() as connection:
        for table in set(Base.metadata.sorted_tables) - {deletions}:
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0, table


def test_a_reader_sees_one_state_while_others_write(
    database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]
) -> None:
    with database.read() as reader:
        assert list_graphs(reader, limit=9) == []
        with database.write() as writer:
            insert_graph(writer, graph_record(graph), graph)
        assert list_graphs(reader, limit=9) == []
    with database.read() as reader:
        assert len(list_graphs(reader, limit=9)) == 1


def test_64_threads_write_at_once(database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]) -> None:
    """Over four `Database`s, as processes would, so that not only the queue within one keeps them apart."""
    url = database._writer.url.render_as_string(hide_password=False)
    databases = [Database(url) for _ in range(4)]

    def add_version(number: int) -> None:
        with databases[number % 4].write() as connection:
            version = next_version(connection, "example")
            # Content of its own for each; what is under test is the transaction, not the digest.
            record = replace(graph_record(graph), id=new_id(), version=version, digest=f"{number:064}")
            insert_graph(connection, record, graph)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(add_version, range(128)))
    with databases[0].read() as connection:
        versions = [record.version for record in list_graphs(connection, limit=1000)]
    assert sorted(versions) == list(range(1, 129))
    for each in databases:
        each.close()


def write_together(
    database: Database, writers: list[Callable[[Connection], None]], at_commit: Callable[[int], None]
) -> list[BaseException | None]:
    """One writer commits while the others come; what each raised. `at_commit` is told how many have committed."""
    commits, committing = 0, Event()

    def hold(connection: Connection) -> None:
        nonlocal commits
        committing.set()
        deadline = time.monotonic() + 60
        while not commits and database._turns.waiting < len(writers) - 1:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        commits += 1
        at_commit(commits)

    def write(writer: Callable[[Connection], None]) -> None:
        with database.write() as connection:
            writer(connection)

    event.listen(database._writer, "commit", hold)
    try:
        with ThreadPoolExecutor(len(writers)) as pool:
            first = pool.submit(write, writers[0])
            committing.wait(60)
            futures = [first, *(pool.submit(write, writer) for writer in writers[1:])]
            return [future.exception() for future in futures]
    finally:
        event.remove(database._writer, "commit", hold)


def keep(key: str) -> Callable[[Connection], None]:
    def write(connection: Connection) -> None:
        insert_key(connection, KeyRecord(key, "f", "r", 201, datetime.now(UTC)))

    return write


def keep_and_fail(connection: Connection) -> None:
    keep("failed")(connection)
    raise ZeroDivisionError


def kept(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(select(KeyRow.key)).scalars())


def test_writers_that_wait_share_a_commit(database: Database) -> None:
    seen = []
    raised = write_together(database, [keep(str(number)) for number in range(6)], seen.append)
    assert raised == [None] * 6 and seen == [1, 2]
    assert kept(database) == set("012345")


def test_a_writer_that_fails_undoes_its_own_part(database: Database) -> None:
    writers = [keep("0"), keep_and_fail, keep("1"), keep_and_fail, keep("2")]
    raised = write_together(database, writers, lambda commits: None)
    assert [type(each) for each in raised] == [type(None), ZeroDivisionError] * 2 + [type(None)]
    assert kept(database) == {"0", "1", "2"}
    for _ in range(2):  # and alone, and then nothing is left to be committed
        with pytest.raises(ZeroDivisionError), database.write() as connection:
            keep_and_fail(connection)
    keep_alone = write_together(database, [keep("3")], lambda commits: None)
    assert keep_alone == [None] and kept(database) == {"0", "1", "2", "3"}


def test_a_shared_commit_that_fails_is_told_to_all(database: Database) -> None:
    def fail(commits: int) -> None:
        if commits == 2:
            raise OSError("the disk is gone")

    raised = write_together(database, [keep(str(number)) for number in range(4)], fail)
    assert sorted(type(each).__name__ for each in raised) == ["NoneType", "OSError", "OSError", "OSError"]
    assert len(kept(database)) == 1
    with database.write() as connection:
        keep("afterwards")(connection)
    assert len(kept(database)) == 2


def test_a_transaction_that_the_database_undid_by_itself_is_no_success(database: Database) -> None:
    shared = SharedTransaction(database._writer.connect(), database._home.lock)
    with shared.part() as connection:
        keep("0")(connection)
    with pytest.raises(ZeroDivisionError), shared.part() as connection:
        connection.exec_driver_sql("ROLLBACK")  # as SQLite does on a full disk
        raise ZeroDivisionError
    assert shared.is_over
    shared.end()
    with pytest.raises(OperationalError, match="savepoint"):
        shared.wait()
    assert kept(database) == set()
    with database.write() as connection:
        keep("1")(connection)
    assert kept(database) == {"1"}


@pytest.mark.sqlite
def test_check_needs_a_migrated_database(tmp_path: Path) -> None:
    (tmp_path / "gradbook.db").touch()
    with closing(Database(f"sqlite:///{tmp_path}/gradbook.db")) as database:
        with pytest.raises(OperationalError, match="alembic_version"):
            database.check()
        database.migrate()
        database.check()


def test_foreign_keys_are_held(database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), database.write() as connection:
        insert_graph(connection, graph_record(graph, parent=new_id()), graph)


def test_no_column_is_a_floating_point_number() -> None:
    columns = [column for table in Base.metadata.sorted_tables for column in table.columns]
    assert Content.__table__.columns["document"] in columns
    assert not [column for column in columns if isinstance(column.type, (Float, Numeric))]
