"""Draw each part of a graph as one node, until it is opened."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures, pack
from service.core.graph.graph import Graph, Node
from service.core.graph.parts import GraphPart, enclosing
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import operation_of
from service.web.captions import Subject


@dataclass(frozen=True, slots=True)
class Folded:
    """A graph in which closed parts are one node each, the position in the whole graph of each node, and for the name
    of each node that is not drawn that of its part."""

    graph: Graph
    positions: Sequence[int]
    within: Mapping[str, str]


def fold(graph: Graph, parts: Sequence[GraphPart], opened: Collection[str]) -> Folded:
    """Put in place of each part that is not among the opened ones a node with its name and operation.

    A part of a part is open only if that is open too. A part stays open where other nodes read more of it than its
    output.
    """
    closed = {part.name: part for part in parts if part.name not in opened and part.name in graph.position}
    box: list[str | None] = [None] * len(graph)
    if closed:
        for position, node in enumerate(graph.nodes):
            box[position] = next((name for name in reversed(list(enclosing(node.name))) if name in closed), None)
    for position, sources in enumerate(graph.operands):
        for source in sources:
            inner = box[source]
            if inner is not None and inner != box[position] and inner != graph.nodes[source].name:
                closed.pop(inner, None)
    box = [name if name in closed else None for name in box]
    if not any(box):
        return Folded(graph, range(len(graph)), {})
    reads: dict[str, dict[str, None]] = {name: {} for name in closed}
    for position, sources in enumerate(graph.operands):
        if (name := box[position]) is not None:
            outer = (source for source in sources if box[source] != name)
            reads[name].update((graph.nodes[source].name, None) for source in outer)
    kept = [position for position, node in enumerate(graph.nodes) if box[position] in (None, node.name)]
    nodes = tuple(
        node if box[position] is None else Node(node.name, _box(closed[node.name].operation), tuple(reads[node.name]))
        for position, node in ((position, graph.nodes[position]) for position in kept)
    )
    names = {node.name for node in nodes}
    outputs = tuple(name for name in graph.outputs if name in names) or (nodes[-1].name,)
    inputs = tuple(name for name in graph.inputs if name in names)
    hidden = {
        node.name: name for node, name in zip(graph.nodes, box, strict=True) if name is not None and name != node.name
    }
    return Folded(Graph(nodes, inputs, outputs, graph.convention), kept, hidden)


def _box(name: str) -> Operation:
    """An operation that is only drawn."""
    identity = operation_of("Identity")
    return replace(identity, name=name, aliases=(), variadic=True, closed=None, kinks=None, notation=function(name))


def fold_subject(subject: Subject, folded: Folded) -> Subject:
    """The same subject with the folded graph, and the figures of the nodes that are left."""
    if folded.graph is subject.graph:
        return subject
    places = {position: place for place, position in enumerate(folded.positions)}
    run = subject.run
    return replace(
        subject,
        graph=folded.graph,
        run=None if run is None else _fold_run(run, folded),
        output=subject.output if subject.output in folded.graph.position else None,
        kinks=frozenset(places[position] for position in subject.kinks if position in places),
        flags={places[position]: flag for position, flag in subject.flags.items() if position in places},
        shares=replace(subject.shares, parts=_fold_parts(subject, folded)),
    )


def _fold_parts(subject: Subject, folded: Folded) -> Mapping[int, float]:
    """The shares of the nodes that are left: that of a closed part is the sum of its nodes' shares."""
    sums: dict[int, float] = defaultdict(float)
    for position, share in subject.shares.parts.items():
        name = subject.graph.nodes[position].name
        sums[folded.graph.position[folded.within.get(name, name)]] += share
    return sums


def _fold_run(run: Run, folded: Folded) -> Run:
    def chosen(figures: Figures) -> Figures:
        return pack([figures[position] for position in folded.positions])

    backward = run.backward and Backward(run.backward.output, run.backward.seed, chosen(run.backward.gradients))
    return Run(folded.graph, chosen(run.values), run.dtype, backward)
