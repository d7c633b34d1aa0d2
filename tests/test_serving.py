"""What `gradbook serve` sets in its process."""

import subprocess
import sys

import pytest

from service import serving
from service.settings import Settings, WorkBounds
from service.workers import memory

LOAD = """
from threadpoolctl import threadpool_info
from service.serving import _load_app
from service.settings import read_settings
for variables in ({}, {"GRADBOOK_BLAS_THREADS": "2"}, {}):
    _load_app(read_settings(variables))
    print([library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"][0])
"""


def test_a_matrix_product_takes_as_many_threads_as_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself BLAS takes all: four networks at once then took three times as long each."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    loaded = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    assert loaded.stdout == "1\n2\n1\n"


@pytest.mark.parametrize("bounded", [True, False])
def test_where_memory_cannot_be_bounded_it_is_said_once(
    bounded: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "can_be_bounded", lambda: bounded)
    with serving._worker_processes(Settings(work=WorkBounds(processes=1)), 1) as pool:
        assert pool.nbytes == 1
    assert capsys.readouterr().err.count("does not let the service bound the memory") == (not bounded)
