"""Forward mode, alone and under reverse mode, where 0 · ∞ was met.

Nothing flows along closed edges (`execution/closed_edges.py`).
A tangent passes an edge where it is open and where the operand moves at all: beside the tangents it carries, for each
direction, which elements are reached from what was moved. Elsewhere 0 · ∞ is NaN, as in the backward pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.derivatives.forward_mode import Dual, align
from service.core.execution.chain_rule import contributions_at, in_rows
from service.core.execution.closed_edges import (
    OpenEdges,
    flow_to_operands,
    open_contributions,
    ordinary_numbers,
    silent_edges,
)
from service.core.figures.figures import BoolArray, FloatArray
from service.core.graph.graph import Graph
from service.core.graph.sweep import sweep_back, walk_forward


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """The tangents of a node, (count, *its shape), and which of its elements move."""

    tangent: FloatArray
    moves: BoolArray


def push_along_open_edges(
    graph: Graph, values: Sequence[Any], start: Mapping[int, Moved], last: int
) -> list[Moved | None]:
    """Push tangents forward from the nodes in `start`, by position, up to the node at `last`; None where none comes."""

    def visit(position: int, operands: list[Moved | None]) -> Moved | None:
        result = _push(graph, position, values, operands) if any(operands) else None
        given = start.get(position)
        if given is None or result is None:
            return result or given
        return Moved(given.tangent + result.tangent, given.moves | result.moves)

    with np.errstate(all="ignore"):
        return walk_forward(graph, visit, last + 1)


def _push(graph: Graph, position: int, values: Sequence[Any], operands: Sequence[Moved | None]) -> Moved:
    node, value = graph.nodes[position], values[position]
    known = [values[source] for source in graph.operands[position]]
    if not node.operation.is_elementwise:
        return _push_tensor(graph, position, values, operands)
    slopes = node.operation.differentiate(known, value, node.attributes)
    silent = silent_edges(node.operation, graph.convention, known, value, node.attributes, slopes)
    count = next(len(operand.tangent) for operand in operands if operand is not None)
    shape = (count, *np.shape(value))
    tangent, moves = np.zeros(shape), np.zeros(shape, dtype=bool)
    for operand, local, shut in zip(operands, slopes, silent, strict=True):
        if operand is not None:
            product = local * align(operand.tangent, np.ndim(value))
            moving = align(operand.moves, np.ndim(value)) & ~shut
            tangent += np.where(np.isnan(product) & ~moving, 0.0, product)
            moves |= moving
    return Moved(tangent, moves)


def _push_tensor(graph: Graph, position: int, values: Sequence[Any], operands: Sequence[Moved | None]) -> Moved:
    """By the rows of the Jacobian, as the backward pass has them."""
    value = values[position]
    known = [values[source] for source in graph.operands[position]]
    count, size = next(len(operand.tangent) for operand in operands if operand is not None), np.size(value)
    tangent, moves = np.zeros((count, size)), np.zeros((count, size), dtype=bool)
    for element in range(size):
        flow = (np.arange(size) == element).reshape(np.shape(value))
        upstream = in_rows(flow.astype(float))
        plain = contributions_at(graph, position, upstream, known, value)
        row = open_contributions(graph, position, upstream, flow, known, value, plain)
        passing = flow_to_operands(graph, position, flow, known, value)
        for operand, factors, reached in zip(operands, row, passing, strict=True):
            if operand is None or factors is None or reached is None:
                continue
            product, moving = factors * operand.tangent, operand.moves & reached
            axes = tuple(range(1, product.ndim))
            tangent[:, element] += np.where(np.isnan(product) & ~moving, 0.0, product).sum(axis=axes)
            moves[:, element] |= moving.any(axis=axes)
    return Moved(tangent.reshape(count, *np.shape(value)), moves.reshape(count, *np.shape(value)))


# --- forward over reverse mode ----------------------------------------------------------------------------------------


def reached_part(
    edges: OpenEdges, position: int, upstream: Any, operands: Sequence[Any], value: Any
) -> tuple[list[BoolArray | None], Any, list[Any], Any]:
    """What a backward pass over duals reads of a node that is not elementwise: from which elements of its operands the
    output is reached through it, the upstream gradient, the operands and the value.

    Where it is not reached the upstream gradient is 0, and all other numbers are finite: none of them appears in what
    is passed on elsewhere.
    """
    graph, here = edges.graph, _primal(value)
    flow = edges.reached.get(position, np.zeros(np.shape(here), dtype=np.bool_))
    reached = flow_to_operands(graph, position, flow, list(map(_primal, operands)), here)
    tame = [_tame(operand, flows) for operand, flows in zip(operands, reached, strict=True)]
    return reached, _put(upstream, ~flow, 0.0), tame, _tame(value, flow)


def keep_reached(contributions: Sequence[Any], reached: Sequence[BoolArray | None]) -> list[Any]:
    """The contributions, 0 where the output is not reached."""
    return [
        None if each is None or flows is None else _put(each, ~flows, 0.0)
        for each, flows in zip(contributions, reached, strict=True)
    ]


def push_scalar_gradients(
    graph: Graph, values: Sequence[Any], output: str, start: Mapping[int, Moved], of: Sequence[int]
) -> list[FloatArray]:
    """The derivatives of the gradients at the positions `of` along directions in which all of `start` moves, where each
    value is a scalar.

    What is a dual then depends on what moves, so that 0 · ∞ is NaN in its products as in those of a gradient graph; and
    nothing is passed along closed edges, so that no node is met from which the output is not reached.
    """
    target, count = graph.position[output], len(next(iter(start.values())).tangent)
    along = push_along_open_edges(graph, values, start, target)
    moved = [
        Dual(value, each.tangent) if each is not None and each.moves.any() else value
        for value, each in zip(values, along, strict=False)
    ]

    def contributions(position: int, upstream: Any) -> Sequence[Any]:
        node, sources = graph.nodes[position], graph.operands[position]
        slopes = node.operation.differentiate([moved[each] for each in sources], moved[position], node.attributes)
        known, plain = [values[each] for each in sources], list(map(_primal, slopes))
        silent = silent_edges(node.operation, graph.convention, known, values[position], node.attributes, plain)
        return [None if shut else _product(upstream, slope) for slope, shut in zip(slopes, silent, strict=True)]

    gradients = sweep_back(graph, {target: 1.0}, contributions)
    found = (gradients.get(position) for position in of)
    return [gradient.tangent if isinstance(gradient, Dual) else np.zeros(count) for gradient in found]


def _product(upstream: Any, local: Any) -> Any:
    """Upstream · local gradient, in which 0 · ∞ is NaN."""
    parts = [
        one.tangent * _primal(other) for one, other in ((upstream, local), (local, upstream)) if isinstance(one, Dual)
    ]
    primal = _primal(upstream) * _primal(local)
    return Dual(primal, sum(parts[1:], parts[0])) if parts else primal


def _tame(figure: Any, flows: BoolArray | None) -> Any:
    """A figure with ordinary numbers in place of those that are not finite where nothing flows."""
    finite = np.isfinite(_primal(figure))
    if isinstance(figure, Dual):
        finite = finite & np.isfinite(figure.tangent).all(axis=0)
    return _put(figure, ~finite & (True if flows is None else ~flows), ordinary_numbers(_primal(figure)))


def _primal(figure: Any) -> Any:
    return figure.primal if isinstance(figure, Dual) else figure


def _put(figure: Any, where: BoolArray, numbers: Any) -> Any:
    """A figure with numbers that do not vary where the condition holds."""
    if isinstance(figure, Dual):
        return Dual(np.where(where, numbers, figure.primal), np.where(where, 0.0, figure.tangent))
    return np.where(where, numbers, figure)
