"""Graphs over HTTP."""

from typing import Any

from flask import Response, url_for

from service.api import examples
from service.api.documents import graph_document, graph_node_documents
from service.api.http.endpoint import (
    LISTED,
    Blueprint,
    context,
    cut_page,
    idempotency_key,
    page_size,
    read_cursor,
    read_position,
    respond,
    respond_page,
    write_cursor,
)
from service.api.http.problems import InvalidParameters
from service.api.schemas import (
    GraphDocument,
    GraphNodePage,
    GraphPage,
    GraphRequest,
    GraphsQuery,
    NodesRequest,
    PageQuery,
)
from service.core.errors import Fault
from service.core.graph.graph import Graph
from service.storage.records import GraphRecord
from service.usecases import graphs as usecases

blueprint = Blueprint("graphs", __name__, description="Build graphs, keep them, read them back")


@blueprint.endpoint(
    "POST",
    "/v1/graphs",
    body=GraphRequest,
    answer=GraphDocument,
    status=201,
    also=200,
    body_example=examples.GRAPH_REQUEST,
    example=examples.GRAPH,
)
def create_graph(body: dict[str, Any]) -> Response:
    """Build a graph from an expression or from nodes

    A name that is taken by other content gets a new version; content equal to a version of that name is that version,
    with the tags that it has.
    """
    name, tags = body.pop("name"), body.pop("tags")
    return respond_graph(*usecases.create_graph(context(), name, tags=tags, key=idempotency_key(), **body))


@blueprint.endpoint(
    "POST",
    "/v1/graphs/<graph_id>/nodes",
    body=NodesRequest,
    answer=GraphDocument,
    status=201,
    also=200,
    problems=(404,),
)
def add_nodes(body: dict[str, Any], graph_id: str) -> Response:
    """Add nodes to a stored graph: a new version, while the old one stands"""
    return respond_graph(*usecases.add_nodes(context(), graph_id, key=idempotency_key(), **body))


@blueprint.endpoint("GET", "/v1/graphs", query=GraphsQuery, answer=GraphPage)
def list_graphs(query: dict[str, Any]) -> Response:
    """List graphs, newest first"""
    size = page_size(query, LISTED)
    found = usecases.list_graphs(
        context(), name=query.get("name"), tag=read_tag(query), after=read_cursor(query.get("cursor")), limit=size + 1
    )
    records, cursor = cut_page(found, size)
    return respond_page("graphs", [graph_document(record) for record in records], cursor)


@blueprint.endpoint("GET", "/v1/graphs/<graph_id>", answer=GraphDocument, problems=(404,), example=examples.GRAPH)
def get_graph(graph_id: str) -> Response:
    """Read a graph with the first 1,000 of its nodes"""
    record = usecases.get_graph(context(), graph_id)
    return respond(_with_nodes(record, context().graph(record.digest)))


@blueprint.endpoint("GET", "/v1/graphs/<graph_id>/nodes", query=PageQuery, answer=GraphNodePage, problems=(404,))
def list_graph_nodes(query: dict[str, Any], graph_id: str) -> Response:
    """List a graph's nodes in topological order"""
    start, size = read_position(query.get("cursor")), page_size(query)
    nodes = usecases.list_graph_nodes(context(), graph_id, start=start, limit=size + 1)
    cursor = write_cursor(start + size) if len(nodes) > size else None
    return respond_page("nodes", graph_node_documents(nodes[:size]), cursor)


@blueprint.endpoint("DELETE", "/v1/graphs/<graph_id>", answer=None, status=204, problems=(404, 409))
def delete_graph(graph_id: str) -> Response:
    """Forget a graph that nothing refers to"""
    usecases.delete_graph(context(), graph_id)
    return Response(status=204)


def read_tag(query: dict[str, Any]) -> str | None:
    """The tag asked for, key:value."""
    tag: str | None = query.get("tag")
    if tag is not None and ":" not in tag:
        raise InvalidParameters([Fault(("tag",), "a tag is asked for as key:value")])
    return tag


def respond_graph(record: GraphRecord, graph: Graph, new: bool) -> Response:
    """A graph that was made, or was there already."""
    headers = {"Location": url_for("graphs.get_graph", graph_id=record.id)}
    return respond(_with_nodes(record, graph), 201 if new else 200, headers)


def _with_nodes(record: GraphRecord, graph: Graph) -> dict[str, Any]:
    size = context().limits.page
    cursor = write_cursor(size) if len(graph) > size else None
    return {**graph_document(record), "nodes": graph_node_documents(graph.nodes[:size]), "next": cursor}
