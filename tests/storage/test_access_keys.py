import hashlib
from datetime import UTC, datetime, timedelta

from sqlalchemy import text as sql

from service.storage.access_keys import (
    PREFIX,
    Scope,
    count_requests,
    create_access_key,
    list_access_keys,
    note_use,
    revoke_access_key,
)
from service.storage.database import Database

LATER = datetime.now(UTC) + timedelta(days=1)


def test_of_a_key_the_digest_is_kept_and_not_the_text(database: Database) -> None:
    with database.write() as connection:
        made, text = create_access_key(connection, "ci", Scope.WRITE, LATER)
        _, another = create_access_key(connection, "ci", Scope.ADMIN)
    with database.read() as connection:
        assert list_access_keys(connection)[0] == made
        stored = str(connection.execute(sql("SELECT * FROM access_keys")).all())
    assert made.prefix == text[:PREFIX] != another[:PREFIX]
    assert made.digest == hashlib.sha256(text.encode()).hexdigest()
    secret = text[PREFIX + 1 :]
    assert len(secret) == 43 and secret not in stored  # 256 bits, six to a character
    assert (made.scope, made.expires_at, made.revoked_at, made.used_at) == (Scope.WRITE, LATER, None, None)


def test_a_key_is_valid_until_it_expires_or_is_revoked(database: Database) -> None:
    with database.write() as connection:
        made, _ = create_access_key(connection, "ci", Scope.READ, LATER)
        assert [made.state(LATER + timedelta(seconds=late)) for late in (-1, 0, 1)] == ["valid", "expired", "expired"]
        assert revoke_access_key(connection, made.prefix) == [made.prefix]
        (revoked,) = list_access_keys(connection)
    assert revoked.revoked_at is not None and revoked.state(datetime.now(UTC)) == "revoked"


def test_a_key_is_revoked_by_prefix_or_name_where_that_is_one_alone(database: Database) -> None:
    with database.write() as connection:
        first, second, third = (create_access_key(connection, name, Scope.READ)[0].prefix for name in ("a", "b", "b"))
        assert revoke_access_key(connection, "c") == []
        assert sorted(revoke_access_key(connection, "b")) == sorted([second, third])
        assert revoke_access_key(connection, second) == [second]
        assert revoke_access_key(connection, second) == []
        assert revoke_access_key(connection, "b") == [third]
        left = [key.prefix for key in list_access_keys(connection) if not key.revoked_at]
    assert left == [first]


def test_the_last_use_and_the_requests_of_a_minute_are_kept_for_each_key(database: Database) -> None:
    with database.write() as connection:
        one, other = (create_access_key(connection, "ci", Scope.READ)[0].prefix for _ in range(2))
        note_use(connection, one, LATER)
        counted = [count_requests(connection, one, minute, count) for minute, count in ((7, 3), (7, 2), (8, 4))]
        assert counted == [3, 5, 4] and count_requests(connection, other, 8, 1) == 1
        assert {key.prefix: key.used_at for key in list_access_keys(connection)} == {one: LATER, other: None}
