"""The command `reproduce`."""

from pathlib import Path
from typing import Literal

import click

from service.cli.terminal import url_option
from service.cli.waiting import connect


@click.command("reproduce")
@click.argument("comparison")
@click.argument("phase", type=click.Choice(["forward", "backward"]), required=False)
@click.argument("node", required=False)
@click.option("--language", type=click.Choice(["numpy", "torch", "jax"]), default="numpy", show_default=True)
@click.option("--markdown", is_flag=True, help="Write the text of an issue, with the script in it.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file; large arrays beside it.",
)
@url_option
def get_reproduction(
    comparison: str,
    phase: Literal["forward", "backward"] | None,
    node: str | None,
    language: Literal["numpy", "torch", "jax"],
    markdown: bool,
    output: Path | None,
    url: str,
) -> None:
    """Write a script that shows an origin of COMPARISON by itself: the value (forward) or gradient (backward) of NODE.

    The first origin, unless one is named.
    """
    with connect(url) as service:
        written = service.get_reproduction(
            comparison, phase, node, language=language, format="markdown" if markdown else "python"
        )
    if output is not None:
        written.save(output)
        return
    click.echo(written.text, nl=False)
    if written.beside is not None:
        click.echo("gradbook: it reads large arrays from an .npz beside it, which -o FILE writes too", err=True)
