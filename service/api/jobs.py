"""Jobs over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, current_app

from service.api.http import npz
from service.api.http.endpoint import Blueprint
from service.api.http.paging import LISTED, Page, Paging
from service.api.http.request import context
from service.api.http.response import location, respond, send
from service.api.job_schemas import JobDocument, JobPage, JobsQuery, ResultDocument
from service.storage.jobs import REQUEST, SWEEP, JobRecord
from service.usecases import job_results
from service.usecases import jobs as usecases

_UNITS = {SWEEP: "points", REQUEST: "requests"}
_SECONDS_OF_AN_OPERATION = 1e-9

blueprint = Blueprint("jobs", __name__, description="Work that is longer than a request")


@blueprint.endpoint("GET", "/v1/jobs", query=JobsQuery, answer=JobPage, page=Paging("jobs", LISTED))
def list_jobs(query: dict[str, Any], page: Page) -> tuple[list[Any], str | None]:
    """List jobs, newest first"""
    return page.cut(usecases.list_jobs(context(), **query, after=page.after, limit=page.size + 1), job_document)


@blueprint.endpoint("GET", "/v1/jobs/<job_id>", answer=JobDocument, problems=(404,))
def get_job(job_id: str) -> Response:
    """Read how far a job has come"""
    return respond(job_document(usecases.get_job(context(), job_id)))


@blueprint.endpoint("DELETE", "/v1/jobs/<job_id>", answer=JobDocument, status=202, problems=(404, 409))
def cancel_job(job_id: str) -> Response:
    """Cancel a job: its work stops within a second, what is done of it stays"""
    return respond(job_document(usecases.cancel_job(context(), job_id)), 202)


@blueprint.endpoint("POST", "/v1/jobs/<job_id>/retry", answer=JobDocument, status=202, problems=(404, 409))
def retry_job(job_id: str) -> Response:
    """Do a job that failed or was cancelled again, as far as it is not done"""
    return respond_job(usecases.retry_job(context(), job_id))


@blueprint.endpoint(
    "GET", "/v1/jobs/<job_id>/result", answer=ResultDocument, problems=(404, 409), forms=(npz.MEDIA_TYPE,)
)
def get_job_result(job_id: str) -> Response:
    """Read what a request was answered that was sent with `Prefer: respond-async`, where it made nothing to be read"""
    answer, pieces = job_results.get_job_result(context(), job_id)
    return send(pieces, content_type=answer.content_type)


def respond_job(record: JobRecord) -> Response:
    """The answer to a request that became a job."""
    return respond(job_document(record), 202, {"Location": location(f"/v1/jobs/{record.id}")})


def job_document(record: JobRecord) -> dict[str, Any]:
    """A job as it is answered."""
    days = current_app.extensions["settings"].work.job_days
    expires_at = record.ended_at + timedelta(days=days) if record.ended_at else None
    return {
        "id": record.id,
        "kind": record.kind,
        "state": record.state,
        "graph_id": record.graph_id,
        "done": record.done,
        "total": record.total,
        "unit": unit_of(record),
        "estimate": _estimate(record),
        "created_at": record.created_at.isoformat(),
        "started_at": _written(record.started_at),
        "ended_at": _written(record.ended_at),
        "expires_at": _written(expires_at),
        "result": record.result,
        "problem": record.problem,
    }


def unit_of(record: JobRecord) -> str:
    """What is counted of a job."""
    return _UNITS.get(record.kind, "units")


def _estimate(record: JobRecord) -> float | None:
    if record.started_at and record.ended_at:
        return (record.ended_at - record.started_at).total_seconds()
    if record.started_at and record.done:
        return (datetime.now(UTC) - record.started_at).total_seconds() * record.total / record.done
    return record.operations * _SECONDS_OF_AN_OPERATION or None


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
