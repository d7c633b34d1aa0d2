from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import IntegrityError

from service.storage.database import Database
from service.storage.keys import KeyRecord, find_key, insert_key

MOMENT = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=-5)))


def test_a_key_is_found_again(database: Database) -> None:
    record = KeyRecord("ключ", "f" * 64, "some-id", 201, MOMENT)
    with database.write() as connection:
        assert find_key(connection, record.key) is None
        insert_key(connection, record)
    with database.read() as connection:
        found = find_key(connection, record.key)
    assert found == record
    assert found.created_at.tzinfo is UTC


def test_a_key_is_kept_once(database: Database) -> None:
    record = KeyRecord("key", "f" * 64, "some-id", 201, MOMENT)
    with database.write() as connection:
        insert_key(connection, record)
    with pytest.raises(IntegrityError), database.write() as connection:
        insert_key(connection, record)
