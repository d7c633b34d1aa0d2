"""The commands `sweep create`, `show`, `points` and `picture`."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TextIO

import click

from service.cli.jobs import print_job
from service.cli.terminal import (
    client_options,
    inputs_argument,
    key_option,
    print_json,
    read_inputs,
)
from service.cli.verdicts import tolerance_options
from service.cli.waiting import connect, follow
from service.client.results.sweeps import Sweep

_REDUCTIONS = ("min", "max", "mean", "argmin", "histogram", "nonfinite")
_EVEN, _RANDOM = ("linspace", "logspace"), ("uniform", "normal")


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
    """Compute GRAPH at many points, in the background, and wait for it.

    An input varies as in a=linspace:0:1:1000 (start, stop, count), a=logspace:-3:3:7 (of powers of ten),
    a=uniform:0:1:1000:7 (low, high, count, seed) or a=normal:0:1:1000:7 (mean, deviation, count, seed; the seed may be
    left out). As in a=3 or 'x=[1, 2]' it is the same at every point.
    """
    varied = [text for text in inputs if _axis_kind(text)]
    given = {
        **read_inputs(tuple(text for text in inputs if text not in varied), file),
        **dict(map(_read_axis, varied)),
    }
    with connect(url) as service:
        job = service.create_sweep(graph, given, outputs=outputs or None, reduce=reduce or None, **options)
        if no_wait:
            print_job(job, as_json)
            return
        print_sweep(service.get_job_result(follow(job)), as_json)


def _axis_kind(text: str) -> str | None:
    kind = text.rpartition("=")[2].partition(":")[0]
    return kind if kind in (*_EVEN, *_RANDOM) else None


def _read_axis(text: str) -> tuple[str, Mapping[str, Any]]:
    """An input that varies, written NAME=KIND:NUMBER:NUMBER:COUNT, with a :SEED after that if it is random."""
    name, _, form = text.rpartition("=")
    kind, *figures = form.split(":")
    most = 4 if kind in _RANDOM else 3
    if not 3 <= len(figures) <= most:
        raise click.UsageError(f"{text}: {kind} takes {'three or four' if most == 4 else 'three'} numbers")
    try:
        first, second = (float(Fraction(figure)) if "/" in figure else float(figure) for figure in figures[:2])
        count, *seed = map(int, figures[2:])
    except (ValueError, ArithmeticError):
        raise click.UsageError(f"{text}: two numbers, then whole numbers are expected") from None
    return name, {kind: [first, second, count], **({"seed": seed[0]} if seed else {})}


@sweep.command("show")
@click.argument("sweep")
@client_options
def get_sweep(sweep: str, url: str, as_json: bool) -> None:
    """Show what is known of a sweep so far."""
    with connect(url) as service:
        print_sweep(service.get_sweep(sweep), as_json)


def print_sweep(sweep: Sweep, as_json: bool) -> None:
    """Print a sweep."""
    if as_json:
        print_json(sweep.document)
        return
    print_job(sweep.job, as_json)
