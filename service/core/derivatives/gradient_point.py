"""The nodes whose gradients are checked: their figures, and why one of them cannot be checked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.execution.closed_edges import OpenEdges
from service.core.execution.passes import nondifferentiable_nodes
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Graph, Node
from service.core.graph.traversal import nodes_between, reaches
from service.core.rounding import precision

UNIT_ROUNDOFF = precision.UNIT_ROUNDOFF["float64"]
_ROUNDINGS = 32.0  # how many units each node may be off by
_LEAST = 2.0**-1074  # of which figures near 0 are multiples


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A node to check: its value, its gradient and, of the node's shape, how far that may be off and still be right.

    `own` is the gradient that the backward pass finds, `path` the positions of the nodes from this one to the output.
    `nonfinite` is a claimed gradient that is NaN or infinite where ours, which is checked in its place, is finite.
    `noise` is how far rounding may move the output, `reason` why there is nothing to check. If `held`, it is a label, a
    mask or an index, which no gradient reaches: it is left where it is.
    """

    name: str
    position: int
    value: FloatArray
    gradient: FloatArray
    slack: FloatArray
    own: FloatArray
    path: tuple[int, ...]
    noise: float
    reason: str | None
    held: str | None
    nonfinite: FloatArray | None = None

    @property
    def scale(self) -> FloatArray:
        """The magnitude of each element, 1 for 0: what a step is a fraction of."""
        magnitude = np.absolute(self.value)
        return np.where(magnitude == 0.0, 1.0, magnitude)


def rounding_errors(gradient: Any, value: Any) -> float:
    """How far the rounding errors of a node's value may move the output; 0 × ∞ is one that does not reach it."""
    errors = UNIT_ROUNDOFF * np.absolute(gradient * value) + _LEAST * np.absolute(gradient)
    errors = np.where((value == 0.0) & np.isinf(gradient), 0.0, errors)
    return _ROUNDINGS * float(np.nan_to_num(errors, nan=0.0, posinf=np.inf).sum())


def find_points(
    graph: Graph,
    values: Figures,
    output: str,
    positions: Sequence[int],
    own: Sequence[Any],
    claimed: Mapping[int, tuple[FloatArray, FloatArray]],
    *,
    analytic: bool,
) -> list[Point]:
    """The nodes at `positions` with their gradients: those `claimed`, with their slack, or else our `own`.

    `analytic` says that only what is an analytic function can be checked.
    """
    arrays: list[Any] = list(values)
    kinks = _Kinks(graph, arrays, output, frozenset(nondifferentiable_nodes(graph, values)))
    noises = [0.0 if each is None else rounding_errors(each, value) for each, value in zip(own, arrays, strict=True)]
    points = []
    for position in positions:
        path = tuple(nodes_between(graph, position, output))
        gradient, slack = claimed.get(position, (own[position], np.zeros(np.shape(own[position]))))
        nonfinite = None
        if not np.isfinite(gradient).all() and np.isfinite(own[position]).all():
            nonfinite, gradient = gradient, own[position]
        points.append(
            Point(
                name=graph.nodes[position].name,
                position=position,
                value=arrays[position],
                gradient=gradient,
                slack=slack,
                own=own[position],
                path=path,
                noise=sum(noises[each] for each in path[1:]) + _LEAST,
                reason=_reason(arrays, output, position, path, gradient, kinks, analytic),
                held=_held(graph, arrays, output, position),
                nonfinite=nonfinite,
            )
        )
    return points


def _reason(
    arrays: Sequence[Any],
    output: str,
    position: int,
    path: Sequence[int],
    gradient: FloatArray,
    kinks: "_Kinks",
    analytic: bool,
) -> str | None:
    """Why the gradient of a node cannot be checked, or None."""
    graph = kinks.graph
    if not np.isfinite(arrays[position]).all():
        return "the value is not finite"
    if not np.isfinite(arrays[graph.position[output]]).all():
        return "the output is not finite"
    if not np.isfinite(gradient).all():
        return "the gradient is not finite"
    if (bent := kinks.first_met(position, path)) is not None:
        return f"no derivative exists at {graph.nodes[bent].name!r}"
    if index := _index_among(graph, path):
        return f"{index!r} takes it as an index"
    rough = [graph.nodes[each] for each in path[1:] if not graph.nodes[each].operation.analytic]
    if analytic and rough:
        return f"{rough[0].name!r} ({rough[0].operation.name}) is not analytic"
    return None


