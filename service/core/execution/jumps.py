"""Where no derivative exists although no operation shows it by its own operands.

A Where jumps where its condition passes through 0: at condition 0, if the condition moves with a number. A condition
that is a comparison moves by steps, and what serves as a condition alone is a mask: neither moves a little.

A node that is constant because an operand is infinite, as min(1, 1/x) at 0, may be so on one side of the pole only.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product
from operator import or_
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.execution.chain_rule import value_at
from service.core.execution.closed_edges import flow_to_operands
from service.core.figures.figures import Figures
from service.core.graph.graph import Graph
from service.core.graph.sweep import sweep_back, walk_forward
from service.core.rulebook.operation import MINIMUM_NORM, NO_ATTRIBUTES, Operation

_STEP = 2.0**-20  # of an Input's magnitude, to either side of a pole

_JUMP = 2.0**-10  # of a value's magnitude: steeper than that beside a pole is a jump


def jumping_nodes(graph: Graph, values: Figures) -> set[int]:
    """The positions of the nodes at which there is such a jump, as far as their values are known."""
    found = set()
    for position in _moving_choices(graph):
        condition = values[graph.operands[position][0]]
        if condition is not None and np.any(condition == 0.0):
            found.add(position)
    if values.shapes is not None or np.isinf(values.flat).any():
        suspects = [position for position in _beyond_poles(graph) if _has_infinite_operand(graph, position, values)]
        found |= _constant_on_one_side(graph, values, suspects)
    return found


def may_jump(graph: Graph) -> bool:
    """Whether such a jump may be where all values are finite."""
    return bool(_moving_choices(graph))


def _has_infinite_operand(graph: Graph, position: int, values: Figures) -> bool:
    operands = [values[source] for source in graph.operands[position]]
    if values[position] is None or any(operand is None for operand in operands):
        return False
    return any(np.any(np.isinf(operand)) for operand in operands if operand is not None)


# --- choices --------------------------------------------------------------------------------------------------------


@memoize_on_argument
def _moving_choices(graph: Graph) -> Sequence[int]:
    """The nodes that choose by a condition which may pass through 0."""
    if not any(map(_chooses, graph.columns.operations)):
        return ()
    numbers = _numbers(graph, compared=False)

    def moves(position: int, operands: list[bool]) -> bool:
        operation = graph.nodes[position].operation
        return numbers[position] if operation.is_input else any(operands) and "step" not in operation.rules

    moving = walk_forward(graph, moves)
    return tuple(
        position
        for position, node in enumerate(graph.nodes)
        if _chooses(node.operation) and moving[graph.operands[position][0]]
    )


def _numbers(graph: Graph, compared: bool) -> list[bool]:
    """Whether each node is used as a number, not as a condition or an index alone, nor, unless `compared`, in a
    comparison alone."""

    def uses(position: int, flow: bool) -> list[bool | None]:
        operation, count = graph.nodes[position].operation, len(graph.operands[position])
        if "step" in operation.rules and not (compared and operation.kinks):
            return [None] * count
        indices = (*operation.indices, *(False,) * count)
        conditions = (_chooses(operation), *(False,) * count)
        return [None if each else True for each in map(or_, indices[:count], conditions)]

    start = {graph.position[name]: True for name in graph.outputs}
    found = sweep_back(graph, start, uses, add=lambda position, so_far, other: True)
    return [position in found for position in range(len(graph))]


def _chooses(operation: Operation) -> bool:
    return operation.operands[:1] == ("condition",)


# --- poles ----------------------------------------------------------------------------------------------------------


@memoize_on_argument
def _beyond_poles(graph: Graph) -> Sequence[int]:
    """The nodes that may be constant because an operand is infinite, which an operation before them may have made."""

    def infinite(position: int, operands: list[bool]) -> bool:
        return any(operands) or _has_pole(graph.nodes[position].operation)

    found = walk_forward(graph, infinite)
    return tuple(
        position
        for position, node in enumerate(graph.nodes)
        if node.operation.closed is not None
        and not node.operation.linear
        and not _chooses(node.operation)
        and any(found[source] for source in graph.operands[position])
    )


@cache
def _has_pole(operation: Operation) -> bool:
    """Whether an elementwise operation of small whole numbers may be infinite."""
    if operation.fold or not operation.is_elementwise or operation.attributes:
        return False
    points = np.array(list(product((-1.0, 0.0, 1.0), repeat=len(operation.operands)))).T
    with np.errstate(all="ignore"):
        return bool(np.any(np.isinf(np.multiply(operation.evaluate(list(points), NO_ATTRIBUTES), 1.0))))


def _constant_on_one_side(graph: Graph, values: Figures, suspects: Sequence[int]) -> set[int]:
    """Those of the nodes with a closed edge from an infinite operand that, at a neighbouring point, is open or closed
    at another value."""
    if not suspects:
        return set()
    graph, here = graph.with_convention(MINIMUM_NORM), list(values)
    above, below = (_moved(graph, here, sign * _STEP) for sign in (1.0, -1.0))
    found = set()
    with np.errstate(all="ignore"):
        for position in suspects:
            infinite = [np.isinf(np.asarray(here[source])) for source in graph.operands[position]]
            flows = zip(infinite, *(_flow(graph, position, arrays) for arrays in (here, above, below)), strict=True)
            value: Any = here[position]
            apart = [np.absolute(side[position] - value) for side in (above, below)]
            jumps = np.maximum(*apart) > _JUMP * np.maximum(1.0, np.absolute(value))
            if any(np.any(pole & ~now & (one | other | np.any(jumps))) for pole, now, one, other in flows):
                found.add(position)
    return found


def _flow(graph: Graph, position: int, values: Sequence[Any]) -> list[Any]:
    """From which elements of each operand a node changes."""
    operands, value = [values[source] for source in graph.operands[position]], values[position]
    found = flow_to_operands(graph, position, np.ones(np.shape(value), dtype=np.bool_), operands, value)
    return [np.False_ if flow is None else flow for flow in found]


def _moved(graph: Graph, values: Sequence[Any], step: float) -> list[Any]:
    """The values where each Input that is used as a number is moved in a random direction."""
    random, numbers = np.random.default_rng(0), _numbers(graph, compared=True)

    def visit(position: int, operands: list[Any]) -> Any:
        node, value = graph.nodes[position], values[position]
        if node.operation.is_input and value is not None and numbers[position]:
            scale = np.where(np.isfinite(value) & (value != 0.0), np.absolute(value), 1.0)
            return value + step * scale * random.uniform(0.5, 1.0, np.shape(value))
        if any(operand is None for operand in operands) or not operands:
            return value
        return value_at(graph, position, operands)

    with np.errstate(all="ignore"):
        return walk_forward(graph, visit)
