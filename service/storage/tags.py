"""What of a stored graph or run may change: its tags, and a run's label."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.orm import InstrumentedAttribute

from service.storage.models import GraphTag, RunRow, RunTag


def insert_tags(
    connection: Connection, owner: InstrumentedAttribute[str], tags: Mapping[str, Mapping[str, str]]
) -> None:
    """Insert the tags of graphs or runs, by their ids; `owner` is the column that holds the id."""
    rows = [
        {owner.key: identifier, "key": key, "value": value}
        for identifier, given in tags.items()
        for key, value in given.items()
    ]
    if rows:
        connection.execute(insert(owner.class_), rows)


def update_graph(connection: Connection, identifier: str, tags: Mapping[str, str]) -> None:
    """Replace the tags of a graph."""
    _replace_tags(connection, GraphTag.graph_id, identifier, tags)


def update_run(connection: Connection, identifier: str, label: str | None, tags: Mapping[str, str]) -> None:
    """Replace the label and the tags of a run."""
    connection.execute(update(RunRow).where(RunRow.id == identifier).values(label=label))
    _replace_tags(connection, RunTag.run_id, identifier, tags)


def _replace_tags(connection: Connection, owner: Any, identifier: str, tags: Mapping[str, str]) -> None:
    connection.execute(delete(owner.class_).where(owner == identifier))
    insert_tags(connection, owner, {identifier: tags})
