"""Jobs in the database: who is at one, what is stored of it, and how it ends."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.core.errors import Conflict, NotFound
from service.storage import jobs as storage
from service.storage.database import Database
from service.storage.identifiers import new_id
from service.storage.jobs import DoneChunk, JobRecord

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)


def record(**changes: Any) -> JobRecord:
    members: dict[str, Any] = {"id": new_id(), "kind": "sweep", "task": {}, "created_at": NOW, "total": 30, "chunks": 3}
    return JobRecord(**{**members, **changes})


def insert(database: Database, **changes: Any) -> str:
    made = record(**changes)
    with database.write() as connection:
        storage.insert_job(connection, made)
    return made.id


def claim(database: Database, owner: str, seconds: float = 15.0) -> JobRecord | None:
    with database.write() as connection:
        return storage.claim_job(connection, owner, seconds)


def put(database: Database, identifier: str, owner: str, *numbers: int, data: bytes | None = b"x") -> bool:
    chunks = [DoneChunk(number, 10, data, None if data else "it ended 2 processes") for number in numbers]
    with database.write() as connection:
        return storage.insert_chunks(connection, identifier, owner, chunks)


def read(database: Database, identifier: str) -> JobRecord:
    with database.read() as connection:
        return storage.get_job(connection, identifier)


def do(database: Database, act: Callable[..., Any], *given: Any, **named: Any) -> Any:
    with database.write() as connection:
        return act(connection, *given, **named)


def test_it_is_known_for_how_long_the_oldest_job_waits(database: Database) -> None:
    with database.read() as connection:
        assert storage.seconds_waiting(connection) == 0
    now = datetime.now(UTC)
    for hours in (1, 3, 2):
        insert(database, created_at=now - timedelta(hours=hours))
    insert(database, created_at=now - timedelta(hours=9), state="done")
    with database.read() as connection:
        assert storage.seconds_waiting(connection) == pytest.approx(3 * 3600, abs=60)


def test_a_job_comes_back_as_it_was_inserted(database: Database) -> None:
    made = record(task={"a": [1, None]}, operations=25)
    do(database, storage.insert_job, made, [b"first", b"\0second"])
    assert read(database, made.id) == made
    with database.read() as connection:
        assert storage.load_given(connection, made.id) == [b"first", b"\0second"]
        with pytest.raises(NotFound, match="no job 'other'"):
            storage.get_job(connection, "other")


def test_each_job_is_claimed_by_one_owner_oldest_first(database: Database) -> None:
    made = [insert(database) for _ in range(12)]
    with ThreadPoolExecutor(4) as threads:
        claimed = [*threads.map(lambda number: claim(database, f"owner {number}"), range(13))]
    assert sorted(each.id for each in claimed if each) == made
    assert sum(each is None for each in claimed) == 1
    assert {read(database, each).state for each in made} == {"running"}


def test_a_job_whose_lease_has_ended_is_claimed_by_another(database: Database) -> None:
    identifier = insert(database)
    assert claim(database, "a", seconds=-1.0)
    do(database, storage.renew_leases, "a", [identifier], 15.0)
    assert claim(database, "b") is None
    do(database, storage.renew_leases, "a", [identifier], -1.0)
    taken = claim(database, "b")
    assert taken is not None and taken.id == identifier and taken.claims == 2
    assert not put(database, identifier, "a", 0)
    assert put(database, identifier, "b", 0)
    assert not do(database, storage.end_job, identifier, "a", result="/x")
    with database.read() as connection:
        assert storage.list_owned(connection, "a") == set()
        assert storage.list_owned(connection, "b") == {identifier}


def test_leases_are_renewed_of_the_jobs_that_are_named(database: Database) -> None:
    named, left = insert(database), insert(database)
    for _ in range(2):
        claim(database, "a", seconds=-1.0)
    do(database, storage.renew_leases, "a", [named], 15.0)
    found = claim(database, "b")
    assert found is not None and found.id == left
    with database.write() as connection:
        assert storage.claim_job(connection, "c", 15.0) is None


def test_a_job_is_not_claimed_by_who_is_still_at_it(database: Database) -> None:
    first, second = insert(database), insert(database)
    with database.write() as connection:
        claimed = storage.claim_job(connection, "a", 15.0, [first])
        assert claimed is not None and claimed.id == second
        assert storage.claim_job(connection, "a", 15.0, [first]) is None


def test_a_job_of_a_kind_that_only_another_version_does_is_left_to_it(database: Database) -> None:
    other, known = insert(database, kind="novel"), insert(database)
    assert [each and each.id for each in (claim(database, "a"), claim(database, "a"))] == [known, None]
    with database.read() as connection:
        assert not storage.is_any_free(connection)
    assert read(database, other).state == "waiting"


def test_a_chunk_counts_once(database: Database) -> None:
    identifier = insert(database)
    claim(database, "a")
    assert put(database, identifier, "a", 2, 0, data=b"first")
    assert put(database, identifier, "a", 0, 1, data=b"second")
    assert read(database, identifier).done == 30
    with database.read() as connection:
        assert storage.list_chunks(connection, identifier) == {0, 1, 2}
        found = [*storage.load_chunks(connection, identifier, range(3))]
    assert found == [(0, b"first"), (1, b"second"), (2, b"first")]


def test_nothing_is_stored_of_a_job_that_was_cancelled(database: Database) -> None:
    identifier = insert(database)
    claim(database, "a")
    put(database, identifier, "a", 0)
    cancelled = do(database, storage.cancel_job, identifier)
    assert (cancelled.state, cancelled.owner) == ("cancelled", None)
    assert do(database, storage.cancel_job, identifier) == cancelled
    assert not put(database, identifier, "a", 1)
    assert not do(database, storage.end_job, identifier, "a", result="/x")
    assert (read(database, identifier).state, read(database, identifier).done) == ("cancelled", 10)
    retried = do(database, storage.retry_job, identifier)
    assert (retried.state, retried.done, retried.ended_at) == ("waiting", 10, None)


def test_a_job_that_failed_is_done_again_where_it_was_not_done(database: Database) -> None:
    identifier = insert(database)
    claim(database, "a")
    put(database, identifier, "a", 0)
    put(database, identifier, "a", 1, data=None)
    with database.read() as connection:
        assert storage.list_failed_chunks(connection, identifier) == [(1, "it ended 2 processes")]
    do(database, storage.end_job, identifier, "a", problem={"title": "x"})
    assert read(database, identifier).state == "failed"
    assert do(database, storage.retry_job, identifier).problem is None
    with database.read() as connection:
        assert storage.list_chunks(connection, identifier) == {0}


def test_a_job_that_is_done_is_neither_cancelled_nor_retried(database: Database) -> None:
    identifier = insert(database)
    claim(database, "a")
    assert do(database, storage.end_job, identifier, "a", result="/v1/sweeps/x", summary={"least": 1})
    for act in (storage.cancel_job, storage.retry_job):
        with pytest.raises(Conflict, match="done"):
            do(database, act, identifier)
    assert read(database, identifier).summary == {"least": 1}


def test_a_job_that_ends_whoever_is_at_it_is_failed(database: Database) -> None:
    insert(database)
    for _ in range(3):
        assert claim(database, "a", seconds=-1.0)
    other = insert(database)
    found = claim(database, "b")
    assert found is not None and found.id == other
    with database.read() as connection:
        _, failed = storage.list_jobs(connection, limit=5)
    assert failed.state == "failed" and failed.problem is not None
    assert "begun 3 times" in failed.problem["detail"]


def test_what_was_done_or_released_counts_for_a_job(database: Database) -> None:
    identifier = insert(database)
    for number in range(3):
        claim(database, "a", seconds=-1.0)
        put(database, identifier, "a", number)
        claim(database, "a", seconds=-1.0)
        do(database, storage.release_job, identifier, "a")
    assert claim(database, "a") is not None


def test_jobs_are_listed_by_state_and_kind_and_counted(database: Database) -> None:
    ids = [insert(database), insert(database, kind="request")]
    claim(database, "a")
    with database.read() as connection:
        assert [each.id for each in storage.list_jobs(connection, limit=9)] == ids[::-1]
        assert [each.id for each in storage.list_jobs(connection, limit=9, state="running")] == ids[:1]
        assert [each.id for each in storage.list_jobs(connection, limit=9, kind="request")] == ids[1:]
        assert storage.count_jobs(connection) == {"waiting": 1, "running": 1, "done": 0, "failed": 0, "cancelled": 0}
        assert storage.is_any_free(connection)


def test_jobs_that_ended_long_ago_go_with_their_chunks(database: Database) -> None:
    old, new, waiting = insert(database), insert(database), insert(database)
    for identifier in (old, new):
        claim(database, "a")
        put(database, identifier, "a", 0)
        do(database, storage.end_job, identifier, "a", result="/x")
    ended = read(database, old).ended_at
    assert ended is not None
    assert do(database, storage.delete_old_jobs, ended + timedelta(microseconds=1), 5) == 1
    with database.read() as connection:
        assert storage.list_chunks(connection, old) == set()
        assert storage.list_chunks(connection, new) == {0}
        assert storage.get_job(connection, waiting).state == "waiting"
