"""The command `demo`."""

import math
import signal
import sys
import tempfile

import click
import numpy as np
from rich.text import Text

from service import example, serving
from service.cli.terminal import json_option, make_table, print_json, print_table, short
from service.client import Client


@click.command()
@json_option
def demo(as_json: bool) -> None:
    """Start a throw-away service, run the seed example on it, and compare it with what its tutorial prints."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the service is stopped
    with (
        tempfile.TemporaryDirectory(prefix="gradbook-") as folder,
        serving.service_process(f"sqlite:///{folder}/gradbook.db", variables={"GRADBOOK_PROCESSES": "0"}) as url,
        Client(url) as service,
    ):
        graph = service.create_graph(example.NAME, expression=example.EXPRESSION)
        run = service.create_run(graph, example.INPUTS, label=example.LABEL)
        nodes = list(service.list_run_nodes(run))
    wrong = {
        name for name, claimed in example.TUTORIAL_GRADIENTS.items() if not math.isclose(claimed, run.gradients[name])
    }
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
