import pytest
from sqlalchemy import Connection

from service.core.errors import Conflict, KeyReused
from service.usecases.context import Context
from service.usecases.idempotency import IdempotencyKey, made_before, write_once

KEY = IdempotencyKey("k", "f" * 64)


def again(connection: Connection, identifier: str) -> str:
    """What was made before."""
    return f"{identifier} again"


@pytest.mark.parametrize(("new", "status"), [(True, 201), (False, 200)])
def test_what_was_made_is_found_again_under_its_key(context: Context, new: bool, status: int) -> None:
    made = [write_once(context.database, KEY, lambda connection: ("it", "an id", new), again) for _ in range(3)]
    assert made == [("it", new), ("an id again", new), ("an id again", new)]
    with context.database.read() as connection:
        known = made_before(connection, KEY)
        assert known and (known.resource_id, known.status) == ("an id", status)


def test_without_a_key_it_is_made_each_time(context: Context) -> None:
    made = iter(("one", "two"))
    results = [write_once(context.database, None, lambda connection: (next(made), "id", True), again) for _ in range(2)]
    assert results == [("one", True), ("two", True)]
    with context.database.read() as connection:
        assert made_before(connection, None) is None


def test_another_request_under_the_key_is_refused_and_nothing_is_made(context: Context) -> None:
    write_once(context.database, KEY, lambda connection: ("it", "id", True), again)
    with pytest.raises(KeyReused, match="different request"):
        write_once(context.database, IdempotencyKey("k", "0" * 64), lambda connection: pytest.fail("made"), again)


def test_what_fails_leaves_no_key(context: Context) -> None:
    def fail(connection: Connection) -> tuple[str, str, bool]:
        raise Conflict("no")

    with pytest.raises(Conflict):
        write_once(context.database, KEY, fail, again)
    assert write_once(context.database, KEY, lambda connection: ("it", "id", True), again) == ("it", True)
