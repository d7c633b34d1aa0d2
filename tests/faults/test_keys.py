"""Keys at a started service: noticed while it runs, also for what its worker processes do, and counted by two."""

import time
from collections.abc import Callable, Iterator

import pytest
import requests

from service.process import service_process
from service.usecases.access import KEPT_SECONDS
from tests.cli.command import call_main
from tests.large_requests import post

pytestmark = pytest.mark.faults

OTHERS = {"GRADBOOK_HOST": "0.0.0.0", "GRADBOOK_REQUESTS_PER_MINUTE": "100"}
GRAPH = {"name": "keyed", "expression": "x"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path_factory.mktemp('keys')}/gradbook.db"


@pytest.fixture(scope="module")
def make(database: str) -> Callable[[str, str], str]:
    """A function that makes a key."""
    return lambda name, scope: call_main(
        "", "key", "create", "--name", name, "--scope", scope, "--database", database
    ).out.strip()


@pytest.fixture(scope="module")
def urls(database: str, make: Callable[[str, str], str]) -> Iterator[list[str]]:
    """Two services that others reach, over one database that has a key."""
    make("first", "admin")
    with service_process(database, variables=OTHERS) as one, service_process(database, variables=OTHERS) as another:
        yield [one, another]


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def statuses(url: str, key: str) -> list[int]:
    """Of what reads, what a thread stores and what a worker process stores."""
    headers = bearing(key)
    reads = requests.get(f"{url}/v1/graphs", headers=headers, timeout=60)
    answers = [reads, *(post(f"{url}/v1/graphs", GRAPH, large, headers) for large in (False, True))]
    return [answer.status_code for answer in answers]


def test_a_new_and_a_revoked_key_are_noticed_within_a_second(
    urls: list[str], make: Callable[[str, str], str], database: str
) -> None:
    for url in urls:
        assert statuses(url, "gradbook_0") == [401, 401, 401]
        assert requests.get(f"{url}/readyz", timeout=60).status_code == 200
    reader, writer = make("reader", "read"), make("writer", "write")
    time.sleep(KEPT_SECONDS + 0.1)
    for url in urls:
        assert statuses(url, reader) == [200, 403, 403]
        assert max(statuses(url, writer)) <= 201
    for name in ("reader", "writer"):
        assert call_main("", "key", "revoke", name, "--database", database).code == 0
    time.sleep(KEPT_SECONDS + 0.1)
    for url in urls:
        assert statuses(url, reader) == statuses(url, writer) == [401, 401, 401]
    listed = call_main("", "key", "list", "--json", "--database", database).json
    assert {each["name"]: bool(each["used_at"]) for each in listed} == {"first": False, "reader": True, "writer": True}


def test_two_services_count_a_keys_requests_together(urls: list[str], make: Callable[[str, str], str]) -> None:
    key = make("busy", "read")
    time.sleep(max(KEPT_SECONDS + 0.1, (time.time() % 60 > 30) * (60.1 - time.time() % 60)))  # well within a minute
    answers = [requests.get(f"{urls[number % 2]}/v1/limits", headers=bearing(key), timeout=60) for number in range(150)]
    counted = [answer.status_code for answer in answers]
    assert (counted.count(200), counted.count(429)) == (100, 50)
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
