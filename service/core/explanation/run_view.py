"""What passes along each edge of a run: a consumer's own figures, its local gradients, and how they are written."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from typing import Any

import numpy as np

from service.core.caches import Cache
from service.core.execution import kernel
from service.core.execution.chain_rule import contributions_at, local_gradients_at, value_at
from service.core.execution.closed_edges import OpenEdges, closed_operands_at, has_nan
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.program import Program
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray, pack
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import walk_forward
from service.core.graph.traversal import reaches
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import operation_of
from service.core.symbolic.equation import gradient_of, local_gradient_of
from service.core.symbolic.names import named
from service.core.symbolic.simplify import TermTable, simplify
from service.core.symbolic.tensor_textbook import contribution_for_reading
from service.core.symbolic.term import NotSymbolic, Term, Variable, contribution_terms, local_gradient_terms
from service.core.symbolic.textbook import operand_terms

# Operands of an operation, and summands, that are written out.
MOST_WRITTEN = 8


@dataclass(frozen=True, eq=False)
class RunView:
    """A run with what explaining it needs."""

    run: Run

    @property
    def graph(self) -> Graph:
        """The run's graph."""
        return self.run.graph

    @cached_property
    def quantity(self) -> str:
        """What the gradients are gradients of: the output if the seed is 1, else a quantity L that depends on it."""
        backward = self.run.backward
        if backward and not backward.seed.ndim and backward.seed == 1.0:
            return backward.output
        names = chain(["L"], (f"L{number}" for number in count(1)))
        return next(name for name in names if name not in self.graph.position)

    @cached_property
    def program(self) -> Program | None:
        """What the compiled loops would run, or would have; None of tensors."""
        return kernel.program_of(self.graph) if self.run.values.shapes is None else None

    @cached_property
    def arithmetics(self) -> Sequence[bool]:
        """In which arithmetic the run may have been computed, compiled or NumPy's, which may differ in a last bit; the
        likelier first."""
        return (True, False) if self.program is not None and kernel.compiled_loops(self.program) else (False,)

    @cached_property
    def sweep(self) -> Sequence[int]:
        """By position, when the forward pass comes to each node; the backward pass goes the other way."""
        order = np.arange(len(self.graph))
        if self.program is not None:
            order[self.program.nodes] = len(self.graph) + np.arange(len(self.program.nodes))
        return order.tolist()

    @cached_property
    def open_edges(self) -> OpenEdges | None:
        """The edges along which gradients flow; None where there are none, or values are unknown."""
        values = [self.value(position) for position in range(len(self.graph))]
        if self.run.backward is None or any(value is None for value in values):
            return None
        return OpenEdges(self.graph, values, self.run.backward.output)

    def value(self, position: int) -> FloatArray | None:
        """The value of the node at that position; one that was not recorded, as it follows from those that were; None
        where nothing says it."""
        recorded = self.run.values[position]
        return self._following[position] if recorded is None else recorded

    @cached_property
    def _following(self) -> Sequence[FloatArray | None]:
        """Values in topological order, those that were not recorded from those of their operands."""

        def visit(position: int, operands: list[FloatArray | None]) -> FloatArray | None:
            figure, is_input = self.run.values[position], self.graph.nodes[position].operation.is_input
            if figure is None and not is_input and all(operand is not None for operand in operands):
                return evaluate_at(self.graph, position, operands)
            return figure

        return walk_forward(self.graph, visit)


def evaluate_at(graph: Graph, position: int, operands: Sequence[Any], compiled: bool = False) -> FloatArray:
    """The operation of the node at that position, in its precision."""
    if compiled:
        alone = _alone(graph.nodes[position], graph.convention)
        return np.asarray(forward_pass(alone, dict(zip(alone.inputs, operands, strict=True))).flat[-1])
    with np.errstate(all="ignore"):
        return np.asarray(value_at(graph, position, operands), dtype=np.float64)


def _alone(node: Node, convention: str) -> Graph:
    """A node as a graph of its own, each of its operands an Input: the compiled loops run no less."""
    key = (node.operation, len(node.inputs), tuple(node.attributes.items()), convention)
    return _graphs_of_one.get(key, lambda: _graph_of_one(*key))


def _graph_of_one(operation: Operation, count: int, attributes: tuple[tuple[str, Any], ...], convention: str) -> Graph:
    names = tuple(map(str, range(count)))
    nodes = (*(Node(name, operation_of("Input")) for name in names), Node("z", operation, names, dict(attributes)))
    return Graph(nodes, names, ("z",), convention)


_graphs_of_one: Cache[Hashable, Graph] = Cache(8 * 1024 * 1024, lambda graph: 5000 + graph.nbytes)


