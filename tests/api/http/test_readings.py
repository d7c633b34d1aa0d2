"""What /metrics reads when it is asked."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from service.api.http.readings import GAUGES
from tests.large_requests import PATIENCE, post
from tests.waiting import until


def read(text: str) -> dict[tuple[str, ...], float]:
    """The samples by name and labels' values."""
    families = text_string_to_metric_families(text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def ask(service_url: str) -> dict[tuple[str, ...], float]:
    return read(requests.get(f"{service_url}/metrics", timeout=PATIENCE).text)


def test_a_service_shows_its_load_and_its_caches(service_url: str) -> None:
    samples = ask(service_url)
    assert {name for name, *_ in samples} >= GAUGES.keys()
    for cache in ("graphs", "records", "tensors", "comparisons"):
        assert 0 <= samples["gradbook_cache_bytes", cache] <= samples["gradbook_cache_limit_bytes", cache]
        assert samples["gradbook_cache_hits_total", cache] >= 0 and samples["gradbook_cache_misses_total", cache] >= 0
    assert samples["gradbook_server_connections",] >= 1
    assert samples["gradbook_worker_memory_limit_bytes",] > 0
    assert samples["process_resident_memory_bytes",] > 0
    assert samples["gradbook_database_ready",] == 1


def test_a_service_shows_its_jobs_and_what_chunks_take(service_url: str) -> None:
    graph = post(f"{service_url}/v1/graphs", {"name": "measured", "expression": "F = a*b"}, large=False).json()["id"]
    before = ask(service_url)
    body = {"inputs": {"a": {"linspace": [0, 1, 10]}, "b": 2}}
    post(f"{service_url}/v1/graphs/{graph}/sweeps", body, large=False).raise_for_status()

    def done() -> bool:
        return ask(service_url)["gradbook_jobs", "done"] > before["gradbook_jobs", "done"]

    until(done)
    after = ask(service_url)
    assert {state for name, *labels in after if name == "gradbook_jobs" for state in labels} == {
        *("waiting", "running", "done", "failed", "cancelled")
    }
    assert after["gradbook_jobs_oldest_waiting_seconds",] == 0
    chunks = ("gradbook_chunk_seconds_count", "done")
    assert after[chunks] > before.get(chunks, 0)


def test_a_database_that_is_silent_hides_nothing_else(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()

    def silent(*_: Any) -> None:
        raise OperationalError("", {}, Exception("silent"))

    monkeypatch.setattr(app.extensions["gradbook"].database, "check", silent)
    samples = read(app.test_client().get("/metrics").text)
    assert samples["gradbook_database_ready",] == 0
    assert ("gradbook_jobs", "done") not in samples and ("gradbook_cache_bytes", "graphs") in samples
