"""The service over HTTP, against an empty view, a black box that stores nothing, and a tracker of experiments."""

import io
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, redirect_stderr
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import requests
from flask import Flask

from benchmarks.comparison import random_graph
from benchmarks.load import Task, once, post, tasks_per_second
from benchmarks.peers import flask_server, mlflow_server, umbridge_server
from service import example
from service.app import create_app
from service.client import Client
from service.core.execution import kernel
from service.core.graph.graph import node_document
from service.serving import free_port, migrate, service_process
from service.settings import Settings

_CONNECTIONS = 8
_ROUNDS, _SECONDS = 7, 0.7
_POINTS = 1000
_CALLS = 500
_STARTS = 5
_NODES = 100_000


def measure() -> str:
    """Measure each ratio."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = stack.enter_context(service_process(f"sqlite:///{folder / 'bench.db'}"))
        empty = stack.enter_context(flask_server(Settings.threads))
        umbridge = stack.enter_context(umbridge_server())
        mlflow = stack.enter_context(mlflow_server(folder, Settings.threads))
        with Client(ours) as client:
            runs = f"{ours}/v1/graphs/{client.create_graph(example.NAME, expression=example.EXPRESSION).id}/runs"
        stored = {"inputs": example.INPUTS}
        passing = {**stored, "keep": False}
        black_box = {"name": "tutorial", "outWrt": 0, "inWrt": 0, "sens": [1.0], "config": {}}
        black_box["input"] = [list(map(float, example.INPUTS.values()))]
        rates = _rates(
            {
                "stored": (ours, once(post(runs, _json(stored)))),
                "passing": (ours, once(post(f"{runs}?gradients=inputs", _json(passing)))),
                "points": (ours, once(_points(runs))),
                "points in JSON": (ours, once(post(f"{runs}?gradients=inputs", _json(_batch())))),
                "empty": (empty, once(post(f"{empty}/", _json(stored)))),
                "UM-Bridge": (umbridge, once(post(f"{umbridge}/Gradient", _json(black_box)))),
                "MLflow": (mlflow, _tracked(mlflow)),
            }
        )
        large = _large(ours)
    points, points_in_json = _POINTS * rates["points"], _POINTS * rates["points in JSON"]
    view, act = _in_process()
    return "\n".join(
        (
            _line("stored run", rates["stored"], "an empty Flask view", rates["empty"], "requests/s"),
            f"stored run in process: {act / view:.1f} × an empty Flask view ({act * 1e6:.0f} µs / {view * 1e6:.0f} µs)",
            _line("run that is not kept", rates["passing"], "UM-Bridge's Gradient", rates["UM-Bridge"], "requests/s"),
            _line(f"{_POINTS:,} points in an .npz", points, "UM-Bridge", rates["UM-Bridge"], "points/s"),
            _line(f"{_POINTS:,} points in JSON", points_in_json, "UM-Bridge", rates["UM-Bridge"], "points/s"),
            _line("stored run", rates["stored"], "MLflow's run and its figures", rates["MLflow"], "runs/s"),
            f"service start to ready: {_start():.2f} s",
            *large,
            f"a bare commit of SQLite on this disk: {_commit() * 1000:.2f} ms",
        )
    )


def _line(name: str, ours: float, peer: str, theirs: float, unit: str) -> str:
    return f"{name}: {ours / theirs:.2f} × {peer} ({ours:,.0f} / {theirs:,.0f} {unit})"


def _rates(tasks: dict[str, tuple[str, Callable[[], Task]]]) -> dict[str, float]:
    """Tasks per second of each, medians of rounds in which all take turns."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(_ROUNDS):
        for name, (url, task) in tasks.items():
            taken[name].append(tasks_per_second(url, task, _CONNECTIONS, _SECONDS))
    return {name: median(rates) for name, rates in taken.items()}


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


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


def _in_process() -> tuple[float, float]:
    """Seconds of an empty view and of a stored run, both through Flask's test client."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        redirect_stderr(nowhere),  # the service logs a line for each request
    ):
        settings = Settings(database_url=f"sqlite:///{folder}/bench.db")
        migrate(settings)
        app, empty = create_app(settings), Flask("empty")
        kernel.warm()
        empty.post("/v1/graphs/<graph_id>/runs")(lambda graph_id: b"{}")
        clients = empty.test_client(), app.test_client()
        graph = clients[1].post("/v1/graphs", json={"name": example.NAME, "expression": example.EXPRESSION}).json
        assert graph is not None
        path, body = f"/v1/graphs/{graph['id']}/runs", _json({"inputs": example.INPUTS})
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(_CALLS):
            for client, taken in zip(clients, seconds, strict=True):
                taken.append(
                    _timed(lambda client=client: client.post(path, data=body, content_type="application/json"))
                )
        app.extensions["gradbook"].database.close()
    return median(seconds[0]), median(seconds[1])


def _timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _large(ours: str) -> list[str]:
    """A large graph in JSON, against what `json` alone takes for the same bytes; and its figures as .npz."""
    document = {"name": "large", "nodes": [node_document(node) for node in random_graph(_NODES).nodes]}
    sent = _json(document)
    kind = {"Content-Type": "application/json"}
    session = requests.Session()
    begin = time.perf_counter()
    graph = session.post(f"{ours}/v1/graphs", data=sent, headers=kind, timeout=600).json()
    made = time.perf_counter() - begin
    inputs = {node["name"]: 0.5 for node in graph["nodes"] if node["operation"] == "Input"}
    session.post(f"{ours}/v1/graphs/{graph['id']}/runs", json={"inputs": inputs, "keep": False}, timeout=600)
    begin = time.perf_counter()
    run = session.post(f"{ours}/v1/graphs/{graph['id']}/runs", json={"inputs": inputs}, timeout=600).json()
    ran = time.perf_counter() - begin
    nodes: list[object] = []
    page: dict[str, Any] = {"next": ""}
    begin = time.perf_counter()
    while page["next"] is not None:
        query = f"?cursor={page['next']}" if page["next"] else ""
        page = session.get(f"{ours}/v1/runs/{run['id']}/nodes{query}", timeout=600).json()
        nodes += page["nodes"]
    listed = time.perf_counter() - begin
    packed = _timed(
        lambda: session.get(f"{ours}/v1/runs/{run['id']}/nodes", headers={"Accept": "application/x-npz"}, timeout=600)
    )
    read, written = _timed(lambda: json.loads(sent)), _timed(lambda: json.loads(_json(nodes)))
    return [
        f"{_NODES:,} nodes posted: {made:.2f} s, {made / read:.1f} × json.loads of the body",
        f"their run: {ran:.2f} s",
        f"read back: {listed:.2f} s, {listed / written:.1f} × json writing and reading it; as .npz {packed:.3f} s",
    ]


def _commit() -> float:
    """Seconds of a commit with fsync, the least that storing anything durably takes."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(f"{folder}/bare.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE bare (row BLOB)")

        def write() -> None:
            with connection:
                connection.execute("INSERT INTO bare VALUES (?)", (b"x" * 200,))

        return median(_timed(write) for _ in range(_CALLS))


def _start() -> float:
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
    return median(taken)
