"""What a database in a file needs: it is opened and locked, and noticed to be gone, replaced, full or read-only."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DisconnectionError, OperationalError

Identity: TypeAlias = tuple[int, int]

PATIENCE = 5.0  # seconds that a writer waits, for its turn and for the lock, unless told otherwise
SHORTLY = 0.25  # seconds of these that it waits in its own thread
_PATIENCE_TO_OPEN = 60.0  # at a first start, or while another process migrates
_LOG_BYTES = 16 * 1024 * 1024  # to which the write-ahead log is cut once no reader needs more of it
_WORTH_SHRINKING = 10  # one page of so many free
_ROOM = 4 * 1024 * 1024  # bytes that are free on a disk that is not full


class SQLiteFile:
    """A database's file, and what each of its connections is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._opened: tuple[Identity | None, Identity | None] = (None, None)  # the file and its log, at last
        self._looking = Lock()
        self._look: sqlite3.Connection | None = None
        self._looked_at: Identity | None = None

    def listen(self, engine: Engine, aside: Callable[[], AbstractContextManager[None]]) -> None:
        """Have the engine open and watch the file; a thread waits for the lock within `aside()`."""
        self._aside = aside
        event.listen(engine, "do_connect", self._open)
        event.listen(engine, "connect", self._prepare)
        event.listen(engine, "checkout", self._watch)

    def create(self) -> None:
        """Create the file unless it is there: connections alone do not, so that one that was deleted is missed."""
        try:
            self.path.touch()
        except OSError:
            return  # a connection says what is wrong

    def confirm(self, written: Identity | None) -> None:
        """Raise OperationalError if the file that was written is no longer at its path."""
        if _identity(self.path) != written:
            raise OperationalError("COMMIT", None, _gone())

    def check(self, engine: Engine) -> None:
        """Raise OperationalError if nothing can be written; whoever holds the lock is writing."""
        if not os.access(self.path, os.W_OK):
            raise OperationalError("check", None, sqlite3.OperationalError("the database is read-only"))
        if shutil.disk_usage(self.path.parent).free < _ROOM:
            raise OperationalError("check", None, sqlite3.OperationalError("the disk is full"))
        with engine.connect() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar()
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql(f"PRAGMA user_version={version}")
                connection.exec_driver_sql("COMMIT")
            except OperationalError as error:
                if not _is(error, sqlite3.SQLITE_BUSY):
                    raise
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={SHORTLY * 1000:.0f}")

    def version(self) -> int:
        """The number that the file keeps for whoever uses it; of a connection of its own, in some 15 µs."""
        try:
            with self._looking:
                found = _identity(self.path)
                if self._look is None or self._looked_at != found:
                    self._close_look()
                    self._refuse_another_log()
                    self._look, self._looked_at = self._connect(), found
                ((version,),) = self._look.execute("PRAGMA user_version").fetchall()
                return int(version)
        except sqlite3.OperationalError as error:
            raise OperationalError("PRAGMA user_version", None, error) from error

    def close(self) -> None:
        """Close the connection that `version` looks through."""
        with self._looking:
            self._close_look()

    def _close_look(self) -> None:
        if self._look is not None:
            self._look.close()
            self._look = None

    def back_up(self, target: Path) -> None:
        """Write what is stored now into a new file; raises FileExistsError, and sqlite3.Error if it cannot."""
        if target.exists():
            raise FileExistsError(f"{target} is there already")
        self._copy(target)

    def keep_before(self, version: str) -> None:
        """Write what is stored before it is migrated to that version beside the file; raises sqlite3.Error."""
        self._copy(self.path.with_name(f"{self.path.name}.before-{version}"))

    def _copy(self, target: Path) -> None:
        part = target.with_name(f"{target.name}.part")
        part.unlink(missing_ok=True)
        with closing(self._connect()) as connection:
            connection.execute("VACUUM INTO ?", (str(part),))
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.rename(target)

    def take(self, source: Path) -> None:
        """Replace what is stored by another file's content, in one transaction."""
        self.create()
        with (
            closing(self._connect()) as connection,
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as other,
        ):
            connection.execute("PRAGMA journal_mode=WAL").close()
            (before,) = connection.execute("PRAGMA user_version").fetchone()
            other.backup(connection)
            (after,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version={max(before, after) + 1}")

    def shrink(self) -> int:
        """Write the file anew without the pages that are free, unless these are few, which are soon used again; returns
        how many bytes less it has, once nobody reads what it was before."""
        with closing(self._connect()) as connection:
            ((before, free, size),) = connection.execute(
                "SELECT page_count, freelist_count, page_size"
                " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
            )
            if free * _WORTH_SHRINKING < before:
                return 0
            connection.execute("VACUUM")
            ((after,),) = connection.execute("PRAGMA page_count")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        return int(before - after) * int(size)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )

    def _refuse_another_log(self) -> None:
        """Open no file beside the log of another that was at its path, which would spoil it."""
        file, log = self._opened
        if log is not None and log == _identity(self._log) and file != _identity(self.path):
            raise _gone()

    def _open(self, dialect: Any, record: Any, arguments: list[Any], named: dict[str, Any]) -> None:
        self._refuse_another_log()
        arguments[0] = f"{self.path.as_uri()}?mode=rw"
        named["uri"] = True

    def _prepare(self, connection: sqlite3.Connection, record: Any) -> None:
        # SQLAlchemy's recipe for SQLite: the driver begins no transaction by itself.
        connection.isolation_level = None
        for statement in (
            f"PRAGMA busy_timeout={_PATIENCE_TO_OPEN * 1000:.0f}",
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "PRAGMA foreign_keys=ON",
            f"PRAGMA journal_size_limit={_LOG_BYTES}",
            "SELECT 1 FROM sqlite_schema",  # opens the log
            f"PRAGMA busy_timeout={SHORTLY * 1000:.0f}",
        ):
            connection.execute(statement).close()
        self._opened = _identity(self.path), _identity(self._log)
        record.info["file"] = self._opened[0]

    def _watch(self, connection: sqlite3.Connection, record: Any, proxy: Any) -> None:
        if _identity(self.path) != record.info["file"]:
            raise DisconnectionError

    def is_opened_by(self, connection: Connection) -> bool:
        """Whether a connection is to the file that is at the path now."""
        return bool(_identity(self.path) == connection.info["file"])

    def begin(self, connection: Connection) -> None:
        """Begin a transaction that reads."""
        _execute(connection, "BEGIN")

    def lock(self, connection: Connection, end: float, *, shared: bool = False) -> None:
        """Begin a transaction that writes, once nobody else does; raises OperationalError if that is after `end`.

        Nothing is `shared` in a file.
        """
        # A writer that began as a reader fails at once when another has written since.
        try:
            _execute(connection, "BEGIN IMMEDIATE")
        except OperationalError as error:
            if not _is(error, sqlite3.SQLITE_BUSY):
                raise
            with self._aside():
                _lock_until(connection, end)


def raise_version(connection: Connection) -> None:
    """Count the file's own number up, in a transaction that writes."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version={version + 1}")


def locked() -> OperationalError:
    """Another has held the lock, or the turn, for too long."""
    return OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("the database is locked"))


def is_full(error: OperationalError) -> bool:
    """Whether there was no room for what was to be written."""
    return _is(error, sqlite3.SQLITE_FULL)


def _lock_until(connection: Connection, end: float) -> None:
    while time.monotonic() < end:
        try:
            _execute(connection, "BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            if not _is(error, sqlite3.SQLITE_BUSY):
                raise
    raise locked()


def _execute(connection: Connection, statement: str) -> None:
    """Execute a statement that SQLAlchemy has no part in, at a quarter of what it takes through it."""
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.execute(statement).close()
    except sqlite3.OperationalError as error:
        raise OperationalError(statement, None, error) from error


def _is(error: OperationalError, code: int) -> bool:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == code  # the other bits say more precisely which


def _gone() -> sqlite3.OperationalError:
    return sqlite3.OperationalError("the database's file was deleted or replaced")


def _identity(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
