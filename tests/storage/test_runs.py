import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import Connection, event, func, select, update
from sqlalchemy.exc import IntegrityError

from service.core.errors import Conflict, NotFound
from service.core.execution.nonfinite import FirstNonfinite
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Graph
from service.storage import run_figures as storage
from service.storage import runs as storage_runs
from service.storage.database import Database
from service.storage.graphs import insert_graph
from service.storage.identifiers import new_id
from service.storage.models import RunChunk, RunFigures, RunRow
from service.storage.records import GraphRecord, NewRun, RunRecord
from service.storage.run_figures import CHUNK_VALUES, load_figures, load_some_figures
from service.storage.runs import add_gradients, get_run, insert_run, insert_runs, list_runs

SPECIAL = [
    0x0000_0000_0000_0000,  # 0
    0x8000_0000_0000_0000,  # −0
    0x0000_0000_0000_0001,  # the least subnormal
    0x800F_FFFF_FFFF_FFFF,  # the greatest subnormal, negative
    0x7FEF_FFFF_FFFF_FFFF,  # the greatest number
    0x7FF0_0000_0000_0000,  # ∞
    0xFFF0_0000_0000_0000,  # −∞
    0x7FF8_0000_0000_0000,  # NaN
    0xFFF8_0000_DEAD_BEEF,  # a negative NaN with a payload
    0x7FF0_0000_0000_0001,  # a signalling NaN
]


def from_bits(bits: list[int]) -> FloatArray:
    return np.array(bits, dtype=np.uint64).view(np.float64)


def bits_of(array: FloatArray) -> list[int]:
    return array.reshape(-1).view(np.uint64).tolist()


def same(first: Figures, second: Figures) -> bool:
    """Equal bit for bit, in shapes, and in which nodes have a figure."""
    masks = [None if figures.present is None else figures.present.tolist() for figures in (first, second)]
    return first.flat.tobytes() == second.flat.tobytes() and first.shapes == second.shapes and masks[0] == masks[1]


def slice_of(figures: Figures, start: int, stop: int) -> Figures:
    """The oracle of a partial read: node by node, from the whole."""
    parts = [figures.flat[figures.offsets[position] : figures.offsets[position + 1]] for position in range(start, stop)]
    return Figures(
        np.concatenate([np.empty(0), *parts]),
        None if figures.shapes is None else figures.shapes[start:stop],
        None if figures.present is None else figures.present[start:stop],
    )


@st.composite
def any_figures(draw: st.DrawFn) -> Figures:
    count = draw(st.integers(0, 20))
    sizes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    shapes = draw(st.none() | st.lists(sizes, min_size=count, max_size=count).map(tuple))
    total = count if shapes is None else sum(map(prod, shapes))
    numbers = st.sampled_from(SPECIAL) | st.integers(0, 2**64 - 1)
    flat = from_bits(draw(st.lists(numbers, min_size=total, max_size=total)))
    mask = draw(st.none() | st.lists(st.booleans(), min_size=count, max_size=count))
    return Figures(flat, shapes, None if mask is None else np.array(mask, dtype=np.bool_))


@pytest.fixture(scope="module")
def shared_graph(shared_database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]) -> GraphRecord:
    record = graph_record(graph)
    with shared_database.write() as connection:
        insert_graph(connection, record, graph)
    return record


@given(values=any_figures(), gradients=st.none() | any_figures(), data=st.data())
def test_any_figures_come_back_whole_and_in_part(
    shared_database: Database,
    shared_graph: GraphRecord,
    run_record: Callable[..., RunRecord],
    values: Figures,
    gradients: Figures | None,
    data: st.DataObject,
) -> None:
    record = run_record(shared_graph)
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    with pytest.MonkeyPatch.context() as patch:
        # Small examples have boundaries too, and are in chunks or in the run's row.
        patch.setattr(storage, "CHUNK_VALUES", 4)
        patch.setattr(storage, "ROW_BYTES", data.draw(st.sampled_from([-1, 32, 10**6])))
        with shared_database.write() as connection:
            insert_run(connection, record, values, gradients)
        with shared_database.read() as connection:
            assert same(load_figures(connection, record.id, "values"), values)
            assert same(load_figures(connection, record.id, "values", start, stop), slice_of(values, start, stop))
            if gradients is not None:
                assert same(load_figures(connection, record.id, "gradients"), gradients)


