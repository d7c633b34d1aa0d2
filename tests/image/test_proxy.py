"""docs/operating.md as it is written: nginx, TLS and the compose override, below a prefix."""

import re
from collections.abc import Iterator

import pytest
import requests

from tests.image.engine import ROOT, Engine
from tests.image.test_compose import is_ready, seconds_until

PAGE = (ROOT / "docs/operating.md").read_text().replace("books.example", "localhost")
URL = "https://localhost/gradbook"
FILES = ("--file=docker-compose.yml", "--file=/tmp/docker-compose.override.yml")


def block(language: str) -> str:
    """The only block of the page in that language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def key(engine: Engine) -> Iterator[str]:
    """A key of the service, which serves behind nginx."""
    (engine.root / "tmp/docker-compose.override.yml").write_text(block("yaml"))
    created, *_ = re.findall(r"(?<=gradbook gradbook )key create .*", PAGE)
    try:
        made = engine.compose(*FILES, "run", "--rm", "-T", "gradbook", "gradbook", *created.split())
        engine.compose(*FILES, "up", "--detach", "--no-build", "gradbook")
        seconds_until(is_ready, 60)
        yield made.split()[-1]
    finally:
        engine.compose("down", "--volumes")


@pytest.fixture(scope="module")
def proxied(engine: Engine, key: str) -> Iterator[requests.Session]:
    """Who asks nginx, with the key."""
    engine.run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *(
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "/etc/ssl/localhost.key",
            "-out",
            "/etc/ssl/localhost.pem",
        ),
    )
    (engine.root / "etc/nginx/sites-enabled/default").unlink(missing_ok=True)
    (engine.root / "etc/nginx/conf.d/gradbook.conf").write_text(block("nginx"))
    with (
        engine.server(engine.inside(["nginx", "-g", "daemon off;"]), ready=("test", "-s", "/run/nginx.pid")),
        requests.Session() as session,
    ):
        session.trust_env = False
        session.verify = str(engine.root / "etc/ssl/localhost.pem")
        session.headers["Authorization"] = f"Bearer {key}"
        yield session
    for name in ("etc/nginx/conf.d/gradbook.conf", "etc/ssl/localhost.key", "etc/ssl/localhost.pem"):
        (engine.root / name).unlink()


def test_every_address_that_is_named_has_the_prefix(proxied: requests.Session) -> None:
    for name in ("g", "h"):
        made = proxied.post(f"{URL}/v1/graphs", json={"name": name, "expression": f"{name} = x * x"}, timeout=60)
        assert made.headers["Location"] == f"/gradbook/v1/graphs/{made.json()['id']}"
        assert proxied.get(f"https://localhost{made.headers['Location']}", timeout=60).json() == made.json()
    first = proxied.get(f"{URL}/v1/graphs?limit=1", timeout=60)
    assert first.links["next"]["url"].startswith("/gradbook/v1/graphs?limit=1&cursor=")
    second = proxied.get(f"https://localhost{first.links['next']['url']}", timeout=60).json()["graphs"]
    assert [graph["name"] for graph in (*first.json()["graphs"], *second)] == ["h", "g"]
    page = proxied.get(f"{URL}/docs", timeout=60)
    assert (page.url, page.status_code) == (f"{URL}/docs/", 200)
    for path in re.findall(r'(?:href|src)="(/[^"]+)"', page.text):
        assert path.startswith("/gradbook/docs/") and proxied.get(f"https://localhost{path}", timeout=60).ok
    assert "servers:\n- url: /gradbook\n" in proxied.get(f"{URL}/openapi.yaml", timeout=60).text


def test_plain_http_is_sent_to_https(proxied: requests.Session) -> None:
    answer = proxied.get("http://localhost/gradbook/v1/graphs", timeout=60)
    assert (answer.url, answer.status_code) == (f"{URL}/v1/graphs", 200)


def test_nginx_alone_says_who_asks(engine: Engine, proxied: requests.Session) -> None:
    told = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example"}
    body = {"name": "told", "expression": "x"}
    assert proxied.post(f"{URL}/v1/graphs", json=body, headers=told, timeout=60).status_code < 300
    assert '"client":"127.0.0.1"' in changes(engine)[-1]


def test_nobody_is_answered_without_the_key(proxied: requests.Session) -> None:
    assert proxied.get(f"{URL}/v1/graphs", headers={"Authorization": ""}, timeout=60).status_code == 401
    assert proxied.get(f"{URL}/readyz", headers={"Authorization": ""}, timeout=60).status_code == 200


def test_a_body_as_large_as_the_service_takes_comes_through(proxied: requests.Session) -> None:
    body = b'{"name": "g", "expression": "x"}'
    answer = proxied.post(
        f"{URL}/v1/graphs",
        data=body + b" " * (64 * 2**20 - len(body)),
        headers={"Content-Type": "application/json"},
        timeout=120,
    )
    assert answer.status_code < 300


def changes(engine: Engine) -> list[str]:
    said = engine.run("docker", "compose", "logs", "--no-log-prefix", "gradbook").stdout
    return [line for line in said.splitlines() if '"change"' in line]
