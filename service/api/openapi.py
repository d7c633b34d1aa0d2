"""The document of the API: what flask-smorest gathers, with what it does not know put right."""

from typing import Any

import yaml
from flask import Flask, Response
from flask_smorest import Api

from service.api import graphs, operations, runs, state

TITLE, VERSION = "Gradbook", "v1"
_DESCRIPTION = (
    "Keeps computational graphs and their runs: every node's value and gradient. Every error is a problem (RFC 9457), "
    "application/problem+json. NaN and the infinities are the strings NaN, Infinity and -Infinity, in and out."
)


class GradbookApi(Api):  # type: ignore[misc]
    """flask-smorest without its own error handler: `problems.py` answers errors."""

    def _register_error_handlers(self) -> None:
        pass


def document_api(app: Flask) -> None:
    """Register every blueprint, and serve the document at /openapi.yaml."""
    app.config.update(
        API_TITLE=TITLE,
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={"info": {"description": _DESCRIPTION}},
    )
    api = GradbookApi(app)
    for module in (graphs, runs, operations, state):
        api.register_blueprint(module.blueprint)
    text = yaml.safe_dump(_complete(api.spec.to_dict()), sort_keys=False, allow_unicode=True, width=120)
    app.extensions["openapi"] = text

    @app.get("/openapi.yaml")
    def get_openapi() -> Response:
        return Response(text, content_type="application/yaml")


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    etag = {"ETag": {"description": "A strong ETag", "schema": {"type": "string"}}}
    for path, operations_at in document["paths"].items():
        for method, operation in operations_at.items():
            if method == "parameters":
                continue
            responses = operation["responses"]
            responses.pop("default", None)
            if method == "get" and path.startswith("/v1/"):
                responses["200"]["headers"] = etag
                responses["304"] = {"description": "If-None-Match names the ETag that it still has"}
                operation.setdefault("parameters", []).append(
                    {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}
                )
            operation["responses"] = dict(sorted(responses.items()))
    media = {"schema": {"type": "string"}}
    document["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": media}
    document["paths"]["/openapi.yaml"] = {
        "get": {
            "operationId": "get_openapi",
            "summary": "This document",
            "responses": {"200": {"description": "OK", "content": {"application/yaml": media}}},
        }
    }
    components = document["components"]
    components.pop("responses", None)
    components["schemas"].pop("Error", None)
    components["schemas"].pop("PaginationMetadata", None)
    return document
