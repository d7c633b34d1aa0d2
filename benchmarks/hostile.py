"""What one client can do to the others: each attack against a started service, a row each. `make hostile` prints them.

A row says how long the attack held its connections, the most memory that the service had meanwhile, what the attackers
were answered, and how long /livez kept anybody waiting, asked all the time by another process.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from benchmarks.load import post
from service.client import Client, ClientError
from service.serving import free_port

_MANY = 64
_NODES = 50_000
_MEGABYTE = 1 << 20
_PATIENCE = 100.0  # seconds for any answer to come


@dataclass(frozen=True)
class Target:
    """The service under attack."""

    url: str
    process: subprocess.Popen[bytes]

    def connect(self, sent: bytes = b"", receives: int = 0) -> socket.socket:
        """A connection over which something was sent; it receives no more at once than that, 0 for as usual."""
        parts = urlsplit(self.url)
        connection = socket.socket()
        connection.settimeout(_PATIENCE)
        if receives:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(sent)
        return connection

    def post(self, body: bytes, path: str = "/v1/graphs") -> bytes:
        """The bytes of a request."""
        return post(self.url + path, body)

    def head(self, *lines: str) -> bytes:
        """The bytes of a request's head without a length."""
        fixed = ("POST /v1/graphs HTTP/1.1", f"Host: {urlsplit(self.url).netloc}", "Content-Type: application/json")
        return "\r\n".join((*fixed, *lines, "", "")).encode()


def answers(connections: list[socket.socket]) -> Counter[str]:
    """The status of each connection's answer, once all have one; `closed` for one that has none."""
    return Counter(_answer(connection) for connection in connections)


def _answer(connection: socket.socket) -> str:
    received = b""
    try:
        while b"\r\n" not in received and (part := connection.recv(1 << 16)):
            received += part
    except (ConnectionError, TimeoutError) as error:
        return "hangs" if isinstance(error, TimeoutError) else "closed"
    return received.split(b" ")[1].decode() if received else "closed"


def _graph(name: str, nodes: int) -> bytes:
    listed: list[dict[str, object]] = [{"name": "x", "operation": "Input"}]
    listed += [{"name": f"n{k}", "operation": "Sin", "inputs": [f"n{k - 1}" if k else "x"]} for k in range(nodes)]
    return json.dumps({"name": name, "nodes": listed}).encode()


# --- attacks --------------------------------------------------------------------------------------------------------


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
    deadline = time.monotonic() + _PATIENCE
    while (kept := _kept(target, ports)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return Counter({"freed": len(connections) - kept, "kept": kept} if kept else {"freed": len(connections)})


def _kept(target: Target, ports: set[str]) -> int:
    """How many of the connections from those ports the service's kernel keeps at the service's end."""
    own = f":{urlsplit(target.url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(own) and remote.partition(":")[2] in ports for _, local, remote, *_ in rows)


def busy_views(target: Target) -> Counter[str]:
    """8 views busy, each with a graph of 50,000 nodes"""
    return answers([target.connect(target.post(_graph(f"busy {number}", _NODES))) for number in range(8)])


def cut_off_bodies(target: Target) -> Counter[str]:
    """64 bodies that are cut off"""
    return _no_effect(target, target.post(_graph("cut off", 3))[:-2])


def bad_chunks(target: Target) -> Counter[str]:
    """64 bodies with a bad chunk at the end"""
    body = _graph("bad chunk", 3)
    return _no_effect(target, target.head("Transfer-Encoding: chunked") + b"%x\r\n%s\r\nend\r\n" % (len(body), body))


def two_framings(target: Target) -> Counter[str]:
    """64 bodies with Content-Length and Transfer-Encoding"""
    body = _graph("two framings", 3)
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
    return answers([_sent(target, target.head("X: " + "x" * _MEGABYTE)) for _ in range(_MANY)])


def large_bodies(target: Target) -> Counter[str]:
    """16 bodies of 80 MB"""
    return answers([_sent(target, target.post(bytes(80 * _MEGABYTE))) for _ in range(16)])


def bodies_in_flight(target: Target) -> Counter[str]:
    """64 bodies of 60 MB that lack their last byte"""
    request = target.post(bytes(60 * _MEGABYTE))[:-1]
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
    *(half_sent_bodies, half_sent_heads, silent_connections, readers_that_never_read, busy_views),
    *(cut_off_bodies, bad_chunks, two_framings, large_heads, large_bodies, bodies_in_flight, unknown_methods),
]


