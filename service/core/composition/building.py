"""Build graphs of which some nodes stand for stored graphs or composed operations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from service.core.composition.callee import StoredGraph
from service.core.composition.composed import Weigh
from service.core.composition.expansion import Expansion, expand
from service.core.errors import Fault
from service.core.graph.building import Reading, assemble, assemble_graph, read_uses
from service.core.graph.documents import FindCallee
from service.core.graph.graph import Graph, Node
from service.core.graph.parts import GraphPart, Use
from service.core.language.diagnostics import SourceError, invalid_expression
from service.core.language.expression import parse_uses
from service.core.rulebook.composed import find_composed


@dataclass(frozen=True, slots=True)
class Composing:
    """How a graph is composed: where stored graphs are found, who weighs what it is to be made of, and the limits.

    `find` gives the graph of a reference, None if there is none.
    """

    find: Callable[[str], StoredGraph | None] = lambda reference: None
    weigh: Weigh = lambda nodes, characters: None
    max_nodes: int | None = None
    max_tensor: int | None = None
    max_bytes: int = 65_536
    max_depth: int = 200

    def callees(self) -> FindCallee:
        """What a name stands for that is no operation's; each is looked up once."""
        return cache(lambda name: find_composed(name) or self.find(name))


# Without stored graphs and limits.
ALONE = Composing()


def compose_graph(
    documents: object, outputs: object = None, inputs: object = None, *, composing: Composing = ALONE
) -> tuple[Graph, Sequence[GraphPart]]:
    """Build a graph from documents of nodes, and list its parts; as `build_graph` otherwise.

    The list lets go of the documents as they are read.
    """
    return _compose({}, (), documents, outputs, inputs, (), composing)


def compose_extension(
    graph: Graph, parts: Sequence[GraphPart], documents: object, outputs: object = None, *, composing: Composing = ALONE
) -> tuple[Graph, Sequence[GraphPart]]:
    """Add nodes to a graph that has these parts, and list all parts; as `extend_graph` otherwise."""
    known = {node.name: node for node in graph.nodes}
    extended, added = _compose(known, parts, documents, outputs, None, graph.inputs, composing)
    return extended, [*parts, *added]


def compose_expression(
    text: str, outputs: object = None, *, composing: Composing = ALONE
) -> tuple[Graph, Sequence[GraphPart]]:
    """Build the graph of an expression, its inputs in the text's order, and list its parts.

    Raises as `parse_uses` and `assemble_graph`.
    """
    read = parse_uses(text, composing.callees(), max_bytes=composing.max_bytes, max_depth=composing.max_depth)
    expansion = _expand({node.name: node for node in read}, (), composing)
    for misuse in expansion.misuses:
        start = misuse.use.start if misuse.use else 0
        raise invalid_expression(text, SourceError(misuse.fault.detail, start))
    nodes = list(expansion.nodes.values())
    listed = [node.name for node in nodes if node.operation.is_input]
    limits = {"max_nodes": composing.max_nodes, "max_tensor": composing.max_tensor}
    return assemble_graph(nodes, outputs, listed, **limits), expansion.parts


def _compose(
    known: Mapping[str, Node],
    parts: Sequence[GraphPart],
    documents: object,
    outputs: object,
    inputs: object,
    leading_inputs: Sequence[str],
    composing: Composing,
) -> tuple[Graph, Sequence[GraphPart]]:
    limits = {"max_nodes": composing.max_nodes, "max_tensor": composing.max_tensor}
    reading = read_uses(documents, known, composing.callees(), **limits)
    expansion = _expand(reading.nodes, parts, composing)
    position = reading.position
    position.update([(name, position[origin]) for name, origin in expansion.origins.items()])
    faults = [*reading.faults, *_faults(expansion, position)]
    return assemble(Reading(expansion.nodes, position, faults), outputs, inputs, leading_inputs), expansion.parts


def _expand(given: Mapping[str, Node | Use], parts: Sequence[GraphPart], composing: Composing) -> Expansion:
    return expand(given, parts, max_nodes=composing.max_nodes, weigh=composing.weigh)


def _faults(expansion: Expansion, position: Mapping[str, int]) -> list[Fault]:
    """Where the request has what is wrong: at the node itself or, if that stands already, at the use."""
    faults = []
    for misuse in expansion.misuses:
        name = misuse.use.name if misuse.name not in position and misuse.use else misuse.name
        faults.append(Fault(("nodes", position[name], *misuse.fault.location), misuse.fault.detail))
    return faults
