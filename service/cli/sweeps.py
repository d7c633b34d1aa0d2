"""The commands `sweep create`, `show`, `points`, `picture` and `delete`."""

import sys
from collections.abc import Mapping
from typing import Any, TextIO

import click

from service.cli.jobs import print_job
from service.cli.terminal import (
    client_options,
    first,
    inputs_argument,
    key_option,
    make_table,
    print_deleted,
    print_json,
    print_members,
    print_table,
    read_figure,
    read_inputs,
    rounded,
    short_written,
    url_option,
)
from service.cli.verdicts import DIFFER, tolerance_options
from service.cli.waiting import connect, follow
from service.client.results.sweeps import PartedFigures, ReducedFigures, Sweep, SweptFigure

_REDUCTIONS = ("min", "max", "mean", "argmin", "histogram", "nonfinite")
_SHOWN, _POINTS = 10, 20
_EVEN, _RANDOM, _VALUES = ("linspace", "logspace"), ("uniform", "normal"), "values"


@click.group()
def sweep() -> None:
    """Graphs at very many points."""


@sweep.command("create")
@click.argument("graph")
@inputs_argument
@click.option("--zip", "mode", flag_value="zip", help="Take the numbers side by side, not in every combination.")
@click.option("--gradients", is_flag=True, help="Keep gradients too.")
@click.option("--output", help="The node that the gradients are of, if the graph has several outputs.")
@click.option("--keep", "outputs", multiple=True, metavar="NODE", help="Keep the values of this node; the outputs.")
@click.option(
    "--reduce",
    multiple=True,
    type=click.Choice(_REDUCTIONS),
    help="Of the points keep only this; may be repeated.",
)
@click.option("--against", metavar="GRAPH", help="Hold the outputs of this graph against those of the same names.")
@tolerance_options
@click.option("--check", is_flag=True, help="Hold the gradients against central differences.")
@click.option("--no-wait", is_flag=True, help="Print the job and leave it running.")
@key_option
@client_options
def create_sweep(
    graph: str,
    inputs: tuple[str, ...],
    file: TextIO | None,
    outputs: tuple[str, ...],
    reduce: tuple[str, ...],
    no_wait: bool,
    url: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Compute GRAPH at many points, in the background, and wait for it. Exits with 1 if it parts from --against
    anywhere, or if with --check a gradient is wrong.

    An input varies as in a=linspace:0:1:1000 (start, stop, count), a=logspace:-3:3:7 (of powers of ten),
    a=uniform:0:1:1000:7 (low, high, count, seed), a=normal:0:1:1000:7 (mean, deviation, count, seed; the seed may be
    left out) or a=values:1:2:5. As in a=3 or 'x=[1, 2]' it is the same at every point.
    """
    if options["tolerance"] is not None and options["against"] is None:
        raise click.UsageError("a tolerance is for --against")
    given = read_inputs((), file)
    for text in inputs:
        given |= _read_axis(text) or read_inputs((text,), None)
    with connect(url) as service:
        job = service.create_sweep(graph, given, outputs=outputs or None, reduce=reduce or None, **options)
        if no_wait:
            print_job(job, as_json)
            return
        sweep = service.get_job_result(follow(job))
    print_sweep(sweep, as_json)
    sys.exit(DIFFER if any(parted.points for parted in sweep.parted.values()) else 0)


def _read_axis(text: str) -> dict[str, Any] | None:
    """An input that varies, written NAME=KIND:NUMBER:NUMBER:COUNT, with :SEED after that if it is random, or
    NAME=values:NUMBER:…; None for what is written otherwise."""
    name, _, form = text.rpartition("=")
    kind, *figures = form.split(":")
    if kind == _VALUES:
        return {name: {kind: [read_figure(figure, text) for figure in figures]}}
    if kind not in (*_EVEN, *_RANDOM):
        return None
    most = 4 if kind in _RANDOM else 3
    if not 3 <= len(figures) <= most:
        raise click.UsageError(f"{text}: {kind} takes {'three or four' if most == 4 else 'three'} numbers")
    ends = [read_figure(figure, text) for figure in figures[:2]]
    try:
        count, *seed = map(int, figures[2:])
    except ValueError:
        raise click.UsageError(f"{text}: after two numbers, whole numbers are expected") from None
    return {name: {kind: [*ends, count], **({"seed": seed[0]} if seed else {})}}


@sweep.command("show")
@click.argument("sweep")
@client_options
def get_sweep(sweep: str, url: str, as_json: bool) -> None:
    """Show what is known of a sweep so far."""
    with connect(url) as service:
        print_sweep(service.get_sweep(sweep), as_json)


@sweep.command("points")
@click.argument("sweep")
@click.option("--offset", type=click.IntRange(0), help="The number of the first point to show: 0.")
@click.option("--limit", type=click.IntRange(1), default=_POINTS, show_default=True, help="The most points to show.")
@client_options
def list_sweep_points(sweep: str, offset: int | None, limit: int, url: str, as_json: bool) -> None:
    """Show the points of a sweep that are computed: the inputs that vary, and the figures."""
    with connect(url) as service:
        points = first(service.list_sweep_points(sweep, offset=offset), limit)
    if as_json:
        print_json([each.document for each in points])
        return
    names = [*points[0].at, *points[0].figures] if points else []
    table = make_table("point", *names, numbers=tuple(range(1 + len(names))))
    for each in points:
        table.add_row(str(each.point), *map(rounded, (*each.at.values(), *each.figures.values())))
    print_table(table)


@sweep.command("picture")
@click.argument("sweep")
@click.option("--of", metavar="FIGURE", help="What is drawn: the first figure of the table.")
@click.option("--x", metavar="INPUT", help="Over which input; left out, over the first two that vary.")
@click.option("--y", metavar="INPUT", help="Over which second input.")
@click.option(
    "--hold", "held", multiple=True, metavar="INPUT=INDEX", help="At which of its values another input is held."
)
@url_option
def draw_sweep(sweep: str, held: tuple[str, ...], url: str, **asked: Any) -> None:
    """Draw a figure of a sweep over one input, or over two, as SVG."""
    pairs = [each.rpartition("=") for each in held]
    if not all(index.isdecimal() for _, _, index in pairs):
        raise click.UsageError("--hold is written INPUT=INDEX, as c=0")
    hold = {name: int(index) for name, _, index in pairs}
    with connect(url) as service:
        click.echo(service.draw_sweep(sweep, hold=hold, **asked))


def print_sweep(sweep: Sweep, as_json: bool) -> None:
    """Print what is known of a sweep: of each column its extremes, where it parts from another, what is not finite."""
    if as_json:
        print_json(sweep.document)
        return
    took = sweep.job.ended and sweep.job.estimate is not None
    print_members(
        {
            "id": sweep.id,
            "graph_id": sweep.graph_id,
            "inputs": {name: _written_input(given) for name, given in sweep.inputs.items()},
            "points": f"{sweep.computed} of {sweep.points}" + (f" in {sweep.job.estimate:.3g} s" if took else ""),
            "state": sweep.job.state,
        }
    )
    table = make_table("figure", "min", "at", "max", "at", "mean", "not finite", numbers=(1, 3, 5, 6))
    for name, found in sweep.reduced.items():
        extremes = [text for each in (found.min, found.max) for text in _value_and_place(each)]
        mean = "" if found.mean is None else rounded(found.mean)
        table.add_row(name, *extremes, mean, str(_nonfinite(found) or ""))
    print_table(table)
    for name, parted in sweep.parted.items():
        click.echo(_parting(name, parted, sweep.computed))
    for odd in sweep.nonfinite[:_SHOWN]:
        click.echo(f"{odd.figure} is {' at '.join(_value_and_place(odd))}")
    if (more := sum(map(_nonfinite, sweep.reduced.values())) - _SHOWN) > 0:
        click.echo(f"… and {more} more that are not finite")


def _nonfinite(found: ReducedFigures) -> int:
    """How many figures are not finite, 0 where that was not asked for."""
    return sum((found.nonfinite or {}).values())


def _written_input(given: Any) -> str:
    """What an input is, as `create_sweep` takes it."""
    if not isinstance(given, Mapping):
        return short_written(given)
    kind = next(iter(given))
    if kind not in (*_EVEN, *_RANDOM):
        return "…"
    numbers = (f"{number:.17g}" for number in (*given[kind], *([given["seed"]] if "seed" in given else [])))
    return ":".join((kind, *numbers))


def _value_and_place(figure: SweptFigure | None) -> tuple[str, str]:
    if figure is None:
        return "", ""
    return "" if figure.value is None else rounded(figure.value), place(figure)


def place(figure: SweptFigure) -> str:
    """What the inputs that vary are where a figure is."""
    return ", ".join(f"{name} = {rounded(number)}" for name, number in figure.at.items())


def _parting(name: str, parted: PartedFigures, computed: int) -> str:
    if parted.first is None:
        said = f"{name} is the same as {parted.figure} at all {computed} points"
    else:
        said = f"{name} parts from {parted.figure} at {parted.points} of {computed} points"
        said += f", first at point {parted.first.point}, {place(parted.first)}"
    if (most := parted.greatest_difference) is not None and most.value:
        said += f"; the greatest difference is {rounded(most.value or 0.0)}, at {place(most)}"
    return f"{said}; {parted.not_judged} points are not judged" if parted.not_judged else said


@sweep.command("delete")
@click.argument("sweep")
@client_options
def delete_sweep(sweep: str, url: str, as_json: bool) -> None:
    """Delete a sweep with its job and its points, once the job has ended."""
    with connect(url) as service:
        service.delete_sweep(sweep)
    print_deleted("the sweep", sweep, as_json)
