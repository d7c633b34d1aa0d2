"""Attacks by bytes: requests that stall, are cut off, or are too large; a row each."""

import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from benchmarks.hostile.target import MEGABYTE, PATIENCE, Target, answers
from service.client import Client

_MANY = 64


def _graph(name: str) -> bytes:
    return b'{"name": "%s", "expression": "F = a*b"}' % name.encode()


def half_sent_bodies(target: Target) -> Counter[str]:
    """64 half-sent bodies"""
    return answers([target.connect(target.post(b'{"name": "half"')[:-1]) for _ in range(_MANY)])


def half_sent_heads(target: Target) -> Counter[str]:
    """64 half-sent heads"""
    return answers([target.connect(target.head()[:-5]) for _ in range(_MANY)])


def silent_connections(target: Target) -> Counter[str]:
    """2,000 connections that say nothing"""
    return answers([target.connect() for _ in range(2000)])


def readers_that_never_read(target: Target) -> Counter[str]:
    """64 readers that never read"""
    asked = target.head().replace(b"POST /v1/graphs", b"GET /openapi.yaml")
    connections = [target.connect(60 * asked, receives=2048) for _ in range(_MANY)]  # more than the kernel takes
    ports = {f"{connection.getsockname()[1]:04X}" for connection in connections}
    deadline = time.monotonic() + PATIENCE
    while (kept := _kept(target, ports)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return Counter({"freed": len(connections) - kept, "kept": kept} if kept else {"freed": len(connections)})


def _kept(target: Target, ports: set[str]) -> int:
    """How many of the connections from those ports the service's kernel keeps at the service's end."""
    own = f":{urlsplit(target.url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(own) and remote.partition(":")[2] in ports for _, local, remote, *_ in rows)


def cut_off_bodies(target: Target) -> Counter[str]:
    """64 bodies that are cut off"""
    return _no_effect(target, target.post(_graph("cut off"))[:-2])


def bad_chunks(target: Target) -> Counter[str]:
    """64 bodies with a bad chunk at the end"""
    body = _graph("bad chunk")
    return _no_effect(target, target.head("Transfer-Encoding: chunked") + b"%x\r\n%s\r\nend\r\n" % (len(body), body))


def two_framings(target: Target) -> Counter[str]:
    """64 bodies with Content-Length and Transfer-Encoding"""
    body = _graph("two framings")
    head = target.head("Transfer-Encoding: chunked", "Content-Length: 5")
    return _no_effect(target, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


def _no_effect(target: Target, sent: bytes) -> Counter[str]:
    with Client(target.url) as client:
        before = len(list(client.list_graphs()))
        connections = [target.connect(sent) for _ in range(_MANY)]
        for connection in connections:
            connection.shutdown(socket.SHUT_WR)
        found = answers(connections)
        carried_out = len(list(client.list_graphs())) - before
    return found + Counter({"carried out": carried_out})


def large_heads(target: Target) -> Counter[str]:
    """64 heads of 1 MB"""
    return answers([_sent(target, target.head("X: " + "x" * MEGABYTE)) for _ in range(_MANY)])


def large_bodies(target: Target) -> Counter[str]:
    """16 bodies of 80 MB"""
    return answers([_sent(target, target.post(bytes(80 * MEGABYTE))) for _ in range(16)])


def bodies_in_flight(target: Target) -> Counter[str]:
    """64 bodies of 60 MB that lack their last byte"""
    request = target.post(bytes(60 * MEGABYTE))[:-1]
    connections: list[socket.socket] = []
    threads = [Thread(target=lambda: connections.append(_sent(target, request))) for _ in range(_MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers(connections)


def _sent(target: Target, request: bytes) -> socket.socket:
    """A connection over which all was sent that the service took."""
    connection = target.connect()
    with suppress(ConnectionError):
        connection.sendall(request)
    return connection


def unknown_methods(target: Target) -> Counter[str]:
    """64 unknown methods"""
    return answers([target.connect(target.head().replace(b"POST", b"BREW")) for _ in range(_MANY)])


ATTACKS: list[Callable[[Target], Counter[str]]] = [
    *(half_sent_bodies, half_sent_heads, silent_connections, readers_that_never_read),
    *(cut_off_bodies, bad_chunks, two_framings, large_heads, large_bodies, bodies_in_flight, unknown_methods),
]
