"""A book: graphs, runs, comparisons, derivatives, series, sweeps and tensors in one zip, whatever database they are of.

The zip has `book.json`, which says the schema and how many rows there are of each table, and for each table a member
such as `graphs.jsonl`: its rows by primary key, each an object in a line of its own, bytes as base64 and times in
ISO 8601. Equal rows make equal bytes.
"""

import base64
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select, text, true

from service.storage.jobs import SWEEP
from service.storage.models import (
    Base,
    ComparisonRow,
    Content,
    DerivativeFigure,
    DerivativesRow,
    GraphRow,
    JobRow,
    RunFigures,
    RunRow,
    SeriesRow,
    TensorRow,
)
from service.storage.tensors import used_tensors

FORMAT = "gradbook book 1"
MANIFEST = "book.json"
# What rows are a part of, by their table: the first column of their primary key is its id.
PARTS = {
    "tensor_chunks": "tensors",
    "graph_tags": "graphs",
    "run_tags": "runs",
    "run_figures": "runs",
    "run_chunks": "runs",
    "derivative_figures": "derivatives",
    "series_tags": "series",
    "series_steps": "series",
    "job_chunks": "jobs",
}
# The tables of a book, each after those that it refers to.
TABLES: list[Table] = [
    Base.metadata.tables[name]
    for name in (
        *("contents", "tensors", "tensor_chunks", "graphs", "graph_tags"),
        *("runs", "run_tags", "run_figures", "run_chunks"),
        *("derivatives", "derivative_figures", "comparisons"),
        *("series", "series_tags", "series_steps"),
        *("jobs", "job_chunks"),
    )
]
_IS_RESULT = and_(JobRow.kind == SWEEP, JobRow.ended_at.is_not(None))
_AT_ONCE = 20  # rows, each of which may be a chunk of figures
_LEVEL = 1  # of compression: figures hardly get smaller


def write_book(connection: Connection, file: BinaryIO, graphs: Collection[str] | None = None) -> dict[str, int]:
    """Write all that is stored, or the graphs of these ids with what is theirs; returns how many rows of each table.

    With a graph go its runs, the comparisons among these, its derivatives, its series, its sweeps, the tensors that all
    of them use, and the graphs that it was made from, without what is theirs. Of jobs only sweeps go that have ended.
    """
    wanted = _with_parts({"jobs": _IS_RESULT}) if graphs is None else _what_is_of(connection, graphs)
    rows = {table.name: select(table).where(wanted.get(table.name, true())) for table in TABLES}
    counts = {
        name: connection.execute(select(func.count()).select_from(each.subquery())).scalar_one()
        for name, each in rows.items()
    }
    with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=_LEVEL) as book:
        with book.open(MANIFEST, "w") as manifest:
            manifest.write(_line({"format": FORMAT, "schema": schema_of(connection), "rows": counts}))
        for table in TABLES:
            ordered = rows[table.name].order_by(*table.primary_key.columns)
            with book.open(member_of(table), "w", force_zip64=True) as lines:
                for row in connection.execute(ordered, execution_options={"yield_per": _AT_ONCE}):
                    lines.write(_line({name: _written(value) for name, value in row._mapping.items()}))
    return counts


def member_of(table: Table) -> str:
    """Where in the zip the rows of a table are."""
    return f"{table.name}.jsonl"


def schema_of(connection: Connection) -> str:
    """The revision of the database's schema."""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def _what_is_of(connection: Connection, graphs: Collection[str]) -> dict[str, ColumnElement[bool]]:
    """Which rows of each table these graphs take along."""
    origin = select(GraphRow.id, GraphRow.parent_id, GraphRow.digest)
    family = origin.where(GraphRow.id.in_(graphs)).cte(recursive=True)
    family = family.union(origin.where(GraphRow.id == family.c.parent_id))
    runs = select(RunRow.id).where(RunRow.graph_id.in_(graphs))
    derivatives = select(DerivativesRow.id).where(DerivativesRow.graph_id.in_(graphs))
    jobs = and_(
        _IS_RESULT,
        JobRow.graph_id.in_(graphs),
        or_(JobRow.other_graph_id.is_(None), JobRow.other_graph_id.in_(graphs)),
    )
    weights = GraphRow.id.in_(select(family.c.id))
    tensors = used_tensors(
        connection, weights, RunFigures.run_id.in_(runs), DerivativeFigure.derivatives_id.in_(derivatives), jobs
    )
    roots = {
        "contents": Content.digest.in_(select(family.c.digest)),
        "tensors": TensorRow.digest.in_(tensors),
        "graphs": GraphRow.id.in_(select(family.c.id)),
        "runs": RunRow.id.in_(runs),
        "derivatives": DerivativesRow.id.in_(derivatives),
        "series": SeriesRow.graph_id.in_(graphs),
        "jobs": jobs,
        "comparisons": and_(ComparisonRow.baseline_id.in_(runs), ComparisonRow.candidate_id.in_(runs)),
    }
    return _with_parts(roots)


def _with_parts(roots: Mapping[str, ColumnElement[bool]]) -> dict[str, ColumnElement[bool]]:
    """Which rows of these tables, and of the parts of them."""
    tables = Base.metadata.tables
    parts = {
        part: next(iter(tables[part].primary_key)).in_(select(*tables[whole].primary_key).where(roots[whole]))
        for part, whole in PARTS.items()
        if whole in roots
    }
    return {**roots, **parts}


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _written(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value.isoformat() if isinstance(value, datetime) else value
