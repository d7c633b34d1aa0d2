"""What `gradbook serve` sets in its process."""

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service import serving, upkeep
from service.settings import Settings, WorkBounds
from service.workers import memory

LOAD = """
from threadpoolctl import threadpool_info
from service.serving import load_app
from service.settings import read_settings
load_app(read_settings())
print([library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"][0])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "given", "taken"), [("2", None, "1"), ("1", "2", "2")])
def test_a_matrix_product_takes_as_many_threads_as_are_set(
    ours: str, given: str | None, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself BLAS takes all: four networks at once then took three times as long each."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", ours)
    if given:
        monkeypatch.setenv("GRADBOOK_BLAS_THREADS", given)
    loaded = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    assert loaded.stdout == f"{taken}\n"


DRAW = """
import sys
from service import serving
from service.settings import read_settings
from service.web.program import least_cost
serving._begin_work(read_settings({}), compiled=False)
before = {name for name in sys.modules if name.startswith("scipy")}
least_cost([1.0], [(-1.0, 0, 0)], [-2.0])
print(sorted({name for name in sys.modules if name.startswith("scipy")} - before))
"""


@pytest.mark.slow
def test_what_pictures_are_laid_out_by_is_loaded_before_processes_are_forked() -> None:
    """Under a process's bound on memory a library's segments could not be mapped."""
    loaded = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_several_processes_do_not_serve_from_a_file() -> None:
    with pytest.raises(ValueError, match=r"^2 processes that serve need PostgreSQL, since SQLite "):
        serving.serve(Settings(workers=2))


CALLED_BACK = """
import ctypes, os, signal, sys
from service import serving
from service.settings import read_settings
load_app = serving.load_app

def load_while_told_to_stop(*given):
    ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGTERM))()
    return load_app(*given)

serving.load_app = load_while_told_to_stop
serving.serve(read_settings({"GRADBOOK_DATABASE_URL": sys.argv[1], "GRADBOOK_PORT": "0"}))
"""


def test_a_signal_that_comes_while_c_calls_back_stops_the_service(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CALLED_BACK, f"sqlite:///{tmp_path}/gradbook.db"]
    stopped = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "SystemExit" in stopped.stderr and "serves at" not in stopped.stderr


@pytest.mark.parametrize("bounded", [True, False])
def test_where_memory_cannot_be_bounded_it_is_said_once(
    bounded: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "can_be_bounded", lambda: bounded)
    with serving._worker_processes(Settings(work=WorkBounds(processes=1, job_processes=0)), 1) as pool:
        assert pool.nbytes == 1
    assert capsys.readouterr().err.count("does not let the service bound the memory") == (not bounded)


def test_a_worker_process_may_hold_a_quarter_of_the_caches() -> None:
    """Were it replaced for them, large graphs in rotation would be loaded again and again."""
    with serving._worker_processes(
        Settings(work=WorkBounds(processes=1, job_processes=0, cache_bytes=4000)), 1
    ) as pool:
        assert pool.cached == 1000 + 500


@pytest.mark.parametrize(
    ("program", "command"), [(".venv/bin/gradbook", ".venv/bin/gradbook"), ("service/cli/__main__.py", "gradbook")]
)
def test_the_last_lines_of_the_start_say_where_it_is_and_what_to_try(
    program: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "serve"])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        serving._announce(listener, "/below")
        where = f"http://127.0.0.1:{listener.getsockname()[1]}/below"
    first, last = capsys.readouterr().err.splitlines()
    assert first == f"Gradbook serves at {where} and explains its API at /below/docs"
    assert last == f"Next: open {where} in a browser, or ask in another terminal: {command} run list --url {where}"


def test_make_run_shows_what_pip_does_and_ends_with_the_service() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    (locked,) = re.findall(r"^LOCKED = (.*)$", makefile, re.MULTILINE)
    assert "install" in locked and "--quiet" not in locked
    (run,) = re.findall(r"^run: install\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert run.splitlines()[-1] == "\texec $(BIN)/gradbook serve"
    assert "browse" not in run and "open" not in run


def test_where_opentelemetry_is_not_installed_the_service_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.tracing.otel", raising=False)
    for name in ("opentelemetry", "opentelemetry.context"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]  # as if it were not there
    said = r"^GRADBOOK_OPENTELEMETRY=1 needs the extra `otel`: pip install 'gradbook\[otel\]' \(.*opentelemetry"
    with pytest.raises(upkeep.CannotStart, match=said), serving._traces(Settings(opentelemetry=True)):
        pass


@pytest.mark.parametrize("absent", [{"dask": "local:2"}, {"opentelemetry": True}])
def test_several_processes_are_not_begun_where_what_they_need_is_not_installed(
    absent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("service.tracing.otel", "service.jobs.dask_engine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("opentelemetry", "dask"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]  # as if it were not there
    with serving._bind("127.0.0.1", 0) as listener, pytest.raises(serving.CannotStart, match="needs the extra"):
        serving._supervise(listener, Settings(workers=2, **absent), lambda: pytest.fail("it announces itself"))
