"""Every error in every path is a problem; the error tree is mapped whole."""

import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from service.api.http.npz import MalformedArchive
from service.api.http.problems import PROBLEMS, InvalidParameters, answer_error, answer_undone, pointer
from service.api.http.strict_json import Malformed
from service.core import errors
from service.server.refusals import body_too_large
from service.storage.database import Database
from service.workers.pool import Busy, Ended, Gone, Late, Lost

FAULT = errors.Fault(("nodes", 0, "a/~b"), "wrong")
POINTED = {"errors": [{"pointer": "/nodes/0/a~1~0b", "detail": "wrong"}]}
NODES = {"limit": "nodes", "maximum": 5}
TREE: list[tuple[errors.GradbookError, int, str, dict[str, Any]]] = [
    (Malformed("wrong", (FAULT,)), 400, "malformed-json", POINTED),
    (MalformedArchive("wrong"), 400, "malformed-npz", {}),
    (errors.MalformedModel("wrong"), 400, "malformed-onnx", {}),
    (errors.NotInstalled("wrong"), 501, "not-installed", {}),
    (errors.InvalidModel([FAULT]), 422, "invalid-model", POINTED),
    (errors.MalformedTensor("wrong"), 400, "malformed-npy", {}),
    (errors.DigestMismatch("wrong"), 422, "digest-mismatch", {}),
    (errors.InvalidGraph([FAULT]), 422, "invalid-graph", POINTED),
    (errors.InvalidInputs([FAULT]), 422, "invalid-inputs", POINTED),
    (errors.InvalidRequest([FAULT]), 422, "invalid-request", POINTED),
    (InvalidParameters([FAULT]), 422, "invalid-request", {"errors": [{"parameter": "nodes", "detail": "wrong"}]}),
    (
        errors.InvalidExpression("wrong", 2, 3, "x\n ^"),
        422,
        "invalid-expression",
        {
            "errors": [{"pointer": "/expression", "detail": "line 2, column 3: wrong"}],
            "line": 2,
            "column": 3,
            "place": "x\n ^",
        },
    ),
    (errors.LimitExceeded("nodes", 5, 6, "wrong"), 422, "limit-exceeded", {**NODES, "estimate": 6}),
    (errors.LimitExceeded("nodes", 5, None, "wrong"), 422, "limit-exceeded", NODES),
    (errors.KeyReused("wrong"), 422, "idempotency-key-reused", {}),
    (errors.NotFound("wrong"), 404, "not-found", {}),
    (errors.Conflict("wrong"), 409, "conflict", {}),
    (errors.PreconditionFailed("wrong"), 412, "precondition-failed", {}),
]


def below(kind: type[errors.GradbookError]) -> Iterator[type[errors.GradbookError]]:
    """Every class below one of the tree, where `Invalid` is a name for several and not an error by itself."""
    for inner in kind.__subclasses__():
        if inner is not errors.Invalid:
            yield inner
        yield from below(inner)


def test_the_whole_tree_of_errors_is_mapped() -> None:
    assert {type(error) for error, *_ in TREE} == set(below(errors.GradbookError))
    types = list(PROBLEMS.values())
    assert len(types) == len(set(types)) and errors.GradbookError not in PROBLEMS


@pytest.mark.parametrize(("error", "status", "slug", "members"), TREE, ids=[type(row[0]).__name__ for row in TREE])
def test_an_error_as_a_problem(error: errors.GradbookError, status: int, slug: str, members: dict[str, Any]) -> None:
    document = answer_error(error).get_json()
    assert document.pop("title")
    assert document == {
        "type": f"urn:gradbook:problem:{slug}",
        "status": status,
        "detail": error.detail,
        **members,
    }
    assert "wrong" in error.detail


def test_a_hundred_faults_are_shown_and_all_are_counted() -> None:
    document = answer_error(errors.InvalidGraph([errors.Fault((), f"fault {k}") for k in range(250)])).get_json()
    assert len(document["errors"]) == 100 and document["detail"] == "250 faults; the first: fault 0"


