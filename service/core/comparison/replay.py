"""Replays: what each figure of a run should be, given the run's own other figures.

A node's value is replayed by its operation on the values its inputs have in the run; its gradient as the sum over its
out-edges of the consumer's gradient in the run × the local gradient at the run's values. No replay rests on another.
Graphs of scalars are replayed one operation at a time, all its nodes at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.caches import memoize_on_argument
from service.core.execution.passes import contributions_of, value_of
from service.core.figures.figures import Figures, FloatArray, IntArray, pack
from service.core.graph.graph import Graph, Node
from service.core.graph.traversal import reaches
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.primitives import sum_to_shape


@dataclass(frozen=True, slots=True)
class Weights:
    """What rounding may do to a replayed figure, as parts of Σ|terms| and of Σ|upstream|."""

    terms: float
    upstream: float


@dataclass(frozen=True, eq=False)
class Replay:
    """Replayed figures and, laid out as `expected.flat`, how far rounding may have moved each of them.

    `slack` is weights.terms · S + weights.upstream · U. S is Σ|local × input| + |value| for a value, Σ|contributions|,
    seed included, for a gradient; U is Σ|upstream| for a gradient, 0 for a value.
    """

    expected: Figures
    slack: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """All nodes of one operation with one number of operands: their places, and their operands' places, (k, m)."""

    operation: Operation
    nodes: IntArray
    operands: IntArray
    attributes: Attributes


@memoize_on_argument
def _groups(graph: Graph) -> tuple[_Group, ...]:
    """The groups of a graph whose operations are all elementwise; numbers among their attributes may differ."""
    members: dict[tuple[Any, ...], list[int]] = {}
    for position, (node, operands) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if operands:
            words = [value for value in node.attributes.values() if not isinstance(value, float)]
            members.setdefault((node.operation.name, len(operands), *words), []).append(position)
    groups = []
    for positions in members.values():
        nodes = [graph.nodes[position] for position in positions]
        attributes = {
            name: np.array([node.attributes[name] for node in nodes]) if isinstance(value, float) else value
            for name, value in nodes[0].attributes.items()
        }
        sources = np.array([graph.operands[position] for position in positions], dtype=np.int64).T.copy()
        groups.append(_Group(nodes[0].operation, np.array(positions, dtype=np.int64), sources, attributes))
    return tuple(groups)


@memoize_on_argument
def _elementwise(graph: Graph) -> bool:
    """Whether every operation is elementwise, so that many nodes of one can be replayed at once."""
    return all(node.operation.is_elementwise for node in graph.nodes)


def replay_values(graph: Graph, values: Figures, weights: Weights) -> Replay:
    """The value of every node from its inputs' values, which must be complete; a node without inputs keeps its own."""
    with np.errstate(all="ignore"):
        if values.shapes is not None or not _elementwise(graph):
            return _replay_tensor_values(graph, values, weights)
        expected, slack = values.flat.copy(), np.abs(values.flat)
        for group in _groups(graph):
            operands = [values.flat[row] for row in group.operands]
            value = np.asarray(group.operation.evaluate(operands, group.attributes), dtype=np.float64)
            expected[group.nodes] = value
            total = np.abs(value)
            for local, operand in zip(
                group.operation.differentiate(operands, value, group.attributes), operands, strict=True
            ):
                total += _finite(local * operand)
            slack[group.nodes] = total
        slack *= weights.terms
        return Replay(Figures(expected), slack)


def replay_gradients(
    graph: Graph, values: Figures, gradients: Figures, output: str, seed: FloatArray, weights: Weights
) -> Replay:
    """The gradient of every node from its consumers' `gradients` and the local gradients at `values`, both complete."""
    with np.errstate(all="ignore"):
        if values.shapes is not None or not _elementwise(graph):
            return _replay_tensor_gradients(graph, values, gradients, output, seed, weights)
        count = len(graph)
        expected, slack = np.zeros(count), np.zeros(count)
        expected[graph.position[output]] = seed
        slack[graph.position[output]] = weights.terms * abs(seed)
        for group in _groups(graph):
            operands = [values.flat[row] for row in group.operands]
            value, upstream = values.flat[group.nodes], gradients.flat[group.nodes]
            flow = weights.upstream * np.abs(upstream)
            slopes = group.operation.differentiate(operands, value, group.attributes)
            for local, sources in zip(slopes, group.operands, strict=True):
                contribution = upstream * local
                silent = np.isnan(contribution) & (upstream == 0.0)
                if silent.any():
                    # Where nothing flows back nothing is contributed, however steep the operation is there.
                    contribution[silent & ~reaches(graph, output)[group.nodes]] = 0.0
                np.add.at(expected, sources, contribution)
                np.abs(contribution, out=contribution)
                contribution *= weights.terms
                contribution += flow
                np.add.at(slack, sources, contribution)
        return Replay(Figures(expected), slack)


def _finite(term: Any) -> FloatArray:
    """The magnitude of a term; where a slope is infinite, as a square root's at 0, rounding has nothing to measure."""
    size = np.abs(term)
    return np.where(np.isfinite(size), size, 0.0)


def _replay_tensor_values(graph: Graph, values: Figures, weights: Weights) -> Replay:
    expected: list[Any] = []
    terms: list[Any] = []
    for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        own = values[position]
        assert own is not None
        if not sources:
            expected.append(own)
            terms.append(np.abs(own))
            continue
        operands = [values[source] for source in sources]
        value = np.asarray(value_of(node, operands), dtype=np.float64)
        expected.append(value)
        terms.append(np.abs(value) + _terms_of_value(node, operands, value))
    return Replay(pack(expected), weights.terms * pack(terms).flat)


