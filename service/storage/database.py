"""The database: its engine, its two kinds of transaction, and its migrations."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Condition, Event, Lock
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, OperationalError

from service.storage.sqlite import PATIENCE, SHORTLY, SQLiteFile, locked, raise_version

if TYPE_CHECKING:
    from alembic.config import Config

_PACKAGE = Path(__file__).resolve().parent.parent
# An arbitrary number, the same in every process.
_WRITERS_LOCK = 0x67726164
_MIGRATION_MILLISECONDS = 60_000
_REVISION = 4  # characters


class Database:
    """A SQLite or PostgreSQL database by URL, for several threads. Readers never wait; writers take turns.

    Writers wait for at most `patience` seconds, within `aside()`: who has threads for views may have another take
    the place of one that waits. Raises ValueError, with the reason, for a URL that is not one of these.
    """

    def __init__(
        self,
        url: str,
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
        patience: float = PATIENCE,
    ) -> None:
        address = _read_url(url)
        is_sqlite = address.get_backend_name() == "sqlite"
        self.file = SQLiteFile(Path(address.database or "").absolute()) if is_sqlite else None
        try:
            # As many connections as the server has threads: the pool sets no bound of its own.
            engine = create_engine(address, pool_size=0)
        except ModuleNotFoundError as error:
            raise ValueError(f"the driver of {address.drivername} is missing: install gradbook[postgres]") from error
        if self.file:
            self.file.listen(engine, aside)
            self._reader = engine
        else:
            event.listen(engine, "begin", _begin_postgresql)
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writer = engine.execution_options(write=True)
        self._turns, self._migrating = _Turns(), Lock()
        self._aside, self._patience = aside, patience
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
        that arrive during another's commit share the next commit; none returns before its commit is done. Raises
        OperationalError after `patience` seconds of waiting.
        """
        end = time.monotonic() + self._patience
        self._take_turn(end)
        shared = None
        try:
            shared = self._shared = self._shared or _SharedTransaction(self._writer, end)
            with shared.part() as connection:
                yield connection
        finally:
            if shared is None or shared.is_over or not self._turns.pass_on():
                self._shared = None
                try:
                    if shared:
                        shared.end()
                finally:
                    self._turns.give_back()
        shared.wait()
        if self.file:
            self.file.confirm(shared.file)

    def _take_turn(self, end: float) -> None:
        if self._turns.take(SHORTLY):
            return
        with self._aside():
            if not self._turns.take(end - time.monotonic()):
                raise locked()

    def check(self) -> None:
        """Raise SQLAlchemy's exception if the database does not answer, was never migrated, or cannot be written."""
        with self.read() as connection:
            connection.execute(text("SELECT version_num FROM alembic_version"))
        if self.file:
            self.file.check(self._reader)

    def count_deletions(self) -> int | None:
        """How many graphs were deleted, by whatever process; None where that is not known."""
        return self.file.version() if self.file else None

    def count_deletion(self, connection: Connection) -> None:
        """Count one more, in the transaction that deletes it."""
        if self.file:
            raise_version(connection)

    def back_up(self, target: Path) -> None:
        """Write a copy of the database as it is now, while others use it; raises ValueError, OSError."""
        if not self.file:
            raise ValueError("this backs up a database in a file; for PostgreSQL use pg_dump")
        self.file.back_up(target)

    def restore(self, source: Path) -> None:
        """Have all that is stored replaced by a backup, also while others use it; raises ValueError, NewerSchema."""
        if not self.file:
            raise ValueError("this restores a database in a file; for PostgreSQL use pg_restore")
        self.file.create()
        with TemporaryDirectory(dir=self.file.path.parent) as folder:
            copy = SQLiteFile(Path(folder) / "restored.db")
            copy.take(source)
            with closing(Database(f"sqlite:///{copy.path}")) as restored:
                restored.check()  # it is a database of ours
                restored.migrate()
            self.file.take(copy.path)

    def migrate(self) -> None:
        """Upgrade the tables to the newest schema; of processes that start at once one does it, others wait.

        Raises NewerSchema.
        """
        if self.file:
            self.file.create()
        if self._has_newest_schema():
            return
        from alembic import command  # a fifth of a service's start
        from alembic.migration import MigrationContext
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        with self._migrating, self._writer.connect() as connection:
            if self.file:
                # To alter a table SQLite builds another and drops the old one, which must not cascade. The pragma
                # counts outside a transaction only, and this connection doesn't go back to the pool with it.
                connection.detach()
                for pragma in ("foreign_keys=OFF", f"busy_timeout={_MIGRATION_MILLISECONDS}"):
                    connection.connection.cursor().execute(f"PRAGMA {pragma}")
            with connection.begin():
                config = migration_config(connection)
                migrations = ScriptDirectory.from_config(config)
                present = MigrationContext.configure(connection).get_current_revision()
                newest = migrations.get_current_head()
                if present == newest:
                    return
                try:
                    migrations.get_revision(present or "base")
                except CommandError as error:
                    raise NewerSchema(f"its schema is not known to this version of Gradbook ({error})") from error
                if self.file and present:
                    self.file.keep_before(str(newest))
                command.upgrade(config, "head")
                if self.file and connection.execute(text("PRAGMA foreign_key_check")).first():
                    raise RuntimeError("the migration would have left rows that refer to nothing; it was undone")

    def _has_newest_schema(self) -> bool:
        """Whether there is nothing to migrate: each migration's file begins with its revision."""
        newest = max(path.name for path in (_migrations() / "versions").glob("*.py"))[:_REVISION]
        with self._reader.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            return connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [newest]

    def close(self) -> None:
        """Close all connections; of a file the last one empties the write-ahead log."""
        self._writer.dispose()
        if self.file:
            self.file.close()

    def finish(self) -> None:
        """Leave a file that is complete without its write-ahead log, also where a thread still has a connection."""
        if self.file:
            with suppress(OperationalError), self._reader.connect() as connection:  # it is complete with its log
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close()


class NewerSchema(Exception):
    """The database was written by a version of the service that has more migrations."""


class _Turns:
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


class _SharedTransaction:
    """A transaction in which several threads write a part each, in turn; the last one commits it for all."""

    def __init__(self, engine: Engine, end: float = 0.0) -> None:
        self._connection = engine.connect()
        self._connection.info["until"] = end
        self.file = self._connection.info.get("file")
        try:
            self._transaction = self._connection.begin()
        except BaseException:
            self._connection.close()
            raise
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

    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _migrations() -> Path:
    """Their folder: in the installed package, or beside it."""
    return next(path for path in (_PACKAGE / "migrations", _PACKAGE.parent / "migrations") if path.is_dir())


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


def _begin_postgresql(connection: Connection) -> None:
    # One writer at a time, as on SQLite: what it has read (the latest version, a key) still holds when it writes.
    if connection.get_execution_options().get("write"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")
