"""The command `baseline set`."""

import click

from service.cli.terminal import client_options, key_option, print_json
from service.cli.waiting import connect


@click.group()
def baseline() -> None:
    """The runs that others are held against."""


@baseline.command("set")
@click.argument("run")
@click.option("--label", default="main", show_default=True, help="The label of the baseline.")
@key_option
@client_options
def set_baseline(run: str, label: str, key: str | None, url: str, as_json: bool) -> None:
    """Label RUN, and take that label from every other run of its graph's name, whatever the version."""
    with connect(url) as service:
        found = service.set_baseline(run, label=label, key=key)
    if as_json:
        print_json(found.document)
    else:
        click.echo(f"{found.graph_name}:{label} is the run {found.id}, of version {found.graph_version}")
