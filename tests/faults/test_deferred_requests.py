"""A request that is done as a job, whose service or process is killed at any moment: it takes effect once."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.faults.sqlite_faults import kill, kill_workers
from tests.faults.under_load import Service
from tests.waiting import until

pytestmark = pytest.mark.faults

RUNS = 4000
FAULTS: list[tuple[Callable[[Service, Path], None], float]] = [
    *((kill, seconds) for seconds in (0.0, 0.6, 1.2)),
    *((kill_workers, seconds) for seconds in (0.3, 0.9)),
]


def count_runs(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        found: int = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        return found


def test_many_runs_are_made_once_whatever_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "gradbook.db"
    with Service(f"sqlite:///{file}", tmp_path / "log") as service:
        graph = {"name": "deferred", "expression": "F = tanh(a*b)"}
        assert requests.post(f"{service.url}/v1/graphs", json=graph).ok
        body = {"runs": [{"inputs": {"a": number, "b": 1.5}} for number in range(RUNS)]}
        for done, (fault, seconds) in enumerate(FAULTS, start=1):
            url = f"{service.url}/v1/graphs/deferred/runs/batch"
            asked = requests.post(url, json=body, headers={"Prefer": "respond-async"})
            assert asked.status_code == 202, asked.text
            time.sleep(seconds)
            fault(service, file)
            job = f"{service.url}{asked.headers['Location']}"
            until(lambda job=job: requests.get(job).json()["state"] not in ("waiting", "running"))  # type: ignore[misc]
            ended = requests.get(job).json()
            assert ended["state"] == "done", ended
            assert len(requests.get(f"{job}/result").json()["runs"]) == RUNS
            assert count_runs(file) == done * RUNS
