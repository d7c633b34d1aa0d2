"""The commands `comparison delete` and `derivatives delete`."""

import click

from service.cli.terminal import client_options, print_deleted
from service.cli.waiting import connect


@click.group()
def comparison() -> None:
    """Comparisons that are kept; `compare` and `check` make them."""


@comparison.command("delete")
@click.argument("comparison")
@client_options
def delete_comparison(comparison: str, url: str, as_json: bool) -> None:
    """Delete a comparison; its runs stay."""
    with connect(url) as service:
        service.delete_comparison(comparison)
    print_deleted("the comparison", comparison, as_json)


@click.group()
def derivatives() -> None:
    """Jacobians, Hessians and their products that are kept."""


@derivatives.command("delete")
@click.argument("derivatives")
@client_options
def delete_derivatives(derivatives: str, url: str, as_json: bool) -> None:
    """Delete derivatives that were kept."""
    with connect(url) as service:
        service.delete_derivatives(derivatives)
    print_deleted("the set of derivatives", derivatives, as_json)
