"""The commands `compare`, `check` and `run record`. The first two exit with 0 for same and 1 for differ."""

import re
import sys
from typing import Any, TextIO

import click
import numpy as np
from rich.text import Text

from service.cli.junit import write_junit
from service.cli.terminal import (
    TypedFloat,
    client_options,
    given,
    key_option,
    make_table,
    print_json,
    print_table,
    read_json,
    read_tags,
    rounded,
    short,
    tags_option,
)
from service.client import Client
from service.client.figures import Document
from service.client.results.comparisons import Comparison

_DIFFER = 1
_DTYPES = ("float64", "float32", "float16", "bfloat16")
# A fraction of two digits or more that ends in 0; not 0.00, which has no digits to round.
_ENDS_IN_ZERO = re.compile(r"(?=.*[1-9])-?[0-9]+\.[0-9]+0")
_STYLES = {"origin": "bold red", "inherited": "yellow", "convention": "cyan", "compensated": "magenta", "same": "green"}
_ORDER = tuple(_STYLES)
_GIVEN = {"none": " (none)", "absent": ""}
_MOST_MISSING = _MOST_COMPENSATED = 10  # that are listed

tolerance_option = click.option(
    "--tolerance", type=click.Choice(["exact", *_DTYPES]), help="A named tolerance; left out, the coarser dtype's."
)
rtol_option = click.option("--rtol", type=click.FloatRange(0), help="A relative tolerance, instead of a named one.")
atol_option = click.option("--atol", type=click.FloatRange(0), help="An absolute tolerance, instead of a named one.")
all_option = click.option("--all", "show_all", is_flag=True, help="Also show the figures that are the same.")
require_option = click.option(
    "--require-all", is_flag=True, help="Also fail if the candidate lacks a figure of the baseline."
)
fail_option = click.option(
    "--fail-on",
    type=click.Choice(["difference", "origin"]),
    default="difference",
    show_default=True,
    help="Exit with 1 on any difference, or only if a figure is wrong by itself, not if rounding errors grew.",
)
junit_option = click.option(
    "--junit", type=click.File("w", encoding="utf-8"), metavar="FILE", help="Also write the verdicts as JUnit XML."
)


