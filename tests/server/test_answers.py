"""Ordinary requests: answers in turn, whole, over connections that are kept."""

import json
import logging
import re
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from service.server.reading import HTTPRequest
from service.server.wsgi import call, environ
from tests.server.conftest import PATIENCE, SECONDS, Serve, Served, ask


def test_requests_on_one_connection_are_answered_in_turn(served: Served) -> None:
    paths = ["/bytes/3", "/livez", "/echo", "/bytes/200000", "/livez", "/bytes/1"]
    client = served.client(b"".join(map(ask, paths)) + ask("/echo", "POST", b"last"))
    bodies = [client.read().body for _ in paths]
    assert [len(body) for body in bodies] == [3, 16, 0, 200_000, 16, 1]
    assert client.read().body == b"last"


def test_a_request_may_come_byte_by_byte(serve: Serve) -> None:
    served = serve()
    client = served.client()
    for byte in ask("/echo", "POST", b"whole") + ask("/echo", "POST", b""):
        client.send(bytes([byte]))
    assert [client.read().body for _ in range(2)] == [b"whole", b""]


def test_a_large_answer_comes_whole(serve: Serve) -> None:
    served = serve()
    assert len(served.get("/bytes/30000000").body) == 30_000_000


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/bytes/30"), ("GET", "/status/204"), ("GET", "/status/304")])
def test_some_answers_have_no_body(served: Served, method: str, path: str) -> None:
    client = served.client(ask(path, method) + ask("/bytes/3"))
    head = client.read(method)
    assert head.body == b"" and head.headers.get("content-length") == ("30" if method == "HEAD" else None)
    assert client.read().body == bytes(3)


def test_a_connection_is_kept_as_its_client_wants(served: Served) -> None:
    for asked, said, kept in (
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", None, True),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "close", False),
        (b"GET /livez HTTP/1.0\r\n\r\n", "close", False),
        (b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive", True),
    ):
        client = served.client(asked)
        assert client.read().headers.get("connection") == said
        if kept:
            client.send(ask("/bytes/3"))
            assert client.read().body == bytes(3)
        else:
            assert client.rest() == b""


def test_an_upgrade_is_not_taken(served: Served) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "h2c"}
    client = served.client(
        ask("/livez", **upgrade)
        + ask("/echo", "POST", b"GET /livez HTTP/1.1\r\n\r\n", **upgrade)
        + ask("/echo", "POST", b"", **upgrade)
        + ask("/echo", "POST", Transfer_Encoding="chunked", **upgrade)
    )
    client.send(b"5\r\nwhole\r\n0\r\n\r\n")
    bodies = [b"GET /livez HTTP/1.1\r\n\r\n", b"", b"whole"]
    assert [client.read().status, *(client.read().body for _ in bodies)] == [200, *bodies]
    client.send(ask("/bytes/3"))
    assert client.read().body == bytes(3)


def test_every_answer_has_one_date(served: Served) -> None:
    answer = served.client(ask("/livez", Connection="close")).rest().decode()
    assert len(re.findall(r"(?m)^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r$", answer)) == 1


def test_livez_is_logged_and_measured_like_the_others(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("gradbook.requests")
    logger.addHandler(caplog.handler)
    try:
        got = served.get("/livez")
    finally:
        logger.removeHandler(caplog.handler)
    (line,) = [json.loads(record.message) for record in caplog.records]
    assert (line["path"], line["status"], line["request_id"]) == ("/livez", 200, got.headers["x-request-id"])


def seen(target: bytes, *headers: tuple[bytes, bytes], body: bytes = b"") -> dict[str, Any]:
    request = HTTPRequest("POST", target, "1.1", list(headers))
    request.body, request.client = [body[:2], body[2:]], "10.0.0.1"
    return environ(request, ("127.0.0.1", 8000))


def test_it_says_what_it_has_to_do(serve: Serve) -> None:
    served = serve(threads=1)
    idle = {"connections": 0, "requests_under_way": 0, "requests_waiting": 0, "body_bytes": 0, "unsent_bytes": 0}
    assert served.server.load() == idle
    waiting = [served.client(ask("/wait", "POST" if body else "GET", body)) for body in (None, None, b"12345")]
    end = time.monotonic() + PATIENCE
    busy = idle | {"connections": 3, "requests_under_way": 1, "requests_waiting": 2, "body_bytes": 5}
    while served.server.load() != busy and time.monotonic() < end:
        time.sleep(0.01)
    assert served.server.load() == busy
    served.views.go.set()
    assert [client.read().status for client in waiting] == [200, 200, 405]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a%2Fb/%E6%97%A5?x=%2F&y", "/a/b/\xe6\x97\xa5", "x=%2F&y"),
        (b"//a//b/?", "//a//b/", ""),
        (b"http://host:80/a/b?c", "/a/b", "c"),
        (b"*", "*", ""),
    ],
)
def test_a_target_is_read_as_wsgi_has_it(target: bytes, path: str, query: str) -> None:
    found = seen(target)
    assert (found["PATH_INFO"], found["QUERY_STRING"]) == (path, query)


