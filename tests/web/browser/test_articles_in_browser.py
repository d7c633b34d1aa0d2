"""An article and a worksheet as a class uses them, in a real browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from service import example
from tests.web.browser.conftest import Site, validate

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]


def test_a_worksheet_is_filled_in_without_scripts_and_comes_back_marked(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/v1/runs/{site.run}/article?blank=gradients&tag=class:3b", java_script_enabled=False)
    page.get_by_label("Name", exact=True).fill("Ada")
    for name, figure in example.TUTORIAL_GRADIENTS.items():
        if name != "F":  # the seed is given
            page.get_by_label(f"Your gradient of {name}", exact=True).fill(f"{figure:g}")
    page.get_by_role("button", name="Check my figures").click()
    page.wait_for_url("**?checked=*")
    for node in "fd":
        expect(page.locator(f'#picture [data-node="{node}"] .flag').first).to_have_text("◆")
    expect(page.locator(".causes")).to_contain_text("was taken for")
    (handed_in,) = requests.get(f"{site.url}/v1/runs?tag=class:3b", timeout=60).json()["runs"]
    assert handed_in["recorded_by"] == "Ada"


@pytest.mark.parametrize(("width", "scheme", "query"), [(320, "dark", "?blank=all"), (1280, "light", "")])
def test_an_article_fits_every_width(
    open_page: OpenPage, site: Site, tmp_path: Path, width: int, scheme: str, query: str
) -> None:
    address = f"/v1/runs/{site.run}/article{query}"
    page = open_page(address, color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(page.locator("h1")).to_contain_text("gradients of F, step by step")
    expect(page.locator(".shown mfrac").first).to_be_visible()
    source = requests.get(f"{site.url}{address}", timeout=60).text
    assert validate({address: source}, tmp_path) == []
