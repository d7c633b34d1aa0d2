"""The commands `job list`, `show`, `wait`, `cancel` and `retry`."""

from typing import Any

import click

from service.cli.terminal import (
    client_options,
    first,
    key_option,
    print_json,
    print_list,
    print_members,
    short_id,
    short_time,
)
from service.cli.waiting import connect, follow
from service.client.results.jobs import Job

_STATES = ("waiting", "running", "done", "failed", "cancelled")


@click.group()
def job() -> None:
    """Work that takes longer than a request should: sweeps, and what would not be answered in time."""


@job.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only jobs in this state.")
@click.option("--kind", type=click.Choice(["sweep", "request"]), help="Only jobs of this kind.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The most to list.")
@client_options
def list_jobs(limit: int, url: str, as_json: bool, **asked: Any) -> None:
    """List jobs, newest first."""
    with connect(url) as service:
        found = first(service.list_jobs(**asked), limit)
    if as_json:
        print_json([each.document for each in found])
        return
    columns = {
        "id": [short_id(each.id) for each in found],
        "kind": [each.kind for each in found],
        "state": [each.state for each in found],
        "done": [f"{each.done}/{each.total} {each.unit}" for each in found],
        "created": [short_time(each.created_at) for each in found],
    }
    print_list(columns, whole=("id", "created"))


@job.command("show")
@click.argument("job")
@client_options
def get_job(job: str, url: str, as_json: bool) -> None:
    """Show how far a job is."""
    with connect(url) as service:
        print_job(service.get_job(job), as_json)


@job.command("wait")
@click.argument("job")
@client_options
def get_job_result(job: str, url: str, as_json: bool) -> None:
    """Wait for a job, and show how it ended or, with --json, what it came to: JSON, or bytes in another form."""
    with connect(url) as service:
        ended = follow(service.get_job(job))
        ended.raise_for_state()
        if not as_json:
            print_job(ended, as_json)
            return
        came_to = service.get_job_result(ended)
    if isinstance(came_to, bytes):
        click.echo(came_to, nl=False)
    else:
        print_json(getattr(came_to, "document", came_to))


@job.command("cancel")
@click.argument("job")
@client_options
def cancel_job(job: str, url: str, as_json: bool) -> None:
    """Stop a job; what is done of it stays."""
    with connect(url) as service:
        print_job(service.cancel_job(job), as_json)


@job.command("retry")
@click.argument("job")
@key_option
@client_options
def retry_job(job: str, key: str | None, url: str, as_json: bool) -> None:
    """Go on with a job that failed or was cancelled, with what is not done of it."""
    with connect(url) as service:
        print_job(service.retry_job(job, key=key), as_json)


def print_job(job: Job, as_json: bool) -> None:
    """Print a job."""
    if as_json:
        print_json(job.document)
        return
    seconds = None if job.estimate is None else f"{job.estimate:.3g} s"
    print_members({member: job.document[member] for member in ("id", "kind", "state", "graph_id")})
    print_members({"done": f"{job.done} of {job.total} {job.unit}", "took" if job.ended else "estimate": seconds})
    moments = ("created_at", "started_at", "ended_at", "expires_at")
    print_members({member: job.document[member] for member in (*moments, "result")})
    print_members({"problem": job.problem and job.problem.get("detail")})
