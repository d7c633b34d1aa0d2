"""A book is written, and read into another database: bit for bit, whole or not at all."""

import base64
import io
import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from sqlalchemy import delete, insert, select, update

from service.core.figures.figures import Figures, pack
from service.core.graph.graph import Graph
from service.storage.book_imports import BookRead, read_book
from service.storage.books import PARTS, TABLES, write_book
from service.storage.comparisons import insert_comparison
from service.storage.database import Database
from service.storage.derivatives import insert_derivatives
from service.storage.graphs import insert_graph
from service.storage.identifiers import new_id
from service.storage.jobs import JobRecord, insert_job
from service.storage.models import Base, Content, GraphRow, RunChunk, RunRow, RunTag
from service.storage.records import GraphRecord, RunRecord
from service.storage.run_figures import CHUNK_VALUES
from service.storage.runs import insert_run
from service.storage.series import append_steps, insert_series
from service.storage.tensors import insert_tensor
from tests.storage.test_comparisons import record as comparison
from tests.storage.test_deletion import rows
from tests.storage.test_derivatives import record as derivatives
from tests.storage.test_series import grown, step
from tests.storage.test_series import record as series
from tests.storage.test_tensors import npy, record_of

ODD = np.array([np.nan, -0.0, np.inf, -np.inf, 5e-324, 0.1])
LARGE = np.random.default_rng(1).normal(size=CHUNK_VALUES + 3)
NOW = datetime(2026, 11, 30, tzinfo=UTC)
Line = dict[str, Any]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database in a file."""
    file = tmp_path_factory.mktemp("template") / "gradbook.db"
    with closing(Database(f"sqlite:///{file}")) as database:
        database.migrate()
    return file


@pytest.fixture
def other(template: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty database in a file, whatever `database` is."""
    with closing(Database(f"sqlite:///{shutil.copy(template, tmp_path / 'other.db')}")) as made:
        yield made


@pytest.fixture(scope="module")
def records(graph: Graph, graph_record: Callable[..., GraphRecord]) -> list[GraphRecord]:
    """A graph with weights, one made from it whose id is lower, as clocks may have it, and another of equal content."""
    tensor = record_of(ODD, npy(ODD))
    first = graph_record(graph, name="first", tags={"é": "·", "a": "b:c"}, weights={"x": tensor.digest})
    second = graph_record(graph, name="second", parent=first.id, expression="z = x * y")
    return [first, replace(second, id="00000000" + second.id[8:]), graph_record(graph, name="third")]


@pytest.fixture(scope="module")
def runs(records: list[GraphRecord], run_record: Callable[..., RunRecord]) -> list[RunRecord]:
    """A run of each graph."""
    first, second, third = records
    return [
        run_record(first, label="main", tags={"a": "b"}, tensors={0: first.weights["x"]}, has_gradients=True),
        run_record(second, source="recorded", recorded_by="é", dtype="float32", seed=ODD, output=None),
        run_record(third, seed=None, nondifferentiable=(1, 2)),
    ]


def jobs(graph: str, other: str) -> list[JobRecord]:
    """A sweep that has ended, one that is under way, and another job."""
    ended = JobRecord(
        *(new_id(), "sweep", {"tensors": []}, NOW),
        total=2,
        chunks=1,
        graph_id=graph,
        other_graph_id=other,
        state="done",
        ended_at=NOW,
        summary={"é": [0.1]},
    )
    return [ended, replace(ended, id=new_id(), ended_at=None), replace(ended, id=new_id(), kind="request")]


