"""Graphs over HTTP."""

from collections.abc import Sequence
from typing import Any

from flask import Response

from service.api.documents import graph_document, graph_node_documents, part_documents
from service.api.graph_schemas import (
    GraphChanges,
    GraphDocument,
    GraphNodePage,
    GraphPage,
    GraphRequest,
    GraphsQuery,
    ImportQuery,
    NodesRequest,
)
from service.api.http import onnx
from service.api.http.endpoint import Blueprint
from service.api.http.paging import LISTED, Page, Paging, fitting, next_cursor
from service.api.http.problems import InvalidParameters
from service.api.http.request import context, idempotency_key
from service.api.http.response import has_condition, location, require_match, respond
from service.api.numbers import read_digests
from service.api.schemas import CascadeQuery, PageQuery
from service.core.errors import Fault
from service.core.graph.graph import Graph
from service.core.language.hints import hints_of
from service.storage.listing import NEWEST_FIRST, is_by_name, place
from service.storage.records import GraphRecord
from service.usecases import changes, deletion
from service.usecases import graphs as usecases
from service.usecases.model_imports import import_graph

blueprint = Blueprint("graphs", __name__, description="Build graphs, keep them, read them back")


@blueprint.endpoint(
    "POST",
    "/v1/graphs",
    body=GraphRequest,
    query=ImportQuery,
    answer=GraphDocument,
    status=201,
    also=200,
    problems=(404, 501),
)
def create_graph(body: dict[str, Any] | bytes, query: dict[str, Any]) -> Response:
    """Build a graph from an expression, from nodes, or from an ONNX model

    A name that is taken by other content gets a new version; content equal to a version of that name, with equal
    weights, is that version, with the tags that it has. The query is for a model, whose name it gives.
    """
    if isinstance(body, bytes):
        return _import_graph(body, query)
    if query:
        raise InvalidParameters([Fault((name,), "this is for an ONNX model") for name in query])
    name, tags, weights = body.pop("name"), body.pop("tags"), read_digests(body.pop("weights"), ("weights",))
    made = usecases.create_graph(context(), name, weights=weights, tags=tags, key=idempotency_key(), **body)
    return respond_graph(*made, hints=hints_of(made[1], body.get("expression")))


def _import_graph(model: bytes, query: dict[str, Any]) -> Response:
    if "name" not in query:
        raise InvalidParameters([Fault(("name",), "the parameter `name` is missing")])
    shapes = onnx.read_shapes(query.get("input", ()))
    record, graph, new, warnings = import_graph(
        context(), query["name"], model, shapes=shapes, outputs=query.get("outputs"), key=idempotency_key()
    )
    return respond_graph(record, graph, new, warnings=warnings)


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


@blueprint.endpoint("GET", "/v1/graphs", query=GraphsQuery, answer=GraphPage, page=Paging("graphs", LISTED))
def list_graphs(query: dict[str, Any], page: Page) -> tuple[list[Any], str | None]:
    """List graphs, newest first"""
    sort = query.get("sort", NEWEST_FIRST)
    found = usecases.list_graphs(context(), **query, after=page.place(sort), limit=page.size + 1)
    return page.cut(found, graph_document, place if is_by_name(sort) else None)


@blueprint.endpoint("GET", "/v1/graphs/<graph_id>", answer=GraphDocument, problems=(404,))
def get_graph(graph_id: str) -> Response:
    """Read a graph with the first 1,000 of its nodes"""
    record = usecases.get_graph(context(), graph_id)
    return respond(_with_nodes(record, context().compact_graph(record.digest)))


@blueprint.endpoint(
    "GET",
    "/v1/graphs/<graph_id>/nodes",
    query=PageQuery,
    answer=GraphNodePage,
    page=Paging("nodes"),
    problems=(404,),
)
def list_graph_nodes(query: dict[str, Any], page: Page, graph_id: str) -> tuple[list[Any], int | None]:
    """List a graph's nodes in topological order"""
    nodes, parts = usecases.list_graph_nodes(context(), graph_id, start=page.start, limit=page.size + 1)
    return page.fit(graph_node_documents(nodes[: page.size], parts), page.start + len(nodes))


@blueprint.endpoint("PATCH", "/v1/graphs/<graph_id>", body=GraphChanges, answer=GraphDocument, problems=(404, 412))
def update_graph(body: dict[str, Any], graph_id: str) -> Response:
    """Change a graph's tags

    The body is a JSON Merge Patch (RFC 7396): a tag that is null is taken away, those that are left out stay.
    """
    seen = _read_matching(graph_id)
    record = changes.update_graph(context(), seen.id, body, seen if has_condition() else None)
    return respond(_with_nodes(record, context().compact_graph(record.digest)))


@blueprint.endpoint(
    "DELETE", "/v1/graphs/<graph_id>", query=CascadeQuery, answer=None, status=204, problems=(404, 409, 412)
)
def delete_graph(query: dict[str, Any], graph_id: str) -> Response:
    """Delete a graph that nothing refers to; with cascade also its runs, derivatives and the graphs made from it"""
    seen = _read_matching(graph_id)
    deletion.delete_graph(context(), seen.id, seen=seen if has_condition() else None, **query)
    return Response(status=204)


def _read_matching(graph_id: str) -> GraphRecord:
    """A graph, if it is the one that If-Match has; raises NotFound, PreconditionFailed."""
    record = usecases.get_graph(context(), graph_id)
    require_match(lambda: _with_nodes(record, context().compact_graph(record.digest)))
    return record


def respond_graph(record: GraphRecord, graph: Graph, new: bool, **more: Sequence[str]) -> Response:
    """A graph that was made, or was there already."""
    headers = {"Location": location(f"/v1/graphs/{record.id}")}
    document = {**_with_nodes(record, graph), **{name: listed for name, listed in more.items() if listed}}
    return respond(document, 201 if new else 200, headers)


def _with_nodes(record: GraphRecord, graph: Graph) -> dict[str, Any]:
    nodes = fitting(graph_node_documents(graph.nodes[: context().limits.page], record.parts))
    parts = {"parts": part_documents(record.parts)} if record.parts else {}
    return {**graph_document(record), **parts, "nodes": nodes, "next": next_cursor(len(nodes), len(graph))}
