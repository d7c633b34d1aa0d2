"""The evidence about one wrong figure: its operands and its consumers, with their figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.comparison.replay import chosen_values, is_silent
from service.core.comparison.spoken_names import bracketed, quoted, spoken, spoken_term, spoken_variable
from service.core.comparison.verdicts import Comparison, Phase, Verdict
from service.core.execution.chain_rule import local_gradients_at
from service.core.execution.closed_edges import OpenEdges
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray, same_bits
from service.core.figures.text import figure_text
from service.core.graph.graph import Graph, Node
from service.core.graph.traversal import reaches
from service.core.rulebook.primitives import sum_to_shape
from service.core.symbolic.equation import partial_of
from service.core.symbolic.names import named
from service.core.symbolic.phrases import Phrase, typeset
from service.core.symbolic.printing import write_mathml
from service.core.symbolic.term import Term

# Hypotheses about single out-edges are tested for nodes with at most this many, and operands of their consumers.
_MOST_EDGES, _MOST_OPERANDS = 1000, 20_000
# Up to this many edges, and elements of each, many slips are tried on every edge.
_FEW_EDGES, _FEW_ELEMENTS = 8, 100_000

_MOST_FOLLOWERS = 100

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """An out-edge of the node in the backward pass; `local` is None where the operation is not elementwise.

    `terms` writes the consumer's operands; `value` is the consumer's.
    """

    graph: Graph
    position: int
    consumer: Node
    operand_index: int
    terms: tuple[Term, ...]
    operands: tuple[FloatArray, ...]
    value: FloatArray
    upstream: FloatArray
    local: FloatArray | None
    contribution: FloatArray

    @property
    def spoken(self) -> Phrase:
        """What a sentence calls the consumer."""
        return spoken(self.graph, self.position)

    @property
    def quoted(self) -> Phrase:
        """The same, a name in quotes."""
        return quoted(self.graph, self.position)

    @property
    def bracketed(self) -> Phrase:
        """The same within a formula."""
        return bracketed(self.graph, self.position)

    def upstream_of(self, output: str) -> Phrase:
        """What a sentence calls the gradient of the output with respect to the consumer."""
        return write_gradient(self.graph, output, self.position)

    @property
    def names(self) -> tuple[Phrase, ...]:
        """What formulas call the consumer's operands."""
        return tuple(bracketed(self.graph, source) for source in self.graph.operands[self.position])

    def with_local(self, local: Any) -> FloatArray:
        """The contribution with another local gradient."""
        shape = self.operands[self.operand_index].shape
        return np.asarray(sum_to_shape(np.broadcast_to(self.upstream * local, self.upstream.shape), shape))


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The evidence about one figure; operands and edges are empty where it cannot be replayed.

    `subject` writes the figure: e, or ∂F/∂e; `terms` the operands. `output` is what the gradients are of, and `seed`
    what the backward pass started from, 0 but at the output. `replayed` says whether the expected figure follows from
    the candidate's own; `unread`, that there are too many out-edges to read.
    `worst` is the index of the element that sentences speak of. `followers` are the verdicts on the figures computed
    from it: its consumers' values, or its operands' gradients.
    """

    found: Comparison
    phase: Phase
    position: int
    node: Node
    subject: Phrase
    figure: FloatArray
    expected: FloatArray
    terms: tuple[Term, ...]
    operands: tuple[FloatArray, ...]
    edges: tuple[Edge, ...]
    output: str
    replayed: bool
    unread: bool
    seed: FloatArray
    nodes: Sequence[Node]
    worst: Index
    followers: tuple[Verdict, ...]

    @property
    def graph(self) -> Graph:
        """The candidate's graph."""
        return self.found.candidate.graph

    @property
    def spoken(self) -> Phrase:
        """What a sentence calls the node."""
        return spoken(self.graph, self.position)

    @property
    def names(self) -> tuple[Phrase, ...]:
        """What sentences call the node's operands."""
        return tuple(spoken(self.graph, source) for source in self.graph.operands[self.position])

    @property
    def bracketed_names(self) -> tuple[Phrase, ...]:
        """The same within formulas."""
        return tuple(bracketed(self.graph, source) for source in self.graph.operands[self.position])

    def put(self, template: str, *figures: Any) -> str:
        """Put figures into a sentence; of tensors the element of which it speaks. Empty where one has no such element.

        Each {} in the template takes a number.
        """
        shape, numbers = self.expected.shape, []
        for figure in figures:
            try:
                numbers.append(figure_text(np.float64(np.broadcast_to(figure, shape)[self.worst])))
            except ValueError:
                return ""
        if shape and self.worst:
            numbers[-1] += " there"
        return template.format(*numbers)

    @property
    def value(self) -> FloatArray:
        """The node's effective value."""
        return _figure(self.found.values, self.position)

    @property
    def near_edges(self) -> tuple[Edge, ...]:
        """The edges to elementwise consumers, unless they are too many or too large to try many slips on each."""
        few = len(self.edges) <= _FEW_EDGES and all(edge.upstream.size <= _FEW_ELEMENTS for edge in self.edges)
        return tuple(edge for edge in self.edges if edge.local is not None) if few else ()

    @property
    def forward(self) -> bool:
        """Whether the figure is a value."""
        return self.phase.name == "forward"

    def replaced(self, edge: Edge, contribution: Any) -> FloatArray:
        """The gradient with one contribution replaced by another."""
        return np.asarray(self.expected - edge.contribution + contribution)


