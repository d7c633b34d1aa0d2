"""A gradient as the sum over all paths: along each path from a node to the output, the product of its local gradients.

There may be exponentially many. They are counted, and their products summed, by dynamic programming along the edges;
the largest are found by best-first search. best(x), the greatest |product| of a path from x to the output, is computed
beforehand for every node, so that the bound of a partial path, its own product times best at its end, is exact and the
first complete path is the largest. A node's next best out-edge enters the queue only once the one before it is taken,
so that each listed path adds at most its length to the queue.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from service.core.errors import Conflict, Fault, InvalidRequest
from service.core.execution.closed_edges import flow_to_operands
from service.core.execution.run import Run
from service.core.explanation.run_view import RunView, consumer_at
from service.core.figures.figures import FloatArray
from service.core.graph.sweep import sweep_back
from service.core.graph.traversal import nodes_between
from service.core.symbolic.equation import (
    AND_SO_ON,
    Equation,
    Formula,
    equate,
    gradient_of,
    times,
    total,
    write_equation,
)
from service.core.symbolic.simplify import simplify
from service.core.symbolic.term import Literal, Term

# Nodes of all listed paths together, after which no other path is listed; paths and factors that are written out.
_MOST_NODES, _MOST_PATHS, _MOST_FACTORS = 100_000, 8, 12
# The logarithm of 0 and of NaN or infinity: beyond the sum of the logarithms of all other factors.
_BOTTOM, _TOP = -1e9, 1e9


class PathEdge(NamedTuple):
    """An edge to the operand at `operand_index` of the node at position `consumer`, and the local gradient along it.

    Along a `closed` edge nothing passes, whatever the upstream gradient is.
    """

    consumer: int
    operand_index: int
    local: float
    closed: bool
    worth: float
    """The logarithm of the local gradient's magnitude."""
    best: float
    """The logarithm of the greatest magnitude of all paths to the output that begin with this edge."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path from the node to the output; `product` is the seed times its local gradients, 0 if an edge is closed."""

    edges: tuple[PathEdge, ...]
    product: float


@dataclass(frozen=True, slots=True)
class Paths:
    """The largest paths in magnitude, largest first, and the sum over all `count` of them.

    `share` is listed_sum / sum: 1 where all are listed, more where others cancel, None where it is not finite.
    `equation` is the sum as products of local gradients, `expanded` the same with their formulas, None where one has
    none.
    """

    paths: tuple[Path, ...]
    count: int
    sum: float
    listed_sum: float
    share: float | None
    equation: Equation
    expanded: Formula | None


def find_paths(run: Run, output: str | None, name: str, limit: int) -> Paths:
    """Find the `limit` largest paths from a node to the run's output, and the sum over all paths.

    `output` is the run's output; the seed is 1 before a backward pass.

    Raises InvalidRequest if a node on a path is a tensor or the node has no gradient, as a Constant; Conflict if the
    run has no output or lacks a value that a local gradient needs; KeyError for an unknown node.
    """
    view, graph, position = RunView(run), run.graph, run.graph.position[name]
    if not graph.nodes[position].has_gradient:
        raise InvalidRequest([Fault(("node",), f"{name!r} has no gradient")])
    if output is None:
        raise Conflict("the run has no output for paths to lead to: run it backward from one")
    target = graph.position[output]
    positions = _between(run, position, output)
    seed = float(run.backward.seed) if run.backward else 1.0
    edges, number, gradient = _sum_up(view, positions, seed)
    paths = _list(edges, position, target, seed, limit) if number else []
    if any(map(math.isnan, (gradient, *(path.product for path in paths)))):
        edges, number, gradient = _sum_up(view, positions, seed, closing=True)
        paths = _list(edges, position, target, seed, limit)
    paths.sort(key=lambda path: -math.inf if math.isnan(path.product) else -abs(path.product))
    listed_sum = sum(path.product for path in paths)
    share = 1.0 if len(paths) == number else None
    if share is None and gradient and math.isfinite(gradient):
        quotient = listed_sum / gradient
        share = quotient if math.isfinite(quotient) else None
    written = _written(view, output, name, paths, number, gradient)
    return Paths(tuple(paths), number, gradient, listed_sum, share, *written)


