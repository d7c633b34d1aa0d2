"""The guide: every document is a page, and every type of problem."""

import re
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.api.http.problem_types import PROBLEM_TYPES
from service.storage.access_keys import Scope, create_access_key
from service.web.pages.guide import SUBJECTS, folder
from tests.api.conftest import MakeApp

PAGES = [*(f"/guide/{subject}" for subject in SUBJECTS), *(f"/problems/{name}" for name in PROBLEM_TYPES)]


def test_every_document_is_a_subject() -> None:
    assert {path.stem for path in folder().glob("*.md")} == set(SUBJECTS)


def test_the_guide_lists_every_document_with_what_it_is_about(client: FlaskClient) -> None:
    shown = client.get("/guide/").text
    assert [f"/guide/{subject}" in shown for subject in SUBJECTS] == [True] * len(SUBJECTS)
    assert "Check a derivation, compare two runs" in shown
    assert client.get("/guide").headers["Location"] == "http://localhost/guide/"


@pytest.fixture(scope="module")
def locked(make_app: MakeApp) -> Flask:
    app = make_app()
    with app.extensions["gradbook"].database.write() as connection:
        create_access_key(connection, "reader", Scope.READ)
    return app


def test_every_page_is_shown_without_a_key_and_its_links_lead_somewhere(locked: Flask) -> None:
    client = locked.test_client()
    pages = {path: client.get(path) for path in ("/guide/", *PAGES)}
    ids = {path: set(re.findall(r' id="([^"]+)"', shown.text)) for path, shown in pages.items()}
    for path in PAGES:
        shown = pages[path]
        assert (shown.status_code, shown.mimetype) == (200, "text/html")
        (article,) = re.findall(r"<article.*?</article>", shown.text, re.DOTALL)
        assert " style=" not in article and "<img" not in article
        for link in map(unescape, re.findall(r'href="([^"]+)"', article)):
            target, _, fragment = link.partition("#")
            there = re.sub(r"[^/]+$", target, path) if target else path
            assert there in ids and (not fragment or fragment in ids[there]), (path, link)


@pytest.mark.parametrize("path", ["/guide/none", "/guide/../README", "/problems/none"])
def test_what_is_no_document_is_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_page_of_a_problem_says_what_it_means_and_what_to_do(client: FlaskClient) -> None:
    shown = unescape(client.get("/problems/limit-exceeded").text)
    kind = PROBLEM_TYPES["limit-exceeded"]
    assert "<h1>limit-exceeded</h1>" in shown
    assert kind.title in shown and "Nothing was done." in shown and "Ask for less" in shown
    assert "urn:gradbook:problem:limit-exceeded" in shown


def test_a_problem_shown_to_a_browser_leads_to_its_page(client: FlaskClient) -> None:
    assert 'href="/problems/not-found"' in client.get("/nowhere", headers={"Accept": "text/html"}).text
