"""Runs over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flask import Response, request

from service.api.documents import listed_run_document, run_document, run_node_documents
from service.api.http import arrow, npz
from service.api.http.endpoint import Blueprint
from service.api.http.paging import LISTED, Page, Paging, fitting, next_cursor
from service.api.http.problems import InvalidParameters
from service.api.http.request import context, idempotency_key
from service.api.http.response import accepted, has_condition, location, require_match, respond, send
from service.api.numbers import read_arrays, read_given
from service.api.run_schemas import (
    BackwardRequest,
    BaselineRequest,
    GraphRunsQuery,
    RunBatch,
    RunBatchRequest,
    RunChanges,
    RunDocument,
    RunNodeDocument,
    RunNodePage,
    RunPage,
    RunQuery,
    RunRequest,
    RunsQuery,
    RunSummary,
)
from service.api.schemas import CascadeQuery, PageQuery
from service.core.errors import Fault
from service.usecases import changes, deletion, run_batches
from service.usecases import runs as usecases
from service.usecases.recordings import record_run
from service.usecases.run_batches import AskedRun, for_each
from service.usecases.run_ends import LARGEST_LISTED
from service.usecases.runs import StoredRun
from service.usecases.tensors import Given
from service.usecases.weighing import BINARY, JSON, Form

_FORMS = ("application/json", npz.MEDIA_TYPE)
_WHOLE = {npz.MEDIA_TYPE: npz.write_run, arrow.MEDIA_TYPE: arrow.write_nodes}

blueprint = Blueprint("runs", __name__, description="Run graphs forward and backward, read the figures back")


@blueprint.endpoint(
    "POST",
    "/v1/graphs/<graph_id>/runs",
    body=RunRequest,
    query=RunQuery,
    answer=RunDocument,
    status=201,
    also=200,
    problems=(404,),
    forms=(npz.MEDIA_TYPE,),
)
def create_run(body: dict[str, Any], query: dict[str, Any], graph_id: str) -> Response:
    """Evaluate a stored graph forward and, unless told otherwise, backward; or keep a run as somebody recorded it"""
    form = accepted(*_FORMS)
    inputs = read_arrays(body.pop("inputs"), ("inputs",))
    body["seed"] = _read_seed(body)
    recorded = body.pop("recorded", None)
    if recorded is not None:
        del body["backward"], body["keep"]
        for member in ("values", "gradients"):
            recorded[member] = read_arrays(recorded[member], ("recorded", member), or_none=True)
        run = record_run(context(), graph_id, inputs, key=idempotency_key(), **recorded, **body)
    else:
        ends_only = query.get("gradients") == "inputs"
        whole = _whole(form, ends_only or not body["keep"])
        run = usecases.create_run(
            context(), graph_id, inputs, key=idempotency_key(), whole=whole, ends_only=ends_only, **body
        )
    if not body.get("keep", True):
        return _answer(run, query, form, whole=True)
    return _answer(run, query, form, 201, {"Location": location(f"/v1/runs/{run.record.id}")})


@blueprint.endpoint(
    "POST", "/v1/graphs/<graph_id>/runs/batch", body=RunBatchRequest, answer=RunBatch, status=201, problems=(404,)
)
def create_runs(body: dict[str, Any], graph_id: str) -> Response:
    """Run a stored graph at many points, and keep all of the runs or, where anything is wrong with one, none"""
    asked = for_each(body.pop("runs"), _read_asked)
    body["seed"] = _read_seed(body)
    made = run_batches.create_runs(context(), graph_id, asked, **body, key=idempotency_key())
    return respond({"runs": (listed_run_document(*each) for each in made)}, 201)


@blueprint.endpoint("POST", "/v1/runs/<run_id>/backward", body=BackwardRequest, answer=RunDocument, problems=(404, 409))
def run_backward(body: dict[str, Any], run_id: str) -> Response:
    """Fill in the gradients of a run that has values only"""
    run = usecases.run_backward(context(), run_id, **{**body, "seed": _read_seed(body)}, key=idempotency_key())
    return respond(_document(run, {}))


@blueprint.endpoint("POST", "/v1/runs/<run_id>/baseline", body=BaselineRequest, answer=RunSummary, problems=(404,))
def set_baseline(body: dict[str, Any], run_id: str) -> Response:
    """Label a run, main unless told otherwise, and take that label from every other run of its graph's name"""
    record = usecases.set_baseline(context(), run_id, **body, key=idempotency_key())
    return respond(run_document(usecases.read_ends(context(), record)))


@blueprint.endpoint(
    "PATCH", "/v1/runs/<run_id>", body=RunChanges, query=RunQuery, answer=RunDocument, problems=(404, 412)
)
def update_run(body: dict[str, Any], query: dict[str, Any], run_id: str) -> Response:
    """Change a run's label and tags

    The body is a JSON Merge Patch (RFC 7396): a label or a tag that is null is taken away, what is left out stays.
    """
    ends_only = query.get("gradients") == "inputs"
    run = usecases.get_run(context(), run_id, ends_only=ends_only)
    require_match(lambda: _document(run, query))
    record = changes.update_run(context(), run.record.id, body, run.record if has_condition() else None)
    return respond(_document(replace(run, record=record), query))


@blueprint.endpoint(
    "DELETE", "/v1/runs/<run_id>", query=CascadeQuery, answer=None, status=204, problems=(404, 409, 412)
)
def delete_run(query: dict[str, Any], run_id: str) -> Response:
    """Delete a run that no comparison is of; with cascade also its comparisons"""
    seen = None
    if has_condition():
        run = usecases.get_run(context(), run_id)
        require_match(lambda: _document(run, {}))
        seen = run.record
    deletion.delete_run(context(), seen.id if seen else run_id, seen=seen, **query)
    return Response(status=204)


