"""The command `align`, and what `compare` and `gate` share with it."""

from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

import click

from service.cli.terminal import client_options, make_table, print_json, print_table
from service.cli.waiting import connect
from service.client.results.alignments import Alignment

Align: TypeAlias = Literal["names", "probes"]

_MOST = 10  # nodes without a partner that are listed

align_option = click.option(
    "--align",
    type=click.Choice(get_args(Align)),
    help="Pair the nodes by their names, which is the default, or by what they compute at the same random inputs.",
)
names_option = click.option(
    "--name",
    "names",
    multiple=True,
    metavar="CANDIDATE=BASELINE",
    help="Pair two nodes of different names; may be repeated.",
)


def read_names(given: tuple[str, ...]) -> dict[str, str]:
    """Read pairs of names; raises click.UsageError."""
    pairs = [name.partition("=") for name in given]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("--name is written CANDIDATE=BASELINE")
    return {ours: theirs for ours, _, theirs in pairs}


@click.command("align")
@click.argument("baseline")
@click.argument("candidate")
@names_option
@client_options
def align_runs(baseline: str, candidate: str, names: tuple[str, ...], url: str, as_json: bool) -> None:
    """Pair the nodes of the run CANDIDATE with those of the run BASELINE by what they compute; nothing is stored."""
    with connect(url) as service:
        found = service.align_runs(baseline, candidate, names=read_names(names))
    if as_json:
        print_json(found.document)
        return
    for line in alignment_lines(found):
        click.echo(line)
    click.echo()
    table = make_table("candidate", "baseline", "found by", "")
    for row in found.rows():
        notes = [
            note for note, there in (("defined otherwise", row["cut"]), ("laid out otherwise", row["layout"])) if there
        ]
        table.add_row(row["candidate"], row["baseline"], row["how"], ", ".join(notes))
    print_table(table)


def alignment_lines(found: Alignment) -> Iterator[str]:
    """Say how many pairs were found, by what, and which nodes have no partner."""
    counted = ", ".join(f"{count} {how if how == 'verified' else f'by {how}'}" for how, count in found.counts.items())
    yield f"{sum(found.counts.values())} pairs: {counted}; {len(found.cuts)} defined otherwise"
    for side, names in found.unpaired.items():
        if names:
            yield f"only in the {side}: {', '.join(names[:_MOST])}{', …' if len(names) > _MOST else ''}"
