from concurrent.futures import ThreadPoolExecutor

import pytest

from service.core.errors import NotFound
from service.usecases.context import Context
from service.usecases.deletion import delete_graph
from service.usecases.graphs import create_graph, get_graph


def digests(context: Context, count: int) -> list[str]:
    """That many graphs of three nodes, whose estimated sizes are equal."""
    made = [create_graph(context, "g", expression=f"x + {k}", tags={})[:2] for k in range(count)]
    assert all((len(graph), graph.nbytes) == (3, made[0][1].nbytes) for _, graph in made)
    return [record.digest for record, _ in made]


def test_a_graph_is_read_once_and_is_kept(context: Context) -> None:
    (digest,) = digests(context, 1)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(context.graph, [digest] * 32))
    assert all(graph.digest == digest for graph in found) and context.graph(digest) is context.graph(digest)


def test_kept_graphs_are_bounded_by_bytes_and_the_last_used_stay(context: Context) -> None:
    first, second, third = digests(context, 3)
    context = Context(context.database, context.limits, 2 * context.graph(first).nbytes)
    kept = {digest: context.graph(digest) for digest in (first, second)}
    assert context.graph(first) is kept[first]
    context.graph(third)  # there is room for two: the second has waited longest
    assert context.graph(first) is kept[first] and context.graph(second) is not kept[second]
    context = Context(context.database, context.limits, 1)
    assert context.graph(third) is context.graph(third)  # one graph is always kept, whatever its size


def test_a_digest_that_is_not_stored(context: Context) -> None:
    with pytest.raises(NotFound):
        context.graph("0" * 64)


def test_a_graph_that_was_just_built_is_handed_on_in_the_order_in_which_it_is_stored(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"name": name, "operation": "Input"} for name in "ab"]
    total = {"name": "s", "operation": "Add", "inputs": ["a", "b"]}
    monkeypatch.setattr(Context, "_load_graph", None)
    record, built, _ = create_graph(context, "first", nodes=[*nodes, total], tags={})
    assert [node.name for node in built.nodes] == ["a", "b", "s"] and context.graph(record.digest) is built
    monkeypatch.undo()
    again = Context(context.database, context.limits)
    assert again.graph(record.digest) is again.graph(record.digest)
    other, stored, _ = create_graph(again, "second", nodes=[*nodes[::-1], total], tags={})
    assert other.digest == record.digest and stored is again.graph(record.digest)
    assert [node.name for node in again.graph(other.digest).nodes] == ["a", "b", "s"]
    for each in (record, other):  # and with the last of them its content
        delete_graph(again, each.id)
    create_graph(again, "third", nodes=[*nodes[::-1], total], tags={})
    assert [node.name for node in again.graph(record.digest).nodes] == ["b", "a", "s"]


def test_a_graph_that_was_deleted_is_forgotten(context: Context) -> None:
    record, *_ = create_graph(context, "g", expression="x + 1", tags={})
    assert get_graph(context, record.id) == record and get_graph(context, record.id) is get_graph(context, record.id)
    delete_graph(context, record.id)
    with pytest.raises(NotFound):
        get_graph(context, record.id)


def test_what_another_process_deleted_and_stored_again_in_another_order_is_read_anew(context: Context) -> None:
    """The figures of a run are stored in the order of its graph's nodes."""
    nodes = [{"name": name, "operation": "Input"} for name in "ab"]
    total = {"name": "s", "operation": "Add", "inputs": ["a", "b"]}
    other = Context(context.database, context.limits)
    record, *_ = create_graph(context, "g", nodes=[*nodes, total], tags={})
    assert [node.name for node in context.graph(get_graph(context, record.id).digest).nodes] == ["a", "b", "s"]
    delete_graph(other, record.id)
    again, *_ = create_graph(other, "g", nodes=[*nodes[::-1], total], tags={})
    assert again.digest == record.digest
    with pytest.raises(NotFound):
        get_graph(context, record.id)
    assert [node.name for node in context.graph(get_graph(context, again.id).digest).nodes] == ["b", "a", "s"]


def test_a_graph_that_is_deleted_while_it_is_read_is_not_kept(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, *_ = create_graph(context, "g", expression="x + 1", tags={})
    read = Context._load_record

    def delete_meanwhile(self: Context, graph_id: str) -> object:
        found = read(self, graph_id)
        delete_graph(context, graph_id)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Context, "_load_record", delete_meanwhile)
        assert context.record(record.id) == record
    with pytest.raises(NotFound):
        context.record(record.id)
