"""The commands `compare` and `check`, which exit with 0 for same and 1 for differ."""

import re
import sys
from typing import Any, TextIO

import click

from service.cli.alignments import Align, align_option, names_option, read_names
from service.cli.terminal import (
    TypedFloat,
    client_options,
    given,
    key_option,
    read_json,
    read_tags,
    tags_option,
)
from service.cli.verdicts import Judging, judging_options, report
from service.cli.waiting import connect

# A fraction of two digits or more that ends in 0; not 0.00, which has no digits to round.
_ENDS_IN_ZERO = re.compile(r"(?=.*[1-9])-?[0-9]+\.[0-9]+0")


@click.command("compare")
@click.argument("baseline")
@click.argument("candidate")
@align_option
@names_option
@judging_options("differ")
@key_option
@client_options
def create_comparison(
    baseline: str,
    candidate: str,
    align: Align | None,
    names: tuple[str, ...],
    judging: Judging,
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Compare the run CANDIDATE with the run BASELINE, and say where it first went wrong."""
    with connect(url) as service:
        compared = service.create_comparison(
            baseline,
            candidate,
            tolerance=judging.tolerance,
            align=align,
            names=read_names(names),
            key=key,
        )
        sys.exit(report(service, compared, judging, as_json))


@click.command("check")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--graph", help="The graph; else the file's member graph.")
@click.option("--label", help="A label to find the run by that holds the claims.")
@tags_option
@click.option("--no-keep", is_flag=True, help="Check and print, store nothing.")
@judging_options("differ")
@key_option
@client_options
def check_claims(
    file: TextIO,
    graph: str | None,
    label: str | None,
    tags: tuple[str, ...],
    no_keep: bool,
    judging: Judging,
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Check the claims in FILE (- for standard input): {"graph", "inputs", "claims": {"values", "gradients"}}.

    A claim is a number, or text: "4/3", "1 1/3", "0.667". Without a tolerance a number may be rounded to its last
    digit.
    """
    body = read_json(file)
    known = {"graph", "inputs", "claims", "output", "seed", "tolerance", "label", "tags", "keep"}
    if not isinstance(body, dict) or not {"inputs", "claims"} <= body.keys() or body.keys() - known:
        raise click.UsageError(
            f"{file.name}: an object with inputs, claims and, unless --graph is given, graph is expected"
        )
    named = graph or body.pop("graph", None)
    body.pop("graph", None)
    if not isinstance(named, str):
        raise click.UsageError("give the graph in the file or by --graph")
    if judging.tolerance is not None:
        body["tolerance"] = judging.tolerance
    if "tolerance" not in body:
        body["claims"] = _with_zeros(body["claims"])
    body.update(given(label=label, tags=read_tags(tags)), **({"keep": False} if no_keep else {}))
    with connect(url) as service:
        compared = service.check_claims(named, key=key, **body)
        sys.exit(report(service, compared, judging, as_json))


def _with_zeros(claims: Any) -> Any:
    """Claims with the zeros that JSON's writers drop: 0.670, which says three digits, as text."""
    if isinstance(claims, dict):
        return {name: _with_zeros(claim) for name, claim in claims.items()}
    if isinstance(claims, list):
        return [_with_zeros(claim) for claim in claims]
    return claims.text if isinstance(claims, TypedFloat) and _ENDS_IN_ZERO.fullmatch(claims.text) else claims