@click.command("compare")
@click.argument("baseline")
@click.argument("candidate")
@tolerance_option
@rtol_option
@atol_option
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="CANDIDATE=BASELINE",
    help="Pair two nodes of different names; may be repeated.",
)
@all_option
@require_option
@fail_option
@junit_option
@key_option
@client_options
def create_comparison(
    baseline: str,
    candidate: str,
    tolerance: str | None,
    rtol: float | None,
    atol: float | None,
    names: tuple[str, ...],
    show_all: bool,
    require_all: bool,
    fail_on: str,
    junit: TextIO | None,
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Compare the run CANDIDATE with the run BASELINE, and say where it first went wrong."""
    pairs = [name.partition("=") for name in names]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("--name is written CANDIDATE=BASELINE")
    with Client(url) as service:
        compared = service.create_comparison(
            baseline,
            candidate,
            tolerance=_read_tolerance(tolerance, rtol, atol),
            names={ours: theirs for ours, _, theirs in pairs},
            key=key,
        )
        _report(service, compared, show_all, require_all, fail_on, junit, as_json)


@click.command("check")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--graph", help="The graph; else the file's member graph.")
@click.option("--label", help="A label to find the run by that holds the claims.")
@tags_option
@click.option("--no-keep", is_flag=True, help="Check and print, store nothing.")
@tolerance_option
@rtol_option
@atol_option
@all_option
@require_option
@fail_option
@junit_option
@key_option
@client_options
def check_claims(
    file: TextIO,
    graph: str | None,
    label: str | None,
    tags: tuple[str, ...],
    no_keep: bool,
    tolerance: str | None,
    rtol: float | None,
    atol: float | None,
    show_all: bool,
    require_all: bool,
    fail_on: str,
    junit: TextIO | None,
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
    chosen = _read_tolerance(tolerance, rtol, atol)
    if chosen is not None:
        body["tolerance"] = chosen
    if "tolerance" not in body:
        body["claims"] = _with_zeros(body["claims"])
    body.update(given(label=label, tags=read_tags(tags)), **({"keep": False} if no_keep else {}))
    with Client(url) as service:
        compared = service.check_claims(named, key=key, **body)
        _report(service, compared, show_all, require_all, fail_on, junit, as_json)


@click.command("record")
@click.argument("graph")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--by", required=True, help="Who computed the figures.")
@click.option("--dtype", type=click.Choice(_DTYPES), default="float64", show_default=True)
@click.option("--output", help="The node that the gradients are of, if the graph has several outputs.")
@click.option("--label", help="A label to find the run by.")
@key_option
@client_options
def record_run(
    graph: str,
    file: str,
    by: str,
    dtype: str,
    output: str | None,
    label: str | None,
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Store the figures that another program computed: an .npz FILE of values/NAME, gradients/NAME and inputs/NAME."""
    figures: dict[str, dict[str, Any]] = {"inputs": {}, "values": {}, "gradients": {}}
    try:
        with np.load(file, allow_pickle=False) as members:
            for member in members.files:
                kind, _, name = member.partition("/")
                if kind not in figures or not name:
                    raise click.UsageError(f"{file}: {member!r} is not values/NAME, gradients/NAME or inputs/NAME")
                figures[kind][name] = members[member]
    except (ValueError, OSError, AttributeError) as error:
        raise click.UsageError(f"{file}: not an .npz file: {error}") from None
    with Client(url) as service:
        run = service.record_run(graph, by=by, dtype=dtype, output=output, label=label, key=key, **figures)
    print_json(run.document) if as_json else click.echo(run.id)


def _read_tolerance(name: str | None, rtol: float | None, atol: float | None) -> Any:
    bounds = {bound: value for bound, value in (("rtol", rtol), ("atol", atol)) if value is not None}
    if name and bounds:
        raise click.UsageError("give either --tolerance or --rtol and --atol, not both")
    return name or bounds or None


def _with_zeros(claims: Any) -> Any:
    """Claims with the zeros that JSON's writers drop: 0.670, which says three digits, as text."""
    if isinstance(claims, dict):
        return {name: _with_zeros(claim) for name, claim in claims.items()}
    if isinstance(claims, list):
        return [_with_zeros(claim) for claim in claims]
    return claims.text if isinstance(claims, TypedFloat) and _ENDS_IN_ZERO.fullmatch(claims.text) else claims


def _report(
    service: Client,
    compared: Comparison,
    show_all: bool,
    require_all: bool,
    fail_on: str,
    junit: TextIO | None,
    as_json: bool,
) -> None:
    """Print a comparison, origins first, and exit with its code."""
    wrong = ("origin", "inherited") if fail_on == "difference" or compared.origins else ()
    if junit is not None:
        figures = service.list_comparison_nodes(compared)
        junit.write(write_junit(compared.document, figures, require_all, wrong))
    if as_json:
        print_json(compared.document)
    else:
        _print_comparison(service, compared, show_all)
    differs = compared.origins if fail_on == "origin" else compared.verdict != "same"
    fails = differs or (require_all and compared.missing)
    sys.exit(_DIFFER if fails else 0)


def _print_comparison(service: Client, compared: Comparison, show_all: bool) -> None:
    figures = list(service.list_comparison_nodes(compared, only=None if show_all else "differences"))
    figures.sort(key=lambda figure: _ORDER.index(figure["verdict"]))
    counted = ", ".join(f"{count} {verdict}" for verdict, count in compared.counts.items() if count)
    rounded = sum(figure.get("rounded", False) for figure in compared.document["nodes"])
    click.echo(
        f"{compared.verdict}: {counted}{f', {rounded} of them rounded' if rounded else ''}   "
        f"({f'comparison {compared.id}' if compared.id else 'not kept'})"
    )
    if compared.sentence:
        click.echo(f"  {compared.sentence}")
    for finding in compared.origins:
        click.echo(f"  {finding.sentence}")
    for finding in compared.compensated[:_MOST_COMPENSATED]:
        click.echo(f"  {finding.sentence}")
    for cause in compared.causes:
        if len(cause.explains) > 1:
            click.echo(f"  One cause of {len(cause.explains)} origins: {cause.sentence}")
    if compared.missing:
        lacking = [_subject(figure["phase"], figure["node"]) + _GIVEN[figure["given"]] for figure in compared.missing]
        more = ", …" if len(lacking) > _MOST_MISSING else ""
        click.echo(f"  missing in the candidate: {', '.join(lacking[:_MOST_MISSING])}{more}")
    if not figures:
        return
    click.echo()
    table = make_table("verdict", "figure", "baseline", "candidate", "expected", "relative error", numbers=(2, 3, 4, 5))
    for figure in figures:
        subject = _subject(figure["phase"], figure["name"])
        shown = [*_told_apart(figure), short(_figure(figure["relative_error"]))]
        verdict = f"{figure['verdict']}, rounded" if figure.get("rounded") else figure["verdict"]
        table.add_row(Text(verdict, _STYLES[figure["verdict"]]), subject, *shown)
    print_table(table)


def _subject(phase: str, node: str) -> str:
    return node if phase == "forward" else f"gradient of {node}"


def _told_apart(figure: Document) -> list[str]:
    """The baseline's, the candidate's and the expected figure with as many digits as tell the candidate's from each
    other one; of tensors the worst element, unless they are too large for a list."""
    sides = [_figure(figure[side]) for side in ("baseline", "candidate", "expected")]
    worst = figure.get("worst")
    if worst is not None:
        sides = [None if side is None else side[tuple(worst)] for side in sides]
    if any(side is not None and np.ndim(side) for side in sides):
        return [short(side) for side in sides]
    numbers = [None if side is None else float(side) for side in sides]
    digits = next((count for count in range(6, 17) if _tell_apart(numbers, count)), 17)
    shown = ["" if number is None else rounded(number, digits) for number in numbers]
    if worst is not None and shown[1]:
        shown[1] += f" at {worst}"
    return shown


def _tell_apart(numbers: list[float | None], digits: int) -> bool:
    """Whether unequal numbers are written differently from the second in so many digits."""
    own = numbers[1]
    if own is None:
        return True
    others = [number for number in numbers if number is not None and rounded(number, 17) != rounded(own, 17)]
    return all(rounded(number, digits) != rounded(own, digits) for number in others)


def _figure(document: Any) -> Any:
    return None if document is None else np.array(document, dtype=np.float64)[()]
