"""The document of the API: what flask-smorest gathers, with what it does not know put right."""

import json
from collections.abc import Iterator, Set
from copy import deepcopy
from importlib.metadata import version
from importlib.resources import files
from threading import Lock
from typing import Any

import yaml
from flask import Flask, Response
from flask_smorest import Api

from service.api import (
    alignments,
    comparisons,
    derivatives,
    explanations,
    gradient_graphs,
    graphs,
    jobs,
    operations,
    reproductions,
    rounding,
    runs,
    series,
    sources,
    state,
    sweeps,
    tensors,
)
from service.api.components import COMPONENTS, reference
from service.api.http.access import scoped
from service.api.http.endpoint import BINARY, PROBLEM_RESPONSES, TEXT, Blueprint, NameConverter, security
from service.api.http.problem_types import PROBLEM_TYPES, example_of
from service.api.http.problems import MEDIA_TYPE
from service.api.http.request import LONGEST_KEY
from service.api.schemas import REFERENCES, ProblemDocument, Request
from service.settings import Limits
from service.storage.access_keys import Scope

TITLE = "Gradbook"
_DESCRIPTION = (
    "Keeps computational graphs and their runs: every node's value and gradient. Every error is a problem (RFC 9457), "
    "application/problem+json. NaN and the infinities are the strings NaN, Infinity and -Infinity, in and out. Once "
    "the service has keys every request but those of /livez and /readyz bears one; without any it asks for none."
)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    "description": "Repeat a request under the same key and it takes effect once; the answer is what the first made.",
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "description": "`respond-async` (RFC 7240): what takes more than a moment is done as a job, which is the answer",
}
_BEARER = (
    "A key that `gradbook key create` made. Its scope is read, write, which includes read, or admin, which includes "
    "both; each operation names the one that it needs."
)
_IF_NONE_MATCH = {"name": "If-None-Match", "in": "header", **TEXT}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    **TEXT,
    "description": "The ETag that a GET of the same address answered: 412 if it has another one by now",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "As RFC 6750 has it: how to send a key, and what is wrong", **TEXT}}
_RATE = _RETRY_AFTER | {
    "RateLimit-Policy": {
        "description": 'How many requests a key has, q, in how many seconds, w: "minute";q=600;w=60',
        **TEXT,
    },
    "RateLimit": {"description": 'How many it has left, r, and until when, in seconds, t: "minute";r=0;t=42', **TEXT},
}
_ETAG = {"ETag": {"description": "A strong ETag", **TEXT}}
_LOCATION = {"Location": {"description": "Where it can be read", **TEXT}}
_APPLIED = {"Preference-Applied": {"description": "`respond-async`", **TEXT}}
_LINK = {"Link": {"description": 'The next page, rel="next", unless this is the last', **TEXT}}
_NOT_MODIFIED = {"description": "If-None-Match names the ETag that it still has", "headers": _ETAG}
_ON_THIS_MACHINE = {"url": "http://127.0.0.1:8000", "description": "A service on one's own machine, as it starts"}
_ANY_OTHER = "Any other problem: no such path, method not allowed, the database or the service failed"


# The problems that every operation may answer, whoever asks wrongly or at the wrong time.
_ANYWHERE = (400, 403, 408, 413, 421, 431, 501, 503)


# The document by what it depends on beside the code: the path below which the service is shown, and its limits.
_WRITTEN: dict[tuple[str, Limits], str] = {}
_WRITING = Lock()


class GradbookApi(Api):  # type: ignore[misc]  # flask-smorest is not typed
    """flask-smorest without its own error handler: `problems.py` answers errors."""

    def _register_error_handlers(self) -> None:
        pass


