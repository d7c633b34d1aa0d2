"""The command `gradbook`: the service itself, a demonstration, and the client's acts.

Data goes to standard output, messages to standard error. It ends with 0; 2 where it was called wrongly; 3 where the
service refused, or none answers. A flag goes before the environment, the environment before the default.
"""

import math
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

import click
import numpy as np
from rich.text import Text

from service import example, serving
from service.cli.comparisons import check_claims, create_comparison, record_run
from service.cli.derivatives import check_gradients, derive, explain
from service.cli.pictures import picture
from service.cli.terminal import (
    client_options,
    find_graph,
    first,
    given,
    inputs_argument,
    json_option,
    key_option,
    make_table,
    print_graph,
    print_json,
    print_members,
    print_table,
    read_figure,
    read_inputs,
    read_json,
    read_tags,
    short,
)
from service.client import Client, ClientError, Problem
from service.client.results import Run, RunNode
from service.settings import Settings, read_settings

Command = TypeVar("Command", bound=Callable[..., Any])

_SERVICE_ERROR = 3
_LISTED = 50


def main() -> None:
    """The entry point."""
    try:
        gradbook()
    except Problem as problem:
        _complain(problem.detail or str(problem), problem)
    except (ClientError, serving.CannotStart) as error:
        _complain(str(error))


def _complain(sentence: str, problem: Problem | None = None) -> None:
    click.echo(f"gradbook: {sentence}", err=True)
    faults = problem.errors if problem else ()
    for fault in faults if len(faults) > 1 else ():
        click.echo(f"  {fault.get('pointer') or fault.get('parameter')}: {fault['detail']}", err=True)
    if problem and "place" in problem.members:
        click.echo(problem.members["place"], err=True)
    sys.exit(_SERVICE_ERROR)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradbook")
def gradbook() -> None:
    """The book of computational graphs and their gradients."""


def database_option(command: Command) -> Command:
    """--database."""
    return click.option("--database", metavar="URL", help="GRADBOOK_DATABASE_URL, or sqlite:///gradbook.db.")(command)


# --- the service itself -------------------------------------------------------------------------------------------


