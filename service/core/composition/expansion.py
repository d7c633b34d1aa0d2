"""Expand the nodes that stand for stored graphs or composed operations into plain nodes.

The output of what a node h stands for takes its name, every other node e of it the name h/e; its Inputs are replaced
by the operands. The names that begin with h/ are therefore the part's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from service.core.composition.callee import Definition, StoredGraph, count_nodes, define_graph
from service.core.errors import Fault
from service.core.graph.building import limit_nodes
from service.core.graph.graph import Node
from service.core.graph.names import LONGEST_NAME
from service.core.graph.parts import GraphPart, Use, enclosing
from service.core.rulebook.registry import operation_of

Weigh = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Misuse:
    """What is wrong with the node `name`, within it; `use` is the one that is concerned, if that is given too."""

    name: str
    use: Use | None
    fault: Fault


@dataclass(frozen=True, slots=True)
class Expansion:
    """Plain nodes by name, for each that was expanded the name of the use that it came from, the parts, the faults."""

    nodes: dict[str, Node]
    origins: Mapping[str, str]
    parts: Sequence[GraphPart]
    misuses: Sequence[Misuse]


def expand(
    given: Mapping[str, Node | Use], parts: Sequence[GraphPart], *, max_nodes: int | None, weigh: Weigh
) -> Expansion:
    """Expand each use, in its place; `parts` are those that stand already.

    `weigh` is given the count of all nodes before any is made. A use with a fault becomes a node of its operands.
    Raises LimitExceeded for more than `max_nodes`.
    """
    uses = [item for item in given.values() if isinstance(item, Use)]
    count = len(given) - len(uses) + sum(map(_count, uses))
    limit_nodes(count, max_nodes)
    weigh(count)
    misuses = list(_clashes(given, {*(part.name for part in parts), *(use.name for use in uses)}))
    blamed = {misuse.use.name for misuse in misuses if misuse.use}
    nodes: dict[str, Node] = {}
    origins: dict[str, str] = {}
    made: list[GraphPart] = []
    for name, item in given.items():
        if isinstance(item, Node):
            nodes[name] = item
            continue
        known = name not in blamed and all(source in given for source in item.inputs if source)
        definition = _define(item) if known else _stand_in(item)
        expanded = _renamed(definition, item)
        if long := next((node.name for node in expanded if len(node.name) > LONGEST_NAME), None):
            detail = f"a node of {name!r} would be named {long[:40] + '…'!r}, of {len(long)} characters"
            misuses.append(Misuse(name, item, Fault(("name",), f"{detail}; at most {LONGEST_NAME} are allowed")))
        nodes.update((node.name, node) for node in expanded)
        origins.update((node.name, name) for node in expanded)
        if known:
            made.append(GraphPart(name, item.operation, definition.digest))
            made += [replace(part, name=f"{name}/{part.name}") for part in definition.parts]
    return Expansion(nodes, origins, made, misuses)


def _count(use: Use) -> int:
    assert isinstance(use.callee, StoredGraph)
    return count_nodes(use.callee, use)


def _define(use: Use) -> Definition:
    assert isinstance(use.callee, StoredGraph)
    return define_graph(use.callee, use)


def _stand_in(use: Use) -> Definition:
    """One node with the operands of a use that has a fault, so that what it reads and its users are looked at."""
    node = Node("", operation_of("Identity"), tuple(filter(None, use.inputs)))
    return Definition([node], (), "")


def _renamed(definition: Definition, use: Use) -> list[Node]:
    """The nodes of a definition, with the names that they have in the graph that uses it."""
    names = dict(zip(definition.inputs, use.inputs, strict=False))
    if definition.output in names:
        return [Node(use.name, operation_of("Identity"), (names[definition.output],))]
    for node in definition.nodes:
        names[node.name] = f"{use.name}/{node.name}"
    names[definition.output] = use.name
    return [
        replace(node, name=names[node.name], inputs=tuple(names.get(name, name) for name in node.inputs))
        for node in definition.nodes
    ]


def _clashes(given: Mapping[str, Node | Use], parts: set[str]) -> Iterator[Misuse]:
    """A misuse for each node whose name is among those of a part."""
    for name, item in given.items() if parts else ():
        for part in enclosing(name.rpartition("/")[0]):
            if part in parts and (isinstance(item, Use) or isinstance(given.get(part), Use)):
                owner = given.get(part)
                use = item if isinstance(item, Use) else owner if isinstance(owner, Use) else None
                detail = f"names that begin with {part + '/'!r} are those of the part {part!r}; {name!r} is one"
                yield Misuse(name, use, Fault(("name",), detail))
                break
