"""Series and their steps in the database."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from service.core.errors import Conflict, NotFound
from service.core.figures.figures import Figures
from service.core.series.steps import Trace
from service.storage.comparisons import insert_comparison
from service.storage.database import Database
from service.storage.deletion import delete_comparison, delete_graph, delete_run
from service.storage.identifiers import new_id
from service.storage.pruning import prune
from service.storage.records import GraphRecord, RunRecord
from service.storage.runs import insert_run, list_runs
from service.storage.series import (
    SeriesRecord,
    StepRecord,
    append_steps,
    delete_series,
    get_series,
    insert_series,
    let_go,
    list_series,
    list_series_steps,
    load_curve,
    load_norms,
)
from tests.storage.test_comparisons import record as comparison

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def record(graph: GraphRecord, **changes: Any) -> SeriesRecord:
    members: dict[str, Any] = {
        "id": new_id(),
        "graph_id": graph.id,
        "graph_name": graph.name,
        "graph_version": graph.version,
        "graph_digest": graph.digest,
        "carry": {"z": "x"},
        "recorded_by": "é",
        "dtype": "float32",
        "tolerance": {"rtol": 1e-300, "atol": 0.1 + 0.2},
        "retain": "auto",
        "every": 1,
        "label": None,
        "created_at": NOW,
        "changed_at": NOW,
    }
    return SeriesRecord(**{**members, **changes})


def step(number: int, **changes: Any) -> StepRecord:
    trace = Trace(np.array([number, np.nan, -0.0]), (b"\0\xff234567", b"abcdefgh", b"8765432\0"))
    return replace(StepRecord(number, "same", (), (), trace), **changes)


def grown(series: SeriesRecord, steps: Sequence[StepRecord], **changes: Any) -> SeriesRecord:
    """The series with these steps counted."""
    return replace(
        series,
        nodes=["x", "y", "z"],
        steps=series.steps + len(steps),
        first_step=steps[0].number if series.first_step is None else series.first_step,
        last_step=steps[-1].number,
        **changes,
    )


def kept_run(database: Database, run: RunRecord) -> str:
    with database.write() as connection:
        insert_run(connection, run, Figures(np.zeros(3)), None)
    return run.id


def test_a_series_and_its_steps_are_read_as_they_were_stored(database: Database, stored: GraphRecord) -> None:
    series = record(stored, label="a label", tags={"a": "b:c"})
    steps = [step(4), step(5, verdict="differ", origins=["z"]), step(6, broken=["z"])]
    whole = grown(series, steps, first_wrong=5, wrong=1, broken=1)
    with database.write() as connection:
        insert_series(connection, series)
        append_steps(connection, whole, steps)
    with database.read() as connection:
        assert get_series(connection, series.id) == whole
        assert list_series(connection, graph=stored.id, label="a label", tag="a:b:c", limit=9) == [whole]
        assert list_series(connection, label="another", limit=9) == list_series(connection, tag="a:b", limit=9) == []
        found = list_series_steps(connection, series.id, limit=9)
        assert [(each.number, each.verdict, [*each.origins], [*each.broken]) for each in found] == [
            (each.number, each.verdict, [*each.origins], [*each.broken]) for each in steps
        ]
        assert found[0].trace.digests == steps[0].trace.digests
        assert found[0].trace.norms.tobytes() == steps[0].trace.norms.tobytes()
        assert [each.number for each in list_series_steps(connection, series.id, start=5, limit=1)] == [5]
        assert [each.number for each in list_series_steps(connection, series.id, limit=9, only="origins")] == [5]
        assert [each.number for each in list_series_steps(connection, series.id, limit=9, only="broken")] == [6]
        assert [*load_norms(connection, series.id, [4, 6, 8])] == [4, 6]
        assert [[*load_curve(connection, series.id, stride)] for stride in (1, 2, 9)] == [[4, 5, 6], [4, 6], [4, 6]]


def test_steps_follow_on_those_that_are_there(database: Database, stored: GraphRecord) -> None:
    series = record(stored, every=10)
    one, two = [step(10)], [step(20)]
    first = grown(series, one)
    with database.write() as connection:
        insert_series(connection, series)
        append_steps(connection, first, one)
    with pytest.raises(Conflict, match="the next one is 20"), database.write() as connection:
        append_steps(connection, first, one)
    with pytest.raises(Conflict, match="the next one is 20"), database.write() as connection:
        append_steps(connection, grown(grown(first, two), [step(30)]), [step(30)])
    with database.write() as connection:
        append_steps(connection, grown(first, two), two)
        assert get_series(connection, series.id).next_step == 30
        delete_series(connection, series.id)
    with pytest.raises(NotFound), database.write() as connection:
        append_steps(connection, grown(first, two), two)


def test_runs_are_let_go_unless_somebody_named_or_compared_them(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    labels = (None, "a label", None, None)
    runs = [kept_run(database, run_record(stored, label=label)) for label in labels]
    steps = [step(number, run_id=run) for number, run in enumerate(runs)]
    series = record(stored)
    with database.write() as connection:
        insert_series(connection, series)
        append_steps(connection, grown(series, steps), steps)
        insert_comparison(connection, comparison(runs[2], runs[2]))
        let_go(connection, replace(series, first_wrong=1), 0, 1)
        assert list_series_steps(connection, series.id, limit=1)[0].run_id == runs[0]
        let_go(connection, series, 0, 3)
        assert [each.run_id for each in list_series_steps(connection, series.id, limit=9)] == [None, *runs[1:]]
        assert {run.id for run in list_runs(connection, limit=9)} == {*runs[1:]}


def test_a_series_goes_with_its_runs_and_with_the_one_that_the_first_wrong_step_was_judged_by(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    ours, theirs, other = (kept_run(database, run_record(stored)) for _ in range(3))
    compared, steps = comparison(ours, theirs), [step(1, run_id=theirs, origins=["z"])]
    series = record(stored)
    with database.write() as connection:
        insert_series(connection, series)
        insert_comparison(connection, compared)
        append_steps(connection, grown(series, steps, comparison_id=compared.id), steps)
    with pytest.raises(Conflict, match="1 series refers to it"), database.write() as connection:
        delete_graph(connection, stored.id)
    with database.write() as connection:
        delete_series(connection, series.id)
        assert [run.id for run in list_runs(connection, limit=9)] == [other]
        with pytest.raises(NotFound):
            delete_series(connection, series.id)


def test_a_series_outlives_its_runs_and_comparisons(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    ours, theirs = (kept_run(database, run_record(stored)) for _ in range(2))
    compared, steps = comparison(ours, theirs), [step(1, run_id=theirs, origins=["z"])]
    series = record(stored)
    with database.write() as connection:
        insert_series(connection, series)
        insert_comparison(connection, compared)
        append_steps(connection, grown(series, steps, comparison_id=compared.id), steps)
        delete_comparison(connection, compared.id)
        assert get_series(connection, series.id).comparison_id is None
        delete_run(connection, theirs)
        assert [each.run_id for each in list_series_steps(connection, series.id, limit=9)] == [None]
        delete_graph(connection, stored.id, cascade=True)
        assert list_series(connection, limit=9) == []


@pytest.mark.parametrize("keep_labelled", [False, True])
def test_series_are_pruned_once_they_have_ended(database: Database, stored: GraphRecord, keep_labelled: bool) -> None:
    ended, labelled = (record(stored, label=label) for label in (None, "a label"))
    going_on = record(stored, changed_at=NOW + timedelta(days=2))
    with database.write() as connection:
        for each in (ended, labelled, going_on):
            insert_series(connection, each)
    before = NOW + timedelta(days=1)
    gone = 1 if keep_labelled else 2
    assert prune(database, before, keep_labelled=keep_labelled, dry_run=True).series == gone
    assert prune(database, before, keep_labelled=keep_labelled).series == gone
    with database.read() as connection:
        left = {series.id for series in list_series(connection, limit=9)}
    assert left == {going_on.id, *([labelled.id] if keep_labelled else [])}
