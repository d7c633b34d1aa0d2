"""The door: every path is walked with every kind of key; what is logged of changes; how often a key may ask."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from service.api.http.elsewhere import LARGE_BODY, hand_over, work_with
from service.settings import Settings
from service.storage.access_keys import Scope, create_access_key, revoke_access_key
from service.usecases import rate_limit
from service.usecases.access import Keyring
from service.usecases.jobs import get_job
from service.workers.pool import Pool
from tests.api.conftest import MakeApp

GUIDE = {"list_guide", "get_guide", "get_problem_type"}
OPEN = {"check_alive", "check_ready", "static", "sign_in", "give_key", "sign_out", *GUIDE}
ADMIN = {"get_metrics", "list_keys", "list_settings"}
POSTS_THAT_STORE_NOTHING = {"align_runs", "check_gradients", "draft_graph"}
CHALLENGE = 'Bearer realm="gradbook"'


def make_key(app: Flask, scope: Scope, **given: Any) -> str:
    with app.extensions["gradbook"].database.write() as connection:
        return create_access_key(connection, scope.name, scope, **given)[1]


def revoke(app: Flask, text: str) -> None:
    with app.extensions["gradbook"].database.write() as connection:
        assert len(revoke_access_key(connection, text[:21])) == 1


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application that has keys."""
    app = make_app()
    app.extensions["keys"] = {scope: make_key(app, scope) for scope in (Scope.READ, Scope.WRITE, Scope.ADMIN)}
    past = datetime.now(UTC) - timedelta(seconds=1)
    app.extensions["expired"] = make_key(app, Scope.ADMIN, expires_at=past)
    app.extensions["revoked"] = make_key(app, Scope.ADMIN)
    revoke(app, app.extensions["revoked"])
    return app


@pytest.fixture(scope="module")
def keys(app: Flask) -> dict[Scope, str]:
    """A key of each scope."""
    found: dict[Scope, str] = app.extensions["keys"]
    return found


def needed(rule: Rule, method: str) -> Scope:
    """What SECURITY.md says that a request needs, told from its name and method alone."""
    if method == "OPTIONS":
        return Scope.READ
    name = rule.endpoint.rpartition(".")[2]
    if name in OPEN:
        return Scope.OPEN
    if name in ADMIN:
        return Scope.ADMIN
    return Scope.READ if method in ("GET", "HEAD") or name in POSTS_THAT_STORE_NOTHING else Scope.WRITE


def every_request(app: Flask) -> Iterator[tuple[str, str, Scope]]:
    for rule in app.url_map.iter_rules():
        for method in sorted(rule.methods or ()):
            yield method, re.sub("<[^>]+>", "none", rule.rule), needed(rule, method)
    for method in ("GET", "POST", "BREW"):
        yield method, "/v1/nowhere", Scope.READ
    yield "PATCH", "/v1/graphs", Scope.READ  # which is refused by the method, and only told to who has a key


def test_every_path_is_open_to_the_right_key_alone(app: Flask, client: FlaskClient, keys: dict[Scope, str]) -> None:
    walked = set()
    for method, path, scope in every_request(app):
        walked.add(scope)
        seen = f"{method} {path}"
        for key in (None, app.extensions["expired"], app.extensions["revoked"], keys[Scope.ADMIN][:-1] + "-"):
            answered = client.open(path, method=method, headers=bearing(key) if key else {})
            assert (answered.status_code == 401) == (scope is not Scope.OPEN), seen
            if answered.status_code == 401:
                said = answered.headers["WWW-Authenticate"]
                assert said == (f'{CHALLENGE}, error="invalid_token"' if key else CHALLENGE), seen
        for held, key in keys.items():
            answered = client.open(path, method=method, headers=bearing(key))
            assert (answered.status_code == 403) == (held < scope), seen
            assert answered.status_code != 401, seen
            if answered.status_code == 403:
                name = scope.name.lower()
                asked = f'{CHALLENGE}, error="insufficient_scope", scope="{name}"'
                assert answered.headers["WWW-Authenticate"] == asked, seen
    assert walked == set(Scope)


