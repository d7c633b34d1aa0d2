"""The door: every path is walked with every kind of key."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from service.api.http.elsewhere import LARGE_BODY, hand_over, work_with
from service.settings import Settings
from service.storage.access_keys import Scope, create_access_key, revoke_access_key
from service.workers.pool import Pool
from tests.api.conftest import MakeApp

OPEN = {"check_alive", "check_ready"}
ADMIN = {"get_metrics"}
POSTS_THAT_STORE_NOTHING = {"check_gradients"}
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
        for method in {"get", "post", "delete"} & methods.keys():
            security = methods[method]["security"]
            assert security == [] or (security[1:] == [{}] and "401" in methods[method]["responses"])
            said[path, method.upper()] = Scope[security[0]["bearer"][0].upper()] if security else Scope.OPEN
    mapped = {
        (re.sub("<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), method): needed(rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.endpoint.startswith("swagger_ui.")
    }
    assert said == mapped
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert "WWW-Authenticate" in document["components"]["responses"]["Unauthorized"]["headers"]


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

    def call(self, task: Any, given: bytes, **named: Any) -> Any:
        """Keep what is said of the request."""
        self.environs.append(task[0])
        return (200, []), b""


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

    # A view that declares nothing is for admins alone.
    statuses = [app.test_client().get("/undeclared", headers=bearing(key)).status_code for key in keys.values()]
    assert statuses == [403, 403, 200]


def test_a_browser_may_ask_before_it_sends_a_key(client: FlaskClient) -> None:
    asked = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/graphs", headers=asked).status_code == 200
    assert client.options("/v1/graphs").status_code == 401


def test_where_others_reach_the_service_and_there_is_no_key_nobody_is_let_in(make_app: MakeApp) -> None:
    app = make_app(Settings(host="0.0.0.0"))
    app.test_client_class = None
    paths = ("/v1/graphs", "/livez", "/readyz")
    assert [app.test_client().get(path).status_code for path in paths] == [401, 200, 200]