class _Written(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # a fifth of the time, where it is
    """YAML with everything written out where it stands, and lines of text as lines."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: not every reader of OpenAPI resolves them."""
        return True

    def represent_text(self, text: str) -> Any:
        """Text as a block of lines, if it has several; both dumpers write these alike."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Written.add_representer(str, _Written.represent_text)


def document_api(app: Flask, *others: Blueprint) -> None:
    """Register every blueprint, those of the rooms above too, and serve the document at /openapi.yaml."""
    root = app.config["APPLICATION_ROOT"]
    app.config.update(
        API_TITLE=TITLE,
        API_VERSION=version("gradbook"),
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": _DESCRIPTION},
            "servers": [{"url": root, "description": "The service that this document was read from"}, _ON_THIS_MACHINE],
        },
    )
    app.url_map.converters["name"] = NameConverter
    api = GradbookApi(app)
    api.spec.components.schema("ProblemDocument", schema=ProblemDocument)
    modules = (
        *(graphs, gradient_graphs, sources, runs, explanations, rounding),
        *(alignments, comparisons, reproductions, series, derivatives),
        *(jobs, sweeps, operations, tensors, state),
    )
    for blueprint in (*(module.blueprint for module in modules), *others):
        api.register_blueprint(blueprint)

    limits = app.extensions["gradbook"].limits

    def write() -> str:
        """Write it when it is first asked for: that is a tenth of the start. All who ask wait for the first of them."""
        with _WRITING:
            if (root, limits) not in _WRITTEN:
                document = _with_limits(_with_examples(_complete(deepcopy(api.spec.to_dict()))), limits)
                text = yaml.dump(document, Dumper=_Written, sort_keys=False, allow_unicode=True, width=120)
                _WRITTEN[root, limits] = text
            return _WRITTEN[root, limits]

    app.extensions["openapi"] = write

    @app.get("/openapi.yaml")
    @scoped(Scope.READ)
    def get_openapi() -> Response:
        return Response(write(), content_type="application/yaml")


def _with_limits(part: Any, limits: Limits) -> Any:
    """The document with the limits of this service in place of their names in `x-limits`, and with what stands in
    `x-more`, keywords that apispec does not know."""
    if isinstance(part, list):
        return [_with_limits(each, limits) for each in part]
    if not isinstance(part, dict):
        return part
    bounds = {keyword: getattr(limits, name) for keyword, name in part.get("x-limits", {}).items()}
    inside = {name: each for name, each in part.items() if name not in ("x-limits", "x-more")} | part.get("x-more", {})
    return {name: _with_limits(each, limits) for name, each in inside.items()} | bounds


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the headers, with 304, and without what flask-smorest takes for granted."""
    document["paths"]["/openapi.yaml"] = {
        "get": {
            "operationId": "get_openapi",
            "summary": "This document",
            "tags": ["state"],
            "security": security(Scope.READ),
            "responses": {"200": {"description": "OK", "content": {"application/yaml": TEXT}}},
        }
    }
    for path, methods in document["paths"].items():
        for parameter in methods.get("parameters", ()):
            if (kind := parameter["name"].removesuffix("_id")) in REFERENCES:
                parameter["description"] = REFERENCES[kind]
        for method in methods.keys() - {"parameters"}:
            _complete_operation(methods[method], method, versioned=path.startswith("/v1/"))
    _complete_components(document["components"])
    return document


def _complete_operation(operation: dict[str, Any], method: str, *, versioned: bool) -> None:
    """Add the headers that it takes and answers with, and the problems that everything may answer."""
    responses, parameters = operation["responses"], operation.pop("parameters", [])
    keyed = [401, 429] if operation["security"] else []
    for status in (*_ANYWHERE, *keyed, *([422] if versioned else [])):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{PROBLEM_RESPONSES[status][0]}"})
    responses["default"] = {"$ref": "#/components/responses/AnyOther"}
    if method == "post":
        parameters.append(_KEY)
        responses.get("200", {})["headers"] = _ETAG
        if "202" in responses:
            responses["202"]["headers"] = _LOCATION
        else:
            parameters.append(_PREFER)
            # Without its schema, lest every answer be one of two to those whose types are generated from the document.
            said = "It is a job, since Prefer asked for one: the body is its document, as GET /v1/jobs/{job_id} has it"
            responses["202"] = {"description": said, "headers": _LOCATION | _APPLIED}
    if "201" in responses:
        responses["201"]["headers"] = _ETAG | _LOCATION
    if method in ("patch", "delete"):
        parameters.append(_IF_MATCH)
    if method == "patch":
        responses["200"]["headers"] = _ETAG
    if method == "get" and versioned:
        paged = any(parameter["name"] == "cursor" for parameter in parameters)
        responses["200"]["headers"] = _ETAG | _LINK if paged else _ETAG
        responses["304"] = _NOT_MODIFIED
        parameters.append(_IF_NONE_MATCH)
    if parameters:
        operation["parameters"] = parameters
    operation["responses"] = dict(sorted(responses.items()))


def _complete_components(components: dict[str, Any]) -> None:
    """Add the problems, what is written by hand, and which members of a request go together."""
    components["responses"] = {
        name: _problems(description, {status}) for status, (name, description) in PROBLEM_RESPONSES.items()
    }
    others = {kind.status for kind in PROBLEM_TYPES.values()} - PROBLEM_RESPONSES.keys()
    components["responses"]["AnyOther"] = _problems(_ANY_OTHER, others)
    for name, headers in (("Overloaded", _RETRY_AFTER), ("Unauthorized", _CHALLENGE), ("TooManyRequests", _RATE)):
        components["responses"][name]["headers"] = headers
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "description": _BEARER}}
    schemas = components["schemas"]
    schemas |= COMPONENTS
    for schema in _subclasses(Request):
        if schema.more and schema.__name__ in schemas:
            schemas[schema.__name__] |= schema.more
    schemas.pop("Error", None)
    schemas.pop("PaginationMetadata", None)
    for name, description in BINARY.values():
        schemas[name] = {"type": "string", "format": "binary", "description": description}


def _problems(description: str, statuses: Set[int]) -> dict[str, Any]:
    """The response with a problem of these statuses: an example of each type."""
    examples = {
        name: {"summary": kind.title, "value": example_of(name)}
        for name, kind in PROBLEM_TYPES.items()
        if kind.status in statuses
    }
    content = {"schema": reference("ProblemDocument"), "examples": examples}
    return {"description": description, "content": {MEDIA_TYPE: content}}


def _with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The document with what the seed example's story (tests/api/story.py) asked of each operation and was answered."""
    told = json.loads((files("service.api") / "examples.json").read_text(encoding="utf-8"))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            example = told.get(operation["operationId"]) if method != "parameters" else None
            if not example:  # only until the story tells of it
                continue
            asked = dict(zip(path.split("/"), example["path"].partition("?")[0].split("/"), strict=True))
            for parameter in methods.get("parameters", ()):
                parameter.setdefault("example", asked[f"{{{parameter['name']}}}"])
            if "request" in example:
                operation["requestBody"]["content"]["application/json"]["example"] = example["request"]
            for status, response in operation["responses"].items():
                for media, answer in example.get("answers", {}).items():
                    if status in ("200", "201") and media in response.get("content", {}):
                        response["content"][media]["example"] = answer
    return document


def _subclasses(schema: type[Request]) -> Iterator[type[Request]]:
    for each in schema.__subclasses__():
        yield each
        yield from _subclasses(each)
