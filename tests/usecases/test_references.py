"""What refers to a graph, a run, a comparison or derivatives, in the order in which it is read."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from service.core.errors import NotFound
from service.core.figures.figures import FloatArray
from service.storage.comparisons import insert_comparison
from service.usecases import comparisons, derivatives, graphs, runs
from service.usecases.context import Context
from service.usecases.deletion import delete_graph

AT: dict[str, FloatArray] = {"x": np.array(2.0)}


@pytest.fixture
def make(context: Context) -> Callable[[str], str]:
    """A function that makes one more version of a graph and returns its id."""
    numbers = count(1)
    return lambda name: graphs.create_graph(context, name, expression=f"y = x * {next(numbers)}", tags={})[0].id


def run(context: Context, graph: str, label: str | None = None) -> str:
    return runs.create_run(context, graph, AT, label=label, tags={}).record.id


def refusal(act: Callable[..., Any], *given: Any, **named: Any) -> str:
    with pytest.raises(NotFound) as raised:
        act(*given, **named)
    return raised.value.detail


def test_a_graph_is_read_as_an_id_then_a_name_then_a_version_then_the_end_of_an_id(
    context: Context, make: Callable[[str], str]
) -> None:
    first, second, team, at, id_ = make("f"), make("f"), make("team/net:0"), make("f@1"), make(make("other"))
    meant = {
        first: first,
        "f": second,
        "f@2": second,
        "f@1": at,  # a whole name before a version
        "f@1@1": at,
        "team/net:0": team,
        "team/net:0@1": team,
        first[-8:]: first,
        id_: id_,
    }
    end = make(first[-8:])
    meant[first[-8:]] = end  # a name before the end of an id
    for reference, identifier in meant.items():
        assert graphs.get_graph(context, reference).id == identifier, reference
    other = graphs.get_graph(context, id_).name
    assert graphs.get_graph(context, other).name == "other"  # an id before a name that is spelled like it


def test_a_name_is_the_highest_version_at_any_time(context: Context, make: Callable[[str], str]) -> None:
    first = make("f")
    assert graphs.get_graph(context, "f").id == first
    second = make("f")
    assert graphs.get_graph(context, "f").id == second
    delete_graph(context, "f")
    assert graphs.get_graph(context, "f").id == first


def test_a_run_is_read_as_an_id_then_a_label_then_the_end_of_an_id(
    context: Context, make: Callable[[str], str]
) -> None:
    first, second, colon = make("f"), make("f"), make("f:a")
    old, new = run(context, first, "main"), run(context, first, "main")
    late = run(context, second, "b")
    a, ab, plain = run(context, second, "a:b"), run(context, colon, "b"), run(context, colon)
    meant = {
        old: old,
        "f:main": new,  # of all versions the newest run
        "f@1:main": new,
        f"{first}:main": new,
        f"{first[-8:]}:main": new,
        "f:b": late,
        "f:a:b": ab,  # parted at the last : whose left side is a graph
        f"{second}:a:b": a,
        "f@2:a:b": a,
        plain[-8:]: plain,
    }
    for reference, identifier in meant.items():
        assert runs.get_run_record(context, reference).id == identifier, reference
        assert runs.get_run(context, reference).record.id == identifier, reference
    run(context, first, "b")
    assert runs.get_run_record(context, "f:b").id != late
    assert refusal(runs.get_run_record, context, "f@2:main").startswith("no run of the graph 'f@2' has the label")


def test_comparisons_and_derivatives_are_found_by_the_end_of_their_ids(
    context: Context, make: Callable[[str], str]
) -> None:
    make("f")
    run(context, "f", "a")
    run(context, "f", "b")
    compared, _ = comparisons.create_comparison(context, "f:a", "f:b", names={})
    derived = derivatives.create_derivatives(context, "f", "jacobian", AT)
    assert comparisons.get_comparison(context, compared.record.id[-8:]).record == compared.record
    assert derivatives.get_derivatives(context, derived.id[-8:]).id == derived.id
    assert refusal(comparisons.get_comparison, context, "f:a") == "there is no comparison 'f:a'"
    assert refusal(derivatives.get_derivatives, context, "f") == "there are no derivatives 'f'"


def test_an_end_that_several_ids_have_names_them(context: Context, make: Callable[[str], str]) -> None:
    make("f")
    run(context, "f", "a")
    compared, _ = comparisons.create_comparison(context, "f:a", "f:a", names={})
    twins = [f"01900000-0000-7000-8{number:03}-0000abcdef12" for number in range(12)]
    with context.database.write() as connection:
        for twin in twins:
            insert_comparison(connection, replace(compared.record, id=twin))
    detail = refusal(comparisons.get_comparison, context, "abcdef12")
    assert detail == f"'abcdef12' is ambiguous: {', '.join(twins[:10])}, … end so; give a whole id"


@pytest.mark.parametrize(
    ("reference", "detail"),
    [
        ("blgo", "there is no graph 'blgo'; near it is blog"),
        ("blog@7", "there is no graph 'blog@7': the highest version of 'blog' is 2"),
        ("blgo@7", "there is no graph 'blgo@7'; near it is blog"),
        ("blog@x", "there is no graph 'blog@x'; near it is blog"),
        ("\0", "there is no graph '\\x00'"),
        ("\ud800", "there is no graph '\\ud800'"),
        ("", "there is no graph ''"),
    ],
)
def test_what_no_graph_is_called_is_refused_with_what_is_near(
    context: Context, make: Callable[[str], str], reference: str, detail: str
) -> None:
    make("blog")
    make("blog")
    for act in (graphs.get_graph, delete_graph):
        assert refusal(act, context, reference) == detail
    assert refusal(runs.list_runs, context, graph=reference, limit=1) == detail


@pytest.mark.parametrize(
    ("reference", "detail"),
    [
        ("blog:mian", "no run of the graph 'blog' has the label 'mian'; near it is main"),
        ("blog@1:other", "no run of the graph 'blog@1' has the label 'other'"),
        ("blgo:main", "there is no run 'blgo:main': there is no graph 'blgo'; near it is blog"),
        ("blog", "there is no run 'blog'; a run is referred to by an id, or as GRAPH:LABEL"),
        ("blog:\n", "there is no run 'blog:\\n'"),
        (":" * 513, f"there is no run {':' * 513!r}"),
    ],
)
def test_what_no_run_is_called_is_refused_with_what_is_near(
    context: Context, make: Callable[[str], str], reference: str, detail: str
) -> None:
    make("blog")
    run(context, "blog", "main")
    assert refusal(runs.get_run, context, reference) == detail
