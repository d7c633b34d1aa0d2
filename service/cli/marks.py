"""The command `marks`: what a class handed in, and what was found, as CSV."""

import csv
import sys
from collections.abc import Iterator

import click

from service.cli.terminal import url_option
from service.cli.waiting import connect
from service.client import Client
from service.client.results.comparisons import Comparison
from service.client.results.runs import Run

_COLUMNS = ("run", "by", "label", "checked", "claimed", "right", "origins", "inherited", "sentence")
# What begins a formula in a spreadsheet, and would be computed when the file is opened.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@click.command("marks")
@click.option("--tag", required=True, metavar="KEY:VALUE", help="The tag of the runs that hold the claims.")
@url_option
def marks(tag: str, url: str) -> None:
    """List the checks of the runs with a tag as CSV, the newest first: a row for each run, with its latest check.

    A text that a spreadsheet would take for a formula stands after an apostrophe.
    """
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(_COLUMNS)
    with connect(url) as service:
        for run in service.list_runs(tag=tag):
            if compared := _latest_check(service, run):
                rows.writerow(map(_cell, _row(run, compared)))


def _latest_check(service: Client, run: Run) -> Comparison | None:
    found = (each.id for each in service.list_comparisons(run=run) if each.candidate == run.id)
    identifier = next(found, None)
    return service.get_comparison(identifier) if identifier else None


def _row(run: Run, compared: Comparison) -> Iterator[str | int]:
    """A row of _COLUMNS. The values of Inputs that are as given are not claims."""
    given = sum(
        figure["phase"] == "forward" and figure["name"] in run.inputs and figure["verdict"] == "same"
        for figure in compared.document["nodes"]
    )
    claimed = sum(compared.counts.values()) - given
    wrong = [compared.counts.get(verdict, 0) for verdict in ("origin", "inherited")]
    yield from (run.id or "", run.recorded_by or "", run.label or "", compared.created_at.isoformat())
    yield from (claimed, claimed - sum(wrong), *wrong)
    yield next((cause.sentence for cause in compared.causes), compared.sentence or "")


def _cell(content: str | int) -> str:
    text = str(content)
    return f"'{text}" if text.startswith(_FORMULA) else text