@dataclass(frozen=True, eq=False)
class _Kinks:
    """The nodes of a graph at which no derivative exists, and from where they are met.

    One that is reached only along closed edges is not, as sqrt(0) in sqrt(relu(x)) where x < 0: there nothing moves.
    """

    graph: Graph
    arrays: Sequence[Any]
    output: str
    positions: frozenset[int]
    _meeting: dict[int, frozenset[int]] = field(default_factory=dict)

    def first_met(self, position: int, path: Sequence[int]) -> int | None:
        """The first kink on a path that is met where the node at `position`, with which it begins, moves a little."""
        return next((each for each in path[1:] if each in self.positions and self._is_met(each, position)), None)

    def _is_met(self, kink: int, position: int) -> bool:
        if kink not in self._edges.reached:
            return False
        if kink not in self._places:  # a jump, which its operation alone does not tell
            return True
        if position not in self._meeting_any:
            return False
        if kink not in self._meeting:
            self._meeting[kink] = self._meeting_one_of([kink])
        return position in self._meeting[kink]

    def _meeting_one_of(self, kinks: Iterable[int]) -> frozenset[int]:
        """The positions from which the output is reached by way of one of these kinks."""
        start = {each: self._places[each] & self._edges.reached[each] for each in kinks if each in self._edges.reached}
        return frozenset(self._edges.reaching({each: flow for each, flow in start.items() if flow.any()}))

    @cached_property
    def _meeting_any(self) -> frozenset[int]:
        return self._meeting_one_of(self._places)

    @cached_property
    def _places(self) -> dict[int, Any]:
        """Where in the values of nodes the kinks of their operations are; everywhere if they are not elementwise."""
        found = {}
        for position in self.positions:
            node, value = self.graph.nodes[position], self.arrays[position]
            operands = [self.arrays[source] for source in self.graph.operands[position]]
            marked = np.asarray(node.operation.is_nondifferentiable(operands, value, node.attributes))
            if marked.any():
                shape = np.shape(value)
                found[position] = np.broadcast_to(marked if node.operation.is_elementwise else True, shape)
        return found

    @cached_property
    def _edges(self) -> OpenEdges:
        return OpenEdges(self.graph, self.arrays, self.output)


def _index_among(graph: Graph, path: Sequence[int]) -> str | None:
    """The first node on a path that takes another on it as an index, which cannot be moved a little."""
    moved = frozenset(path) if _index_operands(graph) else frozenset()
    found = (taker for taker, index in _index_operands(graph) if taker in moved and index in moved and taker != path[0])
    return next((graph.nodes[taker].name for taker in found), None)


@memoize_on_argument
def _index_operands(graph: Graph) -> Sequence[tuple[int, int]]:
    """Each node that takes another as an index, and that other, by position."""
    return [
        (position, source)
        for position, node in enumerate(graph.nodes)
        for index, source in zip(node.operation.indices, graph.operands[position], strict=False)
        if index
    ]


def _held(graph: Graph, arrays: Sequence[Any], output: str, position: int) -> str | None:
    """Why a node of whole numbers is left where it is: it is used as an index or a condition alone; or None."""
    if not np.all(np.floor(arrays[position]) == arrays[position]):
        return None
    reached = reaches(graph, output)
    carried, use = {position}, None
    for later in range(position + 1, graph.position[output] + 1):
        if not reached[later] or carried.isdisjoint(graph.operands[later]):
            continue
        node = graph.nodes[later]
        uses = list(_uses(graph, arrays, later))
        taken = {use for use, source in zip(uses, graph.operands[later], strict=True) if source in carried}
        if None in taken:
            carried.add(later)
        elif use is None:
            use = f"{node.name!r} takes it as {taken.pop()}"
    return None if graph.position[output] in carried else use


def _uses(graph: Graph, arrays: Sequence[Any], position: int) -> Iterator[str | None]:
    """What a node takes each of its operands as, "an index" or "a condition"; None where it is a number like others."""
    node: Node = graph.nodes[position]
    operation, sources = node.operation, graph.operands[position]
    yields_conditions = "step" in operation.rules and (
        np.asarray(operation.evaluate([arrays[source] for source in sources], node.attributes)).dtype == np.bool_
    )
    for operand_index in range(len(sources)):
        if operand_index < len(operation.indices) and operation.indices[operand_index]:
            yield "an index"
        elif yields_conditions or operation.operands[operand_index : operand_index + 1] == ("condition",):
            yield "a condition"
        else:
            yield None