@pytest.fixture(scope="module")
def filled(shared_database: Database, graph: Graph, records: list[GraphRecord], runs: list[RunRecord]) -> Database:
    """All kinds of what is stored, which no test changes."""
    none = np.array([False, True, False])
    partly = replace(pack([None, None, np.array(-0.0)]), none=none)
    tensors = [(record_of(array, body), body) for array in (ODD, LARGE) for body in [npy(array)]]  # one is not used
    at = derivatives(records[0], inputs={"x": ODD}, tensors={"x": records[0].weights["x"]})
    with shared_database.write() as connection:
        for tensor, body in tensors:
            insert_tensor(connection, tensor, body)
        for record in records:
            insert_graph(connection, record, graph)
        insert_run(connection, runs[0], pack([ODD, np.array(2.0), ODD * 2]), Figures(np.array([np.nan, 0.0, -0.0])))
        insert_run(connection, runs[1], partly, None)
        insert_run(connection, runs[2], pack([LARGE, np.zeros((0, 2)), LARGE]), None)
        for each in (at, derivatives(records[2])):
            insert_derivatives(connection, each)
        for pair in ((0, 1), (2, 2)):
            ids = [runs[each].id for each in pair]
            insert_comparison(
                connection, comparison(*ids, tolerance={"rtol": 1e-300, "atol": 0.1 + 0.2}, align="probes")
            )
        training, steps = series(records[2], tags={"é": "·"}), [step(7, run_id=runs[2].id, origins=["z"]), step(8)]
        insert_series(connection, training)
        append_steps(connection, grown(training, steps), steps)
        for job in jobs(records[2].id, records[0].id):
            insert_job(connection, job, [b"", b"\0\xff"])
    return shared_database


@pytest.fixture(scope="module")
def book(filled: Database) -> bytes:
    """All of it."""
    return written(filled)


def written(database: Database, graphs: list[str] | None = None) -> bytes:
    file = io.BytesIO()
    with database.read() as connection:
        write_book(connection, file, graphs)
    return file.getvalue()


def read(database: Database, book: bytes) -> BookRead:
    with database.write() as connection:
        return read_book(connection, io.BytesIO(book))


