"""The command `article`."""

from typing import Literal

import click

from service.cli.terminal import url_option
from service.cli.waiting import connect


@click.command("article")
@click.argument("run")
@click.option("--format", type=click.Choice(["html", "markdown", "latex"]), default="html", show_default=True)
@click.option(
    "--blank", type=click.Choice(["gradients", "values", "all"]), help="Write a worksheet: leave these figures blank."
)
@click.option("--node", "nodes", multiple=True, help="Leave only this node's figures blank; may be repeated.")
@click.option("--answers", is_flag=True, help="Write the answers to the worksheet instead.")
@url_option
def get_article(
    run: str,
    format: Literal["html", "markdown", "latex"],
    blank: Literal["gradients", "values", "all"] | None,
    nodes: tuple[str, ...],
    answers: bool,
    url: str,
) -> None:
    """Write the derivation of every figure of RUN as a page to hand out."""
    with connect(url) as service:
        click.echo(service.get_article(run, format=format, blank=blank, nodes=nodes or None, answers=answers), nl=False)
