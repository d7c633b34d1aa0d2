"""Graphs: row ↔ core."""

import json
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, tuple_

from service.core.errors import Conflict, NotFound
from service.core.graph import Graph, Node, node_document
from service.core.operation import NO_ATTRIBUTES, find
from service.storage.models import Content, GraphRow, GraphTag, RunRow
from service.storage.records import GraphRecord

_COLUMNS = select(GraphRow.__table__, Content.node_count).join(Content, Content.digest == GraphRow.digest)


def insert_graph(connection: Connection, record: GraphRecord, graph: Graph) -> None:
    """Keep a graph; its content only if no other graph has kept it."""
    known = connection.execute(select(Content.digest).where(Content.digest == record.digest)).first()
    if known is None:
        content = {"digest": record.digest, "node_count": len(graph), "document": _pack(graph)}
        connection.execute(insert(Content), content)
    row = {
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "digest": record.digest,
        "inputs": list(record.inputs),
        "outputs": list(record.outputs),
        "expression": record.expression,
        "parent_id": record.parent,
        "created_at": record.created_at,
    }
    connection.execute(insert(GraphRow), row)
    if record.tags:
        tags = [{"graph_id": record.id, "key": key, "value": value} for key, value in record.tags.items()]
        connection.execute(insert(GraphTag), tags)


def find_graph(connection: Connection, name: str, digest: str) -> GraphRecord | None:
    """The version of that name with that content, or None."""
    row = connection.execute(_COLUMNS.where(GraphRow.name == name, GraphRow.digest == digest)).one_or_none()
    return _records(connection, [row])[0] if row else None


def next_version(connection: Connection, name: str) -> int:
    """The version that a new graph of that name gets, from 1."""
    latest = connection.execute(select(func.max(GraphRow.version)).where(GraphRow.name == name)).scalar()
    return (latest or 0) + 1


def get_graph(connection: Connection, identifier: str) -> GraphRecord:
    """One graph's record; raises NotFound."""
    row = connection.execute(_COLUMNS.where(GraphRow.id == identifier)).one_or_none()
    if row is None:
        raise NotFound(f"there is no graph {identifier!r}")
    return _records(connection, [row])[0]


def list_graphs(
    connection: Connection, *, name: str | None, tag: tuple[str, str] | None, after: str | None, limit: int
) -> list[GraphRecord]:
    """Graphs, newest first, from the one after `after`."""
    query = _COLUMNS.order_by(GraphRow.id.desc()).limit(limit)
    if name is not None:
        query = query.where(GraphRow.name == name)
    if tag is not None:
        tagged = select(GraphTag.graph_id).where(tuple_(GraphTag.key, GraphTag.value) == tag)
        query = query.where(GraphRow.id.in_(tagged))
    if after is not None:
        query = query.where(GraphRow.id < after)
    return _records(connection, connection.execute(query).all())


def load_graph(connection: Connection, digest: str) -> Graph:
    """The graph of that digest, which must be kept; it was validated when it came."""
    document = connection.execute(select(Content.document).where(Content.digest == digest)).scalar_one()
    return _unpack(document)


def delete_graph(connection: Connection, identifier: str) -> None:
    """Forget a graph; raises NotFound, and Conflict while runs or graphs made from it refer to it."""
    record = get_graph(connection, identifier)
    for what, column in (("run", RunRow.graph_id), ("graph made from it", GraphRow.parent_id)):
        count = connection.execute(select(func.count()).where(column == identifier)).scalar_one()
        if count:
            raise Conflict(f"{count} {what}{'s' if count > 1 and what == 'run' else ''} refer to this graph")
    connection.execute(delete(GraphRow).where(GraphRow.id == identifier))
    others = select(GraphRow.id).where(GraphRow.digest == record.digest)
    connection.execute(delete(Content).where(Content.digest == record.digest, ~others.exists()))


def _records(connection: Connection, rows: Any) -> list[GraphRecord]:
    tags: dict[str, dict[str, str]] = {row.id: {} for row in rows}
    for tag in connection.execute(select(GraphTag.__table__).where(GraphTag.graph_id.in_(tags))):
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
        )
        for row in rows
    ]


def _pack(graph: Graph) -> bytes:
    document = {
        "nodes": [node_document(node) for node in graph.nodes],
        "inputs": graph.inputs,
        "outputs": graph.outputs,
    }
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)


def _unpack(blob: bytes) -> Graph:
    document = json.loads(zlib.decompress(blob))
    nodes = tuple(_node(node) for node in document["nodes"])
    return Graph(nodes, tuple(document["inputs"]), tuple(document["outputs"]))


def _node(document: Mapping[str, Any]) -> Node:
    operation = find(document["operation"])
    if operation is None:
        raise LookupError(f"a stored graph has the operation {document['operation']!r}, which the rulebook lost")
    given = document.get("attributes")
    attributes = (
        MappingProxyType(
            {
                attribute.name: attribute.read(given[attribute.name])
                if given.get(attribute.name) is not None
                else attribute.default
                for attribute in operation.attributes
            }
        )
        if given
        else NO_ATTRIBUTES
    )
    return Node(document["name"], operation, tuple(document.get("inputs", ())), attributes)
