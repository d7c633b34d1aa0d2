"""A request's id, its log line, and what is counted."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

PATIENCE = 20.0  # seconds for what must come


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(record.getMessage())


@pytest.fixture
def lines(client: FlaskClient) -> Iterator[list[str]]:
    """The log of requests, line by line."""
    handler = Lines()
    logging.getLogger("gradbook.requests").addHandler(handler)
    yield handler.lines
    logging.getLogger("gradbook.requests").removeHandler(handler)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("r-1", True), ("A.b_2", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("ü", False), ("", False)],
)
def test_a_sound_request_id_comes_back_and_another_is_replaced(client: FlaskClient, given: str, kept: bool) -> None:
    found = client.get("/livez", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert found == given if kept else (found != given and len(found) == 36)


def test_a_line_is_ascii_whatever_the_path(client: FlaskClient, lines: list[str]) -> None:
    client.get("/v1/ü%C2%9B2J%E2%80%A8x")  # what clears a terminal, and what ends a line for some readers
    assert lines[0].isascii() and json.loads(lines[0])["path"] == "/v1/ü\x9b2J\u2028x"


def test_ids_differ(client: FlaskClient) -> None:
    assert len({client.get("/livez").headers["X-Request-Id"] for _ in range(10)}) == 10


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/livez", 200), ("POST", "/v1/graphs", 415), ("GET", "/v1/ü%0A%22", 404), ("PUT", "/v1/graphs", 405)],
)
def test_one_line_a_request(client: FlaskClient, lines: list[str], method: str, path: str, status: int) -> None:
    response = client.open(path, method=method)
    assert len(lines) == 1 and "\n" not in lines[0]
    line = json.loads(lines[0])
    assert line.pop("milliseconds") >= 0 and line.pop("time").endswith("Z")
    assert line == {
        "request_id": response.headers["X-Request-Id"],
        "method": method,
        "path": unquote(path),
        "status": status,
    }


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize("path", ["/livez", "/v1/nothing"])
def test_a_request_of_a_trace_is_logged_and_answered_as_a_span_of_it(
    client: FlaskClient, lines: list[str], path: str
) -> None:
    answer = client.get(path, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    line = json.loads(lines[0])
    assert (line["trace_id"], line["parent_id"]) == (TRACE, SPAN) and line["span_id"] != SPAN
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{line['span_id']}-01"


@pytest.mark.parametrize("header", [{}, {"traceparent": f"00-{TRACE}-{'0' * 16}-01"}])
def test_a_request_of_no_trace_has_none(client: FlaskClient, lines: list[str], header: dict[str, str]) -> None:
    answer = client.get("/livez", headers=header)
    assert "traceresponse" not in answer.headers and "trace_id" not in json.loads(lines[0])


def test_requests_are_counted_by_route(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    graph: Any = client.post("/v1/graphs", json={"name": "g", "expression": "x"}).json
    for path in (f"/v1/graphs/{graph['id']}", f"/v1/graphs/{graph['id']}", "/v1/graphs/none", "/v1/nothing"):
        client.get(path)
    client.open("/v1/graphs", method="BREW")
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    samples = [sample for family in families for sample in family.samples]
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in samples
        if sample.name == "gradbook_requests_total"
    }
    assert counted == {
        ("POST", "/v1/graphs", "201"): 1,
        ("GET", "/v1/graphs/<graph_id>", "200"): 2,
        ("GET", "/v1/graphs/<graph_id>", "404"): 1,
        ("any", "none", "404"): 1,
        ("any", "none", "405"): 1,
    }
    timed = {
        (sample.labels["method"], sample.labels["route"]): sample.value
        for sample in samples
        if sample.name == "gradbook_request_seconds_count"
    }
    assert timed[("GET", "/v1/graphs/<graph_id>")] == 3


def test_each_application_counts_for_itself(make_app: Callable[..., Flask]) -> None:
    first, second = (make_app().test_client() for _ in range(2))
    first.get("/livez")
    assert "/livez" in first.get("/metrics").text and "/livez" not in second.get("/metrics").text


class Pipe(io.StringIO):
    """A stream that takes its time for the first write."""

    def __init__(self) -> None:
        super().__init__()
        self.writing, self.go, self.writes = Event(), Event(), 0

    def write(self, text: str) -> int:
        """Write once told to."""
        self.writes += 1
        self.writing.set()
        self.go.wait(PATIENCE)
        return super().write(text)


def test_threads_that_log_do_not_wait_for_one_another(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = Pipe()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(logging.getLogger("gradbook.requests"), "handlers", [])  # the application adds its own
    app = make_app()
    first = Thread(target=app.test_client().get, args=("/livez",))
    first.start()
    assert pipe.writing.wait(PATIENCE)
    for _ in range(5):
        assert app.test_client().get("/livez").status_code == 200
    pipe.go.set()
    first.join(PATIENCE)
    assert len(pipe.getvalue().splitlines()) == 6 and pipe.writes == 2


def test_a_request_is_answered_where_nobody_reads_the_log(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    monkeypatch.setattr(logging.getLogger("gradbook.requests"), "handlers", [])
    assert make_app().test_client().get("/livez").status_code == 200
