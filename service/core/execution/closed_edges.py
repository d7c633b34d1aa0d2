"""Closed edges: along which nothing flows back, whatever the upstream gradient is.

An edge is closed where its operation does not change when that operand alone moves a little, as relu below 0. The
output is reached from an element of a node if a path of open edges leads there; from any other it does not depend on
that element, whose gradient is 0 and which contributes 0 however steep its local gradients are. Elsewhere 0 · ∞ is NaN.

Both follow from graph and values alone, never from a gradient, so that passes, replays, claims, steps and Jacobians
agree. A closed edge's local gradient is 0: only where 0 · ∞ was computed along it does the result differ from the plain
product, so that a pass is redone with `OpenEdges` only where it met a NaN. Under a library's convention that library
decides, for each operation, whether it multiplies there and whether it goes on behind.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from service.core.execution.chain_rule import contributions_at, in_precision, in_rows, operands_at
from service.core.figures.figures import BoolArray, Figures
from service.core.graph.graph import Graph
from service.core.graph.sweep import sweep_back
from service.core.rulebook.operation import MINIMUM_NORM, Operation
from service.core.rulebook.primitives import sum_to_shape


def has_nan(figure: Any) -> bool:
    """Whether there is a NaN in an array or a scalar; NumPy's min of an array with a NaN is NaN."""
    figure = np.asarray(figure)
    return figure.size > 0 and bool(np.isnan(figure.min()))


@dataclass(frozen=True, eq=False)
class OpenEdges:
    """The open edges of a graph at the values of its nodes, by which `output` is reached.

    `start` marks the elements of the output whose gradient is asked for; None stands for all of them. `results` holds,
    by position, values of nodes in place of those that their consumers take.
    """

    graph: Graph
    values: Sequence[Any] | Figures
    output: str
    start: BoolArray | None = None
    results: Mapping[int, Any] = field(default_factory=dict)

    @cached_property
    def reached(self) -> dict[int, BoolArray]:
        """By position, from which elements of a node the output is reached along open edges; from no element of those
        that are left out."""
        target = self.graph.position[self.output]
        value: Any = self.values[target]
        return self.reaching({target: np.ones(np.shape(value), dtype=np.bool_) if self.start is None else self.start})

    def reaching(self, start: Mapping[int, BoolArray]) -> dict[int, BoolArray]:
        """As `reached`, of these elements of the nodes at some positions in place of the output."""
        with np.errstate(all="ignore"):
            return sweep_back(
                self.graph,
                start,
                lambda position, flow: flow_to_operands(
                    self.graph, position, flow, self._operands(position), self._result(position)
                ),
                add=lambda position, so_far, other: so_far | other,
            )

    @cached_property
    def reached_nodes(self) -> BoolArray:
        """By position, whether the output is reached from any element of the node along open edges."""
        found = np.zeros(len(self.graph), dtype=np.bool_)
        found[list(self.reached)] = True
        return found

    def contributions(self, position: int, upstream: Any) -> Sequence[Any]:
        """As `contributions_at`, with 0 in place of 0 · ∞ where the edge is closed or nothing flows."""
        plain = contributions_at(self.graph, position, upstream, self._operands(position), self._result(position))
        return self.opened(position, upstream, plain)

    def opened(self, position: int, upstream: Any, plain: Sequence[Any]) -> Sequence[Any]:
        """The contributions of a node, given the `plain` products."""
        if not any(given is not None and has_nan(given) for given in plain):
            return plain
        value = self._result(position)
        operands, flow = self._operands(position), self.reached.get(position)
        if flow is None:
            flow = np.zeros(np.shape(value), dtype=np.bool_)
        return open_contributions(self.graph, position, upstream, flow, operands, value, plain)

    def _operands(self, position: int) -> list[Any]:
        return [self.values[source] for source in self.graph.operands[position]]

    def _result(self, position: int) -> Any:
        return self.results[position] if position in self.results else self.values[position]


def flow_to_operands(
    graph: Graph, position: int, flow: BoolArray, operands: Sequence[Any], value: Any
) -> list[BoolArray | None]:
    """From which elements of each operand an open edge leads to an element in `flow`; None if from none.

    `flow` has the shape of the node's value.
    """
    node, known = graph.nodes[position], operands_at(graph, position, operands)
    operation, value = node.operation, in_precision(graph, position, value)
    found: list[Any]
    if graph.convention != MINIMUM_NORM:
        is_cut = operation.closed is not None and graph.convention in operation.closed.cut_by
        found = [np.full(np.shape(operand), flow.any() and not is_cut) for operand in known]
    elif operation.is_elementwise:
        closed = operation.closed_operands(known, value, node.attributes) or (False,) * len(known)
        found = [
            sum_to_shape((flow & ~np.asarray(shut)).astype(float), np.shape(operand)) > 0.0
            for shut, operand in zip(closed, known, strict=True)
        ]
    else:
        found = _probe(operation, flow, known, value, node.attributes)
    return [each if each is not None and each.any() else None for each in found]


