"""Expand the nodes that stand for stored graphs or composed operations into plain nodes.

The output of what a node h stands for takes its name, every other node e of it the name h/e; its Inputs are replaced
by the operands. The names that begin with h/ are therefore the part's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import cast

from service.core.composition.callee import Definition, StoredGraph, count_nodes, define_graph
from service.core.composition.composed import Operands, Weigh, define_composed
from service.core.errors import Fault
from service.core.graph.building import limit_nodes
from service.core.graph.graph import Node
from service.core.graph.names import LONGEST_NAME
from service.core.graph.parts import GraphPart, Use, enclosing
from service.core.rulebook.composed import Composed
from service.core.rulebook.registry import operation_of


@dataclass(frozen=True, slots=True)
class Misuse:
    """What is wrong with the node `name`, within it; `use` is the one that is concerned, if that is given too."""

    name: str
    use: Use | None
    fault: Fault


@dataclass(frozen=True, slots=True)
class Expansion:
    """Plain nodes by name, for each that was expanded the name of the use that it came from, the parts, the faults."""

    nodes: dict[str, Node] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    parts: list[GraphPart] = field(default_factory=list)
    misuses: list[Misuse] = field(default_factory=list)


def expand(
    given: Mapping[str, Node | Use], parts: Sequence[GraphPart], *, max_nodes: int | None, weigh: Weigh
) -> Expansion:
    """Expand each use, in its place; `parts` are those that stand already.

    `weigh` is given the count of all nodes before any is made, and again with each text of a composed operation. A use
    with a fault becomes a node of its operands. Raises LimitExceeded for more than `max_nodes`.
    """
    uses = [item for item in given.values() if isinstance(item, Use)]
    counts = [count_nodes(use.callee, use) if isinstance(use.callee, StoredGraph) else 1 for use in uses]
    count = len(given) - len(uses) + sum(counts)
    limit_nodes(count, max_nodes)
    weigh(count, 0)
    if not uses:
        return Expansion(cast(dict[str, Node], given))
    expansion = Expansion()
    expansion.misuses.extend(_clashes(given, {*(part.name for part in parts), *(use.name for use in uses)}))
    blamed = {misuse.use.name for misuse in expansion.misuses if misuse.use}
    sound = {use.name for use in uses if use.name not in blamed and all(name in given for name in use.inputs if name)}
    expanded = _expand_all(given, sound, expansion, count, max_nodes, weigh)
    for name, item in given.items():
        if isinstance(item, Node):
            expansion.nodes[name] = item
            continue
        definition, nodes = expanded.get(name) or ((stand_in := _stand_in(item)), _renamed(stand_in, item))
        if long := next((node.name for node in nodes if len(node.name) > LONGEST_NAME), None):
            detail = f"a node of {name!r} would be named {long[:40] + '…'!r}, of {len(long)} characters"
            fault = Fault(("name",), f"{detail}; at most {LONGEST_NAME} are allowed")
            expansion.misuses.append(Misuse(name, item, fault))
        expansion.nodes.update((node.name, node) for node in nodes)
        expansion.origins.update((node.name, name) for node in nodes)
        expansion.parts.append(GraphPart(name, item.operation, definition.digest))
        expansion.parts.extend(replace(part, name=f"{name}/{part.name}") for part in definition.parts)
    return expansion


def _expand_all(
    given: Mapping[str, Node | Use],
    sound: set[str],
    expansion: Expansion,
    count: int,
    max_nodes: int | None,
    weigh: Weigh,
) -> dict[str, tuple[Definition, Sequence[Node]]]:
    """The definition of each sound use and its nodes; the misuses that show by the way are added to the expansion."""
    expanded: dict[str, tuple[Definition, Sequence[Node]]] = {}
    uses: Iterable[Node | Use] = [item for name, item in given.items() if name in sound]
    operands = Operands(max_nodes, weigh)
    if any(isinstance(item, Use) and isinstance(item.callee, Composed) for item in uses):
        uses = _in_order(given)  # shapes are known of what stands before
    for item in uses:
        if isinstance(item, Node):
            operands.add([item])
        elif item.name in sound:
            if isinstance(item.callee, StoredGraph):
                definition = define_graph(item.callee, item)
            else:
                assert isinstance(item.callee, Composed)
                found = define_composed(item.callee, item, operands, count)
                if isinstance(found, Fault):
                    expansion.misuses.append(Misuse(item.name, item, found))
                    continue
                definition = found
                count += len(definition.nodes) - 1
                limit_nodes(count, max_nodes)
            nodes = _renamed(definition, item)
            operands.add(nodes)
            expanded[item.name] = definition, nodes
    return expanded


def _in_order(given: Mapping[str, Node | Use]) -> list[Node | Use]:
    """The items, each after those that it reads; none where there is a cycle, which is refused later."""
    reads = {name: [source for source in item.inputs if source in given] for name, item in given.items()}
    try:
        return [given[name] for name in TopologicalSorter(reads).static_order()]
    except CycleError:
        return []


def _stand_in(use: Use) -> Definition:
    """One node with the operands of a use that has a fault, so that what it reads and its users are looked at."""
    node = Node("", operation_of("Identity"), tuple(filter(None, use.inputs)))
    return Definition([node], (), "")


def _renamed(definition: Definition, use: Use) -> list[Node]:
    """The nodes of a definition, with the names that they have in the graph that uses it."""
    names = {name: source for name, source in zip(definition.inputs, use.inputs, strict=False) if source}
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