@gradbook.command()
@click.option("--host", help="GRADBOOK_HOST, or 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="GRADBOOK_PORT, or 8000; 0 takes a free one.")
@database_option
def serve(host: str | None, port: int | None, database: str | None) -> None:
    """Serve the REST API until told to stop, with the database migrated first."""
    with _settings(host=host, port=port, database_url=database) as settings:
        serving.serve(settings)


@gradbook.command()
@click.option("--seed-example", is_flag=True, help="Store the seed example too, once.")
@database_option
@json_option
def migrate(seed_example: bool, database: str | None, as_json: bool) -> None:
    """Bring the database to the newest version."""
    with _settings(database_url=database) as settings:
        serving.migrate(settings)
        stored = dict(zip(("graph", "run"), serving.store_seed_example(settings), strict=True)) if seed_example else {}
    if as_json:
        print_json(stored)
    else:
        print_members(stored)


@gradbook.command()
def warm() -> None:
    """Compile the rulebook now, and keep it, so that no start has to."""
    from service.core.execution import kernel

    kernel.warm()


@gradbook.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def openapi(as_json: bool) -> None:
    """Print the document of the API (OpenAPI 3.1)."""
    from service.app import create_app

    text = create_app(Settings()).extensions["openapi"]()  # the database is opened by requests, and there are none
    if not as_json:
        click.echo(text, nl=False)
        return
    import yaml

    print_json(yaml.safe_load(text))


@contextmanager
def _settings(**flags: Any) -> Iterator[Settings]:
    """The settings; a wrong one is an error of usage."""
    try:
        yield read_settings(**flags)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@gradbook.command()
@json_option
def demo(as_json: bool) -> None:
    """Start a throw-away service, run the seed example on it, and compare it with what its tutorial prints."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the service is stopped
    with (
        tempfile.TemporaryDirectory(prefix="gradbook-") as folder,
        serving.service_process(f"sqlite:///{folder}/gradbook.db") as url,
        Client(url) as service,
    ):
        graph = service.create_graph(example.NAME, expression=example.EXPRESSION)
        run = service.create_run(graph, example.INPUTS, label=example.LABEL)
        nodes = list(service.list_run_nodes(run))
    wrong = {
        name for name, claimed in example.TUTORIAL_GRADIENTS.items() if not math.isclose(claimed, run.gradients[name])
    }
    if as_json:
        print_json(
            [
                {**node.document, "tutorial_gradient": claimed, "tutorial_is_right": node.name not in wrong}
                for node in nodes
                for claimed in [example.TUTORIAL_GRADIENTS.get(node.name)]
            ]
        )
        return
    table = make_table("node", "operation", "value", "gradient", "the tutorial prints", "", numbers=(2, 3, 4))
    for node in nodes:
        claimed = np.float64(example.TUTORIAL_GRADIENTS[node.name])
        mark = Text("wrong", "bold red") if node.name in wrong else Text("right", "green")
        table.add_row(node.name, node.operation, short(node.value), short(node.gradient), short(claimed), mark)
    point = ", ".join(f"{name} = {short(np.float64(value))}" for name, value in example.INPUTS.items())
    click.echo(f"{example.EXPRESSION}\nat {point}, each gradient that of F\n")
    print_table(table)
    click.echo(
        f"{len(wrong)} of the tutorial's {len(example.TUTORIAL_GRADIENTS)} gradients are wrong. It goes wrong "
        "twice, at f and at d: it takes 1/d as d,\n"
        "and multiplies by d² where it should divide; e, c, a and b inherit it from f."
    )


# --- graphs -------------------------------------------------------------------------------------------------------


@gradbook.group()
def graph() -> None:
    """Build graphs and read them back. GRAPH is an id, or a name for its latest version."""


tags_option = click.option("--tag", "tags", multiple=True, metavar="KEY:VALUE", help="A tag; may be repeated.")
one_tag_option = click.option("--tag", metavar="KEY:VALUE", help="Only those with this tag.")
limit_option = click.option(
    "--limit", type=click.IntRange(1), default=_LISTED, show_default=True, help="The most to list."
)


@graph.command("create")
@click.argument("name")
@click.argument("expression", required=False)
@click.option("--nodes", "file", type=click.File(encoding="utf-8"), metavar="FILE", help="A JSON list of nodes.")
@click.option("--output", "outputs", multiple=True, help="A node that is an output; may be repeated.")
@tags_option
@key_option
@client_options
def create_graph(
    name: str,
    expression: str | None,
    file: TextIO | None,
    outputs: tuple[str, ...],
    tags: tuple[str, ...],
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Build the graph NAME from an EXPRESSION, or from nodes; - reads either from standard input."""
    if (expression is None) == (file is None):
        raise click.UsageError("give either an EXPRESSION or --nodes FILE")
    if expression == "-":
        with click.open_file("-", encoding="utf-8") as standard_input:
            expression = standard_input.read()
    form: dict[str, Any] = {"expression": expression, "outputs": outputs or None}
    if file is not None:
        document = read_json(file)
        if isinstance(document, dict):  # as `graph show --json` prints it
            form |= {member: document.get(member) for member in ("inputs", "outputs")} | given(outputs=outputs)
            document = document.get("nodes")
        if not isinstance(document, list):
            raise click.UsageError(f"{file.name}: a JSON list of nodes is expected")
        form["nodes"] = document
    with Client(url) as service:
        print_graph(service, service.create_graph(name, **form, tags=read_tags(tags), key=key), as_json)


@graph.command("list")
@click.option("--name", help="Only the versions of this name.")
@one_tag_option
@limit_option
@client_options
def list_graphs(name: str | None, tag: str | None, limit: int, url: str, as_json: bool) -> None:
    """List graphs, newest first."""
    with Client(url) as service:
        graphs = first(service.list_graphs(name=name, tag=tag), limit)
    if as_json:
        print_json([found.document for found in graphs])
        return
    table = make_table("id", "name", "version", "nodes", "expression", "created", numbers=(2, 3))
    for found in graphs:
        created = f"{found.created_at:%Y-%m-%d %H:%M}"
        expression = (found.expression or "")[:60]
        table.add_row(found.id, found.name, str(found.version), str(found.node_count), expression, created)
    print_table(table)


@graph.command("show")
@click.argument("graph")
@client_options
def get_graph(graph: str, url: str, as_json: bool) -> None:
    """Show one graph and its nodes."""
    with Client(url) as service:
        print_graph(service, find_graph(service, graph), as_json)


@graph.command("delete")
@click.argument("graph")
@client_options
def delete_graph(graph: str, url: str, as_json: bool) -> None:
    """Forget a graph that no run needs."""
    with Client(url) as service:
        found = find_graph(service, graph)
        service.delete_graph(found)
    if as_json:
        print_json({"deleted": found.id})
    else:
        click.echo(f"version {found.version} of {found.name} is deleted", err=True)


# --- runs ---------------------------------------------------------------------------------------------------------


@gradbook.group()
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
    """Run GRAPH (an id, or a name for its latest version) at inputs like a=5 or 'x=[1, 2.5]'; --inputs - reads a
    JSON object from standard input."""
    point = read_inputs(inputs, file)
    upstream = None if seed_text is None else read_figure(seed_text, f"--seed {seed_text}")
    with Client(url) as service:
        made = service.create_run(
            find_graph(service, graph),
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


@run.command("list")
@click.option("--graph", help="Only runs of this graph: an id, or a name for its latest version.")
@click.option("--label", help="Only runs with this label.")
@click.option("--recorded-by", help="Only runs that this program or person recorded.")
@one_tag_option
@limit_option
@client_options
def list_runs(
    graph: str | None,
    label: str | None,
    recorded_by: str | None,
    tag: str | None,
    limit: int,
    url: str,
    as_json: bool,
) -> None:
    """List runs, newest first."""
    with Client(url) as service:
        found = find_graph(service, graph) if graph is not None else None
        runs = first(service.list_runs(graph=found, label=label, tag=tag, recorded_by=recorded_by), limit)
    if as_json:
        print_json([each.document for each in runs])
        return
    table = make_table("id", "graph", "inputs", "outputs", "label", "created")
    for each in runs:
        figures = [
            ", ".join(f"{name} = {short(figure)}" for name, figure in shown.items())[:60]
            for shown in (each.inputs, each.outputs)
        ]
        table.add_row(each.id, each.graph_id, *figures, each.label or "", f"{each.created_at:%Y-%m-%d %H:%M}")
    print_table(table)


@run.command("show")
@click.argument("run")
@client_options
def get_run(run: str, url: str, as_json: bool) -> None:
    """Show one run and the figures of its nodes."""
    with Client(url) as service:
        _print_run(service, service.get_run(run), as_json)


def _print_run(service: Client, run: Run, as_json: bool) -> None:
    nodes: Iterable[RunNode] = run.nodes
    if run.id is not None and run.document["next"] is not None:
        nodes = service.list_run_nodes(run)
    if as_json:
        print_json({**run.document, "nodes": [node.document for node in nodes], "next": None})
        return
    members = ("id", "graph_id", "source", "recorded_by", "output", "label", "tags", "created_at")
    print_members({member: run.document.get(member) for member in members})
    table = make_table("node", "operation", "value", "gradient", "", numbers=(2, 3))
    for node in nodes:
        note = Text("no derivative here" if node.nondifferentiable else "", "yellow")
        shown = [short(figure, node.shape) for figure in (node.value, node.gradient)]
        table.add_row(node.name, node.operation, *shown, note)
    print_table(table)


run.add_command(record_run)
gradbook.add_command(create_comparison)
gradbook.add_command(check_claims)
gradbook.add_command(picture)
gradbook.add_command(check_gradients)
gradbook.add_command(derive)
gradbook.add_command(explain)
