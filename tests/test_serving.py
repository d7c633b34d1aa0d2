"""What `gradbook serve` sets in its process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from service import serving
from service.api.http.elsewhere import LARGE_BODY
from service.settings import Settings, WorkBounds
from service.workers import memory

LOAD = """
from threadpoolctl import threadpool_info
from service.serving import _load_app
from service.settings import read_settings
_load_app(read_settings())
print([library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"][0])
"""


@pytest.mark.parametrize(("given", "threads"), [({}, 1), ({"GRADBOOK_BLAS_THREADS": "2"}, 2)])
def test_a_matrix_product_takes_as_many_threads_as_are_set(
    given: dict[str, str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself BLAS takes all: four networks at once then took three times as long each."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2" if threads == 1 else "1")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    loaded = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    assert loaded.stdout == f"{threads}\n"


# What other systems than Linux lack; every process of the service reads this when it begins.
ELSEWHERE = """
import builtins, io, os, sys
if hasattr(os, "memfd_create"):
    del os.memfd_create
sys.modules["uvloop"] = None
def opened(file, *arguments, open=io.open, **named):
    if str(file).startswith(("/proc/self/statm", "/proc/self/cgroup", "/sys/")):
        raise FileNotFoundError(file)
    return open(file, *arguments, **named)
builtins.open = io.open = opened
"""


def test_the_service_works_without_what_linux_alone_has(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(ELSEWHERE)
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    with serving.service_process(f"sqlite:///{tmp_path}/gradbook.db", variables={"PYTHONPATH": paths}) as url:
        body = json.dumps({"name": "g", "expression": "F = x*x"}) + " " * LARGE_BODY
        headers = {"Content-Type": "application/json"}
        graph = requests.post(f"{url}/v1/graphs", body, headers=headers, timeout=60).json()
        runs = f"{url}/v1/graphs/{graph['id']}/runs"
        large = json.dumps({"inputs": {"x": [0.5] * 60_000}, "keep": False})
        answer = requests.post(f"{runs}?gradients=inputs", large, headers=headers, timeout=60)
        assert answer.json()["gradients"]["x"] == [1.0] * 60_000
        assert requests.post(runs, json={"inputs": {"x": 3}}, timeout=60).json()["gradients"] == {"x": 6.0}


@pytest.mark.parametrize("bounded", [True, False])
def test_where_memory_cannot_be_bounded_it_is_said_once(
    bounded: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "can_be_bounded", lambda: bounded)
    with serving._worker_processes(Settings(work=WorkBounds(processes=1)), 1) as pool:
        assert pool.nbytes == 1
    assert capsys.readouterr().err.count("does not let the service bound the memory") == (not bounded)
