"""Requests that are too large for a thread are answered as in a thread; tests/faults ends them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests

from tests.large_requests import PATIENCE, post

TRACE = "00-0af7651916cd43dd8448eb211c80319c-"  # a `traceparent` begins so


def without(answer: requests.Response, *headers: str) -> dict[str, str]:
    """The headers, lists sorted, but for these and those that differ each time."""
    lowered = {*headers, "date", "x-request-id"}
    found = {name: value for name, value in answer.headers.items() if name.lower() not in lowered}
    return {name: ", ".join(sorted(value.split(", "))) for name, value in found.items()}


@pytest.mark.slow
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
    answer = post(
        url, {"output": "F", "wrt": ["a"]}, headers={"X-Request-Id": "mine", "traceparent": f"{TRACE}{'1' * 16}-01"}
    )
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (404, "mine")
    assert answer.headers["traceresponse"].startswith(TRACE) and "," not in answer.headers["traceresponse"]
    assert count() == before + 1
