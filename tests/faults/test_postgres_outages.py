"""A few outages of a PostgreSQL server under load; `make faults` tries many."""

import pytest

from tests.faults.postgres_outages import SERVICES, try_outages

pytestmark = pytest.mark.postgres


def test_what_was_acknowledged_is_kept_once_and_the_rest_is_answered_with_503() -> None:
    rows = try_outages(2)
    for row in rows:
        assert row.acknowledged > 20 and (row.lost, row.doubled, row.others) == (0, 0, {}), str(row)
        assert row.said["began"] == row.said["ended"] and row.said["tracebacks"] == 0, str(row)
    assert rows[0].unavailable > 0
    # One line each for the outages of a service, and little more where its requests overlap with their end.
    assert rows[0].tried <= rows[0].said["began"] <= 2 * SERVICES * rows[0].tried