def _list(edges: Mapping[int, list[PathEdge]], position: int, target: int, seed: float, limit: int) -> list[Path]:
    """The `limit` largest paths, or as many of them as there is room for."""
    paths: list[Path] = []
    room = _MOST_NODES
    for found in _largest_first(edges, position, target):
        is_closed = any(edge.closed for edge in found)
        product = 0.0 if is_closed else reduce(lambda product, edge: product * edge.local, reversed(found), seed)
        paths.append(Path(tuple(found), product))
        room -= len(found) + 1
        if len(paths) == limit or room <= 0:
            break
    return paths


def _between(run: Run, position: int, output: str) -> list[int]:
    """The positions of the nodes on paths from one to the output; raises InvalidRequest where one is a tensor."""
    inside = nodes_between(run.graph, position, output)
    for other in inside:
        if shape := run.values.shape(other):
            detail = f"paths are for scalar figures; {run.graph.nodes[other].name!r} has shape {list(shape)}"
            raise InvalidRequest([Fault(("node",), detail)])
    return inside


class _Sums(NamedTuple):
    """Of one node: the number of paths to the output, the sum of their products, the worth of the best, and whether one
    of them is open."""

    number: int
    product: np.float64
    best: float
    open: bool

    def plus(self, other: "_Sums") -> "_Sums":
        number, product = self.number + other.number, self.product + other.product
        return _Sums(number, product, max(self.best, other.best), self.open or other.open)


def _sum_up(
    view: RunView, positions: Sequence[int], seed: float, closing: bool = False
) -> tuple[Mapping[int, list[PathEdge]], int, float]:
    """The edges out of each node in `positions`, from the last of which all paths are; the number of paths from the
    first and the sum of their products. Edges are closed only if `closing`, which matters only to 0 · ∞."""
    if not positions:
        return {}, 0, 0.0
    graph, inside = view.graph, set(positions)
    edges: dict[int, list[PathEdge]] = defaultdict(list)

    def contributions(position: int, upstream: _Sums) -> list[_Sums | None]:
        found: list[_Sums | None] = []
        slopes = _locals(view, position)
        closed = _closed(view, position) if closing else [False] * len(slopes)
        for operand_index, (source, slope, shut) in enumerate(
            zip(graph.operands[position], slopes, closed, strict=True)
        ):
            if source not in inside or slope is None:  # an index: no gradient flows back to it
                found.append(None)
                continue
            local = float(slope)
            worth = _BOTTOM if shut else _logarithm(local)
            passes = upstream.open and not shut
            edges[source].append(PathEdge(position, operand_index, local, shut, worth, worth + upstream.best))
            product = upstream.product * local if passes else np.float64(0.0)
            found.append(_Sums(upstream.number, product, worth + upstream.best, passes))
        return found

    start = {positions[-1]: _Sums(1, np.float64(seed), 0.0, open=True)}
    with np.errstate(all="ignore"):
        sums = sweep_back(
            graph,
            start,
            contributions,
            add=lambda position, so_far, contribution: so_far.plus(contribution),
            order=reversed(positions[1:]),
        )
    found = sums.get(positions[0], _Sums(0, np.float64(0.0), 0.0, open=False))
    return edges, found.number, float(found.product)


def _locals(view: RunView, position: int) -> Sequence[FloatArray | None]:
    """The local gradients of a scalar node: where it is not elementwise, what it passes back of an upstream 1."""
    elementwise = view.graph.nodes[position].operation.is_elementwise
    consumer = consumer_at(view, position, None if elementwise else np.ones(()))
    locals_ = consumer.locals if elementwise else consumer.contributions
    if locals_ is None:
        unknown = [name for name, figure in consumer.figures.items() if figure is None]
        detail = f"the run has no value of {unknown[0]!r}, which the local gradients of {consumer.node.name!r} need"
        raise Conflict(detail)
    return locals_


