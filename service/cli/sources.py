"""The command `source`."""

from typing import Literal

import click

from service.cli.terminal import url_option
from service.cli.waiting import connect


@click.command("source")
@click.argument("graph")
@click.option("--language", type=click.Choice(["numpy", "torch", "jax", "c"]), default="numpy", show_default=True)
@url_option
def get_source(graph: str, language: Literal["numpy", "torch", "jax", "c"], url: str) -> None:
    """Write GRAPH as the source code of a function of its inputs."""
    with connect(url) as service:
        click.echo(service.get_source(graph, language=language), nl=False)
