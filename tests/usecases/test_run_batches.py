from collections.abc import Mapping

import numpy as np
import pytest
from sqlalchemy import Engine, event

from service.core.errors import Fault, InvalidInputs, InvalidRequest, KeyReused, LimitExceeded, NotFound
from service.core.execution import kernel
from service.settings import Limits
from service.storage.deletion import delete_run
from service.storage.records import RunEnds, RunRecord
from service.usecases.context import Context
from service.usecases.graphs import create_graph
from service.usecases.idempotency import IdempotencyKey
from service.usecases.run_batches import AskedRun, create_runs
from service.usecases.runs import StoredRun, create_run, get_run, list_runs
from service.usecases.tensors import TensorReference

KEY = IdempotencyKey("k", "f" * 64)
# Scalars at kinks, of NaN, infinities and −0, and a batch among them.
POINTS = [{"a": a, "b": b} for a, b in ((5.0, 1.0), (0.0, -0.0), (np.nan, 1.0), (-np.inf, 2.0), ([1.0, -0.0], 3.0))]


@pytest.fixture
def graph(context: Context) -> str:
    """e = abs(a) + b; F = e / a."""
    return create_graph(context, "g", expression="e = abs(a) + b; F = e / a", tags={})[0].id


def point(inputs: Mapping[str, object], label: str | None = None) -> AskedRun:
    return AskedRun({name: np.array(each, dtype=float) for name, each in inputs.items()}, label, {"t": "v"})


def shown(record: RunRecord, ends: RunEnds) -> tuple[object, ...]:
    """What is equal of equal runs, every bit of the ends included."""
    seed = None if record.seed is None else (record.seed.shape, record.seed.tobytes())
    passes = (record.output, record.nonfinite_forward, record.nonfinite_backward, record.nondifferentiable)
    figures = (ends.figures.flat.tobytes(), ends.figures.shapes)
    return (*passes, seed, record.label, dict(record.tags), [*ends.inputs], [*ends.outputs], figures)


def facts(run: StoredRun) -> tuple[object, ...]:
    """What is equal of equal runs, every bit of the figures included."""
    gradients = None if run.gradients is None else (run.gradients.flat.tobytes(), run.gradients.shapes)
    return (*shown(run.record, run.ends()), run.values.flat.tobytes(), run.values.shapes, gradients)


@pytest.mark.parametrize("count", [4, 5], ids=["scalars", "with a batch"])
@pytest.mark.parametrize("options", [{}, {"backward": False}, {"seed": np.array(-2.5), "convention": "torch"}])
def test_runs_made_together_are_the_runs_made_alone(
    context: Context, graph: str, options: dict[str, object], count: int
) -> None:
    kernel.warm()
    points = [point(each, label=str(number)) for number, each in enumerate(POINTS[:count])]
    together = create_runs(context, graph, points, **options)  # type: ignore[arg-type]
    alone = [
        create_run(context, graph, each.inputs, label=each.label, tags=each.tags, **options)  # type: ignore[arg-type]
        for each in points
    ]
    assert [shown(*each) for each in together] == [shown(run.record, run.ends()) for run in alone]
    assert [facts(get_run(context, record.id)) for record, _ in together] == [*map(facts, alone)]
    ids = [record.id for record, _ in together]
    assert ids == sorted(set(ids))
    assert [each.id for each in list_runs(context, graph=graph, sort="created_at", after=None, limit=count)] == ids


def test_as_many_statements_store_many_runs_as_few(context: Context, graph: str) -> None:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *others: object) -> None:
        statements.append(statement)

    def stored(count: int) -> list[str]:
        statements.clear()
        create_runs(context, graph, [point(POINTS[0])] * count)
        return [*statements]

    create_runs(context, graph, [point(POINTS[0])])
    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert stored(100) == stored(2)
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_runs_are_stored_in_one_transaction(context: Context, graph: str) -> None:
    commits: list[object] = []
    event.listen(context.database._writer, "commit", commits.append)
    create_runs(context, graph, [point(POINTS[0])] * 100)
    assert len(commits) == 1


def test_every_fault_of_every_run_is_named_and_none_is_stored(context: Context, graph: str) -> None:
    points = [point(POINTS[0]), point({"a": 1, "c": 2}), point({"a": [1, 2], "b": [1, 2, 3]})]
    with pytest.raises(InvalidInputs) as raised:
        create_runs(context, graph, points)
    assert [fault.location for fault in raised.value.faults] == [
        ("runs", 1, "inputs"),
        ("runs", 1, "inputs", "c"),
        ("runs", 2, "inputs"),
    ]
    with pytest.raises(InvalidInputs) as raised:
        create_runs(context, graph, points[:1] * 3, seed=np.ones(2))
    assert raised.value.faults == (Fault(("seed",), "the seed has shape [2]; the output has []"),)
    lost = AskedRun({"a": TensorReference("0" * 64), "b": np.array(1.0)}, None, {})
    with pytest.raises(InvalidInputs) as raised:
        create_runs(context, graph, [points[0], lost])
    assert raised.value.faults[0].location == ("runs", 1, "inputs", "a")
    with pytest.raises(InvalidRequest, match="x"):
        create_runs(context, graph, points[:1], output="x")
    assert list_runs(context, graph=graph, after=None, limit=9) == []


def test_what_an_operation_refuses_is_a_fault_of_its_run(context: Context) -> None:
    graph = create_graph(context, "indices", expression="F = gather(x, i)", tags={})[0].id
    points = [point({"x": [1, 2], "i": index}) for index in (0, 5, 1, 7)]
    with pytest.raises(InvalidInputs) as raised:
        create_runs(context, graph, points)
    assert [fault.location[:2] for fault in raised.value.faults] == [("runs", 1), ("runs", 3)]
    assert list_runs(context, graph=graph, after=None, limit=9) == []


def test_runs_are_weighed_together_before_the_work(context: Context, graph: str) -> None:
    few = Context(context.database, Limits(operations=10**6))
    with pytest.raises(LimitExceeded, match="operations"):
        create_runs(few, graph, [point(POINTS[0])] * 100)
    brief = Context(context.database, Limits(answer_bytes=5_000))
    with pytest.raises(LimitExceeded, match="5000 bytes"):
        create_runs(brief, graph, [point(POINTS[0])] * 100)
    assert list_runs(context, graph=graph, after=None, limit=9) == []


def test_a_repeated_request_answers_the_runs_of_the_first(context: Context, graph: str) -> None:
    points = [*map(point, POINTS)] * 300
    first = create_runs(context, graph, points, key=KEY)
    again = create_runs(context, graph, points, key=KEY)
    assert [shown(*each) for each in again] == [shown(*each) for each in first]
    assert [record.id for record, _ in again] == [record.id for record, _ in first]
    with pytest.raises(KeyReused):
        create_runs(context, graph, points, key=IdempotencyKey("k", "0" * 64))
    with context.database.write() as connection:
        delete_run(connection, first[7][0].id)
    with pytest.raises(NotFound, match=first[7][0].id):
        create_runs(context, graph, points, key=KEY)
