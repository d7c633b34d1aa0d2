"""What a page of another site can do in a real browser: what its key allows if its origin is named, else nothing."""

from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Error

from service.process import service_process
from service.storage.access_keys import Scope, create_access_key
from service.storage.database import Database

pytestmark = pytest.mark.browser
ASK = """async ([url, key]) => {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json", "Idempotency-Key": "once" };
  const body = JSON.stringify({ name: "g", expression: "y = x * x" });
  const made = await fetch(`${url}/v1/graphs`, { method: "POST", headers, body });
  const [at, tag] = ["Location", "ETag"].map(name => made.headers.get(name));
  const same = await fetch(url + at, { headers: { ...headers, "If-None-Match": tag } });
  const unchanged = { method: "PATCH", headers: { ...headers, "If-Match": tag }, body: '{"tags": {"a": "b"}}' };
  const changed = await fetch(url + at, unchanged);
  const missing = await fetch(`${url}/v1/nowhere`, { headers });
  const keyless = await fetch(`${url}/v1/graphs`);
  const problems = [await missing.json(), await keyless.json()];
  return [made.status, same.status, changed.status, ...problems.map(problem => problem.type)];
}"""


class Blank(BaseHTTPRequestHandler):
    """A site of one empty page."""

    def do_GET(self) -> None:
        """Answer with it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *parts: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of another site on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_page_of_a_named_origin_may_call(
    browser: Browser, port: int, empty_database: Callable[[Path], str], tmp_path: Path
) -> None:
    database_url = empty_database(tmp_path)
    with closing(Database(database_url)) as database, database.write() as connection:
        key = create_access_key(connection, "notebook", Scope.WRITE)[1]
    named, unnamed = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    with service_process(database_url, variables={"GRADBOOK_ORIGINS": named}) as url:
        page = browser.new_page()
        page.goto(named)
        problems = [f"urn:gradbook:problem:{name}" for name in ("not-found", "unauthorized")]
        assert page.evaluate(ASK, [url, key]) == [201, 304, 200, *problems]
        page.goto(unnamed)
        with pytest.raises(Error, match="Failed to fetch"):
            page.evaluate(ASK, [url, key])
        page.close()
