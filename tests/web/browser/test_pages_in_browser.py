"""The pages as people use them, in a real browser."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from service import example
from service.process import service_process
from service.storage.access_keys import Scope, create_access_key
from service.storage.database import Database
from tests.web.browser.conftest import Site, make_site, validate

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]
DRAWN = '#picture .pic:visible [data-node="{}"]'


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
    expect(page.locator("#picture .pic:visible .gradient:visible")).to_have_count(0)
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.url.endswith("#step=5")
    expect(page.locator("#said")).to_have_text("Step 5 of 10, backward: the gradient of f is −1/3")
    assert "−1/3" in (page.locator(DRAWN.format("f")).get_attribute("aria-label") or "")
    expect(page.locator("#picture .pic:visible path.lit")).to_have_count(1)
    expect(page.locator("#picture .pic:visible .gradient:visible")).to_have_count(2)
    page.keyboard.press("End")
    expect(page.locator("#said")).to_contain_text("the gradient of a is 2/3")
    page.reload()
    expect(page.locator("#said")).to_contain_text("Step 10 of 10")


def test_the_tutorial_s_claims_show_their_two_origins(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/runs/{site.run}")
    page.get_by_label("Your gradient of f", exact=True).fill("-3")
    expect(page.locator(f"{DRAWN.format('f')} .flag")).to_have_text("≠")  # at once, before anything is sent
    claim(page, **example.TUTORIAL_GRADIENTS)
    for node in "fd":
        expect(page.locator(f"{DRAWN.format(node)} .flag")).to_have_text("◆")
    for node in "ecab":
        expect(page.locator(f"{DRAWN.format(node)} .flag")).to_have_text("◇")
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
    expect(page.locator(f"{DRAWN.format('d')} .flag")).to_have_text("◆")


def test_a_function_is_typed_run_stepped_through_and_checked(open_page: OpenPage, site: Site) -> None:
    page = open_page("/graphs/new")
    field = page.get_by_label("Statements, one a line")
    field.fill("e = a + b; f = e * c; F = f /")
    expect(page.locator("#draft")).to_contain_text("Line 1, column 30")  # the fault at its place, while typing stops
    field.fill(example.EXPRESSION)
    expect(page.locator("#draft svg")).not_to_have_count(0)
    page.get_by_label("Name", exact=True).fill("typed")
    page.get_by_role("button", name="Keep this graph").click()
    page.wait_for_url("**/graphs/0*")
    for name, value in example.INPUTS.items():
        page.get_by_label(name, exact=True).fill(f"{value:g}")
    page.get_by_role("button", name="Run forward and backward").click()
    page.wait_for_url("**/runs/*")
    page.keyboard.press("End")
    expect(page.locator("#said")).to_contain_text("Step 10 of 10, backward: the gradient of a is 2/3")
    assert "−1/3" in (page.locator('#picture .pic:visible [data-node="f"]').first.get_attribute("aria-label") or "")
    claim(page, **example.TUTORIAL_GRADIENTS)
    expect(page.locator(f"{DRAWN.format('f')} .flag")).to_have_text("◆")


def test_a_file_is_imported(open_page: OpenPage, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps({"name": "from-a-file", "expression": "y = sigmoid(w * x + b)"}))
    page = open_page("/graphs/new")
    page.get_by_label("JSON with a name and an expression or nodes").set_input_files(file)
    page.get_by_role("button", name="Read the file").click()
    page.wait_for_url("**/graphs/0*")
    expect(page.locator("h1")).to_contain_text("from-a-file")


def test_two_runs_are_compared(open_page: OpenPage, site: Site) -> None:
    other = {**example.INPUTS, "d": -2.0}
    run = site.post(f"/v1/graphs/{site.graph}/runs", inputs=other, label="another d")
    page = open_page(f"/runs/{run['id']}")
    page.get_by_label("or any run by its id").fill(site.run)
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/comparisons/*")
    expect(page.locator("h1")).to_contain_text("differ")
    expect(page.locator(".pic:visible .ring")).to_have_count(1)


def test_a_key_signs_in(
    open_page: OpenPage, empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    address = empty_database(tmp_path_factory.mktemp("locked"))
    with closing(Database(address)) as database, database.write() as connection:
        key = create_access_key(connection, "teacher", Scope.WRITE)[1]
    with service_process(address) as url:
        locked = make_site(url, {"Authorization": f"Bearer {key}"})
        page = open_page(f"/runs/{locked.run}", base=url)
        expect(page.locator("h1")).to_have_text("Sign in")
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**/runs/{locked.run}")
        claim(page, d=108)
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("h1")).to_have_text("Sign in")


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
