"""Replays: what each figure of a run should be, given the run's own other figures.

A node's value is replayed by its operation on the values its inputs have in the run; its gradient as the sum over its
out-edges of the consumer's gradient in the run × the local gradient at the run's values. No replay depends on another.
Graphs of scalars are replayed one operation at a time, all its nodes at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from service.core.comparison.rounding import (
    Weights,
    rounding_of_contribution,
    rounding_of_figures,
    rounding_of_parts,
    spread,
)
from service.core.execution.chain_rule import in_precision, value_at
from service.core.execution.closed_edges import OpenEdges, has_nan, silent_edges
from service.core.execution.completion import complete_scalar_gradients, complete_scalar_values
from service.core.execution.groups import groups_of, is_grouped
from service.core.figures.figures import Figures, FloatArray, pack, same_bits
from service.core.graph.graph import Graph
from service.core.graph.sweep import sweep_back, walk_forward
from service.core.graph.traversal import reaches, sourceless
from service.core.rounding.terms import finite_size, terms_of_contributions, terms_of_value
from service.core.rulebook.operation import MINIMUM_NORM, Operation

# What is this close to a replayed value, relative to it, is the same but for rounding.
_ROUNDED = 0.01


@dataclass(frozen=True, eq=False)
class Replay:
    """Replayed figures and, laid out as `expected.flat`, a bound on the rounding error of each.

    `slack` is weights.terms · S + weights.upstream · U. S is Σ|local × input| + |value| for a value, Σ|contributions|,
    seed included, for a gradient; U is Σ|upstream| for a gradient, 0 for a value.
    """

    expected: Figures
    slack: FloatArray


def replay_values(graph: Graph, values: Figures, weights: Weights) -> Replay:
    """Replay every value from the complete values of its inputs; a node without inputs keeps its own."""
    with np.errstate(all="ignore"):
        if values.shapes is not None or not is_grouped(graph):
            return _replay_each_value(graph, values, weights)
        expected, slack = values.flat.copy(), np.abs(values.flat)
        for group in groups_of(graph):
            operands = [values.flat[row] for row in group.operands]
            value = np.asarray(group.operation.evaluate(operands, group.attributes), dtype=np.float64)
            expected[group.nodes] = value
            total = np.abs(value)
            for local, operand in zip(
                group.operation.differentiate(operands, value, group.attributes), operands, strict=True
            ):
                total += finite_size(local * operand)
            slack[group.nodes] = total
        slack *= weights.terms
        slack += rounding_of_figures(expected, weights)
        return Replay(Figures(expected), slack)


def replay_gradients(
    graph: Graph, values: Figures, gradients: Figures, output: str, seed: FloatArray, weights: Weights
) -> Replay:
    """Replay every gradient from its consumers' `gradients` and the local gradients at `values`, both complete."""
    with np.errstate(all="ignore"):
        if values.shapes is not None or not is_grouped(graph):
            return _replay_each_gradient(graph, values, gradients, output, seed, weights)
        count = len(graph)
        expected, slack = np.zeros(count), np.zeros(count)
        expected[graph.position[output]] = seed
        slack[graph.position[output]] = weights.terms * abs(seed)
        edges = OpenEdges(graph, values, output)
        for group in groups_of(graph):
            operands = [values.flat[row] for row in group.operands]
            value, upstream = values.flat[group.nodes], gradients.flat[group.nodes]
            if _chooses(group.operation):
                value = _unrounded(value, np.asarray(group.operation.evaluate(operands, group.attributes)))
            flow = finite_size(upstream)
            slopes = group.operation.differentiate(operands, value, group.attributes)
            for operand_index, (local, sources) in enumerate(zip(slopes, group.operands, strict=True)):
                contribution = upstream * local
                if has_nan(contribution):
                    absorbs = graph.convention in group.operation.absorbed_by
                    silent = silent_edges(group.operation, graph.convention, operands, value, group.attributes, slopes)[
                        operand_index
                    ] | ((upstream == 0.0) & (absorbs | ~edges.reached_nodes[group.nodes]))
                    contribution[np.isnan(contribution) & silent] = 0.0
                np.add.at(expected, sources, contribution)
                size = np.abs(contribution)
                error = weights.terms * size + weights.upstream * flow
                if weights.part:
                    shared = graph.consumers.counts[sources] > 1
                    error += rounding_of_contribution(group.operation, operand_index, size, size, flow, shared, weights)
                np.add.at(slack, sources, error)
        without = [position for position in sourceless(graph) if not graph.nodes[position].has_gradient]
        expected[without] = slack[without] = 0.0
        slack += rounding_of_figures(expected, weights)
        return Replay(Figures(expected), slack)