def stored(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return rows(connection)


def altered(book: bytes, member: str, change: Callable[[list[Line]], object]) -> bytes:
    """A book with the lines of a member changed."""
    lines = {}
    with ZipFile(io.BytesIO(book)) as before:
        for name in before.namelist():
            lines[name] = [json.loads(line) for line in before.read(name).splitlines()]
    if change(lines[member]) is None and member != "book.json":
        lines["book.json"][0]["rows"][member.removesuffix(".jsonl")] = len(lines[member])
    file = io.BytesIO()
    with ZipFile(file, "w") as after:
        for name, each in lines.items():
            after.writestr(name, "".join(json.dumps(line) + "\n" for line in each))
    return file.getvalue()


def test_every_table_is_in_a_book_or_is_of_one_database_alone() -> None:
    tables, stay = Base.metadata.tables, {"access_keys", "idempotency_keys", "deletions"}
    assert {table.name for table in TABLES} == set(tables) - stay
    parts = {name for name, table in tables.items() if any(key.ondelete == "CASCADE" for key in table.foreign_keys)}
    assert parts == set(PARTS)


def test_a_book_goes_from_one_database_to_another_and_back_bit_for_bit(
    database: Database, other: Database, filled: Database, book: bytes, template: Path, tmp_path: Path
) -> None:
    """Between databases in files; in `make test-postgres` from PostgreSQL to a file, back, and to another file."""
    done = read(other, book)
    assert (done.new["graphs"], done.new["runs"], done.new["tensors"]) == (3, 3, 2) and not done.known.total()
    read(database, written(other))
    with closing(Database(f"sqlite:///{shutil.copy(template, tmp_path / 'last.db')}")) as last:
        read(last, written(database))
        assert written(last) == written(other)
        assert stored(last) == stored(filled) | {"jobs": 1, "job_chunks": 2}  # of the sweep that has ended
    if database.file:
        assert written(other) == book


def test_what_is_there_already_is_left_out(
    other: Database, filled: Database, book: bytes, records: list[GraphRecord]
) -> None:
    part = read(other, written(filled, [records[0].id]))
    assert (part.new["graphs"], part.new["runs"]) == (1, 1)
    rest = read(other, book)
    assert +rest.known == +part.new
    again = read(other, book)
    assert +again.known == +rest.known + +rest.new and not again.new.total()
    assert stored(other) == stored(filled) | {"jobs": 1, "job_chunks": 2}


def test_a_graph_takes_along_what_is_its_own_and_what_it_was_made_from(
    other: Database, filled: Database, records: list[GraphRecord]
) -> None:
    first, second, third = records
    expected = {
        first.id: {"graphs": 1, "graph_tags": 2, "runs": 1, "derivatives": 1, "tensors": 1},
        second.id: {"graphs": 2, "graph_tags": 2, "runs": 1, "tensors": 1},
        third.id: {"graphs": 1, "runs": 1, "derivatives": 1, "comparisons": 1},
    }
    for graph, counts in expected.items():
        with ZipFile(io.BytesIO(written(filled, [graph]))) as book:
            found = json.loads(book.read("book.json"))["rows"]
        names = {"graphs", "graph_tags", "runs", "derivatives", "tensors", "comparisons"}
        assert {name: count for name, count in found.items() if name in names and count} == counts
    read(other, written(filled, [second.id]))
    assert stored(other)["graphs"] == 2


Change = Callable[[list[Line]], object]


def setting(name: str, value: Any, line: int = 0) -> Change:
    return lambda lines: lines[line].update({name: value})


def without(columns: Sequence[str]) -> Change:
    return lambda lines: [line.pop(name) for line in lines for name in columns]


VANISHED = base64.b64encode(
    zlib.compress(json.dumps({"names": ["x"], "operations": ["Vanished"], "operands": [[]], "attributes": []}).encode())
).decode()
DAMAGED: dict[str, tuple[str, Change, str]] = {
    "another format": ("book.json", setting("format", "x"), "no book of the format"),
    "no counts": ("book.json", lambda lines: lines[0].pop("rows"), "this is no book"),
    "a newer schema": ("book.json", setting("schema", "9999"), "written by a newer version: its schema is 9999"),
    "a newer table": ("book.json", lambda lines: lines[0]["rows"].update(sets=1), "written by a newer version"),
    "too few lines": ("runs.jsonl", lambda lines: lines.pop(), r"runs.jsonl has 2 lines where book.json says 3"),
    "a column too many": ("runs.jsonl", setting("x", 1), "runs.jsonl, line 1: there is no column 'x'"),
    "a column too few": ("runs.jsonl", lambda lines: lines[1].pop("dtype"), "line 2: the column 'dtype' is missing"),
    "no number": ("graphs.jsonl", setting("version", "1"), "graphs.jsonl, line 1: version is not of the type int"),
    "too large a number": (
        "graphs.jsonl",
        setting("version", 2**70),
        "a number or a text that the database cannot hold",
    ),
    "no base64": ("run_chunks.jsonl", setting("data", "é"), "run_chunks.jsonl, line 1: data cannot be read"),
    "no time": ("runs.jsonl", setting("created_at", 5), "line 1: created_at cannot be read"),
    "a time without a zone": ("runs.jsonl", setting("created_at", "2026-01-01"), "line 1: created_at is not"),
    "null": ("runs.jsonl", setting("dtype", None), "line 1: dtype may not be null"),
    "no object": ("runs.jsonl", lambda lines: lines.__setitem__(0, 5), "line 1: an object is expected"),  # type: ignore[call-overload]
    "other content": ("contents.jsonl", setting("inputs", ["y", "x"]), "the content is not that of the digest"),
    "no content": ("contents.jsonl", setting("document", ""), "the content cannot be read"),
    "an operation to come": ("contents.jsonl", setting("document", VANISHED), "the operation 'Vanished'"),
    "another tensor": ("tensor_chunks.jsonl", setting("data", "AAAA"), "is not that of its digest"),
    "no tensor": ("tensors.jsonl", lambda lines: lines.clear(), "refers to what it lacks"),
    "no graph of a run": ("graphs.jsonl", lambda lines: lines.pop() and None, "refers to what it lacks"),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_what_is_damaged_is_refused_in_a_sentence_and_nothing_of_it_is_stored(
    other: Database, book: bytes, fault: str
) -> None:
    member, change, sentence = DAMAGED[fault]
    with pytest.raises(ValueError, match=sentence):
        read(other, altered(book, member, change))
    assert stored(other) == {}


@pytest.mark.slow
def test_a_small_file_that_unpacks_to_much_is_refused_before_it_takes_the_memory(other: Database, book: bytes) -> None:
    spaces = b" " * (2**24 + 1)
    packing = zlib.compressobj(1)
    packed = b"".join([*(packing.compress(spaces) for _ in range(32)), packing.flush()])
    content = altered(book, "contents.jsonl", setting("document", base64.b64encode(packed).decode()))
    lines = io.BytesIO(book)
    with (
        ZipFile(lines, "a", ZIP_DEFLATED, compresslevel=1) as file,
        pytest.warns(UserWarning, match="Duplicate name"),
        file.open("contents.jsonl", "w") as member,
    ):
        member.writelines([spaces] * 32)
    for bomb in (content, lines.getvalue()):
        with pytest.raises(ValueError, match=r"contents\.jsonl, line 1: .* is longer than"):
            read(other, bomb)
    assert stored(other) == {}


def test_a_book_of_an_earlier_schema_is_read_with_what_columns_were_added_left_empty(
    other: Database, filled: Database, records: list[GraphRecord], template: Path, tmp_path: Path
) -> None:
    now = written(filled, [records[2].id])
    earlier = altered(now, "book.json", lambda lines: lines[0].update(schema="0007"))
    for member, columns in (
        ("graphs.jsonl", ("weights", "parts", "weights_digest")),
        ("run_figures.jsonl", ("tensors",)),
        ("derivative_figures.jsonl", ("tensor",)),
    ):
        earlier = altered(earlier, member, without(columns))
    with closing(Database(f"sqlite:///{shutil.copy(template, tmp_path / 'now.db')}")) as direct:
        read(direct, now)
        read(other, earlier)
        assert written(other) == written(direct)
        assert not read(direct, earlier).new.total()


def test_what_is_no_book_is_refused(other: Database, book: bytes) -> None:
    empty = io.BytesIO()
    with ZipFile(empty, "w") as file:
        file.writestr("x", "")
    lacking = book.replace(b"runs.jsonl", b"sets.jsonl")
    for damaged in (b"", b"no zip", book[: len(book) // 2], empty.getvalue(), lacking):
        with pytest.raises(ValueError, match=r"no book|lacks runs\.jsonl"):
            read(other, damaged)
    assert stored(other) == {}


DIFFERS = "of the book is here already and differs"
ANOTHER_ORDER = zlib.compress(b'{"names":["z","y","x"]}')  # as older versions wrote it
DIFFERENT: dict[str, tuple[Callable[[list[str]], Any], str]] = {
    "a label": (
        lambda runs: update(RunRow).where(RunRow.id == runs[0]).values(label="x"),
        f"the run .* {DIFFERS}: label",
    ),
    "a tag more": (lambda runs: insert(RunTag).values(run_id=runs[0], key="k", value="v"), f"{DIFFERS}: run_tags"),
    "a tag less": (lambda runs: delete(RunTag), f"{DIFFERS}: run_tags"),
    "a figure": (
        lambda runs: update(RunChunk).where(RunChunk.run_id == runs[2], RunChunk.number == 1).values(data=b"x" * 24),
        f"the run .* {DIFFERS}: data",
    ),
    "a name": (
        lambda runs: update(GraphRow).where(GraphRow.name == "third").values(name="3"),
        f"the graph .* {DIFFERS}",
    ),
    "nodes": (lambda runs: update(Content).values(document=ANOTHER_ORDER), "are here in another order"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_is_there_and_differs_is_refused(other: Database, book: bytes, runs: list[RunRecord], what: str) -> None:
    change, sentence = DIFFERENT[what]
    read(other, book)
    with other.write() as connection:
        connection.execute(change([run.id for run in runs]))
    before = stored(other)
    with pytest.raises(ValueError, match=sentence):
        read(other, book)
    assert stored(other) == before


def test_the_time_of_a_tensor_and_the_compression_of_content_do_not_matter(other: Database, book: bytes) -> None:
    read(other, book)
    with other.write() as connection:
        document = connection.execute(select(Content.document)).scalar_one()
        connection.execute(update(Content).values(document=zlib.compress(zlib.decompress(document), level=9)))
    later = altered(book, "tensors.jsonl", setting("created_at", "2031-01-01T00:00:00+00:00"))
    assert not read(other, later).new.total()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"version": 1, "digest": "0" * 64}, "is another one here"), ({"version": 7}, "is here under another id")],
)
def test_a_name_that_is_taken_is_said(
    other: Database,
    book: bytes,
    graph: Graph,
    graph_record: Callable[..., GraphRecord],
    changes: dict[str, Any],
    sentence: str,
) -> None:
    taken = graph_record(graph, name="third", **changes)
    with other.write() as connection:
        insert_graph(connection, taken, graph)
    with pytest.raises(ValueError, match=f"the graph third@1 of the book, .* {sentence}: {taken.id}"):
        read(other, book)
