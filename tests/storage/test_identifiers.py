from datetime import UTC, datetime, timedelta

import pytest

from service.storage import identifiers
from service.storage.identifiers import bound, ids_from, new_id, new_ids


def test_identifiers_sort_by_the_time_of_their_making() -> None:
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {len(identifier) for identifier in made} == {36}


def test_a_bound_parts_identifiers_by_the_millisecond_of_their_making() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = new_id()
    after = datetime.now(UTC) + timedelta(milliseconds=1)
    assert bound(before) < made < bound(after)
    assert bound(datetime(1900, 1, 1, tzinfo=UTC)) == "00000000-0000" < made < bound(datetime(9999, 1, 1, tzinfo=UTC))
    assert bound(before) == bound(before.replace(microsecond=before.microsecond // 1000 * 1000))


def test_ids_of_what_is_made_together_follow_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_ids(1000)
    assert made == sorted(set(made)) == ids_from(made[0], 1000)
    assert {each[:-8] for each in made} == {made[0][:-8]}
    monkeypatch.setattr(identifiers, "new_id", lambda: "01a22a5b-c9b4-771d-88d5-07d4ffffffff")
    assert new_ids(2) == ["01a22a5b-c9b4-771d-88d5-07d47fffffff", "01a22a5b-c9b4-771d-88d5-07d480000000"]
