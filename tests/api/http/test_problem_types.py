"""The registry of problem types: docs/errors.md is what it makes, and it has what the server itself answers."""

from pathlib import Path

import pytest

from service.api.http.problem_types import PROBLEM_TYPES, write_page
from service.server import refusals

PAGE = (Path(__file__).parents[3] / "docs" / "errors.md").read_text(encoding="utf-8")
REFUSALS = [
    *(each for each in vars(refusals).values() if isinstance(each, refusals.Refusal)),
    refusals.malformed("the head is no head"),
    refusals.head_too_slow(10),
    refusals.body_too_slow(10, 60),
    refusals.head_too_large(65536),
    refusals.body_too_large(1000),
]


def test_the_page_is_what_the_registry_makes() -> None:
    """`make openapi` makes it anew."""
    assert write_page() == PAGE


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.detail[:20])
def test_what_the_server_refuses_by_itself_is_of_a_type(refusal: refusals.Refusal) -> None:
    kind = PROBLEM_TYPES[refusal.slug]
    assert (refusal.status, refusal.title) == (kind.status, kind.title)


def test_types_are_listed_by_status_and_say_what_to_do() -> None:
    statuses = [kind.status for kind in PROBLEM_TYPES.values()]
    assert statuses == sorted(statuses)
    for kind in PROBLEM_TYPES.values():
        assert kind.meaning.endswith(".") and kind.remedy.endswith(".")
