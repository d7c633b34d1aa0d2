"""What holds for every page: its policy, its problems, its forms and the cookie that holds a key."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.api.http.access import COOKIE
from service.storage.access_keys import Scope, create_access_key
from service.web.pages.page import POLICY
from tests.api.conftest import MakeApp

HTML = {"Accept": "text/html"}
OWN = {"Origin": "http://localhost"}


@pytest.fixture(scope="module")
def locked(make_app: MakeApp) -> tuple[Flask, str]:
    """An application that has a key, and its text."""
    app = make_app()
    with app.extensions["gradbook"].database.write() as connection:
        return app, create_access_key(connection, "reader", Scope.READ)[1]


@pytest.mark.parametrize("path", ["/", "/runs", "/sign-in"])
def test_a_page_has_the_strict_policy_and_is_not_sent_twice(client: FlaskClient, path: str) -> None:
    shown = client.get(path)
    assert (shown.status_code, shown.mimetype) == (200, "text/html")
    assert shown.headers["Content-Security-Policy"] == POLICY
    assert shown.headers["Referrer-Policy"] == "same-origin"
    assert client.get(path, headers={"If-None-Match": shown.headers["ETag"]}).status_code == 304


def test_what_has_a_name_has_a_page_of_that_name(client: FlaskClient) -> None:
    graph = client.post("/v1/graphs", json={"name": "pages", "expression": "y = relu(x)"}).json
    run = client.post("/v1/graphs/pages/runs", json={"inputs": {"x": 0}, "label": "main"}).json
    found = client.post("/v1/comparisons", json={"baseline": "pages:main", "candidate": "pages:main"}).json
    assert graph is not None and run is not None and found is not None
    names = {"graphs": ("pages", "pages@1"), "runs": ("pages:main", "pages@1:main"), "comparisons": ()}
    for kind, each in (("graphs", graph), ("runs", run), ("comparisons", found)):
        shown = client.get(f"/{kind}/{each['id']}").text
        for name in (*names[kind], each["id"][-8:]):
            assert client.get(f"/{kind}/{name}").text.replace(f"/{kind}/{name}", f"/{kind}/{each['id']}") == shown
    assert "near it is pages" in client.get("/graphs/page", headers=HTML).text


@pytest.mark.parametrize("path", ["/nowhere", "/runs/none"])
def test_what_there_is_not_is_a_page_for_browsers_and_a_problem_for_programs(client: FlaskClient, path: str) -> None:
    shown = client.get(path, headers=HTML)
    assert (shown.status_code, shown.mimetype) == (404, "text/html")
    assert "To the first page" in shown.text
    assert client.get(path).mimetype == "application/problem+json"
    assert client.get("/v1/runs/none", headers=HTML).mimetype == "application/problem+json"


def test_static_files_are_sent_and_nothing_beside_them(client: FlaskClient) -> None:
    sent = client.get("/static/pages.css")
    assert sent.mimetype == "text/css"
    assert client.get("/static/pages.css", headers={"If-None-Match": sent.headers["ETag"]}).status_code == 304
    assert client.get("/static/../page.py").status_code == 404


def test_a_form_is_read_from_this_service_s_own_page_alone(client: FlaskClient) -> None:
    form = {"key": "x"}
    for origin in ({}, {"Origin": "null"}, {"Origin": "http://elsewhere.example"}):
        assert client.post("/sign-in", data=form, headers=origin).status_code == 403
    assert client.post("/sign-in", data=form, headers=OWN).status_code != 403
    assert client.post("/v1/graphs", data=form, headers=OWN).status_code == 415


def test_a_key_opens_the_pages_until_its_bearer_signs_out(locked: tuple[Flask, str]) -> None:
    app, key = locked
    client = app.test_client()
    led = client.get("/runs?label=x", headers=HTML)
    assert led.status_code == 303
    assert led.headers["Location"] == "/sign-in?next=/runs?label%3Dx"
    assert client.get(led.headers["Location"]).status_code == 200
    wrong = client.post("/sign-in", data={"key": key[:-1]}, headers=OWN)
    assert wrong.status_code == 422
    assert "not known" in wrong.text
    right = client.post("/sign-in", data={"key": f" {key}\n", "next": "/runs?label=x"}, headers=OWN)
    assert (right.status_code, right.headers["Location"]) == (303, "/runs?label=x")
    cookie = right.headers["Set-Cookie"]
    assert f"{COOKIE}={key}" in cookie
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    assert "Sign out" in client.get("/runs").text
    assert client.get("/v1/runs").status_code == 200  # a page's module may ask too
    assert client.post("/runs/none/check", data={"value.a": "1"}, headers=OWN).status_code == 403  # it reads only
    assert client.post("/sign-out", headers=OWN).status_code == 303
    assert client.get("/runs", headers=HTML).status_code == 303


def test_the_documentation_of_the_api_is_opened_by_the_cookie(locked: tuple[Flask, str]) -> None:
    app, key = locked
    client = app.test_client()
    assert client.get("/docs/", headers=HTML).headers["Location"] == "/sign-in?next=/docs/"
    assert client.get("/docs/").mimetype == "application/problem+json"
    led = client.post("/sign-in", data={"key": key, "next": "/docs/"}, headers=OWN)
    assert "swagger-ui" in client.get(led.headers["Location"], headers=HTML).text
    assert client.get("/openapi.yaml").status_code == 200


def test_the_cookie_is_secure_under_https(locked: tuple[Flask, str]) -> None:
    app, key = locked
    options = {"data": {"key": key}, "headers": {"Origin": "https://localhost"}, "base_url": "https://localhost"}
    assert "Secure" in app.test_client().post("/sign-in", **options).headers["Set-Cookie"]


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "/a\nb", ""])
def test_signing_in_leads_nowhere_else(locked: tuple[Flask, str], wanted: str) -> None:
    app, key = locked
    led = app.test_client().post("/sign-in", data={"key": key, "next": wanted}, headers=OWN)
    assert led.headers["Location"] == "/"
