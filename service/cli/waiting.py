"""What a terminal shows while something takes longer than a moment."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import click

from service.client import Client, Job

_MOMENT = 1.0  # second
_INTERRUPTED = 130  # the exit code of what SIGINT ends


def connect(url: str) -> Client:
    """A client of the service at `url` that shows when it waits for longer than a moment, and waits for what takes
    longer than an answer."""
    began = time.monotonic()
    return Client(url, during=lambda: waiting(f"waiting for {url}", began), on_job=follow)


def follow(job: Job) -> Job:
    """Wait for a job and show how far it is; Ctrl-C asks whether it shall be cancelled. Unless it shall, exits."""
    try:
        return job.wait()
    except KeyboardInterrupt:
        if _confirm(f"Cancel job {job.id}?"):
            return job.cancel()
        click.echo(f"job {job.id} goes on; to wait for it:  gradbook job wait {job.id}", err=True)
        sys.exit(_INTERRUPTED)


def _confirm(question: str) -> bool:
    """Whether someone says yes; a second Ctrl-C is a no, and so is a terminal that is none."""
    try:
        return sys.stdin.isatty() and sys.stderr.isatty() and click.confirm(question, err=True)
    except click.Abort:
        return False


@contextmanager
def waiting(what: str, began: float | None = None) -> Iterator[None]:
    """Show on standard error, if that is a terminal, what is waited for, as soon as it is a second since `began`: a
    time of the monotonic clock, now if left out."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    began = time.monotonic() if began is None else began
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    console = Console(stderr=True)
    shown = Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
    shown.add_task(what, total=None, start=False)
    shown.tasks[0].start_time = began
    timer = Timer(max(0.0, began + _MOMENT - time.monotonic()), shown.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown.live.is_started:
            shown.stop()
