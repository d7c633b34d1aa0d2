"""What prune deletes, what it leaves, and the room that it gives back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from service.core.figures.figures import Figures, pack
from service.core.graph.graph import Graph
from service.storage import pruning
from service.storage.comparisons import insert_comparison, list_comparisons
from service.storage.database import Database
from service.storage.derivatives import get_derivatives, insert_derivatives
from service.storage.graphs import get_graph, insert_graph
from service.storage.identifiers import new_id
from service.storage.jobs import JobRecord, insert_job, list_jobs
from service.storage.keys import KeyRecord, find_key, insert_key
from service.storage.pruning import Pruned, prune
from service.storage.records import GraphRecord, RunRecord, TensorRecord
from service.storage.run_figures import load_figures
from service.storage.runs import insert_run, list_runs
from service.storage.tensors import find_tensors, insert_tensor
from tests.storage.test_comparisons import record as comparison
from tests.storage.test_derivatives import record as derivatives
from tests.storage.test_tensors import npy, record_of

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OLD, NEW = NOW - timedelta(days=100), NOW - timedelta(days=1)
BEFORE = NOW - timedelta(days=90)


def keep_tensor(database: Database, number: float, at: datetime) -> str:
    array = np.full(3, number)
    body = npy(array)
    made = record_of(array, body)
    with database.write() as connection:
        insert_tensor(connection, TensorRecord(made.digest, made.dtype, made.shape, made.nbytes, at), body)
    return made.digest


def kept_runs(database: Database) -> list[str]:
    with database.read() as connection:
        return [run.id for run in list_runs(connection, limit=1000)]


@pytest.mark.parametrize("keep_labelled", [False, True])
def test_old_runs_go_with_their_comparisons_and_a_dry_run_counts_them(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord], keep_labelled: bool
) -> None:
    old, labelled, new = (
        run_record(stored, created_at=at, label=label, tags={"a": "1"})
        for at, label in ((OLD, None), (OLD, "main"), (NEW, None))
    )
    pairs = [(old, new), (new, labelled), (new, new)]
    compared = [comparison(baseline.id, candidate.id) for baseline, candidate in pairs]
    with database.write() as connection:
        for run in (old, labelled, new):
            insert_run(connection, run, Figures(np.arange(3.0)), Figures(np.arange(3.0)))
        for record in compared:
            insert_comparison(connection, record)
        for key, at in (("old", OLD), ("new", NEW)):
            insert_key(connection, KeyRecord(key, "f", old.id, 201, at))
    expected = Pruned(1, 1, 0, 1) if keep_labelled else Pruned(2, 2, 0, 1)
    assert prune(database, BEFORE, keep_labelled=keep_labelled, dry_run=True) == expected
    assert kept_runs(database) == [new.id, labelled.id, old.id]
    done = prune(database, BEFORE, keep_labelled=keep_labelled)
    assert Pruned(done.runs, done.comparisons, done.tensors, done.keys) == expected
    assert kept_runs(database) == [new.id, labelled.id][: 1 + keep_labelled]
    with database.read() as connection:
        stay = compared[1:] if keep_labelled else compared[2:]
        assert {each.id for each in list_comparisons(connection, run=None, after=None, limit=9)} == {
            each.id for each in stay
        }
        assert load_figures(connection, new.id, "gradients").flat.tolist() == [0, 1, 2]
        assert find_key(connection, "new") and not find_key(connection, "old")
    assert prune(database, BEFORE, keep_labelled=keep_labelled).runs == 0


def test_only_old_tensors_that_nothing_uses_go(
    database: Database,
    graph: Graph,
    graph_record: Callable[..., GraphRecord],
    run_record: Callable[..., RunRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither those of graphs, derivatives, runs and sweeps that stay, nor those that were just sent, to be used."""
    weight, given, ran, swept, forgotten, *unused = (keep_tensor(database, number, OLD) for number in range(8))
    just_sent = keep_tensor(database, 8, NEW)
    jobs = [
        JobRecord(new_id(), "sweep", {"tensors": [tensor]}, OLD, total=1, chunks=1, state=state, ended_at=ended)
        for tensor, state, ended in ((swept, "running", None), (swept, "done", NEW), (forgotten, "done", OLD))
    ]
    made = graph_record(graph, weights={"x": weight})
    old, new = (run_record(made, created_at=at, tensors={0: digest}) for at, digest in ((OLD, forgotten), (NEW, ran)))
    with database.write() as connection:
        insert_graph(connection, made, graph)
        insert_derivatives(connection, derivatives(made, inputs={"x": np.full(3, 1.0)}, tensors={"x": given}))
        for run, number in ((old, 4.0), (new, 2.0)):
            insert_run(connection, run, pack([np.full(3, number), np.array(2.0), np.zeros(3)]), None)
        for job in jobs:
            insert_job(connection, job, [b"of the chunk"])
    monkeypatch.setattr(pruning, "_AT_ONCE", 2)
    assert prune(database, BEFORE, dry_run=True) == Pruned(1, 0, 4, 0, jobs=1)
    done = prune(database, BEFORE)
    assert (done.runs, done.tensors, done.jobs) == (1, 4, 1)
    with database.read() as connection:
        assert {job.id for job in list_jobs(connection, limit=9)} == {job.id for job in jobs[:2]}
        stay = [weight, given, ran, swept, just_sent]
        assert find_tensors(connection, [*stay, forgotten, *unused]).keys() == set(stay)
        assert load_figures(connection, new.id, "values").flat[:3].tolist() == [2, 2, 2]
        assert get_graph(connection, made.id) == made


def test_what_is_deleted_between_its_reading_and_its_use_is_stored_as_it_was_read(
    database: Database, stored: GraphRecord
) -> None:
    record = derivatives(stored, inputs={"x": np.arange(3.0)}, tensors={"x": "0" * 64})
    with database.write() as connection:
        insert_derivatives(connection, record)
        found = get_derivatives(connection, record.id)
    assert found.inputs["x"].tolist() == [0, 1, 2] and found.tensors == {}


@pytest.mark.sqlite
def test_the_file_shrinks(database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]) -> None:
    assert database.file
    kept = run_record(stored, created_at=NEW)
    with database.write() as connection:
        for _ in range(5):
            large = Figures(np.random.default_rng(1).normal(size=100_000))
            insert_run(connection, run_record(stored, id=new_id(), created_at=OLD), large, None)
        insert_run(connection, kept, Figures(np.arange(3.0)), None)
    database.finish()
    before = database.file.path.stat().st_size
    done = prune(database, BEFORE)
    after = database.file.path.stat().st_size
    assert (done.runs, done.nbytes) == (5, before - after) and before > 4_000_000 and after < 1_000_000
    assert kept_runs(database) == [kept.id]


@pytest.mark.sqlite
def test_a_file_with_few_free_pages_is_left_as_it_is(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    """Of ten million runs it took a minute, for a few thousand."""
    with database.write() as connection:
        for created_at in (OLD, *[NEW] * 19):
            insert_run(connection, run_record(stored, created_at=created_at), Figures(np.ones(10_000)), None)
    done = prune(database, BEFORE)
    assert (done.runs, done.nbytes) == (1, 0)
