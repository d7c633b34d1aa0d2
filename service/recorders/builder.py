"""The graph of a recording while it is made: nodes by number, so that one can be renamed once more is known of it."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from service.recorders.recording import DTYPES

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


@dataclass
class Builder:
    """Nodes, figures and remarks, which `members` makes a recording of.

    An operation that has no node is entered by `unmapped`: its results become Inputs, and the gradients of all that it
    was computed from are left out, for this graph does not have the paths that they flow along.
    """

    nodes: list[Draft] = field(default_factory=list)
    gradients: dict[Place, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _places: dict[str, Place] = field(default_factory=dict)
    _unmapped: list[dict[str, Any]] = field(default_factory=list)
    _cut: set[Place] = field(default_factory=set)

    def add(self, operation: str, inputs: Sequence[Place] = (), name: str | None = None, **attributes: Any) -> Place:
        """Add a node under a name that is still free; its inputs are there already."""
        place = len(self.nodes)
        free = self._free(name or operation.lower())
        self._places[free] = place
        self.nodes.append(Draft(free, operation, tuple(inputs), attributes))
        return place

    def constant(self, value: Any, name: str | None = None) -> Place:
        """Add a Constant: a number or an array."""
        return self.add("Constant", (), name, value=spell(np.asarray(value).tolist()))

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
        del self._places[node.name]
        node.name = self._free(name)
        self._places[node.name] = place

    def unmapped(self, operation: str, results: Sequence[Place], operands: Sequence[Place], why: str) -> None:
        """Enter an operation whose `results` are Inputs."""
        self._unmapped.append({"operation": operation, "results": tuple(results), "why": why})
        self._cut.update(operands)

    def members(self, output: Place | None, outputs: Sequence[Place] = ()) -> dict[str, Any]:
        """The members of a recording whose gradients are of `output`; warns, once, of what is not recorded."""
        nodes = self.nodes
        gradients, left_out = dict(self.gradients), self._left_out()
        for place in left_out:
            gradients.pop(place, None)
        unmapped = [{**each, "nodes": [nodes[place].name for place in each["results"]]} for each in self._unmapped]
        for each in unmapped:
            del each["results"]
        notes = list(dict.fromkeys(self.notes))
        if left_out & self.gradients.keys():
            notes.append(
                f"The gradients of {len(left_out & self.gradients.keys())} nodes are left out: they also flow through "
                "operations that are not recorded."
            )
        if unmapped:
            words = "; ".join(dict.fromkeys(f"{each['operation']} ({each['why']})" for each in unmapped))
            warnings.warn(f"not recorded, so that the results are Inputs: {words}", RuntimeWarning, stacklevel=3)
        used = {place for node in nodes for place in node.inputs}
        ends = [place for place in range(len(nodes)) if place not in used and nodes[place].inputs]
        recorded = [node for node in nodes if node.value is not None]
        return {
            "nodes": [_document(node, nodes) for node in nodes],
            "outputs": [nodes[place].name for place in outputs or ([output] if output is not None else ends)],
            "output": None if output is None else nodes[output].name,
            "inputs": {node.name: node.value for node in recorded if node.operation == "Input"},
            "values": {node.name: node.value for node in recorded if node.operation != "Input"},
            "gradients": {nodes[place].name: figure for place, figure in gradients.items()},
            "dtypes": {node.name: node.dtype for node in nodes if node.dtype},
            "unmapped": unmapped,
            "sources": {node.name: node.source for node in nodes if node.source},
            "notes": notes,
        }

    def _free(self, name: str) -> str:
        """A name that no node has: this one, else with :2, :3 …"""
        name = "".join("'" if sign == "`" else sign if sign.isprintable() else " " for sign in name)[:240]
        free, count = name, 1
        while free in self._places:
            count += 1
            free = f"{name}:{count}"
        return free

    def _left_out(self) -> set[Place]:
        """What operations without a node were computed from, directly or not."""
        reached = set(self._cut)
        for place in range(len(self.nodes) - 1, -1, -1):
            if place in reached:
                reached.update(self.nodes[place].inputs)
        return reached


def _document(node: Draft, nodes: Sequence[Draft]) -> dict[str, Any]:
    document: dict[str, Any] = {"name": node.name, "operation": node.operation}
    if node.inputs:
        document["inputs"] = [nodes[place].name for place in node.inputs]
    if node.attributes:
        document["attributes"] = dict(node.attributes)
    return document


def spell(figure: Any) -> Any:
    """A number, or nested lists of them, as JSON has it: NaN and the infinities as words, truth as 1 and 0."""
    if isinstance(figure, list | tuple):
        return [spell(each) for each in figure]
    if isinstance(figure, float) and not math.isfinite(figure):
        return "NaN" if math.isnan(figure) else "Infinity" if figure > 0 else "-Infinity"
    return int(figure) if isinstance(figure, bool) else figure
