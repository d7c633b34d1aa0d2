"""Requests that were done as jobs, without a process that does them."""

from datetime import UTC, datetime

from service.storage.identifiers import new_id
from service.storage.jobs import RUNNING, JobRecord, end_job, insert_chunks, insert_job
from service.usecases.context import Context
from service.usecases.job_results import KeptAnswer, pack_answer, result_of

_OWNER = "a test"


def keep_answer(context: Context, body: bytes) -> str:
    """The id of a job that is done, and was answered with this JSON."""
    answer, begun = KeptAnswer("application/json", len(body), None), datetime.now(UTC)
    job = JobRecord(new_id(), "request", {}, begun, 1, 1, state=RUNNING, started_at=begun, owner=_OWNER)
    with context.database.write() as connection:
        insert_job(connection, job)
        insert_chunks(connection, job.id, _OWNER, pack_answer(answer, body))
        end_job(connection, job.id, _OWNER, result=result_of(job.id, answer))
    return job.id
