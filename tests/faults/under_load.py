"""Clients that go on storing runs while the service or its database fails, and what has come of what they stored."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import requests

from service.process import free_port
from tests.large_requests import post

CLIENTS = 3  # of each service
PATIENCE = 60.0
_EVERY = 8  # of which one request is answered by a worker process
_SAID = {"began": "the database does not answer", "ended": "the database answers again", "tracebacks": "Traceback"}


class Service:
    """`gradbook serve` in a process that can be killed and started again, at one port and with one log."""

    def __init__(self, database: str, log: Path, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        self.port, self.log = free_port(), log
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "service.cli", "serve", "--port", str(self.port), "--database", database]
        given = {name: value for name, value in os.environ.items() if not name.startswith("GRADBOOK_")}
        self._environment = {**given, **variables}

    def start(self) -> None:
        """Start it, and return when it is ready."""
        with self.log.open("a") as written:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=written, stderr=written)
        end = time.monotonic() + 2 * PATIENCE
        while True:
            try:
                if requests.get(f"{self.url}/readyz", timeout=PATIENCE).ok:
                    return
            except requests.ConnectionError:
                assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()[-2000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> "Service":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


@dataclass
class Load:
    """Clients that store runs, each again under its key until it is acknowledged."""

    acknowledged: dict[str, str] = field(default_factory=dict)  # label: id
    unavailable: int = 0  # 503, or no service at all
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
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                answer = post(runs, body, large, {"Idempotency-Key": body["label"]})
            except requests.ConnectionError:
                answer = None
            with self._lock:
                if answer is not None and answer.status_code == 201:
                    self.acknowledged[body["label"]] = answer.json()["id"]
                    self.last_begun = max(self.last_begun, began)
                    return
                if answer is None or (answer.status_code == 503 and answer.headers.get("Retry-After")):
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
            if time.monotonic() > now + PATIENCE:
                return float("inf")
            time.sleep(0.01)
        return time.monotonic() - now


@dataclass
class Row:
    """What came of the faults of one kind."""

    kind: str
    tried: int
    acknowledged: int
    lost: int
    doubled: int
    unavailable: int
    others: Counter[str]
    seconds: list[float]
    said: dict[str, int]  # by all services

    def __str__(self) -> str:
        figures = (self.tried, self.acknowledged, self.lost, self.doubled, self.unavailable, self.others.total())
        said = ", ".join(f"{count} {what}" for what, count in self.said.items())
        return (
            f"{self.kind:22}" + "".join(f"{figure:>14}" for figure in figures)
            + f"     {min(self.seconds):.2f} to {max(self.seconds):.2f} s     {said}"
        )  # fmt: skip


HEADER = f"{'':22}" + "".join(
    f"{word:>14}" for word in ("tried", "acknowledged", "lost", "doubled", "unavailable", "other faults")
)


def try_fault(kind: str, fault: Callable[[], None], each: int, services: Sequence[Service]) -> Row:
    """Have something fail that many times, under load."""
    made = post(f"{services[0].url}/v1/graphs", {"name": kind, "expression": "F = x*x"}, large=False)
    assert made.ok, made.text
    graph = made.json()["id"]
    load, before = Load(), _said(services)
    clients = [
        Thread(target=load.store, args=(f"{service.url}/v1/graphs/{graph}/runs",))
        for service in services
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    load.seconds_to_recover()
    seconds = []
    for _ in range(each):
        fault()
        seconds.append(load.seconds_to_recover())
        time.sleep(0.5)
    load.over.set()
    for client in clients:
        client.join()
    for service in services:  # each finds out that it is over
        assert requests.get(f"{service.url}/readyz", timeout=PATIENCE).ok
    stored = list(_stored(f"{services[-1].url}/v1/runs?graph={graph}&limit=1000"))
    labels = Counter(label for label, _ in stored)
    said = {what: count - before[what] for what, count in _said(services).items()}
    lost = len(set(load.acknowledged.items()) - set(stored))
    doubled = sum(count - 1 for count in labels.values())
    return Row(kind, each, len(load.acknowledged), lost, doubled, load.unavailable, load.others, seconds, said)


def exit_code(rows: list[Row]) -> bool:
    """Print what there should be none of, and whether there was any."""
    for row in rows:
        for answer, times in row.others.items():
            print(f"{row.kind}: {times} × {answer}")
    return any(row.lost or row.doubled or row.others for row in rows)


def _stored(url: str) -> Iterator[tuple[str, str]]:
    cursor = ""
    while cursor is not None:
        page = requests.get(url + (f"&cursor={cursor}" if cursor else ""), timeout=PATIENCE).json()
        yield from ((run["label"], run["id"]) for run in page["runs"])
        cursor = page["next"]


def _said(services: Sequence[Service]) -> dict[str, int]:
    """How often all of them said each."""
    written = "".join(service.log.read_text() for service in services)
    return {what: len(re.findall(sentence, written)) for what, sentence in _SAID.items()}
