from typing import Any

import pytest

from service.core.errors import Conflict, Invalid, InvalidExpression, InvalidGraph, LimitExceeded, NotFound
from service.settings import Limits
from service.storage.graphs import list_graphs as stored
from service.usecases.context import Context
from service.usecases.deletion import delete_graph
from service.usecases.graphs import add_nodes, create_graph, get_graph, list_graph_nodes, list_graphs
from service.usecases.idempotency import IdempotencyKey

NEG = {"name": "G", "operation": "Neg", "inputs": ["F"]}


def test_building_adding_and_forgetting(context: Context) -> None:
    first, graph, new = create_graph(context, "g", expression="F = a * b", tags={"t": "v"})
    assert new and (first.version, first.inputs, first.outputs) == (1, ("a", "b"), ("F",))
    assert (
        create_graph(context, "g", expression="F=a*b", tags={})
        == (first, graph, False)
        == (get_graph(context, first.id), context.graph(first.digest), False)
    )
    second, _, new = add_nodes(context, first.id, nodes=[NEG], tags={})
    assert new and (second.name, second.version, second.parent) == ("g", 2, first.id)
    assert [node.name for node in list_graph_nodes(context, second.id, start=1, limit=2)[0]] == ["b", "F"]
    assert list_graphs(context, name="g", tag=None, after=None, limit=9) == [second, first]
    assert list_graphs(context, name=None, tag="t:v", after=second.id, limit=9) == [first]
    with pytest.raises(Conflict):
        delete_graph(context, first.id)
    delete_graph(context, second.id)
    delete_graph(context, first.id)
    for act in (get_graph, delete_graph):
        with pytest.raises(NotFound):
            act(context, first.id)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"expression": "F ="}, InvalidExpression),
        ({"expression": "F = F"}, Invalid),
        ({"nodes": [{"name": "F", "operation": "None"}]}, InvalidGraph),
        ({"nodes": "F"}, InvalidGraph),
        ({"expression": "x" * 65_537}, LimitExceeded),
        ({"expression": "(" * 201 + "x" + ")" * 201}, LimitExceeded),
        ({"nodes": [{}] * 250_001}, LimitExceeded),
    ],
    ids=lambda value: str(value)[:40],
)
def test_nothing_of_what_is_refused_is_stored(context: Context, given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        create_graph(context, "g", **given, tags={})
    with context.database.read() as connection:
        assert stored(connection, limit=1) == []


def test_documents_of_nodes_are_let_go_as_they_are_read(context: Context) -> None:
    """A million of them take half a gigabyte, beside the graph that is made of them."""
    nodes: list[Any] = [{"name": "a", "operation": "Input"}, {"name": "F", "operation": "Exp", "inputs": ["a"]}]
    parent, *_ = create_graph(context, "g", nodes=nodes, tags={})
    assert nodes == [None, None]
    nodes = [NEG]
    add_nodes(context, parent.id, nodes=nodes, tags={})
    assert nodes == [None]


def test_limits_are_the_books(context: Context) -> None:
    tight = Context(context.database, Limits(nodes=3))
    graph, *_ = create_graph(tight, "g", expression="F = a * b", tags={})
    with pytest.raises(LimitExceeded) as raised:
        add_nodes(tight, graph.id, nodes=[NEG], tags={})
    assert (raised.value.limit, raised.value.maximum, raised.value.actual) == ("nodes", 3, 4)


def test_a_graph_by_nodes_shows_its_expression_unless_it_is_long(context: Context) -> None:
    def chain(count: int) -> str | None:
        links = [{"name": f"y{k}", "operation": "Neg", "inputs": [f"y{k - 1}"]} for k in range(1, count)]
        return create_graph(context, "g", nodes=[{"name": "y0", "operation": "Input"}, *links], tags={})[0].expression

    assert chain(3) == "y1 = -y0; y2 = -y1"
    assert chain(1000) and chain(1001) is None

    def constant(count: int) -> str | None:
        value = {"value": [1.0] * count}
        nodes = [{"name": "c", "operation": "Constant", "attributes": value}]
        return create_graph(context, "g", nodes=nodes, tags={})[0].expression

    assert constant(10_000) and constant(10_001) is None


def test_a_key_finds_the_graph_that_was_there_already(context: Context) -> None:
    first, graph, _ = create_graph(context, "g", expression="a", tags={})
    key = IdempotencyKey("k", "f" * 64)
    for _ in range(2):
        assert create_graph(context, "g", expression="a", tags={}, key=key) == (first, graph, False)
