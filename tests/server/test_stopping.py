"""The end: of the server, which breaks nothing that is under way, and of clients that leave."""

import socket
import time

import pytest

from tests.server.conftest import PATIENCE, SECONDS, Serve, Served, ask


def ended(served: Served) -> None:
    """The server ends, in time."""
    served.thread.join(PATIENCE)
    assert not served.thread.is_alive()


def wait_for_view(served: Served, path: str) -> None:
    while not served.views.ran[path]:
        time.sleep(0.01)


def test_what_is_under_way_is_answered_and_nothing_more(serve: Serve) -> None:
    served = serve(threads=4)
    idle, half_head = served.client(ask("/livez")), served.client(b"GET /ec")
    idle.read()
    waiting = [served.client(ask("/wait")) for _ in range(16)]
    half_body = served.client(ask("/echo", "POST", Content_Length="5") + b"wh")
    wait_for_view(served, "/wait")
    while served.server._workers._under_way < 16:
        time.sleep(0.01)
    served.server.stop()
    assert idle.rest() == half_head.rest() == b""
    with pytest.raises(OSError):
        while True:
            served.client(ask("/livez")).socket.close()
    half_body.send(b"ole")
    served.views.go.set()
    for client in (half_body, *waiting):
        got = client.read()
        assert (got.status, got.headers["connection"]) == (200, "close")
        assert client.rest() == b""
    ended(served)


@pytest.mark.parametrize("held_up", [False, True])
def test_what_was_sent_before_the_end_is_answered(serve: Serve, held_up: bool) -> None:
    """Also when the loop comes late, so that its timers are due when nothing is accepted yet."""
    served = serve()
    if held_up:
        served.server.loop.call_soon_threadsafe(time.sleep, 0.3)
    clients = [served.client(ask("/echo")) for _ in range(64)]
    served.server.stop()
    if held_up:
        served.server.loop.call_soon_threadsafe(time.sleep, 0.3)
    assert [client.read().status for client in clients] == [200] * 64
    ended(served)


def test_stalled_bodies_and_readers_end_with_their_clocks(serve: Serve) -> None:
    served = serve(clocks=SECONDS, transfer_seconds=20)
    half = served.client(ask("/echo", "POST", Content_Length="5"))
    served.client(ask("/bytes/20000000"), receives=4096)
    wait_for_view(served, "/bytes/20000000")
    served.server.stop()
    assert half.read().status == 408
    ended(served)


@pytest.mark.parametrize("twice", [False, True])
def test_a_view_that_does_not_end_is_left_when_its_time_is_over_or_at_the_second_word(
    serve: Serve, twice: bool
) -> None:
    served = serve(stop_seconds=20 if twice else 0.3)
    client = served.client(ask("/wait"))
    wait_for_view(served, "/wait")
    served.server.stop()
    if twice:
        served.server.stop()
    assert client.rest() == b""
    ended(served)


@pytest.mark.parametrize("resets", [False, True])
def test_a_view_learns_that_its_client_has_left(served: Served, resets: bool) -> None:
    client = served.client(ask("/watch"))
    wait_for_view(served, "/watch")
    assert not served.views.gone.is_set()
    if resets:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert served.views.gone.wait(PATIENCE)


def test_a_client_that_only_ends_its_sending_is_still_answered(served: Served) -> None:
    client = served.client(ask("/wait"))
    wait_for_view(served, "/wait")
    client.socket.shutdown(socket.SHUT_WR)
    served.views.go.set()
    assert client.read().body == b"waited"
    assert client.rest() == b""
