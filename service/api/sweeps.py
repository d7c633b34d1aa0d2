"""Sweeps over HTTP."""

from typing import Any

import marshmallow as ma
from flask import Response
from marshmallow import fields

from service.api.http.endpoint import Blueprint
from service.api.http.request import context, idempotency_key
from service.api.http.response import respond
from service.api.job_schemas import JobDocument
from service.api.jobs import job_document, respond_job
from service.api.schemas import JsonObject, Request, StrictBool
from service.usecases import sweeps as usecases

blueprint = Blueprint("sweeps", __name__, description="What does a graph do over many points?")


class SweepRequest(Request):
    """A graph at many points."""

    inputs = JsonObject(required=True)
    gradients = StrictBool(load_default=False)


class SweepDocument(ma.Schema):
    """A sweep."""

    id = fields.String(required=True)
    job = fields.Nested(JobDocument, required=True)
    points = fields.Integer(required=True)


@blueprint.endpoint(
    "POST", "/v1/graphs/<graph_id>/sweeps", body=SweepRequest, answer=JobDocument, status=202, problems=(404,)
)
def create_sweep(body: dict[str, Any], graph_id: str) -> Response:
    """Compute a stored graph at many points, as a job"""
    return respond_job(usecases.create_sweep(context(), graph_id, **body, key=idempotency_key()))


@blueprint.endpoint("GET", "/v1/sweeps/<sweep_id>", answer=SweepDocument, problems=(404,))
def get_sweep(sweep_id: str) -> Response:
    """Read what came of a sweep"""
    record = usecases.get_sweep(context(), sweep_id)
    return respond({"id": record.id, "job": job_document(record), "points": record.total})