def test_the_document_says_what_each_operation_needs(app: Flask, document: Any) -> None:
    said = {}
    for path, methods in document["paths"].items():
        for method in {"get", "post", "put", "patch", "delete"} & methods.keys():
            security = methods[method]["security"]
            assert security == [] or (security[1:] == [{}] and {"401", "429"} <= methods[method]["responses"].keys())
            said[path, method.upper()] = Scope[security[0]["bearer"][0].upper()] if security else Scope.OPEN
    mapped = {
        (re.sub("<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), method): needed(rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.endpoint.startswith(("swagger_ui.", "pages."))
    }
    assert said == mapped
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    responses = document["components"]["responses"]
    assert "WWW-Authenticate" in responses["Unauthorized"]["headers"]
    assert {"Retry-After", "RateLimit", "RateLimit-Policy"} == responses["TooManyRequests"]["headers"].keys()


@pytest.mark.parametrize(
    "text", ["Basic {}", "{}", "Bearer", "Bearer  ", "Bearer {}x", "Bearer é", "Bearer {}, Bearer {}"]
)
def test_a_key_is_sent_in_one_way(client: FlaskClient, keys: dict[Scope, str], text: str) -> None:
    asked = {"Authorization": text.replace("{}", keys[Scope.READ])}
    assert client.get("/v1/graphs", headers=asked).status_code == 401


def test_the_scheme_has_no_case(client: FlaskClient, keys: dict[Scope, str]) -> None:
    for scheme in ("bearer", "BEARER"):
        assert client.get("/v1/graphs", headers={"Authorization": f"{scheme} {keys[Scope.READ]}"}).status_code == 200


def test_a_refusal_is_told_from_the_problem(client: FlaskClient, app: Flask, keys: dict[Scope, str]) -> None:
    def detail(key: str, path: str = "/v1/graphs") -> tuple[str, str]:
        problem: Any = client.get(path, headers=bearing(key)).json
        return problem["type"].rpartition(":")[2], problem["detail"]

    assert detail(app.extensions["expired"]) == ("unauthorized", "this key is expired")
    assert detail(app.extensions["revoked"]) == ("unauthorized", "this key is revoked")
    assert detail("gradbook_0") == ("unauthorized", "this key is not known")
    kind, said = detail(keys[Scope.WRITE], "/metrics")
    assert kind == "forbidden" and said == "this needs a key of the scope admin, and this one's is write"


class Elsewhere(Pool):
    """A pool that keeps what it is asked, and does nothing."""

    def __init__(self) -> None:
        super().__init__(lambda: work_with(Flask("nothing")), 0, 0)
        self.environs: list[dict[str, Any]] = []
        self.status = 200

    def call(self, task: Any, given: bytes, **named: Any) -> Any:
        """Keep what is said of the request."""
        self.environs.append(task[0])
        return (self.status, [], [], ()), b""


def test_nothing_is_done_and_no_body_is_handed_over_before_the_key_is_known(make_app: MakeApp) -> None:
    app, pool = make_app(), Elsewhere()
    hand_over(app, pool, 1.0)
    app.add_url_rule("/undeclared", view_func=lambda: "reached")
    app.test_client_class = None
    keys = {scope: make_key(app, scope) for scope in (Scope.READ, Scope.WRITE, Scope.ADMIN)}

    def post(body: bytes, headers: dict[str, str]) -> int:
        sent = {**headers, "Content-Type": "application/json"}
        return app.test_client().post("/v1/graphs", data=body, headers=sent).status_code

    large = b" " * (LARGE_BODY + 1)
    forged = {"gradbook.admitted": "x", "Gradbook-Admitted": "x", "gradbook_admitted": "x"}
    for headers, status in (({}, 401), (forged, 401), (bearing(keys[Scope.READ]), 403)):
        assert [post(body, headers) for body in (b"{", large)] == [status, status]
    assert pool.environs == []
    # What was let in is not asked for its key again in the process that answers it.
    assert [post(body, bearing(keys[Scope.WRITE])) for body in (b"{", large)] == [400, 200]
    (environ,) = pool.environs
    assert environ["gradbook.admitted"] == keys[Scope.WRITE][:21]
    assert keys[Scope.WRITE][22:] not in str(environ)

    # A view that declares nothing is for admins alone.
    statuses = [app.test_client().get("/undeclared", headers=bearing(key)).status_code for key in keys.values()]
    assert statuses == [403, 403, 200]


def test_a_browser_may_ask_before_it_sends_a_key(client: FlaskClient) -> None:
    asked = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/graphs", headers=asked).status_code == 200
    assert client.options("/v1/graphs").status_code == 401


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(json.loads(record.getMessage()))


@pytest.fixture
def changes() -> Iterator[list[Any]]:
    """What is logged of changes."""
    handler = Lines()
    handler.addFilter(lambda record: '"change"' in record.getMessage())
    logging.getLogger("gradbook.requests").addHandler(handler)
    yield handler.lines
    logging.getLogger("gradbook.requests").removeHandler(handler)


def test_each_change_is_logged_with_its_key(
    app: Flask, client: FlaskClient, keys: dict[Scope, str], changes: list[Any]
) -> None:
    writer = bearing(keys[Scope.WRITE])

    def post(path: str, **body: Any) -> Any:
        return client.post(path, json=body, headers=writer).json

    graph = post("/v1/graphs", name="audited", expression="y = x * x")["id"]
    path = f"/v1/graphs/{graph}"
    assert post("/v1/graphs", name="audited", expression="y = x * x")["id"] == graph  # which changes nothing
    run = post(f"{path}/runs", inputs={"x": 2}, backward=False)["id"]
    post(f"{path}/runs", inputs={"x": 2}, keep=False)
    post(f"{path}/runs", inputs={})
    post(f"{path}/gradient-checks", inputs={"x": 2})
    post(f"/v1/runs/{run}/backward")
    client.get(path, headers=writer)
    client.delete(path, headers=writer)
    added = post(f"{path}/nodes", nodes=[{"name": "z", "operation": "Neg", "inputs": ["y"]}])["id"]
    client.delete(f"/v1/graphs/{added}", headers=writer)
    assert [(line["change"], line["resource"], line["status"]) for line in changes] == [
        ("create_graph", path, 201),
        ("create_run", f"/v1/runs/{run}", 201),
        ("run_backward", f"/v1/runs/{run}/backward", 200),
        ("add_nodes", f"/v1/graphs/{added}", 201),
        ("delete_graph", f"/v1/graphs/{added}", 204),
    ]
    for line in changes:
        assert (line["key"], line["name"], line["client"]) == (keys[Scope.WRITE][:21], "WRITE", "127.0.0.1")
        assert line["request_id"] and line["time"].endswith("Z")
        assert keys[Scope.WRITE][22:] not in json.dumps(line)


def test_what_is_done_as_a_job_needs_a_key_that_may_store_something(make_app: MakeApp) -> None:
    app, pool = make_app(), Elsewhere()
    hand_over(app, pool, 1.0)
    keys = {scope: make_key(app, scope) for scope in (Scope.READ, Scope.WRITE)}
    client, context = app.test_client(), app.extensions["gradbook"]
    check = "/v1/graphs/g/gradient-checks"

    def ask(key: str) -> Any:
        large, headers = b" " * (LARGE_BODY + 1), {"Prefer": "respond-async", "Cookie": f"gradbook_key={key}"}
        return client.post(check, data=large, content_type="application/json", headers={**headers, **bearing(key)})

    refused, deferred = ask(keys[Scope.READ]), ask(keys[Scope.WRITE])
    assert refused.status_code == 403 and "scope write" in refused.json["detail"]
    assert deferred.status_code == 202
    kept = get_job(context, deferred.json["id"]).task
    assert kept["environ"]["gradbook.admitted"] == keys[Scope.WRITE][:21]
    assert not any(key in json.dumps(kept) for key in keys.values()) and "COOKIE" not in json.dumps(kept)
    assert pool.environs == []


def test_a_change_without_a_key_and_one_that_was_given_up_are_logged(make_app: MakeApp, changes: list[Any]) -> None:
    app, pool = make_app(), Elsewhere()
    pool.status = 503
    hand_over(app, pool, 1.0)
    app.test_client_class = None
    made = app.test_client().post("/v1/graphs", json={"name": "g", "expression": "x"})
    app.test_client().post("/v1/graphs", data=b" " * (LARGE_BODY + 1), content_type="application/json")
    seen = [(line["change"], line["status"], line["resource"], line["key"], line["name"]) for line in changes]
    assert seen == [
        ("create_graph", 201, made.headers["Location"], "anonymous", None),
        ("create_graph", 503, "/v1/graphs", "anonymous", None),
    ]


def test_a_key_that_was_made_or_revoked_at_the_database_is_logged(
    make_app: MakeApp, changes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Keyring.__init__.__kwdefaults__, "kept", 0.0)
    app = make_app()
    app.test_client_class = None
    app.test_client().get("/v1/graphs")
    key = make_key(app, Scope.WRITE)
    app.test_client().get("/v1/graphs")
    revoke(app, key)
    app.test_client().get("/v1/graphs")
    seen = [(line["change"], line["resource"], line["name"], line["scope"], line["request_id"]) for line in changes]
    assert seen == [(change, key[:21], "WRITE", "write", None) for change in ("create_key", "revoke_key")]
    assert key[22:] not in json.dumps(changes)


def test_a_key_that_asks_too_often_is_told_when_to_ask_again(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(Settings(requests_per_minute=3))
    app.test_client_class = None
    readers = [make_key(app, Scope.READ) for _ in range(2)]
    now = 60_000_018.0
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(time=lambda: now))
    client = app.test_client()

    def get(key: str) -> Any:
        return client.get("/v1/graphs", headers=bearing(key))

    answers = [get(readers[0]) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["RateLimit"] for answer in answers] == [
        f'"minute";r={left};t=42' for left in (2, 1, 0, 0, 0)
    ]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"minute";q=3;w=60'}
    assert answers[3].headers["Retry-After"] == "42" and "Retry-After" not in answers[2].headers
    assert answers[3].json["type"] == "urn:gradbook:problem:too-many-requests"
    assert get(readers[1]).status_code == 200
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
    assert client.post("/v1/graphs", headers=bearing(readers[0])).status_code == 403  # which counts for nothing
    now += 42
    assert get(readers[0]).headers["RateLimit"] == '"minute";r=2;t=60'


def test_where_others_reach_the_service_and_there_is_no_key_nobody_is_let_in(make_app: MakeApp) -> None:
    app = make_app(Settings(host="0.0.0.0"))
    app.test_client_class = None
    paths = ("/v1/graphs", "/livez", "/readyz")
    assert [app.test_client().get(path).status_code for path in paths] == [401, 200, 200]