def _replay_tensor_gradients(
    graph: Graph, values: Figures, gradients: Figures, output: str, seed: FloatArray, weights: Weights
) -> Replay:
    reached = reaches(graph, output)
    expected = [np.zeros(values.shape(position)) for position in range(len(graph))]
    slack = [np.zeros(values.shape(position)) for position in range(len(graph))]
    target = graph.position[output]
    expected[target] = expected[target] + seed
    slack[target] = slack[target] + weights.terms * np.abs(seed)
    for source, contribution, terms, upstream in _edges(graph, values, gradients, reached):
        expected[source] = expected[source] + contribution
        flow = _spread(np.abs(upstream), values.shape(source))
        slack[source] = slack[source] + weights.terms * terms + weights.upstream * flow
    return Replay(pack(expected), pack(slack).flat.copy())


def _terms_of_value(node: Node, operands: Sequence[Any], value: FloatArray) -> Any:
    """Σ|local × input|, as far as the operation tells it."""
    operation, attributes = node.operation, node.attributes
    if operation.linear:
        return operation.evaluate(_magnitudes(operation, operands), attributes)
    if operation.rounding.value:
        return _finite(operation.rounding.value(*operation.arguments(operands), value, *attributes.values()))
    if not operation.is_elementwise:
        return 0.0
    slopes = operation.differentiate(operands, value, attributes)
    return sum(_finite(local * operand) for local, operand in zip(slopes, operands, strict=True))


def _terms_of_contributions(node: Node, upstream: Any, operands: Sequence[Any], value: Any) -> Sequence[Any]:
    """Σ|terms| of each contribution, as far as the operation tells it; where an operand was broadcast, its copies'
    contributions are terms."""
    operation, attributes = node.operation, node.attributes
    if operation.linear:
        return operation.propagate(np.abs(upstream), _magnitudes(operation, operands), np.abs(value), attributes)
    if operation.rounding.contributions:
        given = operation.arguments(operands)
        return tuple(operation.rounding.contributions(upstream, *given, value, *attributes.values())[: len(operands)])
    if not operation.is_elementwise or all(np.shape(operand) == np.shape(value) for operand in operands):
        return (0.0,) * len(operands)
    slopes = operation.differentiate(operands, value, attributes)
    return [
        sum_to_shape(np.broadcast_to(np.abs(upstream * local), np.shape(value)), np.shape(operand))
        for local, operand in zip(slopes, operands, strict=True)
    ]


def _magnitudes(operation: Operation, operands: Sequence[Any]) -> list[Any]:
    """|operands|; an index is no magnitude."""
    indices = (*operation.indices, *[False] * len(operands))
    return [operand if is_index else np.abs(operand) for operand, is_index in zip(operands, indices, strict=False)]


def _edges(
    graph: Graph, values: Figures, gradients: Figures, reached: NDArray[np.bool_]
) -> Iterator[tuple[int, Any, Any, Any]]:
    """Every edge that carries something back: operand, contribution, the magnitude of its terms, upstream gradient."""
    for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        upstream = gradients[position]
        assert upstream is not None
        if not sources or (not reached[position] and not upstream.any()):
            continue
        operands = [values[source] for source in sources]
        contributions = contributions_of(node, upstream, operands, values[position])
        terms = _terms_of_contributions(node, upstream, operands, values[position])
        for source, contribution, term in zip(sources, contributions, terms, strict=True):
            if contribution is not None:
                yield source, contribution, np.maximum(np.abs(contribution), _finite(term)), upstream


def _spread(upstream: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Σ|upstream| over what an operand was broadcast to; its sum where the shapes have nothing in common."""
    try:
        if np.broadcast_shapes(shape, upstream.shape) == upstream.shape:
            return np.asarray(sum_to_shape(upstream, shape))
    except ValueError:
        pass
    return np.broadcast_to(upstream.sum(), shape)


def complete_values(graph: Graph, recorded: Figures, assumed: dict[int, FloatArray]) -> Figures:
    """Effective values: the recorded one where there is one, else the node's own replay, in topological order.

    `assumed` holds what stands for Inputs that were not recorded.
    """
    if recorded.present is None:
        return recorded
    effective: list[Any] = []
    with np.errstate(all="ignore"):
        for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
            given = recorded[position]
            if given is not None:
                effective.append(given[()])
            elif node.operation.is_input:
                effective.append(assumed.get(position, np.float64(np.nan)))
            else:
                value = value_of(node, [effective[source] for source in sources])
                effective.append(np.asarray(value, dtype=np.float64)[()])
    return pack(effective)


def complete_gradients(graph: Graph, values: Figures, recorded: Figures, output: str, seed: FloatArray) -> Figures:
    """Effective gradients: the recorded one where there is one, else the node's own replay, in the sweep's order."""
    if recorded.present is None:
        return recorded
    reached = reaches(graph, output)
    arrays = list(values)
    effective: list[Any] = [np.zeros(values.shape(position)) for position in range(len(graph))]
    effective[graph.position[output]] = effective[graph.position[output]] + seed
    with np.errstate(all="ignore"):
        for position in range(len(graph) - 1, -1, -1):
            given = recorded[position]
            if given is not None:
                effective[position] = given
            node, sources, upstream = graph.nodes[position], graph.operands[position], effective[position]
            if not sources or (not reached[position] and not np.any(upstream)):
                continue
            contributions = contributions_of(node, upstream, [arrays[source] for source in sources], arrays[position])
            for source, contribution in zip(sources, contributions, strict=True):
                if contribution is not None:
                    effective[source] = effective[source] + contribution
    return pack(effective)
