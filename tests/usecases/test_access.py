"""The keyring: what it notices, and what it writes."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Connection
from sqlalchemy import text as sql
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from service.storage.access_keys import (
    PREFIX,
    AccessKey,
    Scope,
    create_access_key,
    list_access_keys,
    revoke_access_key,
)
from service.storage.database import Database
from service.usecases import access
from service.usecases.access import KEPT_SECONDS, Keyring, NotAdmitted


@pytest.fixture
def database(empty_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Database]:
    """A new database."""
    with closing(Database(empty_database(tmp_path))) as made:
        yield made


def create(database: Database, scope: Scope = Scope.READ) -> str:
    with database.write() as connection:
        return create_access_key(connection, "ci", scope)[1]


def stored(database: Database) -> AccessKey:
    with database.read() as connection:
        (key,) = list_access_keys(connection)
    return key


def wait_for(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_new_and_a_revoked_key_are_noticed_in_time(database: Database) -> None:
    assert KEPT_SECONDS <= 1
    noticed: list[tuple[str, str]] = []
    keyring = Keyring(
        database, anybody=True, kept=0.02, noticed=lambda change, key: noticed.append((change, key.prefix))
    )
    assert keyring.identify(None) is None
    text = create(database)
    time.sleep(0.03)
    with pytest.raises(NotAdmitted, match="a key is needed"):
        keyring.identify(None)
    assert keyring.identify(text) is not None
    with database.write() as connection:
        revoke_access_key(connection, "ci")
    time.sleep(0.03)
    with pytest.raises(NotAdmitted, match="revoked"):
        keyring.identify(text)
    assert noticed == [("create_key", text[:PREFIX]), ("revoke_key", text[:PREFIX])]


def test_once_a_key_was_made_nobody_is_let_in_without_one(database: Database) -> None:
    assert Keyring(database, anybody=True).identify("a text that is none") is None
    with pytest.raises(NotAdmitted):
        Keyring(database, anybody=False).identify(None)
    create(database)
    with database.write() as connection:
        revoke_access_key(connection, "ci")
    with pytest.raises(NotAdmitted):
        Keyring(database, anybody=True).identify(None)


def test_the_keys_are_not_read_for_each_request(database: Database) -> None:
    text = create(database)
    keyring = Keyring(database, anybody=True, kept=60)
    keyring.identify(text)
    with database.write() as connection:
        revoke_access_key(connection, "ci")
    assert keyring.identify(text) is not None


def test_while_the_database_does_not_answer_the_keys_count_that_were_known(database: Database) -> None:
    text = create(database)
    keyring, late = (Keyring(database, anybody=True, kept=0) for _ in range(2))
    keyring.identify(text)
    with database.write() as connection:
        connection.execute(sql("ALTER TABLE access_keys RENAME TO away"))
    assert keyring.identify(text) is not None
    with pytest.raises(NotAdmitted):
        keyring.identify(None)
    with pytest.raises(SQLAlchemyError):
        late.identify(text)
    with database.write() as connection:
        connection.execute(sql("ALTER TABLE away RENAME TO access_keys"))
        revoke_access_key(connection, "ci")
    with pytest.raises(NotAdmitted, match="revoked"):
        keyring.identify(text)


def test_a_database_that_hangs_holds_nobody_up_for_long(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    text = create(database)
    keyring, late = (Keyring(database, anybody=True, kept=0) for _ in range(2))
    keyring.identify(text)
    monkeypatch.setattr(access, "_PATIENCE", 0.05)
    answers, asked, read = Event(), count(), database.read

    def hang() -> AbstractContextManager[Connection]:
        next(asked)
        answers.wait(10)
        return read()

    monkeypatch.setattr(database, "read", hang)
    began = time.monotonic()
    assert keyring.identify(text) is not None and keyring.identify(text) is not None
    with pytest.raises(OperationalError):
        late.identify(text)
    assert time.monotonic() - began < 1
    assert next(asked) == 2  # of each keyring one thread waits, however many ask
    answers.set()
    with database.write() as connection:
        revoke_access_key(connection, "ci")
    time.sleep(0.05)
    for each in (keyring, late):
        each._reading.result(1)
        with pytest.raises(NotAdmitted, match="revoked"):
            each.identify(text)


def test_a_key_that_is_kept_in_memory_expires(database: Database) -> None:
    end = datetime.now(UTC) + timedelta(seconds=0.5)
    with database.write() as connection:
        _, text = create_access_key(connection, "ci", Scope.READ, end)
    keyring = Keyring(database, anybody=False, kept=60)
    assert keyring.identify(text) is not None
    time.sleep(max((end - datetime.now(UTC)).total_seconds(), 0))
    with pytest.raises(NotAdmitted, match="expired"):
        keyring.identify(text)


def test_the_last_use_is_written_once_a_minute(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    text = create(database)
    keyring = Keyring(database, anybody=False)
    keyring.identify(text)
    wait_for(lambda: stored(database).used_at)
    first = stored(database).used_at
    keyring.identify(text)
    Keyring(database, anybody=False).identify(text)  # another process
    time.sleep(0.02)
    assert stored(database).used_at == first
    monkeypatch.setattr(access, "_BETWEEN_NOTES", timedelta(0))
    keyring.identify(text)
    wait_for(lambda: stored(database).used_at != first)


@pytest.mark.sqlite
def test_a_key_lets_in_where_its_use_cannot_be_written(database: Database) -> None:
    assert database.file
    text = create(database)
    keyring = Keyring(database, anybody=False)
    database._patience = 0.0
    with closing(Database(f"sqlite:///{database.file.path}")) as other, other.write():
        assert keyring.identify(text) is not None
        time.sleep(0.02)
    assert stored(database).used_at is None
