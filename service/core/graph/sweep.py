"""The two walks along a graph's edges: forward from the leaves, and the reverse sweep that sums contributions.

Neither knows what it carries: arrays, duals, terms, shapes, counts or booleans. The reverse sweep is reverse-mode
differentiation (Linnainmaa, 1976): the gradient of a node is the sum of its consumers' contributions, and complete once
all of them, which come later in topological order, have been visited.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add as plus
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from service.core.graph.graph import Graph

T = TypeVar("T")


def walk_forward(graph: "Graph", visit: Callable[[int, list[T]], T], stop: int | None = None) -> list[T]:
    """Visit every node before position `stop`, operands first; return each visit(position, operands' results)."""
    found: list[T] = []
    for position, sources in enumerate(graph.operands[:stop]):
        found.append(visit(position, [found[source] for source in sources]))
    return found


def sweep_back(
    graph: "Graph",
    start: Mapping[int, T],
    contributions: Callable[[int, Any], Sequence[T | None]],
    *,
    add: Callable[[int, T, T], T] = lambda position, so_far, contribution: plus(so_far, contribution),
    settle: Callable[[int, T | None], Any] | None = None,
    order: Iterable[int] | None = None,
) -> dict[int, T]:
    """Sum what flows back to each node, from the last position in `start` to the first; return the sums by position.

    `start` holds the seeds by position. `contributions(position, upstream)` returns one contribution for each operand
    of a node, None where nothing flows back; it is not called for a node to which nothing has flowed. `add(position,
    so_far, contribution)` adds to one operand's sum, in the order in which the sweep meets its out-edges.

    `settle(position, sum)` returns the upstream gradient to continue with, None to stop: here a recorded figure
    replaces the sum. It is called for every node of the graph, with None where nothing has flowed.
    `order` is the order of visits, by default from the last position to the first; consumers must precede operands.
    """
    sums, operands = dict(start), tuple(graph.operands)
    if order is None:
        order = reversed(range(max(start, default=-1) + 1 if settle is None else len(graph)))
    for position in order:
        upstream = sums.get(position)
        if settle is not None:
            upstream = settle(position, upstream)
        sources = operands[position]
        if upstream is None or not sources:
            continue
        for source, contribution in zip(sources, contributions(position, upstream), strict=True):
            if contribution is not None:
                so_far = sums.get(source)
                sums[source] = contribution if so_far is None else add(source, so_far, contribution)
    return sums
