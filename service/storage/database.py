"""The database: its engine, its two kinds of transaction, and its migrations."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    Connection,
    create_engine,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from service.storage.failures import is_no_answer, no_answer, reason
from service.storage.models import deletions
from service.storage.outage import Outage
from service.storage.postgres import PostgreSQL, check_writable, without_clocks
from service.storage.sharing import Batch, SharedTransaction, Turns
from service.storage.sqlite import PATIENCE, SHORTLY, SQLiteFile, locked, raise_version
from service.tracing.spans import span

if TYPE_CHECKING:
    from alembic.config import Config

Item = TypeVar("Item")

_PACKAGE = Path(__file__).resolve().parent.parent
_MIGRATION_SECONDS = 60
_CHECK_SECONDS = 1.5
_CONNECTIONS, _CLOCKS = 10, PostgreSQL(statement_seconds=10, connect_seconds=5)  # unless told otherwise
_REVISION = 4  # characters
_CHANGES = select(deletions.c["count"])
_COUNT_CHANGE = update(deletions).values({"count": deletions.c["count"] + 1})


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
        clocks: PostgreSQL = _CLOCKS,
        connections: int = _CONNECTIONS,
    ) -> None:
        address = _read_url(url)
        is_sqlite = address.get_backend_name() == "sqlite"
        self.file = SQLiteFile(Path(address.database or "").absolute()) if is_sqlite else None
        # A file is opened as often as there are threads. Of a server's connections there are a few, which end whenever
        # the server does.
        pool = {} if is_sqlite else {"max_overflow": 0, "pool_pre_ping": True, "pool_timeout": patience}
        try:
            engine = create_engine(address, pool_size=0 if is_sqlite else connections, **pool)
        except ModuleNotFoundError as error:
            raise ValueError(f"the driver of {address.drivername} is missing: install gradbook[postgres]") from error
        self._home = self.file or clocks
        self._home.listen(engine, aside)
        if self.file:
            self._reader, self._writer = engine, engine.execution_options()
        else:
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
            # Who has waited for the lock must see what was committed meanwhile.
            self._writer = engine.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False)
        self._turns, self._inserts, self._migrating = Turns(), Turns(), Lock()
        self._aside, self._patience = aside, patience
        self._shared: SharedTransaction | None = None
        self._kept: Connection | None = None
        self._batches: dict[Callable[[Connection, Sequence[Any]], None], Batch[Any]] = {}
        self._gathering = Lock()
        self.outage = Outage()
        self._checking, self._check = Lock(), Future[None]()
        self._check.set_result(None)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, of one consistent state; raises OperationalError."""
        with self._noticing(writing=False), self._reader.begin() as connection:
            self._home.begin(connection)
            yield connection

    @contextmanager
    def _noticing(self, *, writing: bool) -> Iterator[None]:
        """Notice whether the database answers; raise OperationalError, whatever says that it does not."""
        began = time.monotonic()
        try:
            with span("database write" if writing else "database read"):
                yield
        except SQLAlchemyError as error:
            if not is_no_answer(error):
                raise
            failure = no_answer(error)
            self.outage.failed(reason(failure), writing=writing)
            if failure is error:
                raise
            raise failure from error
        self.outage.worked(began, writing=writing)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write: it is committed whole, or rolled back if an exception leaves the block.

        Threads take turns, in a queue of their own: SQLite's lock is polled, which is slower and unfair. Threads
        that arrive during another's commit share the next commit; none returns before its commit is done. Raises
        OperationalError, also after `patience` seconds of waiting.
        """
        with self._noticing(writing=True), self._write() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        end = time.monotonic() + self._patience
        self._take_turn(self._turns, end)
        shared = None
        try:
            shared = self._shared = self._shared or SharedTransaction(self._connect_writer(), self._home.lock, end)
            with shared.part() as connection:
                yield connection
        finally:
            if shared is None or shared.is_over or not self._turns.pass_on():
                self._shared = None
                try:
                    if shared and shared.end():
                        self._keep(shared.connection)
                finally:
                    self._turns.give_back()
        shared.wait()
        if self.file:
            self.file.confirm(shared.file)

    def _connect_writer(self) -> Connection:
        kept, self._kept = self._kept, None
        if kept and self.file:
            if self.file.is_opened_by(kept):
                return kept
            kept.close()
        return self._writer.connect()

    def _keep(self, connection: Connection) -> None:
        """Keep a file's connection for the next writer, since the pool takes as long as a small insert; a server's is
        one of a few."""
        if self.file:
            self._kept = connection
        else:
            connection.close()

    def write_together(self, insert: Callable[[Connection, Sequence[Item]], None], item: Item) -> None:
        """Have `insert` write an item, together with those that other threads have for it meanwhile, by one of them.

        `insert` reads nothing that another such insert may change: on a server several processes insert at once.
        Returns once the commit is done; raises as `insert` does for this item alone, and as `write`.
        """
        with self._gathering:
            leads = insert not in self._batches
            batch = self._batches.setdefault(insert, Batch())
            place = batch.add(item)
        if leads:
            self._lead(insert, batch)
        else:
            with span("database write"):  # by whoever leads
                if not batch.ended.wait(SHORTLY):
                    with self._aside():
                        batch.ended.wait()
        batch.confirm(place)

    def _lead(self, insert: Callable[[Connection, Sequence[Item]], None], batch: Batch[Item]) -> None:
        def close() -> None:
            with self._gathering:
                if self._batches.get(insert) is batch:
                    del self._batches[insert]

        try:
            with self._insert() as connection:
                close()
                batch.write(connection, insert)
        except BaseException as failure:
            batch.failure = failure
        finally:
            close()
            batch.ended.set()

    @contextmanager
    def _insert(self) -> Iterator[Connection]:
        """A transaction that inserts; beside it others insert, and nobody writes otherwise. In a file it is as any."""
        if self.file:
            with self.write() as connection:
                yield connection
            return
        with self._noticing(writing=True):
            end = time.monotonic() + self._patience
            self._take_turn(self._inserts, end)
            try:
                with self._writer.begin() as connection:
                    self._home.lock(connection, end, shared=True)
                    yield connection
            finally:
                self._inserts.give_back()

    def _take_turn(self, turns: Turns, end: float) -> None:
        if turns.take(SHORTLY):
            return
        with self._aside():
            if not turns.take(end - time.monotonic()):
                raise locked()

    def check(self) -> None:
        """Raise SQLAlchemy's exception if the database does not answer within a moment, was never migrated, or cannot
        be written."""
        with self._checking:  # one at a time: of a database that hangs nobody knows for how long
            if self._check.done():
                self._check = Future()
                Thread(target=self._look, args=(self._check,), name="check", daemon=True).start()
            check = self._check
        try:
            check.result(_CHECK_SECONDS)
        except FutureTimeout:
            silent = no_answer(TimeoutError(f"it said nothing for {_CHECK_SECONDS} s"))
            self.outage.failed(reason(silent), writing=True)
            raise silent from None

    def _look(self, check: "Future[None]") -> None:
        try:
            with self._noticing(writing=True):
                with self._reader.begin() as connection:
                    connection.execute(text("SELECT version_num FROM alembic_version"))
                    if not self.file:
                        check_writable(connection)
                if self.file:
                    self.file.check(self._reader)
            check.set_result(None)
        except BaseException as error:
            check.set_exception(error)

    def count_changes(self) -> int:
        """How many times graphs were deleted or changed, by whatever process."""
        if self.file:
            return self.file.version()
        with self._noticing(writing=False), self._autocommit.connect() as connection:
            return int(connection.execute(_CHANGES).scalar_one())

    def count_change(self, connection: Connection) -> None:
        """Count one more, in the transaction that does it."""
        if self.file:
            raise_version(connection)
        else:
            connection.execute(_COUNT_CHANGE)

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

    def give_back(self) -> int:
        """Return the room of what was deleted to the disk, and how many bytes that were; a server does so by itself.

        Others wait meanwhile to write. Raises sqlite3.Error.
        """
        return self.file.shrink() if self.file else 0

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
            connection.detach()  # and none of what follows goes back to the pool
            if self.file:
                # To alter a table SQLite builds another and drops the old one, which must not cascade. The pragma
                # counts outside a transaction only.
                for pragma in ("foreign_keys=OFF", f"busy_timeout={_MIGRATION_SECONDS * 1000}"):
                    connection.connection.cursor().execute(f"PRAGMA {pragma}")
            with connection.begin():
                self._home.lock(connection, time.monotonic() + _MIGRATION_SECONDS)
                if not self.file:
                    without_clocks(connection)
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
        if self._kept:
            self._kept.close()
        self._kept = None
        self._writer.dispose()
        if self.file:
            self.file.close()

    def finish(self) -> None:
        """Leave a file that is complete without its write-ahead log, also where a thread still has a connection."""
        if self.file:
            with suppress(OperationalError), self._reader.connect() as connection:  # it is complete with its log
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close()


class NewerSchema(Exception):
    """The database was written by a version of the service that has more migrations."""


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
