"""The pages as people use them, in a real browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from service import example
from tests.web.browser.conftest import Site, validate

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]


def claim(page: Page, **gradients: float) -> None:
    """Type gradients into the fields beside the run's, and have them checked."""
    for name, figure in gradients.items():
        page.get_by_label(f"Your gradient of {name}", exact=True).fill(f"{figure:g}")
    page.get_by_role("button", name="Check my figures").click()
    page.wait_for_url("**?checked=*")


def test_both_passes_by_keyboard_alone(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/runs/{site.run}")
    expect(page.locator("#steps > li:visible")).to_have_count(1)
    page.keyboard.press("Home")
    expect(page.locator("#said")).to_have_text("Step 1 of 10, forward: e is 6")
    expect(page.locator("#picture .gradient:visible")).to_have_count(0)
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.url.endswith("#step=5")
    expect(page.locator("#said")).to_have_text("Step 5 of 10, backward: the gradient of f is −1/3")
    assert "−1/3" in (page.locator('#picture [data-node="f"]').get_attribute("aria-label") or "")
    expect(page.locator("#picture path.lit")).to_have_count(1)
    expect(page.locator("#picture .gradient:visible")).to_have_count(2)
    page.keyboard.press("End")
    expect(page.locator("#said")).to_contain_text("the gradient of a is 2/3")
    page.reload()
    expect(page.locator("#said")).to_contain_text("Step 10 of 10")


def test_the_tutorial_s_claims_show_their_two_origins(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/runs/{site.run}")
    page.get_by_label("Your gradient of f", exact=True).fill("-3")
    expect(page.locator('#picture [data-node="f"] .flag')).to_have_text("≠")  # at once, before anything is sent
    claim(page, **example.TUTORIAL_GRADIENTS)
    for node in "fd":
        expect(page.locator(f'#picture [data-node="{node}"] .flag')).to_have_text("◆")
    for node in "ecab":
        expect(page.locator(f'#picture [data-node="{node}"] .flag')).to_have_text("◇")
    expect(page.locator(".causes > li")).to_have_count(1)
    expect(page.locator(".causes")).to_contain_text("was taken for")


def test_an_input_is_changed_and_the_new_run_stands_beside_the_old_one(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/runs/{site.run}")
    page.get_by_label("d", exact=True).fill("-2")
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url("**?beside=*")
    expect(page.locator('tr[data-node="F"] td').nth(0)).to_have_text("6")
    expect(page.locator('tr[data-node="F"] td').nth(1)).to_contain_text("4")
    expect(page.locator('tr[data-node="a"]')).to_contain_text("≠")


def test_all_digits_are_shown_where_they_are_asked_for(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/runs/{site.run}")
    row = page.locator('tr[data-node="f"]')
    expect(row.get_by_text("−0.333", exact=True)).to_be_visible()
    page.get_by_label("all digits").check()
    expect(row.get_by_text("−0.3333333333333333", exact=True)).to_be_visible()


def test_without_scripts_all_steps_stand_in_order_and_forms_work(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/runs/{site.run}", java_script_enabled=False)
    expect(page.locator("#steps > li:visible")).to_have_count(10)
    claim(page, d=108)
    expect(page.locator('#picture [data-node="d"] .flag')).to_have_text("◆")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280, 3840])
def test_every_width_and_both_schemes(open_page: OpenPage, site: Site, scheme: str, width: int) -> None:
    page = open_page(f"/runs/{site.run}", color_scheme=scheme, viewport={"width": width, "height": 800})
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 18, 23)"}[scheme]


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/runs", 200), ("/sign-in", 200), ("/nowhere", 404)])
def test_other_pages(open_page: OpenPage, path: str, status: int) -> None:
    page = open_page(path, status=status)
    expect(page.locator("h1")).to_have_count(1)


def test_the_source_of_every_page_is_valid(site: Site, tmp_path: Path) -> None:
    paths = site.shown | {"/", "/runs", "/sign-in", "/nowhere", f"/runs/{site.run}"}
    asked = {path: requests.get(f"{site.url}{path}", headers={"Accept": "text/html"}, timeout=60) for path in paths}
    assert validate({path: answer.text for path, answer in asked.items()}, tmp_path) == []