def test_pointers() -> None:
    assert [pointer(place) for place in ((), ("",), ("a/b", 0, "m~n"))] == ["", "/", "/a~1b/0/m~0n"]


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1", 404, "not-found"),
        ("GET", "/v2/graphs", 404, "not-found"),
        ("POST", "/v1/nothing", 404, "not-found"),
        ("GET", "/v1/graphs/", 404, "not-found"),
        ("GET", "/v1//graphs", 404, "not-found"),
        ("GET", "/v1/graphs/none", 404, "not-found"),
        ("GET", "/v1/graphs/none/nodes", 404, "not-found"),
        ("POST", "/v1/graphs/none/nodes", 404, "not-found"),
        ("POST", "/v1/graphs/none/runs", 404, "not-found"),
        ("DELETE", "/v1/graphs/none", 404, "not-found"),
        ("GET", "/v1/runs/none", 404, "not-found"),
        ("GET", "/v1/runs/none/nodes", 404, "not-found"),
        ("GET", "/v1/runs/none/nodes/a", 404, "not-found"),
        ("POST", "/v1/runs/none/backward", 404, "not-found"),
        ("GET", "/v1/operations/none", 404, "not-found"),
        ("GET", "/docs/none", 404, "not-found"),
        ("PUT", "/v1/graphs", 405, "method-not-allowed"),
        ("DELETE", "/v1/runs", 405, "method-not-allowed"),
        ("PATCH", "/v1/limits", 405, "method-not-allowed"),
        ("POST", "/metrics", 405, "method-not-allowed"),
        ("POST", "/openapi.yaml", 405, "method-not-allowed"),
        ("BREW", "/v1/graphs", 405, "method-not-allowed"),
        ("POST", "/v1/graphs", 415, "unsupported-media-type"),
        ("GET", "/v1/graphs?limit=0", 422, "invalid-request"),
    ],
)
def test_every_error_is_a_problem(client: FlaskClient, method: str, path: str, status: int, slug: str) -> None:
    body = {"nodes": []} if path.endswith("nodes") else {"inputs": {}} if path.endswith("runs") else {}
    given = {"json": body} if method == "POST" and status != 415 else {}
    response = client.open(path, method=method, **given)
    assert response.status_code == status and response.content_type == "application/problem+json"
    assert response.json is not None and response.json["type"] == f"urn:gradbook:problem:{slug}"
    if status == 405:
        assert response.allow and method not in response.allow


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_too_large(make_app: Callable[..., Flask], streamed: bool) -> None:
    client = make_app(body_bytes=1000).test_client()
    given: dict[str, Any] = {"headers": {"Content-Type": "application/json"}, "data": b" " * 1001}
    if streamed:  # without a Content-Length the size is known only when it has been read
        given["environ_overrides"] = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    problem = client.post("/v1/graphs", **given).json
    assert problem is not None
    refusal = body_too_large(1000)  # what the service's own server answers
    assert problem == {
        "type": f"urn:gradbook:problem:{refusal.slug}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        **refusal.members,
    }
    assert (problem["status"], problem["limit"], problem["maximum"]) == (413, "body_bytes", 1000)


def test_a_failure_of_ours_tells_the_log_and_not_the_caller(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    def fail() -> None:
        raise RuntimeError("the secret of the house")

    app.view_functions["state.list_limits"] = fail
    response = app.test_client().get("/v1/limits", headers={"X-Request-Id": "r-1"})
    assert response.status_code == 500 and response.content_type == "application/problem+json"
    assert response.headers["X-Request-Id"] == "r-1"
    assert "secret" not in response.text and "Traceback" not in response.text and "RuntimeError" not in response.text
    assert "the secret of the house" in caplog.text and "Traceback" in caplog.text
    assert app.test_client().get("/livez").status_code == 200


def test_what_takes_more_memory_than_there_is_is_refused(make_app: Callable[..., Flask]) -> None:
    app = make_app()

    def take() -> None:
        raise MemoryError

    app.view_functions["graphs.create_graph"] = take
    response = app.test_client().post("/v1/graphs", json={})
    problem: Any = response.json
    assert (response.status_code, problem["type"]) == (422, "urn:gradbook:problem:limit-exceeded")
    assert problem["limit"] == "request_memory"


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (Late(), 503, "deadline-exceeded"),
        (Busy(), 503, "overloaded"),
        (Lost(), 503, "lost"),
        (MemoryError(), 422, "limit-exceeded"),
    ],
)
def test_what_was_not_done_elsewhere_is_a_problem(
    error: Ended | MemoryError, status: int, slug: str, make_app: Callable[..., Flask]
) -> None:
    with make_app().app_context():
        response = answer_undone(error)
    assert response.status_code == status
    assert json.loads(response.get_data())["type"] == f"urn:gradbook:problem:{slug}"
    assert response.headers.get("Retry-After") == ("1" if status == 503 else None)


