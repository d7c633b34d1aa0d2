"""The graph of a recording while it is made: nodes by number, so that one can be renamed once more is known of it."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from service.recorders.recording import DTYPES, counted

_MOST = 10_000  # numbers in a Constant, which are a part of the graph
Place: TypeAlias = int  # of a node, in the order in which they were added


@dataclass(slots=True)
class Draft:
    """A node of the graph, its inputs by their places, and what is recorded of it."""

    name: str
    operation: str
    inputs: tuple[Place, ...]
    attributes: Mapping[str, Any]
    value: Any = None
    dtype: str | None = None
    source: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether no gradient can flow to it: a Constant, or an Input of whole numbers."""
        return self.operation == "Constant" or (self.operation == "Input" and "dtype" in self.attributes)


@dataclass
class Builder:
    """Nodes, figures and remarks, which `members` makes a recording of.

    An operation that has no node is entered by `unmapped`: its results become Inputs, and the gradients of all that it
    was computed from are left out, for this graph does not have the paths that they flow along.
    """

    nodes: list[Draft] = field(default_factory=list)
    gradients: dict[Place, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)  # up to which the names NAME:2, NAME:3 … are taken
    _unmapped: list[tuple[str, tuple[Place, ...], str]] = field(default_factory=list)
    _cut: set[Place] = field(default_factory=set)
    _constants: int = 0

    def add(self, operation: str, inputs: Sequence[Place] = (), name: str | None = None, **attributes: Any) -> Place:
        """Add a node under a name that is still free; its inputs are there already."""
        place = len(self.nodes)
        free = self._free(name or operation.lower())
        self._names.add(free)
        self.nodes.append(Draft(free, operation, tuple(inputs), attributes))
        return place

    def constant(self, value: Any, name: str | None = None) -> Place:
        """Add a Constant: a number or an array; one of very many numbers is an Input, which holds them better.

        Without a name it is constant_1, constant_2 …, names by which a comparison does not pair: they only count.
        """
        self._constants += name is None
        free, array = name or f"constant_{self._constants}", np.asarray(value)
        return self.input(array, free) if array.size > _MOST else self.add("Constant", (), free, value=array)

    def input(self, value: Any, name: str, dtype: str | None = None) -> Place:
        """Add an Input and its value; one of whole numbers has no gradient."""
        whole = np.asarray(value).dtype.kind in "biu"
        place = self.add("Input", (), name, **({"dtype": "int64"} if whole else {}))
        self.record(place, value, dtype)
        return place

    def record(self, place: Place, value: Any, dtype: str | None = None) -> None:
        """Keep the value of a node and the precision in which it was computed, unless that is no float."""
        self.nodes[place].value = value
        self.nodes[place].dtype = dtype if dtype in DTYPES else None

    def rename(self, place: Place, name: str) -> None:
        """Give a node another name, or one like it that is still free."""
        node = self.nodes[place]
        self._release(node.name)
        node.name = self._free(name)
        self._names.add(node.name)

    def forget(self, count: int) -> None:
        """Take back all nodes but the first `count`, to which nothing leads yet."""
        for node in self.nodes[count:]:
            self._release(node.name)
        del self.nodes[count:]

    def unmapped(self, operation: str, results: Sequence[Place], operands: Sequence[Place], why: str) -> None:
        """Enter an operation whose `results` are Inputs."""
        self._unmapped.append((operation, tuple(results), why))
        self._cut.update(operands)

    def members(self, output: Place | None) -> dict[str, Any]:
        """The members of a recording whose gradients are of `output`; warns, once, of what is not recorded.

        What nothing uses is left out if it is an Input or a Constant to which no gradient came, or whole numbers.
        """
        nodes = self.nodes
        kept, used = self._kept(output)
        ends = [place for place in kept if place not in used and nodes[place].inputs]
        left_out = self._left_out()
        recorded = [nodes[place] for place in kept if nodes[place].value is not None]
        return {
            "nodes": [document_of(nodes[place], nodes) for place in kept],
            "outputs": [nodes[place].name for place in ([output] if output is not None else ends)],
            "output": None if output is None else nodes[output].name,
            "inputs": {node.name: node.value for node in recorded if node.operation == "Input"},
            "values": {node.name: node.value for node in recorded if node.operation != "Input"},
            "gradients": {
                nodes[place].name: self.gradients[place]
                for place in kept
                if place in self.gradients and place not in left_out
            },
            "dtypes": {node.name: node.dtype for node in recorded if node.dtype},
            "unmapped": self._told(),
            "sources": {nodes[place].name: source for place in kept if (source := nodes[place].source)},
            "notes": list(dict.fromkeys(self.notes + _without_gradients(len(left_out & self.gradients.keys())))),
        }

    def _kept(self, output: Place | None) -> tuple[list[Place], set[Place]]:
        """The nodes of the recording, and those that others use."""
        used: set[Place] = set()
        kept = []
        for place in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[place]
            is_computed = node.inputs and node.dtype
            if is_computed or place in used or place == output or self.gradients.get(place) is not None:
                kept.append(place)
                used.update(node.inputs)
        return kept[::-1], used

    def _told(self) -> list[dict[str, Any]]:
        """The operations that have no node, which a warning lists."""
        told = [
            {"operation": operation, "nodes": [self.nodes[place].name for place in results], "why": why}
            for operation, results, why in self._unmapped
        ]
        if told:
            words = "; ".join(dict.fromkeys(f"{each['operation']} ({each['why']})" for each in told))
            warnings.warn(f"not recorded, so that the results are Inputs: {words}", RuntimeWarning, stacklevel=4)
        return told

    def _free(self, name: str) -> str:
        """A name that no node has: this one, else with :2, :3 …"""
        name = "".join("'" if sign == "`" else sign if sign.isprintable() else " " for sign in name)[:240]
        if name not in self._names:
            return name
        while (free := f"{name}:{self._counts.get(name, 1) + 1}") in self._names:
            self._counts[name] = self._counts.get(name, 1) + 1
        return free

    def _release(self, name: str) -> None:
        self._names.remove(name)
        base, _, count = name.rpartition(":")
        if count.isdigit():
            self._counts[base] = min(self._counts.get(base, 1), int(count) - 1)

    def _left_out(self) -> set[Place]:
        """What operations without a node were computed from, directly or not."""
        reached = set(self._cut)
        for place in range(len(self.nodes) - 1, -1, -1):
            if place in reached:
                reached.update(self.nodes[place].inputs)
        return reached


