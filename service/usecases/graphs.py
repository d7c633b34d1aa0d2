"""Build graphs, store them and read them back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Unpack

from sqlalchemy import Connection

from service.core.composition.building import Composing, compose_expression, compose_extension, compose_graph
from service.core.composition.callee import StoredGraph, stored_graph
from service.core.errors import Fault, InvalidInputs, NotFound, unknown_names
from service.core.figures.weight import Weight
from service.core.graph.columns import FEW
from service.core.graph.graph import Graph, Node
from service.core.graph.parts import GraphPart
from service.core.language.writing import write_expression
from service.core.rulebook.input_types import shape_mismatch
from service.core.rulebook.tensor import Tensor
from service.storage import graphs as storage
from service.storage.identifiers import new_id
from service.storage.records import GraphRecord
from service.usecases.context import Context
from service.usecases.idempotency import IdempotencyKey, write_once
from service.usecases.tensors import find_tensors, load_constants, require_tensors
from service.usecases.weighing import BUILT_NODE, EXPRESSION_BYTE

NO_WEIGHTS: Mapping[str, str] = MappingProxyType({})
# A graph built from nodes shows its expression too, unless that is too long to be read: by its nodes, or by the numbers
# of its Constants.
_NODES_IN_AN_EXPRESSION, _NUMBERS_IN_AN_EXPRESSION = 1000, 10_000


def create_graph(
    context: Context,
    name: str,
    *,
    expression: str | None = None,
    nodes: object = None,
    outputs: object = None,
    inputs: object = None,
    weights: Mapping[str, str] = NO_WEIGHTS,
    tags: Mapping[str, str],
    key: IdempotencyKey | None = None,
) -> tuple[GraphRecord, Graph, bool]:
    """Build a graph from an expression or from nodes and store it under `name`.

    `weights` are the digests of tensors, which are the values of those inputs wherever none are given. `nodes`, a list
    of documents, lets go of them as they are read.

    Returns its record, the graph as it is stored, and whether it is new: content equal to any version under that name
    and weights is that version. Raises InvalidExpression, InvalidGraph, InvalidInputs, LimitExceeded.
    """
    found: dict[str, Mapping[str, str]] = {}
    context.admit(_weigh(expression, nodes))
    if expression is not None:
        graph, parts = compose_expression(expression, outputs, composing=_composing(context, found))
    else:
        load_constants(context, nodes)
        graph, parts = compose_graph(nodes, outputs, inputs, composing=_composing(context, found))
    weights = {**_weights_of_parts(graph, parts, found), **weights}
    _check_weights(context, graph, weights)
    return keep_graph(context, name, graph, expression, None, tags, key, parts, weights)


def _check_weights(context: Context, graph: Graph, weights: Mapping[str, str]) -> None:
    """Raise InvalidInputs for what is no input, no tensor, or of another shape than the input declares."""
    if not weights:
        return
    faults = [
        Fault(("weights", name), detail)
        for name, detail in unknown_names(weights, set(graph.inputs), "the graph has no input")
    ]
    if faults:
        raise InvalidInputs(faults)
    found = find_tensors(context, weights, ("weights",))
    declared = {name: graph.nodes[graph.position[name]].attributes.get("shape") for name in weights}
    faults = [
        Fault(("weights", name), wrong)
        for name, digest in weights.items()
        if (wrong := shape_mismatch(name, declared[name], found[digest].shape))
    ]
    if faults:
        raise InvalidInputs(faults)


def draft_graph(context: Context, expression: str, outputs: object = None) -> tuple[Graph, Sequence[GraphPart]]:
    """Build the graph of an expression, and list its parts, without storing it; raises as `create_graph`."""
    context.admit(_weigh(expression, None))
    return compose_expression(expression, outputs, composing=_composing(context, {}))


def _composing(context: Context, found: dict[str, Mapping[str, str]]) -> Composing:
    """Compose graphs of those that are stored, within the limits; `found` gets the weights of those that are used."""
    limits = context.limits

    def find(reference: str) -> StoredGraph | None:
        try:
            record = get_graph(context, reference)
        except NotFound:
            return None
        found[reference] = record.weights
        return stored_graph(record.name, context.graph(record.digest), record.parts, record.weights)

    return Composing(
        find=find,
        weigh=lambda count, characters: context.admit(BUILT_NODE * count + EXPRESSION_BYTE * characters),
        max_nodes=limits.nodes,
        max_tensor=limits.tensor_elements,
        max_bytes=limits.expression_bytes,
        max_depth=limits.expression_depth,
    )


def _weights_of_parts(
    graph: Graph, parts: Sequence[GraphPart], found: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """The weights of the inputs that parts left out: those of the stored graphs by their references."""
    inputs = set(graph.inputs)
    weights = {
        f"{part.name}/{name}": digest
        for part in reversed(parts)  # what a part has in a part is among its own
        if part.graph
        for name, digest in found.get(part.operation, NO_WEIGHTS).items()
    }
    return {name: digest for name, digest in weights.items() if name in inputs}


def _weigh(expression: str | None, nodes: object) -> Weight:
    """Of building a graph from a text, or from documents of nodes."""
    if expression is not None:
        return EXPRESSION_BYTE * len(expression)
    return BUILT_NODE * len(nodes) if isinstance(nodes, list) else Weight()


def add_nodes(
    context: Context,
    graph_id: str,
    *,
    nodes: object,
    outputs: object = None,
    tags: Mapping[str, str],
    key: IdempotencyKey | None = None,
) -> tuple[GraphRecord, Graph, bool]:
    """Store a new version of a graph with these nodes added; returns and raises as `create_graph`."""
    parent = get_graph(context, graph_id)
    old = context.graph(parent.digest)
    context.admit(BUILT_NODE * len(old) + _weigh(None, nodes))
    load_constants(context, nodes)
    found: dict[str, Mapping[str, str]] = {}
    graph, parts = compose_extension(old, parent.parts, nodes, outputs, composing=_composing(context, found))
    added = parts[len(parent.parts) :]
    weights = {**parent.weights, **_weights_of_parts(graph, added, found)}
    return keep_graph(context, parent.name, graph, None, parent.id, tags, key, parts, weights)


def keep_graph(
    context: Context,
    name: str,
    graph: Graph,
    expression: str | None,
    parent: str | None,
    tags: Mapping[str, str],
    key: IdempotencyKey | None,
    parts: Sequence[GraphPart] = (),
    weights: Mapping[str, str] = NO_WEIGHTS,
) -> tuple[GraphRecord, Graph, bool]:
    """Store a graph as a new version of `name` unless a version has its content and its weights; `parent` is the id of
    its source.

    The digest is that of the expanded nodes: a version with the same nodes keeps the parts that it has.
    """
    context.forget_changed()
    record = new_record(name, graph, expression, parent, tags, parts, weights)
    content_is_new = False

    def make(connection: Connection) -> tuple[GraphRecord, str, bool]:
        nonlocal content_is_new
        made, content_is_new = insert_version(connection, record, graph)
        return made, made.id, made.id == record.id

    made, new = write_once(context.database, key, make, storage.get_graph)
    if not content_is_new:  # content of equal digest may be stored with its nodes in another order
        return made, context.compact_graph(made.digest), new
    if len(graph) <= FEW:
        context.graphs.replace(graph.digest, graph)
    else:
        context.graphs.remove(graph.digest)  # it takes ten times as much memory as when it is loaded
    return made, graph, new


def new_record(
    name: str,
    graph: Graph,
    expression: str | None,
    parent: str | None,
    tags: Mapping[str, str],
    parts: Sequence[GraphPart] = (),
    weights: Mapping[str, str] = NO_WEIGHTS,
) -> GraphRecord:
    """The record of a graph that is yet to be stored, which gives it its version; one that is small enough to be read
    has an expression."""
    if expression is None and _is_readable(graph):
        expression = write_expression(graph)
    return GraphRecord(
        id=new_id(),
        name=name,
        version=0,
        digest=graph.digest,
        inputs=graph.inputs,
        outputs=graph.outputs,
        node_count=len(graph),
        expression=expression,
        parent=parent,
        tags=tags,
        created_at=datetime.now(UTC),
        weights=weights,
        parts=tuple(parts),
    )


def insert_version(connection: Connection, record: GraphRecord, graph: Graph) -> tuple[GraphRecord, bool]:
    """Store a graph as the next version of its name, unless a version has its content and its weights.

    Returns the record of that version, and whether its content was stored under no name before.
    """
    if known := storage.find_graph(connection, record.name, graph.digest, record.weights):
        return known, False
    require_tensors(connection, record.weights, ("weights",))  # they may have been deleted meanwhile
    versioned = replace(record, version=storage.next_version(connection, record.name))
    return versioned, storage.insert_graph(connection, versioned, graph)


def _is_readable(graph: Graph) -> bool:
    values = (node.attributes.get("value") for node in graph.nodes)
    numbers = sum(value.array.size for value in values if isinstance(value, Tensor))
    return len(graph) <= _NODES_IN_AN_EXPRESSION and numbers <= _NUMBERS_IN_AN_EXPRESSION


def get_graph(context: Context, graph_id: str) -> GraphRecord:
    """Read the record of a stored graph, by whatever `references` takes; raises NotFound."""
    return context.record(graph_id)


def list_graphs(context: Context, *, limit: int, **asked: Unpack[storage.ListedGraphs]) -> list[GraphRecord]:
    """List stored graphs, newest first unless `sort` says."""
    with context.database.read() as connection:
        return storage.list_graphs(connection, limit=limit, **asked)


def list_graph_nodes(
    context: Context, graph_id: str, *, start: int, limit: int
) -> tuple[Sequence[Node], Sequence[GraphPart]]:
    """List nodes of a stored graph in topological order, from position `start`, and all its parts; raises NotFound."""
    record = get_graph(context, graph_id)
    return context.compact_graph(record.digest).nodes[start : start + limit], record.parts