def _replay_each_value(graph: Graph, values: Figures, weights: Weights) -> Replay:
    arrays: list[Any] = list(values)
    expected, slack = list(arrays), [weights.terms * np.abs(value) for value in arrays]
    for position, sources in enumerate(graph.operands):
        if sources:
            node, operands = graph.nodes[position], [arrays[source] for source in sources]
            expected[position] = value = value_at(graph, position, operands)
            slack[position] = weights.terms * (np.abs(value) + terms_of_value(node, operands, value))
            slack[position] += rounding_of_parts(node, operands, value, weights)
    figures = pack(expected)
    return Replay(figures, pack(slack).flat + rounding_of_figures(figures.flat, weights))


class _Measured(NamedTuple):
    """A sum of contributions, and a bound on its rounding error."""

    gradient: Any
    slack: Any

    def plus(self, other: "_Measured") -> "_Measured":
        return _Measured(self.gradient + other.gradient, self.slack + other.slack)


def _replay_each_gradient(
    graph: Graph, values: Figures, gradients: Figures, output: str, seed: FloatArray, weights: Weights
) -> Replay:
    """Sweep back with each node's gradient in the run as its upstream gradient."""
    arrays, reached, target = list(values), reaches(graph, output), graph.position[output]
    edges = OpenEdges(graph, arrays, output, results=chosen_values(graph, arrays))

    def contributions(position: int, upstream: Any) -> list[_Measured | None]:
        sources = graph.operands[position]
        if is_silent(reached[position], upstream):
            return [None] * len(sources)
        operands = [arrays[source] for source in sources]
        given = edges.contributions(position, upstream)
        every_term = terms_of_contributions(graph.nodes[position], upstream, operands, arrays[position])
        found: list[_Measured | None] = []
        for operand_index, (source, contribution) in enumerate(zip(sources, given, strict=True)):
            if contribution is None:
                found.append(None)
                continue
            size = np.maximum(np.abs(contribution), finite_size(every_term[operand_index]))
            flow = spread(finite_size(upstream), values.shape(source))
            slack = weights.terms * size + weights.upstream * flow
            if weights.part:
                operation, shared = graph.nodes[position].operation, len(graph.consumers[source]) > 1
                slack = slack + rounding_of_contribution(
                    operation, operand_index, contribution, size, flow, shared, weights
                )
            found.append(_Measured(contribution, slack))
        return found

    zeros = [np.zeros(values.shape(position)) for position in range(len(graph))]
    start = _Measured(in_precision(graph, target, zeros[target] + seed), zeros[target] + weights.terms * np.abs(seed))
    sums = sweep_back(
        graph,
        {target: start},
        contributions,
        add=lambda position, so_far, contribution: so_far.plus(contribution),
        settle=lambda position, replayed: gradients[position],
    )
    expected, slack = list(zeros), list(zeros)
    for position, found in sums.items():
        if graph.nodes[position].has_gradient:
            expected[position], slack[position] = zeros[position] + found.gradient, found.slack
    figures = pack(expected)
    return Replay(figures, pack(slack).flat + rounding_of_figures(figures.flat, weights))


def sweep_gradients(
    graph: Graph, values: Sequence[Any], output: str, seed: Any, settle: Callable[[int, Any], Any]
) -> dict[int, Any]:
    """Sweep gradients back from `seed`, which has the output's shape, at `values`; return the sums by position.

    `settle(position, sum)` returns the gradient of each node, as in `sweep_back`.
    """
    reached, target = reaches(graph, output), graph.position[output]
    edges = OpenEdges(graph, values, output, results=chosen_values(graph, values))

    def contributions(position: int, upstream: Any) -> Sequence[Any]:
        if is_silent(reached[position], upstream):
            return [None] * len(graph.operands[position])
        return edges.contributions(position, upstream)

    with np.errstate(all="ignore"):
        return sweep_back(graph, {target: in_precision(graph, target, seed)}, contributions, settle=settle)


