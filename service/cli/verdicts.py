"""What `compare`, `check` and `gate` share: when a comparison fails, and how it is printed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from types import MappingProxyType
from typing import Any, TextIO

import click
import numpy as np
from rich.text import Text

from service.cli.alignments import alignment_lines
from service.cli.junit import write_junit
from service.cli.terminal import make_table, print_json, print_table, rounded, short
from service.client import Client
from service.client.results.comparisons import ComparedFigure, Comparison, Finding
from service.recorders.recording import DTYPES

DIFFER = 1  # the exit code
_STYLES = {"origin": "bold red", "inherited": "yellow", "convention": "cyan", "compensated": "magenta", "same": "green"}
_ORDER = tuple(_STYLES)
_GIVEN = {"none": " (none)", "absent": ""}
_MOST_MISSING = _MOST_COMPENSATED = 10  # that are listed
_FAIL_ON = {"differ": "differ", "difference": "differ", "origin": "origin"}

_TOLERANCE = (
    click.option(
        "--tolerance", type=click.Choice(["exact", *DTYPES]), help="A named tolerance; left out, the coarser dtype's."
    ),
    click.option("--rtol", type=click.FloatRange(0), help="A relative tolerance, instead of a named one."),
    click.option("--atol", type=click.FloatRange(0), help="An absolute tolerance, instead of a named one."),
)
_ALL = click.option("--all", "show_all", is_flag=True, help="Also show the figures that are the same.")
_REQUIRE = click.option(
    "--require-all", is_flag=True, help="Also fail if the candidate lacks a figure of the baseline."
)
_JUNIT = click.option(
    "--junit",
    type=click.File("w", encoding="utf-8", lazy=False),
    metavar="FILE",
    help="Also write the verdicts as JUnit XML.",
)


@dataclass(frozen=True, slots=True)
class Judging:
    """How figures are judged, what fails, and what is shown of it.

    `tolerance` is a name, {"rtol", "atol"}, or None for the coarser dtype's; `fail_on` is "differ" or "origin".
    """

    tolerance: Any
    show_all: bool
    require_all: bool
    fail_on: str
    junit: TextIO | None

    def faults(self, compared: Comparison) -> list[str]:
        """Why a comparison fails, in words; none if it passes."""
        found = []
        if origins := compared.counts.get("origin", 0):
            found.append(
                "1 figure is wrong by itself" if origins == 1 else f"{origins} figures are wrong by themselves"
            )
        elif self.fail_on == "differ" and compared.verdict != "same":
            found.append("figures differ, though none is wrong by itself")
        if self.require_all and (missing := len(compared.missing)):
            found.append("1 figure is missing" if missing == 1 else f"{missing} figures are missing")
        return found


def judging_options(fail_on: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of a judgement and give the command `judging`; `fail_on` is what fails unless told otherwise."""
    fail = click.option(
        "--fail-on",
        type=click.Choice([*_FAIL_ON]),
        metavar="[differ|origin]",
        default=fail_on,
        show_default=True,
        help="Exit with 1 on any difference, or only if a figure is wrong by itself, not if rounding errors grew.",
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def judge(
            *,
            tolerance: Any,
            show_all: bool,
            require_all: bool,
            fail_on: str,
            junit: TextIO | None,
            **arguments: Any,
        ) -> None:
            command(judging=Judging(tolerance, show_all, require_all, _FAIL_ON[fail_on], junit), **arguments)

        for option in reversed((_ALL, _REQUIRE, fail, _JUNIT)):
            judge = option(judge)
        return tolerance_options(judge)

    return decorate


def tolerance_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --tolerance, --rtol and --atol, and give the command `tolerance`."""

    @wraps(command)
    def read(*, tolerance: str | None, rtol: float | None, atol: float | None, **arguments: Any) -> None:
        command(tolerance=_read_tolerance(tolerance, rtol, atol), **arguments)

    for option in reversed(_TOLERANCE):
        read = option(read)
    return read


def _read_tolerance(name: str | None, rtol: float | None, atol: float | None) -> Any:
    bounds = {bound: value for bound, value in (("rtol", rtol), ("atol", atol)) if value is not None}
    if name and bounds:
        raise click.UsageError("give either --tolerance or --rtol and --atol, not both")
    return name or bounds or None


def report(
    service: Client,
    compared: Comparison,
    judging: Judging,
    as_json: bool,
    sources: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Print a comparison, origins first, and write what was asked for; return the exit code.

    `sources` say where nodes arise in the candidate's program.
    """
    if judging.junit is not None:
        wrong = ("origin", "inherited") if judging.fail_on == "differ" or compared.origins else ()
        figures = (figure.document for figure in service.list_comparison_nodes(compared))
        sentences = {(origin.phase, origin.node): located(origin, sources) for origin in compared.origins}
        judging.junit.write(write_junit(compared.document, figures, judging.require_all, wrong, sentences))
    if as_json:
        print_json(compared.document)
    else:
        _print_comparison(service, compared, judging.show_all, sources)
    return DIFFER if judging.faults(compared) else 0


def _print_comparison(service: Client, compared: Comparison, show_all: bool, sources: Mapping[str, str]) -> None:
    figures = list(service.list_comparison_nodes(compared, only=None if show_all else "differences"))
    figures.sort(key=lambda figure: _ORDER.index(figure.verdict))
    counted = ", ".join(f"{count} {verdict}" for verdict, count in compared.counts.items() if count)
    rounded = sum(figure.get("rounded", False) for figure in compared.document["nodes"])
    click.echo(
        f"{compared.verdict}: {counted}{f', {rounded} of them rounded' if rounded else ''}   "
        f"({f'comparison {compared.id}' if compared.id else 'not kept'})"
    )
    for line in () if compared.alignment is None else alignment_lines(compared.alignment):
        click.echo(f"  {line}")
    if compared.sentence:
        click.echo(f"  {compared.sentence}")
    for finding in compared.origins:
        click.echo(f"  {located(finding, sources)}")
    for finding in compared.compensated[:_MOST_COMPENSATED]:
        click.echo(f"  {finding.sentence}")
    for cause in compared.causes:
        if len(cause.explains) > 1:
            click.echo(f"  One cause of {len(cause.explains)} origins: {cause.sentence}")
    if compared.missing:
        lacking = [subject(figure["phase"], figure["node"]) + _GIVEN[figure["given"]] for figure in compared.missing]
        more = ", …" if len(lacking) > _MOST_MISSING else ""
        click.echo(f"  missing in the candidate: {', '.join(lacking[:_MOST_MISSING])}{more}")
    if not figures:
        return
    click.echo()
    table = make_table("verdict", "figure", "baseline", "candidate", "expected", "relative error", numbers=(2, 3, 4, 5))
    for figure in figures:
        named = subject(figure.phase, figure.name)
        if figure.baseline_name is not None:
            named += f" (baseline: {figure.baseline_name})"
        shown = [*told_apart(figure), short(np.float64(figure.relative_error))]
        verdict = f"{figure.verdict}, rounded" if figure.rounded else figure.verdict
        table.add_row(Text(verdict, _STYLES[figure.verdict]), named, *shown)
    print_table(table)


def located(finding: Finding, sources: Mapping[str, str]) -> str:
    """A finding's sentence, with the place where its node arises in the program if that is known."""
    place = sources.get(finding.node)
    return f"{finding.sentence} ({place})" if place else finding.sentence


def subject(phase: str, node: str) -> str:
    """A figure in words."""
    return node if phase == "forward" else f"gradient of {node}"


def told_apart(figure: ComparedFigure) -> list[str]:
    """The baseline's, the candidate's and the expected figure with as many digits as tell the candidate's from each
    other one; of tensors the worst element, unless they are too large for a list."""
    sides = [figure.baseline, figure.candidate, figure.expected]
    worst = figure.worst
    if worst is not None:
        sides = [None if side is None else np.float64(np.asarray(side)[worst]) for side in sides]
    if any(side is not None and np.ndim(side) for side in sides):
        return [short(side) for side in sides]
    numbers = [None if side is None else float(side) for side in sides]
    digits = next((count for count in range(6, 17) if _tell_apart(numbers, count)), 17)
    shown = ["" if number is None else rounded(number, digits) for number in numbers]
    if worst is not None and shown[1]:
        shown[1] += f" at {list(worst)}"
    return shown


def _tell_apart(numbers: list[float | None], digits: int) -> bool:
    """Whether unequal numbers are written differently from the second in so many digits."""
    own = numbers[1]
    if own is None:
        return True
    others = [number for number in numbers if number is not None and rounded(number, 17) != rounded(own, 17)]
    return all(rounded(number, digits) != rounded(own, digits) for number in others)
