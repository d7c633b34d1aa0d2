"""Reading node documents: from what a caller lists to a graph, or a fault for each thing wrong."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from service.core.errors import Fault, InvalidGraph, LimitExceeded
from service.core.graph.graph import Graph, Node
from service.core.graph.names import name_fault
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation, find
from service.core.rulebook.tensor import Tensor

LONGEST_PATH = 20  # nodes of a cycle written out in each fault; there is a fault for each of its nodes, in their order


def build_graph(
    nodes: object,
    outputs: object = None,
    inputs: object = None,
    *,
    max_nodes: int | None = None,
    max_tensor: int | None = None,
) -> Graph:
    """Build a graph from node documents {"name", "operation", "inputs"?, "attributes"?}, in any order.

    `outputs`, left out, are the operations that no other node uses, in order (an Input or a Constant only if there is
    nothing else). `inputs` fixes the order of the Input nodes; left out, they stand as a reading of the graph from its
    outputs first meets them, so that the order of listing does not count.
    Raises InvalidGraph with a Fault for each thing wrong, LimitExceeded for more than `max_nodes`, or a Constant of
    more than `max_tensor` elements.
    """
    return _assemble(_read_nodes(nodes, {}, max_nodes, max_tensor), outputs, inputs, ())


def extend_graph(
    graph: Graph,
    nodes: object,
    outputs: object = None,
    *,
    max_nodes: int | None = None,
    max_tensor: int | None = None,
) -> Graph:
    """The graph with these nodes added; they may use the old ones. The old inputs come first, in their order.

    `outputs`, left out, are found anew as in `build_graph`. Raises as `build_graph` does.
    """
    known = {node.name: node for node in graph.nodes}
    return _assemble(_read_nodes(nodes, known, max_nodes, max_tensor), outputs, None, graph.inputs)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Nodes as listed, each with its place in the body (None for one that was there before), and the faults found."""

    nodes: dict[str, Node]
    position: dict[str, int]
    faults: list[Fault]


def _read_nodes(
    documents: object, known: Mapping[str, Node], max_nodes: int | None, max_tensor: int | None
) -> _Reading:
    if not isinstance(documents, list):
        raise InvalidGraph([Fault(("nodes",), "a list of nodes is expected")])
    count = len(known) + len(documents)
    if max_nodes is not None and count > max_nodes:
        raise LimitExceeded("nodes", max_nodes, count, f"a graph has at most {max_nodes} nodes; this one has {count}")
    reading = _Reading(dict(known), {}, [])
    for position, document in enumerate(documents):
        faults, node = _read_node(document)
        if faults:
            reading.faults.extend(Fault(("nodes", position, *fault.location), fault.detail) for fault in faults)
        if node is None:
            continue
        value = node.attributes.get("value")
        if max_tensor is not None and isinstance(value, Tensor) and value.array.size > max_tensor:
            detail = f"a Constant has at most {max_tensor} elements; {node.name!r} has {value.array.size}"
            raise LimitExceeded("tensor_elements", max_tensor, value.array.size, detail)
        if node.name in reading.nodes:
            first = reading.position.get(node.name)
            where = "in the graph already" if first is None else f"given already by node {first}"
            reading.faults.append(Fault(("nodes", position, "name"), f"the name {node.name!r} is {where}"))
            continue
        reading.nodes[node.name] = node
        reading.position[node.name] = position
    return reading


_MEMBERS = frozenset({"name", "operation", "inputs", "attributes"})


def _read_node(document: object) -> tuple[list[Fault], Node | None]:
    """One node; None where it has no usable name. One with other faults is kept, so that its users are not blamed."""
    if not isinstance(document, dict):
        return [Fault((), "a node is an object with name, operation and inputs")], None
    faults = [Fault((member,), f"a node has no member {member!r}") for member in document if member not in _MEMBERS]
    name = document.get("name")
    if wrong := "a node needs a name" if "name" not in document else name_fault(name):
        return [*faults, Fault(("name",), wrong)], None
    inputs, attributes = document.get("inputs", ()), document.get("attributes", NO_ATTRIBUTES)
    countable = isinstance(inputs, (list, tuple))
    if not countable:
        faults.append(Fault(("inputs",), "inputs are a list of node names"))
        inputs = ()
    while inputs and inputs[-1] == "":  # what is left out at the end need not be listed
        inputs = inputs[:-1]
    for position, source in enumerate(inputs):
        if not isinstance(source, str):
            faults.append(Fault(("inputs", position), "an input is the name of a node"))
        elif not source:
            faults.append(Fault(("inputs", position), "only the last inputs may be left out"))
    operation = document.get("operation")
    found = find(operation) if isinstance(operation, str) else None
    if found is None:
        missing = "operation" not in document
        faults.append(Fault(("operation",), "a node needs an operation" if missing else _unknown(operation)))
        found = find("Identity")
    else:
        faults.extend(arity_faults(found, len(inputs)) if countable else [])
        attributes, wrong_attributes = read_attributes(found, attributes)
        faults.extend(wrong_attributes)
    assert found is not None and isinstance(name, str)
    if faults:
        inputs = [source for source in inputs if isinstance(source, str) and source]
    return faults, Node(name, found, tuple(inputs), attributes)


