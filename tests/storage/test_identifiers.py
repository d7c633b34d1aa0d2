from service.storage.identifiers import new_id


def test_identifiers_sort_by_the_time_of_their_making() -> None:
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {len(identifier) for identifier in made} == {36}
