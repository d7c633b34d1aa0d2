"""The documents in a real browser."""

import pytest
from playwright.sync_api import expect

from service.web.pages.guide import SUBJECTS
from tests.web.browser.test_pages_in_browser import OpenPage

pytestmark = pytest.mark.browser
PATHS = ["/guide/", *(f"/guide/{subject}" for subject in SUBJECTS), "/problems/invalid-expression"]


@pytest.mark.parametrize(
    ("paths", "scheme", "width"), [(PATHS, "light", 320), (["/guide/", "/guide/comparing"], "dark", 1280)]
)
def test_every_document_is_shown(open_page: OpenPage, paths: list[str], scheme: str, width: int) -> None:
    for path in paths:
        page = open_page(path, color_scheme=scheme, viewport={"width": width, "height": 800})
        expect(page.locator("h1")).to_have_count(1)
        expect(page.get_by_role("link", name="Guide", exact=True).first).to_be_visible()


def test_a_link_to_another_document_leads_to_its_part(open_page: OpenPage) -> None:
    page = open_page("/guide/bringing-a-model", viewport={"width": 1280, "height": 800})
    page.get_by_role("link", name="compares", exact=True).click()
    page.wait_for_url("**/guide/comparing#compare-two-runs")
    expect(page.get_by_role("heading", name="Compare two runs")).to_be_in_viewport()
