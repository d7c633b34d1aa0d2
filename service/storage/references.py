"""Queries for what refers to a graph, a run and the like, answered with ids or names."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from service.storage.models import ComparisonRow, DerivativesRow, GraphRow, JobRow, RunRow, SeriesRow

SHORT = 8  # characters at the end of an id: at the beginning is the time, which many share
# Where they begin, written out: the index of runs by the ends of their ids has no parameter.
_END: ColumnElement[int] = literal_column(str(36 - SHORT + 1))
_IDS: Mapping[str, InstrumentedAttribute[str]] = {
    "graph": GraphRow.id,
    "run": RunRow.id,
    "comparison": ComparisonRow.id,
    "derivatives": DerivativesRow.id,
    "series": SeriesRow.id,
    "job": JobRow.id,
    "sweep": JobRow.id,
}


def has_id(connection: Connection, kind: str, identifier: str) -> bool:
    """Whether there is a "graph", "run", "comparison", "derivatives", "series" or "job" of that id."""
    column = _IDS[kind]
    return connection.scalar(select(column).where(column == identifier)) is not None


def list_ids(connection: Connection, kind: str, end: str, limit: int) -> list[str]:
    """At most `limit` ids of that kind of which `end` is the last SHORT characters, oldest first."""
    column = _IDS[kind]
    ending = func.substr(column, _END) == end
    return [*connection.scalars(select(column).where(ending).order_by(column).limit(limit))]


def find_version(connection: Connection, name: str, version: int | None = None) -> str | None:
    """The id of that version of a graph, or of its highest one; None if there is none."""
    query = select(GraphRow.id).where(GraphRow.name == name).order_by(GraphRow.version.desc()).limit(1)
    return connection.scalar(query if version is None else query.where(GraphRow.version == version))


def highest_version(connection: Connection, name: str) -> int | None:
    """The highest version of the graphs of that name; None if there is none."""
    return connection.scalar(select(func.max(GraphRow.version)).where(GraphRow.name == name))


def list_names(connection: Connection, limit: int) -> list[str]:
    """At most `limit` names of graphs."""
    return [*connection.scalars(select(GraphRow.name).distinct().limit(limit))]


def find_labelled(connection: Connection, graph: str, name: str, label: str) -> str | None:
    """The id of the newest run with that label of the graph of the id `graph`, or of any that is called `name`."""
    query = select(RunRow.id).where(RunRow.label == label, RunRow.graph_id.in_(_of(graph, name)))
    return connection.scalar(query.order_by(RunRow.id.desc()).limit(1))


def list_labels(connection: Connection, graph: str, name: str, limit: int) -> list[str]:
    """At most `limit` labels of runs of these graphs."""
    query = select(RunRow.label).where(RunRow.label.is_not(None), RunRow.graph_id.in_(_of(graph, name)))
    return [label for label in connection.scalars(query.distinct().limit(limit)) if label is not None]


def _of(graph: str, name: str) -> Select[str]:
    return select(GraphRow.id).where(or_(GraphRow.id == graph, GraphRow.name == name))
