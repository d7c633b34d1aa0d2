"""A service on SQLite that is killed, loses its processes, or finds its file locked, under load; and one that goes on.

`python -m tests.faults.sqlite_faults --each 7 --minutes 1` prints what was lost, doubled or refused with each kind of
fault, and ten times the memory and the open files of a service while clients store runs.
"""

import argparse
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from threading import Thread

from tests.faults.under_load import CLIENTS, HEADER, Load, Row, Service, exit_code, try_fault
from tests.large_requests import post

LOCKED = 7.0  # seconds; a service waits for 5
_MOST = {f"locked {LOCKED:.0f} s": 20}  # times that a kind is tried, since each takes long


def kill(service: Service, file: Path) -> None:
    """Kill the service, and start it again."""
    service.kill()
    service.start()


def kill_workers(service: Service, file: Path) -> None:
    """Kill all processes that the service has begun."""
    for number in descendants(service.process.pid):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def lock(service: Service, file: Path) -> None:
    """Hold the lock for writing, for longer than the service waits for it."""
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(LOCKED)
        connection.execute("ROLLBACK")


KINDS: dict[str, Callable[[Service, Path], None]] = {
    "service kill -9": kill,
    "workers kill -9": kill_workers,
    f"locked {LOCKED:.0f} s": lock,
}


def descendants(number: int) -> list[int]:
    """The processes that a process has begun, and theirs."""
    children = [
        int(each) for task in Path(f"/proc/{number}/task").glob("*/children") for each in task.read_text().split()
    ]
    return [found for child in children for found in (child, *descendants(child))]


def try_faults(each: dict[str, int]) -> list[Row]:
    """Try each kind that many times, over one service."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gradbook.db"
        with Service(f"sqlite:///{file}", Path(folder) / "log") as service:
            rows = []
            for kind, times in each.items():
                rows.append(try_fault(kind, partial(KINDS[kind], service, file), times, [service]))
                print(*([HEADER] if len(rows) == 1 else []), rows[-1], sep="\n", flush=True)
            return rows


def start_at_once(times: int, processes: int = 6) -> int:
    """Have that many processes make the same database at once, and return how many of all failed."""
    failed = 0
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "service.cli", "migrate", "--database", f"sqlite:///{folder}/gradbook.db"]
            started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(processes)]
            failed += sum(process.wait() != 0 for process in started)
    print(f"{processes} first starts at once, {times} times: {failed} failed", flush=True)
    return failed


def soak(seconds: float) -> list[tuple[float, int]]:
    """Megabytes of memory and open files of a service and its processes, ten times while clients store runs."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(f"sqlite:///{folder}/gradbook.db", Path(folder) / "log") as service,
    ):
        graph = post(f"{service.url}/v1/graphs", {"name": "soak", "expression": "F = x*x"}, large=False).json()["id"]
        load = Load()
        clients = [Thread(target=load.store, args=(f"{service.url}/v1/graphs/{graph}/runs",)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        found = []
        for _ in range(10):
            time.sleep(seconds / 10)
            found.append(_taken(service))
            print(f"{found[-1][0]:8.0f} MB{found[-1][1]:6} open files{len(load.acknowledged):10} runs", flush=True)
        load.over.set()
        for client in clients:
            client.join()
        assert not load.others, load.others
        return found


def _taken(service: Service) -> tuple[float, int]:
    processes = [service.process.pid, *descendants(service.process.pid)]
    # What several have in common counts once (proportional set size).
    kilobytes = sum(
        int(re.findall(r"\nPss: +(\d+)", Path(f"/proc/{each}/smaps_rollup").read_text())[0]) for each in processes
    )
    files = sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in processes)
    return kilobytes / 1024, files


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=1.0)
    given = parser.parse_args()
    rows = try_faults({kind: min(given.each, _MOST.get(kind, given.each)) for kind in KINDS})
    failed = start_at_once(min(given.each, 20))
    soak(60 * given.minutes)
    sys.exit(exit_code(rows) or failed > 0)
