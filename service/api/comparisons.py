"""Comparisons and checks over HTTP."""

from collections.abc import Mapping
from typing import Any

from flask import Response

from service.api.comparison_documents import comparison_document, comparison_node_documents, comparison_summary
from service.api.comparison_schemas import (
    CheckRequest,
    ComparisonDocument,
    ComparisonNodePage,
    ComparisonPage,
    ComparisonQuery,
    ComparisonRequest,
    ComparisonsQuery,
    GraphComparisonsQuery,
    NodesOfComparisonQuery,
    UnkeptComparisonDocument,
)
from service.api.http.endpoint import Blueprint
from service.api.http.paging import LISTED, Page, Paging
from service.api.http.request import context, idempotency_key
from service.api.http.response import location, require_match, respond
from service.api.numbers import read_arrays, read_claims, read_given
from service.usecases import comparisons as usecases
from service.usecases import deletion
from service.usecases.comparisons import Compared

blueprint = Blueprint("comparisons", __name__, description="Where did the first wrong figure arise?")


@blueprint.endpoint(
    "POST", "/v1/comparisons", body=ComparisonRequest, answer=ComparisonDocument, status=201, also=200, problems=(404,)
)
def create_comparison(body: dict[str, Any]) -> Response:
    """Compare two runs, figure by figure, and tell origins from what was inherited"""
    return answer_comparison(*usecases.create_comparison(context(), key=idempotency_key(), **body))


@blueprint.endpoint(
    "POST",
    "/v1/graphs/<graph_id>/checks",
    body=CheckRequest,
    answer=ComparisonDocument,
    status=201,
    also=200,
    also_answer={"anyOf": [ComparisonDocument, UnkeptComparisonDocument]},
    problems=(404,),
)
def check_claims(body: dict[str, Any], graph_id: str) -> Response:
    """Run a graph, record claimed figures and compare the two, in one call"""
    keep, key = body["keep"], idempotency_key()
    inputs = read_arrays(body.pop("inputs"), ("inputs",), written=True)
    claims = body.pop("claims")
    read = read_claims(claims, rounded="tolerance" not in body)
    if "seed" in body:
        body["seed"] = read_given(body["seed"], ("seed",), written=True)
    compared = usecases.check_claims(
        context(),
        graph_id,
        inputs,
        values=read["values"],
        gradients=read["gradients"],
        by=claims.get("by", "a claim"),
        key=key if keep else None,
        **body,
    )
    return answer_comparison(*compared) if keep else respond(_document(compared[0], {}))


@blueprint.endpoint(
    "GET",
    "/v1/comparisons",
    query=ComparisonsQuery,
    answer=ComparisonPage,
    page=Paging("comparisons", LISTED),
    problems=(404,),
)
def list_comparisons(query: dict[str, Any], page: Page) -> tuple[list[Any], str | None]:
    """List comparisons, newest first"""
    return _list(query, page)


@blueprint.endpoint(
    "GET",
    "/v1/graphs/<graph_id>/comparisons",
    query=GraphComparisonsQuery,
    answer=ComparisonPage,
    page=Paging("comparisons", LISTED),
    problems=(404,),
)
def list_graph_comparisons(query: dict[str, Any], page: Page, graph_id: str) -> tuple[list[Any], str | None]:
    """List the comparisons that have a run of a graph on either side, newest first"""
    return _list({**query, "graph": graph_id}, page)


@blueprint.endpoint(
    "GET",
    "/v1/graphs/<graph_id>/checks",
    query=GraphComparisonsQuery,
    answer=ComparisonPage,
    page=Paging("comparisons", LISTED),
    problems=(404,),
)
def list_checks(query: dict[str, Any], page: Page, graph_id: str) -> tuple[list[Any], str | None]:
    """List the comparisons of a graph's computed runs with recorded figures, claims among them, newest first"""
    return _list({**query, "graph": graph_id, "checks": True}, page)


def _list(query: dict[str, Any], page: Page) -> tuple[list[Any], str | None]:
    found = usecases.list_comparisons(context(), **query, after=page.after, limit=page.size + 1)
    return page.cut(found, comparison_summary)


@blueprint.endpoint(
    "GET", "/v1/comparisons/<comparison_id>", query=ComparisonQuery, answer=ComparisonDocument, problems=(404,)
)
def get_comparison(query: dict[str, Any], comparison_id: str) -> Response:
    """Read a comparison with the first 1,000 of its figures"""
    return respond(_document(usecases.get_comparison(context(), comparison_id), query))


@blueprint.endpoint("DELETE", "/v1/comparisons/<comparison_id>", answer=None, status=204, problems=(404, 412))
def delete_comparison(comparison_id: str) -> Response:
    """Delete a comparison; its runs stay"""
    require_match(lambda: _document(usecases.get_comparison(context(), comparison_id), {}))
    deletion.delete_comparison(context(), comparison_id)
    return Response(status=204)


@blueprint.endpoint(
    "GET",
    "/v1/comparisons/<comparison_id>/nodes",
    query=NodesOfComparisonQuery,
    answer=ComparisonNodePage,
    page=Paging("nodes"),
    problems=(404,),
)
def list_comparison_nodes(query: dict[str, Any], page: Page, comparison_id: str) -> tuple[list[Any], int | None]:
    """List a comparison's figures, in the order of evaluation or worst first"""
    compared = usecases.get_comparison(context(), comparison_id)
    numbers = compared.listing(query.get("shown"), query.get("order", "topological"))
    shown = numbers[page.start : page.start + page.size]
    return page.fit(comparison_node_documents(compared, shown), len(numbers))


def answer_comparison(compared: Compared, new: bool) -> Response:
    """Send a stored comparison and where it can be read."""
    headers = {"Location": location(f"/v1/comparisons/{compared.record.id}")}
    return respond(_document(compared, {}), 201 if new else 200, headers)


def _document(compared: Compared, query: Mapping[str, Any]) -> dict[str, Any]:
    numbers = compared.listing(query.get("shown"), query.get("order", "topological"))
    return comparison_document(compared, numbers, context().limits.page)
