"""The pages of comparisons in Chromium."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from service import example
from tests.web.browser.conftest import Site

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]


def test_a_run_is_compared_with_another_from_its_page(open_page: OpenPage, site: Site) -> None:
    inputs = {**example.INPUTS, "d": -2.0}
    site.post(f"/v1/graphs/{site.graph}/runs", inputs=inputs, label="d is -2")
    page = open_page(f"/runs/{site.run}")
    page.get_by_label("A run of the same graph").select_option(index=0)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url("**/comparisons/*")
    expect(page.locator("h1")).to_have_text("Eight of 14 figures differ. One other input explains them all.")
    page.get_by_label("all digits").check()
    expect(page.get_by_text("−0.3333333333333333", exact=True).first).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_the_tutorial_is_held_against_the_right_figures(
    open_page: OpenPage, site: Site, scheme: str, width: int
) -> None:
    claims = {"by": "the tutorial", "gradients": example.TUTORIAL_GRADIENTS}
    made = site.post(f"/v1/graphs/{site.graph}/checks", inputs=example.INPUTS, claims=claims)
    page = open_page(f"/comparisons/{made['id']}", color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(page.locator(".causes > li")).to_have_count(1)
    expect(page.locator("tbody .origin")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as an issue").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("∂F/∂f is −3; it should be") and "```python" in copied
    page.get_by_role("link", name="Show all eleven").click()
    expect(page.locator("tbody tr")).to_have_count(11)
    open_page("/comparisons", color_scheme=scheme, viewport={"width": width, "height": 800})
