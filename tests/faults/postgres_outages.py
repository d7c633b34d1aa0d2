"""Two services on one PostgreSQL server that is killed, cut off and hung under load: what is lost, doubled or refused.

`python -m tests.faults.postgres_outages --each 7` prints a row for each kind of outage.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

import requests
from sqlalchemy import create_engine, text

from service.serving import free_port
from tests.large_requests import post
from tests.postgres import PostgresServer, postgres_server

SERVICES, CLIENTS = 2, 3  # and clients of each service
_EVERY = 8  # of which one request is answered by a worker process
_PATIENCE = 60.0
SAID = {"began": "the database does not answer", "ended": "the database answers again", "tracebacks": "Traceback"}


@dataclass
class Load:
    """Clients that store runs, each again under its key until it is acknowledged."""

    acknowledged: dict[str, str] = field(default_factory=dict)  # label: id
    unavailable: int = 0
    others: Counter[str] = field(default_factory=Counter)  # answers that there should be none of
    last_begun: float = 0.0  # of the requests that were acknowledged
    over: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    def store(self, runs: str) -> None:
        """Store one run after the other."""
        for number in range(10**9):
            if self.over.is_set():
                return
            self._store_one(runs, {"inputs": {"x": 3}, "label": str(uuid4())}, large=number % _EVERY == 0)

    def _store_one(self, runs: str, body: dict[str, Any], large: bool) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            began = time.monotonic()
            answer = post(runs, body, large, {"Idempotency-Key": body["label"]})
            with self._lock:
                if answer.status_code == 201:
                    self.acknowledged[body["label"]] = answer.json()["id"]
                    self.last_begun = max(self.last_begun, began)
                    return
                if answer.status_code == 503 and answer.headers.get("Retry-After"):
                    self.unavailable += 1
                else:
                    self.others[f"{answer.status_code} {answer.text[:200]}"] += 1
            time.sleep(0.05)
        with self._lock:
            self.others["never stored"] += 1

    def seconds_to_recover(self) -> float:
        """From now until a request that began after now was acknowledged."""
        now = time.monotonic()
        while self.last_begun <= now:
            if time.monotonic() > now + _PATIENCE:
                return float("inf")
            time.sleep(0.01)
        return time.monotonic() - now


def kill(server: PostgresServer) -> None:
    """Kill the first process; start it again a second later."""
    server.kill()
    time.sleep(1)
    server.start()


def cut_off(server: PostgresServer) -> None:
    """End every connection."""
    engine = create_engine(server.url())
    with engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datid > 0")
        )
    engine.dispose()


def hang(server: PostgresServer) -> None:
    """Stop every process for some seconds."""
    with server.hung():
        time.sleep(4)


KINDS: dict[str, Callable[[PostgresServer], None]] = {"kill -9": kill, "connections ended": cut_off, "hung 4 s": hang}


@dataclass
class Row:
    """What came of the outages of one kind."""

    kind: str
    tried: int
    acknowledged: int
    lost: int
    doubled: int
    unavailable: int
    others: Counter[str]
    seconds: list[float]
    said: dict[str, int]  # by both services

    def __str__(self) -> str:
        figures = (self.tried, self.acknowledged, self.lost, self.doubled, self.unavailable, self.others.total())
        said = ", ".join(f"{count} {what}" for what, count in self.said.items())
        return (
            f"{self.kind:18}" + "".join(f"{figure:>14}" for figure in figures)
            + f"     {min(self.seconds):.2f} to {max(self.seconds):.2f} s     {said}"
        )  # fmt: skip


HEADER = f"{'':18}" + "".join(
    f"{word:>14}" for word in ("tried", "acknowledged", "lost", "doubled", "503", "other faults")
)


def try_outages(kinds: list[str], each: int) -> list[Row]:
    """Try each kind that many times, over two services of their own."""
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        logs = [Path(folder) / f"{number}.log" for number in range(SERVICES)]
        services = [stack.enter_context(_service(server.url(through_socket=False), log)) for log in logs]
        rows = []
        for kind in kinds:
            rows.append(_try(kind, each, server, services, logs))
            print(*([HEADER] if len(rows) == 1 else []), rows[-1], sep="\n", flush=True)
        return rows


def _try(kind: str, each: int, server: PostgresServer, services: list[str], logs: list[Path]) -> Row:
    made = post(f"{services[0]}/v1/graphs", {"name": kind, "expression": "F = x*x"}, large=False)
    assert made.ok, made.text
    graph = made.json()["id"]
    path = f"/v1/graphs/{graph}/runs"
    load, before = Load(), _said(logs)
    clients = [Thread(target=load.store, args=(service + path,)) for service in services for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    load.seconds_to_recover()
    seconds = []
    for _ in range(each):
        KINDS[kind](server)
        seconds.append(load.seconds_to_recover())
        time.sleep(0.5)
    load.over.set()
    for client in clients:
        client.join()
    for service in services:  # each finds out that it is over
        assert requests.get(f"{service}/readyz", timeout=_PATIENCE).ok
    stored = list(_stored(f"{services[1]}/v1/runs?graph={graph}&limit=1000"))
    labels = Counter(label for label, _ in stored)
    said = {what: count - before[what] for what, count in _said(logs).items()}
    return Row(
        kind,
        each,
        len(load.acknowledged),
        len(set(load.acknowledged.items()) - set(stored)),
        sum(count - 1 for count in labels.values()),
        load.unavailable,
        load.others,
        seconds,
        said,
    )


def _stored(url: str) -> Iterator[tuple[str, str]]:
    cursor = ""
    while cursor is not None:
        page = requests.get(url + (f"&cursor={cursor}" if cursor else ""), timeout=_PATIENCE).json()
        yield from ((run["label"], run["id"]) for run in page["runs"])
        cursor = page["next"]


def _said(logs: list[Path]) -> dict[str, int]:
    """How often both services said each."""
    written = "".join(log.read_text() for log in logs)
    return {what: len(re.findall(sentence, written)) for what, sentence in SAID.items()}


@contextmanager
def _service(database: str, log: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port), "--database", database]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADBOOK_")}
    with log.open("w") as written:
        process = subprocess.Popen(
            command, env={**environment, "GRADBOOK_STATEMENT_SECONDS": "2"}, stdout=written, stderr=written
        )
    try:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 2 * _PATIENCE
        while True:
            try:
                if requests.get(f"{url}/readyz", timeout=_PATIENCE).ok:
                    break
            except requests.ConnectionError:
                assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(_PATIENCE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=7)
    rows = try_outages(list(KINDS), parser.parse_args().each)
    for row in rows:
        for answer, times in row.others.items():
            print(f"{row.kind}: {times} × {answer}")
    sys.exit(any(row.lost or row.doubled or row.others for row in rows))
