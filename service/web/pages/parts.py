"""The parts of a graph on its pages: each is one node and one row until `?open=NAME` opens it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from service.core.graph.parts import GraphPart, enclosing

_MOST = 200  # parts that are looked at


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A part that can be opened or closed, and the query that does."""

    name: str
    operation: str
    is_open: bool
    query: str


def list_parts(
    parts: Sequence[GraphPart], opened: Collection[str], kept: Sequence[tuple[str, str]] = ()
) -> list[ListedPart]:
    """The outermost parts and those in opened ones; `kept` is what else stays in the address."""
    names = {part.name for part in parts}
    listed = []
    for part in parts[:_MOST]:
        if any(name in names and name not in opened for name in list(enclosing(part.name))[1:]):
            continue  # it lies in one that is closed
        is_open = part.name in opened
        then = [name for name in opened if name != part.name] if is_open else [*opened, part.name]
        query = urlencode([*kept, *(("open", name) for name in then)])
        listed.append(ListedPart(part.name, part.operation, is_open, query))
    return listed
