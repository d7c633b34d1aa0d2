"""A bar on standard error for a job that is waited for."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.client.results.jobs import Job


@contextmanager
def progress_bar() -> Iterator[Callable[["Job"], Any]]:
    """What shows how far a job is, where standard error is a terminal and Rich is installed; elsewhere nothing."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda job: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        shown = bar.add_task("", unit="", left="")

        def show(job: "Job") -> None:
            what = f"{job.kind} {job.id[-8:]} {job.state}"
            bar.update(shown, description=what, completed=job.done, total=job.total, unit=job.unit, left=_left(job))

        yield show


def _left(job: "Job") -> str:
    """What the estimate leaves, to a digit or two."""
    if job.ended or job.started_at is None or job.estimate is None:
        return ""
    from datetime import UTC, datetime

    left = max(0.0, job.estimate - (datetime.now(UTC) - job.started_at).total_seconds())
    for unit, seconds in (("h", 3600), ("min", 60)):
        if left >= 2 * seconds:
            return f"about {left / seconds:.0f} {unit} left"
    return f"about {left:.0f} s left"
