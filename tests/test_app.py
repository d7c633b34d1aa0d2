"""The application as it is wired, and behind its real server: what only HTTP itself can change."""

import json
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from urllib.parse import quote, urlsplit

import pytest
import requests
from werkzeug.serving import make_server

from service.app import create_app
from service.client import Client
from service.settings import Limits, Settings

NAMES = [
    "/block/MatMul_out:0",
    "//",
    "a//b",
    "a/",
    "%2F",
    "100%",
    ".",
    "..",
    "a/../b",
    "?#",
    "é 日本",
    "layer1.0.weight",
]


def test_settings_left_out_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADBOOK_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    monkeypatch.setenv("GRADBOOK_MAX_PAGE", "17")
    context = create_app().extensions["gradbook"]
    assert context.limits == Limits(page=17)
    context.database.migrate()
    assert (tmp_path / "other.db").exists()
    context.database.close()


def test_a_database_that_cannot_be_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="sqlite:///"):
        create_app(Settings(database_url="gradbook.db"))


def test_any_name_reaches_the_service_through_its_server(service_url: str) -> None:
    nodes = [{"name": name, "operation": "Input"} for name in NAMES]
    graph = requests.post(
        f"{service_url}/v1/graphs",
        json={"name": "names", "nodes": [*nodes, {"name": "s", "operation": "Sum", "inputs": NAMES}]},
        timeout=60,
    ).json()
    inputs = {name: position for position, name in enumerate(NAMES)}
    run = requests.post(f"{service_url}/v1/graphs/{graph['id']}/runs", json={"inputs": inputs}, timeout=60).json()
    address = urlsplit(service_url)
    assert address.hostname
    for position, name in enumerate(NAMES):
        connection = HTTPConnection(address.hostname, address.port, timeout=60)  # it sends a path as it is given
        connection.request("GET", f"/v1/runs/{run['id']}/nodes/{quote(name, safe='')}")
        answer = connection.getresponse()
        document = answer.read().decode()
        connection.close()
        assert answer.status == 200, name
        assert f'"value":{float(position)}' in document


def test_any_wsgi_server_can_serve_the_application(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/gradbook.db")
    app = create_app(settings)
    app.extensions["gradbook"].database.migrate()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{server.port}") as client:
            run = client.create_run(client.create_graph("any", expression="y = x * x"), {"x": 3.0})
            client.check_ready()
        assert (run.values["y"], run.gradients["x"]) == (9, 6)
        answer = requests.get(f"http://127.0.0.1:{server.port}/livez", timeout=10)
        assert answer.json() == {"status": "ok"}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["gradbook"].database.close()


def test_the_services_own_server_writes_problems_as_the_application_does(service_url: str) -> None:
    address = urlsplit(service_url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=60)
    connection.request("BREW", "/v1/graphs")
    answer = connection.getresponse()
    refused = json.loads(answer.read())
    connection.close()
    ours = requests.get(f"{service_url}/nothing", timeout=60)
    assert refused.keys() == ours.json().keys() == {"type", "title", "status", "detail"}
    assert answer.status == refused["status"] == 501
    assert answer.headers["Content-Type"] == ours.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-Id"] and ours.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("body", "status"), [(b"[" * 100_000, 422), (b'{"name":%s}' % (b"1" * 5000), 400), (b"\xff", 400), (b"", 400)]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_hostile_bodies_are_problems_through_its_server(
    service_url: str, body: bytes, status: int, chunked: bool
) -> None:
    data = iter([body[:7], body[7:]]) if chunked and len(body) > 7 else body
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{service_url}/v1/graphs", data=data, headers=headers, timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status and answer.headers["X-Request-Id"]
