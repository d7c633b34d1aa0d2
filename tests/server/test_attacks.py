"""What a client can do to stall or starve the others: it is told so in time, and nobody else notices."""

import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.server.conftest import PATIENCE, SECONDS, Client, Serve, Served, ask, serving

MANY = 64
HALF_BODY = ask("/echo", "POST", Content_Length="1000") + b"half"
HALF_HEAD = b"POST /echo HTTP/1.1\r\nHost: loc"


@pytest.mark.parametrize(("half", "path"), [(HALF_BODY, "/echo"), (HALF_HEAD, "")])
def test_half_sent_requests_wait_for_nobody_and_are_told(hasty: Served, half: bytes, path: str) -> None:
    clients = [hasty.client(half) for _ in range(MANY)]
    assert [hasty.get(path).status for path in ("/livez", "/readyz", "/metrics", "/bytes/5")] == [200] * 4
    for client in clients:
        got = client.read()
        assert (got.status, got.headers["connection"]) == (408, "close")
        assert got.problem()["type"] == "urn:gradbook:problem:request-timeout"
        assert client.rest() == b""
    assert hasty.views.ran["/echo"] == 0


def test_connections_that_say_nothing_are_closed_without_a_word(hasty: Served) -> None:
    clients = [hasty.client() for _ in range(MANY)]
    used = hasty.client(ask("/livez"))
    assert used.read().status == 200
    assert [client.rest() for client in (*clients, used)] == [b""] * (MANY + 1)


def test_readers_that_never_read_hold_no_thread_and_are_dropped(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)  # else Linux does it too
    size = 8_000_000  # more than the kernel takes
    served = serve(reader_seconds=SECONDS, transfer_seconds=60)
    clients = [served.client(ask(f"/bytes/{size}"), receives=4096) for _ in range(MANY)]
    assert [served.get(path).status for path in ("/livez", "/readyz", "/bytes/5")] == [200] * 3
    deadline = time.monotonic() + 20
    while served.server._connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if sys.platform == "linux":  # the kernel has forgotten what it had not sent
        ports = {f":{client.socket.getsockname()[1]:04X}" for client in clients}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        assert [row for row in rows if row[2][-5:] in ports and row[1].endswith(f":{served.port:04X}")] == []


@pytest.mark.parametrize("beginning", [b"GET /livez HTTP/1.1\r\nX: ", b"\r\n"])
def test_a_head_that_drips_has_no_more_time(hasty: Served, beginning: bytes) -> None:
    client = hasty.client(beginning)
    drip(client, b"\n" if beginning == b"\r\n" else b"x")
    assert b"408 Request Timeout" in client.rest()


def drip(client: Client, piece: bytes) -> None:
    """Send a piece again and again, more often than any clock rings, until the server has had enough."""
    deadline = time.monotonic() + 20
    try:
        while not readable(client):
            assert time.monotonic() < deadline
            client.send(piece)
            time.sleep(SECONDS / 6)
    except ConnectionError:
        pass


def readable(client: Client) -> bool:
    """Whether there is something to read, or the end."""
    client.socket.setblocking(False)
    try:
        return bool(client.socket.recv(1, 2)) or True  # MSG_PEEK
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        client.socket.settimeout(20)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_drips_has_the_time_of_a_whole_one(hasty: Served, chunked: bool) -> None:
    headers = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": "1000"}
    client = hasty.client(ask("/echo", "POST", **headers))
    drip(client, b"1\r\nx\r\n" if chunked else b"x")
    assert client.read().status == 408
    assert hasty.views.ran["/echo"] == 0


def test_a_reader_that_sips_has_the_time_of_a_whole_answer(serve: Serve) -> None:
    size = 20_000_000
    served = serve(transfer_seconds=1.3 - size / 100_000)
    client = served.client(ask(f"/bytes/{size}"), receives=4096)
    taken, deadline = 0, time.monotonic() + 15
    with suppress(ConnectionError):
        while part := client.socket.recv(20_000):
            taken += len(part)
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert taken < size


def test_busy_views_leave_the_probes_alone(served: Served) -> None:
    clients = [served.client(ask("/wait")) for _ in range(8)]
    assert [served.get(path).status for path in ("/livez", "/readyz", "/metrics")] == [200] * 3
    served.views.go.set()
    assert [client.read().body for client in clients] == [b"waited"] * 8


def test_views_that_only_wait_hold_no_thread_and_leave_none_behind(serve: Serve) -> None:
    before = set(threading.enumerate())
    served = serve(threads=1)
    clients = [served.client(ask("/aside")) for _ in range(8)]
    assert served.get("/bytes/5").status == 200
    served.views.go.set()
    assert [client.read().body for client in clients] == [b"waited aside"] * 8
    deadline = time.monotonic() + PATIENCE
    while sum(thread.name == "view" for thread in {*threading.enumerate()} - before) > 1:
        assert time.monotonic() < deadline
        assert served.get("/bytes/5").status == 200  # each may be a thread's last job


