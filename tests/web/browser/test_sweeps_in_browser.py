"""The pages of jobs and sweeps in a real browser: a job is watched while it runs, its sweep is drawn as one chooses."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.web.browser.conftest import Site, validate

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]
INPUTS = {"a": {"linspace": [-2, 2, 101]}, "b": {"linspace": [-1, 1, 51]}, "c": {"values": [1, -2]}, "d": -3}


@pytest.fixture
def sweep(site: Site) -> str:
    """The id of a sweep that was begun."""
    return str(site.post(f"/v1/graphs/{site.graph}/sweeps", inputs=INPUTS, gradients=True)["id"])


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_a_job_is_followed_to_its_sweep_without_scripts(
    open_page: OpenPage, sweep: str, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 800}
    page = open_page(f"/jobs/{sweep}", java_script_enabled=False, color_scheme=scheme, viewport=size)
    expect(page.get_by_role("status")).to_contain_text("It is done", timeout=60_000)  # the page asks again by itself
    page.get_by_role("link", name="See what came of it").click()
    page.get_by_label("Figure", exact=True).select_option("dF/dc")
    page.get_by_label("and", exact=True).select_option("nothing else")
    page.get_by_role("button", name="Draw").click()
    expect(page.locator("#picture")).to_have_text("dF/dc over a")
    assert "at b = 0 and c = −2" in (page.locator("svg.plot").get_attribute("aria-label") or "")


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 320)])
def test_a_field_at_any_width(open_page: OpenPage, site: Site, sweep: str, scheme: str, width: int) -> None:
    page = open_page(f"/jobs/{sweep}", color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(page.get_by_role("status")).to_contain_text("It is done", timeout=60_000)
    page.goto(f"{site.url}/sweeps/{sweep}")
    expect(page.locator("svg.plot .level").first).to_be_visible()
    page.goto(f"{site.url}/jobs")
    expect(page.get_by_role("link", name="Sweep of tutorial").first).to_be_visible()


def test_a_sweep_is_begun_on_the_page_of_a_graph(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/graphs/{site.graph}")
    page.get_by_text("Compute it at very many points").click()
    page.get_by_label("values").first.fill("50")
    page.get_by_role("button", name="Begin a sweep").click()
    page.wait_for_url("**/jobs/*")
    expect(page.get_by_role("status")).to_contain_text("It is done", timeout=60_000)
    page.get_by_role("link", name="See what came of it").click()
    expect(page.locator("#picture")).to_have_text("F over d")


def test_their_sources_are_valid(site: Site, sweep: str, tmp_path: Path) -> None:
    paths = ["/jobs", f"/jobs/{sweep}", f"/sweeps/{sweep}", f"/sweeps/{sweep}?x=b&y="]
    sources = {path: requests.get(f"{site.url}{path}", timeout=60).text for path in paths}
    assert validate(sources, tmp_path) == []