def test_what_nobody_waits_for_is_logged_as_such() -> None:
    assert answer_undone(Gone()).status_code == 499


def test_who_waits_too_long_for_another_that_writes_may_try_again(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    database = app.extensions["gradbook"].database
    database._patience = 0.3
    url = database._writer.url.render_as_string(hide_password=False)
    with closing(Database(url)) as other, other.write():
        answer = app.test_client().post("/v1/graphs", json={"name": "g", "expression": "x"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert app.test_client().get("/readyz").status_code == 200  # somebody writes
    assert app.test_client().post("/v1/graphs", json={"name": "g", "expression": "x"}).status_code == 201


@pytest.mark.parametrize("lost", [pytest.param("folder", marks=pytest.mark.sqlite), "tables"])
def test_without_its_database_the_service_says_so(
    make_app: Callable[..., Flask], lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    database = app.extensions["gradbook"].database
    if lost == "folder":
        shutil.rmtree(database.file.path.parent)
    else:
        with database.write() as connection:
            connection.execute(text("DROP TABLE alembic_version"))
            connection.execute(text("DROP TABLE graph_tags"))
    client = app.test_client()
    for response in (
        client.get("/readyz"),
        client.get("/v1/graphs"),
        client.post("/v1/graphs", json={"name": "g", "expression": "x", "tags": {"a": "b"}}),
    ):
        assert response.status_code == 503 and response.json is not None
        assert response.json["type"] == "urn:gradbook:problem:not-ready"
        assert "Traceback" not in response.text and "SELECT" not in response.text
    assert client.get("/livez").status_code == 200
    (said,) = [record for record in caplog.records if record.levelno >= logging.WARNING]  # not one for each request
    assert said.name == "gradbook.outage" and said.exc_info is None


@contextmanager
def read_only(file: Path) -> Iterator[None]:
    """Nobody may write to a file; root may, unless it is mounted so."""
    if os.geteuid():
        file.chmod(0o444)
        yield
        file.chmod(0o644)
        return
    for mount in (["--bind", file, file], ["-o", "remount,bind,ro", file]):
        if subprocess.run(["mount", *mount], check=False, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here, so that no file is read-only for root")
    try:
        yield
    finally:
        subprocess.run(["umount", file], check=True)


@pytest.mark.sqlite
def test_a_read_only_file_is_written_to_again_once_it_may_be(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    client, database = app.test_client(), app.extensions["gradbook"].database
    client.post("/v1/graphs", json={"name": "before", "expression": "x"})
    database.close()  # as connections that are open already go on
    with read_only(database.file.path):
        for response in (client.post("/v1/graphs", json={"name": "g", "expression": "x"}), client.get("/readyz")) * 2:
            assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
            assert response.json is not None and response.json["type"] == "urn:gradbook:problem:not-ready"
        database.close()
    assert client.get("/readyz").status_code == 200
    assert client.post("/v1/graphs", json={"name": "g", "expression": "x"}).status_code == 201
    said = [record.getMessage()[:28] for record in caplog.records if record.name == "gradbook.outage"]
    assert said == ["the database does not answer", "the database answers again, "]  # once, not for each request
