"""Build a graph from node documents or nodes: order it, choose inputs and outputs, and find every fault."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Generic, TypeVar, cast

from service.core.errors import MOST_HINTS, NO_NAME, Fault, InvalidGraph, LimitExceeded, nearest
from service.core.graph.documents import FindCallee, no_callee, read_node
from service.core.graph.graph import Graph, Node
from service.core.graph.parts import Use
from service.core.rulebook.tensor import Tensor

Item = TypeVar("Item")
NO_NODES: Mapping[str, Node] = MappingProxyType({})

LONGEST_PATH = 20  # nodes of a cycle that a fault writes out; each node of the cycle has a fault, in order


def build_graph(
    nodes: object,
    outputs: object = None,
    inputs: object = None,
    *,
    max_nodes: int | None = None,
    max_tensor: int | None = None,
) -> Graph:
    """Build a graph from node documents {"name", "operation", "inputs"?, "attributes"?}, in any order.

    `outputs` defaults to the operations that no other node uses, in order; to an Input or a Constant only if there is
    nothing else. `inputs` is the order of the Input nodes, by default that in which a depth-first search from the
    outputs meets them, whatever the order of `nodes`.
    Raises InvalidGraph with a Fault for each thing wrong, LimitExceeded for more than `max_nodes`, or a Constant of
    more than `max_tensor` elements.
    """
    return assemble(read_nodes(nodes, max_nodes=max_nodes, max_tensor=max_tensor), outputs, inputs)


def assemble_graph(
    nodes: Sequence[Node],
    outputs: object = None,
    inputs: object = None,
    *,
    max_nodes: int | None = None,
    max_tensor: int | None = None,
) -> Graph:
    """Build a graph from nodes, in any order, whose names are distinct and whose attributes have been read.

    `outputs`, `inputs` and the errors are those of `build_graph`.
    """
    limit_nodes(len(nodes), max_nodes)
    for node in nodes:
        _limit_tensor(node, max_tensor)
    positions = {node.name: position for position, node in enumerate(nodes)}
    return assemble(Reading({node.name: node for node in nodes}, positions, []), outputs, inputs)


def extend_graph(
    graph: Graph,
    nodes: object,
    outputs: object = None,
    *,
    max_nodes: int | None = None,
    max_tensor: int | None = None,
) -> Graph:
    """Add nodes, which may use the old ones, to a graph; the old inputs stay first, in order.

    `outputs` defaults as in `build_graph`. Raises as `build_graph` does.
    """
    known = {node.name: node for node in graph.nodes}
    return assemble(read_nodes(nodes, known, max_nodes=max_nodes, max_tensor=max_tensor), outputs, None, graph.inputs)


@dataclass(frozen=True, slots=True)
class Reading(Generic[Item]):
    """Nodes by name, the position in the request of each new one, and the faults found."""

    nodes: dict[str, Item]
    position: dict[str, int]
    faults: list[Fault]


_EXPLAINED = 20  # faults of one request that may say which names are near


def read_nodes(
    documents: object,
    known: Mapping[str, Node] = NO_NODES,
    *,
    max_nodes: int | None,
    max_tensor: int | None,
) -> Reading[Node]:
    """Read documents of nodes that are added to the known ones; raises as `build_graph`."""
    given = list(documents) if isinstance(documents, list) else documents
    found = read_uses(given, known, no_callee, max_nodes=max_nodes, max_tensor=max_tensor)
    return cast(Reading[Node], found)  # without callees there are no uses


def read_uses(
    documents: object,
    known: Mapping[str, Node],
    find_callee: FindCallee,
    *,
    max_nodes: int | None,
    max_tensor: int | None,
) -> Reading[Node | Use]:
    """As `read_nodes`, where an operation may also be what `find_callee` finds: such nodes are yet to be expanded.

    The list of documents lets go of each one that is read: a million of them take half a gigabyte.
    """
    if not isinstance(documents, list):
        raise InvalidGraph([Fault(("nodes",), "a list of nodes is expected")])
    limit_nodes(len(known) + len(documents), max_nodes)
    reading: Reading[Node | Use] = Reading(dict(known), {}, [])
    for position, document in enumerate(documents):
        documents[position] = None
        brief = len(reading.faults) > _EXPLAINED
        faults, node = read_node(document, brief, no_callee if brief else find_callee)
        if faults:
            reading.faults.extend(Fault(("nodes", position, *fault.location), fault.detail) for fault in faults)
        if node is None:
            continue
        if node.attributes and not faults and isinstance(node, Node):
            _limit_tensor(node, max_tensor)
        if node.name in reading.nodes:
            first = reading.position.get(node.name)
            where = "already in the graph" if first is None else f"already used by node {first}"
            reading.faults.append(Fault(("nodes", position, "name"), f"the name {node.name!r} is {where}"))
            continue
        reading.nodes[node.name] = node
        reading.position[node.name] = position
    return reading


def limit_nodes(count: int, most: int | None) -> None:
    """Raise LimitExceeded for more nodes than a graph may have."""
    if most is not None and count > most:
        raise LimitExceeded("nodes", most, count, f"a graph has at most {most} nodes; this one has {count}")


def _limit_tensor(node: Node, most: int | None) -> None:
    value = node.attributes.get("value")
    if most is not None and isinstance(value, Tensor) and value.array.size > most:
        detail = f"a Constant has at most {most} elements; {node.name!r} has {value.array.size}"
        raise LimitExceeded("tensor_elements", most, value.array.size, detail)


# --- from nodes to a graph ----------------------------------------------------------------------------------------


def assemble(
    reading: Reading[Node], outputs: object = None, inputs: object = None, leading_inputs: Sequence[str] = ()
) -> Graph:
    """Make a graph of what was read; raises InvalidGraph with the faults found before and those found here."""
    nodes, position, faults = reading.nodes, reading.position, reading.faults
    used = set(chain.from_iterable(node.inputs for node in nodes.values()))
    if unknown := used - nodes.keys():
        near = {name: nearest(name, nodes) for name in list(unknown)[:MOST_HINTS]}
        faults.extend(
            Fault(
                ("nodes", position[node.name], "inputs", index),
                f"{node.name!r} reads {source!r}, which is not a node{near.get(source, '')}",
            )
            for node in nodes.values()
            for index, source in enumerate(node.inputs)
            if source not in nodes
        )
    chosen = _read_names(outputs, nodes, "outputs", faults) if outputs is not None else None
    order = _read_names(inputs, nodes, "inputs", faults) if inputs is not None else None
    if not nodes and not faults:
        faults.append(Fault(("nodes",), "a graph has at least one node"))
    if faults:
        raise InvalidGraph(faults)
    ordered = _topological_order(nodes, position)
    if chosen is None:
        chosen = _default_outputs(ordered, used)
    if not chosen:
        raise InvalidGraph([Fault(("outputs",), "a graph has at least one output")])
    if order is None:
        order = _order_of_inputs(nodes, chosen, leading_inputs)
    elif wrong := _faults_in_inputs(order, ordered):
        raise InvalidGraph(wrong)
    return Graph(ordered, tuple(order), tuple(chosen))


def _read_names(names: object, nodes: Mapping[str, Node], member: str, faults: list[Fault]) -> list[str]:
    if not isinstance(names, (list, tuple)):
        faults.append(Fault((member,), f"{member} is a list of node names"))
        return []
    read: dict[str, None] = {}
    for position, name in enumerate(names):
        if not isinstance(name, str):
            faults.append(Fault((member, position), NO_NAME))
        elif name not in nodes:
            near = nearest(name, nodes) if len(faults) < MOST_HINTS else ""
            faults.append(Fault((member, position), f"{name!r} is not a node of the graph{near}"))
        elif name in read:
            faults.append(Fault((member, position), f"{name!r} appears twice in {member}"))
        else:
            read[name] = None
    return list(read)


def _faults_in_inputs(order: Sequence[str], nodes: Iterable[Node]) -> list[Fault]:
    """A fault for each name in `inputs` that is not an Input node, and for each Input node that it lacks."""
    present = dict.fromkeys(node.name for node in nodes if node.operation.is_input)
    others = [
        Fault(("inputs", position), f"{name!r} is not an Input node")
        for position, name in enumerate(order)
        if name not in present
    ]
    named = set(order)
    return others + [Fault(("inputs",), f"the Input node {name!r} is missing") for name in present if name not in named]


def _topological_order(nodes: Mapping[str, Node], position: Mapping[str, int]) -> tuple[Node, ...]:
    """Sort by Kahn's algorithm (1962), taking of the ready nodes the one listed first, so that an ordered list stays.

    Raises InvalidGraph with the nodes of one cycle, in its order.
    """
    if _is_ordered(nodes.values()):
        return tuple(nodes.values())
    listed = list(nodes)
    index = {name: number for number, name in enumerate(listed)}
    consumers: list[list[int]] = [[] for _ in listed]
    unmet = [0] * len(listed)
    for number, name in enumerate(listed):
        sources = set(nodes[name].inputs)
        unmet[number] = len(sources)
        for source in sources:
            consumers[index[source]].append(number)
    ready = [number for number, count in enumerate(unmet) if count == 0]
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append(nodes[listed[number]])
        for consumer in consumers[number]:
            unmet[consumer] -= 1
            if unmet[consumer] == 0:
                heapq.heappush(ready, consumer)
    if len(order) < len(listed):
        cycle = _find_cycle(nodes, [name for number, name in enumerate(listed) if unmet[number]])
        path = written_cycle(cycle)
        raise InvalidGraph([Fault(("nodes", position[name]), f"{name!r} is in a cycle: {path}") for name in cycle])
    return tuple(order)


def _is_ordered(nodes: Iterable[Node]) -> bool:
    """Whether each node stands after those that it reads."""
    before: set[str] = set()
    for node in nodes:
        if not before.issuperset(node.inputs):
            return False
        before.add(node.name)
    return True


def written_cycle(cycle: Sequence[str]) -> str:
    """Write a cycle of names in the direction of the edges, back to the first; shorten a long one."""
    return " → ".join([*cycle, cycle[0]] if len(cycle) <= LONGEST_PATH else [*cycle[:LONGEST_PATH], "…"])


def _find_cycle(nodes: Mapping[str, Node], stuck: Iterable[str]) -> list[str]:
    """One cycle among nodes that wait for each other, in the direction of the edges.

    Every stuck node has a stuck input, so a walk from input to input must revisit a node.
    """
    remaining = dict.fromkeys(stuck)
    walk: dict[str, int] = {}
    name = next(iter(remaining))
    while name not in walk:
        walk[name] = len(walk)
        name = next(source for source in nodes[name].inputs if source in remaining)
    return list(walk)[walk[name] :][::-1]


def _default_outputs(ordered: Sequence[Node], used: set[str]) -> list[str]:
    unused = [node for node in ordered if node.name not in used]
    operations_only = [node.name for node in unused if node.operation.operands]
    return operations_only or [node.name for node in unused]


def _order_of_inputs(nodes: Mapping[str, Node], outputs: Iterable[str], leading: Sequence[str]) -> list[str]:
    """The Input nodes in the order in which a depth-first search from the outputs meets them; the rest by name."""
    met = dict.fromkeys(leading)
    unmet = {node.name for node in nodes.values() if node.operation.is_input} - met.keys()
    seen: set[str] = set()
    waiting = list(outputs)[::-1]
    while waiting and unmet:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in unmet:
            unmet.remove(name)
            met[name] = None
        waiting.extend(reversed(nodes[name].inputs))
    return [*met, *sorted(unmet)]
