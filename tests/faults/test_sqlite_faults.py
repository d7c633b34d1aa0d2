"""A few faults of a service on SQLite under load; `make faults` tries many."""

import pytest

from tests.faults.sqlite_faults import KINDS, try_faults

pytestmark = pytest.mark.faults


def test_what_was_acknowledged_is_kept_once_whatever_is_killed_or_locked() -> None:
    rows = try_faults({**dict.fromkeys(KINDS, 2), "locked 7 s": 1})
    for row in rows:
        assert row.acknowledged > 20 and (row.lost, row.doubled, row.others) == (0, 0, {}), str(row)
        assert row.said["tracebacks"] == 0, str(row)
    killed, _, locked = rows
    assert min(killed.unavailable, locked.unavailable) > 0
    assert locked.said["began"] == locked.said["ended"] >= 1
