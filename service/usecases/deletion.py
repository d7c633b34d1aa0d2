"""Delete graphs, runs, comparisons, derivatives, series and sweeps."""

from service.storage import deletion as storage
from service.storage import jobs as job_storage
from service.storage import series as series_storage
from service.storage.records import GraphRecord, RunRecord
from service.usecases import references
from service.usecases.changes import find_graph, find_run
from service.usecases.context import Context
from service.usecases.sweeps import get_sweep_job


def delete_graph(context: Context, graph_id: str, *, cascade: bool = False, seen: GraphRecord | None = None) -> None:
    """Delete a graph; raises NotFound, and Conflict while runs, series, derivatives or other graphs need it.

    With `cascade` these are deleted too. Raises PreconditionFailed if it has changed since it was `seen`.
    """
    with context.database.write() as connection:
        storage.delete_graph(connection, find_graph(connection, graph_id, seen).id, cascade=cascade)
        context.database.count_change(connection)


def delete_run(context: Context, run_id: str, *, cascade: bool = False, seen: RunRecord | None = None) -> None:
    """Delete a run; raises NotFound, and Conflict while comparisons need it, unless `cascade` deletes these too.

    Raises PreconditionFailed if it has changed since it was `seen`.
    """
    with context.database.write() as connection:
        storage.delete_run(connection, find_run(connection, run_id, seen).id, cascade=cascade)


def delete_comparison(context: Context, comparison_id: str) -> None:
    """Delete a comparison, and keep its runs; raises NotFound."""
    with context.database.write() as connection:
        storage.delete_comparison(connection, references.comparison_id(connection, comparison_id))


def delete_derivatives(context: Context, derivatives_id: str) -> None:
    """Delete derivatives that were kept; raises NotFound."""
    with context.database.write() as connection:
        storage.delete_derivatives(connection, references.derivatives_id(connection, derivatives_id))


def delete_series(context: Context, series_id: str) -> None:
    """Delete a series with its steps and the runs that are kept of them; raises NotFound."""
    with context.database.write() as connection:
        series_storage.delete_series(connection, references.series_id(connection, series_id))


def delete_sweep(context: Context, sweep_id: str) -> None:
    """Delete a sweep with its job and its points; raises NotFound, and Conflict unless the job has ended."""
    identifier = get_sweep_job(context, sweep_id).id
    with context.database.write() as connection:
        job_storage.delete_job(connection, identifier)
