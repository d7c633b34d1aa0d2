"""Parts of a graph: nodes that stand for a stored graph, or for a composed operation, and what they were expanded into.

A part named h holds the node h, its output, and every node whose name begins with h/.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.core.rulebook.operation import Attributes
from service.core.rulebook.signature import Signature


@dataclass(frozen=True, slots=True)
class Use:
    """A node that is yet to be expanded: its operation, as it was written, stands for several nodes.

    "" among the inputs stands for one that was left out. `start` is where a text calls it, counted in characters.
    """

    name: str
    operation: str
    callee: Signature
    inputs: tuple[str, ...]
    attributes: Attributes
    start: int = 0


@dataclass(frozen=True, slots=True)
class GraphPart:
    """What a node was expanded from: its operation as it was written, and the digest if that is a stored graph."""

    name: str
    operation: str
    graph: str | None = None


def enclosing(name: str) -> Iterator[str]:
    """The names of the parts that a node of that name may lie in, the innermost first: a/b/c, a/b, a."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def parts_of(names: Sequence[str], parts: Sequence[GraphPart]) -> Sequence[str | None]:
    """For each node the name of the innermost part that it lies in, or None."""
    if not parts:
        return [None] * len(names)
    known: Mapping[str, GraphPart] = {part.name: part for part in parts}
    return [next((name for name in enclosing(node) if name in known), None) for node in names]
