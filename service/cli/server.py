"""The commands of the service itself, but for `serve`."""

from pathlib import Path

import click

from service import upkeep
from service.cli.serve import database_option, read_given_settings
from service.cli.terminal import json_option, print_json, print_members
from service.cli.waiting import waiting
from service.settings import Settings


@click.command()
@click.option("--seed-example", is_flag=True, help="Store the seed example too, once.")
@database_option
@json_option
def migrate(seed_example: bool, database: str | None, as_json: bool) -> None:
    """Bring the database to the newest version."""
    with read_given_settings(database_url=database) as settings:
        upkeep.migrate(settings)
        stored = dict(zip(("graph", "run"), upkeep.store_seed_example(settings), strict=True)) if seed_example else {}
    if as_json:
        print_json(stored)
    else:
        print_members(stored)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@database_option
def backup(file: Path, database: str | None) -> None:
    """Copy a database of SQLite into a new FILE, also while it is served."""
    with waiting(f"writing {file}"), read_given_settings(database_url=database) as settings:
        upkeep.back_up(settings, file)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@database_option
def restore(file: Path, database: str | None) -> None:
    """Replace all that a database of SQLite holds by what the backup FILE holds, also while it is served."""
    with waiting(f"reading {file}"), read_given_settings(database_url=database) as settings:
        upkeep.restore(settings, file)


@click.command()
def warm() -> None:
    """Compile the rulebook now, and keep it, so that no start has to."""
    from service.core.execution import kernel

    with waiting("compiling the rulebook"):
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