def _closed(view: RunView, position: int) -> Sequence[bool]:
    """For each operand of a scalar node whether the edge is closed."""
    operands = [view.value(source) for source in view.graph.operands[position]]
    with np.errstate(all="ignore"):
        flows = flow_to_operands(view.graph, position, np.ones((), dtype=np.bool_), operands, view.value(position))
    return [flow is None for flow in flows]


def _logarithm(factor: float) -> float:
    if not math.isfinite(factor):
        return _TOP
    return math.log(abs(factor)) if factor else _BOTTOM


_Link = tuple[PathEdge, Any] | None  # a partial path: its last edge, and the link before


def _largest_first(edges: Mapping[int, list[PathEdge]], start: int, target: int) -> Iterator[list[PathEdge]]:
    """Yield every path from start to target, those of greatest |product| first."""
    ranked: set[int] = set()
    ties = count()
    queue: list[tuple[float, int, _Link, int, float, int]] = []

    def option(position: int, rank: int) -> PathEdge | None:
        """Return the out-edge of a node that `rank` better ones precede, or None."""
        if position not in ranked:
            edges[position].sort(key=lambda edge: -edge.best)
            ranked.add(position)
        return edges[position][rank] if rank < len(edges[position]) else None

    def wait(link: _Link, position: int, worth: float, rank: int) -> None:
        if edge := option(position, rank):
            heapq.heappush(queue, (-(worth + edge.best), next(ties), link, position, worth, rank))

    if start == target:
        yield []
        return
    wait(None, start, 0.0, 0)
    while queue:
        _, _, link, position, worth, rank = heapq.heappop(queue)
        wait(link, position, worth, rank + 1)
        while position != target:
            edge = edges[position][rank]
            link, position, worth, rank = (edge, link), edge.consumer, worth + edge.worth, 0
            if position != target:
                wait(link, position, worth, 1)
        path = []
        while link is not None:
            path.append(link[0])
            link = link[1]
        yield path[::-1]


# --- formulas -------------------------------------------------------------------------------------------------------


def _written(
    view: RunView, output: str, name: str, paths: Sequence[Path], number: int, gradient: float
) -> tuple[Equation, Formula | None]:
    """Write dF/da as the sum over its paths, by local gradients and by their formulas."""
    figures: dict[str, FloatArray | None] = {}
    opening: list[Term] = []
    if view.quantity != output:
        upstream = gradient_of(view.quantity, output)
        opening, figures[upstream.name] = [upstream], view.run.backward.seed if view.run.backward else None
    by_locals: list[Term] = []
    by_formulas: list[Term] = []
    complete = True
    for path in paths[:_MOST_PATHS]:
        factors, formulas = list(opening), list(opening)
        for edge in path.edges[: -_MOST_FACTORS - 1 : -1]:
            consumer = consumer_at(view, edge.consumer, None)
            local = consumer.local_gradient(edge.operand_index)
            figures[local.name] = np.asarray(edge.local)
            factors.append(local)
            term = consumer.term(edge.operand_index) if consumer.node.operation.is_elementwise else None
            complete = complete and term is not None
            formulas.append(term or local)
        more = [AND_SO_ON] if len(path.edges) > _MOST_FACTORS else []
        by_locals.append(_product([*factors, *more]))
        by_formulas.append(_product([*formulas, *more]))
    if number > len(by_locals):
        by_locals.append(AND_SO_ON)
        by_formulas.append(AND_SO_ON)
    subject = gradient_of(view.quantity, name, view.graph.position)
    line = write_equation(subject, total(by_locals or [Literal(0.0)]), figures, np.asarray(gradient))
    if not complete:
        return line, None
    return line, equate(subject, total(list(map(simplify, by_formulas)) or [Literal(0.0)]))


def _product(factors: Sequence[Term]) -> Term:
    """Multiply the factors; 1 where there are none."""
    return reduce(times, factors) if factors else Literal(1.0)
