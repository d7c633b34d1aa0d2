from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from service.core.errors import Conflict, InvalidInputs, InvalidRequest, LimitExceeded, NotFound
from service.core.figures.figures import FloatArray
from service.settings import Limits
from service.usecases import runs
from service.usecases.context import Context
from service.usecases.graphs import create_graph
from service.usecases.idempotency import IdempotencyKey
from service.usecases.runs import (
    StoredRun,
    create_run,
    get_run,
    get_run_node,
    list_run_nodes,
    list_runs,
    run_backward,
    set_baseline,
)

KEY = IdempotencyKey("k", "f" * 64)
POINT: Mapping[str, FloatArray] = {"a": np.array(5.0), "b": np.array([1.0, -0.0])}


@pytest.fixture
def graph(context: Context) -> str:
    """e = a + b; F = e * a."""
    return create_graph(context, "g", expression="e = a + b; F = e * a", tags={})[0].id


def everything(run: StoredRun) -> tuple[object, ...]:
    """What two equal runs have equal: the record and every bit of the figures."""
    record = run.record
    facts = (record.id, record.output, record.has_gradients, record.nonfinite_forward, record.label, dict(record.tags))
    seed = None if record.seed is None else record.seed.tobytes()
    gradients = None if run.gradients is None else (run.gradients.flat.tobytes(), run.gradients.shapes)
    return *facts, seed, run.values.flat.tobytes(), run.values.shapes, gradients


def test_a_run_is_read_back_bit_by_bit(context: Context, graph: str) -> None:
    made = create_run(context, graph, POINT, seed=np.array([1.0, np.nan]), label="l", tags={"t": "v"})
    assert everything(get_run(context, made.record.id)) == everything(made)
    listed = list_runs(context, graph=graph, label="l", tag="t:v", recorded_by=None, after=None, limit=9)
    assert [record.id for record in listed] == [made.record.id]


@pytest.mark.sqlite
def test_a_small_run_is_kept_by_one_statement(context: Context, graph: str) -> None:
    create_run(context, graph, POINT, tags={})  # the graph is cached
    seen: list[str] = []
    with context.database.write() as connection:
        driver: Any = connection.connection.dbapi_connection
    driver.set_trace_callback(seen.append)
    create_run(context, graph, POINT, tags={})
    assert [each.split()[0] for each in seen] == ["BEGIN", "INSERT", "COMMIT"]


def test_a_baseline_is_the_only_run_of_its_graphs_name_with_that_label(context: Context, graph: str) -> None:
    def labels() -> list[str | None]:
        return [get_run(context, run).record.label for run in made]

    later = create_graph(context, "g", expression="F = a * b", tags={})[0].id
    other = create_graph(context, "other", expression="F = a * b", tags={})[0].id
    labelled = [(graph, "main"), (graph, "night"), (later, "main"), (later, None), (other, "main")]
    made = [create_run(context, each, POINT, label=label, tags={}).record.id for each, label in labelled]
    set_baseline(context, made[3])
    assert labels() == [None, "night", None, "main", "main"]
    assert set_baseline(context, made[1], key=KEY).label == "main"
    assert labels() == [None, "main", None, None, "main"]
    set_baseline(context, made[0], "night")
    set_baseline(context, made[0])
    assert set_baseline(context, made[1], key=KEY).id == made[1]
    assert labels() == ["main", None, None, None, "main"]
    with pytest.raises(NotFound, match="there is no run 'x'"):
        set_baseline(context, "x")


def test_a_run_is_read_in_parts(context: Context, graph: str) -> None:
    made = create_run(context, graph, POINT, tags={})
    part = list_run_nodes(context, made.record.id, start=1, limit=2)
    assert [node.name for node in part.nodes] == ["b", "e"] and part.start == 1
    assert part.values[1] is not None and part.values[1].tolist() == [6.0, 5.0]
    node = get_run_node(context, made.record.id, "F")
    assert [found.name for found in node.nodes] == ["F"] and node.values[0] is not None
    assert node.values[0].tolist() == [30.0, 25.0]
    assert [node.name for node in made.part(2).nodes] == ["a", "b"]
    assert list_run_nodes(context, made.record.id, start=9, limit=2).nodes == ()


