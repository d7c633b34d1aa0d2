"""The smallest stand-alone graph in which an origin shows.

Of a value it is the node's operation. Of a gradient it is the operations that use the node, each with the gradient that
flows into it as a seed: where several do, or the node is the output itself, their seeded sum is differentiated. What
they read are Inputs that hold the candidate's figures, its own replays where it gives none; what they compute is
computed from these, also where the candidate gives it otherwise. Where every operation is elementwise, the graph is cut
down to what bears on the worst element.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from service.core.comparison.evidence import Evidence, Index, gather
from service.core.comparison.judging import compare
from service.core.comparison.verdicts import Comparison, Phase, Tolerance
from service.core.errors import Conflict
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray, Shape
from service.core.graph.building import assemble_graph
from service.core.graph.documents import read_node
from service.core.graph.graph import Graph, Node
from service.core.graph.names import free_name

_SUMMED_AT_ONCE = 100  # terms: languages cannot read long sums


@dataclass(frozen=True, eq=False)
class Smallest:
    """A graph in which an origin shows, and its Inputs' values.

    `node` is the node whose figure it is. `seed` starts the backward pass from
    `output`, None if the figure is a value. `right` is what the figure should be and `recorded` the candidate's, which
    may have another shape; they are elements of them if `index`, where these stand, is not None.
    """

    graph: Graph
    inputs: Mapping[str, FloatArray]
    node: str
    output: str
    seed: FloatArray | None
    right: FloatArray
    recorded: FloatArray
    index: Index | None


def find_smallest(found: Comparison, phase: Phase, position: int, baseline: Callable[[], Run]) -> Smallest:
    """The smallest graph around an origin; raises Conflict where its figure does not follow from others.

    Of one by definition it is that of the baseline's definition, at its figures: nothing that it rests on is wrong.
    """
    if position in phase.definitions:
        evidence = _by_definition(found, phase, position, baseline())
    else:
        evidence = gather(found, phase, position, found.candidate)
    what = f"the {'value' if evidence.forward else 'gradient'} of {evidence.node.name!r}"
    if not evidence.replayed:
        raise Conflict(f"nothing reproduces {what}: no other figures of the run say what it should be")
    if evidence.unread:
        raise Conflict(f"nothing small reproduces {what}: too many nodes use it")
    return _around_value(evidence) if evidence.forward else _around_gradient(evidence)


def _by_definition(found: Comparison, phase: Phase, position: int, baseline: Run) -> Evidence:
    """The evidence about the candidate's figure as if it were the baseline's."""
    figure, layout = phase.given(position), found.alignment.layouts.get(position)
    own = compare(baseline, baseline, Tolerance(phase.rtol, phase.atol / (phase.scale or 1.0)))
    its, partner = own.forward if phase is found.forward else own.backward, int(found.alignment.partners[position])
    assert figure is not None and its is not None
    if layout is not None:
        laid = np.empty(figure.shape).ravel()
        laid[layout.ravel()] = figure.ravel()
        figure = laid.reshape(its.expected.shape(partner))
    return gather(own, its, partner, baseline, figure)


def seeded(small: Smallest) -> tuple[Graph, Mapping[str, FloatArray]]:
    """The graph with a scalar output in place of `output`, of which the gradient is the same; its Inputs' values."""
    assert small.seed is not None
    parts = _Parts({node.name: node for node in small.graph.nodes}, dict(small.inputs))
    return parts.graph(parts.weigh(small.output, small.seed), small.graph.convention), parts.inputs


def _around_value(evidence: Evidence) -> Smallest:
    node, graph = evidence.node, evidence.graph
    whole = [evidence.expected.shape] if node.operation.is_elementwise else None
    cut, index = _cutting(evidence, whole)
    parts = _Parts()
    for source, figure in zip(graph.operands[evidence.position], evidence.operands, strict=True):
        parts.stand_in(graph, source, evidence.position, cut(figure))
    parts.nodes[node.name] = node
    made = parts.graph(node.name, graph.convention)
    return Smallest(made, parts.inputs, node.name, node.name, None, cut(evidence.expected), cut(evidence.figure), index)


