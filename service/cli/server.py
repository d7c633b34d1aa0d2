"""The commands of the service itself, `serve`, `migrate`, `backup`, `restore`, `warm`, `openapi`, and `demo`."""

import math
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from rich.text import Text

from service import example, serving
from service.cli.terminal import json_option, make_table, print_json, print_members, print_table, short
from service.client import Client
from service.settings import Settings, read_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def database_option(command: Command) -> Command:
    """--database."""
    return click.option("--database", metavar="URL", help="GRADBOOK_DATABASE_URL, or sqlite:///gradbook.db.")(command)


@click.command()
@click.option("--host", help="GRADBOOK_HOST, or 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="GRADBOOK_PORT, or 8000; 0 takes a free one.")
@database_option
def serve(host: str | None, port: int | None, database: str | None) -> None:
    """Serve the REST API until told to stop, with the database migrated first."""
    with read_given_settings(host=host, port=port, database_url=database) as settings:
        serving.serve(settings)


@click.command()
@click.option("--seed-example", is_flag=True, help="Store the seed example too, once.")
@database_option
@json_option
def migrate(seed_example: bool, database: str | None, as_json: bool) -> None:
    """Bring the database to the newest version."""
    with read_given_settings(database_url=database) as settings:
        serving.migrate(settings)
        stored = dict(zip(("graph", "run"), serving.store_seed_example(settings), strict=True)) if seed_example else {}
    if as_json:
        print_json(stored)
    else:
        print_members(stored)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@database_option
def backup(file: Path, database: str | None) -> None:
    """Copy a database of SQLite into a new FILE, also while it is served."""
    with read_given_settings(database_url=database) as settings:
        serving.back_up(settings, file)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@database_option
def restore(file: Path, database: str | None) -> None:
    """Replace all that a database of SQLite holds by what the backup FILE holds, also while it is served."""
    with read_given_settings(database_url=database) as settings:
        serving.restore(settings, file)


@click.command()
def warm() -> None:
    """Compile the rulebook now, and keep it, so that no start has to."""
    from service.core.execution import kernel

    kernel.warm()


@click.command()
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
def read_given_settings(**flags: Any) -> Iterator[Settings]:
    """The settings; a wrong one is an error of usage."""
    try:
        yield read_settings(**flags)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@click.command()
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
