"""Applications over databases of their own. Every answer that a test receives is checked against openapi.yaml."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from jsonschema_rs import Draft202012Validator
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from service.api.http.problem_types import PROBLEM_TYPES
from service.app import create_app
from service.settings import Limits, Settings
from service.web.pages.page import POLICY

MakeApp = Callable[..., Flask]


class ContractClient(FlaskClient):
    """A test client that fails the test when an answer is not as openapi.yaml says."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        """Send a request and check its answer."""
        response = super().open(*args, buffered=True, **options)
        hold_to_contract(self.application, response)
        return response


def hold_to_contract(app: Flask, response: TestResponse) -> None:
    """Check that status, media type, body and headers are documented, errors are problems, and JSON holds no NaN."""
    status, media_type = response.status_code, response.mimetype or ""
    seen = f"{response.request.method} {response.request.path} → {status} {media_type}"
    assert response.headers["X-Request-Id"], seen
    document = None
    if media_type.endswith("json") and response.data:
        document = json.loads(response.data, parse_constant=lambda name: pytest.fail(f"{seen}: a bare {name}"))
    if media_type == "text/html" and not response.request.path.startswith(("/v1", "/docs")):
        assert response.headers["Content-Security-Policy"] == POLICY, seen
        return
    if status >= 400 and response.request.method != "HEAD":
        assert response.content_type == "application/problem+json", seen
        assert document is not None and document["status"] == status, seen
        kind = PROBLEM_TYPES[document["type"].removeprefix("urn:gradbook:problem:")]
        assert (document["status"], document["title"]) == (kind.status, kind.title), seen
    operation = _operation(app, response)
    if operation is None:
        return
    responses = operation["responses"]
    assert str(status) in responses or status >= 500, f"{seen}: not documented"
    documented = responses.get(str(status), responses["default"])
    if "$ref" in documented:
        name = documented["$ref"].removeprefix("#/components/responses/")
        documented = read_openapi(app.extensions["openapi"]())["components"]["responses"][name]
    content = documented.get("content", {})
    if status == 202:  # whose description says what the body is
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/JobDocument"}}}
    assert media_type in content or not response.data, f"{seen}: not documented"
    if document is not None:
        errors = _validator(app.extensions["openapi"](), json.dumps(content[media_type]["schema"])).iter_errors(
            document
        )
        assert not [f"{error.instance_path}: {error.message}" for error in errors], seen
    if "ETag" in documented.get("headers", {}):
        assert response.get_etag()[0] and not response.get_etag()[1], f"{seen}: no strong ETag"


def _operation(app: Flask, response: TestResponse) -> dict[str, Any] | None:
    try:
        rule, _ = app.url_map.bind_to_environ(response.request.environ).match(return_rule=True)
    except HTTPException:
        return None
    path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
    operation: dict[str, Any] | None = (
        read_openapi(app.extensions["openapi"]())["paths"].get(path, {}).get(response.request.method.lower())
    )
    return operation


@cache
def read_openapi(text: str) -> dict[str, Any]:
    """The document of the API."""
    document: dict[str, Any] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return document


@cache
def _validator(text: str, schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": read_openapi(text)["components"]})


@pytest.fixture(scope="module")
def make_app(empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeApp]:
    """A function that makes an application over an empty database, with given limits."""
    made: list[Flask] = []

    def make(settings: Settings = Settings(), **limits: int) -> Flask:  # noqa: B008 (frozen)
        url = empty_database(tmp_path_factory.mktemp("database"))
        app = create_app(replace(settings, database_url=url, limits=Limits(**limits)))
        app.test_client_class = ContractClient
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["gradbook"].database.close()


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application that the tests of one module share."""
    return make_app()


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    """The document of the API."""
    return read_openapi(app.extensions["openapi"]())


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    """A test client of `app`."""
    return app.test_client()


@pytest.fixture(scope="module")
def seed(client: FlaskClient) -> dict[str, Any]:
    """The seed example's graph and run, as the service answered them."""
    graph = client.post("/v1/graphs", json={"name": "blog", "expression": "e = a + b; f = e * c; F = f / d"}).json
    assert graph is not None
    run = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": {"a": 5, "b": 1, "c": -2, "d": -3}}).json
    return {"graph": graph, "run": run}