def test_runs_inserted_together_are_as_those_inserted_alone(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    runs = [
        NewRun(run_record(stored, tags={"number": str(number)}, label="λ"), Figures(np.full(3, number / 3)), gradients)
        for number, gradients in enumerate([None, Figures(from_bits(SPECIAL[4:7])), None])
    ]
    with database.write() as connection:
        insert_runs(connection, [])
        insert_runs(connection, runs)
    with database.read() as connection:
        assert [record.id for record in list_runs(connection, limit=9)] == [record.id for record, *_ in runs[::-1]]
        for record, values, gradients, _ in runs:
            found = get_run(connection, record.id)
            assert (found.tags, found.has_gradients) == (record.tags, gradients is not None)
            assert values and same(load_figures(connection, record.id, "values"), values)
            assert gradients is None or same(load_figures(connection, record.id, "gradients"), gradients)
    lost = [NewRun(run_record(stored, **changes), None, None) for changes in ({}, {"graph_id": new_id()})]
    with pytest.raises(NotFound, match=lost[1].record.graph_id), database.write() as connection:
        insert_runs(connection, lost)
    with database.read() as connection:
        assert len(list_runs(connection, limit=9)) == len(runs)


def test_a_small_run_is_one_row(database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]) -> None:
    small, large = Figures(np.arange(8192.0)), Figures(np.arange(8193.0))
    with database.write() as connection, counted(connection) as statements:
        insert_run(connection, run_record(stored), small, small)
        assert len(statements) == 1
        insert_run(connection, run_record(stored), small, large)
        assert len(statements) == 4
    with database.read() as connection:
        assert [connection.scalar(select(func.count(row.kind))) for row in (RunFigures, RunChunk)] == [1, 1]


@contextmanager
def counted(connection: Connection) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    seen: list[str] = []
    event.listen(connection, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    yield seen


@pytest.mark.parametrize("bits", SPECIAL, ids=hex)
def test_every_kind_of_number_is_bit_identical(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord], bits: int
) -> None:
    array = from_bits([bits])
    record = run_record(stored, seed=array.reshape(()))
    with database.write() as connection:
        insert_run(connection, record, Figures(array), Figures(array))
    with database.read() as connection:
        seed = get_run(connection, record.id).seed
        assert seed is not None
        assert bits_of(seed) == [bits]
        for kind in ("values", "gradients"):
            assert bits_of(load_figures(connection, record.id, kind).flat) == [bits]


@pytest.mark.parametrize("count", [CHUNK_VALUES - 1, CHUNK_VALUES, CHUNK_VALUES + 1, 2 * CHUNK_VALUES])
def test_figures_at_the_boundary_of_a_chunk(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord], count: int
) -> None:
    values = Figures(np.random.default_rng(count).standard_normal(count))
    record = run_record(stored)
    with database.write() as connection:
        insert_run(connection, record, values, None)
    with database.read() as connection:
        assert same(load_figures(connection, record.id, "values"), values)
        for start, stop in [(count - 1, count), (CHUNK_VALUES - 2, count), (count, count), (0, 1)]:
            assert same(load_figures(connection, record.id, "values", start, stop), slice_of(values, start, stop))
        assert same(load_figures(connection, record.id, "values", 5, 10**9), slice_of(values, 5, count))
        assert len(load_figures(connection, record.id, "values", 10**9)) == 0