def test_answers_that_wait_for_their_readers_are_bounded_together(serve: Serve) -> None:
    size = 8_000_000  # more than the kernel takes
    served = serve(unsent_bytes=3 * size)
    for _ in range(6):
        served.client(ask(f"/bytes/{size}"), receives=4096)
    deadline = time.monotonic() + PATIENCE
    while len(served.server._connections) != 3 or served.views.ran.total() < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert served.server._unsent == 3 * size
    alone = serve(unsent_bytes=1)
    assert len(alone.get(f"/bytes/{size}").body) == size  # one answer may be as large as it likes


def test_a_probe_that_waits_leaves_livez_and_the_views_alone(served: Served) -> None:
    clients = [served.client(ask("/readyz", "POST", b"")) for _ in range(4)]
    assert (served.get("/livez").status, served.get("/bytes/5").status) == (200, 200)
    assert [client.read().status for client in clients] == [405] * 4


def test_more_requests_than_may_wait_are_told_to_come_again(serve: Serve) -> None:
    served = serve(threads=1, waiting_requests=2)
    clients = [served.client(ask("/wait")) for _ in range(3)]
    while served.server._workers._under_way < 3:
        time.sleep(0.01)
    refused = served.client(ask("/echo", "POST", b"late"))
    got = refused.read()
    assert (got.status, got.problem()["type"]) == (503, "urn:gradbook:problem:overloaded")
    assert served.get("/readyz").status == 200
    served.views.go.set()
    assert [client.read().body for client in clients] == [b"waited"] * 3
    refused.send(ask("/echo", "POST", b"again"))  # the same connection
    assert refused.read().body == b"again"


def test_a_client_that_does_not_wait_for_its_answers_comes_after_those_that_do(serve: Serve) -> None:
    served = serve(threads=1)
    clients = [served.client(ask("/wait"))]
    for sent in (ask("/livez") + ask("/bytes/1"), ask("/echo")):
        clients.append(served.client(sent))
        while served.server._workers._under_way < len(clients):
            time.sleep(0.01)
    served.views.go.set()
    assert [client.read().status for client in (*clients, clients[1])] == [200] * 4
    assert [path for path in served.views.ran if path != "/livez"] == ["/wait", "/echo", "/bytes/1"]


def test_large_bodies_in_flight_are_bounded_and_small_ones_come_through(serve: Serve) -> None:
    served = serve(bytes_in_flight=500_000)
    half = served.client(ask("/echo", "POST", Content_Length="800000") + bytes(400_000))
    while served.server.in_flight.bytes < 400_000:
        time.sleep(0.01)
    refused = served.client(ask("/echo", "POST", bytes(800_000)))
    assert refused.read().problem()["type"] == "urn:gradbook:problem:overloaded"
    small = served.client(ask("/echo", "POST", bytes(60_000)))
    assert len(small.read().body) == 60_000
    half.close()
    while served.server.in_flight.bytes:
        time.sleep(0.01)
    whole = served.client(ask("/echo", "POST", bytes(400_000)))
    assert len(whole.read().body) == 400_000


def test_one_connection_cannot_queue_requests_without_end(serve: Serve) -> None:
    served = serve()
    client = served.client(ask("/wait"))
    client.socket.settimeout(1)
    flood = ask("/bytes/1") * 1000
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 100_000_000:
            sent += client.socket.send(flood)
    (connection,) = served.server._connections
    assert len(connection._ahead) < 1_000_000 and len(connection._reader.ready) <= 64
    served.views.go.set()


def test_many_quick_clients_at_once_are_all_answered() -> None:
    with serving(threads=4) as served:
        answers: list[bytes] = []

        def call(number: int) -> None:
            client = Client(served.port)
            for step in range(20):
                client.send(ask("/echo", "POST", b"%d-%d" % (number, step)))
                answers.append(client.read().body)
            client.close()

        callers = [Thread(target=call, args=(number,)) for number in range(16)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert sorted(answers) == sorted(b"%d-%d" % (number, step) for number in range(16) for step in range(20))


def test_the_connection_that_would_be_late_first_makes_room(serve: Serve) -> None:
    served = serve(connections=8)
    waiting = served.client(ask("/wait"))
    while not served.views.ran["/wait"]:
        time.sleep(0.01)
    silent = [served.client() for _ in range(40)]
    assert served.get("/livez").status == 200
    deadline = time.monotonic() + 20
    while len(served.server._connections) > 8:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert sum(map(readable, silent)) >= 32
    served.views.go.set()
    assert waiting.read().body == b"waited"
