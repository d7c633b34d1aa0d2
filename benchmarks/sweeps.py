"""A sweep at many points over HTTP, by each engine, and what the database takes of its chunks:

    python -m benchmarks.sweeps [THOUSANDS_OF_POINTS [URL]]

URL is an empty database that is written to; without one it is SQLite's, in a temporary file.

The workers share the processors with the service and with this client, which only waits. Points a second are counted
from when the job began to when it ended, in turns; how long a stop takes, until the job's last chunk is stored.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from service.client import Client, Graph
from service.core.graph.building import assemble_graph
from service.core.language.expression import parse_expression
from service.core.sweeps.axes import Linspace
from service.core.sweeps.chunks import compute_chunk
from service.core.sweeps.planning import plan_sweep
from service.process import service_process
from service.storage import jobs
from service.storage.database import Database
from service.storage.identifiers import new_id
from service.storage.jobs import DoneChunk, JobRecord
from tests.jobs.clusters import cluster

_LAYERS = "; ".join(f"h{k} = tanh(h{k - 1}*w + b) + sin(x*{k})" for k in range(1, 60))
EXPRESSION = f"h0 = w*x + b; {_LAYERS}; F = (h59 - y)^2"  # 240 operations on 4 inputs, beside constants
_ROUNDS = 3
_CHUNK = b"\0" * 400_000  # 10,000 points with a value and four gradients


def main(thousands: int = 1000, url: str | None = None) -> None:
    """Print how many points a second each engine computes, and how much the database takes."""
    print(f"here, in one thread: {_here():,.0f} points/s of processor time")
    with ExitStack() as stack:
        two = stack.enter_context(cluster(2))
        services = {
            "processes: 1": {"GRADBOOK_JOB_PROCESSES": "1"},
            "processes: 2": {"GRADBOOK_JOB_PROCESSES": "2"},
            "local:1": {"GRADBOOK_DASK": "local:1"},
            "local:2": {"GRADBOOK_DASK": "local:2"},
            "tcp, 2 workers": {"GRADBOOK_DASK": two.address},
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in services}
        memory = {}
        for _ in range(_ROUNDS):
            for name, variables in services.items():
                with _service(variables) as client:
                    graph = client.create_graph("layers", expression=EXPRESSION)
                    _sweep(client, graph, 20)  # imports, compiles, sends the graph
                    measured[name].append(_sweep(client, graph, thousands))
                    memory[name] = max(_memory())
        for name, found in measured.items():
            rates, loads = zip(*found, strict=True)
            of = f"{median(rates):>10,.0f} points/s, at worst {min(rates):,.0f}"
            print(f"{name:16}{of}; {memory[name]} MB a process at most; load {max(loads):.1f}")
    with tempfile.TemporaryDirectory() as folder, closing(Database(url or f"sqlite:///{folder}/book.db")) as database:
        database.migrate()
        for together in (1, 8):
            seconds = _insert(database, 200, together) / 200
            rate = f"{1 / seconds:,.0f} chunks/s, {0.4 / seconds:,.0f} MB/s"
            print(f"the database, {together} chunks a transaction: {rate}")


def _here() -> float:
    graph = assemble_graph(parse_expression(EXPRESSION, max_bytes=10**6, max_depth=200))
    inputs = {"w": Linspace(0, 1, 1000), "x": Linspace(-1, 1, 1000), "b": Linspace(0, 1, 1), "y": Linspace(0, 1, 1)}
    sweep = plan_sweep(graph, inputs, gradients=True)
    compute_chunk([graph], sweep, 0)
    begin = time.process_time()
    for number in range(20):
        compute_chunk([graph], sweep, number)
    return 20 * sweep.chunk / (time.process_time() - begin)


@contextmanager
def _service(variables: dict[str, str]) -> Iterator[Client]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'book.db'}"
        with service_process(url, variables=variables) as address, Client(address) as client:
            yield client


def _sweep(client: Client, graph: Graph, thousands: int) -> tuple[float, float]:
    """The points a second of a sweep, and how busy the machine was."""
    inputs: dict[str, Any] = {
        "w": {"linspace": [0, 1, thousands]},
        "x": {"linspace": [-1, 1, 1000]},
        "b": 0.1,
        "y": 0.3,
    }
    job = client.create_sweep(graph, inputs, gradients=True)
    while not (found := client.get_job(job)).ended_at:
        time.sleep(0.1)
    assert found.state == "done" and found.started_at, found.problem
    return found.done / (found.ended_at - found.started_at).total_seconds(), psutil.getloadavg()[0]


def _memory() -> Sequence[int]:
    """The megabytes of the processes that this one began."""
    return [each.memory_info().rss // 2**20 for each in psutil.Process().children(recursive=True)]


def _insert(database: Database, count: int, together: int) -> float:
    """The seconds that it takes to store so many chunks."""
    record = JobRecord(new_id(), "sweep", {}, datetime.now(UTC), total=count, chunks=count)
    with database.write() as connection:
        jobs.insert_job(connection, record)
        jobs.claim_job(connection, "benchmark", 600)
    begin = time.perf_counter()
    for number in range(0, count, together):
        chunks = [DoneChunk(each, 1, _CHUNK) for each in range(number, number + together)]
        with database.write() as connection:
            assert jobs.insert_chunks(connection, record.id, "benchmark", chunks)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