@blueprint.endpoint("GET", "/v1/runs", query=RunsQuery, answer=RunPage, page=Paging("runs", LISTED), problems=(404,))
def list_runs(query: dict[str, Any], page: Page) -> tuple[list[Any], str | None]:
    """List runs, newest first"""
    return _list(query, page)


@blueprint.endpoint(
    "GET",
    "/v1/graphs/<graph_id>/runs",
    query=GraphRunsQuery,
    answer=RunPage,
    page=Paging("runs", LISTED),
    problems=(404,),
)
def list_graph_runs(query: dict[str, Any], page: Page, graph_id: str) -> tuple[list[Any], str | None]:
    """List a graph's runs, newest first"""
    return _list({**query, "graph": graph_id}, page)


def _list(query: dict[str, Any], page: Page) -> tuple[list[Any], str | None]:
    found = usecases.list_runs(context(), **query, after=page.after, limit=page.size + 1)
    ends = usecases.list_ends(context(), found[: page.size])
    return page.cut(found, lambda record: listed_run_document(record, next(ends)))


@blueprint.endpoint(
    "GET",
    "/v1/runs/<run_id>",
    query=RunQuery,
    answer=RunDocument,
    problems=(404,),
    forms=(npz.MEDIA_TYPE,),
)
def get_run(query: dict[str, Any], run_id: str) -> Response:
    """Read a run with the first 1,000 of its nodes, or as .npz with all of them"""
    form = accepted(*_FORMS)
    ends_only = query.get("gradients") == "inputs"
    run = usecases.get_run(context(), run_id, ends_only=ends_only, whole=_whole(form, ends_only))
    return _answer(run, query, form)


@blueprint.endpoint(
    "GET",
    "/v1/runs/<run_id>/nodes",
    query=PageQuery,
    answer=RunNodePage,
    page=Paging("nodes"),
    problems=(404,),
    forms=(npz.MEDIA_TYPE, arrow.MEDIA_TYPE),
)
def list_run_nodes(query: dict[str, Any], page: Page, run_id: str) -> Response | tuple[list[Any], int | None]:
    """List a run's nodes in topological order; an .npz or an Arrow stream has no pages and holds all of them"""
    form = accepted(*_FORMS, *([arrow.MEDIA_TYPE] if arrow.INSTALLED else []))
    if form in _WHOLE:
        if request.args:
            raise InvalidParameters([Fault((name,), f"{form} has no pages") for name in request.args])
        run = usecases.get_run(context(), run_id, whole=BINARY)
        return send(_WHOLE[form](run, usecases.list_closed(context(), run)), content_type=form)
    run = usecases.list_run_nodes(context(), run_id, start=page.start, limit=page.size)
    return page.fit(_nodes(run), len(run.graph))


@blueprint.endpoint(
    "GET", "/v1/runs/<run_id>/nodes/<name:node>", answer=RunNodeDocument, problems=(404,), forms=(npz.MEDIA_TYPE,)
)
def get_run_node(run_id: str, node: str) -> Response:
    """Read one node of a run, whole whatever its size"""
    form = accepted(*_FORMS)
    run = usecases.get_run_node(context(), run_id, node, whole=_whole(form, True))
    if form == npz.MEDIA_TYPE:
        return send(npz.write_run(run, usecases.list_closed(context(), run)), content_type=form)
    return respond(next(_nodes(run, whole=True)))


def _whole(form: str, whole_as_json: bool) -> Form | None:
    """The form in which all figures are answered; None if no more than a page is."""
    return BINARY if form == npz.MEDIA_TYPE else JSON if whole_as_json else None


def _read_asked(run: dict[str, Any]) -> AskedRun:
    return AskedRun(read_arrays(run["inputs"], ("inputs",)), run["label"], run["tags"])


def _read_seed(body: dict[str, Any]) -> Given | None:
    return read_given(body["seed"], ("seed",)) if "seed" in body else None


def _answer(
    run: StoredRun,
    query: dict[str, Any],
    form: str,
    status: int = 200,
    headers: dict[str, str] | None = None,
    whole: bool = False,
) -> Response:
    """A run in the form that was asked for; an .npz is whole at any rate."""
    if form == npz.MEDIA_TYPE:
        only = _ends(run) if query.get("gradients") == "inputs" else None
        closed = usecases.list_closed(context(), run) if only is None else {}
        return send(npz.write_run(run, closed, run_document(run, largest=1), only), status, headers, form)
    return respond(_document(run, query, whole), status, headers)


def _ends(run: StoredRun) -> list[int]:
    """The positions of inputs and outputs; without gradients those that are no tensors, which the caller named."""
    named = run.record.tensors if run.gradients is None else ()
    outputs = {run.graph.position[name] for name in run.graph.outputs}
    return [position for position in usecases.ends(run.graph) if position not in named or position in outputs]


def _document(run: StoredRun, query: dict[str, Any], whole: bool = False) -> dict[str, Any]:
    """A run and its nodes: all of them if `whole`, else the first page."""
    if query.get("gradients") == "inputs":
        return run_document(run, largest=None)
    document = run_document(run, None if whole else LARGEST_LISTED)
    if whole:
        return {**document, "nodes": _nodes(run, whole=True), "next": None}
    first = run.part(context().limits.page)
    nodes = (list if first.values.shapes is None else fitting)(_nodes(first))
    return {**document, "nodes": nodes, "next": next_cursor(len(nodes), len(run.graph))}


def _nodes(run: StoredRun, whole: bool = False) -> Iterator[dict[str, Any]]:
    return run_node_documents(run, usecases.one_sided_at(context(), run), usecases.list_closed(context(), run), whole)
