"""Whether the service lives and is ready, what it measured, and its limits."""

from dataclasses import fields
from typing import Any

from flask import Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from service.api.http.endpoint import Blueprint
from service.api.http.problems import problem
from service.api.http.request import context
from service.api.http.response import respond
from service.api.state_schemas import LimitPage, StateDocument
from service.storage.access_keys import Scope

blueprint = Blueprint("state", __name__, description="Health, measurements and limits")


@blueprint.endpoint("GET", "/v1/limits", answer=LimitPage)
def list_limits() -> Response:
    """List every limit, its maximum and the variable that sets it"""
    limits = context().limits
    documents: list[dict[str, Any]] = [
        {
            "name": limit.name,
            "maximum": getattr(limits, limit.name),
            "meaning": limit.metadata["meaning"],
            "variable": f"GRADBOOK_MAX_{limit.name.upper()}",
        }
        for limit in fields(limits)
    ]
    return respond({"limits": documents})


@blueprint.endpoint("GET", "/livez", answer=StateDocument, scope=Scope.OPEN)
def check_alive() -> Response:
    """Whether the process answers; the database is not asked"""
    return respond({"status": "ok"})


@blueprint.endpoint("GET", "/readyz", answer=StateDocument, scope=Scope.OPEN)
def check_ready() -> Response:
    """Whether the database answers and was migrated"""
    try:
        context().database.check()
    except SQLAlchemyError as error:
        return problem("not-ready", type(error).__name__)
    return respond({"status": "ok"})


@blueprint.endpoint("GET", "/metrics", answer=None, media=("text/plain",), scope=Scope.ADMIN)
def get_metrics() -> Response:
    """Requests, jobs, worker processes, caches and the server's load, in the text format of Prometheus"""
    return Response(generate_latest(current_app.extensions["measurements"]), content_type=CONTENT_TYPE_LATEST)
