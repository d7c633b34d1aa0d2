"""What passes along each edge of a run: a consumer's own figures, its local gradients, and how they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.core.differentiation import contributions_of
from service.core.equation import local_gradient_of
from service.core.figures import Figures, FloatArray
from service.core.graph import Graph, Node
from service.core.replay import reaches
from service.core.simplification import simplify
from service.core.symbol import Literal, Term, Variable, local_gradient_terms

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
        name = "L"
        while name in self.graph.position:
            name += "'"
        return name

    def value(self, place: int) -> FloatArray | None:
        """The value of the node at that position, a Constant's by its definition; None where there is none."""
        node = self.graph.nodes[place]
        if node.operation.name == "Constant":
            return np.asarray(node.attributes["value"], dtype=np.float64)
        return self.values[place]


@dataclass(frozen=True, eq=False)
class Consumer:
    """A node as its operands see it in the backward pass: the figures by name, and for each operand what passes back.

    None where the run does not hold the figures. `locals` is None, too, where the operation is not elementwise; of the
    contributions those are None to whose operands no gradient flows.
    """

    graph: Graph
    place: int
    figures: Mapping[str, FloatArray | None]
    upstream: FloatArray | None
    locals: Sequence[FloatArray] | None
    contributions: Sequence[FloatArray | None] | None

    @property
    def node(self) -> Node:
        """The node itself."""
        return self.graph.nodes[self.place]

    @cached_property
    def terms(self) -> Sequence[Term] | None:
        """The local gradients as formulas; None where there are none, or so many that nobody would read them."""
        operation, operands = self.node.operation, operand_terms(self.graph, self.place)
        if operation.contributions or len(operands) > MOST_WRITTEN:
            return None
        terms = local_gradient_terms(operation, operands, Variable(self.node.name), self.node.attributes)
        return list(map(simplify, terms))

    def local_gradient(self, slot: int) -> Variable:
        """∂z/∂x for the operand at `slot`, with its place among equal operands where there are any."""
        inputs = self.node.inputs
        name = inputs[slot]
        ordinal = inputs[: slot + 1].count(name) if inputs.count(name) > 1 else None
        return local_gradient_of(self.node.name, name, ordinal)


def consumer_at(passes: Passes, place: int, upstream: FloatArray | None) -> Consumer:
    """The node at that position with what it passes back of an upstream gradient."""
    node, sources = passes.graph.nodes[place], passes.graph.operands[place]
    operands, value = [passes.value(source) for source in sources], passes.value(place)
    slopes = contributions = None
    with np.errstate(all="ignore"):
        if all(operand is not None for operand in operands):
            if value is None:  # not recorded: what follows from the figures that are
                value = np.asarray(node.operation.evaluate(operands, node.attributes), dtype=np.float64)
            if not node.operation.contributions:
                slopes = [np.asarray(slope) for slope in node.operation.differentiate(operands, value, node.attributes)]
            if upstream is not None:
                contributions = [
                    None if contribution is None else np.asarray(contribution)
                    for contribution in contributions_of(node, upstream, operands, value)
                ]
    figures = dict(zip(node.inputs, operands, strict=True)) | {node.name: value}
    return Consumer(passes.graph, place, figures, upstream, slopes, contributions)


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
