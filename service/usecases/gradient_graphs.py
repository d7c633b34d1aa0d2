"""Derivatives of stored graphs as formulas, and as graphs that are kept in their turn."""

from collections.abc import Mapping, Sequence

from service.core.derivatives.gradient_graph import gradient_graph, write_formula
from service.core.errors import Fault, InvalidRequest, LimitExceeded
from service.core.graph.graph import Graph
from service.core.language.expression import parse_expression
from service.core.symbolic.equation import Formula
from service.storage.records import GraphRecord
from service.usecases.context import Context
from service.usecases.graphs import get_graph, keep_graph
from service.usecases.idempotency import IdempotencyKey
from service.usecases.runs import choose_output


def get_formula(context: Context, graph_id: str, *, of: str | None = None, wrt: str | None = None) -> Formula:
    """A node as one formula in the graph's inputs; with `wrt`, its derivative with respect to that node.

    The text is an expression that can be posted as a graph: it keeps to the limits of one. Raises NotFound,
    InvalidRequest, LimitExceeded.
    """
    graph = context.graph(get_graph(context, graph_id).digest)
    target = choose_output(graph, of, needed=True, member="of")
    assert target is not None
    faults = [] if wrt is None else _faults(graph, wrt, ("wrt",))
    if faults:
        raise InvalidRequest(faults)
    limits = context.limits
    formula = write_formula(graph, target, wrt, limits.formula_characters)
    parse_expression(formula.text, max_bytes=limits.expression_bytes, max_depth=limits.expression_depth)
    return formula


def create_gradient_graph(
    context: Context,
    graph_id: str,
    *,
    output: str | None = None,
    wrt: object = None,
    name: str | None = None,
    tags: Mapping[str, str],
    key: IdempotencyKey | None = None,
) -> tuple[GraphRecord, Graph, bool]:
    """Keep the graph whose outputs are the gradients of `output` with respect to each of `wrt`, else of all inputs.

    Its name is `<name> d<output>` unless given, its parent the graph. Returns what `create_graph` returns. Raises
    NotFound, InvalidRequest, LimitExceeded.
    """
    parent = get_graph(context, graph_id)
    graph = context.graph(parent.digest)
    target = choose_output(graph, output, needed=True)
    assert target is not None
    chosen = read_names(graph, graph.inputs if wrt is None else wrt, "wrt")
    derived = gradient_graph(graph, target, chosen)
    limits = context.limits
    if len(derived) > limits.nodes:
        detail = f"a graph has at most {limits.nodes} nodes; the gradient would have {len(derived)}"
        raise LimitExceeded("nodes", limits.nodes, len(derived), detail)
    given_name = f"{parent.name} d{target}"[: limits.name_length] if name is None else name
    return keep_graph(context, given_name, derived, None, parent.id, tags, key)


def read_names(graph: Graph, names: object, member: str) -> Sequence[str]:
    """Names of nodes to differentiate with respect to, at least one and none twice; raises InvalidRequest."""
    if not isinstance(names, list | tuple):
        raise InvalidRequest([Fault((member,), "a list of names of nodes is expected")])
    if not names:
        raise InvalidRequest([Fault((member,), "at least one node is needed to differentiate with respect to")])
    faults = [fault for position, name in enumerate(names) for fault in _faults(graph, name, (member, position))]
    if not faults:
        first = {name: position for position, name in reversed(list(enumerate(names)))}
        twice = [position for position, name in enumerate(names) if first[name] != position]
        faults = [Fault((member, position), f"{names[position]!r} appears twice") for position in twice]
    if faults:
        raise InvalidRequest(faults)
    return names


def _faults(graph: Graph, name: object, location: tuple[str | int, ...]) -> list[Fault]:
    if not isinstance(name, str) or name not in graph.position:
        return [Fault(location, f"the graph has no node {name!r}")]
    if not graph.nodes[graph.position[name]].has_gradient:
        return [Fault(location, f"no gradient flows to {name!r}: it is a Constant, or takes whole numbers")]
    return []
