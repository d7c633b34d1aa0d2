"""Series over HTTP."""

from typing import Any

from flask import Response

from service.api.comparison_documents import finding_documents
from service.api.http.endpoint import Blueprint
from service.api.http.paging import LISTED, Page, Paging
from service.api.http.request import context, idempotency_key
from service.api.http.response import location, require_match, respond
from service.api.numbers import read_arrays, write_number
from service.api.series_schemas import (
    SeriesDocument,
    SeriesPage,
    SeriesQuery,
    SeriesRequest,
    SeriesStepPage,
    SeriesStepsQuery,
    SeriesVerdictDocument,
    StepsRequest,
)
from service.core.series.sentences import carry_sentence, series_sentence
from service.storage.series import SeriesRecord, StepRecord
from service.usecases import deletion, series_steps
from service.usecases import series as usecases
from service.usecases.series import SeriesVerdict

blueprint = Blueprint("series", __name__, description="At which step did a training run go wrong?")


@blueprint.endpoint("POST", "/v1/series", body=SeriesRequest, answer=SeriesDocument, status=201, problems=(404,))
def create_series(body: dict[str, Any]) -> Response:
    """Begin a series: a training run whose steps are runs of a graph"""
    record = usecases.create_series(context(), key=idempotency_key(), **body)
    return respond(_document(record), 201, {"Location": location(f"/v1/series/{record.id}")})


@blueprint.endpoint(
    "POST", "/v1/series/<series_id>/steps", body=StepsRequest, answer=SeriesDocument, status=201, problems=(404, 409)
)
def add_steps(body: dict[str, Any], series_id: str) -> Response:
    """Judge the next steps of a series, each from the values that it took itself, and keep what the series retains"""
    key = idempotency_key()
    values = read_arrays(body.pop("values"), ("values",))
    record = series_steps.add_steps(context(), series_id, values, key=key, **body)
    return respond(_document(record), 201, {"Location": location(f"/v1/series/{record.id}")})


@blueprint.endpoint(
    "GET", "/v1/series", query=SeriesQuery, answer=SeriesPage, page=Paging("series", LISTED), problems=(404,)
)
def list_series(query: dict[str, Any], page: Page) -> tuple[list[Any], str | None]:
    """List series, newest first"""
    return page.cut(usecases.list_series(context(), **query, after=page.after, limit=page.size + 1), _document)


@blueprint.endpoint("GET", "/v1/series/<series_id>", answer=SeriesDocument, problems=(404,))
def get_series(series_id: str) -> Response:
    """Read a series without its steps"""
    return respond(_document(usecases.get_series(context(), series_id)))


@blueprint.endpoint("DELETE", "/v1/series/<series_id>", answer=None, status=204, problems=(404, 412))
def delete_series(series_id: str) -> Response:
    """Delete a series with its steps and the runs that are kept of them"""
    require_match(lambda: _document(usecases.get_series(context(), series_id)))
    deletion.delete_series(context(), series_id)
    return Response(status=204)


@blueprint.endpoint(
    "GET",
    "/v1/series/<series_id>/steps",
    query=SeriesStepsQuery,
    answer=SeriesStepPage,
    page=Paging("steps"),
    problems=(404,),
)
def list_series_steps(query: dict[str, Any], page: Page, series_id: str) -> tuple[list[Any], int | None]:
    """List the steps of a series in their order"""
    record, steps, following = usecases.list_series_steps(
        context(), series_id, start=page.start, limit=page.size, only=query.get("shown")
    )
    return [_step_document(record, step) for step in steps], following


@blueprint.endpoint("GET", "/v1/series/<series_id>/verdict", answer=SeriesVerdictDocument, problems=(404,))
def get_series_verdict(series_id: str) -> Response:
    """Say at which step a series first did what its own state does not explain"""
    return respond(_verdict_document(usecases.get_series_verdict(context(), series_id)))


def _document(record: SeriesRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "graph_id": record.graph_id,
        "graph_name": record.graph_name,
        "graph_version": record.graph_version,
        "carry": record.carry,
        "recorded_by": record.recorded_by,
        "dtype": record.dtype,
        "tolerance": record.tolerance,
        "retain": record.retain,
        "every": record.every,
        "label": record.label,
        "tags": record.tags,
        "created_at": record.created_at.isoformat(),
        "steps": record.steps,
        "first_step": record.first_step,
        "last_step": record.last_step,
        "first_wrong": record.first_wrong,
        "wrong": record.wrong,
        "broken": record.broken,
    }


def _step_document(record: SeriesRecord, step: StepRecord) -> dict[str, Any]:
    names = record.nodes or ()
    return {
        "step": step.number,
        "verdict": step.verdict,
        "origins": step.origins,
        "broken": step.broken,
        "run": step.run_id,
        "norms": dict(zip(names, map(write_number, step.trace.norms.tolist()), strict=True)),
        "digests": {name: digest.hex() for name, digest in zip(names, step.trace.digests, strict=True)},
    }


def _verdict_document(verdict: SeriesVerdict) -> dict[str, Any]:
    record = verdict.record
    return {
        "id": record.id,
        "arose": bool(record.wrong or record.broken),
        "sentence": series_sentence(record.steps, record.wrong, record.first_wrong, record.broken),
        "steps": record.steps,
        "first_wrong": _first_wrong(verdict),
        "wrong": record.wrong,
        "wrong_steps": [step.number for step in verdict.wrong],
        "broken": record.broken,
        "broken_carries": [
            {
                "step": carry.step,
                "node": carry.node,
                "input": carry.taken,
                "norm_given": write_number(carry.norm_given),
                "norm_taken": write_number(carry.norm_taken),
                "sentence": carry_sentence(carry),
            }
            for carry in verdict.broken
        ],
        "norms": {
            "steps": [*verdict.norms],
            "values": {
                name: [write_number(float(norms[place])) for norms in verdict.norms.values()]
                for place, name in enumerate(record.nodes or ())
            },
        },
    }


def _first_wrong(verdict: SeriesVerdict) -> dict[str, Any] | None:
    if not verdict.wrong:
        return None
    first, compared = verdict.wrong[0], verdict.compared
    return {
        "step": first.number,
        "comparison": compared and compared.record.id,
        "nodes": first.origins,
        "cause": verdict.cause,
        "origins": finding_documents(compared.found, context().limits.page) if compared else [],
    }
