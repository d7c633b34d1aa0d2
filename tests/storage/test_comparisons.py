"""Comparisons in the database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from service.core.errors import NotFound
from service.storage.comparisons import ComparisonRecord, get_comparison, insert_comparison, list_comparisons
from service.storage.database import Database
from service.storage.identifiers import new_id
from service.storage.records import GraphRecord, RunRecord
from service.storage.runs import insert_run


@pytest.fixture
def runs(database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]) -> list[str]:
    """Three runs."""
    records = [run_record(stored, has_values=False) for _ in range(3)]
    with database.write() as connection:
        for record in records:
            insert_run(connection, record, None, None)
    return [record.id for record in records]


def record(baseline: str, candidate: str, **changes: Any) -> ComparisonRecord:
    """A comparison of two runs."""
    members: dict[str, Any] = {
        "id": new_id(),
        "baseline_id": baseline,
        "candidate_id": candidate,
        "tolerance": "float64",
        "names": {},
        "backward": True,
        "verdict": "differ",
        "counts": {"same": 5, "origin": 2},
        "created_at": datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC),
    }
    return ComparisonRecord(**{**members, **changes})


def kept(database: Database, *records: ComparisonRecord) -> None:
    """Keep them, one transaction each."""
    for each in records:
        with database.write() as connection:
            insert_comparison(connection, each)


def test_a_record_comes_back_as_it_was(database: Database, runs: list[str]) -> None:
    records = [
        record(runs[0], runs[1]),
        record(runs[0], runs[0], tolerance={"rtol": 1e-300, "atol": 0.1 + 0.2}, verdict="same", backward=False),
        record(runs[1], runs[0], tolerance="exact", names={"é/`x`": "·", "": "e"}, counts={}),
        record(runs[2], runs[0], created_at=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5)))),
    ]
    kept(database, *records)
    with database.read() as connection:
        assert [get_comparison(connection, each.id) for each in records] == records


def test_lists_are_newest_first_and_by_run(database: Database, runs: list[str]) -> None:
    records = [record(runs[0], runs[1]), record(runs[1], runs[2]), record(runs[2], runs[0]), record(runs[0], runs[0])]
    kept(database, *records)
    with database.read() as connection:

        def listed(run: str | None = None, after: str | None = None, limit: int = 10) -> list[ComparisonRecord]:
            return list_comparisons(connection, run=run, after=after, limit=limit)

        assert listed() == records[::-1]
        assert listed(limit=2) == records[:1:-1]
        assert listed(after=records[2].id) == records[1::-1]
        assert listed(runs[1]) == [records[1], records[0]]
        assert listed(runs[0]) == [records[3], records[2], records[0]]
        assert listed(runs[0], after=records[2].id, limit=1) == [records[0]]
        assert listed("no run") == []


def test_what_is_not_there_is_not_found(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="no comparison 'nothing'"):
        get_comparison(connection, "nothing")


def test_a_comparison_needs_its_runs(database: Database, runs: list[str]) -> None:
    for pair in (("nothing", runs[0]), (runs[0], "nothing")):
        with pytest.raises(IntegrityError):
            kept(database, record(*pair))
    with database.read() as connection:
        assert list_comparisons(connection, run=None, after=None, limit=10) == []
