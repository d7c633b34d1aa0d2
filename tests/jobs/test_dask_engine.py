"""Chunks on dask.distributed: the same bits as here, whatever ends meanwhile."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from service.core.sweeps.axes import Axis, Linspace
from service.core.sweeps.chunks import compute_chunk
from service.core.sweeps.planning import plan_sweep
from service.jobs.dask_worker import own_versions
from service.jobs.engine import ChunkWork, Unavailable
from service.storage.identifiers import new_id
from service.workers.pool import Gone, Lost
from tests.expressions import graph_of_expression
from tests.jobs.clusters import Cluster, Deadly, Slow, cluster
from tests.waiting import until

pytest.importorskip("distributed", reason="left to `make test-cluster`")

from service.jobs import dask_engine
from service.jobs.dask_engine import DaskEngine

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]

_SECONDS = 240  # for what takes some: the workers begin meanwhile


def _work(x: Axis, chunk: int = 100) -> ChunkWork:
    graph = graph_of_expression("F = tanh(a * x) / x")
    inputs = {"a": np.array(0.7), "x": x}
    return ChunkWork(new_id(), {graph.digest: graph}, plan_sweep(graph, inputs, gradients=True, chunk=chunk), 2**20)


@contextmanager
def _engine(address: str) -> Iterator[DaskEngine]:
    with closing(DaskEngine(address)) as engine:
        yield engine


def _submit_all(engine: DaskEngine, work: ChunkWork, stop: Event) -> "list[Future[bytes]]":
    return [engine.submit(work, number, stop) for number in range(work.sweep.chunks)]


def _here(work: ChunkWork, number: int) -> bytes:
    return compute_chunk([*work.graphs.values()], work.sweep, number)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster(2) as made:
        yield made.address


def test_chunks_are_to_the_bit_what_is_computed_here(address: str) -> None:
    work = _work(Linspace(-3.0, 3.0, 1000))
    with _engine(address) as engine:
        answers = [future.result(_SECONDS) for future in _submit_all(engine, work, Event())]
        assert engine.window >= 6
    assert answers == [_here(work, number) for number in range(10)]


def test_a_chunk_that_ends_its_workers_is_lost_and_those_beside_it_are_not() -> None:
    work = _work(Deadly(1000, 100))
    with cluster(0) as made, _engine(made.address) as engine:
        for _ in range(6):
            made.begin_worker()
        futures = _submit_all(engine, work, Event())
        assert [future.result(_SECONDS) for future in futures[1:]] == [_here(work, number) for number in range(1, 10)]
        with pytest.raises(Lost):
            futures[0].result(_SECONDS)
        with pytest.raises(Lost):
            engine.submit(work, 0, Event()).result(_SECONDS)
        assert sum(worker.poll() is not None for worker in made.workers) == 3


def test_a_chunk_that_is_computed_is_given_up_between_two_blocks(address: str, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    slow = _work(Slow(10**6, str(marks)), chunk=10**6)
    stop = Event()
    with _engine(address) as engine:
        future = engine.submit(slow, 0, stop)
        until(marks.exists)
        stop.set()
        with pytest.raises(Gone):
            future.result(_SECONDS)
        # Both workers compute again before the chunk would have ended.
        quick = _work(Linspace(0.5, 1.0, 1000))
        assert [each.result(_SECONDS) for each in _submit_all(engine, quick, Event())]
        until(lambda: _stands_still(marks))
        assert marks.stat().st_size < 30


def _stands_still(file: Path) -> bool:
    before = file.stat().st_size
    time.sleep(0.2)
    return file.stat().st_size == before


def test_without_a_scheduler_nothing_computes_until_there_is_one() -> None:
    work = _work(Linspace(0.5, 1.0, 100))
    made = Cluster()
    with closing(made), _engine(made.address) as engine:
        with pytest.raises(Unavailable, match=made.address):
            engine.submit(work, 0, Event()).result(_SECONDS)
        made.begin_scheduler()
        made.begin_worker()
        assert _once_available(engine, work, 0) == _here(work, 0)


def test_another_scheduler_takes_the_place_of_one_that_ended(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    work = _work(Slow(10**6, str(marks)), chunk=10**5)
    with cluster(1) as made, _engine(made.address) as engine:
        future = engine.submit(work, 0, Event())
        until(marks.exists)
        made.close()
        with pytest.raises(Unavailable):
            future.result(_SECONDS)
        made.begin_scheduler()
        made.begin_worker()
        other = _work(Linspace(0.5, 1.0, 100))
        assert _once_available(engine, other, 0) == _here(other, 0)


def _once_available(engine: DaskEngine, work: ChunkWork, number: int) -> bytes:
    found: list[bytes] = []

    def ask() -> bool:
        with suppress(Unavailable):
            found.append(engine.submit(work, number, Event()).result(_SECONDS))
        return bool(found)

    until(ask)
    return found[0]


def test_a_worker_with_other_code_computes_nothing(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "own_versions", lambda: {**own_versions(), "NumPy": "1.0"})
    with _engine(address) as engine, pytest.raises(Unavailable, match=r"has NumPy [\d.]+, not 1\.0"):
        engine.submit(_work(Linspace(0.5, 1.0, 100)), 0, Event()).result(_SECONDS)


def test_workers_of_the_service_are_begun_and_end_with_it() -> None:
    work = _work(Linspace(0.5, 1.0, 100))
    with _engine("local:1") as engine:
        assert engine.submit(work, 0, Event()).result(_SECONDS) == _here(work, 0)
