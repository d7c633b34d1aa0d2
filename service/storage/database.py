"""The database: its engine, its two kinds of transaction, and its migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from alembic.config import Config

_PACKAGE = Path(__file__).resolve().parent.parent
_BUSY_MILLISECONDS = 60_000
# An arbitrary number, the same in every process.
_WRITERS_LOCK = 0x67726164


class Database:
    """A SQLite or PostgreSQL database by URL, for several threads. Readers never wait; writers take turns.

    Raises ValueError, with the reason, for a URL that is not one of these.
    """

    def __init__(self, url: str) -> None:
        address = _read_url(url)
        self._is_sqlite = address.get_backend_name() == "sqlite"
        try:
            # As many connections as the server has threads: the pool sets no bound of its own.
            engine = create_engine(address, pool_size=0)
        except ModuleNotFoundError as error:
            raise ValueError(f"the driver of {address.drivername} is missing: install gradbook[postgres]") from error
        if self._is_sqlite:
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            self._reader = engine
        else:
            event.listen(engine, "begin", _begin_postgresql)
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writer = engine.execution_options(write=True)
        self._turn, self._counting = Lock(), Lock()
        self._waiting = 0
        self._shared: _SharedTransaction | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, of one consistent state."""
        with self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write: it is committed whole, or rolled back if an exception leaves the block.

        Threads take turns, in a queue of their own: SQLite's lock is polled, which is slower and unfair. Threads
        that arrive during another's commit share the next commit; none returns before its commit is done.
        """
        with self._counting:
            self._waiting += 1
        with self._turn:
            with self._counting:
                self._waiting -= 1
            shared = self._shared = self._shared or _SharedTransaction(self._writer)
            try:
                with shared.part() as connection:
                    yield connection
            finally:
                if shared.is_over or not self._waiting:
                    self._shared = None
                    shared.end()
        shared.wait()

    def check(self) -> None:
        """Raise SQLAlchemy's exception if the database does not answer or was never migrated."""
        with self.read() as connection:
            connection.execute(text("SELECT version_num FROM alembic_version"))

    def migrate(self) -> None:
        """Upgrade the tables to the newest schema; of processes that start at once one does it, others wait."""
        from alembic import command  # a quarter of the import

        with self._turn, self._writer.connect() as connection:
            if self._is_sqlite:
                # To alter a table SQLite builds another and drops the old one, which must not cascade. The pragma
                # counts outside a transaction only, and this connection doesn't go back to the pool with it.
                connection.detach()
                connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
            with connection.begin():
                command.upgrade(migration_config(connection), "head")
                if self._is_sqlite and connection.execute(text("PRAGMA foreign_key_check")).first():
                    raise RuntimeError("the migration would have left rows that refer to nothing; it was undone")

    def close(self) -> None:
        """Close all connections."""
        self._writer.dispose()


class _SharedTransaction:
    """A transaction in which several threads write a part each, in turn; the last one commits it for all."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect()
        self._transaction = self._connection.begin()
        self._parts = 0
        self._ended = Event()
        self._failure: BaseException | None = None
        self.is_over = False

    @contextmanager
    def part(self) -> Iterator[Connection]:
        """A part that is rolled back alone if an exception leaves the block."""
        savepoint = self._connection.begin_nested() if self._parts else self._transaction
        try:
            yield self._connection
            if self._parts:
                savepoint.commit()
        except BaseException:
            self.is_over = not self._parts
            try:
                savepoint.rollback()
            except BaseException as failure:  # on a full disk SQLite undoes the whole transaction by itself
                self._failure, self.is_over = failure, True
            raise
        self._parts += 1

    def end(self) -> None:
        """Commit all parts and wake the threads that wait."""
        try:
            if self._failure is None and self._transaction.is_active:
                self._transaction.commit()
        except BaseException as failure:
            self._failure = failure
        if self._failure is not None:
            self._connection.invalidate()  # its state is unknown
        self._connection.close()
        self._ended.set()

    def wait(self) -> None:
        """Wait for the commit; raise its exception if it failed."""
        self._ended.wait()
        if self._failure is not None:
            raise self._failure


def migration_config(connection: Connection) -> "Config":
    """Alembic's configuration for a connection that is in a transaction already."""
    from alembic.config import Config

    folder = next(path for path in (_PACKAGE / "migrations", _PACKAGE.parent / "migrations") if path.is_dir())
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _read_url(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        address = URL.create("nothing")
    if address.drivername in ("postgresql", "postgresql+psycopg"):
        return address
    if address.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ValueError("the URL of the database begins with sqlite:/// or postgresql://")
    if not address.database or address.database.startswith((":memory:", "file:")):
        raise ValueError("the database is a file: sqlite:///gradbook.db, or with four slashes an absolute path")
    folder = Path(address.database).absolute().parent
    if not folder.is_dir():
        raise ValueError(f"the folder {folder} of the database does not exist")
    return address


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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    # One writer at a time, as on SQLite: what it has read (the latest version, a key) still holds when it writes.
    if _writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("write"))
