"""What passes along each edge of a run: a consumer's own figures, its local gradients, and how they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from typing import Any

import numpy as np

from service.core.differentiation import contributions_of, dtype_of, in_precision, value_of
from service.core.equation import gradient_of, local_gradient_of
from service.core.figures import Figures, FloatArray
from service.core.graph import Graph, Node
from service.core.replay import reaches
from service.core.simplification import simplify
from service.core.symbol import Literal, Term, Unwritable, Variable, contribution_terms, local_gradient_terms

# Operands of an operation, and summands, that are written out.
MOST_WRITTEN = 8


@dataclass(frozen=True, eq=False)
class Passes:
    """A run: its graph, its figures, and what its gradients are gradients of; gradients are None before a backward
    pass."""

    graph: Graph
    values: Figures
    gradients: Figures | None = None
    output: str | None = None
    seed: FloatArray | None = None

    @cached_property
    def quantity(self) -> str:
        """What the gradients are gradients of: the output, or L, the seed's final quantity, where it is not 1."""
        if self.seed is not None and self.output is not None and not self.seed.ndim and self.seed == 1.0:
            return self.output
        names = chain(["L"], (f"L{number}" for number in count(1)))
        return next(name for name in names if name not in self.graph.position)

    def value(self, place: int) -> FloatArray | None:
        """The value of the node at that position; one that was not recorded, as it follows from those that were; None
        where nothing says it."""
        recorded = self.values[place]
        return self._following[place] if recorded is None else recorded

    @cached_property
    def _following(self) -> Sequence[FloatArray | None]:
        """Values in topological order, those that were not recorded from those of their operands."""
        known: list[FloatArray | None] = []
        with np.errstate(all="ignore"):
            for place, (node, sources) in enumerate(zip(self.graph.nodes, self.graph.operands, strict=True)):
                figure, operands = self.values[place], [known[source] for source in sources]
                if figure is None and node.operation.name != "Input" and all(given is not None for given in operands):
                    figure = evaluate_at(self.graph, place, operands)
                known.append(figure)
        return known


def evaluate_at(graph: Graph, place: int, operands: Sequence[Any]) -> FloatArray:
    """The operation of the node at that position, in its precision."""
    value = value_of(graph.nodes[place], in_precision(graph, place, operands))
    return np.asarray(np.asarray(value, dtype=dtype_of(graph, place)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Consumer:
    """A node as its operands see it in the backward pass: the figures by name, and for each operand what passes back.

    None where the run does not hold the figures. `locals` is None, too, where the operation is not elementwise; of the
    contributions those are None to whose operands no gradient flows.
    """

    passes: Passes
    place: int
    figures: Mapping[str, FloatArray | None]
    upstream: FloatArray | None
    locals: Sequence[FloatArray] | None
    contributions: Sequence[FloatArray | None] | None

    @property
    def node(self) -> Node:
        """The node itself."""
        return self.passes.graph.nodes[self.place]

    @property
    def upstream_gradient(self) -> Variable:
        """Its own gradient, written."""
        return gradient_of(self.passes.quantity, self.node.name)

    @property
    def all_figures(self) -> Mapping[str, FloatArray | None]:
        """The figures of the values, and the upstream gradient by the name under which it is written."""
        return {**self.figures, self.upstream_gradient.name: self.upstream}

    def term(self, slot: int) -> Term | None:
        """The local gradient of the operand at `slot` as a formula or, where the operation is not elementwise, the
        whole contribution; None where it cannot be written, or has so many operands that nobody would read it."""
        return None if self._terms is None else self._terms[slot]

    @cached_property
    def _terms(self) -> Sequence[Term | None] | None:
        node, operands = self.node, operand_terms(self.passes.graph, self.place)
        if len(operands) > MOST_WRITTEN:
            return None
        value, upstream = Variable(node.name), self.upstream_gradient
        try:
            terms: Sequence[Term | None] = (
                contribution_terms(node.operation, upstream, operands, value, node.attributes)
                if node.operation.contributions
                else local_gradient_terms(node.operation, operands, value, node.attributes)
            )
        except Unwritable:
            return None
        return [term and simplify(term) for term in terms]

    def local_gradient(self, slot: int) -> Variable:
        """∂z/∂x for the operand at `slot`, with its place among equal operands where there are any."""
        inputs = self.node.inputs
        name = inputs[slot]
        ordinal = inputs[: slot + 1].count(name) if inputs.count(name) > 1 else None
        return local_gradient_of(self.node.name, name, ordinal)


def consumer_at(passes: Passes, place: int, upstream: FloatArray | None) -> Consumer:
    """The node at that position with what it passes back of an upstream gradient, in the precision of each node."""
    graph, node, sources = passes.graph, passes.graph.nodes[place], passes.graph.operands[place]
    given, value = [passes.value(source) for source in sources], passes.value(place)
    slopes = contributions = None
    with np.errstate(all="ignore"):
        if value is not None and all(operand is not None for operand in given):
            operands, dtype = in_precision(graph, place, given), dtype_of(graph, place)
            own = np.asarray(value, dtype=dtype)
            if not node.operation.contributions:
                slopes = [np.asarray(slope) for slope in node.operation.differentiate(operands, own, node.attributes)]
            if upstream is not None:
                passed = contributions_of(node, np.asarray(upstream, dtype=dtype), operands, own)
                contributions = [
                    None if contribution is None else np.asarray(contribution, dtype=dtype_of(graph, source))
                    for source, contribution in zip(sources, passed, strict=True)
                ]
    figures = dict(zip(node.inputs, given, strict=True)) | {node.name: value}
    return Consumer(passes, place, figures, upstream, slopes, contributions)


def edges_back(passes: Passes, place: int) -> list[tuple[int, int]]:
    """The out-edges of a node along which gradients flow back, in the order in which the backward pass meets them: the
    position of each consumer, and which of its operands the node is."""
    assert passes.output is not None
    reached = reaches(passes.graph, passes.output)
    edges = [edge for edge in passes.graph.consumers[place] if reached[edge[0]]]
    return sorted(edges, key=lambda edge: (-edge[0], edge[1]))


def operand_terms(graph: Graph, place: int) -> list[Term]:
    """The operands of a node as terms: names, and Constants by their values."""
    nodes = [graph.nodes[source] for source in graph.operands[place]]
    return [
        Literal(value) if isinstance(value := node.attributes.get("value"), float) else Variable(node.name)
        for node in nodes
    ]
