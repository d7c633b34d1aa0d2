"""The service over HTTP, against an empty view, a black box that stores nothing, and a tracker of experiments."""

import io
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stderr
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import numpy as np
import requests
from flask import Flask
from flask.testing import FlaskClient

from benchmarks.load import Task, post, request_once, tasks_per_second
from benchmarks.measuring import Row, by_turns, once
from benchmarks.peers import flask_server, mlflow_server, umbridge_server
from service import example
from service.client import Client
from service.core.execution import kernel
from service.process import free_port, service_process
from service.serving import load_app
from service.settings import Settings
from service.upkeep import migrate

# Where databases lie, so that neither a disk nor who else writes to it is measured; None where there is no such place.
IN_MEMORY = next((folder for folder in ("/dev/shm",) if Path(folder).is_dir()), None)
_CONNECTIONS = (8, 1)
_SECONDS = 0.7  # of a round, in which each task has as many
_POINTS = 1000
_RUNS = 1000
_CALLS = 500
_STARTS = 5

Tasks = dict[str, tuple[str, Callable[[], Task]]]


def rows(quick: bool = False) -> Iterator[Row]:
    """A row for each act and what it is held against."""
    yield from in_process(100 if quick else _CALLS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=IN_MEMORY)))
        ours = stack.enter_context(service_process(f"sqlite:///{folder / 'bench.db'}"))
        with Client(ours) as client:
            runs = f"{ours}/v1/graphs/{client.create_graph(example.NAME, expression=example.EXPRESSION).id}/runs"
        empty = stack.enter_context(flask_server(Settings.threads))
        yield from over_sockets(ours, runs, empty, 3 if quick else 7)
        if not quick:
            umbridge = stack.enter_context(umbridge_server())
            yield from points(ours, runs, umbridge)
            yield from tracked(ours, runs, folder)
        yield many_runs(ours, runs)
        yield run_list(ours)
    if not quick:
        yield start()
        yield Row("a bare commit of SQLite on this disk", 1e3 * bare_commit(), "ms")


def in_process(calls: int) -> Iterator[Row]:
    """A run that is kept and one that is not, against a routed empty view, all through Flask's test client."""
    with application() as ours:
        empty = Flask("empty")
        empty.post("/v1/graphs/<graph_id>/runs")(lambda graph_id: b"{}")
        view = empty.test_client()
        graph = ours.post("/v1/graphs", json={"name": example.NAME, "expression": example.EXPRESSION}).json
        assert graph is not None
        path = f"/v1/graphs/{graph['id']}/runs"

        def call(client: FlaskClient, body: bytes) -> Callable[[], object]:
            return lambda: client.post(path, data=body, content_type="application/json")

        asked = call(view, _KEPT), call(ours, _KEPT), call(ours, _NOT_KEPT)
        plain, kept, passing = by_turns(*asked, repeats=calls, clock=time.perf_counter)
    for name, seconds, target in (("kept", kept, 4.5), ("not kept", passing, 3.0)):
        detail = f"{1e6 * seconds:.0f} µs / {1e6 * plain:.0f} µs"
        yield Row(f"run {name}, in process, against an empty Flask view", seconds / plain, "×", target, detail)


@contextmanager
def application(**settings: Any) -> Iterator[FlaskClient]:
    """A client of the application in this process, set as the service sets it, with a database of its own in memory and
    warm loops; what it logs goes nowhere."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder, redirect_stderr(_nowhere()):
        chosen = Settings(database_url=f"sqlite:///{folder}/bench.db", **settings)
        migrate(chosen)
        app = load_app(chosen)
        kernel.warm()
        try:
            yield app.test_client()
        finally:
            app.extensions["gradbook"].database.close()


@cache
def _nowhere() -> TextIO:
    """A stream that stays open as long as the logger which writes to it."""
    return open(os.devnull, "w", encoding="utf-8")


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


_KEPT = _json({"inputs": example.INPUTS})
_NOT_KEPT = _json({"inputs": example.INPUTS, "keep": False})


def over_sockets(ours: str, runs: str, empty: str, rounds: int) -> Iterator[Row]:
    """The same over connections, against an empty view on the same server."""
    tasks: Tasks = {
        "kept": (ours, request_once(post(runs, _KEPT))),
        "not kept": (ours, request_once(post(runs, _NOT_KEPT))),
        "empty": (empty, request_once(post(f"{empty}/v1/graphs/1/runs", _KEPT))),
    }
    for connections in _CONNECTIONS:
        rates = _rates(tasks, rounds, connections)
        over = f"{connections} connection{'s' if connections > 1 else ''}"
        for name, target in (("kept", 0.25), ("not kept", 0.5)):
            work = f"run {name}, {over}, against an empty view on the same server: requests a second"
            yield _faster(work, rates[name], rates["empty"], target)


def points(ours: str, runs: str, umbridge: str) -> Iterator[Row]:
    """Many points in one request, in both forms, against a request for each to UM-Bridge."""
    black_box = {"name": "tutorial", "outWrt": 0, "inWrt": 0, "sens": [1.0], "config": {}}
    black_box["input"] = [list(map(float, example.INPUTS.values()))]
    tasks: Tasks = {
        "JSON": (ours, request_once(post(f"{runs}?gradients=inputs", _json(_batch())))),
        ".npz": (ours, request_once(_points(runs))),
        "UM-Bridge": (umbridge, request_once(post(f"{umbridge}/Gradient", _json(black_box)))),
    }
    rates = _rates(tasks, 7, 8)
    for form, target in (("JSON", 35), (".npz", 100)):
        work = f"{_POINTS:,} points in one request, {form}, against UM-Bridge's Gradient: points a second"
        yield _faster(work, _POINTS * rates[form], rates["UM-Bridge"], target)


def tracked(ours: str, runs: str, folder: Path) -> Iterator[Row]:
    """A kept run against MLflow's run and its figures."""
    with mlflow_server(folder, Settings.threads) as mlflow:
        tasks: Tasks = {"ours": (ours, request_once(post(runs, _KEPT))), "MLflow": (mlflow, _tracked(mlflow))}
        rates = _rates(tasks, 5, 8)
    yield _faster("run kept, against MLflow's run and its figures: runs a second", rates["ours"], rates["MLflow"], 15)