def open_contributions(
    graph: Graph,
    position: int,
    upstream: Any,
    flow: BoolArray,
    operands: Sequence[Any],
    value: Any,
    plain: Sequence[Any],
) -> Sequence[Any]:
    """The contributions of a node, `plain` where they are no NaN.

    `flow` says from which elements of the node the output is reached. An upstream gradient other than 0 elsewhere, such
    as a recorded one, is passed on all the same: who recorded it did.
    """
    node, known = graph.nodes[position], operands_at(graph, position, operands)
    operation, value = node.operation, in_precision(graph, position, value)
    upstream = in_rows(in_precision(graph, position, upstream))
    live = upstream != 0.0 if graph.convention in operation.absorbed_by else flow | (upstream != 0.0)
    masked: Sequence[Any]
    if operation.is_elementwise:
        masked = _open_products(graph, position, upstream, live, known, value)
    elif not live.any():
        masked = [np.zeros(np.shape(operand)) for operand in known]
    elif graph.convention != MINIMUM_NORM:
        return plain
    else:
        masked = _open_flow(operation, upstream, live, known, value, node.attributes, plain)
    return [
        given if given is None else in_precision(graph, source, open_)
        for source, given, open_ in zip(graph.operands[position], plain, masked, strict=True)
    ]


def closed_operands_at(graph: Graph, position: int, operands: Sequence[Any], value: Any) -> tuple[int, ...]:
    """Along which operands the edge is closed under the default convention, of a tensor in every element.

    An operation that is not elementwise has none: what it leaves out are elements.
    """
    node = graph.nodes[position]
    if graph.convention != MINIMUM_NORM:
        return ()
    with np.errstate(all="ignore"):
        closed = node.operation.closed_operands(
            operands_at(graph, position, operands), in_precision(graph, position, value), node.attributes
        )
    return tuple(index for index, shut in enumerate(closed or ()) if np.all(shut))


