"""What is deleted, what goes with it, and what stands in its way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, func, select

from service.core.errors import Conflict, NotFound
from service.core.figures.figures import Figures
from service.core.graph.graph import Graph
from service.storage import listing
from service.storage.comparisons import insert_comparison, list_comparisons
from service.storage.database import Database
from service.storage.deletion import delete_comparison, delete_derivatives, delete_graph, delete_run
from service.storage.derivatives import insert_derivatives
from service.storage.graphs import get_graph, insert_graph, list_graphs
from service.storage.listing import count_some
from service.storage.models import Base, RunRow, deletions
from service.storage.records import GraphRecord, RunRecord
from service.storage.runs import insert_run, last_runs, list_runs
from tests.storage.test_comparisons import record as comparison
from tests.storage.test_derivatives import record as derivatives


def rows(connection: Connection) -> dict[str, int]:
    """How many rows each table has, of those that have any."""
    tables = set(Base.metadata.sorted_tables) - {deletions}
    counted = {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}
    return {name: count for name, count in counted.items() if count}


@pytest.mark.parametrize(("count", "reason"), [(1, ": 1 run refers to it"), (3, ": 3 runs refer to it")])
def test_a_graph_with_runs_is_not_deleted(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord], count: int, reason: str
) -> None:
    with database.write() as connection:
        for _ in range(count):
            insert_run(connection, run_record(stored), Figures(np.zeros(3)), None)
    with pytest.raises(Conflict, match=reason), database.write() as connection:
        delete_graph(connection, stored.id)
    with database.read() as connection:
        assert get_graph(connection, stored.id) == stored


def test_what_refers_to_a_graph_is_not_counted_to_the_end(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_COUNTED", 2)
    with database.write() as connection:
        for count in range(4):
            insert_run(connection, run_record(stored), Figures(np.zeros(3)), None)
            assert count_some(connection, RunRow.graph_id == stored.id) == min(count + 1, 3)
            assert last_runs(connection, [stored.id])[stored.id][0] == min(count + 1, 3)
    with pytest.raises(Conflict, match=": more than 2 runs refer to it"), database.write() as connection:
        delete_graph(connection, stored.id)


@pytest.mark.parametrize(("count", "reason"), [(1, "1 graph made from it refers"), (2, "2 graphs made from it refer")])
def test_a_graph_with_children_is_not_deleted(
    database: Database,
    graph: Graph,
    stored: GraphRecord,
    graph_record: Callable[..., GraphRecord],
    count: int,
    reason: str,
) -> None:
    children = [graph_record(graph, name=f"child {number}", parent=stored.id) for number in range(count)]
    with database.write() as connection:
        for child in children:
            insert_graph(connection, child, graph)
    with pytest.raises(Conflict, match=reason), database.write() as connection:
        delete_graph(connection, stored.id)
    with database.write() as connection:
        for child in children:
            delete_graph(connection, child.id)
        delete_graph(connection, stored.id)
        assert list_graphs(connection, limit=9) == []


def test_deletion_leaves_nothing(database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]) -> None:
    record = graph_record(graph, tags={"key": "value", "another": "value"})
    with database.write() as connection:
        insert_graph(connection, record, graph)
        delete_graph(connection, record.id)
        for table in set(Base.metadata.sorted_tables) - {deletions}:
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0, table


def test_with_cascade_all_that_rests_on_a_graph_goes_and_nothing_else(
    database: Database,
    graph: Graph,
    graph_record: Callable[..., GraphRecord],
    run_record: Callable[..., RunRecord],
) -> None:
    """Its runs, comparisons of them with runs of other graphs, its derivatives, and the graphs made from it."""
    parent, other = (graph_record(graph, name=name, tags={"key": "value"}) for name in ("parent", "other"))
    child = graph_record(graph, name="child", parent=parent.id)
    grandchild = graph_record(graph, name="grandchild", parent=child.id)
    runs = {each.name: run_record(each, tags={"key": "value"}) for each in (parent, other, grandchild)}
    pairs = [("parent", "other"), ("other", "grandchild"), ("other", "other")]
    compared = [comparison(runs[baseline].id, runs[candidate].id) for baseline, candidate in pairs]
    with database.write() as connection:
        insert_graph(connection, other, graph)
        insert_run(connection, runs["other"], Figures(np.zeros(3)), Figures(np.zeros(3)))
        insert_comparison(connection, compared[2])
        before = rows(connection)
        for each in (parent, child, grandchild):
            insert_graph(connection, each, graph)
            insert_derivatives(connection, derivatives(each))
        for name in ("parent", "grandchild"):
            insert_run(connection, runs[name], Figures(np.zeros(3)), Figures(np.zeros(3)))
        for record in compared[:2]:
            insert_comparison(connection, record)
    with database.write() as connection:
        delete_graph(connection, parent.id, cascade=True)
    with database.write() as connection:
        assert list_graphs(connection, limit=9) == [other]
        assert [each.id for each in list_comparisons(connection, run=None, after=None, limit=9)] == [compared[2].id]
        assert rows(connection) == before
        delete_graph(connection, other.id, cascade=True)
        assert rows(connection) == {}


def test_a_run_is_deleted_unless_comparisons_are_of_it(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    runs = [run_record(stored) for _ in range(3)]
    compared = [comparison(runs[0].id, runs[1].id) for _ in range(7)]
    with database.write() as connection:
        for run in runs:
            insert_run(connection, run, Figures(np.zeros(3)), None)
        for record in compared:
            insert_comparison(connection, record)
    for run in runs[:2]:
        with pytest.raises(Conflict, match="7 comparisons refer to it") as refused, database.write() as connection:
            delete_run(connection, run.id)
        assert compared[-1].id in refused.value.detail and compared[0].id not in refused.value.detail
        assert "…" in refused.value.detail
    with database.write() as connection:
        delete_run(connection, runs[2].id)
        delete_comparison(connection, compared[0].id)
        delete_run(connection, runs[0].id, cascade=True)
        assert [run.id for run in list_runs(connection, limit=9)] == [runs[1].id]
        assert list_comparisons(connection, run=None, after=None, limit=9) == []


def test_what_is_not_there_is_not_deleted(database: Database) -> None:
    acts: list[tuple[Callable[..., Any], str]] = [
        (delete_graph, "graph"),
        (delete_run, "run"),
        (delete_comparison, "comparison"),
        (delete_derivatives, "derivatives"),
    ]
    for act, what in acts:
        with pytest.raises(NotFound, match=f"no {what} 'missing'"), database.write() as connection:
            act(connection, "missing")
