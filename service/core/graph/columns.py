"""The nodes of a graph column by column: what takes a twentieth of the memory of objects, and is read at once.

A graph of a million nodes is stored, loaded, packed for the compiled loops and run in this form. Whoever looks at a few
nodes has them made; whoever walks over all has all of them made, once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from service.core.figures.figures import UInt32Array
from service.core.graph.node import Node
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation

FEW = 1000  # nodes, which are made at once
Item = TypeVar("Item")
_NEWLINE = 10


class Names(Sequence[str]):
    """Names in UTF-8, a line each, of which each is made when it is asked for."""

    def __init__(self, lines: bytes | memoryview) -> None:
        self._lines = memoryview(lines)
        ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == _NEWLINE)
        self._starts = np.concatenate([[0], ends + 1, [len(self._lines) + 1]]).astype(np.uint32)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> list[str]: ...
    def __getitem__(self, position: int | slice) -> str | list[str]:
        if isinstance(position, slice):
            return [self[each] for each in range(*position.indices(len(self)))]
        start, end = self._starts[position : position + 2].tolist()
        return str(self._lines[start : end - 1], "utf-8")

    def __iter__(self) -> Iterator[str]:
        return iter(str(self._lines, "utf-8").split("\n"))

    @property
    def nbytes(self) -> int:
        """The bytes that they take."""
        return len(self._lines) + self._starts.nbytes


@dataclass(frozen=True, eq=False)
class NodeColumns:
    """Of each node the name, which of the operations it is, and its attributes, if it has any.

    Its operands, by position, are those from `starts[position]` to before `starts[position + 1]`.
    """

    names: Sequence[str]
    operations: Sequence[Operation]
    kinds: NDArray[np.integer[Any]]
    starts: UInt32Array
    operands: UInt32Array
    attributes: Mapping[int, Attributes]

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def nbytes(self) -> int:
        """The bytes that they take, without the attributes and the names of nodes that are made."""
        names = self.names.nbytes if isinstance(self.names, Names) else 0
        return names + self.kinds.nbytes + self.starts.nbytes + self.operands.nbytes

    def node(self, position: int) -> Node:
        """Make one node."""
        inputs = tuple(map(self.names.__getitem__, self.sources(position)))
        attributes = self.attributes.get(position, NO_ATTRIBUTES)
        return Node(self.names[position], self.operations[self.kinds[position]], inputs, attributes)

    def sources(self, position: int) -> tuple[int, ...]:
        """The positions of the operands of one node."""
        first, last = self.starts[position : position + 2].tolist()
        return tuple(self.operands[first:last].tolist())

    def all_sources(self) -> tuple[tuple[int, ...], ...]:
        """Those of all nodes; equal positions are one object."""
        shared = list(range(len(self)))
        sources = list(map(shared.__getitem__, self.operands.tolist()))
        return tuple(tuple(sources[first:last]) for first, last in pairwise(self.starts.tolist()))

    def all_nodes(self) -> tuple[Node, ...]:
        """Make all nodes; equal names are one object."""
        names = list(self.names)
        sources = list(map(names.__getitem__, self.operands.tolist()))
        operations = map(self.operations.__getitem__, self.kinds.tolist())
        attributes = self.attributes
        return tuple(
            Node(name, operation, tuple(sources[first:last]), attributes.get(position, NO_ATTRIBUTES))
            for position, (name, operation, (first, last)) in enumerate(
                zip(names, operations, pairwise(self.starts.tolist()), strict=True)
            )
        )


def columns_of(nodes: Sequence[Node], position: Mapping[str, int]) -> NodeColumns:
    """The columns of nodes whose positions are known by name."""
    if isinstance(nodes, Nodes):
        return nodes.columns
    operations: dict[Operation, int] = {}
    kinds = [operations.setdefault(operation, len(operations)) for operation in map(attrgetter("operation"), nodes)]
    sources = list(map(attrgetter("inputs"), nodes))
    starts = np.zeros(len(nodes) + 1, dtype=np.uint32)
    np.cumsum(np.fromiter(map(len, sources), np.uint32, len(nodes)), out=starts[1:])
    operands = map(position.__getitem__, chain.from_iterable(sources))
    return NodeColumns(
        tuple(map(attrgetter("name"), nodes)),
        tuple(operations),
        np.array(kinds, dtype=np.uint16),
        starts,
        np.fromiter(operands, np.uint32, int(starts[-1])),
        {position: node.attributes for position, node in enumerate(nodes) if node.attributes},
    )


def nodes_of(columns: NodeColumns) -> Sequence[Node]:
    """The nodes of columns: made at once if they are few."""
    return columns.all_nodes() if len(columns) <= FEW else Nodes(columns)


class OnDemand(Sequence[Item]):
    """Items that are made each time they are asked for; all of them, and then they are kept, to walk over them."""

    def __init__(self, count: int, one: Callable[[int], Item], every: Callable[[], tuple[Item, ...]]) -> None:
        self._positions, self._one, self._every = range(count), one, every

    def __len__(self) -> int:
        return len(self._positions)

    @cached_property
    def _all(self) -> tuple[Item, ...]:
        return self._every()

    @property
    def are_made(self) -> bool:
        """Whether all are."""
        return "_all" in vars(self)

    @overload
    def __getitem__(self, position: int) -> Item: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, position: int | slice) -> Item | tuple[Item, ...]:
        if self.are_made:
            return self._all[position]
        asked = self._positions[position]
        return self._one(asked) if isinstance(asked, int) else tuple(map(self._one, asked))

    def __iter__(self) -> Iterator[Item]:
        return iter(self._all)


class Nodes(OnDemand[Node]):
    """Nodes that are made of columns when they are asked for."""

    def __init__(self, columns: NodeColumns) -> None:
        super().__init__(len(columns), columns.node, columns.all_nodes)
        self.columns = columns


class Positions(Mapping[str, int]):
    """The positions of nodes by name: those of `known`, and of the others as soon as one is asked for."""

    def __init__(self, names: Sequence[str], known: Mapping[str, int] = MappingProxyType({})) -> None:
        self._names, self._known = names, known

    @cached_property
    def _all(self) -> dict[str, int]:
        return dict(zip(self._names, range(len(self._names)), strict=True))

    @property
    def are_made(self) -> bool:
        """Whether all are."""
        return "_all" in vars(self)

    def __getitem__(self, name: str) -> int:
        found = self._known.get(name)
        return self._all[name] if found is None else found

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