def _unknown(operation: object) -> str:
    return f"there is no operation {operation!r}" if isinstance(operation, str) else "an operation is a name"


def arity_faults(operation: Operation, count: int) -> list[Fault]:
    """What is wrong with that number of inputs: nothing, or one fault."""
    least, most = operation.least_inputs, operation.most_inputs
    if least <= count and (most is None or count <= most):
        return []
    needs = f"{least} or more" if most is None else f"{least}" if least == most else f"{least} to {most}"
    return [Fault(("inputs",), f"{operation.name} takes {needs} input{'' if needs == '1' else 's'}; {count} given")]


def read_attributes(operation: Operation, given: object) -> tuple[Attributes, list[Fault]]:
    """All attributes of the operation in declared order, defaults filled in, so that equal nodes have equal digests."""
    if given is NO_ATTRIBUTES and not operation.attributes:  # most nodes; what follows costs twenty times as much
        return NO_ATTRIBUTES, []
    if not isinstance(given, Mapping):
        return NO_ATTRIBUTES, [Fault(("attributes",), "attributes are an object")]
    known = {attribute.name for attribute in operation.attributes}
    faults = [
        Fault(("attributes", name), f"{operation.name} has no attribute {name!r}")
        for name in given
        if name not in known
    ]
    values = {}
    for attribute in operation.attributes:
        nullable = attribute.default is None and not attribute.required
        if attribute.name not in given or (nullable and given[attribute.name] is None):
            if attribute.required:
                faults.append(Fault(("attributes",), f"{operation.name} needs the attribute {attribute.name!r}"))
            values[attribute.name] = attribute.default
        else:
            try:
                values[attribute.name] = attribute.read(given[attribute.name])
            except ValueError as error:
                faults.append(Fault(("attributes", attribute.name), str(error)))
        if attribute.implied and values.get(attribute.name) == attribute.default:
            values.pop(attribute.name, None)
    return MappingProxyType(values), faults


# --- from nodes to a graph ----------------------------------------------------------------------------------------


def _assemble(reading: _Reading, outputs: object, inputs: object, leading_inputs: Sequence[str]) -> Graph:
    nodes, position, faults = reading.nodes, reading.position, reading.faults
    used: set[str] = set()
    for node in nodes.values():
        used.update(node.inputs)
    if used - nodes.keys():
        faults.extend(
            Fault(("nodes", position[node.name], "inputs", index), f"{node.name!r} reads {source!r}, which is no node")
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
        if not isinstance(name, str) or name not in nodes:
            faults.append(Fault((member, position), f"{name!r} is no node of the graph"))
        elif name in read:
            faults.append(Fault((member, position), f"{name!r} stands twice in {member}"))
        else:
            read[name] = None
    return list(read)


def _faults_in_inputs(order: Sequence[str], nodes: Iterable[Node]) -> list[Fault]:
    """`inputs` names each Input node of the graph, and nothing else."""
    present = dict.fromkeys(node.name for node in nodes if node.operation.name == "Input")
    others = [
        Fault(("inputs", position), f"{name!r} is no Input node")
        for position, name in enumerate(order)
        if name not in present
    ]
    named = set(order)
    return others + [Fault(("inputs",), f"the Input node {name!r} is missing") for name in present if name not in named]


def _topological_order(nodes: Mapping[str, Node], position: Mapping[str, int]) -> tuple[Node, ...]:
    """Kahn's algorithm (1962); of the nodes that are ready the one listed first goes first, so that a list already in
    order keeps it. Raises InvalidGraph with the nodes of one cycle, in its order."""
    listed = list(nodes)
    index = {name: number for number, name in enumerate(listed)}
    if all(index[source] < number for number, node in enumerate(nodes.values()) for source in node.inputs):
        return tuple(nodes.values())
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


def written_cycle(cycle: Sequence[str]) -> str:
    """A cycle of names in the direction of the edges, back to the first; a long one is cut."""
    return " → ".join([*cycle, cycle[0]] if len(cycle) <= LONGEST_PATH else [*cycle[:LONGEST_PATH], "…"])


def _find_cycle(nodes: Mapping[str, Node], stuck: Iterable[str]) -> list[str]:
    """One cycle among nodes that wait for each other, in the direction of the edges.

    Every stuck node has a stuck input; to walk from input to input must come back to where it has been.
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
    """The Input nodes as a depth-first reading from the outputs meets them; those it never meets follow by name."""
    met = dict.fromkeys(leading)
    seen: set[str] = set()
    waiting = list(outputs)[::-1]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        node = nodes[name]
        if node.operation.name == "Input":
            met.setdefault(name)
        waiting.extend(reversed(node.inputs))
    unmet = sorted(node.name for node in nodes.values() if node.operation.name == "Input" and node.name not in met)
    return [*met, *unmet]
