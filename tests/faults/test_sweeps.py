"""A sweep whose service or processes are killed at any moment: it goes on, and comes out the same to the bit."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.sqlite_faults import descendants, kill, kill_workers
from tests.faults.under_load import Service
from tests.waiting import until

pytestmark = pytest.mark.faults

LANES, KILLS = 5, 10  # of each lane, which has a service of its own
HIDDEN = "; ".join(f"h{number} = tanh(h{number - 1}*w) + sin(x*{number})" for number in range(1, 60))
EXPRESSION = f"h0 = w*x + b; {HIDDEN}; F = h59*h59"
AXES = {"w": {"linspace": [-2, 2, 500]}, "x": {"linspace": [0, 1, 400]}}
POINTS = 500 * 400


def kill_one_worker(service: Service, file: Path) -> None:
    """Kill one of the processes that compute."""
    _, *workers = descendants(service.process.pid)
    if workers:
        with suppress(ProcessLookupError):
            os.kill(random.choice(workers), signal.SIGKILL)


def kill_twice(service: Service, file: Path) -> None:
    """Kill the service, and again while it starts."""
    kill(service, file)
    kill(service, file)


FAULTS: list[Callable[[Service, Path], None]] = [kill, kill_one_worker, kill_workers, kill_one_worker, kill_twice]


class Sweeps:
    """The sweeps of a service over one file."""

    def __init__(self, service: Service, file: Path) -> None:
        self._service, self._file = service, file
        graph = {"name": "deep", "expression": EXPRESSION}
        self._graph = requests.post(f"{service.url}/v1/graphs", json=graph).json()["id"]

    def begin(self) -> str:
        """The id of the job of a sweep."""
        body = {"inputs": {**AXES, "b": 1}, "gradients": True}
        job = requests.post(f"{self._service.url}/v1/graphs/{self._graph}/sweeps", json=body).json()
        return str(job["id"])

    def chunks(self, job: str) -> list[bytes | str]:
        """What is stored of it, once it is done: its chunks, and what they amount to."""
        until(lambda: self._read(job)["state"] not in ("waiting", "running"), seconds=120.0)
        found = self._read(job)
        assert (found["state"], found["done"]) == ("done", POINTS), found
        with closing(sqlite3.connect(self._file)) as connection:
            query = "SELECT data FROM job_chunks WHERE job_id = ? ORDER BY number"
            (amount,) = connection.execute("SELECT summary FROM jobs WHERE id = ?", [job]).fetchone()
            return [*(data for (data,) in connection.execute(query, [job])), amount]

    def _read(self, job: str) -> Any:
        return requests.get(f"{self._service.url}/v1/jobs/{job}").json()


def survive(lane: int, folder: Path) -> int:
    """How many kills the sweeps of a service survived, as many as were tried."""
    chance, file = random.Random(lane), folder / f"{lane}.db"
    with Service(f"sqlite:///{file}", folder / f"{lane}.log") as service:
        sweeps = Sweeps(service, file)
        undisturbed = sweeps.chunks(sweeps.begin())
        assert len(undisturbed) == POINTS // 10_000 + 1
        for fault in islice(cycle(FAULTS), KILLS):
            job = sweeps.begin()
            time.sleep(chance.uniform(0.0, 2.0))
            fault(service, file)
            assert sweeps.chunks(job) == undisturbed
    return KILLS


def test_a_sweep_survives_whatever_is_killed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(LANES) as lanes:
        assert sum(lanes.map(survive, range(LANES), repeat(tmp_path))) == 50
