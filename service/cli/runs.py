"""The commands `run create`, `run list`, `run show` and, from modules of their own, `run rounding`, `run import` and
`run record`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import click
from rich.text import Text

from service.cli.lazy import LazyGroup
from service.cli.terminal import (
    cascade_option,
    client_options,
    first,
    inputs_argument,
    key_option,
    list_options,
    make_table,
    print_deleted,
    print_json,
    print_list,
    print_members,
    print_table,
    read_figure,
    read_inputs,
    read_json,
    read_tag_changes,
    read_tags,
    short,
    short_id,
    short_time,
    short_written,
    tag_changes_options,
    tags_option,
)
from service.cli.waiting import connect
from service.client import Client
from service.client.results.runs import Run, RunNode


@click.group(
    cls=LazyGroup,
    elsewhere={
        "rounding": "rounding:get_rounding",
        "record": "recordings:record_run",
        "import": "recordings:import_run",
    },
)
def run() -> None:
    """Run graphs and read the figures back."""


@run.command("create")
@click.argument("graph")
@inputs_argument
@click.option("--forward-only", is_flag=True, help="Leave the backward pass out.")
@click.option("--output", help="The node that the gradients are of, if the graph has several outputs.")
@click.option("--seed", "seed_text", metavar="FIGURE", help="The gradient with respect to the output: ones.")
@click.option("--label", help="A label to find the run by.")
@click.option("--no-keep", is_flag=True, help="Compute and print, store nothing.")
@tags_option
@key_option
@client_options
def create_run(
    graph: str,
    inputs: tuple[str, ...],
    file: TextIO | None,
    forward_only: bool,
    output: str | None,
    seed_text: str | None,
    label: str | None,
    no_keep: bool,
    tags: tuple[str, ...],
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Run GRAPH at inputs like a=5 or 'x=[1, 2.5]'; --inputs - reads a JSON object from standard input."""
    point = read_inputs(inputs, file)
    upstream = None if seed_text is None else read_figure(seed_text, f"--seed {seed_text}")
    with connect(url) as service:
        made = service.create_run(
            graph,
            point,
            backward=not forward_only,
            output=output,
            seed=upstream,
            label=label,
            tags=read_tags(tags),
            keep=not no_keep,
            key=key,
        )
        _print_run(service, made, as_json)


@run.command("batch")
@click.argument("graph")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--forward-only", is_flag=True, help="Leave the backward pass out.")
@click.option("--output", help="The node that the gradients are of, if the graph has several outputs.")
@key_option
@client_options
def create_runs(
    graph: str, file: TextIO, forward_only: bool, output: str | None, key: str | None, url: str, as_json: bool
) -> None:
    """Run GRAPH at many points, and keep all of the runs or none: FILE is a JSON list of {"inputs": …, "label"?: …,
    "tags"?: …}, - standard input."""
    points = read_json(file)
    if not isinstance(points, list):
        raise click.UsageError(f"{file.name}: a JSON list of runs is expected")
    with connect(url) as service:
        runs = service.create_runs(graph, points, backward=not forward_only, output=output, key=key)
    _print_runs(runs, as_json)


@run.command("list")
@click.option("--graph", help="Only runs of this graph.")
@click.option("--label", help="Only runs with this label.")
@click.option("--source", type=click.Choice(["computed", "recorded"]), help="Only runs computed here, or recorded.")
@click.option("--recorded-by", help="Only runs that this program or person recorded.")
@list_options("created_at", searched="the label, the graph's name or who recorded it")
@client_options
def list_runs(limit: int, url: str, as_json: bool, **asked: Any) -> None:
    """List runs, newest first."""
    with connect(url) as service:
        _print_runs(first(service.list_runs(**asked), limit), as_json)


def _print_runs(runs: Sequence[Run], as_json: bool) -> None:
    if as_json:
        print_json([each.document for each in runs])
        return
    columns = {
        "id": [short_id(each.id) for each in runs],
        "graph": [f"{each.graph_name}@{each.graph_version}" for each in runs],
        "inputs": [_point(each.document["inputs"]) for each in runs],
        "outputs": [_point(each.document["outputs"]) for each in runs],
        "label": [each.label or "" for each in runs],
        "created": [short_time(each.created_at) for each in runs],
    }
    print_list(columns, whole=("id", "created"))


def _point(figures: Mapping[str, Any] | None) -> str:
    """Figures of a document as `run create` takes them."""
    return " ".join(f"{name}={short_written(figure) or '…'}" for name, figure in (figures or {}).items())


@run.command("show")
@click.argument("run")
@client_options
def get_run(run: str, url: str, as_json: bool) -> None:
    """Show one run and the figures of its nodes."""
    with connect(url) as service:
        _print_run(service, service.get_run(run), as_json)


@run.command("update")
@click.argument("run")
@click.option("--label", help="The new label.")
@click.option("--no-label", is_flag=True, help="Take the label away.")
@tag_changes_options
@client_options
def update_run(
    run: str,
    label: str | None,
    no_label: bool,
    tags: tuple[str, ...],
    gone: tuple[str, ...],
    no_tags: bool,
    url: str,
    as_json: bool,
) -> None:
    """Change the label and the tags of a run; what is not named stays."""
    if no_label and label is not None:
        raise click.UsageError("give either --label or --no-label")
    changes = {} if label is None and not no_label else {"label": label}
    with connect(url) as service:
        _print_run(service, service.update_run(run, **changes, tags=read_tag_changes(tags, gone, no_tags)), as_json)


@run.command("delete")
@click.argument("run")
@cascade_option
@client_options
def delete_run(run: str, cascade: bool, url: str, as_json: bool) -> None:
    """Delete a run that no comparison is of; with --cascade also its comparisons."""
    with connect(url) as service:
        service.delete_run(run, cascade=cascade)
    print_deleted("the run", run, as_json)


def _print_run(service: Client, run: Run, as_json: bool) -> None:
    nodes: Iterable[RunNode] = run.nodes
    if run.id is not None and run.document["next"] is not None:
        nodes = service.list_run_nodes(run)
    if as_json:
        print_json({**run.document, "nodes": [node.document for node in nodes], "next": None})
        return
    members = ("id", "graph", "graph_id", "source", "recorded_by", "output", "label", "tags", "created_at")
    written = {**run.document, "graph": f"{run.graph_name}@{run.graph_version}"}
    print_members({member: written.get(member) for member in members})
    table = make_table("node", "operation", "value", "gradient", "", numbers=(2, 3))
    for node in nodes:
        notes = ["no derivative here"] if node.nondifferentiable else []
        if closed := node.closed:
            notes.append(f"does not change with {' and '.join(dict.fromkeys(closed))}")
        note = Text("; ".join(notes), "yellow")
        shown = [short(figure, node.shape) for figure in (node.value, node.gradient)]
        table.add_row(node.name, node.operation, *shown, note)
    print_table(table)
