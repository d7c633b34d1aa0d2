"""The pages of jobs: what waits, is under way or has ended, how far each has come, and what came of it."""

from datetime import UTC, datetime

from flask import Response, make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse
from werkzeug.wsgi import get_path_info

from service.api.http.request import context
from service.api.jobs import job_document, unit_of
from service.storage.jobs import REQUEST, STATES, JobRecord
from service.usecases import jobs as usecases
from service.usecases.graphs import get_graph
from service.web.pages.page import page, see

_LISTED = 25
_REFRESHED = "2"  # seconds after which the page of a job that has not ended is asked for again
_WITH_PAGES = ("sweeps", "runs", "graphs", "comparisons", "series")


@page("GET", "/jobs")
def list_jobs() -> str:
    """List the jobs, newest first"""
    state = request.args.get("state")
    state = state if state in STATES else None
    found = usecases.list_jobs(context(), state=state, after=request.args.get("after"), limit=_LISTED + 1)
    shown = [(record, title_of(record)) for record in found[:_LISTED]]
    after = shown[-1][0].id if len(found) > _LISTED else None
    return render_template("jobs.html", section="Jobs", jobs=shown, after=after, state=state, states=STATES)


@page("GET", "/jobs/<job_id>")
def get_job(job_id: str) -> Response:
    """Show a job, again and again until it has ended"""
    record = usecases.get_job(context(), job_id)
    shown = render_template(
        "job.html",
        section="Jobs",
        record=record,
        title=title_of(record),
        unit=unit_of(record),
        took=_took(record),
        remaining=_remaining(record),
        result=_page_of(record),
    )
    return make_response(shown, {} if record.has_ended else {"Refresh": _REFRESHED})


@page("POST", "/jobs/<job_id>/cancel")
def cancel_job(job_id: str) -> AnyResponse:
    """Cancel a job, and show it"""
    return see("get_job", job_id=usecases.cancel_job(context(), job_id).id)


@page("POST", "/jobs/<job_id>/retry")
def retry_job(job_id: str) -> AnyResponse:
    """Have a job be done again as far as it is not done, and show it"""
    return see("get_job", job_id=usecases.retry_job(context(), job_id).id)


def title_of(record: JobRecord) -> str:
    """What a job does, in a few words."""
    if record.graph_id is not None:
        return f"Sweep of {get_graph(context(), record.graph_id).name}"
    if record.kind != REQUEST:
        return record.kind
    asked = record.task["environ"]
    return f"{asked['REQUEST_METHOD']} {get_path_info(asked)}"


def duration(seconds: float) -> str:
    """A length of time to be read at a glance: 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _took(record: JobRecord) -> str | None:
    if record.started_at is None:
        return None
    return duration(((record.ended_at or datetime.now(UTC)) - record.started_at).total_seconds())


def _remaining(record: JobRecord) -> str | None:
    """How long a job will take from now on, as far as that is known."""
    estimate = job_document(record)["estimate"]
    if record.has_ended or record.started_at is None or not record.done or estimate is None:
        return None
    return duration(max(0.0, estimate - (datetime.now(UTC) - record.started_at).total_seconds()))


def _page_of(record: JobRecord) -> str | None:
    """Where what came of a job is shown; what has no page is answered by the API."""
    if record.result is None:
        return None
    path = record.result.removeprefix("/v1")
    shown = path.strip("/").partition("/")[0] in _WITH_PAGES and path.count("/") == 2
    return f"{request.script_root}{path if shown else record.result}"
