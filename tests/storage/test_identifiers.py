from datetime import UTC, datetime, timedelta

from service.storage.identifiers import bound, new_id


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
