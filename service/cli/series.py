"""The commands `series create`, `add`, `import`, `list`, `show`, `verdict` and `delete`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from service.cli.recordings import file_argument, read_npz
from service.cli.terminal import (
    client_options,
    first,
    key_option,
    make_table,
    print_deleted,
    print_json,
    print_list,
    print_members,
    print_table,
    read_tags,
    rounded,
    short_id,
    short_time,
    tags_option,
)
from service.cli.verdicts import DIFFER, located, tolerance_options
from service.cli.waiting import connect
from service.client.results.series import Series, SeriesStep
from service.recorders.archive import NotARecording
from service.recorders.recording import DTYPES
from service.recorders.training import TrainingRecording

_SHOWN = 20


@click.group()
def series() -> None:
    """Training runs, judged step by step: each step from the values that it took itself."""


@series.command("create")
@click.argument("graph")
@click.option(
    "--carry",
    "carries",
    multiple=True,
    metavar="NODE=INPUT",
    help="That the next step's INPUT takes the value of NODE, as new weights; may be repeated.",
)
@click.option("--by", help="Who recorded the steps.")
@click.option("--dtype", type=click.Choice(DTYPES), help="The precision that they were computed in: float64.")
@tolerance_options
@click.option("--retain", type=click.Choice(["auto", "full", "norms"]), help="Which steps are kept whole.")
@click.option("--every", type=click.IntRange(1), help="How far apart the numbers of the steps are: 1.")
@click.option("--label", help="A label to find the series by.")
@tags_option
@key_option
@client_options
def create_series(
    graph: str,
    carries: tuple[str, ...],
    tags: tuple[str, ...],
    tolerance: Any,
    key: str | None,
    url: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Begin a series, whose steps are runs of GRAPH."""
    pairs = [carry.partition("=") for carry in carries]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("--carry is written NODE=INPUT")
    carry = {node: taken for node, _, taken in pairs}
    with connect(url) as service:
        made = service.create_series(graph, carry, tolerance=tolerance, tags=read_tags(tags), key=key, **options)
    _print_series(made, as_json)


@series.command("add")
@click.argument("series")
@file_argument
@click.option("--first", "number", type=click.IntRange(0), help="The number of the first of these steps.")
@click.option("--skipped", type=click.IntRange(0), default=0, help="How many steps before it were not recorded.")
@key_option
@client_options
def add_steps(
    series: str, file: Path, number: int | None, skipped: int, key: str | None, url: str, as_json: bool
) -> None:
    """Add the steps in FILE, an .npz with a member for each recorded node: its values, stacked along axis 0.

    Exits with 1 if an error arose in a step of the series.
    """
    values = read_npz(file)
    with connect(url) as service:
        grown = service.add_steps(series, values, first=number, skipped=skipped, key=key)
    _print_series(grown, as_json)
    sys.exit(DIFFER if grown.wrong or grown.broken else 0)


@series.command("import")
@file_argument
@click.option("--name", help="The name of the graph of the loss; left out, the recording's.")
@click.option("--retain", type=click.Choice(["auto", "full", "norms"]), help="Which steps are kept whole.")
@click.option("--label", help="A label to find the series by.")
@tags_option
@client_options
def import_series(file: Path, tags: tuple[str, ...], url: str, as_json: bool, **options: Any) -> None:
    """Store the training that `record_training` wrote to FILE: the graph of a step, and all steps as a series.

    Exits with 1 if an error arose in a step.
    """
    try:
        recording = TrainingRecording.load(file)
    except NotARecording as error:
        raise click.UsageError(f"{file} is no recorded training: {error}") from None
    for note in recording.notes:
        click.echo(note, err=True)
    with connect(url) as service:
        made = recording.upload(service, tags=read_tags(tags), **options)
    _print_series(made, as_json)
    sys.exit(DIFFER if made.wrong or made.broken else 0)


@series.command("list")
@click.option("--graph", help="Only series of this graph.")
@click.option("--label", help="Only series with this label.")
@click.option("--tag", metavar="KEY:VALUE", help="Only those with this tag.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The most to list.")
@client_options
def list_series(limit: int, url: str, as_json: bool, **asked: Any) -> None:
    """List series, newest first."""
    with connect(url) as service:
        found = first(service.list_series(**asked), limit)
    if as_json:
        print_json([each.document for each in found])
        return
    columns = {
        "id": [short_id(each.id) for each in found],
        "graph": [f"{each.graph_name}@{each.graph_version}" for each in found],
        "steps": [str(each.steps) for each in found],
        "first wrong": ["" if each.first_wrong is None else str(each.first_wrong) for each in found],
        "label": [each.label or "" for each in found],
        "created": [short_time(each.created_at) for each in found],
    }
    print_list(columns, whole=("id", "created"))


@series.command("show")
@click.argument("series")
@click.option("--limit", type=click.IntRange(1), default=_SHOWN, show_default=True, help="The most steps to show.")
@click.option("--only", type=click.Choice(["origins", "broken"]), help="Only steps with origins, or broken carries.")
@client_options
def list_series_steps(series: str, limit: int, only: Any, url: str, as_json: bool) -> None:
    """Show a series and its first steps."""
    with connect(url) as service:
        found = service.get_series(series)
        steps = first(service.list_series_steps(series, only=only), limit)
    if as_json:
        print_json({**found.document, "listed": [step.document for step in steps]})
        return
    _print_series(found, as_json)
    _print_steps(steps)


@series.command("verdict")
@click.argument("series")
@client_options
def get_series_verdict(series: str, url: str, as_json: bool) -> None:
    """Say at which step a series first did what its own state does not explain; exits with 1 if one did."""
    with connect(url) as service:
        verdict = service.get_series_verdict(series)
    if as_json:
        print_json(verdict.document)
    else:
        click.echo(verdict.sentence)
        if wrong := verdict.first_wrong:
            if wrong.cause:
                click.echo(f"  {wrong.cause}")
            for finding in wrong.origins:
                click.echo(f"  {located(finding, {})}")
            click.echo(f"  comparison {wrong.comparison or 'deleted'}")
        for carry in verdict.broken_carries[:_SHOWN]:
            click.echo(f"  {carry.sentence}")
    sys.exit(DIFFER if verdict.arose else 0)


@series.command("delete")
@click.argument("series")
@client_options
def delete_series(series: str, url: str, as_json: bool) -> None:
    """Delete a series with its steps and the runs that are kept of them."""
    with connect(url) as service:
        service.delete_series(series)
    print_deleted("the series", series, as_json)


def _print_series(series: Series, as_json: bool) -> None:
    if as_json:
        print_json(series.document)
        return
    written = {**series.document, "graph": f"{series.graph_name}@{series.graph_version}"}
    members = ("id", "graph", "carry", "recorded_by", "dtype", "tolerance", "retain", "label", "tags", "created_at")
    print_members({member: written[member] for member in members})
    print_members({member: written[member] for member in ("steps", "first_step", "last_step", "first_wrong")})
    print_members({member: written[member] for member in ("wrong", "broken") if written[member]})


def _print_steps(steps: Iterable[SeriesStep]) -> None:
    rows = list(steps)
    if not rows:
        return
    names = list(rows[0].norms)
    table = make_table("step", "origins", "broken", *names, numbers=(0, *range(3, 3 + len(names))))
    for step in rows:
        norms = [rounded(norm) for norm in step.norms.values()]
        table.add_row(str(step.step), ", ".join(step.origins), ", ".join(step.broken), *norms)
    print_table(table)
