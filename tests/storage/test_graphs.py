import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from service.core.errors import NotFound
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph, node_document
from service.core.rulebook.registry import operations
from service.storage.database import Database
from service.storage.deletion import delete_graph
from service.storage.graphs import (
    find_graph,
    get_graph,
    insert_graph,
    list_graphs,
    load_graph,
    next_version,
)
from service.storage.identifiers import new_id
from service.storage.models import Content
from service.storage.records import GraphRecord
from tests.attributes import given_attributes


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any operations of the rulebook over any earlier nodes, with any attributes that they accept."""
    letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="`")
    names = draw(st.lists(st.text(letters, min_size=1, max_size=8), min_size=1, max_size=12, unique=True))
    documents: list[dict[str, Any]] = []
    for position, name in enumerate(names):
        possible = [operation for operation in operations() if position or not operation.operands]
        operation = draw(st.sampled_from(possible))
        most = 4 if operation.most_inputs is None else operation.most_inputs
        count = draw(st.integers(operation.least_inputs, most))
        inputs = [draw(st.sampled_from(names[:position])) for _ in range(count)]
        attributes = draw(given_attributes(operation))
        documents.append({"name": name, "operation": operation.name, "inputs": inputs, "attributes": attributes})
    return build_graph(documents)


def same(first: Graph, second: Graph) -> bool:
    """Equal to the last bit and type: repr tells 2 from 2.0, and NaN equals itself in it."""
    return repr(list(map(node_document, first.nodes))) == repr(list(map(node_document, second.nodes))) and (
        [repr(dict(node.attributes)) for node in first.nodes] == [repr(dict(node.attributes)) for node in second.nodes]
        and all(one.operation is other.operation for one, other in zip(first.nodes, second.nodes, strict=True))
        and (first.inputs, first.outputs, first.digest) == (second.inputs, second.outputs, second.digest)
    )


@given(graph=graphs())
def test_any_graph_comes_back_as_it_was(
    shared_database: Database, graph_record: Callable[..., GraphRecord], graph: Graph
) -> None:
    record = graph_record(graph, name=new_id())
    with shared_database.write() as connection:
        insert_graph(connection, record, graph)
    with shared_database.read() as connection:
        assert same(load_graph(connection, graph.digest), graph)
        assert get_graph(connection, record.id) == record
        assert find_graph(connection, record.name, graph.digest) == record


def test_a_long_chain_comes_back(database: Database, graph_record: Callable[..., GraphRecord]) -> None:
    chain = [
        {"name": f"n{position}", "operation": "Tanh", "inputs": [f"n{position - 1}"]} for position in range(1, 20_000)
    ]
    graph = build_graph([{"name": "n0", "operation": "Input"}, *chain])
    with database.write() as connection:
        insert_graph(connection, graph_record(graph), graph)
    with database.read() as connection:
        assert same(load_graph(connection, graph.digest), graph)


def test_a_record_keeps_what_it_was_given(
    database: Database, graph: Graph, stored: GraphRecord, graph_record: Callable[..., GraphRecord]
) -> None:
    record = graph_record(
        graph,
        name="другая",
        version=7,
        expression="z = x * y",
        parent=stored.id,
        tags={"model": "a:b", "": "🙂", "owner": ""},
    )
    with database.write() as connection:
        insert_graph(connection, record, graph)
        assert get_graph(connection, record.id) == record


def test_equal_content_is_kept_once(
    database: Database, graph: Graph, stored: GraphRecord, graph_record: Callable[..., GraphRecord]
) -> None:
    other = graph_record(graph, name="other")
    with database.write() as connection:
        insert_graph(connection, other, graph)
        assert connection.execute(select(func.count()).select_from(Content)).scalar() == 1
        delete_graph(connection, stored.id)
        assert same(load_graph(connection, graph.digest), graph)
        delete_graph(connection, other.id)
        with pytest.raises(NotFound, match=graph.digest):
            load_graph(connection, graph.digest)


@pytest.mark.parametrize("changes", [{"version": 2}, {"digest": "0" * 64}])
def test_a_name_holds_each_version_and_each_content_once(
    database: Database, graph: Graph, stored: GraphRecord, changes: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)unique"), database.write() as connection:
        insert_graph(connection, replace(stored, id=new_id(), **changes), graph)


def test_versions_count_from_one_for_each_name(database: Database, stored: GraphRecord) -> None:
    with database.read() as connection:
        assert next_version(connection, stored.name) == stored.version + 1
        assert next_version(connection, "another") == 1
        assert find_graph(connection, stored.name, "0" * 64) is None
        assert find_graph(connection, "another", stored.digest) is None


def test_lists_are_newest_first_and_filtered(
    database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]
) -> None:
    records = [
        graph_record(
            graph,
            name="even" if number % 2 == 0 else "odd",
            version=number + 1,
            digest=f"{number:064}",
            expression="1 + 2" + 10_000 * " + X" if number == 2 else None,
            tags={"third": str(number % 3), "rest": "0", **({"a:": 1000 * ":"} if number == 4 else {})},
        )
        for number in range(7)
    ]
    with database.write() as connection:
        for record in records:
            insert_graph(connection, record, graph)
    newest = records[::-1]
    with database.read() as connection:
        assert list_graphs(connection, limit=100) == newest
        assert list_graphs(connection, limit=3) == newest[:3]
        assert list_graphs(connection, after=newest[2].id, limit=3) == newest[3:6]
        assert list_graphs(connection, after=newest[-1].id, limit=3) == []
        assert list_graphs(connection, name="odd", limit=100) == newest[1::2]
        assert list_graphs(connection, tag="third:0", limit=100) == newest[::3]
        assert list_graphs(connection, tag="rest:1", limit=100) == []
        assert list_graphs(connection, q="2" + 10_000 * " + x", limit=100) == [records[2]]
        assert list_graphs(connection, q=60_000 * "%", limit=100) == []
        assert list_graphs(connection, tag="a::" + 1000 * ":", limit=100) == [records[4]]
        assert list_graphs(connection, name="even", tag="third:0", after=newest[0].id, limit=1) == [newest[6]]


def test_what_is_not_there_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="no graph 'missing'"), database.read() as connection:
        get_graph(connection, "missing")


def test_an_operation_that_is_gone_is_named(database: Database, stored: GraphRecord) -> None:
    document = {"names": ["x"], "operations": ["Vanished"], "operands": [[]], "attributes": []}
    with database.write() as connection:
        connection.execute(update(Content).values(document=zlib.compress(json.dumps(document).encode())))
        with pytest.raises(LookupError, match="'Vanished'"):
            load_graph(connection, stored.digest)