@pytest.mark.parametrize(
    ("target", "root", "path"),
    [
        (b"/books/v1/graphs", "/books", "/v1/graphs"),
        (b"/v1/graphs", "/books", "/v1/graphs"),  # the proxy has taken it away
        (b"/books/books", "/books", "/books"),
        (b"/booksellers", "/books", "/booksellers"),
        (b"/books", "/books", ""),
        (b"/v1/graphs", "", "/v1/graphs"),
    ],
)
def test_a_prefix_is_no_part_of_the_path(target: bytes, root: str, path: str) -> None:
    request = HTTPRequest("GET", target, "1.1", [])
    request.mount(root.encode())
    found = environ(request, ("127.0.0.1", 8000))
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == (root, path)


def test_headers_are_read_as_wsgi_has_them() -> None:
    found = seen(
        b"/",
        (b"content-type", b"text/plain"),
        (b"content-length", b"5"),
        (b"x-name", b"one"),
        (b"x-name", b"two"),
        (b"x_name", b"three"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        body=b"whole",
    )
    assert (found["CONTENT_TYPE"], found["CONTENT_LENGTH"], found["wsgi.input"].read()) == ("text/plain", "5", b"whole")
    assert (found["HTTP_X_NAME"], found["HTTP_COOKIE"]) == ("one,two", "a=1; b=2")
    assert found["REMOTE_ADDR"] == "10.0.0.1" and "HTTP_CONTENT_LENGTH" not in found


def test_an_application_may_write_as_wsgi_once_had_it() -> None:
    closed = []

    class Pieces(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def old(environ: dict[str, Any], start: Callable[..., Callable[[bytes], None]]) -> Iterable[bytes]:
        start("200 OK", [])(b"written ")
        return Pieces([b"and ", b"returned"])

    answer = call(old, HTTPRequest("GET", b"/", "1.1", []), ("", 0))
    assert answer is not None and b"".join(answer.pieces) == b"written and returned" and closed == [True]


def fails(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    raise LookupError("the application's own")


def leaves(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    raise SystemExit


def splits(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    start("200 OK", [("X", "a\r\nSet-Cookie: b")])
    return [b""]


@pytest.mark.parametrize("application", [fails, leaves, splits])
def test_an_application_that_fails_is_a_problem_and_the_connection_goes_on(
    served: Served, application: Callable[..., Iterable[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    served.server._application = application
    client = served.client(ask("/bytes/3") + ask("/livez"))
    assert [client.read().problem()["type"] for _ in range(2)] == ["urn:gradbook:problem:internal-server-error"] * 2
    assert "the application failed" in caplog.text


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_the_thin_path_runs_on_either_event_loop(serve: Serve, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if loop == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
        monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)  # nor is that everywhere
    served = serve(body_seconds=SECONDS)
    assert type(served.server.loop).__module__.partition(".")[0] == loop
    client = served.client(ask("/echo", "POST", b"whole") + ask("/livez") + ask("/bytes/3000000"))
    assert [len(client.read().body) for _ in range(3)] == [5, 16, 3_000_000]
    half = served.client(ask("/echo", "POST", Content_Length="5"))
    assert half.read().status == 408