def closed_operands(graph: Graph, values: Figures, positions: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """As `closed_operands_at` for those of the nodes at `positions` that have any, and whose values are known.

    Scalars of one operation are looked at together.
    """
    found: dict[int, tuple[int, ...]] = {}
    if graph.convention != MINIMUM_NORM:
        return found
    alike: dict[Hashable, list[int]] = {}
    together = values.shapes is None and values.present is None and not graph.float32_nodes
    for position in positions:
        node = graph.nodes[position]
        if node.operation.closed is None or node.operation.closed.where is None:
            continue
        if together:
            key = (node.operation, len(node.inputs), tuple(node.attributes.items()))
            alike.setdefault(key, []).append(position)
            continue
        operands, value = [values[source] for source in graph.operands[position]], values[position]
        if value is not None and not any(operand is None for operand in operands):
            found[position] = closed_operands_at(graph, position, operands, value)
    for several in alike.values():
        first = graph.nodes[several[0]]
        sources = np.array([graph.operands[position] for position in several]).T
        with np.errstate(all="ignore"):
            closed = first.operation.closed_operands(values.flat[sources], values.flat[several], first.attributes)
        shut = np.stack([np.broadcast_to(each, len(several)) for each in closed or ()], axis=1)
        for row in np.flatnonzero(shut.any(axis=1)).tolist():
            found[several[row]] = tuple(np.flatnonzero(shut[row]).tolist())
    return {position: operands for position, operands in sorted(found.items()) if operands}


def silent_edges(
    operation: Operation, convention: str, operands: Sequence[Any], value: Any, attributes: Any, slopes: Sequence[Any]
) -> list[BoolArray]:
    """For each operand of an elementwise operation where its contribution is 0 whatever the upstream gradient is.

    `slopes` are the local gradients: a library that does not multiply puts 0 wherever it chose the slope 0.
    """
    if convention == MINIMUM_NORM:
        closed = operation.closed_operands(operands, value, attributes) or (False,) * len(operands)
        return [np.asarray(shut) for shut in closed]
    selects = operation.closed is not None and convention not in operation.closed.multiplied_by
    return [(np.asarray(local) == 0.0) & selects for local in slopes]


def _open_products(
    graph: Graph, position: int, upstream: Any, live: BoolArray, operands: Sequence[Any], value: Any
) -> list[Any]:
    """upstream · local for each operand of an elementwise operation."""
    operation, attributes = graph.nodes[position].operation, graph.nodes[position].attributes
    slopes = operation.differentiate(operands, value, attributes)
    silent = silent_edges(operation, graph.convention, operands, value, attributes, slopes)
    found = []
    for local, shut, operand in zip(slopes, silent, operands, strict=True):
        product = upstream * local
        product = np.where(np.isnan(product) & (shut | ~live), 0.0, product)
        found.append(sum_to_shape(product, np.shape(operand)))
    return found


def _open_flow(
    operation: Operation,
    upstream: Any,
    live: BoolArray,
    operands: Sequence[Any],
    value: Any,
    attributes: Any,
    plain: Sequence[Any],
) -> list[Any]:
    """The contributions of an operation that is not elementwise.

    A contribution may sum over elements of the node of which only some are live; the others must not spoil the sum.
    """
    passing = _probe(operation, live, operands, value, attributes)
    found = list(plain)
    if not live.all():
        rest = np.where(live, upstream, 0.0)
        if operation.linear:
            # Sum the terms that are live over finite figures, unless one of them has a factor that is not finite.
            finite = _numbers(operation, operands, lambda x: np.where(np.isfinite(x), x, 0.0))
            clean = operation.propagate(rest, finite, np.where(np.isfinite(value), value, 0.0), attributes)
            terms, finite_terms = (
                operation.propagate(np.where(live, 1.0, 0.0), given, np.ones_like(value), attributes)
                for given in (
                    _numbers(operation, operands, np.ones_like),
                    _numbers(operation, operands, lambda x: np.isfinite(x) * 1.0),
                )
            )
            spoilt = [
                each is not None and np.isnan(each) & (every == some)
                for each, every, some in zip(plain, terms, finite_terms, strict=True)
            ]
        else:
            # No live element depends on an operand's element from which none of them is reached.
            tame = [
                x if reached is None or index else np.where(np.isfinite(x) | reached, x, ordinary_numbers(x))
                for x, reached, index in zip(operands, passing, _indices(operation, operands), strict=True)
            ]
            clean = operation.propagate(rest, tame, np.where(np.isfinite(value) | live, value, 0.5), attributes)
            spoilt = [each is not None and np.isnan(each) for each in plain]
        found = [
            each if each is None else np.where(bad, other, each)
            for each, bad, other in zip(plain, spoilt, clean, strict=True)
        ]
    return [
        each if each is None or reached is None else np.where(np.isnan(each) & ~reached, 0.0, each)
        for each, reached in zip(found, passing, strict=True)
    ]


def _probe(
    operation: Operation, flow: BoolArray, operands: Sequence[Any], value: Any, attributes: Any
) -> list[BoolArray | None]:
    """Where `flow` leads to in each operand: where NaN as upstream gradient makes the contribution NaN."""
    if operation.closed is not None and operation.closed.passing is not None:
        given = operation.closed.passing(
            flow.astype(float), *operation.arguments(operands), value, *attributes.values()
        )
        return [None if each is None else np.asarray(each > 0.0) for each in given[: len(operands)]]
    tame = _numbers(operation, operands, lambda x: np.where(np.isfinite(x), x, ordinary_numbers(x)))
    try:
        probed = operation.propagate(
            np.where(flow, np.nan, 0.0), tame, np.where(np.isfinite(value), value, 0.5), attributes
        )
    except ValueError:  # no inverse: every element may reach every other
        return [np.full(np.shape(operand), flow.any()) for operand in operands]
    return [None if each is None else np.isnan(each) for each in probed]


def ordinary_numbers(x: Any) -> Any:
    """Numbers of the shape of `x` in place of those that are not finite, of which no matrix is singular by chance."""
    return 0.5 + 0.25 * np.cos(np.arange(np.size(x))).reshape(np.shape(x)).astype(np.result_type(x))


def _numbers(operation: Operation, operands: Sequence[Any], changed: Any) -> list[Any]:
    """The operands with those that are no indices changed."""
    return [x if is_index else changed(x) for x, is_index in zip(operands, _indices(operation, operands), strict=True)]


def _indices(operation: Operation, operands: Sequence[Any]) -> Sequence[bool]:
    return (*operation.indices, *[False] * len(operands))[: len(operands)]
