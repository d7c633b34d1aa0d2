"""What may change of graphs and runs."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from service.core.errors import NotFound, PreconditionFailed
from service.usecases.changes import update_graph, update_run
from service.usecases.context import Context
from service.usecases.deletion import delete_graph, delete_run
from service.usecases.graphs import create_graph, get_graph
from service.usecases.runs import create_run, run_backward


def test_a_change_between_the_reading_and_the_writing_is_noticed(context: Context) -> None:
    """Whoever checks what was read does so outside the transaction that writes."""
    graph, *_ = create_graph(context, "changing", expression="y = x * x", tags={"a": "1"})
    seen = create_run(context, graph.id, {"x": np.array(2.0)}, backward=False, label="first", tags={}).record
    now = update_run(context, seen.id, {"label": "second"}, seen)
    assert (now.label, now.tags) == ("second", {})
    with pytest.raises(PreconditionFailed):
        update_run(context, seen.id, {"label": "third"}, seen)
    run_backward(context, seen.id)
    with pytest.raises(PreconditionFailed):
        update_run(context, seen.id, {"label": "third"}, now)
    assert update_run(context, seen.id, {}).label == "second"
    with pytest.raises(PreconditionFailed):
        delete_run(context, seen.id, seen=now)
    for act in (lambda graph, seen: update_graph(context, graph, {"tags": None}, seen), partial(delete_graph, context)):
        with pytest.raises(PreconditionFailed):
            act(graph.id, seen=replace(graph, tags={}))


def test_another_process_learns_of_new_tags(context: Context) -> None:
    graph, *_ = create_graph(context, "shared", expression="y = x + x", tags={})
    other = Context(context.database, context.limits)
    assert get_graph(context, graph.id).tags == {}
    assert update_graph(other, graph.id, {"tags": {"a": "1"}}).tags == {"a": "1"}
    assert get_graph(context, graph.id).tags == {"a": "1"}


def test_what_is_not_there_is_not_changed(context: Context) -> None:
    for act, what in ((update_graph, "graph"), (update_run, "run")):
        with pytest.raises(NotFound, match=f"no {what} 'none'"):
            act(context, "none", {})
