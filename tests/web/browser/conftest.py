"""A real service and a real browser. On every page that a test leaves: the strict policy, no message in the console, no
request to another host, no serious fault of accessibility, nothing that scrolls sideways."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from service import example
from service.process import service_process
from service.web.pages.page import POLICY

HERE = Path(__file__).parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
AXE = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter(found => ["serious", "critical"].includes(found.impact))
  .map(found => `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map(node => node.target.join(" "))}`)"""


@dataclass
class Site:
    """A service with the tutorial's run in it, and what the tests have seen of it."""

    url: str
    run: str
    graph: str
    shown: set[str] = field(default_factory=set)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """What the API answers."""
        answered = requests.post(f"{self.url}{path}", json=body, timeout=60)
        assert answered.ok, answered.text
        document: dict[str, Any] = answered.json()
        return document


def make_site(url: str, headers: dict[str, str] | None = None) -> Site:
    """Store the tutorial's graph and run."""
    body = {"name": "tutorial", "expression": example.EXPRESSION}
    graph = requests.post(f"{url}/v1/graphs", json=body, headers=headers, timeout=60).json()
    body = {"inputs": example.INPUTS, "label": "by hand"}
    run = requests.post(f"{url}/v1/graphs/{graph['id']}/runs", json=body, headers=headers, timeout=60).json()
    return Site(url, run["id"], graph["id"])


@pytest.fixture(scope="session")
def site(empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service of its own."""
    with service_process(empty_database(tmp_path_factory.mktemp("site"))) as url:
        yield make_site(url)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    assert CHROMIUM, "Chromium is not installed"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """A function that opens a page of the site in a context of its own; every page is inspected at the end."""
    contexts: list[tuple[BrowserContext, Page, list[str], bool]] = []

    def make(path: str, base: str | None = None, status: int = 200, **options: Any) -> Page:
        context = browser.new_context(base_url=base or site.url, **options)
        page, seen = context.new_page(), []
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on(
            "request", lambda request: seen.append(f"asks {request.url}") if is_foreign(request.url, base) else None
        )
        page.on("response", lambda response: seen.extend(fault_of(response)))
        contexts.append((context, page, seen, options.get("java_script_enabled", True)))
        answered = page.goto(path)
        assert answered is not None and answered.status == status
        if status != 200:  # of which the console tells
            assert len(seen) == 1 and str(status) in seen.pop()
        return page

    def is_foreign(url: str, base: str | None) -> bool:
        return not url.startswith(base or site.url)

    yield make
    for context, page, seen, scripted in contexts:
        path = page.url.removeprefix(site.url).partition("#")[0]
        assert not seen, f"{path}: {seen}"
        if scripted:
            inspect(page, path)
            site.shown |= {path.partition("?")[0]} if page.url.startswith(site.url) else set()
        context.close()


def fault_of(response: Any) -> list[str]:
    """That a page has not the strict policy."""
    is_page = response.request.resource_type == "document" and response.status != 303
    return (
        [f"{response.url}: no policy"] if is_page and response.headers.get("content-security-policy") != POLICY else []
    )


def inspect(page: Page, path: str) -> None:
    """Hold a page as it stands to axe-core, and to its width."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
    page.evaluate((HERE / "node_modules/axe-core/axe.min.js").read_text())
    faults = page.evaluate(AXE)
    assert not faults, f"{path}: {faults}"


def validate(sources: dict[str, str], folder: Path) -> list[str]:
    """What html-validate finds wrong with pages."""
    for index, source in enumerate(sources.values()):
        (folder / f"{index}.html").write_text(source)
    command = ["node", HERE / "node_modules/html-validate/bin/html-validate.mjs", "--formatter", "json"]
    command += ["--config", HERE / "htmlvalidate.json", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    paths = list(sources)
    return [
        f"{paths[int(Path(report['filePath']).stem)]}:{message['line']}: {message['ruleId']}: {message['message']}"
        for report in json.loads(done.stdout)
        for message in report["messages"]
    ]