def _without_gradients(count: int) -> list[str]:
    if not count:
        return []
    return [
        f"The gradients of {counted(count, 'node')} are left out: "
        "they also flow through operations that are not recorded."
    ]


def document_of(node: Draft, nodes: Sequence[Draft]) -> dict[str, Any]:
    """A node, whose inputs are among `nodes`, as `create_graph` takes it."""
    document: dict[str, Any] = {"name": node.name, "operation": node.operation}
    if node.inputs:
        document["inputs"] = [nodes[place].name for place in node.inputs]
    if node.attributes:
        document["attributes"] = {name: _spell(value) for name, value in node.attributes.items()}
    return document


def _spell(figure: Any) -> Any:
    """An attribute as JSON has it: arrays as nested lists, NaN and the infinities as words, truth as 1 and 0."""
    if isinstance(figure, np.ndarray) and figure.ndim > 1 and not figure.size:
        return "x".join(map(str, figure.shape))  # as the value of a Constant without elements, "0x3"
    if isinstance(figure, np.ndarray | np.generic):
        return _spell(figure.tolist())
    if isinstance(figure, list | tuple):
        return [_spell(each) for each in figure]
    if isinstance(figure, float) and not math.isfinite(figure):
        return "NaN" if math.isnan(figure) else "Infinity" if figure > 0 else "-Infinity"
    return int(figure) if isinstance(figure, bool) else figure
