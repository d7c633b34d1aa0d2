"""Requests that take too long, or that nobody waits for, in a service with one worker process."""

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from service.process import service_process
from tests.large_requests import LARGE, PATIENCE, post

pytestmark = pytest.mark.faults

GRAPH = {"name": "next", "expression": "x"}


@dataclass(frozen=True)
class Narrow:
    """A service with one worker process and a few seconds for each request."""

    url: str
    database: Path

    def wait_for_process(self) -> None:
        """Return when the process has begun, at first or after another was killed."""
        while post(f"{self.url}/v1/graphs", GRAPH).status_code == 503:
            pass

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Nothing is stored meanwhile: who would store something waits for the lock."""
        connection = sqlite3.connect(self.database, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Narrow]:
    """The service, with its process begun."""
    database = tmp_path_factory.mktemp("narrow") / "gradbook.db"
    # Who waits for the lock reaches the deadline before it gives up by itself.
    variables = {"GRADBOOK_PROCESSES": "1", "GRADBOOK_DEADLINE_SECONDS": "8", "GRADBOOK_LOCK_SECONDS": "60"}
    with service_process(f"sqlite:///{database}", variables=variables) as url:
        made = Narrow(url, database)
        made.wait_for_process()
        yield made


def test_what_takes_too_long_is_ended_and_leaves_nothing(narrow: Narrow) -> None:
    with narrow.busy():
        answer = post(f"{narrow.url}/v1/graphs", {"name": "late", "expression": "x"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:gradbook:problem:deadline-exceeded")
    assert answer.headers["Retry-After"] and answer.headers["Content-Type"] == "application/problem+json"
    narrow.wait_for_process()
    assert requests.get(f"{narrow.url}/v1/graphs?name=late", timeout=PATIENCE).json()["graphs"] == []


def test_what_nobody_waits_for_is_ended(narrow: Narrow) -> None:
    parts = urlsplit(narrow.url)
    body = json.dumps({"name": "gone", "expression": "x"}).encode() + LARGE.encode()
    head = f"POST /v1/graphs HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    with narrow.busy():
        for _ in range(2):  # of which each would take eight seconds
            with socket.create_connection((parts.hostname, parts.port)) as client:
                client.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                time.sleep(0.2)
        # It waits for less than its own eight seconds, else it would be answered with 503.
        assert post(f"{narrow.url}/v1/graphs/none/runs", {"inputs": {}}).status_code == 404
    narrow.wait_for_process()
    assert requests.get(f"{narrow.url}/v1/graphs?name=gone", timeout=PATIENCE).json()["graphs"] == []


@pytest.mark.parametrize("large", [True, False])
def test_those_that_wait_for_a_process_or_for_the_lock_hold_no_thread(narrow: Narrow, large: bool) -> None:
    with ThreadPoolExecutor(12) as threads, narrow.busy():
        waiting = [threads.submit(post, f"{narrow.url}/v1/graphs", GRAPH, large) for _ in range(12)]
        time.sleep(0.5)
        assert requests.get(f"{narrow.url}/v1/graphs", timeout=PATIENCE).ok
        assert not any(each.done() for each in waiting)
    assert all(each.result().status_code == 200 for each in waiting)
