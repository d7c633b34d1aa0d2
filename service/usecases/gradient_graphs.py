"""Derivatives of stored graphs, as formulas and as graphs that are stored too."""

from collections.abc import Mapping

from service.core.derivatives.gradient_graph import WrittenFormula, gradient_graph, write_formula
from service.core.errors import InvalidRequest, LimitExceeded
from service.core.graph.graph import Graph
from service.core.graph.selection import choose_output, gradient_faults, read_names
from service.core.graph.traversal import ancestors
from service.core.language.expression import parse_expression
from service.storage.records import GraphRecord
from service.usecases.context import Context
from service.usecases.graphs import get_graph, keep_graph
from service.usecases.idempotency import IdempotencyKey
from service.usecases.weighing import BUILT_NODE, DIFFERENTIATED_NODE, FORMULA_NODE, STEP


def get_formula(context: Context, graph_id: str, *, of: str | None = None, wrt: str | None = None) -> WrittenFormula:
    """Write a node as one formula of the graph's inputs or, with `wrt`, its derivative with respect to that node.

    The text is within the limits of an expression, so that it can be posted as a graph. Raises NotFound,
    InvalidRequest, LimitExceeded.
    """
    return formula_of(context, context.graph(get_graph(context, graph_id).digest), of, wrt)


def formula_of(context: Context, graph: Graph, of: str | None = None, wrt: str | None = None) -> WrittenFormula:
    """Write a node of a graph that need not be stored; as `get_formula`."""
    target = choose_output(graph, of, "of")
    faults = [] if wrt is None else gradient_faults(graph, wrt, ("wrt",))
    if faults:
        raise InvalidRequest(faults)
    limits = context.limits
    used = int(ancestors(graph, [graph.position[target]]).sum())
    if used > limits.formula_nodes:
        detail = f"a formula is written of at most {limits.formula_nodes} nodes; {target!r} has {used - 1} before it"
        raise LimitExceeded("formula_nodes", limits.formula_nodes, used, detail)
    context.admit(STEP + FORMULA_NODE * used)
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
    """Store the graph whose outputs are the gradients of `output` with respect to each of `wrt`, else of all inputs.

    Its name is `<name> d<output>` unless given, its parent the graph. Returns what `create_graph` returns. Raises
    NotFound, InvalidRequest, LimitExceeded.
    """
    parent = get_graph(context, graph_id)
    graph = context.graph(parent.digest)
    target = choose_output(graph, output)
    chosen = read_names(graph, graph.inputs if wrt is None else wrt, "wrt")
    used = int(ancestors(graph, [graph.position[target]]).sum())
    context.admit(BUILT_NODE * len(graph) + DIFFERENTIATED_NODE * used)
    derived = gradient_graph(graph, target, chosen)
    limits = context.limits
    if len(derived) > limits.nodes:
        detail = f"a graph has at most {limits.nodes} nodes; the gradient would have {len(derived)}"
        raise LimitExceeded("nodes", limits.nodes, len(derived), detail)
    given_name = f"{parent.name} d{target}"[: limits.name_length] if name is None else name
    return keep_graph(context, given_name, derived, None, parent.id, tags, key, weights=parent.weights)
