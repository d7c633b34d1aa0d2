"""The rulebook, an administrator's tables and the API's documentation in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from service.process import service_process
from service.settings import Settings
from service.storage.access_keys import Scope, create_access_key
from service.upkeep import migrate, open_database
from tests.web.browser.conftest import Site, validate

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]

PATHS = ("/operations", "/operations/Clip", "/operations/Gelu", "/operations/MaxPool", "/keys", "/settings")

_PATIENCE = 120_000  # milliseconds for Swagger to read the whole document


@pytest.mark.parametrize("path", PATHS)
def test_a_narrow_page_in_the_dark_and_a_wide_one_in_the_light(open_page: OpenPage, path: str) -> None:
    for width, scheme in ((320, "dark"), (1280, "light")):
        page = open_page(path, viewport={"width": width, "height": 800}, color_scheme=scheme)
        expect(page.locator("h1")).to_have_count(1)


def test_an_operation_is_found_and_its_example_run_without_scripts(open_page: OpenPage) -> None:
    page = open_page("/operations", java_script_enabled=False)
    page.get_by_label("Name or another way to write it").fill("tanh")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Tanh", exact=True).click()
    expect(page.get_by_role("img", name="∂z/∂x over x")).to_be_visible()
    page.get_by_role("button", name="Run it, step by step").click()
    page.wait_for_url("**/runs/*")
    expect(page.locator('#picture [data-node="z"]:visible')).to_have_count(1)


def test_their_sources_are_valid(site: Site, tmp_path: Path) -> None:
    asked = {path: requests.get(f"{site.url}{path}", timeout=60).text for path in (*PATHS, "/operations/Max")}
    assert validate(asked, tmp_path) == []


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A service that has a key, and the key's text."""
    settings = Settings(f"sqlite:///{tmp_path_factory.mktemp('locked')}/gradbook.db")
    migrate(settings)
    with open_database(settings) as database, database.write() as connection:
        key = create_access_key(connection, "reader", Scope.READ)[1]
    with service_process(settings.database_url) as url:
        yield url, key


def test_the_documentation_works_with_the_key_s_cookie(browser: Browser, locked: tuple[str, str]) -> None:
    url, key = locked
    context = browser.new_context(base_url=url)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.goto("/docs/")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/docs/")
    page.locator("#operations-operations-get_operation").get_by_role("button").first.click(timeout=_PATIENCE)
    expect(page.locator("#operations-operations-get_operation")).to_contain_text("maximum")  # the example of Relu
    page.locator("#operations-state-list_limits").get_by_role("button").first.click()
    page.get_by_role("button", name="Try it out").last.click()
    page.get_by_role("button", name="Execute").click()
    expect(
        page.locator("#operations-state-list_limits .live-responses-table .response-col_status").last
    ).to_contain_text("200")
    assert not said
    context.close()
