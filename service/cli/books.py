"""The command `prune`, at the database itself, also while it is served."""

from datetime import UTC, datetime, timedelta

import click

from service.cli.serve import database_option, opened_database
from service.cli.terminal import json_option, print_json

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def _read_age(context: click.Context, option: click.Parameter, text: str) -> datetime:
    """The moment that is so long ago."""
    number, unit = text[:-1], text[-1:]
    try:
        if number.isascii() and number.isdigit():
            return datetime.now(UTC) - int(number) * _UNITS[unit]
    except (KeyError, OverflowError):
        pass
    raise click.BadParameter("a number of hours, days or weeks is expected, as 12h, 90d or 4w")


@click.command()
@click.option("--older-than", "before", required=True, metavar="AGE", callback=_read_age, help="As 12h, 90d or 4w.")
@click.option("--keep-labelled", is_flag=True, help="Keep the runs that have a label.")
@click.option("--dry-run", is_flag=True, help="Delete nothing, and say what would be deleted.")
@database_option
@json_option
def prune(before: datetime, keep_labelled: bool, dry_run: bool, database: str | None, as_json: bool) -> None:
    """Delete old runs with their comparisons, tensors that nothing uses and old idempotency keys."""
    from service.storage.pruning import prune

    with opened_database(database, create=False) as opened:
        pruned = prune(opened, before, keep_labelled=keep_labelled, dry_run=dry_run)
    went = {"runs": pruned.runs, "comparisons": pruned.comparisons, "tensors": pruned.tensors, "keys": pruned.keys}
    if as_json:
        print_json({**went, "bytes": pruned.nbytes})
        return
    click.echo(f"{'to be deleted' if dry_run else 'deleted'}: {', '.join(f'{n} {what}' for what, n in went.items())}")
    if not dry_run and pruned.nbytes:
        click.echo(f"the file has {pruned.nbytes / 1e6:.1f} MB less", err=True)
