"""The command `gradbook`: the service itself, a demonstration, and a command for each method of the client.

Data goes to standard output, messages to standard error. It exits with 0; with 2 for wrong usage; with 3 where the
service refuses or cannot be reached. A flag overrides the environment, which overrides the default.
"""

import sys

import click

from service import serving
from service.cli import server
from service.cli.comparisons import check_claims, create_comparison
from service.cli.derivatives import check_gradients, derive, explain
from service.cli.graphs import graph
from service.cli.keys import key
from service.cli.pictures import picture
from service.cli.runs import run
from service.client import ClientError, Problem

_SERVICE_ERROR = 3


def main() -> None:
    """The entry point."""
    try:
        gradbook()
    except Problem as problem:
        _complain(problem.detail or str(problem), problem)
    except (ClientError, serving.CannotStart) as error:
        _complain(str(error))


def _complain(sentence: str, problem: Problem | None = None) -> None:
    click.echo(f"gradbook: {sentence}", err=True)
    faults = problem.errors if problem else ()
    for fault in faults if len(faults) > 1 else ():
        click.echo(f"  {fault.get('pointer') or fault.get('parameter')}: {fault['detail']}", err=True)
    if problem and "place" in problem.members:
        click.echo(problem.members["place"], err=True)
    sys.exit(_SERVICE_ERROR)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradbook")
def gradbook() -> None:
    """The book of computational graphs and their gradients."""


for _command in (
    *(server.serve, server.migrate, server.backup, server.restore, server.warm, server.openapi, server.demo),
    *(key, graph, run),
    *(create_comparison, check_claims, picture, check_gradients, derive, explain),
):
    gradbook.add_command(_command)
