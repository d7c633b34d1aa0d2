"""The committed compose file, run by the engine as it is."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from service.example import INPUTS
from tests.image.engine import Engine
from tests.large_requests import post

URL = "http://127.0.0.1:8000"
# The worker processes are less urgent than all others.
SIGNAL_WORKERS = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    if os.getpriority(os.PRIO_PROCESS, int(pid)) > 0:
        os.kill(int(pid), {signal})
        print(pid)
"""


def seconds_until(condition: Callable[[], bool], patience: float) -> float:
    """How long it took until the condition held."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + patience, "too late"
        time.sleep(0.05)
    return time.monotonic() - begun


def is_ready(url: str = URL) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


def inside(engine: Engine, *command: str) -> str:
    return engine.compose("exec", "-T", "gradbook", *command)


def python(engine: Engine, code: str) -> str:
    return inside(engine, "python", "-c", code)


def up(engine: Engine) -> None:
    engine.compose("up", "--detach", "--no-build", "gradbook")


def container(engine: Engine) -> Any:
    """What the engine knows of the container, running or not."""
    return engine.inspect(engine.compose("ps", "--all", "--quiet", "gradbook"))


@pytest.fixture(scope="module", autouse=True)
def composed(engine: Engine) -> Iterator[None]:
    """A service in a new volume."""
    try:
        up(engine)
        yield
    finally:
        engine.compose("down", "--volumes")


def test_it_is_ready_within_ten_seconds_and_then_healthy(engine: Engine) -> None:
    assert seconds_until(is_ready, 10) < 10
    seconds_until(lambda: bool(container(engine)["State"]["Health"]["Status"] == "healthy"), 10)


def test_it_has_no_rights_but_to_its_data(engine: Engine) -> None:
    status = dict(line.split(":\t", 1) for line in inside(engine, "cat", "/proc/1/status").splitlines())
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert {int(status[f"Cap{each}"], 16) for each in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    for path in ("/touched", "/venv/touched", "/etc/touched"):
        refused = engine.run("docker", "compose", "exec", "-T", "gradbook", "touch", path, check=False)
        assert "Read-only file system" in refused.stderr
    inside(engine, "sh", "-c", "touch /data/touched /tmp/touched && rm /data/touched /tmp/touched")
    assert engine.docker("diff", container(engine)["Id"]) == ""


def test_its_limits_are_those_of_the_file(engine: Engine) -> None:
    limits = container(engine)["HostConfig"]
    assert (limits["Memory"], limits["MemorySwap"]) == (2 << 30, 2 << 30)
    assert (limits["NanoCpus"], limits["PidsLimit"]) == (2_000_000_000, 256)
    assert limits["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
    code = "from service.workers import memory; print(memory.available())"
    assert python(engine, code) == str(2 << 30)


def test_the_kernels_are_loaded_and_none_is_compiled(engine: Engine) -> None:
    said = engine.compose("exec", "-T", "--env", "NUMBA_DEBUG_CACHE=1", "gradbook", "gradbook", "warm")
    assert said.count("data loaded") > 0
    assert said.count("data saved") == 0


def test_what_is_stored_is_the_same_after_a_restart_and_in_a_new_container(engine: Engine) -> None:
    stored = json.loads(inside(engine, "gradbook", "migrate", "--seed-example", "--json"))
    run = f"{URL}/v1/runs/{stored['run']}"
    before = requests.get(run, timeout=60)
    assert before.json()["inputs"] == INPUTS
    assert before.json()["gradients"] == {"a": 2 / 3, "b": 2 / 3, "c": -2.0, "d": 4 / 3}
    engine.compose("restart", "gradbook")
    seconds_until(is_ready, 60)
    assert requests.get(run, timeout=60).content == before.content
    engine.compose("down")
    up(engine)
    seconds_until(is_ready, 60)
    assert requests.get(run, timeout=60).content == before.content


def test_a_stop_during_a_run_answers_it(engine: Engine) -> None:
    graph = post(f"{URL}/v1/graphs", {"name": "stopped", "expression": "F = x * x"}).json()["id"]
    lock = "import sqlite3, time; c = sqlite3.connect('/data/gradbook.db', isolation_level=None); "
    lock += "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); time.sleep(4); c.execute('ROLLBACK')"
    with ThreadPoolExecutor() as threads:
        threads.submit(python, engine, lock)
        time.sleep(1.5)
        answers = [
            threads.submit(post, f"{URL}/v1/graphs/{graph}/runs", {"inputs": {"x": 3}}, large)
            for large in (False, True)
        ]
        time.sleep(0.5)
        assert not any(answer.done() for answer in answers)
        engine.compose("stop", "gradbook")
    assert [answer.result().json()["gradients"] for answer in answers] == [{"x": 6.0}] * 2
    state = container(engine)["State"]
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False)
    up(engine)
    seconds_until(is_ready, 60)


def test_requests_for_more_memory_than_there_is_end_nothing(engine: Engine) -> None:
    """Each takes about a gigabyte: five values of nine million numbers, and their gradients."""
    before = container(engine)["State"]
    expression = "a = x[:, None] * y; b = exp(a); c = sin(b); d = c * a; F = sum(d * d)"
    graph = post(f"{URL}/v1/graphs", {"name": "large", "expression": expression}).json()["id"]
    body = {"inputs": {"x": [0.5] * 3000, "y": [0.25] * 3000}, "keep": False}
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(post, f"{URL}/v1/graphs/{graph}/runs?gradients=inputs", body, False) for _ in range(8)]
        statuses = [each.result().status_code for each in asked]
    assert set(statuses) <= {200, 422, 503}
    assert post(f"{URL}/v1/graphs/{graph}/runs", {"inputs": {"x": [1.0], "y": [2.0]}}).status_code == 201
    after = container(engine)
    assert (after["State"]["StartedAt"], after["RestartCount"]) == (before["StartedAt"], 0)
    assert not after["State"]["OOMKilled"]
    events = "cat /sys/fs/cgroup/memory.events 2>/dev/null || cat /sys/fs/cgroup/memory/memory.oom_control"
    assert "oom_kill 0" in inside(engine, "sh", "-c", events).splitlines()


@pytest.mark.parametrize("signal", [9, 19])
def test_a_worker_that_was_killed_or_stopped_is_replaced(engine: Engine, signal: int) -> None:
    def is_answered() -> bool:
        return post(f"{URL}/v1/graphs", {"name": "g", "expression": "x"}).status_code < 300

    seconds_until(is_answered, 60)
    assert python(engine, SIGNAL_WORKERS.format(signal=signal))
    assert seconds_until(is_answered, 60) < 60


def test_sqlite_sorts_more_than_the_temporary_folder_holds(engine: Engine) -> None:
    begun = """
import sqlite3, sys
database = sqlite3.connect("large.db", isolation_level=None)
database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")
"""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 28000)"
    python(engine, f"{begun}database.execute('CREATE TABLE t AS {numbers} SELECT randomblob(4000) b FROM n')")
    assert int(inside(engine, "stat", "--format=%s", "large.db")) > 110e6
    index = f"{begun}database.execute('CREATE INDEX i ON t (b)')"
    command = ("docker", "compose", "exec", "-T", "--env", "SQLITE_TMPDIR=/tmp", "gradbook", "python", "-c", index)
    assert "disk is full" in engine.run(*command, check=False).stderr  # /tmp has 64 MB
    python(engine, f"{index}; database.execute('DROP INDEX i'); database.execute('VACUUM')")
    inside(engine, "rm", "large.db")
