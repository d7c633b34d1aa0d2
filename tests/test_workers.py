"""`gradbook serve --workers 2`: what one of its processes does, the other knows."""

import io
import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from service.process import service_process
from service.storage.access_keys import Scope, create_access_key, revoke_access_key
from service.storage.database import Database
from service.storage.jobs import get_job
from service.storage.pruning import prune
from service.usecases.access import KEPT_SECONDS
from service.usecases.rate_limit import MINUTE
from tests.faults.under_load import Service, try_fault

pytestmark = [pytest.mark.postgres, pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")]

TWO = {"GRADBOOK_WORKERS": "2"}
PATIENCE = 30.0


class Caller:
    """A connection that stays open, and so the process that it was handed to."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        self._connection.connect()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the document of an answer."""
        sent = None if body is None else json.dumps(body)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, sent, {"Content-Type": "application/json", **given})
        answer = self._connection.getresponse()
        document = answer.read()
        return answer.status, json.loads(document) if document else None

    def send(self, path: str, data: bytes) -> tuple[int, Any]:
        """What is answered to the PUT of a file."""
        self._connection.request("PUT", path, data, {"Content-Type": "application/x-npy"})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    @property
    def process(self) -> str:
        """The number of the process that has the other end."""
        port = f":{self._connection.sock.getsockname()[1]:04X}"
        lines = map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        (inode,) = [line[9] for line in lines if line[2].endswith(port)]
        return next(
            path.parts[2]
            for path in Path("/proc").glob("[0-9]*/fd/*")
            if path.is_symlink() and _target(path) == f"socket:[{inode}]"
        )

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:  # it was closed meanwhile
        return ""


@contextmanager
def two_callers(url: str) -> Iterator[tuple[Caller, Caller]]:
    """Connections to the two processes of a service."""
    end = time.monotonic() + PATIENCE
    with ExitStack() as stack:
        found: dict[str, Caller] = {}
        while len(found) < 2:
            assert time.monotonic() < end
            caller = stack.enter_context(closing(Caller(url)))
            assert caller.ask("GET", "/readyz")[0] == 200
            found.setdefault(caller.process, caller)
        one, other = found.values()
        yield one, other