def chosen_values(graph: Graph, values: Sequence[Any] | Figures) -> dict[int, Any]:
    """By position, the values of maxima and their like as the operands have them.

    Which element was chosen is seen by equality, which a rounded value beside operands that are not recorded lacks.
    """
    found = {}
    with np.errstate(all="ignore"):
        for position, node in enumerate(graph.nodes):
            if _chooses(node.operation):
                operands = [values[source] for source in graph.operands[position]]
                found[position] = _unrounded(values[position], value_at(graph, position, operands))
    return found


def _results(graph: Graph, values: Figures) -> FloatArray:
    """The values of scalars with the `chosen_values` in place of theirs."""
    results = values.flat.copy()
    for group in groups_of(graph):
        if _chooses(group.operation):
            replayed = group.operation.evaluate([values.flat[row] for row in group.operands], group.attributes)
            results[group.nodes] = _unrounded(values.flat[group.nodes], np.asarray(replayed))
    return results


def _chosen_slopes(graph: Graph, values: Figures, results: FloatArray) -> dict[int, list[float]]:
    """By position, the local gradients of the nodes where the graph's convention has others than the default one."""
    found: dict[int, list[float]] = {}
    for group in groups_of(graph):
        default = group.operation.with_convention(MINIMUM_NORM)
        if default is group.operation:
            continue
        operands, value = [values.flat[row] for row in group.operands], results[group.nodes]
        theirs, ours = (
            np.array([np.broadcast_to(x, value.shape) for x in each.differentiate(operands, value, group.attributes)])
            for each in (group.operation, default)
        )
        for at in np.flatnonzero(~same_bits(theirs, ours).all(axis=0)).tolist():
            found[int(group.nodes[at])] = theirs[:, at].tolist()
    return found


def _chooses(operation: Operation) -> bool:
    return operation.rules == ("selection",)


def _unrounded(value: Any, replayed: Any) -> Any:
    """The replayed value where the value is the same but for rounding."""
    return np.where(np.abs(value - replayed) <= _ROUNDED * np.abs(replayed), replayed, value)


def is_silent(reached: bool | np.bool_, upstream: FloatArray) -> bool:
    """Whether a node contributes nothing, however steep it is: it does not reach the output and its gradient is 0."""
    return not reached and not np.any(upstream)


def complete_values(
    graph: Graph, recorded: Figures, assumed: dict[int, FloatArray], noise: Figures | None = None
) -> Figures:
    """Effective values: the recorded one where there is one, else the node's own replay, in topological order.

    `assumed` holds values for Inputs that were not recorded; `noise`, if given, is added to the replays.
    """
    if recorded.present is None:
        return recorded
    if compiled := complete_scalar_values(graph, recorded, assumed, None if noise is None else noise.flat):
        return compiled

    def visit(position: int, operands: list[Any]) -> Any:
        given = recorded[position]
        if given is not None:
            return given[()]
        if graph.nodes[position].operation.is_input:
            return assumed.get(position, np.float64(np.nan))
        value = value_at(graph, position, operands)
        return value if noise is None else value + noise[position]

    with np.errstate(all="ignore"):
        return pack(walk_forward(graph, visit))


def complete_gradients(
    graph: Graph, values: Figures, recorded: Figures, output: str, seed: FloatArray, noise: Figures | None = None
) -> Figures:
    """Effective gradients: the recorded one where there is one, else the node's own replay, in reverse order.

    `noise`, if given, is added to the replays.
    """
    if recorded.present is None:
        return recorded
    if values.shapes is None and is_grouped(graph):
        added = None if noise is None else noise.flat
        with np.errstate(all="ignore"):
            results = _results(graph, values)
            slopes = _chosen_slopes(graph, values, results)
        if compiled := complete_scalar_gradients(graph, values, results, recorded, output, seed, added, slopes):
            return compiled

    def settle(position: int, replayed: Any) -> Any:
        given = recorded[position]
        if given is not None:
            return given
        return replayed if noise is None or replayed is None else replayed + noise[position]

    seeds = np.zeros(values.shape(graph.position[output])) + seed
    sums = sweep_gradients(graph, list(values), output, seeds, settle)
    replays = [np.zeros(values.shape(position)) + sums.get(position, 0.0) for position in range(len(graph))]
    return pack([settle(position, replayed) for position, replayed in enumerate(replays)])
