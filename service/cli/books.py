"""The commands `prune`, `book export` and `book import`, at the database itself, also while it is served."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.filesize import decimal

from service import upkeep
from service.cli.serve import database_option, opened_database
from service.cli.terminal import json_option, print_json
from service.cli.waiting import waiting

_KINDS = ("graphs", "runs", "comparisons", "derivatives", "series", "jobs", "tensors")
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
@click.option(
    "--older-than", "before", required=True, metavar="AGE", callback=_read_age, help="How old, as 12h, 90d or 4w."
)
@click.option("--keep-labelled", is_flag=True, help="Keep the runs and series that have a label.")
@click.option("--dry-run", is_flag=True, help="Delete nothing, and say what would be deleted.")
@database_option
@json_option
def prune(before: datetime, keep_labelled: bool, dry_run: bool, database: str | None, as_json: bool) -> None:
    """Delete old runs with their comparisons, series and jobs that have ended, old tensors that nothing uses and old
    keys of requests."""
    from service.storage.pruning import prune

    with waiting("pruning"), opened_database(database, create=False) as opened:
        pruned = prune(opened, before, keep_labelled=keep_labelled, dry_run=dry_run)
    went = {name: getattr(pruned, name) for name in ("runs", "comparisons", "series", "jobs", "tensors", "keys")}
    if as_json:
        print_json({**went, "bytes": pruned.nbytes})
        return
    click.echo(f"{'to be deleted' if dry_run else 'deleted'}: {_counted(went)}")
    if not dry_run and pruned.nbytes:
        click.echo(f"the file is {decimal(pruned.nbytes)} smaller", err=True)


@click.group()
def book() -> None:
    """Move graphs, runs, comparisons, derivatives, series and tensors between databases, as one file."""


@book.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--graph",
    "graphs",
    multiple=True,
    help="Only this graph, of a name all versions, with what belongs to it; may be repeated.",
)
@database_option
@json_option
def export_book(file: Path, graphs: tuple[str, ...], database: str | None, as_json: bool) -> None:
    """Write what is stored into a new FILE."""
    with waiting(f"writing {file}"), opened_database(database, create=False) as opened:
        counts = upkeep.export_book(opened, file, graphs)
    written = {what: counts[what] for what in _KINDS}
    if as_json:
        print_json(written)
    else:
        click.echo(f"exported: {_counted(written)}")


@book.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@database_option
@json_option
def import_book(file: Path, database: str | None, as_json: bool) -> None:
    """Store what FILE holds, under the same ids; what the database has already must be equal."""
    with waiting(f"reading {file}"), opened_database(database) as opened:
        read = upkeep.import_book(opened, file)
    new, known = ({what: counts[what] for what in _KINDS} for counts in (read.new, read.known))
    if as_json:
        print_json({what: {"new": new[what], "known": known[what]} for what in _KINDS})
        return
    click.echo(f"imported: {_counted(new)}")
    if any(known.values()):
        click.echo(f"there already: {_counted(known)}")


def _counted(counts: Mapping[str, int]) -> str:
    one = {what: what if what == "series" else what.removesuffix("s") for what in counts}
    said = [f"{count} {one[what] if count == 1 else what}" for what, count in counts.items() if count]
    return ", ".join(said) or "nothing"
