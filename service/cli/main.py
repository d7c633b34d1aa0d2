"""The command `gradbook`: the service itself, a demonstration, and a command for each method of the client.

Data goes to standard output, messages to standard error. It exits with 0; with 2 for wrong usage; with 3 where the
service refuses or cannot be reached. A flag overrides the environment, which overrides the default.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import Any, NoReturn

import click

from service.cli.lazy import LazyGroup

_SERVICE_ERROR = 3
# The module of each command, which is imported for that command alone: the service starts sooner without the client.
_COMMANDS = {
    "serve": "serve:serve",
    "migrate": "server:migrate",
    "backup": "server:backup",
    "restore": "server:restore",
    "prune": "books:prune",
    "book": "books:book",
    "warm": "server:warm",
    "openapi": "server:openapi",
    "demo": "demo:demo",
    "key": "keys:key",
    "graph": "graphs:graph",
    "run": "runs:run",
    "baseline": "baselines:baseline",
    "record": "recorders:record",
    "align": "alignments:align_runs",
    "compare": "comparisons:create_comparison",
    "gate": "gate:gate",
    "check": "comparisons:check_claims",
    "reproduce": "reproductions:get_reproduction",
    "comparison": "deletions:comparison",
    "derivatives": "deletions:derivatives",
    "series": "series:series",
    "sweep": "sweeps:sweep",
    "job": "jobs:job",
    "picture": "pictures:picture",
    "source": "sources:get_source",
    "gradcheck": "derivatives:check_gradients",
    "derive": "derivatives:derive",
    "explain": "derivatives:explain",
    "article": "articles:get_article",
    "marks": "marks:marks",
}


def main() -> None:
    """The entry point."""
    try:
        gradbook()
    except Exception as error:
        from service.client import ClientError, Problem
        from service.upkeep import CannotStart

        if isinstance(error, Problem):
            _complain(error.detail or str(error), error.errors, error.members.get("place"))
        elif isinstance(error, (ClientError, CannotStart)):
            _complain(str(error))
        raise


def _complain(sentence: str, faults: Sequence[Mapping[str, Any]] = (), place: str | None = None) -> NoReturn:
    click.echo(f"gradbook: {sentence}", err=True)
    # Of a single fault in a list, as at /runs/17/inputs/a, the sentence does not say where.
    in_list = any(re.search(r"/\d", fault.get("pointer", "")) for fault in faults)
    for fault in faults if in_list or len(faults) > 1 else ():
        click.echo(f"  {fault.get('pointer') or fault.get('parameter')}: {fault['detail']}", err=True)
    if place is not None:
        click.echo(place, err=True)
    sys.exit(_SERVICE_ERROR)


class _Commands(LazyGroup):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say what lacks where a shell does not find the command by its name."""
        program = Path(sys.argv[0])
        if program.name == "gradbook" and which(program.name) is None:
            formatter.write(f'\nTo call it as gradbook:  export PATH="{program.parent.absolute()}:$PATH"\n')


@click.group(cls=_Commands, elsewhere=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradbook")
def gradbook() -> None:
    """The book of computational graphs and their gradients.

    GRAPH is a name, which means its highest version, NAME@VERSION or an id. RUN is GRAPH:LABEL, the newest run with
    that label, or an id. Of an id its last 8 characters do.
    """
