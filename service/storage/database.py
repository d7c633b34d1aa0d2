"""The database: its engine, its two kinds of transaction, and its migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.engine import URL

_PACKAGE = Path(__file__).resolve().parent.parent
_BUSY_MILLISECONDS = 60_000
# Any number will do, as long as every process that migrates takes the same.
_MIGRATION_LOCK = 0x67726164


class Database:
    """A database by URL, SQLite or PostgreSQL. Used from several threads; `close` gives its connections back."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        self.is_sqlite = address.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _check_file(address)
        self._engine = create_engine(address, **({"pool_size": 16, "max_overflow": 48} if self.is_sqlite else {}))
        if self.is_sqlite:
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._writer = self._engine.execution_options(write=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, of one consistent state."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write: all of it is kept, or nothing if an exception leaves the block."""
        with self._writer.begin() as connection:
            yield connection

    def check(self) -> None:
        """Raise what SQLAlchemy raises if the database does not answer or was never migrated."""
        with self.read() as connection:
            connection.execute(text("SELECT version_num FROM alembic_version"))

    def migrate(self) -> None:
        """Bring the tables to the newest version; of several processes that start at once one does it, others wait."""
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            command.upgrade(migration_config(connection), "head")

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for a connection that is in a transaction already."""
    folder = next(path for path in (_PACKAGE / "migrations", _PACKAGE.parent / "migrations") if path.is_dir())
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _check_file(address: URL) -> None:
    if not address.database or address.database == ":memory:":
        raise ValueError("the database is a file: sqlite:///gradbook.db, or with four slashes an absolute path")
    folder = Path(address.database).parent
    if not folder.is_dir():
        raise ValueError(f"the folder {folder} of the database does not exist")


def _prepare_sqlite(connection: SQLiteConnection, record: Any) -> None:
    # SQLAlchemy's recipe for SQLite: the driver begins no transaction by itself, `_begin_sqlite` does.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={_BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer that began as a reader fails at once when another has written since: take the lock at the beginning.
    writes = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