def gather(
    found: Comparison, phase: Phase, position: int, candidate: Run, figure: FloatArray | None = None
) -> Evidence:
    """Gather the evidence about the figure of the node at that position, or another figure for it."""
    graph = candidate.graph
    replayed = position not in phase.unreplayed
    operands: tuple[FloatArray, ...] = ()
    edges: tuple[Edge, ...] = ()
    seed: FloatArray = np.zeros(())
    consumers = [consumer for consumer, _ in graph.consumers[position]]
    unread = len(consumers) > _MOST_EDGES or sum(len(graph.operands[each]) for each in consumers) > _MOST_OPERANDS
    given, expected = _given(phase, position) if figure is None else figure, _due(phase, position)
    if phase.name == "forward":
        if replayed:
            operands = tuple(_figure(found.values, source) for source in graph.operands[position])
    elif candidate.backward:
        if position == graph.position[candidate.backward.output]:
            seed = candidate.backward.seed
        if replayed and not unread:
            edges = _edges(found, phase, position, graph, candidate.backward.output)
    return Evidence(
        found,
        phase,
        position,
        graph.nodes[position],
        write_subject(candidate, phase.name == "forward", position),
        given,
        expected,
        tuple(spoken_term(graph, source) for source in graph.operands[position]) if operands else (),
        operands,
        edges,
        candidate.backward.output if candidate.backward else "",
        replayed,
        unread,
        seed,
        graph.nodes,
        _worst(phase, position, given, expected),
        _followers(phase, graph, position),
    )


def write_subject(candidate: Run, forward: bool, position: int) -> Phrase:
    """What a sentence calls a figure: e, or ∂F/∂e."""
    graph, backward = candidate.graph, candidate.backward
    if not forward and backward is not None:
        return write_gradient(graph, backward.output, position)
    node = graph.nodes[position]
    if node.operation.is_constant:
        return typeset(node.name, write_mathml(named(node.name, graph.position)))
    return spoken(graph, position)


def write_gradient(graph: Graph, output: str, position: int) -> Phrase:
    """What a sentence calls the gradient of the output with respect to a node: ∂F/∂e."""
    gradient = partial_of(named(output, graph.position), spoken_variable(graph, position))
    return typeset(f"∂{output}/∂{bracketed(graph, position)!s}", write_mathml(gradient))


def _followers(phase: Phase, graph: Graph, position: int) -> tuple[Verdict, ...]:
    """The verdicts on the figures computed from one; those of what follows from them where they were not compared."""
    found, met, waiting = [], {position}, [position]
    while waiting and len(met) < _MOST_FOLLOWERS:
        here = waiting.pop()
        users = graph.operands[here] if phase.name == "backward" else [each for each, _ in graph.consumers[here]]
        for user in users:
            if user not in met:
                met.add(user)
                if (verdict := Verdict(int(phase.verdicts[user]))) == Verdict.NOT_COMPARED:
                    waiting.append(user)
                else:
                    found.append(verdict)
    return tuple(found)


@memoize_on_argument
def _chosen_values(found: Comparison) -> dict[int, Any]:
    """Of the whole graph, which all origins share."""
    return chosen_values(found.candidate.graph, found.values)


def _edges(found: Comparison, phase: Phase, position: int, graph: Graph, output: str) -> tuple[Edge, ...]:
    """The out-edges in the order of the backward pass, last consumer first."""
    edges: list[Edge] = []
    chosen = _chosen_values(found)
    open_edges = OpenEdges(graph, found.values, output, results=chosen)
    with np.errstate(all="ignore"):
        for consumer, several in groupby(reversed(graph.consumers[position]), key=itemgetter(0)):
            node = graph.nodes[consumer]
            operands = tuple(_figure(found.values, source) for source in graph.operands[consumer])
            value, upstream = _figure(found.values, consumer), _figure(phase.effective, consumer)
            if is_silent(reaches(graph, output)[consumer], upstream):
                continue
            contributions = open_edges.contributions(consumer, upstream)
            locals_: Any = None
            if node.operation.is_elementwise:
                locals_ = local_gradients_at(graph, consumer, operands, chosen.get(consumer, value))
            terms = tuple(spoken_term(graph, source) for source in graph.operands[consumer])
            for _, operand_index in several:
                local = None if locals_ is None else np.asarray(locals_[operand_index], np.float64)
                if (contribution := contributions[operand_index]) is not None:
                    figures = operands, value, upstream, local, np.asarray(contribution, dtype=np.float64)
                    edges.append(Edge(graph, consumer, node, operand_index, terms, *figures))
    return tuple(edges)


def _worst(phase: Phase, position: int, figure: FloatArray, expected: FloatArray) -> Index:
    """The index of the element whose error exceeds what is allowed most, and of such the one with the greatest.

    Elements that a convention explains come last.
    """
    if figure.shape != expected.shape:
        return (0,) * expected.ndim
    if not figure.ndim or not figure.size:
        return ()
    with np.errstate(all="ignore"):
        apart = np.abs(figure - expected)
        excess = apart / (phase.rtol * np.abs(expected) + phase.atol)
    apart[np.isnan(apart)] = excess[np.isnan(excess)] = np.inf
    excess[(figure == expected) | same_bits(figure, expected)] = 0.0
    excused = phase.excused.get(position)
    if excused is not None and (unexcused := np.where(excused.reshape(excess.shape), 0.0, excess)).max() > 1.0:
        excess = unexcused
    apart[excess < excess.max()] = -1.0
    return tuple(int(step) for step in np.unravel_index(int(np.argmax(apart)), figure.shape))


def _due(phase: Phase, position: int) -> FloatArray:
    figure = phase.due(position)
    assert figure is not None
    return figure


def _given(phase: Phase, position: int) -> FloatArray:
    figure = phase.given(position)
    assert figure is not None
    return figure


def _figure(figures: Figures, position: int) -> FloatArray:
    figure = figures[position]
    assert figure is not None
    return figure
