"""What a database on a PostgreSQL server needs: connections with clocks, and a lock for writers."""

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from functools import cache
from math import ceil, inf
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

# Arbitrary, and the same in every process.
_WRITERS_LOCK = 0x67726164
_LEAST_TO_CONNECT = 2  # seconds; the driver waits for no less
_MOST = 2**31 - 1  # milliseconds


class PostgreSQL:
    """What each connection to a server is told: how long a statement takes, and who writes.

    The server ends a statement after `statement_seconds`, and a transaction that does nothing for as long. One that
    says nothing for a second more is given up.
    """

    def __init__(self, statement_seconds: float, connect_seconds: float) -> None:
        self._milliseconds = ceil(statement_seconds * 1000)
        self._silence = statement_seconds + 1
        self._connect_seconds = max(ceil(connect_seconds), _LEAST_TO_CONNECT)

    def listen(self, engine: Engine, aside: Callable[[], AbstractContextManager[None]]) -> None:
        """Have the engine open connections with clocks; a thread waits for the lock within `aside()`."""
        self._aside = aside
        event.listen(engine, "do_connect", self._open)
        event.listen(engine, "connect", self._prepare)

    def _open(self, dialect: Any, record: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
        chosen = {"connect_timeout": self._connect_seconds, "application_name": "gradbook", **named}
        connection = _impatient_connection().connect(*arguments, **chosen)
        connection.silence = self._silence
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":  # text comes back as bytes
            connection.close()
            raise dialect.loaded_dbapi.OperationalError("its encoding is SQL_ASCII: create it with ENCODING 'UTF8'")
        return connection

    def _prepare(self, connection: Any, record: Any) -> None:
        # What was acknowledged is on the server's disk, whatever its configuration says. A service that hangs in a
        # transaction would keep all others from writing.
        connection.autocommit = True
        connection.execute(
            "SELECT set_config('statement_timeout', %(time)s, false),"
            " set_config('idle_in_transaction_session_timeout', %(time)s, false),"
            " set_config('synchronous_commit', CASE setting WHEN 'off' THEN 'on' ELSE setting END, false)"
            " FROM pg_settings WHERE name = 'synchronous_commit'",
            {"time": str(self._milliseconds)},
        )
        connection.autocommit = False

    def begin(self, connection: Connection) -> None:
        """Begin a transaction that reads, as its first statement does."""

    def lock(self, connection: Connection, end: float, *, shared: bool = False) -> None:
        """Begin a transaction that writes, once nobody else does, or that is one of those that share the lock; raises
        OperationalError if that is after `end`."""
        # One writer at a time, as on SQLite: what it has read (the latest version, a key) still holds when it writes.
        kind = "lock_shared" if shared else "lock"
        if connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_{kind}({_WRITERS_LOCK})").scalar():
            return
        with self._aside():
            self._lock_until(connection, end, kind)

    def _lock_until(self, connection: Connection, end: float, kind: str) -> None:
        """Take the writers' lock, waiting for it longer than for other statements if need be."""
        seconds = max(end - time.monotonic(), 0.001)
        _set(connection, statement_timeout=0, lock_timeout=ceil(min(seconds * 1000, _MOST)))
        driver: Any = connection.connection.dbapi_connection
        driver.silence = seconds + 1
        try:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_{kind}({_WRITERS_LOCK})")
        finally:
            driver.silence = self._silence
        _set(connection, statement_timeout=self._milliseconds, lock_timeout=0)


def without_clocks(connection: Connection) -> None:
    """Let a transaction take as long as it likes; its connection is not used again."""
    driver: Any = connection.connection.dbapi_connection
    driver.silence = inf
    _set(connection, statement_timeout=0, idle_in_transaction_session_timeout=0)


def check_writable(connection: Connection) -> None:
    """Raise OperationalError if the server only repeats what another writes."""
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        raise OperationalError("check", None, RuntimeError("the database is read-only"))


def _set(connection: Connection, **milliseconds: int) -> None:
    """Set clocks until the transaction ends."""
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in milliseconds.items())
    connection.exec_driver_sql(f"SELECT {calls}")


@cache
def _impatient_connection() -> Any:
    """A connection that gives its server up when that says nothing for too long: psycopg itself waits for ever."""
    import psycopg

    class ImpatientConnection(psycopg.Connection[Any]):
        silence = inf  # seconds

        def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
            try:
                return super().wait(_hear(gen, self.silence), *arguments, **named)
            except _Silent:
                self.close()
                raise psycopg.OperationalError("the server says nothing") from None

    return ImpatientConnection


class _Silent(Exception):
    """The server has said nothing for too long."""


def _hear(steps: Any, seconds: float) -> Generator[Any, Any, Any]:
    """Go the steps of an exchange with the server; raise _Silent once nothing came of it for that long.

    psycopg sends the socket's state after each wait, which is 0 where the server neither said nor took anything.
    """
    heard = time.monotonic()
    try:
        wanted = next(steps)
        while True:
            state = yield wanted
            now = time.monotonic()
            if state:
                heard = now
            elif now - heard > seconds:
                raise _Silent
            wanted = steps.send(state)
    except StopIteration as end:
        return end.value
