"""Resolve the nodes that a request names: an output, several, and the nodes to differentiate with respect to."""

from collections.abc import Sequence

from service.core.errors import Fault, InvalidRequest, unknown_names
from service.core.graph.graph import Graph


def no_node(graph: Graph, name: object) -> str:
    """Say that the graph has no node of that name, and which names are near it."""
    return next(detail for _, detail in unknown_names([name], graph.position, "the graph has no node"))


def find_output(graph: Graph, name: str | None, member: str = "output") -> str | None:
    """Return the output of that name, which may be any node; without a name the only output, or None of several.

    Raises InvalidRequest for an unknown name, at `member` of the request.
    """
    if name is None:
        return graph.outputs[0] if len(graph.outputs) == 1 else None
    if name not in graph.position:
        raise InvalidRequest([Fault((member,), no_node(graph, name))])
    return name


def choose_output(graph: Graph, name: str | None, member: str = "output") -> str:
    """As `find_output`, but raise InvalidRequest also where a name is needed and not given."""
    found = find_output(graph, name, member)
    if found is None:
        listed = ", ".join(map(repr, graph.outputs))
        raise InvalidRequest([Fault((member,), f"the graph has several outputs: name one of {listed}")])
    return found


def read_nodes(graph: Graph, names: object, member: str) -> Sequence[str]:
    """Read names of nodes, at least one, none twice; raises InvalidRequest, at `member` of the request."""
    if not isinstance(names, list | tuple) or not names:
        raise InvalidRequest([Fault((member,), "a list of names of nodes is expected, at least one")])
    faults = []
    for place, name in enumerate(names):
        if not isinstance(name, str) or name not in graph.position:
            faults.append(Fault((member, place), no_node(graph, name)))
        elif name in names[:place]:
            faults.append(Fault((member, place), f"{name!r} appears twice"))
    if faults:
        raise InvalidRequest(faults)
    return names


def read_names(graph: Graph, names: object, member: str) -> Sequence[str]:
    """Read the nodes to differentiate with respect to: at least one, none twice, each with a gradient.

    Raises InvalidRequest, at `member` of the request.
    """
    if not isinstance(names, list | tuple):
        raise InvalidRequest([Fault((member,), "a list of names of nodes is expected")])
    if not names:
        raise InvalidRequest([Fault((member,), "at least one node is needed to differentiate with respect to")])
    faults = [fault for index, name in enumerate(names) for fault in gradient_faults(graph, name, (member, index))]
    if not faults:
        first = {name: index for index, name in reversed(list(enumerate(names)))}
        faults = [
            Fault((member, index), f"{name!r} appears twice")
            for index, name in enumerate(names)
            if first[name] != index
        ]
    if faults:
        raise InvalidRequest(faults)
    return names


def gradient_faults(graph: Graph, name: object, location: tuple[str | int, ...]) -> list[Fault]:
    """A fault if that is not a node of the graph, or a node without a gradient."""
    if not isinstance(name, str) or name not in graph.position:
        return [Fault(location, no_node(graph, name))]
    if not graph.nodes[graph.position[name]].has_gradient:
        return [Fault(location, f"no gradient flows to {name!r}: it is a Constant or an Input of integers")]
    return []
