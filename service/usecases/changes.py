"""Change what may change of a stored graph or run: its tags, and a run's label."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.core.errors import LimitExceeded, PreconditionFailed
from service.storage import tags as storage
from service.storage.graphs import get_graph
from service.storage.records import GraphRecord, RunRecord
from service.storage.runs import get_run
from service.usecases import references
from service.usecases.context import Context


def update_graph(
    context: Context, graph_id: str, changes: Mapping[str, Any], seen: GraphRecord | None = None
) -> GraphRecord:
    """Change the tags of a graph by a JSON Merge Patch (RFC 7396): a tag that is None is taken away, the others stay.

    Raises NotFound, LimitExceeded, and PreconditionFailed if it has changed since it was `seen`.
    """
    with context.database.write() as connection:
        record = find_graph(connection, graph_id, seen)
        storage.update_graph(connection, record.id, _patched(context, record.tags, changes))
        context.database.count_change(connection)
        return get_graph(connection, record.id)


def update_run(context: Context, run_id: str, changes: Mapping[str, Any], seen: RunRecord | None = None) -> RunRecord:
    """Change the label and the tags of a run, as `update_graph` does: a label that is None is taken away.

    Raises NotFound, LimitExceeded, and PreconditionFailed if it has changed since it was `seen`.
    """
    with context.database.write() as connection:
        record = find_run(connection, run_id, seen)
        label, tags = changes.get("label", record.label), _patched(context, record.tags, changes)
        storage.update_run(connection, record.id, label, tags)
        return get_run(connection, record.id)


def find_graph(connection: Connection, reference: str, seen: GraphRecord | None) -> GraphRecord:
    """A graph as it is; raises NotFound, and PreconditionFailed if it has changed since it was `seen`."""
    record = get_graph(connection, references.graph_id(connection, reference))
    if seen and seen.tags != record.tags:
        raise _changed()
    return record


def find_run(connection: Connection, reference: str, seen: RunRecord | None) -> RunRecord:
    """A run as it is; raises as `find_graph`."""
    record = get_run(connection, references.run_id(connection, reference))
    if seen and _changeable(seen) != _changeable(record):
        raise _changed()
    return record


def _changeable(record: RunRecord) -> tuple[object, ...]:
    """What of a run may change."""
    return record.label, record.tags, record.has_gradients


def _patched(context: Context, tags: Mapping[str, str], changes: Mapping[str, Any]) -> dict[str, str]:
    """The tags after the change; raises LimitExceeded."""
    changed = changes.get("tags", {})
    merged = {} if changed is None else {key: value for key, value in {**tags, **changed}.items() if value is not None}
    most = context.limits.tags
    if len(merged) > most:
        raise LimitExceeded("tags", most, len(merged), f"at most {most} tags are allowed (the limit tags)")
    return merged


def _changed() -> PreconditionFailed:
    return PreconditionFailed("it has changed since it was read")
