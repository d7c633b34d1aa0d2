"""Deletion: what rests on a graph or a run stands in its way, or goes with it."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, or_, select, update

from service.core.errors import Conflict, NotFound
from service.storage.graphs import get_graph
from service.storage.jobs import SWEEP
from service.storage.listing import at_most, count_some
from service.storage.models import ComparisonRow, Content, DerivativesRow, GraphRow, JobRow, RunRow, SeriesRow
from service.storage.runs import get_run

_MOST_NAMED = 5  # of what stands in the way

Runs: TypeAlias = Select[str] | list[str]


def delete_graph(connection: Connection, identifier: str, *, cascade: bool = False) -> None:
    """Delete a graph; with `cascade` also its runs, series, derivatives and sweeps, and the graphs made from it with
    theirs.

    Raises NotFound and, without `cascade`, Conflict while any of these refer to it.
    """
    get_graph(connection, identifier)
    if not cascade:
        _refuse(
            connection,
            "the graph",
            ("run refers", "runs refer", RunRow.id, RunRow.graph_id == identifier),
            (
                "set of derivatives refers",
                "sets of derivatives refer",
                DerivativesRow.id,
                DerivativesRow.graph_id == identifier,
            ),
            ("series refers", "series refer", SeriesRow.id, SeriesRow.graph_id == identifier),
            ("sweep refers", "sweeps refer", JobRow.id, and_(JobRow.kind == SWEEP, needs_graph([identifier]))),
            ("graph made from it refers", "graphs made from it refer", GraphRow.id, GraphRow.parent_id == identifier),
        )
    family = select(GraphRow.id, GraphRow.digest).where(GraphRow.id == identifier).cte(recursive=True)
    family = family.union(select(GraphRow.id, GraphRow.digest).where(GraphRow.parent_id == family.c.id))
    found = connection.execute(select(family)).all()
    graphs, digests = [row.id for row in found], {row.digest for row in found}
    connection.execute(delete(SeriesRow).where(SeriesRow.graph_id.in_(graphs)))
    delete_runs(connection, select(RunRow.id).where(RunRow.graph_id.in_(graphs)))
    connection.execute(delete(DerivativesRow).where(DerivativesRow.graph_id.in_(graphs)))
    connection.execute(delete(JobRow).where(JobRow.kind == SWEEP, needs_graph(graphs)))
    connection.execute(update(JobRow).where(JobRow.graph_id.in_(graphs)).values(graph_id=None))
    connection.execute(delete(GraphRow).where(GraphRow.id.in_(graphs)))
    is_shared = exists().where(GraphRow.digest == Content.digest)
    connection.execute(delete(Content).where(Content.digest.in_(digests), ~is_shared))


def delete_run(connection: Connection, identifier: str, *, cascade: bool = False) -> None:
    """Delete a run; with `cascade` also the comparisons of it, which otherwise raise Conflict. Raises NotFound."""
    get_run(connection, identifier)
    if not cascade:
        _refuse(
            connection, "the run", ("comparison refers", "comparisons refer", ComparisonRow.id, compares([identifier]))
        )
    delete_runs(connection, [identifier])


def delete_runs(connection: Connection, runs: Runs) -> int:
    """Delete the runs of these ids, and the comparisons of them; returns how many comparisons."""
    compared = connection.execute(delete(ComparisonRow).where(compares(runs)))
    connection.execute(delete(RunRow).where(RunRow.id.in_(runs)))
    return compared.rowcount


def needs_graph(graphs: list[str]) -> ColumnElement[bool]:
    """Whether a job needs one of these graphs."""
    return or_(JobRow.graph_id.in_(graphs), JobRow.other_graph_id.in_(graphs))


def compares(runs: Runs) -> ColumnElement[bool]:
    """Whether a comparison is of one of these runs."""
    return or_(ComparisonRow.baseline_id.in_(runs), ComparisonRow.candidate_id.in_(runs))


def delete_comparison(connection: Connection, identifier: str) -> None:
    """Delete a comparison, not its runs; raises NotFound."""
    if not connection.execute(delete(ComparisonRow).where(ComparisonRow.id == identifier)).rowcount:
        raise NotFound(f"there is no comparison {identifier!r}")


def delete_derivatives(connection: Connection, identifier: str) -> None:
    """Delete derivatives; raises NotFound."""
    if not connection.execute(delete(DerivativesRow).where(DerivativesRow.id == identifier)).rowcount:
        raise NotFound(f"there are no derivatives {identifier!r}")


def _refuse(connection: Connection, what: str, *needs: tuple[str, str, Any, ColumnElement[bool]]) -> None:
    """Raise Conflict, naming what refers to it, if anything does: each need has its words for one and for several."""
    said = [
        f"{at_most(count)} {one if count == 1 else several} to it ({_listed(connection, column, refers, count)})"
        for one, several, column, refers in needs
        if (count := count_some(connection, refers))
    ]
    if said:
        raise Conflict(f"{what} cannot be deleted: {'; '.join(said)}. Delete that first, or ask for cascade")


def _listed(connection: Connection, column: Any, refers: ColumnElement[bool], count: int) -> str:
    newest: Iterable[str] = connection.scalars(select(column).where(refers).order_by(column.desc()).limit(_MOST_NAMED))
    return ", ".join([*newest, *(["…"] if count > _MOST_NAMED else [])])