def many_runs(ours: str, runs: str) -> Row:
    """Many runs in one request, against one request for each, on one connection."""
    random = np.random.default_rng(0)
    sets = [
        {"inputs": dict(zip(example.INPUTS, figures, strict=True))}
        for figures in random.normal(size=(_RUNS, 4)).tolist()
    ]
    together: Tasks = {"batch": (ours, request_once(post(f"{runs}/batch", _json({"runs": sets}))))}
    alone: Tasks = {"alone": (ours, request_once(post(runs, _json(sets[0]))))}
    rates = _rates({**together, **alone}, 5, 1)
    work = f"{_RUNS:,} runs in one request, against one by one: runs a second"
    return _faster(work, _RUNS * rates["batch"], rates["alone"], 20)


def run_list(ours: str) -> Row:
    """The command `gradbook run list`, from its start to its end."""
    command = [sys.executable, "-m", "service.cli", "run", "list", "--url", ours]
    (seconds,) = by_turns(
        lambda: subprocess.run(command, check=True, capture_output=True), repeats=7, clock=time.perf_counter
    )
    return Row("`gradbook run list`", seconds, "s", 0.15)


def _faster(work: str, ours: float, theirs: float, target: float) -> Row:
    return Row(work, ours / theirs, "×", target, f"{ours:,.0f} / {theirs:,.0f}", at_least=True)


def _rates(tasks: Tasks, rounds: int, connections: int) -> dict[str, float]:
    """Tasks per second of each, medians of rounds in which all take turns."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, (url, task) in tasks.items():
            taken[name].append(tasks_per_second(url, task, connections, _SECONDS))
    return {name: median(rates) for name, rates in taken.items()}


def _batch() -> dict[str, object]:
    random = np.random.default_rng(0)
    return {"inputs": {name: random.normal(size=_POINTS).tolist() for name in example.INPUTS}, "keep": False}


def _points(runs: str) -> bytes:
    random = np.random.default_rng(0)
    arrays = {f"inputs/{name}": random.normal(size=_POINTS) for name in example.INPUTS}
    buffer = io.BytesIO()
    np.savez(buffer, request=json.dumps({"keep": False}), **arrays)
    kind = "application/x-npz"
    return post(f"{runs}?gradients=inputs", buffer.getvalue(), kind, kind)


def _tracked(mlflow: str) -> Callable[[], Task]:
    """MLflow's two requests for what is one request here: a run, and its fourteen figures."""
    api = f"{mlflow}/api/2.0/mlflow"
    made = requests.post(f"{api}/experiments/create", json={"name": "tutorial"}, timeout=60)
    made.raise_for_status()
    new_run = post(f"{api}/runs/create", _json({"experiment_id": made.json()["experiment_id"], "start_time": 0}))
    names = [f"{kind}/{name}" for kind in ("value", "gradient") for name in "abcdefF"]
    figures = [{"key": name, "value": 2 / 3, "timestamp": 0, "step": 0} for name in names]

    def task() -> Task:
        answer = yield new_run
        run = json.loads(answer)["run"]["info"]["run_id"]
        yield post(f"{api}/runs/log-batch", _json({"run_id": run, "metrics": figures}))

    return task


def bare_commit() -> float:
    """Seconds of a commit with fsync, the least that storing anything durably takes."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(f"{folder}/bare.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE bare (row BLOB)")

        def write() -> None:
            with connection:
                connection.execute("INSERT INTO bare VALUES (?)", (b"x" * 200,))

        return median(once(write) for _ in range(_CALLS))


def start() -> Row:
    """Seconds from starting the process to the first answer of /readyz, with an existing database."""
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/bench.db"
        migrate(Settings(database_url=database))
        taken = []
        for _ in range(_STARTS):
            port = free_port()
            begin = time.perf_counter()
            command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port), "--database", database]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
            while True:
                try:
                    requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).raise_for_status()
                    break
                except requests.RequestException:
                    time.sleep(0.01)
            taken.append(time.perf_counter() - begin)
            process.terminate()
            process.wait(60)
    return Row("service from start to ready, loops compiled before", median(taken), "s", 2)
