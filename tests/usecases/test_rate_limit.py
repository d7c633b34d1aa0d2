"""Requests of a key that several processes count together."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection

from service.storage.access_keys import Scope, count_requests, create_access_key
from service.storage.database import Database
from service.usecases import rate_limit
from service.usecases.rate_limit import RateLimit


@pytest.fixture
def databases(empty_database: Callable[[Path], str], tmp_path: Path) -> Iterator[list[Database]]:
    """One database, as two processes open it."""
    url = empty_database(tmp_path)
    with closing(Database(url)) as one, closing(Database(url)) as other:
        yield [one, other]


@pytest.fixture
def prefix(databases: list[Database]) -> str:
    """That of a key."""
    with databases[0].write() as connection:
        return create_access_key(connection, "ci", Scope.READ)[0].prefix


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still unless it is set."""
    clock = SimpleNamespace(now=60_000_000.0)
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def test_two_processes_let_in_as_many_as_one(databases: list[Database], prefix: str, clock: SimpleNamespace) -> None:
    for most in (7, 100):
        clock.now += 60
        limits = [RateLimit(database, most) for database in databases]
        admitted = [limits[number % 2].take(prefix).admitted for number in range(2 * most)]
        assert sum(admitted) == most


def test_what_one_process_holds_back_another_does_not_give_out(databases: list[Database], prefix: str) -> None:
    idle, busy = (RateLimit(database, 200) for database in databases)
    assert idle.take(prefix) == rate_limit.Allowance(True, 199, 60)
    assert sum(busy.take(prefix).admitted for _ in range(300)) == 190  # the idle one has ten in hand
    assert sum(idle.take(prefix).admitted for _ in range(300)) == 9


def test_threads_at_once_let_in_no_more_and_no_fewer(
    databases: list[Database], prefix: str, clock: SimpleNamespace
) -> None:
    for most in (5, 60):
        clock.now += 60
        limit = RateLimit(databases[0], most)
        with ThreadPoolExecutor(8) as threads:
            admitted = list(threads.map(lambda _, limit=limit: limit.take(prefix).admitted, range(2 * most)))
        late = [limit.take(prefix).admitted for _ in range(most)]  # what a thread took when the others were refused
        assert sum(admitted) > 0 and sum(admitted) + sum(late) == most


def test_few_requests_wait_for_a_commit(
    databases: list[Database], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def count(connection: Connection, prefix: str, minute: int, count: int) -> int:
        counted.append(count)
        return count_requests(connection, prefix, minute, count)

    monkeypatch.setattr(rate_limit, "count_requests", count)
    limit = RateLimit(databases[0], 100)
    assert sum(limit.take(prefix).admitted for _ in range(500)) == 100
    assert counted == [5] * 20


@pytest.mark.sqlite
def test_where_the_database_cannot_be_written_each_process_counts_for_itself(
    databases: list[Database], prefix: str
) -> None:
    databases[0]._patience = 0.0
    limit = RateLimit(databases[0], 40)
    with databases[1].write():
        admitted = [limit.take(prefix).admitted for _ in range(100)]
    assert sum(admitted) == 40 and not any(admitted[40:])
