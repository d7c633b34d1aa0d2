"""The commands `explain`, `derive` and `gradcheck`.

`gradcheck` exits with 0 for right, 1 for wrong and 4 for not applicable.
"""

import sys
from itertools import islice
from typing import TextIO

import click
import numpy as np
from rich.text import Text

from service.cli.terminal import (
    client_options,
    inputs_argument,
    key_option,
    make_table,
    print_graph,
    print_json,
    print_table,
    read_inputs,
    rounded,
    short,
)
from service.cli.waiting import connect
from service.client import Client, Problem
from service.client.results.explanations import Paths, Step

_EXIT_CODES = {"right": 0, "wrong": 1, "not applicable": 4}
_ROUNDING = 1e-9
_DIGITS = 20  # at most, of a number shown to a person
_STYLES = {"right": "green", "wrong": "bold red", "not applicable": "yellow"}


@click.command("gradcheck")
@click.argument("graph")
@inputs_argument
@click.option(
    "--method",
    type=click.Choice(["taylor", "central", "complex-step"]),
    default="taylor",
    show_default=True,
    help="The Taylor remainder's rate, central differences, or complex steps.",
)
@click.option("--node", "nodes", multiple=True, help="A node to check besides the inputs; may be repeated.")
@click.option("--output", help="The node that the gradients are of, if the graph has several outputs.")
@click.option("--run", help="Check the gradients that this run recorded, at its inputs.")
@client_options
def check_gradients(
    graph: str,
    inputs: tuple[str, ...],
    file: TextIO | None,
    method: str,
    nodes: tuple[str, ...],
    output: str | None,
    run: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Check the gradients of GRAPH at inputs like a=5 or 'x=[1, 2.5]'."""
    point = read_inputs(inputs, file)
    with connect(url) as service:
        check = service.check_gradients(graph, point, method=method, nodes=list(nodes), output=output, run=run)
    if as_json:
        print_json(check.document)
        sys.exit(_EXIT_CODES[check.verdict])
    click.echo(f"{check.verdict}: gradients of {check.output}, by {check.method}")
    table = make_table("node", "gradient", "estimate", "error", "rate", "verdict", "", numbers=(1, 2, 3, 4))
    for node in check.nodes:
        error, rate = ("" if number is None else rounded(number, 3) for number in (node.error, node.rate))
        verdict = Text(node.verdict, _STYLES[node.verdict])
        table.add_row(node.name, short(node.gradient), short(node.estimate), error, rate, verdict, node.reason or "")
    print_table(table)
    sys.exit(_EXIT_CODES[check.verdict])


@click.command("derive")
@click.argument("graph")
@click.option("--wrt", multiple=True, metavar="NODE", help="With respect to this node; may be repeated: all inputs.")
@click.option("--of", metavar="NODE", help="The node to differentiate: the graph's only output.")
@click.option("--latex", is_flag=True, help="Print LaTeX.")
@click.option("--graph", "as_graph", is_flag=True, help="Store the gradients as a graph, and print it.")
@click.option("--name", help="The name of the stored graph.")
@key_option
@client_options
def derive(
    graph: str,
    wrt: tuple[str, ...],
    of: str | None,
    latex: bool,
    as_graph: bool,
    name: str | None,
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Print the derivatives of GRAPH as formulas, one line each, or store them as a graph."""
    with connect(url) as service:
        found = service.get_graph(graph)
        if as_graph:
            derived = service.create_gradient_graph(found, output=of, wrt=wrt or None, name=name, key=key)
            print_graph(service, derived, as_json)
            return
        formulas = [service.get_formula(found, of=of, wrt=each) for each in wrt or found.inputs]
    if as_json:
        print_json([{"expression": each.expression, "latex": each.latex, "mathml": each.mathml} for each in formulas])
        return
    for each in formulas:
        click.echo(each.latex if latex else each.expression)


@click.command("explain")
@click.argument("run")
@click.option("--node", help="Only this node's value and gradient, and the paths that carry the gradient.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The most steps to show.")
@client_options
def explain(run: str, node: str | None, limit: int, url: str, as_json: bool) -> None:
    """Explain RUN step by step: the rule, the formula, the numbers substituted, and the result."""
    with connect(url) as service:
        steps = list(islice(service.list_steps(run, node=node), limit + 1))
        paths = None if node is None else _paths(service, run, node)
    if as_json:
        documents = [step.document for step in steps[:limit]]
        print_json({"steps": documents, "paths": None if paths is None else paths.document})
        return
    table = make_table("node", "rule", "how it came about")
    for step in steps[:limit]:
        for each in step.contributions:
            table.add_row(f"{step.node} → {each.consumer}", each.rule, each.text, style="dim")
            if each.closed:
                table.add_row("", "", each.closed, style="dim")
        rule = step.rule or ("sum" if len(step.contributions) > 1 else "")
        table.add_row(step.node, rule, Text.assemble(step.text, (_difference(step), "bold red")))
    print_table(table)
    if len(steps) > limit:
        click.echo(f"the first {limit} steps; --limit shows more", err=True)
    if paths is not None:
        _print_paths(paths)


def _paths(service: Client, run: str, node: str) -> Paths | None:
    """The paths of a node; None where the service has none: for a tensor, or before a backward pass."""
    try:
        return service.list_paths(run, node)
    except Problem as problem:
        if problem.status not in (409, 422):
            raise
        return None


def _difference(step: Step) -> str:
    """The run's own figure, unless it differs from the computed one by rounding only."""
    if step.difference is None or step.difference <= _ROUNDING * np.max(
        np.abs(0.0 if step.figure is None else step.figure)
    ):
        return ""
    return f"   but the run has {short(step.figure)}, which is off by {rounded(step.difference)}"


def _print_paths(paths: Paths) -> None:
    count = str(paths.document["path_count"])
    if len(count) > _DIGITS:
        count = f"{count[0]}.{count[1:4]}e{len(count) - 1}"
    many = "1 path" if count == "1" else f"{count} paths"
    rest = ""
    if paths.share is not None and len(paths.paths) < paths.path_count:
        rest = f"; the {len(paths.paths)} largest carry {rounded(paths.share, 4)} of the gradient"
    click.echo(f"\n{many} from {paths.node} to {paths.output}{rest}: {paths.text}")
    if paths.expanded is not None:
        click.echo(paths.expanded)
    table = make_table("product", "path", numbers=(0,))
    for path in paths.paths:
        table.add_row(rounded(path.product), " → ".join(path.nodes))
    print_table(table)
