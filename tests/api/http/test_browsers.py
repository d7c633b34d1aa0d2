"""What other sites' pages may not do through a browser, and what answers say to one."""

import base64
import hashlib
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.settings import Settings
from tests.api.conftest import MakeApp
from tests.api.test_runs import create, run

NOTES = "https://notes.example"
GRAPH = {"name": "g", "expression": "y = x"}


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json["type"].removeprefix("urn:gradbook:problem:")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_it_is_called_by_the_names_of_this_machine(client: FlaskClient, host: str) -> None:
    assert client.get("/v1/limits", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.1", "gradbook", "", "a b", "[", "*"]
)
def test_by_any_other_name_it_answers_nothing_but_probes(client: FlaskClient, host: str) -> None:
    refused: Any = client.post("/v1/graphs", json=GRAPH, headers={"Host": host})
    assert problem(refused) == (421, "misdirected-request")
    assert "GRADBOOK_HOSTS" in refused.json["detail"]
    for path in ("/livez", "/readyz"):
        assert client.get(path, headers={"Host": host}).status_code == 200
    for path in ("/metrics", "/docs/", "/openapi.yaml", "/nowhere"):
        assert client.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "TEXT/plain; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_a_form_does_nothing_even_without_a_body(client: FlaskClient, content_type: str) -> None:
    made = run(client, create(client, "F = a * b"), {"a": 2, "b": 3}, backward=False)
    path = f"/v1/runs/{made['id']}/backward"
    assert problem(client.post(path, content_type=content_type)) == (415, "unsupported-media-type")
    assert problem(client.post("/v1/graphs", data='{"name":"g"}', content_type=content_type))[0] == 415
    assert problem(client.delete(f"/v1/runs/{made['id']}", content_type=content_type))[0] == 415
    unchanged: Any = client.get(f"/v1/runs/{made['id']}").json
    assert unchanged["gradients"] is None
    assert client.post(path).status_code < 300  # neither a body nor a type


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
)
def test_another_sites_page_is_refused(client: FlaskClient, headers: dict[str, str]) -> None:
    assert problem(client.post("/v1/graphs", json=GRAPH, headers=headers)) == (403, "forbidden")
    assert problem(client.get("/v1/graphs", headers=headers)) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "image"},
    ],
)
def test_its_own_pages_and_the_address_bar_are_not(client: FlaskClient, headers: dict[str, str]) -> None:
    assert client.post("/v1/graphs", json=GRAPH, headers=headers).status_code in (200, 201)


def test_a_link_on_another_site_may_be_followed_and_a_form_not(client: FlaskClient) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/docs/", headers=followed).status_code == 200
    assert client.post("/v1/graphs", json=GRAPH, headers=followed).status_code == 403


def test_no_other_site_reads_answers_unless_it_is_named(client: FlaskClient, make_app: MakeApp) -> None:
    preflight = {"Origin": NOTES, "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/graphs", headers=preflight).status_code == 403
    assert not any(name.startswith("Access-Control") for name, _ in client.get("/v1/graphs").headers)

    named = make_app(Settings(origins=(NOTES,))).test_client()
    asked = named.options("/v1/graphs", headers=preflight)
    assert asked.headers["Access-Control-Allow-Origin"] == NOTES
    assert {"GET", "POST"} <= set(asked.headers["Access-Control-Allow-Methods"].split(", "))
    assert {"Authorization", "Idempotency-Key"} <= set(asked.headers["Access-Control-Allow-Headers"].split(", "))
    made = named.post("/v1/graphs", json=GRAPH, headers={"Origin": NOTES, "Sec-Fetch-Site": "cross-site"})
    assert made.status_code == 201 and made.headers["Access-Control-Allow-Origin"] == NOTES
    assert "Location" in made.headers["Access-Control-Expose-Headers"]
    assert "Origin" in made.vary and "Origin" in named.get("/v1/graphs").vary
    assert named.get("/v1/graphs", headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_named_sites_page_may_send_and_read_what_the_document_names(make_app: MakeApp, document: Any) -> None:
    named = make_app(Settings(origins=(NOTES,))).test_client()
    asked = named.options("/v1/runs/x", headers={"Origin": NOTES, "Access-Control-Request-Method": "PATCH"})
    assert (asked.status_code, asked.data) == (204, b"")
    methods, sent, read = (
        set(asked.headers[f"Access-Control-{name}"].split(", "))
        for name in ("Allow-Methods", "Allow-Headers", "Expose-Headers")
    )
    operations = [
        (method.upper(), operation)
        for methods in document["paths"].values()
        for method, operation in methods.items()
        if method != "parameters"
    ]
    assert methods == {method for method, _ in operations} | {"HEAD"}
    given = {part["name"] for _, each in operations for part in each.get("parameters", ()) if part["in"] == "header"}
    assert sent == given | {"Authorization", "Content-Type", "X-Request-Id", "traceparent", "tracestate"}
    answers = [answer for _, each in operations for answer in each["responses"].values()]
    answers += document["components"]["responses"].values()
    found = {header for answer in answers for header in answer.get("headers", ())}
    assert read == found | {"X-Request-Id", "traceresponse"}
    assert "Access-Control-Allow-Credentials" not in asked.headers


def test_a_named_sites_page_reads_why_it_is_refused(make_app: MakeApp) -> None:
    named = make_app(Settings(origins=(NOTES,))).test_client()
    asks = {"Origin": NOTES, "Access-Control-Request-Method": "GET"}
    assert named.options("/v1/nowhere", headers=asks).status_code == 204
    for path, status in (("/v1/nowhere", 404), ("/v1/graphs?limit=0", 422)):
        refused = named.get(path, headers={"Origin": NOTES})
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (status, NOTES)
    assert named.options("/v1/nowhere").status_code == 404  # nothing was asked for


def test_any_name_and_given_names(make_app: MakeApp) -> None:
    anything = make_app(Settings(hosts=("*",))).test_client()
    assert anything.get("/v1/limits", headers={"Host": "notes.example"}).status_code == 200
    given = make_app(Settings(hosts=("notes.example",))).test_client()
    assert given.get("/v1/limits", headers={"Host": "notes.example:80"}).status_code == 200
    assert given.get("/v1/limits", headers={"Host": "localhost"}).status_code == 421


def test_answers_are_taken_for_what_they_are_and_shown_in_no_frame(client: FlaskClient) -> None:
    graph = create(client, "F = a * b")
    answers = [client.get(path) for path in ("/v1/graphs", "/livez", "/nowhere", "/openapi.yaml", "/docs/", "/docs")]
    answers += [client.get(f"/v1/graphs/{graph}/picture"), client.get("/docs/swagger-ui.css")]
    answers += [client.get("/v1/graphs", headers={"Origin": "null"})]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and policy.endswith("frame-ancestors 'none'")
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_documents_page_runs_its_own_script_and_no_other(client: FlaskClient) -> None:
    page = client.get("/docs/")
    (script,) = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (scripts,) = re.findall("script-src ([^;]*);", page.headers["Content-Security-Policy"])
    assert scripts == f"'self' 'sha256-{digest}'"