# --- rows -----------------------------------------------------------------------------------------------------------


def row(name: str, seconds: float, peak: float, answered: Counter[str], wait: float) -> str:
    """One line of the table."""
    said = ", ".join(f"{status} × {count}" for status, count in sorted(answered.items()))
    return f"| {name} | {seconds:.1f} | {peak:,.0f} | {said} | {wait * 1000:.0f} |"


@contextmanager
def service(folder: str) -> Iterator[Target]:
    """`gradbook serve` with the default settings."""
    port = free_port()
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADBOOK_")}
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            with Client(url, retries=0) as client:
                while True:
                    try:
                        client.check_ready()
                        break
                    except ClientError:
                        time.sleep(0.05)
            yield Target(url, process)
        finally:
            if process.poll() is None:
                process.kill()


@contextmanager
def watched(target: Target) -> Iterator[list[float]]:
    """Ask /livez all the time from another process; the list has the longest wait when the context ends."""
    command = [sys.executable, "-m", "benchmarks.hostile", "watch", target.url]
    found: list[float] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        watcher.stdout.readline()
        yield found
        said, _ = watcher.communicate("\n")
        found.append(float(said))


def watch(url: str) -> None:
    """Ask /livez over a new connection every 10 ms until told to stop; print the longest wait in seconds."""
    parts = urlsplit(url)
    waits: list[float] = []

    def ask() -> None:
        while True:
            begin = time.perf_counter()
            try:
                with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
                    connection.sendall(f"GET /livez HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
                    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
                waits.append(time.perf_counter() - begin)
            except (OSError, AssertionError):
                waits.append(float("inf"))
            time.sleep(0.01)

    Thread(target=ask, daemon=True).start()
    print("asking", flush=True)
    sys.stdin.readline()
    print(max(waits, default=0.0), flush=True)


def peak_memory(target: Target, reset: bool = False) -> float:
    """The most megabytes that the service had in memory since the last reset."""
    process = Path(f"/proc/{target.process.pid}")
    if reset:
        (process / "clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def stop_with_stalled_clients(target: Target) -> str:
    """The row of SIGTERM beside a stalled body and a stalled reader."""
    with ExitStack() as stack:
        half = stack.enter_context(target.connect(target.post(b'{"name": "half"')[:-1]))
        idle = stack.enter_context(target.connect())
        begin = time.perf_counter()
        target.process.send_signal(signal.SIGTERM)
        found = answers([half, idle])
        code = target.process.wait(_PATIENCE)
        seconds = time.perf_counter() - begin
    return f"| SIGTERM beside a half-sent body | {seconds:.1f} | | {dict(found)}, exit code {code} | |"


def main(names: list[str]) -> None:
    """Print a row for each attack, or for those whose names are given."""
    print("| attack | seconds | peak memory, MB | answered | longest wait of /livez, ms |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, service(folder) as target:
        for attack in ATTACKS:
            if names and attack.__name__ not in names:
                continue
            peak_memory(target, reset=True)
            with watched(target) as wait:
                begin = time.perf_counter()
                answered = attack(target)
                seconds = time.perf_counter() - begin
            print(row(attack.__doc__ or "", seconds, peak_memory(target), answered, *wait), flush=True)
        print(stop_with_stalled_clients(target))


if __name__ == "__main__":
    if sys.argv[1:2] == ["watch"]:
        watch(sys.argv[2])
    else:
        main(sys.argv[1:])