@dataclass(frozen=True, eq=False)
class Consumer:
    """A node as its operands see it in the backward pass: the figures by name, and for each operand what passes back.

    None where the run does not hold the figures. `locals` is None, too, where the operation is not elementwise; of the
    contributions those are None to whose operands no gradient flows.
    """

    view: RunView
    position: int
    figures: Mapping[str, FloatArray | None]
    upstream: FloatArray | None
    locals: Sequence[FloatArray | None] | None
    contributions: Sequence[FloatArray | None] | None

    @property
    def node(self) -> Node:
        """The node itself."""
        return self.view.graph.nodes[self.position]

    @property
    def upstream_gradient(self) -> Variable:
        """Its own gradient, written."""
        return gradient_of(self.view.quantity, self.node.name, self.view.graph.position)

    @property
    def all_figures(self) -> Mapping[str, FloatArray | None]:
        """The figures of the values, and the upstream gradient by the name under which it is written."""
        return {**self.figures, self.upstream_gradient.name: self.upstream}

    @cached_property
    def closed_operands(self) -> Sequence[int]:
        """Along which operands nothing passes back, since the node does not change with them."""
        operands, value = [self.figures[name] for name in self.node.inputs], self.figures[self.node.name]
        return closed_operands_at(self.view.graph, self.position, operands, value)

    def term(self, operand_index: int) -> Term | None:
        """The local gradient of that operand as a formula or, where the operation is not elementwise, the
        whole contribution; None where it cannot be written, or has so many operands that nobody would read it."""
        return None if self._terms is None else self._terms[operand_index]

    @cached_property
    def _terms(self) -> Sequence[Term | None] | None:
        node, operands = self.node, operand_terms(self.view.graph, self.position)
        if len(operands) > MOST_WRITTEN:
            return None
        value, upstream = named(node.name, self.view.graph.position), self.upstream_gradient
        if node.operation.is_elementwise:
            return list(map(simplify, local_gradient_terms(node.operation, operands, value, node.attributes)))
        try:
            terms = contribution_terms(node.operation, upstream, operands, value, node.attributes)
        except NotSymbolic:
            return None
        simple = TermTable(for_reading=True, keep_shapes=True)
        shapes = {name: figure.shape for name, figure in self.figures.items() if figure is not None}
        shapes[upstream.name] = shapes.get(node.name, ())
        return [
            term
            and contribution_for_reading(
                node.operation, node.attributes, place, upstream, operands, simple.add(term)[0], shapes
            )
            for place, term in enumerate(terms)
        ]

    def local_gradient(self, operand_index: int) -> Variable:
        """∂z/∂x for the operand at `operand_index`, with its place among equal operands where there are any."""
        inputs = self.node.inputs
        name = inputs[operand_index]
        ordinal = inputs[: operand_index + 1].count(name) if inputs.count(name) > 1 else None
        return local_gradient_of(self.node.name, name, ordinal, self.view.graph.position)


def consumer_at(view: RunView, position: int, upstream: FloatArray | None, compiled: bool = False) -> Consumer:
    """The node at that position with what it passes back of an upstream gradient, in the precision of each node."""
    graph, node, sources = view.graph, view.graph.nodes[position], view.graph.operands[position]
    given, value = [view.value(source) for source in sources], view.value(position)
    figures = dict(zip(node.inputs, given, strict=True)) | {node.name: value}
    if value is None or any(operand is None for operand in given):
        return Consumer(view, position, figures, upstream, None, None)
    slopes: Sequence[FloatArray | None] | None = None
    contributions: Sequence[FloatArray | None] | None = None
    if compiled:
        alone, own = _alone(node, graph.convention), pack([*given, value])
        slopes = list(backward_pass(alone, own, "z"))[:-1]
        contributions = None if upstream is None else list(backward_pass(alone, own, "z", upstream))[:-1]
        contributions = contributions and _open(view, position, upstream, contributions)
        return Consumer(view, position, figures, upstream, slopes, contributions)
    with np.errstate(all="ignore"):
        if node.operation.is_elementwise:
            slopes = list(map(np.asarray, local_gradients_at(graph, position, given, value)))
        if upstream is not None:
            passed = contributions_at(graph, position, upstream, given, value)
            passed = _open(view, position, upstream, passed)
            contributions = [None if contribution is None else np.asarray(contribution) for contribution in passed]
    return Consumer(view, position, figures, upstream, slopes, contributions)


def _open(view: RunView, position: int, upstream: Any, passed: Sequence[Any]) -> Sequence[Any]:
    """What was passed back, with 0 in place of 0 · ∞ along closed edges and behind them."""
    if not any(given is not None and has_nan(given) for given in passed) or (edges := view.open_edges) is None:
        return passed
    with np.errstate(all="ignore"):
        return edges.opened(position, upstream, passed)


def edges_back(view: RunView, output: str, position: int) -> list[tuple[int, int]]:
    """The out-edges of a node along which gradients flow back, in the order in which the backward pass meets them: the
    position of each consumer, and which of its operands the node is."""
    reached = reaches(view.graph, output)
    edges = [edge for edge in view.graph.consumers[position] if reached[edge[0]]]
    return sorted(edges, key=lambda edge: (-view.sweep[edge[0]], edge[1]))
