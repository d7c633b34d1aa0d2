"""The command `picture`."""

from collections.abc import Callable
from typing import Literal

import click

from service.cli.terminal import find_graph, url_option
from service.client import Client, Problem


@click.command("picture")
@click.argument("what")
@click.option("--format", type=click.Choice(["svg", "dot"]), default="svg", show_default=True)
@click.option("--focus", metavar="NODE", help="Draw the neighbourhood of this node; of a large graph, of the output.")
@click.option("--hops", type=click.IntRange(1), help="Draw nodes up to this many edges away: 3.")
@url_option
def picture(what: str, format: Literal["svg", "dot"], focus: str | None, hops: int | None, url: str) -> None:
    """Draw a run, a comparison or a graph: WHAT is its id, or a graph's name for its latest version."""
    with Client(url) as service:
        draw: Callable[..., str]
        for draw in (service.get_run_picture, service.get_comparison_picture):
            try:
                text = draw(what, format=format, focus=focus, hops=hops)
                break
            except Problem as problem:
                if problem.status != 404:
                    raise
        else:
            text = service.get_graph_picture(find_graph(service, what), format=format, focus=focus, hops=hops)
    click.echo(text)
