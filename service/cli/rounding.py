"""The command `run rounding`."""

import click

from service.cli.terminal import client_options, make_table, print_json, print_table, rounded
from service.cli.waiting import connect
from service.recorders.recording import DTYPES


@click.command("rounding")
@click.argument("run")
@click.option("--dtype", type=click.Choice(DTYPES[1:]), required=True, help="What figures are rounded to.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The most nodes to show.")
@client_options
def get_rounding(run: str, dtype: str, limit: int, url: str, as_json: bool) -> None:
    """Tell what rounding every figure of RUN to a precision may do to its output, and whose rounding does most."""
    with connect(url) as service:
        found = service.get_rounding(run, dtype=dtype, limit=limit)
    if as_json:
        print_json(found.document)
        return
    click.echo(found.sentence)
    table = make_table("node", "operation", "share", "likely", "at most", "amplifies", numbers=(2, 3, 4, 5))
    for node in found.nodes:
        factor = "" if node.amplification is None else rounded(node.amplification, 2)
        errors = (f"{100.0 * node.share:.3g} %", rounded(node.likely, 2), rounded(node.greatest, 2))
        table.add_row(node.name, node.operation, *errors, factor)
    print_table(table)
