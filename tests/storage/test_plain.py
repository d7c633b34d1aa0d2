"""Rows inserted plainly are those that SQLAlchemy inserts."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

from service.storage.database import Database
from service.storage.models import Base, KeyRow, RunRow
from service.storage.plain import _prepared, insert_plainly
from service.storage.records import GraphRecord

RUNS, KEYS = (Base.metadata.tables[row.__tablename__] for row in (RunRow, KeyRow))
NOW = datetime(2026, 3, 29, 2, 30, 15, 123456, timezone(timedelta(hours=2)))


def run_row(graph: str, **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys(RUNS.columns.keys())
    row |= {"id": "r", "graph_id": graph, "source": "computed", "dtype": "float64", "nondifferentiable": [0, 2]}
    return {**row, "convention": "minimum-norm", "created_at": NOW, **changes}


def test_rows_are_those_that_sqlalchemy_inserts(database: Database, stored: GraphRecord) -> None:
    layout = {"shapes": [[2], []], "absent": [1]}
    rows: list[tuple[Table, list[dict[str, Any]]]] = [
        (RUNS, [run_row(stored.id)]),
        (
            RUNS,
            [
                run_row(stored.id, id=str(number), seed=b"\0\xff", seed_shape=[], label="λ:\n", values_layout=layout)
                for number in range(3)
            ],
        ),
        (KEYS, [{"key": "k", "fingerprint": "f", "resource_id": "r", "status": 201, "created_at": NOW}]),
    ]
    for table, given in rows:
        found = []
        for plainly in (False, True):
            with database.write() as connection:
                if plainly:
                    insert_plainly(connection, table, given)
                else:
                    connection.execute(insert(table), given)
                found.append(connection.execute(select(table).order_by(table.primary_key.columns.values()[0])).all())
                connection.execute(delete(table))
        assert found[0] == found[1] and len(found[0]) == len(given)
        assert found[0][0].created_at == NOW.astimezone(UTC)


def test_a_statement_is_prepared_once(database: Database, stored: GraphRecord) -> None:
    with database.write() as connection, pytest.raises(IntegrityError, match=r"(?i)unique"):
        prepared = _prepared(connection.dialect, RUNS)
        for _ in range(2):
            insert_plainly(connection, RUNS, [run_row(stored.id)])
            assert _prepared(connection.dialect, RUNS) is prepared
