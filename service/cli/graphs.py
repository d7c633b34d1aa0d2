"""The commands `graph create`, `import`, `export`, `list`, `show`, `update` and `delete`."""

from pathlib import PurePath
from typing import Any, BinaryIO, Literal, TextIO
from zipfile import BadZipFile

import click
import numpy as np

from service.cli.terminal import (
    cascade_option,
    client_options,
    first,
    given,
    key_option,
    list_options,
    print_graph,
    print_json,
    print_list,
    read_json,
    read_tag_changes,
    read_tags,
    short_id,
    short_time,
    tag_changes_options,
    tags_option,
    url_option,
)
from service.cli.waiting import connect


@click.group()
def graph() -> None:
    """Build graphs and read them back."""


@graph.command("create")
@click.argument("name")
@click.argument("expression", required=False)
@click.option("--nodes", "file", type=click.File(encoding="utf-8"), metavar="FILE", help="A JSON list of nodes.")
@click.option("--output", "outputs", multiple=True, help="A node that is an output; may be repeated.")
@click.option(
    "--weights",
    type=click.File("rb"),
    metavar="FILE.npz",
    help="Arrays by the names of inputs, which they are wherever none are given.",
)
@tags_option
@key_option
@client_options
def create_graph(
    name: str,
    expression: str | None,
    file: TextIO | None,
    outputs: tuple[str, ...],
    weights: BinaryIO | None,
    tags: tuple[str, ...],
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Build the graph NAME from an EXPRESSION, or from nodes; - reads either from standard input."""
    if (expression is None) == (file is None):
        raise click.UsageError("give either an EXPRESSION or --nodes FILE")
    if expression == "-":
        with click.open_file("-", encoding="utf-8") as standard_input:
            expression = standard_input.read()
    form: dict[str, Any] = {"expression": expression, "outputs": outputs or None}
    if file is not None:
        document = read_json(file)
        if isinstance(document, dict):  # as `graph show --json` prints it
            form |= {member: document.get(member) for member in ("inputs", "outputs", "weights")} | given(
                outputs=outputs
            )
            document = document.get("nodes")
        if not isinstance(document, list):
            raise click.UsageError(f"{file.name}: a JSON list of nodes is expected")
        form["nodes"] = document
    arrays = {} if weights is None else _read_arrays(weights)
    with connect(url) as service:
        form["weights"] = {array: service.put_tensor(each) for array, each in arrays.items()} or form.get("weights")
        print_graph(service, service.create_graph(name, **form, tags=read_tags(tags), key=key), as_json)


def _read_arrays(file: BinaryIO) -> dict[str, Any]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, BadZipFile, AttributeError) as error:
        raise click.UsageError(f"{file.name}: an .npz of arrays is expected: {error}") from None


@graph.command("import")
@click.argument("file", type=click.File("rb"), metavar="FILE.onnx")
@click.option("--name", help="The graph's name; the file's, if left out.")
@click.option(
    "--input",
    "shapes",
    multiple=True,
    metavar="NAME=LENGTHS",
    help="The shape of an input, x=1,3,224,224, or the value of one that is a whole number; may be repeated.",
)
@click.option("--outputs", multiple=True, help="A tensor that is an output; may be repeated.")
@key_option
@client_options
def import_graph(
    file: BinaryIO,
    name: str | None,
    shapes: tuple[str, ...],
    outputs: tuple[str, ...],
    key: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Make a graph of an ONNX model."""
    with connect(url) as service:
        found = service.import_graph(
            name or PurePath(file.name).stem, file.read(), shapes=_read_shapes(shapes), outputs=outputs or None, key=key
        )
        for warning in found.document.get("warnings", ()):
            click.echo(f"note: {warning}", err=True)
        print_graph(service, found, as_json)


@graph.command("export")
@click.argument("graph")
@click.argument("file", type=click.File("wb"), metavar="FILE.onnx")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option(
    "--input",
    "shapes",
    multiple=True,
    metavar="NAME=LENGTHS",
    help="The shape of an input that declares none, x=4,3; may be repeated.",
)
@url_option
def export_graph(
    graph: str, file: BinaryIO, dtype: Literal["float32", "float64"], shapes: tuple[str, ...], url: str
) -> None:
    """Write GRAPH as an ONNX model."""
    with connect(url) as service:
        file.write(service.export_graph(graph, dtype=dtype, shapes=_read_shapes(shapes)))


def _read_shapes(texts: tuple[str, ...]) -> dict[str, list[int]]:
    parted = (text.rpartition("=") for text in texts)
    return {name: _read_lengths(lengths, f"{name}={lengths}") for name, _, lengths in parted}


def _read_lengths(text: str, source: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if text]
    except ValueError:
        raise click.UsageError(f"{source}: a shape is written NAME=LENGTH,LENGTH…") from None


@graph.command("list")
@click.option("--name", help="Only the versions of this name.")
@list_options("created_at", "name", searched="name or expression")
@client_options
def list_graphs(limit: int, url: str, as_json: bool, **asked: Any) -> None:
    """List graphs, newest first."""
    with connect(url) as service:
        graphs = first(service.list_graphs(**asked), limit)
    if as_json:
        print_json([found.document for found in graphs])
        return
    columns = {
        "id": [short_id(found.id) for found in graphs],
        "graph": [f"{found.name}@{found.version}" for found in graphs],
        "nodes": [str(found.node_count) for found in graphs],
        "expression": [found.expression or "" for found in graphs],
        "created": [short_time(found.created_at) for found in graphs],
    }
    print_list(columns, whole=("id", "nodes", "created"))


@graph.command("show")
@click.argument("graph")
@client_options
def get_graph(graph: str, url: str, as_json: bool) -> None:
    """Show one graph and its nodes."""
    with connect(url) as service:
        print_graph(service, service.get_graph(graph), as_json)


@graph.command("update")
@click.argument("graph")
@tag_changes_options
@client_options
def update_graph(
    graph: str, tags: tuple[str, ...], gone: tuple[str, ...], no_tags: bool, url: str, as_json: bool
) -> None:
    """Change the tags of a graph; those that are not named stay."""
    with connect(url) as service:
        changed = service.update_graph(graph, tags=read_tag_changes(tags, gone, no_tags))
        print_graph(service, changed, as_json)


@graph.command("delete")
@click.argument("graph")
@cascade_option
@client_options
def delete_graph(graph: str, cascade: bool, url: str, as_json: bool) -> None:
    """Delete a graph that nothing refers to; with --cascade also its runs, derivatives and the graphs made from it."""
    with connect(url) as service:
        found = service.get_graph(graph)
        service.delete_graph(found, cascade=cascade)
    if as_json:
        print_json({"deleted": found.id})
    else:
        click.echo(f"version {found.version} of {found.name} is deleted", err=True)
