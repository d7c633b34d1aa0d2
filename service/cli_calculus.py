"""The commands `derive` and `gradcheck`; the latter ends with 0 for right, 1 for wrong and 4 for not applicable."""

import sys
from typing import TextIO

import click
from rich.text import Text

from service.client import Client
from service.terminal import (
    client_options,
    find_graph,
    inputs_argument,
    key_option,
    make_table,
    print_graph,
    print_json,
    print_table,
    read_inputs,
    short,
)

_EXIT_CODES = {"right": 0, "wrong": 1, "not applicable": 4}
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
@client_options
def check_gradients(
    graph: str,
    inputs: tuple[str, ...],
    file: TextIO | None,
    method: str,
    nodes: tuple[str, ...],
    output: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Check the gradients of GRAPH (an id, or a name for its latest version) at inputs like a=5 or 'x=[1, 2.5]'."""
    point = read_inputs(inputs, file)
    with Client(url) as service:
        check = service.check_gradients(
            find_graph(service, graph), point, method=method, nodes=list(nodes), output=output
        )
    if as_json:
        print_json(check.document)
        sys.exit(_EXIT_CODES[check.verdict])
    click.echo(f"{check.verdict}: gradients of {check.output}, by {check.method}")
    table = make_table("node", "gradient", "estimate", "error", "rate", "verdict", "", numbers=(1, 2, 3, 4))
    for node in check.nodes:
        error, rate = ("" if number is None else f"{number:.3g}" for number in (node.error, node.rate))
        verdict = Text(node.verdict, _STYLES[node.verdict])
        table.add_row(node.name, short(node.gradient), short(node.estimate), error, rate, verdict, node.reason or "")
    print_table(table)
    sys.exit(_EXIT_CODES[check.verdict])


@click.command("derive")
@click.argument("graph")
@click.option("--wrt", multiple=True, metavar="NODE", help="With respect to this node; may be repeated: all inputs.")
@click.option("--of", metavar="NODE", help="The node to differentiate: the graph's only output.")
@click.option("--latex", is_flag=True, help="Print LaTeX.")
@click.option("--graph", "as_graph", is_flag=True, help="Keep the gradients as a graph, and print that.")
@click.option("--name", help="The name of the graph that is kept.")
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
    """Print the derivatives of GRAPH as formulas, one line each, or keep them as a graph."""
    with Client(url) as service:
        found = find_graph(service, graph)
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
