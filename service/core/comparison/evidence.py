"""The evidence about one wrong figure, its operands and consumers, and a sentence that states it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.comparison.replay import is_silent
from service.core.comparison.verdicts import Comparison, Phase, Verdict
from service.core.execution.chain_rule import contributions_at, local_gradients_at
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray, same_bits
from service.core.figures.text import exact_text, figure_text
from service.core.graph.graph import Graph, Node
from service.core.graph.traversal import reaches
from service.core.rulebook.notation import ATOM, Rendered, write_text
from service.core.rulebook.primitives import sum_to_shape
from service.core.symbolic.printing import write_text as write_term
from service.core.symbolic.simplify import simplify
from service.core.symbolic.term import Variable, local_gradient_terms

# Hypotheses about single out-edges are tested for nodes with at most this many.
_MOST_EDGES = 1000
# How many terms of a gradient, and operands of an operation, a sentence lists at most.
_LISTED_EDGES, _LISTED_OPERANDS = 4, 8


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """An out-edge of the node in the backward pass; `local` is None where the consumer is not elementwise."""

    consumer: Node
    operand_index: int
    operands: tuple[FloatArray, ...]
    upstream: FloatArray
    local: FloatArray | None
    contribution: FloatArray

    def with_local(self, local: Any) -> FloatArray:
        """The contribution with another local gradient."""
        shape = self.operands[self.operand_index].shape
        return np.asarray(sum_to_shape(np.broadcast_to(self.upstream * local, self.upstream.shape), shape))


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The evidence about one figure; operands and edges are empty where it cannot be replayed.

    `subject` names the figure: e, or ∂F/∂e. `seed` is the backward pass's seed at the output, 0 elsewhere.
    `followers` are the verdicts on the figures computed from it: its consumers' values, or its operands' gradients.
    """

    phase: Phase
    position: int
    node: Node
    subject: str
    figure: FloatArray
    expected: FloatArray
    operands: tuple[FloatArray, ...]
    edges: tuple[Edge, ...]
    seed: FloatArray
    nodes: tuple[Node, ...]
    followers: tuple[Verdict, ...]

    @property
    def forward(self) -> bool:
        """Whether the figure is a value."""
        return self.phase.name == "forward"

    def replaced(self, edge: Edge, contribution: Any) -> FloatArray:
        """The gradient with one contribution replaced by another."""
        return np.asarray(self.expected - edge.contribution + contribution)


def gather(found: Comparison, phase: Phase, position: int, candidate: Run) -> Evidence:
    """Gather the evidence about the figure of the node at that position."""
    graph = candidate.graph
    replayed = position not in phase.unreplayed
    operands: tuple[FloatArray, ...] = ()
    edges: tuple[Edge, ...] = ()
    seed: FloatArray = np.zeros(())
    used_by: Sequence[int] = ()
    subject = graph.nodes[position].name
    if phase.name == "forward":
        used_by = [consumer for consumer, _ in graph.consumers[position]]
        if replayed:
            operands = tuple(_figure(found.values, source) for source in graph.operands[position])
    elif candidate.backward:
        used_by = graph.operands[position]
        subject = f"∂{candidate.backward.output}/∂{subject}"
        if position == graph.position[candidate.backward.output]:
            seed = candidate.backward.seed
        if replayed and len(graph.consumers[position]) <= _MOST_EDGES:
            edges = _edges(found, phase, position, graph, candidate.backward.output)
    verdicts = [Verdict(int(phase.verdicts[user])) for user in used_by]
    return Evidence(
        phase,
        position,
        graph.nodes[position],
        subject,
        _figure(phase.candidate, position),
        _figure(phase.expected, position),
        operands,
        edges,
        seed,
        graph.nodes,
        tuple(verdict for verdict in verdicts if verdict != Verdict.NOT_COMPARED),
    )


def _edges(found: Comparison, phase: Phase, position: int, graph: Graph, output: str) -> tuple[Edge, ...]:
    """The out-edges in the order of the backward pass, last consumer first."""
    edges = []
    with np.errstate(all="ignore"):
        for consumer, operand_index in reversed(graph.consumers[position]):
            node = graph.nodes[consumer]
            operands = tuple(_figure(found.values, source) for source in graph.operands[consumer])
            value, upstream = _figure(found.values, consumer), _figure(phase.effective, consumer)
            if is_silent(reaches(graph, output)[consumer], upstream):
                continue
            contribution = contributions_at(graph, consumer, upstream, operands, value)[operand_index]
            local = None
            if node.operation.is_elementwise:
                local = np.asarray(local_gradients_at(graph, consumer, operands, value)[operand_index], np.float64)
            if contribution is not None:
                contribution = np.asarray(contribution, dtype=np.float64)
                edges.append(Edge(node, operand_index, operands, upstream, local, contribution))
    return tuple(edges)


def _figure(figures: Figures, position: int) -> FloatArray:
    figure = figures[position]
    assert figure is not None
    return figure


# --- words --------------------------------------------------------------------------------------------------------


def statement(evidence: Evidence) -> str:
    """State what the figure is, what it should be and why; of a tensor, at the element with the largest error."""
    figure, expected = evidence.figure, evidence.expected
    at = there = ""
    with np.errstate(all="ignore"):
        if figure.ndim:
            apart = np.abs(figure - expected)
            apart[np.isnan(apart)] = np.inf
            apart[same_bits(figure, expected)] = 0.0
            index = np.unravel_index(int(np.argmax(apart)), figure.shape)
            figure, expected = np.asarray(figure[index]), np.asarray(expected[index])
            at, there = f" at {[int(step) for step in index]}", " there"
        alike = np.isfinite(expected) and abs(figure - expected) <= 1e-5 * abs(expected)
    wrong, right = figure_text(figure), figure_text(expected)
    if alike:  # six digits may be equal
        wrong, right = (exact_text(float(number)).replace("-", "−") for number in (figure, expected))
    return f"{evidence.subject} is {wrong}{at}; it should be {_derivation(evidence)}{right}{there}."


def _derivation(evidence: Evidence) -> str:
    """The formula of the right figure and an equals sign; empty where it would be too long."""
    if evidence.operands:
        if len(evidence.operands) > _LISTED_OPERANDS:
            return ""
        operands = [Rendered(name, ATOM) for name in evidence.node.inputs]
        return f"{write_text(evidence.node.operation.notation, operands).text} = "
    if len(evidence.edges) > _LISTED_EDGES or any(
        edge.local is None or edge.upstream.ndim or len(edge.operands) > _LISTED_OPERANDS for edge in evidence.edges
    ):
        return ""
    products = [f"{figure_text(edge.upstream)} × {_local_formula(edge)}" for edge in evidence.edges]
    if not products:
        return ""
    return f"{' + '.join([*([figure_text(evidence.seed)] if evidence.seed else []), *products])} = "


def _local_formula(edge: Edge) -> str:
    terms = [Variable(name) for name in edge.consumer.inputs]
    operation, attributes = edge.consumer.operation, edge.consumer.attributes
    slopes = local_gradient_terms(operation, terms, Variable(edge.consumer.name), attributes)
    formula = write_term(simplify(slopes[edge.operand_index]))
    bare = formula.replace(" ", "") if len(formula) <= 8 else formula
    return bare if all(sign not in bare.lstrip("-") for sign in "+-") else f"({formula})"