def test_large_figures_are_stored_a_few_chunks_at_a_time(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    values = Figures(np.random.default_rng(0).standard_normal(64 * CHUNK_VALUES), ((64 * CHUNK_VALUES,),))
    record = run_record(stored)
    tracemalloc.start()
    try:
        with database.write() as connection:
            insert_run(connection, record, values, None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * values.flat.nbytes
    with database.read() as connection:
        assert same(load_figures(connection, record.id, "values"), values)


def test_many_runs_are_inserted_some_at_a_time(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    small = Figures(np.random.default_rng(0).standard_normal(8192))
    runs = [NewRun(run_record(stored), small, small) for _ in range(300)]
    tracemalloc.start()
    try:
        with database.write() as connection:
            insert_runs(connection, runs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * len(runs) * 2 * small.flat.nbytes
    with database.read() as connection:
        assert len(list_runs(connection, limit=1000)) == len(runs)


@pytest.mark.parametrize(
    ("shapes", "start", "stop", "needed"),
    [
        (None, CHUNK_VALUES + 7, CHUNK_VALUES + 8, [1]),
        (None, CHUNK_VALUES - 1, CHUNK_VALUES + 1, [0, 1]),
        (None, CHUNK_VALUES, 2 * CHUNK_VALUES, [1]),
        (((CHUNK_VALUES + 1,), (), (2, CHUNK_VALUES)), 1, 2, [1]),
        (((CHUNK_VALUES + 1,), (), (2, CHUNK_VALUES)), 2, 3, [1, 2, 3]),
    ],
)
def test_a_part_is_read_without_the_rest(
    database: Database,
    stored: GraphRecord,
    run_record: Callable[..., RunRecord],
    shapes: tuple[tuple[int, ...], ...] | None,
    start: int,
    stop: int,
    needed: list[int],
) -> None:
    total = 4 * CHUNK_VALUES if shapes is None else sum(map(prod, shapes))
    values = Figures(np.random.default_rng(0).standard_normal(total), shapes)
    record = run_record(stored)
    with database.write() as connection:
        insert_run(connection, record, values, None)
        # No whole number of figures: to read it is an error.
        connection.execute(update(RunChunk).where(RunChunk.number.not_in(needed)).values(data=b"the remainder"))
    with database.read() as connection:
        assert same(load_figures(connection, record.id, "values", start, stop), slice_of(values, start, stop))
        with pytest.raises(ValueError, match="buffer size"):
            load_figures(connection, record.id, "values")


def test_what_is_loaded_is_read_only(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    values = Figures(np.arange(3.0), None, np.array([True, False, True]))
    record = run_record(stored, seed=np.ones((2, 1)))
    with database.write() as connection:
        insert_run(connection, record, values, None)
    with database.read() as connection:
        figures = load_figures(connection, record.id, "values")
        seed = get_run(connection, record.id).seed
    arrays: list[NDArray[Any] | None] = [figures.flat, figures.present, figures[0], seed]
    assert [array is not None and array.flags.writeable for array in arrays] == [False] * 4


def equal_records(first: RunRecord, second: RunRecord) -> bool:
    one, other = ({field.name: getattr(record, field.name) for field in fields(record)} for record in (first, second))
    seeds = [None if seed is None else (seed.shape, seed.tolist()) for seed in (one.pop("seed"), other.pop("seed"))]
    return one == other and seeds[0] == seeds[1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": None, "output": None},
        {
            "seed": np.arange(6.0).reshape(2, 3),
            "has_gradients": True,
            "nonfinite_backward": FirstNonfinite("x", "x", "y"),
        },
        {"source": "recorded", "recorded_by": "the tutorial", "dtype": "float32", "has_values": False},
        {
            "nonfinite_forward": FirstNonfinite("z", None, "z"),
            "nondifferentiable": (0, 2),
            "label": "λ",
            "tags": {"a": "1", "b": "2"},
        },
    ],
)
def test_a_record_keeps_what_it_was_given(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord], changes: dict[str, Any]
) -> None:
    record = run_record(stored, **changes)
    figures = Figures(np.zeros(3))
    with database.write() as connection:
        insert_run(
            connection, record, figures if record.has_values else None, figures if record.has_gradients else None
        )
    with database.read() as connection:
        assert equal_records(get_run(connection, record.id), record)
        for kind, there in (("values", record.has_values), ("gradients", record.has_gradients)):
            if not there:
                with pytest.raises(NotFound, match=f"has no {kind}"):
                    load_figures(connection, record.id, kind)


def test_a_scalar_seed_is_stored_without_a_shape(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    record, figures = run_record(stored, seed=np.array(1 / 3)), Figures(np.zeros(3))
    with database.write() as connection:
        insert_run(connection, record, figures, None)
        assert connection.execute(select(RunRow.seed_shape)).all() == [(None,)]
        assert equal_records(get_run(connection, record.id), record)
        connection.execute(update(RunRow).values(seed_shape=[]))  # as earlier releases stored it
        assert equal_records(get_run(connection, record.id), record)


def test_gradients_are_added_once(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    record = run_record(stored, seed=None, output=None, tags={"key": "value"})
    gradients = Figures(np.array([1.0, 2.0, np.nan]))
    completed = replace(
        record, seed=np.array([3.0]), output="z", has_gradients=True, nonfinite_backward=FirstNonfinite("z")
    )
    with database.write() as connection:
        insert_run(connection, record, Figures(np.zeros(3)), None)
    with database.write() as connection:
        add_gradients(connection, NewRun(completed, None, gradients))
    with database.read() as connection:
        assert equal_records(get_run(connection, record.id), completed)
        assert same(load_figures(connection, record.id, "gradients"), gradients)
    with pytest.raises(Conflict, match="has gradients already"), database.write() as connection:
        add_gradients(connection, NewRun(completed, None, gradients))
    with pytest.raises(NotFound, match="no run"), database.write() as connection:
        add_gradients(connection, NewRun(replace(completed, id=new_id()), None, gradients))


def test_some_figures_are_read_without_the_others(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    count = 2 * CHUNK_VALUES + 5
    scalars = Figures(np.arange(float(count)), None, np.arange(count) != 7)
    shapes = ((2,), (CHUNK_VALUES,), (), (0,), (3, CHUNK_VALUES), (1,))
    tensors = Figures(np.arange(float(sum(map(prod, shapes)))), shapes)
    for figures, positions in (
        (scalars, [0, 7, CHUNK_VALUES - 1, CHUNK_VALUES, count - 1]),
        (scalars, [count - 1]),
        (tensors, [0, 3]),
        (tensors, [1, 4]),
        (tensors, [2, 5]),
        (tensors, []),
    ):
        record = run_record(stored)
        with database.write() as connection:
            insert_run(connection, record, figures, None)
        with database.read() as connection:
            found = load_some_figures(connection, record.id, "values", positions)
        assert len(found) == len(figures)
        for position in range(0, len(figures), 1 if figures is tensors else 1021):
            assert position in positions or found[position] is None
        for position in positions:
            part, whole = found[position], figures[position]
            assert (part is None) == (whole is None)
            assert part is None or whole is None or (part.shape, part.tobytes()) == (whole.shape, whole.tobytes())
    with pytest.raises(NotFound), database.read() as connection:
        load_some_figures(connection, record.id, "gradients", [0])


def test_a_run_belongs_to_a_graph(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    record = run_record(stored, graph_id=new_id())
    with pytest.raises(NotFound, match=record.graph_id), database.write() as connection:
        insert_run(connection, record, Figures(np.zeros(3)), None)
    with pytest.raises(NotFound, match=record.id), database.read() as connection:
        get_run(connection, record.id)
    again = run_record(stored)
    with pytest.raises(IntegrityError, match=r"(?i)unique"), database.write() as connection:
        for _ in range(2):
            insert_run(connection, again, Figures(np.zeros(3)), None)


def test_lists_are_newest_first_and_filtered(
    database: Database,
    graph: Graph,
    stored: GraphRecord,
    graph_record: Callable[..., GraphRecord],
    run_record: Callable[..., RunRecord],
) -> None:
    other = graph_record(graph, name="other")
    records = [
        run_record(
            other if number == 0 else stored,
            label="odd" if number % 2 else None,
            recorded_by="a tool" if number > 4 else None,
            tags={"third": str(number % 3)},
            has_values=False,
        )
        for number in range(7)
    ]
    with database.write() as connection:
        insert_graph(connection, other, graph)
        for record in records:
            insert_run(connection, record, None, None)
    newest = [record.id for record in records[::-1]]

    def listed(**filters: Any) -> list[str]:
        with database.read() as connection:
            return [record.id for record in list_runs(connection, **{"limit": 100, **filters})]

    assert listed() == newest
    assert listed(limit=2) == newest[:2]
    assert listed(limit=2, after=newest[1]) == newest[2:4]
    assert listed(after=newest[-1]) == []
    assert listed(graph=other.id) == newest[-1:]
    assert listed(graph=new_id()) == []
    assert listed(label="odd") == newest[1::2]
    assert listed(tag="third:0") == newest[::3]
    assert listed(tag="third:3") == []
    assert listed(recorded_by="a tool") == newest[:2]
    assert listed(recorded_by="a tool", label="odd", tag="third:2", graph=stored.id) == [newest[1]]
    with database.read() as connection:
        assert equal_records(list_runs(connection, limit=1)[0], records[-1])


@pytest.mark.parametrize("looked_through", [1, 4, 100])
def test_runs_with_a_text_are_the_same_however_many_are_looked_through_at_first(
    looked_through: int,
    database: Database,
    stored: GraphRecord,
    run_record: Callable[..., RunRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_runs, "_LOOKED_THROUGH", looked_through)
    labels = ["Alpha", None, "beta", "alphabet", None, "gamma", "ALPHA 2"]
    runs = [run_record(stored, label=label, recorded_by="Al" if label is None else None) for label in labels]
    with database.write() as connection:
        for run in runs:
            insert_run(connection, run, Figures(np.zeros(3)), None)
    wanted = {
        "alpha": [0, 3, 6],
        "al": [0, 1, 3, 4, 6],
        "nowhere": [],
        stored.name: [*range(7)],
    }
    with database.read() as connection:
        for text, positions in wanted.items():
            expected = [runs[position].id for position in positions]
            for limit in (2, 9):
                found = list_runs(connection, q=text, limit=limit)
                assert [run.id for run in found] == expected[::-1][:limit]
                found = list_runs(connection, q=text, sort="created_at", limit=limit)
                assert [run.id for run in found] == expected[:limit]
            later = list_runs(connection, q=text, after=runs[4].id, graph=stored.id, limit=9)
            assert [run.id for run in later] == [each for each in expected[::-1] if each < runs[4].id]