@pytest.fixture(scope="module")
def database_url(empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database that the tests share."""
    return empty_database(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """That database, opened beside the service."""
    with closing(Database(database_url)) as opened:
        yield opened


@pytest.fixture(scope="module")
def callers(database_url: str) -> Iterator[tuple[Caller, Caller]]:
    """Connections to the two processes of a service."""
    with service_process(database_url, variables=TWO) as url, two_callers(url) as both:
        yield both


def made(answer: tuple[int, Any]) -> Any:
    """The document of what was made or changed."""
    status, document = answer
    assert status in (200, 201, 202), document
    return document


def test_what_one_process_changes_or_deletes_the_other_shows_no_more(callers: tuple[Caller, Caller]) -> None:
    one, other = callers
    graph = made(one.ask("POST", "/v1/graphs", {"name": "g", "expression": "F = x*x"}))
    path, inputs = f"/v1/graphs/{graph['id']}", {"inputs": {"x": 3}}
    runs = [made(each.ask("POST", f"{path}/runs", inputs))["id"] for each in callers]
    made(one.ask("PATCH", path, {"tags": {"kept": "yes"}}))
    assert made(other.ask("GET", path))["tags"] == {"kept": "yes"}
    made(one.ask("PATCH", f"/v1/runs/{runs[1]}", {"label": "best"}))
    assert made(other.ask("GET", "/v1/runs/g:best"))["id"] == runs[1]

    pair = {"baseline": runs[0], "candidate": runs[1]}
    compared = f"/v1/comparisons/{made(other.ask('POST', '/v1/comparisons', pair))['id']}"
    assert made(one.ask("GET", compared))["verdict"] == "same"
    assert one.ask("DELETE", compared)[0] == 204
    assert other.ask("GET", compared)[0] == 404

    assert one.ask("DELETE", f"{path}?cascade=true")[0] == 204
    for method, asked, body in (
        ("GET", path, None),
        ("POST", f"{path}/runs", inputs),
        ("GET", f"{path}/formula", None),
    ):
        assert other.ask(method, asked, body)[0] == 404
    assert other.ask("GET", f"/v1/runs/{runs[0]}")[0] == 404


def test_content_that_one_process_deletes_and_stores_in_another_order_the_other_shows_so(
    callers: tuple[Caller, Caller],
) -> None:
    one, other = callers
    nodes = [{"name": "x", "operation": "Input"}]
    nodes += [{"name": name, "operation": "Neg", "inputs": ["x"]} for name in ("p", "q")]
    for listed in (nodes, [nodes[0], nodes[2], nodes[1]]):
        graph = made(one.ask("POST", "/v1/graphs", {"name": "order", "nodes": listed, "outputs": ["p", "q"]}))
        path = f"/v1/graphs/{graph['id']}"
        shown = made(other.ask("GET", f"{path}/nodes"))["nodes"]
        assert [node["name"] for node in shown] == [node["name"] for node in listed]
        assert one.ask("DELETE", path)[0] == 204


def test_a_tensor_that_was_pruned_is_used_by_no_process(callers: tuple[Caller, Caller], database: Database) -> None:
    one, _ = callers
    file = io.BytesIO()
    np.save(file, np.arange(3.0))
    digest = f"sha256:{sha256(file.getvalue()).hexdigest()}"
    made(one.send(f"/v1/tensors/{digest}", file.getvalue()))
    made(one.ask("POST", "/v1/graphs", {"name": "t", "expression": "F = x*x"}))
    asked = {"inputs": {"x": {"tensor": digest}}, "keep": False, "backward": False}
    for each in callers:
        made(each.ask("POST", "/v1/graphs/t/runs", asked))
    assert prune(database, datetime.now(UTC) + timedelta(seconds=1)).tensors == 1
    for each in callers:
        status, problem = each.ask("POST", "/v1/graphs/t/runs", asked)
        assert status == 422 and "there is no tensor" in problem["errors"][0]["detail"]


def test_a_request_under_a_key_is_done_once_whichever_processes_are_asked(callers: tuple[Caller, Caller]) -> None:
    one, other = callers
    made(one.ask("POST", "/v1/graphs", {"name": "once", "expression": "F = x*x"}))
    post = {"inputs": {"x": 3}}
    with ThreadPoolExecutor(2) as threads:
        for number in range(20):
            asked = [
                threads.submit(each.ask, "POST", "/v1/graphs/once/runs", post, Idempotency_Key=f"once {number}")
                for each in callers
            ]
            assert len({made(each.result())["id"] for each in asked}) == 1
    assert len(made(other.ask("GET", "/v1/runs?graph=once"))["runs"]) == 20


def test_a_job_is_done_by_one_process_alone(callers: tuple[Caller, Caller], database: Database) -> None:
    one, other = callers
    made(one.ask("POST", "/v1/graphs", {"name": "swept", "expression": "F = a*b"}))
    axes = {"inputs": {"a": {"linspace": [0, 1, 500]}, "b": {"linspace": [0, 1, 500]}}}
    jobs = [made(each.ask("POST", "/v1/graphs/swept/sweeps", axes))["id"] for each in callers for _ in range(3)]
    owners: dict[str, set[str]] = {job: set() for job in jobs}
    end, waiting = time.monotonic() + PATIENCE, set(jobs)
    while waiting:
        assert time.monotonic() < end
        with database.read() as connection:
            found = [get_job(connection, job) for job in waiting]
        for record in found:
            owners[record.id] |= {record.owner} - {None}
        waiting -= {record.id for record in found if record.ended_at}
    assert all(len(seen) <= 1 for seen in owners.values()) and any(owners.values())
    for job in jobs:
        document = made(other.ask("GET", f"/v1/jobs/{job}"))
        assert (document["state"], document["done"], document["total"]) == ("done", 250_000, 250_000)


def test_keys_and_how_often_they_may_ask_are_those_of_both_processes(
    empty_database: Callable[[Path], str], tmp_path: Path
) -> None:
    url, most = empty_database(tmp_path), 100
    with closing(Database(url)) as database, database.write() as connection:
        keys = [create_access_key(connection, name, Scope.READ)[1] for name in ("fast", "gone")]
    fast, gone = ({"Authorization": f"Bearer {key}"} for key in keys)
    limited = {**TWO, "GRADBOOK_REQUESTS_PER_MINUTE": str(most)}
    with service_process(url, variables=limited) as served, two_callers(served) as callers:
        assert [each.ask("GET", "/v1/graphs")[0] for each in callers] == [401, 401]
        minute, asked = 0, [0]
        while minute != time.time() // MINUTE:  # all within one
            minute = time.time() // MINUTE
            asked = [callers[number % 2].ask("GET", "/v1/graphs", **fast)[0] for number in range(2 * most)]
        assert asked.count(200) == most and asked.count(429) == most

        assert [each.ask("GET", "/v1/graphs", **gone)[0] for each in callers] == [200, 200]
        with closing(Database(url)) as database, database.write() as connection:
            revoke_access_key(connection, "gone")
        time.sleep(KEPT_SECONDS)
        assert [each.ask("GET", "/v1/graphs", **gone)[0] for each in callers] == [401, 401]


def test_nothing_acknowledged_is_lost_or_doubled_when_one_of_the_processes_is_killed_under_load(
    empty_database: Callable[[Path], str], tmp_path: Path
) -> None:
    with Service(empty_database(tmp_path), tmp_path / "log", TWO) as service:
        row = try_fault("killed process", partial(_kill_one, service), 4, [service])
    assert row.acknowledged > 20 and (row.lost, row.doubled, row.others) == (0, 0, {}), str(row)
    assert len(re.findall(r"process \d+, which served, ended with the code -9", service.log.read_text())) == 4


def _kill_one(service: Service) -> None:
    """Kill one of the processes that serve."""
    listed = subprocess.run(["ps", "-eo", "ppid=,pid="], check=True, capture_output=True, text=True).stdout
    pairs = (map(int, line.split()) for line in listed.splitlines())
    os.kill(random.choice([pid for parent, pid in pairs if parent == service.process.pid]), signal.SIGKILL)