def test_the_ends_of_a_run_are_read_without_the_rest(context: Context, graph: str) -> None:
    made = create_run(context, graph, POINT, tags={})
    ends = get_run(context, made.record.id, ends_only=True)
    assert ends.gradients is not None and made.gradients is not None
    for some, all_of_them in ((ends.values, made.values), (ends.gradients, made.gradients)):
        for name, position in ends.graph.position.items():
            figure, whole = some[position], all_of_them[position]
            assert (figure is None) == (name == "e") and whole is not None
            assert figure is None or figure.tobytes() == whole.tobytes()


def test_a_run_that_is_not_kept_has_no_id(context: Context, graph: str) -> None:
    made = create_run(context, graph, POINT, tags={}, keep=False, key=KEY)
    kept = create_run(context, graph, POINT, tags={}, key=KEY)
    assert made.record.id == "" and everything(made)[1:] == everything(kept)[1:]
    assert len(list_runs(context, graph=None, label=None, tag=None, recorded_by=None, after=None, limit=9)) == 1


@pytest.mark.parametrize(
    ("inputs", "options", "error"),
    [
        ({"a": np.array(1.0)}, {}, InvalidInputs),
        ({**POINT, "c": np.array(1.0)}, {}, InvalidInputs),
        ({"a": np.zeros(3), "b": np.zeros(2)}, {}, InvalidInputs),
        (POINT, {"seed": np.zeros(3)}, InvalidInputs),
        (POINT, {"output": "none"}, InvalidRequest),
        ({"a": np.zeros(9), "b": np.zeros((9, 1))}, {}, LimitExceeded),
    ],
)
def test_nothing_of_what_is_refused_is_stored(
    context: Context, graph: str, inputs: Mapping[str, FloatArray], options: Any, error: type[Exception]
) -> None:
    tight = Context(context.database, Limits(tensor_elements=80))
    with pytest.raises(error):
        create_run(tight, graph, inputs, tags={}, key=KEY, **options)
    assert list_runs(context, graph=None, label=None, tag=None, recorded_by=None, after=None, limit=1) == []
    assert create_run(context, graph, POINT, tags={}, key=KEY).record.id  # and the key is free


def test_backward_later_is_backward_at_once(context: Context, graph: str) -> None:
    at_once = create_run(context, graph, POINT, tags={}, seed=np.array(2.0))
    later = create_run(context, graph, POINT, tags={}, backward=False)
    assert later.gradients is None and not later.record.has_gradients and later.record.seed is None
    filled = run_backward(context, later.record.id, seed=np.array(2.0))
    assert everything(filled)[1:] == everything(at_once)[1:]
    with pytest.raises(Conflict):
        run_backward(context, later.record.id)


def test_what_is_not_there(context: Context, graph: str) -> None:
    made = create_run(context, graph, POINT, tags={})
    for act in (
        lambda: create_run(context, "none", POINT, tags={}),
        lambda: get_run(context, "none"),
        lambda: run_backward(context, "none"),
        lambda: get_run_node(context, "none", "F"),
        lambda: get_run_node(context, made.record.id, "none"),
    ):
        with pytest.raises(NotFound):
            act()


def test_a_run_under_its_key_is_computed_once(context: Context, graph: str) -> None:
    first = create_run(context, graph, POINT, tags={}, key=KEY)
    assert everything(create_run(context, graph, POINT, tags={}, key=KEY)) == everything(first)


@pytest.mark.parametrize("moment", ["before the look at the key", "after it"])
def test_a_backward_pass_that_another_request_overtakes(
    context: Context, graph: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Under one key both are answered the same, whenever the other comes in between."""
    made = create_run(context, graph, POINT, tags={}, backward=False)
    step = "get_run" if moment == "before the look at the key" else "made_before"
    original = getattr(runs, step)

    def overtaken(*arguments: Any) -> Any:
        found = original(*arguments)
        monkeypatch.setattr(runs, step, original)
        run_backward(context, made.record.id, key=KEY)
        return found

    monkeypatch.setattr(runs, step, overtaken)
    answered = run_backward(context, made.record.id, key=KEY)
    assert answered.record.has_gradients and everything(answered) == everything(get_run(context, made.record.id))


def test_two_backward_passes_at_once_without_a_key(
    context: Context, graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create_run(context, graph, POINT, tags={}, backward=False)
    original = runs.backward_pass

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(runs, "backward_pass", original)
        run_backward(context, made.record.id)
        return original(*arguments)

    monkeypatch.setattr(runs, "backward_pass", overtaken)
    with pytest.raises(Conflict):
        run_backward(context, made.record.id, seed=np.array(9.0))
    assert get_run(context, made.record.id).record.seed == pytest.approx(np.ones(2))
