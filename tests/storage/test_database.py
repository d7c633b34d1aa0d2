import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Float, Numeric, func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from service.core.graph import Graph
from service.storage.database import Database
from service.storage.graphs import insert_graph, list_graphs, next_version
from service.storage.identifiers import new_id
from service.storage.models import Base, Content
from service.storage.records import GraphRecord


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


def test_a_relative_path_is_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Database("sqlite:///gradbook.db")) as database:
        database.migrate()
    assert (tmp_path / "gradbook.db").is_file()


def test_every_connection_is_durable_and_holds_foreign_keys(database: Database) -> None:
    with database.read() as first, database.write() as second, database.read() as third:
        for connection in (first, second, third):
            settings = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 60_000}


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
        for table in Base.metadata.sorted_tables:
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


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


def test_64_threads_write_at_once(tmp_path: Path, graph: Graph, graph_record: Callable[..., GraphRecord]) -> None:
    """Over four `Database`s, as processes would, so that not only the queue within one keeps them apart."""
    url = f"sqlite:///{tmp_path}/gradbook.db"
    databases = [Database(url) for _ in range(4)]
    databases[0].migrate()

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
    for database in databases:
        database.close()


def test_check_needs_a_migrated_database(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/gradbook.db")) as database:
        with pytest.raises(OperationalError, match="alembic_version"):
            database.check()
        database.migrate()
        database.check()


def test_foreign_keys_are_held(database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), database.write() as connection:
        insert_graph(connection, graph_record(graph, parent=new_id()), graph)


def test_no_column_is_a_floating_point_number() -> None:
    columns = [column for table in Base.metadata.sorted_tables for column in table.columns]
    assert Content.__table__.columns["document"] in columns
    assert not [column for column in columns if isinstance(column.type, (Float, Numeric))]