def _around_gradient(evidence: Evidence) -> Smallest:
    node, graph = evidence.node, evidence.graph
    edges = {edge.position: edge for edge in reversed(evidence.edges)}
    elementwise = all(edge.consumer.operation.is_elementwise for edge in edges.values())
    cut, index = _cutting(evidence, [edge.upstream.shape for edge in edges.values()] if elementwise else None)
    upstreams = {position: cut(edge.upstream) for position, edge in edges.items()}
    if not np.isnan(evidence.expected).any():  # 0 times an infinity would be NaN
        upstreams = {position: upstream for position, upstream in upstreams.items() if np.any(upstream)}
    parts = _Parts()
    for position in upstreams:
        for source, figure in zip(graph.operands[position], edges[position].operands, strict=True):
            parts.stand_in(graph, source, position, cut(figure))
    if not upstreams:
        parts.stand_in(graph, evidence.position, evidence.position, cut(evidence.value))
    seeds = {parts.add(graph.nodes[position]): upstream for position, upstream in upstreams.items()}
    if np.any(evidence.seed):
        seeds[node.name] = cut(np.broadcast_to(evidence.seed, evidence.expected.shape))
    if not seeds:  # the output does not depend on it
        seeds[parts.add(_node("unrelated", "Input"), np.zeros(()))] = np.ones(())
    if len(seeds) == 1:
        ((output, seed),) = seeds.items()
    else:
        terms = [parts.weigh(name, upstream) for name, upstream in seeds.items()]
        while len(terms) > 1:
            some, terms = terms[:_SUMMED_AT_ONCE], terms[_SUMMED_AT_ONCE:]
            terms.append(parts.add(_node("total", "Sum", some)))
        output, seed = terms[0], np.ones(())
    made = parts.graph(output, graph.convention)
    return Smallest(made, parts.inputs, node.name, output, seed, cut(evidence.expected), cut(evidence.figure), index)


# --- the worst element -----------------------------------------------------------------------------------------------


def _cutting(
    evidence: Evidence, shapes: Sequence[Shape] | None
) -> tuple[Callable[[FloatArray], FloatArray], Index | None]:
    """What cuts a figure down to what bears on the worst element, and its index; None if nothing is cut.

    `shapes` are those of the values that are computed elementwise with the node's, to which all figures broadcast. An
    axis along which one of them is longer is kept: over that the gradient is summed.
    """
    shape, worst = evidence.expected.shape, evidence.worst
    if shapes is None or not shape or evidence.figure.shape != shape:
        return lambda figure: figure, None
    longest = max(map(len, shapes), default=0)
    lengths = (1,) * (longest - len(shape)) + shape
    index = (0,) * (longest - len(shape)) + worst
    padded = [(1,) * (longest - len(each)) + each for each in shapes]
    keys = [
        slice(None) if any(each[axis] != length for each in padded) else index[axis]
        for axis, length in enumerate(lengths)
    ]

    def cut(figure: FloatArray) -> FloatArray:
        own = zip(figure.shape, keys[longest - figure.ndim :], strict=True)
        return np.asarray(figure[tuple(0 if length == 1 and key != slice(None) else key for length, key in own)])

    return cut, worst


# --- nodes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parts:
    """The nodes of a graph as they are found, and its Inputs' values."""

    nodes: dict[str, Node] = field(default_factory=dict)
    inputs: dict[str, FloatArray] = field(default_factory=dict)

    def stand_in(self, graph: Graph, source: int, consumer: int, figure: FloatArray) -> None:
        """Have an Input in place of a node of a graph, in the precision in which a consumer reads it."""
        name, declared = graph.nodes[source].name, graph.nodes[source].attributes.get("dtype")
        dtype = "float32" if graph.float32_nodes.intersection((source, consumer)) else declared
        self.nodes[name] = _node(name, "Input", **({"dtype": dtype} if dtype else {}))
        self.inputs[name] = figure

    def add(self, node: Node, figure: FloatArray | None = None) -> str:
        """Add a node, an Input with its value, and return its name, another one if that is taken."""
        name = free_name(node.name, self.nodes)
        self.nodes[name] = replace(node, name=name)
        if figure is not None:
            self.inputs[name] = figure
        return name

    def weigh(self, name: str, seed: FloatArray) -> str:
        """Add the sum of a node's value times a seed, whose gradient with respect to the node that is; return its
        name."""
        if not seed.ndim and seed == 1.0:
            return name
        upstream = self.add(_node(f"upstream_{name}", "Input"), seed)
        product = self.add(_node(f"seeded_{name}", "Mul", [upstream, name]))
        return self.add(_node(f"sum_{name}", "ReduceSum", [product], keepdims=0)) if seed.ndim else product

    def graph(self, output: str, convention: str) -> Graph:
        """The graph of all these nodes."""
        return replace(assemble_graph(list(self.nodes.values()), [output], list(self.inputs)), convention=convention)


def _node(name: str, operation: str, inputs: Sequence[str] = (), **attributes: Any) -> Node:
    """A node of one of the rulebook's operations."""
    document = {"name": name[:256], "operation": operation, "inputs": list(inputs), "attributes": attributes}
    node = read_node(document)[1]
    assert isinstance(node, Node)
    return node
