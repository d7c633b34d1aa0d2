"""The pages of graphs in a real browser: a function is typed, run, plotted and brought as a file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.web.browser.conftest import Site, validate

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]


def test_a_function_is_typed_mended_kept_and_run(open_page: OpenPage) -> None:
    page = open_page("/graphs/new")
    field = page.get_by_label("Statements, one a line")
    field.fill("e = a + b\nf = e * (c")
    expect(page.locator("#draft")).to_contain_text('Line 2, column 9: this "(" is not closed.')
    expect(page.locator(".mirror mark")).to_have_text("(")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("e = a + b\nf = e * c\nF = f / d")
    expect(page.locator('#draft [data-node="F"]').first).to_be_visible()
    expect(page.locator(".mirror mark")).to_have_count(0)
    page.get_by_label("Name", exact=True).fill("typed")
    page.get_by_role("button", name="Keep this graph").click()
    page.wait_for_url("**/graphs/*-*")
    for name, value in {"a": "5", "b": "1", "c": "−2", "d": "-3"}.items():
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_role("button", name="Run forward and backward").click()
    page.wait_for_url("**/runs/*")
    expect(page.locator('tr[data-node="F"] td').nth(0)).to_have_text("4")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_a_graph_is_plotted_without_scripts(open_page: OpenPage, site: Site, scheme: str, width: int) -> None:
    size = {"width": width, "height": 800}
    page = open_page(f"/graphs/{site.graph}", java_script_enabled=False, color_scheme=scheme, viewport=size)
    page.get_by_label("over", exact=True).select_option("a")
    page.get_by_role("button", name="Draw").click()
    label = page.locator("svg.plot").get_attribute("aria-label") or ""
    assert label.startswith("F over a from 1.67 to 8.33: it rises from") and "slope 2/3" in label


def test_a_file_is_read_and_an_example_taken(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"expression": "y = sum(W)"}')
    page = open_page("/graphs/new")
    page.get_by_label("JSON with a name").set_input_files(tmp_path / "mine.json")
    page.get_by_role("button", name="Read the file").click()
    expect(page.locator("h1")).to_contain_text("mine")
    page.goto(page.url.rpartition("/")[0] + "/new")
    page.get_by_role("button", name="small-network").click()
    page.wait_for_url("**/graphs/*-*")
    expect(page.get_by_label("W1, row 2, column 1")).to_have_value("0.2")


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 320)])
@pytest.mark.parametrize("path", ["/graphs", "/graphs/new?expression=y%20%3D%20sin("])
def test_lists_and_forms_at_any_width(open_page: OpenPage, path: str, scheme: str, width: int) -> None:
    page = open_page(path, color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(page.locator("h1")).to_have_count(1)


def test_their_sources_are_valid(site: Site, tmp_path: Path) -> None:
    made = site.post("/v1/graphs", name="grid", expression="y = sum(W @ v); z = y * 2")
    site.post(f"/v1/graphs/{made['id']}/runs", inputs={"W": [[1, 2]], "v": [1, 2]}, output="z")
    paths = ["/graphs", "/graphs/new", "/graphs/new?expression=y(", f"/graphs/{site.graph}", f"/graphs/{made['id']}"]
    sources = {path: requests.get(f"{site.url}{path}", timeout=60).text for path in paths}
    assert validate(sources, tmp_path) == []
