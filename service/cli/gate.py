"""The command `gate`, which a CI job runs: it exits with 1 if something went wrong in the figures."""

import sys
from pathlib import Path
from typing import Any, TextIO

import click

from service.cli.alignments import Align, align_option
from service.cli.markdown import write_markdown
from service.cli.recordings import file_argument, read_recording_or_figures
from service.cli.terminal import client_options, read_tags, tags_option
from service.cli.verdicts import DIFFER, Judging, judging_options, report
from service.cli.waiting import connect
from service.client import Client, Problem
from service.client.results.runs import Run
from service.recorders.recording import Recording


@click.command("gate")
@file_argument
@click.option("--baseline", required=True, metavar="RUN", help="The run that FILE's figures are held against.")
@align_option
@judging_options("origin")
@click.option(
    "--markdown",
    type=click.File("w", encoding="utf-8", lazy=False),
    metavar="FILE",
    help="Also write what was found as Markdown, as for $GITHUB_STEP_SUMMARY.",
)
@click.option("--label", help="A label to find FILE's run by.")
@tags_option
@client_options
def gate(
    file: Path,
    baseline: str,
    align: Align | None,
    judging: Judging,
    markdown: TextIO | None,
    label: str | None,
    tags: tuple[str, ...],
    url: str,
    as_json: bool,
) -> None:
    """Store what FILE holds, a recording or an .npz as of `run record`, and compare it with a baseline.

    A recording becomes a version of the baseline's graph. Exits with 0 if the figures pass, with 1 if something arose
    in them, with 2 for wrong usage, and with 3 if the service refuses or cannot be reached.
    """
    recording, given = read_recording_or_figures(file), read_tags(tags)
    with connect(url) as service:
        held = _find(service, baseline)
        run = _store(service, recording, held, label, given)
        compared = service.create_comparison(held, run, tolerance=judging.tolerance, align=align)
        failures = judging.faults(compared) + (_without(recording, held) if judging.require_all else [])
        if markdown is not None:
            markdown.write(write_markdown(service, compared, baseline, failures, recording.sources))
        report(service, compared, judging, as_json, recording.sources)
    verdict = f"fails: {', '.join(failures)}" if failures else "passes"
    click.echo(f"against {baseline} the run {run.id} {verdict}", err=as_json)
    sys.exit(DIFFER if failures else 0)


def _find(service: Client, baseline: str) -> Run:
    try:
        return service.get_run(baseline)
    except Problem as problem:
        if problem.status == 404:
            problem.detail += "; `gradbook baseline set RUN` makes a run the baseline"
        raise


def _without(recording: Recording, held: Run) -> list[str]:
    """The kinds of figures that the baseline has and the recording has none of, which a comparison does not count."""
    computed = [node for node in held.nodes if node.operation not in ("Input", "Constant")]
    has = {
        "values": any(node.value is not None or node.shape for node in computed),
        "gradients": held.document["gradients"] is not None,
    }
    return [f"all {kind} are missing" for kind, there in has.items() if there and not getattr(recording, kind)]


def _store(service: Client, recording: Recording, held: Run, label: str | None, tags: dict[str, str]) -> Run:
    """The run of a recording, under the name of the baseline's graph; figures alone are of that graph itself."""
    if recording.nodes:
        uploaded: Run = recording.upload(service, name=held.graph_name, label=label, tags=tags)
        return uploaded
    begun: dict[str, Any] = {"output": held.output, "seed": held.seed} if recording.gradients else {}
    return service.record_run(
        held.graph_id,
        by=recording.by,
        dtype=recording.dtype,
        inputs=recording.inputs,
        values=recording.values,
        gradients=recording.gradients,
        **begun,
        label=label,
        tags=tags,
    )
