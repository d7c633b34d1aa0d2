"""Comparisons: row ↔ record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import Connection, exists, insert, or_, select

from service.core.errors import NotFound
from service.storage.listing import Listed, narrow
from service.storage.models import ComparisonRow, RunRow


@dataclass(frozen=True, slots=True)
class ComparisonRecord:
    """A request (`tolerance` as it was given, `names` candidate → baseline, `align` what pairs the other nodes, "names"
    or "probes") and its result.

    `rounded` names, by phase, the nodes whose figure was claimed rounded to its last digit.
    """

    id: str
    baseline_id: str
    candidate_id: str
    tolerance: Any
    names: Mapping[str, str]
    backward: bool
    verdict: str
    counts: Mapping[str, int]
    created_at: datetime
    rounded: Mapping[str, Sequence[str]] = field(default_factory=dict)
    align: str = "names"


def insert_comparison(connection: Connection, record: ComparisonRecord) -> None:
    """Insert a comparison."""
    connection.execute(insert(ComparisonRow), asdict(record))


def get_comparison(connection: Connection, identifier: str) -> ComparisonRecord:
    """One comparison; raises NotFound."""
    row = connection.execute(select(ComparisonRow.__table__).where(ComparisonRow.id == identifier)).one_or_none()
    if row is None:
        raise NotFound(f"there is no comparison {identifier!r}")
    return ComparisonRecord(**row._mapping)


class ListedComparisons(Listed, total=False):
    """Comparisons with the `verdict` same or differ."""

    verdict: str | None


def list_comparisons(
    connection: Connection,
    *,
    run: str | None = None,
    graph: str | None = None,
    checks: bool = False,
    limit: int,
    **asked: Unpack[ListedComparisons],
) -> list[ComparisonRecord]:
    """At most `limit` of the comparisons that are asked for, newest first unless `sort` says; `run` is the id of either
    side, `graph` that of either side's graph; `checks` are those of a computed run with recorded figures."""
    query = narrow(connection, select(ComparisonRow.__table__), ComparisonRow, asked, limit)
    if (verdict := asked.get("verdict")) is not None:
        query = query.where(ComparisonRow.verdict == verdict)
    if checks:
        for side, source in ((ComparisonRow.baseline_id, "computed"), (ComparisonRow.candidate_id, "recorded")):
            query = query.where(exists().where(RunRow.id == side, RunRow.source == source))
    if run is not None:
        query = query.where(or_(ComparisonRow.baseline_id == run, ComparisonRow.candidate_id == run))
    if graph is not None:
        # Asked of each comparison: a graph may have millions of runs.
        sides = (ComparisonRow.baseline_id, ComparisonRow.candidate_id)
        query = query.where(or_(*(exists().where(RunRow.id == side, RunRow.graph_id == graph) for side in sides)))
    return [ComparisonRecord(**row._mapping) for row in connection.execute(query)]
