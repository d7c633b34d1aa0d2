"""Graphs: row ↔ core."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Unpack

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, insert, or_, select

from service.core.errors import NotFound
from service.core.graph.graph import Graph
from service.core.graph.parts import GraphPart
from service.storage.contents import read_content, write_content
from service.storage.listing import Listed, holds, narrow
from service.storage.models import Content, GraphRow, GraphTag, RunRow, RunTag, SeriesTag
from service.storage.records import GraphRecord
from service.storage.tags import insert_tags

_GRAPHS = select(GraphRow.__table__, Content.node_count, Content.inputs, Content.outputs).join(Content)

# A graph that was never run stands where it would if it had been run when it was made: ids grow with time.
_LAST_RUN = select(func.max(RunRow.id)).where(RunRow.graph_id == GraphRow.id).scalar_subquery()
_ORDERS: Mapping[str, Sequence[Any]] = {
    "run": (func.coalesce(_LAST_RUN, GraphRow.id).desc(),),
    "new": (),
    "name": (func.lower(GraphRow.name), GraphRow.version.desc()),
    "nodes": (Content.node_count.desc(),),
}
ORDERS = tuple(_ORDERS)
_ALTERNATIVES = 500  # of a condition; SQLite takes fewer than a thousand


def insert_graph(connection: Connection, record: GraphRecord, graph: Graph) -> bool:
    """Insert the graph; insert its content only if the digest is new. Returns whether it was.

    Content of an equal digest may be stored already with its nodes in another order.
    """
    new = not connection.execute(select(exists().where(Content.digest == record.digest))).scalar_one()
    if new:
        content = {
            "digest": record.digest,
            "node_count": len(graph),
            "inputs": list(graph.inputs),
            "outputs": list(graph.outputs),
            "document": write_content(graph),
        }
        connection.execute(insert(Content), content)
    row = {
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "digest": record.digest,
        "expression": record.expression,
        "parent_id": record.parent,
        "created_at": record.created_at,
        "weights": dict(record.weights) or None,
        "weights_digest": _weights_digest(record.weights),
        "parts": [asdict(part) for part in record.parts] or None,
    }
    connection.execute(insert(GraphRow), row)
    insert_tags(connection, GraphTag.graph_id, {record.id: record.tags})
    return new


def find_graph(
    connection: Connection, name: str, digest: str, weights: Mapping[str, str] = MappingProxyType({})
) -> GraphRecord | None:
    """Find the version of that name whose content has that digest and those weights; None if there is none."""
    wanted = (GraphRow.name == name, GraphRow.digest == digest, GraphRow.weights_digest == _weights_digest(weights))
    rows = connection.execute(_GRAPHS.where(*wanted)).all()
    return _records(connection, rows)[0] if rows else None


def list_versions(connection: Connection, name: str) -> list[str]:
    """The ids of all versions of a name, the first one first."""
    return [*connection.scalars(select(GraphRow.id).where(GraphRow.name == name).order_by(GraphRow.version))]


def next_version(connection: Connection, name: str) -> int:
    """The version number for the next graph of that name, from 1."""
    latest = connection.execute(select(func.max(GraphRow.version)).where(GraphRow.name == name)).scalar()
    return (latest or 0) + 1


def get_graph(connection: Connection, identifier: str) -> GraphRecord:
    """Load one graph's record; raises NotFound."""
    rows = connection.execute(_GRAPHS.where(GraphRow.id == identifier)).all()
    if not rows:
        raise NotFound(f"there is no graph {identifier!r}")
    return _records(connection, rows)[0]


class ListedGraphs(Listed, total=False):
    """Graphs of a name, with a tag, key:value, and with the text `q` in name or expression."""

    name: str | None
    tag: str | None
    q: str | None


def list_graphs(connection: Connection, *, limit: int, **asked: Unpack[ListedGraphs]) -> list[GraphRecord]:
    """At most `limit` of the graphs that are asked for, newest first unless `sort` says."""
    query = narrow(connection, _having(asked.get("q"), asked.get("tag")), GraphRow, asked, limit)
    if (name := asked.get("name")) is not None:
        query = query.where(GraphRow.name == name)
    return _records(connection, connection.execute(query).all())


def search_graphs(
    connection: Connection, *, text: str | None, tag: str | None, order: str, start: int, limit: int
) -> list[GraphRecord]:
    """At most `limit` graphs, from number `start`, whose name or expression has `text` in it, in one of ORDERS."""
    query = _having(text, tag).order_by(*_ORDERS[order], GraphRow.id.desc()).offset(start).limit(limit)
    return _records(connection, connection.execute(query).all())


def _having(text: str | None, tag: str | None) -> Select[Any]:
    query = _GRAPHS
    if text:
        query = query.where(holds(text, GraphRow.name, GraphRow.expression))
    if tag is not None:
        query = query.where(GraphRow.id.in_(select(GraphTag.graph_id).where(is_tag(GraphTag, tag))))
    return query


def list_tags(connection: Connection, limit: int) -> list[str]:
    """At most `limit` of the tags that graphs have, as key:value."""
    query = select(GraphTag.key, GraphTag.value).distinct().order_by(GraphTag.key, GraphTag.value).limit(limit)
    return [f"{row.key}:{row.value}" for row in connection.execute(query)]


def count_nodes(connection: Connection, digest: str) -> int:
    """Count the nodes of the graph of that digest without loading it; 0 if there is none."""
    return connection.execute(select(Content.node_count).where(Content.digest == digest)).scalar() or 0


def load_graph(connection: Connection, digest: str) -> Graph:
    """Load the graph of that digest, which was validated when it was built. Raises NotFound."""
    query = select(Content.document, Content.inputs, Content.outputs).where(Content.digest == digest)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no graph with the digest {digest}")
    graph = read_content(row.document, row.inputs, row.outputs)
    vars(graph)["digest"] = digest  # saves computing it again
    return graph


def is_tag(row: type[GraphTag] | type[RunTag] | type[SeriesTag], text: str) -> ColumnElement[bool]:
    """Whether a row is the tag written key:value; key and value may contain colons themselves."""
    splits = [position for position, character in enumerate(text) if character == ":"]
    if len(splits) > _ALTERNATIVES:
        return row.key + ":" + row.value == text  # which no index finds
    return or_(*(and_(row.key == text[:position], row.value == text[position + 1 :]) for position in splits))


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> list[GraphRecord]:
    tags: dict[str, dict[str, str]] = {row.id: {} for row in rows}
    query = select(GraphTag.__table__).where(GraphTag.graph_id.in_(tags)).order_by(GraphTag.key)
    for tag in connection.execute(query):
        tags[tag.graph_id][tag.key] = tag.value
    return [
        GraphRecord(
            id=row.id,
            name=row.name,
            version=row.version,
            digest=row.digest,
            inputs=tuple(row.inputs),
            outputs=tuple(row.outputs),
            node_count=row.node_count,
            expression=row.expression,
            parent=row.parent_id,
            tags=tags[row.id],
            created_at=row.created_at,
            weights=row.weights or {},
            parts=tuple(GraphPart(**part) for part in row.parts or ()),
        )
        for row in rows
    ]


def _weights_digest(weights: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(weights.items())).encode()).hexdigest() if weights else ""
