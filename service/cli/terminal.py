"""What the commands share: options, parsing of arguments, and printing of results."""

import json
import math
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from itertools import islice
from typing import Any, TextIO, TypeVar

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.client import Client
from service.client.figures import Figure
from service.client.results.graphs import Graph

Command = TypeVar("Command", bound=Callable[..., Any])
Item = TypeVar("Item")

_LISTED = 50
_WIDE = 10_000  # columns without a terminal: a pipe gets its lines uncut
_NARROW = 80
_SHORT_ID = 8  # characters at its end; the first are the time

tags_option = click.option("--tag", "tags", multiple=True, metavar="KEY:VALUE", help="A tag; may be repeated.")
cascade_option = click.option("--cascade", is_flag=True, help="Delete what refers to it too.")
key_option = click.option(
    "--key", help="An Idempotency-Key: repeated with the same key, the command takes effect once."
)


def json_option(command: Command) -> Command:
    """Add the option --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print everything, as JSON.")(command)


def url_option(command: Command) -> Command:
    """Add the option --url."""
    return click.option(
        "--url", envvar="GRADBOOK_URL", default="http://127.0.0.1:8000", show_default=True, help="Where the service is."
    )(command)


def list_options(*members: str, searched: str) -> Callable[[Command], Command]:
    """Add what lists take: --tag, --search in what is `searched`, --since, --until, --limit and --sort by one of these
    members."""
    options = (
        click.option("--tag", metavar="KEY:VALUE", help="Only those with this tag."),
        click.option("--search", "q", metavar="TEXT", help=f"Only those with this text in {searched}."),
        click.option(
            "--since", metavar="TIME", help="Only those made at this time, as 2026-11-24T09:00:00Z, or later."
        ),
        click.option("--until", metavar="TIME", help="Only those made before this time."),
        click.option(
            "--sort",
            type=click.Choice([sign + member for member in members for sign in ("", "-")]),
            help="Sort by this, with - in descending order; left out, newest first.",
        ),
        click.option("--limit", type=click.IntRange(1), default=_LISTED, show_default=True, help="The most to list."),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def client_options(command: Command) -> Command:
    """Add the options --url and --json."""
    return url_option(json_option(command))


def first(items: Iterable[Item], limit: int) -> list[Item]:
    """Return the first `limit` items, with a note on standard error if there are more."""
    found = list(islice(items, limit + 1))
    if len(found) > limit:
        click.echo(f"the first {limit}; --limit lists more", err=True)
    return found[:limit]


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not empty."""
    return {name: value for name, value in arguments.items() if value}


def read_tags(texts: tuple[str, ...]) -> dict[str, str]:
    """Read tags written as KEY:VALUE."""
    pairs = [text.partition(":") for text in texts]
    for text, (_, colon, _) in zip(texts, pairs, strict=True):
        if not colon:
            raise click.UsageError(f"{text}: a tag is written KEY:VALUE")
    return {key: value for key, _, value in pairs}


def tag_changes_options(command: Command) -> Command:
    """Add --tag, --no-tag and --no-tags; `read_tag_changes` reads them."""
    one = click.option("--no-tag", "gone", multiple=True, metavar="KEY", help="A tag to take away; may be repeated.")
    return tags_option(one(click.option("--no-tags", is_flag=True, help="Take all tags away.")(command)))


def read_tag_changes(texts: tuple[str, ...], gone: tuple[str, ...], no_tags: bool) -> dict[str, str | None] | None:
    """Read what changes of tags: None, if all go."""
    changes: dict[str, str | None] = {**read_tags(texts), **dict.fromkeys(gone)}
    if no_tags and changes:
        raise click.UsageError("--no-tags takes all tags away: give no others beside it")
    return None if no_tags else changes


def read_figure(text: str, source: str) -> Any:
    """Read a number, with NaN and infinities in any of Python's spellings, a fraction such as 4/3, or a JSON list."""
    try:
        if text.lstrip().startswith("["):
            return _decode(text)
        return float(Fraction(text)) if "/" in text else float(text)
    except (ValueError, ArithmeticError, RecursionError):
        expected = "a number, a fraction such as 4/3, or a JSON list of numbers is expected"
        raise click.UsageError(f"{source}: {expected}") from None


def inputs_argument(command: Command) -> Command:
    """Add [NAME=FIGURE]... and --inputs FILE; `read_inputs` reads them."""
    file = click.option(
        "--inputs", "file", type=click.File(encoding="utf-8"), metavar="FILE", help="A JSON object of inputs."
    )
    return click.argument("inputs", nargs=-1, metavar="[NAME=FIGURE]...")(file(command))


def read_inputs(texts: tuple[str, ...], file: TextIO | None) -> dict[str, Any]:
    """Read inputs from NAME=FIGURE arguments and from a file with a JSON object."""
    inputs = {} if file is None else read_json(file)
    if file is not None and not isinstance(inputs, dict):
        raise click.UsageError(f"{file.name}: a JSON object of inputs is expected")
    for text in texts:
        name, equals, figure = text.rpartition("=")
        if not equals:
            raise click.UsageError(f"{text}: an input is written NAME=FIGURE")
        inputs[name] = read_figure(figure, text)
    return inputs


