"""Sweeps over HTTP."""

from collections.abc import Iterator
from typing import Any

from flask import Response

from service.api.http import arrow, npz
from service.api.http.endpoint import Blueprint
from service.api.http.paging import Paging
from service.api.http.problems import InvalidParameters
from service.api.http.request import context, idempotency_key
from service.api.http.response import accepted, require_match, respond, send
from service.api.job_schemas import JobDocument
from service.api.jobs import respond_job
from service.api.numbers import read_given
from service.api.sweep_documents import point_at, sweep_document
from service.api.sweep_schemas import SweepDocument, SweepPointPage, SweepPointsQuery, SweepRequest
from service.core.errors import Fault
from service.usecases import deletion
from service.usecases import sweeps as usecases
from service.usecases.sweep_inputs import read_inputs
from service.usecases.sweeps import AskedAgainst, SweepPoints
from service.usecases.weighing import Form

_POINTS = Paging("points")
_WHOLE = {npz.MEDIA_TYPE: npz.write_points, arrow.MEDIA_TYPE: arrow.write_points, arrow.PARQUET: arrow.write_parquet}

blueprint = Blueprint("sweeps", __name__, description="What does a graph do over many points?")


@blueprint.endpoint(
    "POST", "/v1/graphs/<graph_id>/sweeps", body=SweepRequest, answer=JobDocument, status=202, problems=(404,)
)
def create_sweep(body: dict[str, Any], graph_id: str) -> Response:
    """Compute a stored graph at many points, as a job"""
    inputs = read_inputs(body.pop("inputs"), read_given)
    if "against" in body:
        body["against"] = AskedAgainst(**body["against"])
    return respond_job(usecases.create_sweep(context(), graph_id, inputs, **body, key=idempotency_key()))


@blueprint.endpoint("GET", "/v1/sweeps/<sweep_id>", answer=SweepDocument, problems=(404,))
def get_sweep(sweep_id: str) -> Response:
    """Read what came of a sweep"""
    return respond(sweep_document(usecases.get_sweep(context(), sweep_id)))


@blueprint.endpoint("DELETE", "/v1/sweeps/<sweep_id>", answer=None, status=204, problems=(404, 409, 412))
def delete_sweep(sweep_id: str) -> Response:
    """Delete a sweep with its job and its points, once the job has ended"""
    require_match(lambda: sweep_document(usecases.get_sweep(context(), sweep_id)))
    deletion.delete_sweep(context(), sweep_id)
    return Response(status=204)


@blueprint.endpoint(
    "GET",
    "/v1/sweeps/<sweep_id>/points",
    query=SweepPointsQuery,
    answer=SweepPointPage,
    problems=(404, 409),
    forms=tuple(_WHOLE),
)
def list_sweep_points(query: dict[str, Any], sweep_id: str) -> Response:
    """List the points of a sweep that are computed, in their order; in other forms than JSON there are no pages"""
    form = accepted("application/json", *(each for each in _WHOLE if each == npz.MEDIA_TYPE or arrow.INSTALLED))
    if form in _WHOLE:
        if "cursor" in query:
            raise InvalidParameters([Fault(("cursor",), f"{form} has no pages; offset and limit say which points")])
        start, limit = query.get("offset", 0), query.get("limit", context().limits.sweep_points)
        points = usecases.list_sweep_points(context(), sweep_id, start=start, limit=limit, form=Form(form, 8, 1000))
        return send(_WHOLE[form](points), content_type=form)
    page = _POINTS.read(query)
    start = query.get("offset", 0) if page.cursor is None else page.start
    points = usecases.list_sweep_points(context(), sweep_id, start=start, limit=page.size)
    return _POINTS.respond([*_points(points)], points.following, {"complete": points.is_complete})


def _points(points: SweepPoints) -> Iterator[dict[str, Any]]:
    for place, number in enumerate(points.numbers.tolist()):
        yield {"point": number, "at": point_at(points.inputs, place), "figures": point_at(points.figures, place)}
