"""Comparisons and checks over HTTP."""

from collections.abc import Mapping
from typing import Any

from flask import Response, url_for

from service.api import examples
from service.api.comparison_schemas import (
    CheckRequest,
    ComparisonDocument,
    ComparisonNodePage,
    ComparisonPage,
    ComparisonQuery,
    ComparisonRequest,
    ComparisonsQuery,
    NodesOfComparisonQuery,
)
from service.api.documents import if_small
from service.api.http.endpoint import Blueprint
from service.api.http.paging import LISTED, Page, Paging, next_cursor
from service.api.http.request import context, idempotency_key
from service.api.http.response import respond
from service.api.numbers import read_array, read_arrays, read_claim, write_array, write_number
from service.core.comparison.claims import Claim
from service.core.comparison.error_measures import errors, minimum_tolerance, ulps, worst_element
from service.core.comparison.hypotheses import Hypothesis
from service.core.comparison.verdicts import Phase, Verdict
from service.core.figures.figures import FloatArray
from service.storage.comparisons import ComparisonRecord
from service.usecases import comparisons as usecases
from service.usecases.comparisons import Compared

blueprint = Blueprint("comparisons", __name__, description="Where did the first wrong figure arise?")


@blueprint.endpoint(
    "POST", "/v1/comparisons", body=ComparisonRequest, answer=ComparisonDocument, status=201, also=200, problems=(404,)
)
def create_comparison(body: dict[str, Any]) -> Response:
    """Compare two runs, figure by figure, and tell origins from what was inherited"""
    return _answer(*usecases.create_comparison(context(), key=idempotency_key(), **body))


@blueprint.endpoint(
    "POST",
    "/v1/graphs/<graph_id>/checks",
    body=CheckRequest,
    answer=ComparisonDocument,
    status=201,
    also=200,
    problems=(404,),
    body_example=examples.CHECK_REQUEST,
)
def check_claims(body: dict[str, Any], graph_id: str) -> Response:
    """Run a graph, record claimed figures and compare the two, in one call"""
    inputs = read_arrays(body.pop("inputs"), ("inputs",))
    claims = body.pop("claims")
    if "seed" in body:
        body["seed"] = read_array(body["seed"], ("seed",))
    compared = usecases.check_claims(
        context(),
        graph_id,
        inputs,
        values=_read_claims(claims, "values"),
        gradients=_read_claims(claims, "gradients"),
        by=claims.get("by", "a claim"),
        key=idempotency_key(),
        **body,
    )
    return _answer(*compared)


@blueprint.endpoint(
    "GET", "/v1/comparisons", query=ComparisonsQuery, answer=ComparisonPage, page=Paging("comparisons", LISTED)
)
def list_comparisons(query: dict[str, Any], page: Page) -> tuple[list[Any], str | None]:
    """List comparisons, newest first"""
    found = usecases.list_comparisons(context(), run=query.get("run"), after=page.after, limit=page.size + 1)
    records, after = page.cut(found)
    return [_record_document(record) for record in records], after


@blueprint.endpoint(
    "GET", "/v1/comparisons/<comparison_id>", query=ComparisonQuery, answer=ComparisonDocument, problems=(404,)
)
def get_comparison(query: dict[str, Any], comparison_id: str) -> Response:
    """Read a comparison with the first 1,000 of its figures"""
    return respond(_document(usecases.get_comparison(context(), comparison_id), query))


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
    documents, count = _nodes(compared, query, page.start, page.size)
    return documents, page.next_start(count)


def _answer(compared: Compared, new: bool) -> Response:
    headers = {"Location": url_for("comparisons.get_comparison", comparison_id=compared.record.id)}
    return respond(_document(compared, {}), 201 if new else 200, headers)


def _read_claims(claims: Mapping[str, Any], member: str) -> dict[str, Claim]:
    return {name: read_claim(value, ("claims", member, name)) for name, value in claims.get(member, {}).items()}


def _record_document(record: ComparisonRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "baseline": record.baseline_id,
        "candidate": record.candidate_id,
        "verdict": record.verdict,
        "tolerance": record.tolerance,
        "names": record.names,
        "counts": record.counts,
        "created_at": record.created_at.isoformat(),
    }


def _document(compared: Compared, query: Mapping[str, Any]) -> dict[str, Any]:
    found, most = compared.found, context().limits.page
    first = compared.first_difference
    judged = {phase.name: int((phase.verdicts != Verdict.NOT_COMPARED).sum()) for phase in found.phases}
    documents, count = _nodes(compared, query, 0, most)
    return {
        **_record_document(compared.record),
        "compared": {"values": judged.get("forward", 0), "gradients": judged.get("backward", 0)},
        "only_in_baseline": found.only_in_baseline[:most],
        "only_in_candidate": found.only_in_candidate[:most],
        "first_difference": first and _finding(compared, *first),
        "origins": [_finding(compared, *origin) for origin in compared.origins[:most]],
        "inherited": _places(compared, Verdict.INHERITED)[:most],
        "compensated": _places(compared, Verdict.COMPENSATED)[:most],
        "minimum_tolerance": minimum_tolerance(found),
        "nodes": documents,
        "next": next_cursor(most, count),
    }


def _finding(compared: Compared, phase: Phase, position: int, hypotheses: tuple[Hypothesis, ...]) -> dict[str, Any]:
    return {
        "phase": phase.name,
        "node": compared.candidate.graph.nodes[position].name,
        "hypotheses": [
            {
                "name": hypothesis.name,
                "sentence": hypothesis.sentence,
                "error": None if hypothesis.error is None else write_number(hypothesis.error),
            }
            for hypothesis in hypotheses
        ],
    }


def _places(compared: Compared, verdict: Verdict) -> list[dict[str, Any]]:
    nodes = compared.candidate.graph.nodes
    return [
        {"phase": phase.name, "node": nodes[position].name}
        for phase in compared.found.phases
        for position in phase.positions(verdict)
    ]


def _nodes(compared: Compared, query: Mapping[str, Any], start: int, size: int) -> tuple[list[dict[str, Any]], int]:
    positions = compared.positions(query.get("shown"), query.get("order", "topological"))
    measures = {phase.name: errors(phase) for phase in compared.found.phases}
    nodes = compared.candidate.graph.nodes
    conventions = compared.found.conventions
    documents = [
        _node_document(nodes[position].name, phase, position, measures[phase.name])
        | ({"conventions": conventions[position]} if phase.verdicts[position] == Verdict.CONVENTION else {})
        for phase, position in positions[start : start + size]
    ]
    return documents, len(positions)


def _node_document(name: str, phase: Phase, position: int, measures: tuple[FloatArray, FloatArray]) -> dict[str, Any]:
    """One figure; of a tensor the errors are those of its worst element, whose index is given."""
    absolute, relative = measures
    worst, index = worst_element(phase, position)
    document: dict[str, Any] = {
        "name": name,
        "phase": phase.name,
        "baseline": write_array(if_small(phase.baseline[position])),
        "candidate": write_array(if_small(phase.candidate[position])),
        "expected": write_array(if_small(phase.expected[position])),
        "absolute_error": 0.0 if worst is None else write_number(float(absolute[worst])),
        "relative_error": 0.0 if worst is None else write_number(float(relative[worst])),
        "ulps": 0 if worst is None else ulps(float(phase.candidate.flat[worst]), float(phase.baseline.flat[worst])),
        "verdict": Verdict(int(phase.verdicts[position])).name.lower(),
    }
    if index is not None:
        document["worst"] = index
    return document
