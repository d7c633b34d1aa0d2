"""The command `demo`."""

import math
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict

import click
import numpy as np
from rich.text import Text

from service import example
from service.cli.terminal import json_option, make_table, print_json, print_table, short
from service.cli.waiting import waiting
from service.client import Client, RunNode
from service.process import service_process


@click.command()
@click.argument("name", required=False, type=click.Choice([each.name for each in example.EXAMPLES]), metavar="[NAME]")
@click.option("--list", "listing", is_flag=True, help="List the examples.")
@json_option
def demo(name: str | None, listing: bool, as_json: bool) -> None:
    """Run an example on a throw-away service: the tutorial's, compared with what it prints, or another by its NAME."""
    chosen = example.EXAMPLES[0] if name is None else next(each for each in example.EXAMPLES if each.name == name)
    if listing:
        _list_examples(as_json)
        return
    with waiting("running the example"):
        nodes = _run_example(chosen)
    if chosen is example.EXAMPLES[0]:
        _show_tutorial(nodes, as_json)
    elif as_json:
        print_json([node.document for node in nodes])
    else:
        table = make_table("node", "operation", "value", "gradient", numbers=(2, 3))
        for node in nodes:
            table.add_row(node.name, node.operation, short(node.value), short(node.gradient))
        click.echo(f"{chosen.expression}\n{chosen.sentence}\n")
        print_table(table)


def _list_examples(as_json: bool) -> None:
    if as_json:
        print_json([asdict(each) for each in example.EXAMPLES])
        return
    table = make_table("name", "expression", "what it shows")
    for each in example.EXAMPLES:
        table.add_row(each.name, each.expression, each.sentence)
    print_table(table)


def _run_example(chosen: example.ExampleGraph) -> list[RunNode]:
    """The nodes of an example's run on a service that is stopped and leaves nothing behind."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the service is stopped
    with (
        tempfile.TemporaryDirectory(prefix="gradbook-") as folder,
        service_process(f"sqlite:///{folder}/gradbook.db", variables={"GRADBOOK_PROCESSES": "0"}) as url,
        Client(url) as service,
    ):
        graph = service.create_graph(chosen.name, expression=chosen.expression)
        return list(service.list_run_nodes(service.create_run(graph, chosen.inputs, label=example.LABEL)))


def _show_tutorial(nodes: Sequence[RunNode], as_json: bool) -> None:
    """The figures beside those that the tutorial prints."""
    gradients = {node.name: float(node.gradient) for node in nodes if node.gradient is not None}
    claims = example.TUTORIAL_GRADIENTS.items()
    wrong = {name for name, claimed in claims if not math.isclose(claimed, gradients[name])}
    if as_json:
        print_json(
            [
                {**node.document, "tutorial_gradient": claimed, "tutorial_is_right": node.name not in wrong}
                for node in nodes
                for claimed in [example.TUTORIAL_GRADIENTS.get(node.name)]
            ]
        )
        return
    table = make_table("node", "operation", "value", "gradient", "the tutorial prints", "", numbers=(2, 3, 4))
    for node in nodes:
        claimed = np.float64(example.TUTORIAL_GRADIENTS[node.name])
        mark = Text("wrong", "bold red") if node.name in wrong else Text("right", "green")
        table.add_row(node.name, node.operation, short(node.value), short(node.gradient), short(claimed), mark)
    point = ", ".join(f"{name} = {short(np.float64(value))}" for name, value in example.INPUTS.items())
    click.echo(f"{example.EXPRESSION}\nat {point}, each gradient that of F\n")
    print_table(table)
    click.echo(
        f"{len(wrong)} of the tutorial's {len(example.TUTORIAL_GRADIENTS)} gradients are wrong. It goes wrong "
        "twice, at f and at d: it takes 1/d as d,\n"
        "and multiplies by d² where it should divide; e, c, a and b inherit it from f."
    )
