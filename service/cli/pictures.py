"""The command `picture`."""

from collections.abc import Callable
from typing import Any

import click

from service.cli.terminal import url_option
from service.cli.waiting import connect
from service.client import Problem
from service.recorders.recording import DTYPES


@click.command("picture")
@click.argument("what")
@click.option("--format", type=click.Choice(["svg", "dot"]), default="svg", show_default=True)
@click.option("--focus", metavar="NODE", help="Draw the neighbourhood of this node; of a large graph, of the output.")
@click.option("--hops", type=click.IntRange(1), help="Draw nodes up to this many edges away: 3.")
@click.option("--direction", type=click.Choice(["right", "down"]), default="right", show_default=True)
@click.option("--rounding", type=click.Choice(DTYPES[1:]), help="Of a run: shade what rounding to this does most.")
@url_option
def picture(what: str, rounding: str | None, url: str, **asked: Any) -> None:
    """Draw a run, a comparison or a graph: WHAT refers to it."""
    with connect(url) as service:
        if rounding is not None:
            click.echo(service.get_run_picture(what, rounding=rounding, **asked))
            return
        draw: Callable[..., str]
        for draw in (service.get_run_picture, service.get_comparison_picture):
            try:
                text = draw(what, **asked)
                break
            except Problem as problem:
                if problem.status != 404:
                    raise
        else:
            text = service.get_graph_picture(what, **asked)
    click.echo(text)
