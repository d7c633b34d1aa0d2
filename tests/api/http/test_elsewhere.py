"""Requests that are too large for a thread: answered as in a thread, or ended with a reason, beside all others."""

import json
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

from service.api.http.elsewhere import LARGE_BODY
from service.serving import service_process

JSON = {"Content-Type": "application/json"}
LARGE = " " * (LARGE_BODY + 1)  # after a body: it is then read elsewhere
GRAPH = {"name": "next", "expression": "x"}
PATIENCE = 60


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


def post(url: str, body: Any, large: bool = True, headers: Mapping[str, str] = JSON) -> requests.Response:
    """The answer to a body, which is large if need be."""
    text = body if isinstance(body, str) else json.dumps(body)
    return requests.post(url, (text + LARGE * large).encode(), headers={**JSON, **headers}, timeout=PATIENCE)


def without(answer: requests.Response, *headers: str) -> dict[str, str]:
    """The headers, lists sorted, but for these and those that differ each time."""
    lowered = {*headers, "date", "x-request-id"}
    found = {name: value for name, value in answer.headers.items() if name.lower() not in lowered}
    return {name: ", ".join(sorted(value.split(", "))) for name, value in found.items()}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/graphs", "}"),
        ("/v1/graphs", {"name": "", "nodes": [{"name": "x", "operation": "Nothing"}]}),
        ("/v1/graphs/none/runs", {"inputs": {}}),
        ("/v1/nothing", {}),
        ("/livez", {}),
        ("/v1/graphs?nothing=1", {"name": "g"}),
    ],
)
def test_what_is_refused_is_refused_alike(service_url: str, path: str, body: Any) -> None:
    small, large = (post(service_url + path, body, large) for large in (False, True))
    assert small.status_code >= 400
    assert (large.status_code, large.json()) == (small.status_code, small.json())
    assert without(large) == without(small)


def test_what_is_answered_is_answered_alike(service_url: str) -> None:
    made = post(f"{service_url}/v1/graphs", {"name": "elsewhere", "expression": "F = a*b"})
    assert (made.status_code, made.json()["version"]) == (201, 1)
    again = post(f"{service_url}/v1/graphs", {"name": "elsewhere", "expression": "F = a*b"}, large=False)
    assert (again.status_code, again.json()) == (200, made.json())
    runs = [
        post(
            f"{service_url}/v1/graphs/{made.json()['id']}/runs", {"inputs": {"a": [1, 2], "b": 3}, "keep": False}, large
        )
        for large in (False, True)
    ]
    assert without(runs[0], "etag") == without(runs[1], "etag")
    documents = [{**run.json(), "created_at": None} for run in runs]
    assert documents[0] == documents[1] and documents[0]["gradients"] == {"a": [3.0, 3.0], "b": 3.0}


def test_what_needs_more_than_its_body_tells_is_granted_it(service_url: str) -> None:
    graph = post(
        f"{service_url}/v1/graphs", {"name": "outer", "expression": "F = sum(exp(unsqueeze(a, 1) * b))"}
    ).json()
    numbers = [k / 2000 for k in range(2000)]
    body = {"inputs": {"a": numbers, "b": numbers}, "keep": False}  # 32 MB of a product, and of what is made of it
    run = post(f"{service_url}/v1/graphs/{graph['id']}/runs?gradients=inputs", body)
    assert run.status_code == 200, run.text
    assert run.json()["outputs"]["F"] == pytest.approx(np.exp(np.outer(numbers, numbers)).sum())


def test_a_key_has_one_effect_wherever_it_is_read(service_url: str) -> None:
    graph = post(f"{service_url}/v1/graphs", {"name": "key elsewhere", "expression": "F = a"}).json()["id"]
    url, body = f"{service_url}/v1/graphs/{graph}/runs", {"inputs": {"a": 1}}
    key = {"Idempotency-Key": "elsewhere"}
    with ThreadPoolExecutor(4) as threads:
        made = threads.map(lambda _: post(url, body, headers=key).json()["id"], range(4))
        assert len(set(made)) == 1
    assert post(url, body, False, key).status_code == 422  # another body


def test_it_is_measured_once_and_keeps_its_id(service_url: str) -> None:
    def count() -> float:
        lines = requests.get(f"{service_url}/metrics", timeout=PATIENCE).text.splitlines()
        wanted = 'gradbook_requests_total{method="POST",route="/v1/graphs/<graph_id>/gradient-graph",status="404"}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))

    before = count()
    url = f"{service_url}/v1/graphs/none/gradient-graph"
    answer = post(url, {"output": "F", "wrt": ["a"]}, headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (404, "mine")
    assert count() == before + 1


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
