"""Requests that are not whole, or that two readers could understand differently: no view runs, a problem answers."""

import json
import logging
import socket
from typing import Any

import pytest

from service.server.reading import HEAD_BYTES
from tests.server.conftest import NOTES, Serve, Served, ask

CHUNKED = ask("/echo", "POST", Transfer_Encoding="chunked")


@pytest.mark.parametrize(
    "sent",
    [
        ask("/echo", "POST", Content_Length="10") + b"short",
        CHUNKED + b"5\r\nwhole\r\n",
        CHUNKED + b"5\r\nwhole\r\n0\r\n",
        CHUNKED + b"5\r\nsho",
    ],
    ids=["length", "no last chunk", "no end", "half a chunk"],
)
@pytest.mark.parametrize("resets", [False, True])
def test_a_body_that_is_cut_off_never_runs_a_view(served: Served, sent: bytes, resets: bool) -> None:
    client = served.client(sent)
    if resets:
        client.close()
    else:
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""
    assert served.get("/livez").status == 200
    assert served.views.ran["/echo"] == 0


MALFORMED = {
    "a bad chunk": (CHUNKED + b"5\r\nwhole\r\nx\r\n\r\n", 400),
    "a chunk that is longer than it says": (CHUNKED + b"5\r\nwhole!\r\n0\r\n\r\n", 400),
    "a size beyond all": (CHUNKED + b"fffffffffffffffff\r\n", 400),
    "Content-Length and Transfer-Encoding": (
        ask("/echo", "POST", Transfer_Encoding="chunked", Content_Length="5") + b"0\r\n\r\n",
        400,
    ),
    "two lengths": (ask("/echo", "POST", b"abc", content_length="1"), 400),
    "a length that is no number": (ask("/echo", "POST", Content_Length="+5") + b"whole", 400),
    "another coding": (ask("/echo", "POST", Transfer_Encoding="gzip") + b"0\r\n\r\n", 501),
    "another coding before chunked": (ask("/echo", "POST", Transfer_Encoding="gzip, chunked") + b"0\r\n\r\n", 501),
    "a tunnel": (ask("localhost:80", "CONNECT"), 501),
    "an unknown method": (ask("/echo", "BREW"), 501),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", 501),
    "no version": (b"GET /echo\r\n\r\n", 400),
    "a space before the colon": (b"GET /echo HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "a line without its end": (b"GET /echo HTTP/1.1\nHost: x\n\n", 400),
    "a zero in a header": (b"GET /echo HTTP/1.1\r\nHost: \0\r\n\r\n", 400),
}


@pytest.mark.parametrize(("sent", "status"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_a_problem_and_never_runs_a_view(served: Served, sent: bytes, status: int) -> None:
    client = served.client(sent + ask("/echo"))  # what follows is not read as a request
    got = client.read()
    assert (got.status, got.headers["connection"]) == (status, "close")
    assert got.problem()["type"].endswith(("malformed-http", "not-implemented"))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b""
    assert served.views.ran["/echo"] == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /livez HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES + b"\r\n\r\n",
        b"GET /" + b"x" * (HEAD_BYTES + 100),
        b"GET /livez HTTP/1.1\r\n" + b"X: x\r\n" * 300 + b"\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"x" * 50_000_000,
    ],
    ids=["a header", "a target", "headers", "no end"],
)
def test_a_head_that_is_too_large_is_cut(serve: Serve, sent: bytes) -> None:
    served = serve()
    client = served.client(sent)
    got = client.read()
    assert (got.status, got.problem()["type"]) == (431, "urn:gradbook:problem:request-header-fields-too-large")
    assert not served.views.ran


def test_a_large_head_within_the_bound_is_read(served: Served) -> None:
    client = served.client(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (HEAD_BYTES - 100) + b"\r\n\r\n")
    assert client.read().status == 200


def test_trailers_are_bounded_and_are_no_headers(served: Served) -> None:
    client = served.client(CHUNKED + b"5\r\nwhole\r\n0\r\nX-Request-Id: trailer\r\n\r\n")
    got = client.read()
    assert got.body == b"whole" and got.headers["x-request-id"] != "trailer"
    long = served.client(CHUNKED + b"5\r\nwhole\r\n0\r\nX: " + b"x" * 3 * HEAD_BYTES)
    assert long.read().status == 431
    assert served.views.ran["/echo"] == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_unread_and_its_sender_hears_so(serve: Serve, chunked: bool) -> None:
    served = serve(body_bytes=100_000)
    body = bytes(30_000_000)
    if chunked:
        client = served.client(CHUNKED + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
    else:
        client = served.client(ask("/echo", "POST", body))
    got = client.read()
    assert got.status == 413
    problem = got.problem()
    assert (problem["limit"], problem["maximum"]) == ("body_bytes", 100_000)
    assert served.views.ran["/echo"] == 0


def test_a_body_at_the_limit_is_read(serve: Serve) -> None:
    served = serve(body_bytes=100_000)
    assert len(served.client(ask("/echo", "POST", bytes(100_000))).read().body) == 100_000


def test_a_body_is_asked_for_only_where_it_is_wanted(serve: Serve) -> None:
    served = serve(body_bytes=100)
    client = served.client(ask("/echo", "POST", Content_Length="5", Expect="100-continue"))
    assert client.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"whole")
    assert client.read().body == b"whole"
    refused = served.client(ask("/echo", "POST", Content_Length="500", Expect="100-continue"))
    assert refused.read().status == 413


def test_an_error_behind_a_request_does_not_break_into_its_answer(served: Served) -> None:
    client = served.client(ask("/wait") + b"no HTTP\r\n\r\n")
    served.views.go.set()
    assert client.read().body == b"waited"
    assert client.read().status in (400, 501)


def test_pages_of_a_named_origin_may_read_a_refusal(serve: Serve) -> None:
    served = serve(body_bytes=100)
    for origin, shared in ((NOTES, NOTES), ("https://evil.example", None)):
        refused = served.client(ask("/echo", "POST", bytes(500), Origin=origin)).read()
        assert (refused.status, refused.headers.get("access-control-allow-origin")) == (413, shared)
    assert "access-control-allow-origin" not in served.client(b"no HTTP\r\n\r\n").read().headers


def test_refusals_are_logged_and_measured(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("gradbook.requests")
    logger.addHandler(caplog.handler)
    try:
        identifier = served.client(ask("/echo", "BREW")).read().headers["x-request-id"]
        oversized = served.client(ask("/echo?q=1", "POST", Content_Length=str(1 << 30))).read()
    finally:
        logger.removeHandler(caplog.handler)
    lines: list[Any] = [json.loads(record.message) for record in caplog.records]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [("", "", 501), ("POST", "/echo", 413)]
    assert [line["request_id"] for line in lines] == [identifier, oversized.headers["x-request-id"]]