class TypedFloat(float):
    """A number with the text that it was read from."""

    text = ""


def read_json(file: TextIO) -> Any:
    """Read a file of strict JSON, numbers with a point or an exponent as `TypedFloat`; raises click.UsageError."""
    try:
        return _decode(file.read())
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{file.name}: invalid JSON (RFC 8259): {error}") from None


def _decode(text: str) -> Any:
    """Parse JSON, refusing what would be lost silently: a repeated name, a number out of float64's range."""

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            raise ValueError("a name appears twice in one object")
        return members

    def read_float(text: str) -> float:
        number = TypedFloat(text)
        if math.isinf(number):
            raise ValueError(f"{text} is out of float64's range")
        number.text = text
        return number

    return json.loads(text, object_pairs_hook=read_object, parse_float=read_float)


def print_json(document: Any) -> None:
    """Print indented JSON."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_deleted(what: str, name: str, as_json: bool) -> None:
    """Say what is deleted, by the name that it was given by."""
    if as_json:
        print_json({"deleted": name})
    else:
        click.echo(f"{what} {name} is deleted", err=True)


def print_members(members: Mapping[str, Any]) -> None:
    """Print names and values, one per line, without empty ones."""
    for name, value in members.items():
        if value not in (None, {}, []):
            click.echo(f"{name:<12} {_in_one_line(value)}")


def _in_one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}:{text}" for name, text in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def short_id(identifier: str | None) -> str:
    """As much of an id as the service needs to know it."""
    return (identifier or "")[-_SHORT_ID:]


def short_time(time: datetime) -> str:
    """A time to the minute, in UTC."""
    return f"{time:%Y-%m-%d %H:%M}"


def short(figure: Figure | float | None, shape: tuple[int, ...] = ()) -> str:
    """Write a number in six significant digits, a tensor as its shape."""
    shape = getattr(figure, "shape", shape)
    if shape:
        return f"[{'×'.join(map(str, shape))}]"
    return "" if figure is None else rounded(float(figure))


def short_written(figure: Any) -> str:
    """The same of a figure as it is written in JSON; nothing of a tensor that stands in place of its numbers."""
    lengths: list[int] = []
    while isinstance(figure, list):
        lengths.append(len(figure))
        figure = figure[0] if figure else None
    return short(None if figure is None or isinstance(figure, dict) else float(figure), tuple(lengths))


def rounded(number: float, digits: int = 6) -> str:
    """Write a number in `digits` significant digits.

    The command line knows the service over HTTP only and must not import `service.core.figures.text`.
    """
    if math.isfinite(number):
        return f"{number:.{digits}g}"
    return "NaN" if math.isnan(number) else "∞" if number > 0.0 else "-∞"


def make_table(*columns: str, numbers: tuple[int, ...] = ()) -> Table:
    """Make a plain table; the columns in `numbers` are right-aligned."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in numbers else "left", overflow="fold")
    return table


def print_list(columns: Mapping[str, Sequence[str]], whole: Container[str]) -> None:
    """Print a row in one line each, as wide as the terminal or 80 columns; those that are not `whole` may be cut."""
    table = make_table()
    table.padding = (0, 1, 0, 0)
    for column in columns:
        table.add_column(column, no_wrap=column in whole)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(" ".join(cell.split()), no_wrap=True, overflow="ellipsis") for cell in row))
    print_table(table, _NARROW)


def print_table(table: Table, width: int = _WIDE) -> None:
    """Print in colour on a terminal, unless NO_COLOR is set; elsewhere plainly, in lines of at most `width` columns
    without trailing blanks."""
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else width, markup=False, emoji=False, highlight=False)
    if terminal:
        console.print(table)
        return
    with console.capture() as printed:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))


def print_graph(service: Client, graph: Graph, as_json: bool) -> None:
    """Print a graph and all its nodes."""
    nodes = list(service.list_graph_nodes(graph)) if len(graph.nodes) < graph.node_count else graph.nodes
    if as_json:
        print_json({**graph.document, "nodes": [node.document for node in nodes], "next": None})
        return
    members = ("id", "name", "version", "digest", "inputs", "outputs", "weights", "expression", "parent", "tags")
    print_members({member: graph.document.get(member) for member in (*members, "created_at")})
    table = make_table("node", "operation", "inputs", "attributes", *(["part of"] if graph.parts else []))
    for node in nodes:
        attributes = ", ".join(f"{name} = {value}" for name, value in node.attributes.items())
        part = [f"{node.part_of}, {graph.parts[node.part_of]}" if node.part_of else ""] if graph.parts else []
        table.add_row(node.name, node.operation, ", ".join(node.inputs), attributes, *part)
    print_table(table)
