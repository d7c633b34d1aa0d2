"""Behind a proxy: below a prefix, and told by it who asks, by which scheme and name."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from flask import Flask, request
from flask.testing import FlaskClient

from service.settings import read_settings
from tests.api.conftest import MakeApp

TOLD = {"X-Forwarded-For": "evil, 203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "books.example"}


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """One below a prefix that believes two proxies."""
    variables = {"HOSTS": "books.example", "PREFIX": "/tools/gradbook/", "PROXIES": "10.1.0.0/16, ::1"}
    app = make_app(read_settings({f"GRADBOOK_{name}": value for name, value in variables.items()}))
    app.test_client_class = FlaskClient
    app.add_url_rule("/asked", "asked", lambda: [request.remote_addr, request.url])
    return app


def asked(client: FlaskClient, address: str, headers: Mapping[str, str] = TOLD) -> Any:
    environ = {"REMOTE_ADDR": address}
    return client.get(
        "/asked", headers=headers, environ_overrides=environ, base_url="http://10.9.9.9:8000/tools/gradbook"
    )


@pytest.mark.parametrize("proxy", ["10.1.2.3", "::ffff:10.1.2.3", "::1"])
def test_a_proxy_of_ours_is_believed(client: FlaskClient, proxy: str) -> None:
    assert asked(client, proxy).json == ["203.0.113.9", "https://books.example/tools/gradbook/asked"]
    assert asked(client, proxy, {"Host": "books.example"}).json[0] == proxy


@pytest.mark.parametrize("address", ["10.2.2.3", "::2", "", "no address"])
def test_nobody_else_is_believed(client: FlaskClient, address: str) -> None:
    assert asked(client, address).status_code == 421  # it is not called 10.9.9.9
    told = asked(client, address, TOLD | {"Host": "books.example"})
    assert told.json == [address, "http://books.example/tools/gradbook/asked"]


def test_whatever_names_a_path_names_the_prefix(client: FlaskClient) -> None:
    here = {"base_url": "http://books.example/tools/gradbook"}
    made: Any = client.post("/v1/graphs", json={"name": "g", "expression": "y = x"}, **here)
    assert made.headers["Location"] == f"/tools/gradbook/v1/graphs/{made.json['id']}"
    client.post("/v1/graphs", json={"name": "h", "expression": "y = x * x"}, **here)
    assert client.get("/v1/graphs?limit=1", **here).headers["Link"].startswith("</tools/gradbook/v1/graphs?limit=1&")
    assert client.get("/docs", **here).headers["Location"] == "http://books.example/tools/gradbook/docs/"
    page = client.get("/docs/", **here).text
    assert '"/tools/gradbook/docs/swagger-ui.css"' in page and '"url": "/tools/gradbook/openapi.yaml"' in page
    assert client.get("/docs/swagger-ui.css", buffered=True, **here).status_code == 200
    document = yaml.load(client.get("/openapi.yaml", **here).text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert document["servers"][0]["url"] == "/tools/gradbook"
