"""Jobs: work that is longer than a request; `service.jobs` does it."""

from typing import Unpack

from service.storage import jobs as storage
from service.storage.jobs import JobRecord, ListedJobs
from service.usecases import references
from service.usecases.context import Context


def get_job(context: Context, job_id: str) -> JobRecord:
    """Read a job; raises NotFound."""
    with context.database.read() as connection:
        return storage.get_job(connection, references.job_id(connection, job_id))


def list_jobs(context: Context, *, limit: int, **asked: Unpack[ListedJobs]) -> list[JobRecord]:
    """List jobs, newest first unless `sort` says."""
    with context.database.read() as connection:
        return storage.list_jobs(connection, limit=limit, **asked)


def cancel_job(context: Context, job_id: str) -> JobRecord:
    """Cancel a job, which is not done any further; raises NotFound, Conflict if it has ended."""
    with context.database.write() as connection:
        return storage.cancel_job(connection, references.job_id(connection, job_id))


def retry_job(context: Context, job_id: str) -> JobRecord:
    """Have a job that failed or was cancelled be done as far as it is not; raises NotFound, Conflict."""
    with context.database.write() as connection:
        return storage.retry_job(connection, references.job_id(connection, job_id))
