"""The service where what Linux alone has is absent."""

import os
import sys
from pathlib import Path

import pytest

from service.process import service_process
from tests.large_requests import post

pytestmark = pytest.mark.faults

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
    with service_process(f"sqlite:///{tmp_path}/gradbook.db", variables={"PYTHONPATH": paths}) as url:
        graph = post(f"{url}/v1/graphs", {"name": "g", "expression": "F = x*x"}).json()["id"]
        runs = f"{url}/v1/graphs/{graph}/runs"
        large = post(f"{runs}?gradients=inputs", {"inputs": {"x": [0.5] * 60_000}, "keep": False})
        assert large.json()["gradients"]["x"] == [1.0] * 60_000
        assert post(runs, {"inputs": {"x": 3}}, large=False).json()["gradients"] == {"x": 6.0}
