"""Spans as a collector of OpenTelemetry's receives them."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask

from service.app import create_app
from service.process import service_process
from service.serving import _traces
from service.settings import Settings
from service.tracing import spans
from tests.large_requests import PATIENCE, post
from tests.tracing.collector import Collector, attributes, collecting
from tests.waiting import until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SWEEPS = "POST /v1/graphs/<graph_id>/sweeps"
GRAPH = {"name": "traced", "expression": "F = a*b"}

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as made:
        for name, value in made.variables.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def app(empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    made = create_app(Settings(empty_database(tmp_path_factory.mktemp("traced"))))

    @made.get("/fails")
    def fails() -> None:
        with spans.span("inner"):
            raise RuntimeError("it fails")

    yield made
    made.extensions["gradbook"].database.close()


def test_a_request_is_a_span_within_its_callers_with_the_databases_within(collector: Collector, app: Flask) -> None:
    client = app.test_client()
    sent = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
    with _traces(Settings(opentelemetry=True)):
        answer = client.post("/v1/graphs", json=GRAPH, headers=sent)
        client.get("/v1/nothing")
        client.open("/v1/graphs", method="BREW")
        client.get("/livez")
    asked = collector.named("POST /v1/graphs")
    assert (asked.trace_id.hex(), asked.parent_span_id.hex()) == (TRACE, SPAN)
    assert (asked.kind, asked.trace_state) == (asked.SPAN_KIND_SERVER, "vendor=1")
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{asked.span_id.hex()}-01"
    assert attributes(asked) == {
        "http.request.method": "POST",
        "http.route": "/v1/graphs",
        "http.response.status_code": 201,
        "url.path": "/v1/graphs",
    }
    assert collector.within(asked) >= {"database write"}
    alone, other = collector.named("GET"), collector.named("_OTHER")
    assert alone.parent_span_id == b"" and alone.trace_id != asked.trace_id and alone.status.code == 0
    assert attributes(other)["http.response.status_code"] == 405
    assert not [span for span in collector.spans if "livez" in span.name]
    assert collector.resources[0]["service.name"] == "gradbook"


def test_nothing_that_a_client_sends_is_logged_as_it_came(
    collector: Collector, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    client = app.test_client()
    with _traces(Settings(opentelemetry=True)):
        for state in ("a=\x9b2J", "=", "a=1,a=2", ",".join(f"k{number}=1" for number in range(100))):
            client.get("/v1/%ff%9b2J", headers={"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": state})
    assert [span.trace_state for span in collector.spans] == [""] * 4
    assert caplog.text.isascii() and "Member" not in caplog.text and "pair" not in caplog.text


def test_where_opentelemetry_is_disabled_a_request_is_a_span_in_the_log_alone(
    collector: Collector, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    client = app.test_client()
    with _traces(Settings(opentelemetry=True)):
        assert "traceresponse" not in client.get("/v1/graphs").headers
        answer = client.get("/v1/graphs", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    own = answer.headers["traceresponse"]
    assert own.startswith(f"00-{TRACE}-") and SPAN not in own and collector.spans == []


def test_what_fails_is_marked(collector: Collector, app: Flask) -> None:

    with _traces(Settings(opentelemetry=True)):
        assert app.test_client().get("/fails").status_code == 500
    assert {span.name: span.status.code for span in collector.spans} == {"GET /fails": 2, "inner": 2}


def test_what_is_not_sampled_is_not_sent(collector: Collector, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "book")
    client = app.test_client()
    with _traces(Settings(opentelemetry=True)):
        answer = client.get("/v1/graphs", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
        assert answer.headers["traceresponse"].endswith("-00")
        assert client.get("/v1/runs").status_code == 200
    assert {span.name for span in collector.spans} == {"GET /v1/runs", "database read"}
    assert {resource["service.name"] for resource in collector.resources} == {"book"}


@pytest.mark.slow
def test_a_collector_that_is_silent_holds_up_neither_requests_nor_the_end(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with _traces(Settings(opentelemetry=True)):
            assert client.get("/v1/graphs").status_code == 200
        assert time.monotonic() - began < PATIENCE


@pytest.mark.slow
def test_what_a_worker_process_and_a_job_do_is_seen_too(
    collector: Collector, empty_database: Callable[[Path], str], tmp_path: Path
) -> None:
    variables = {**collector.variables, "GRADBOOK_OPENTELEMETRY": "1"}
    with service_process(empty_database(tmp_path), variables=variables) as url:
        graph = post(f"{url}/v1/graphs", GRAPH).json()["id"]
        body = {"inputs": {"a": {"linspace": [0, 1, 20_001]}, "b": 2}}
        run, later = {"inputs": {"a": 1, "b": 2}}, {"Prefer": "respond-async"}
        sent = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        jobs = [
            post(f"{url}/v1/graphs/{graph}/sweeps", body, large=False, headers=sent),
            post(f"{url}/v1/graphs/{graph}/runs", run, headers=later),
        ]
        for each in jobs:
            assert each.status_code == 202, each.text
            until(lambda each=each: requests.get(url + each.headers["Location"], timeout=PATIENCE).json()["ended_at"])
    asked, swept, sweep, ran, job = map(
        collector.named,
        ("POST /v1/graphs", SWEEPS, "job sweep", "POST /v1/graphs/<graph_id>/runs", "job request"),
    )
    assert collector.within(asked) == {"worker process"}
    assert collector.within(sweep) == {"chunk", "database read", "database write"}
    assert collector.within(job) == {"worker process", "database read", "database write"}
    assert sweep.trace_id.hex() == TRACE and job.trace_id == ran.trace_id
    for each, request in ((sweep, swept), (job, ran)):  # each within the transaction that inserted it
        (inserted,) = [span for span in collector.spans if span.span_id == each.parent_span_id]
        assert (inserted.name, inserted.parent_span_id) == ("database write", request.span_id)
    chunks = [attributes(span)["gradbook.chunk"] for span in collector.spans if span.name == "chunk"]
    assert chunks and sorted(chunks) == [*range(len(chunks))]
    for elsewhere in (span for span in collector.spans if span.name == "worker process"):
        inner = [span for span in collector.spans if span.parent_span_id == elsewhere.span_id]
        assert "database write" in {span.name for span in inner}
        assert all(elsewhere.start_time_unix_nano <= span.start_time_unix_nano for span in inner)
