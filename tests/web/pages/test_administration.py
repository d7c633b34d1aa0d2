"""Keys and settings as tables, for administrators alone, and without what is secret."""

import re
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.api.http.access import COOKIE
from service.settings import Limits, Settings, WorkBounds, read_settings
from service.storage.access_keys import Scope, create_access_key, note_use, revoke_access_key
from service.web.pages.administration import _without_secrets
from tests.api.conftest import MakeApp
from tests.web.pages.test_operations import text_of

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def locked(make_app: MakeApp) -> tuple[Flask, dict[str, str]]:
    """An application with keys, and their texts by name."""
    app, texts = make_app(), {}
    with app.extensions["gradbook"].database.write() as connection:
        for scope in (Scope.READ, Scope.WRITE, Scope.ADMIN):
            made, texts[scope.name.lower()] = create_access_key(connection, f"the {scope.name.lower()}er", scope)
        note_use(connection, made.prefix, datetime.now(UTC))  # the administrator's, so that no thread notes it later
        former, _ = create_access_key(connection, "former", Scope.READ, datetime(2026, 1, 2, tzinfo=UTC))
        note_use(connection, former.prefix, datetime(2025, 11, 28, 9, 30, tzinfo=UTC))
        create_access_key(connection, "revoked <b>", Scope.READ)
        revoke_access_key(connection, "revoked <b>")
    return app, texts


def bearing(app: Flask, key: str) -> FlaskClient:
    """A browser that is signed in."""
    client = app.test_client()
    client.set_cookie(COOKIE, key)
    return client


@pytest.mark.parametrize("path", ["/keys", "/settings"])
def test_they_are_an_administrator_s_alone(locked: tuple[Flask, dict[str, str]], path: str) -> None:
    app, keys = locked
    assert app.test_client().get(path, headers=HTML).headers["Location"] == f"/sign-in?next={path}"
    for name in ("read", "write"):
        refused = bearing(app, keys[name]).get(path, headers=HTML)
        assert (refused.status_code, refused.mimetype) == (403, "text/html")
        assert f"this needs a key of the scope admin, and this one&#39;s is {name}" in refused.text
    assert bearing(app, keys["admin"]).get(path, headers=HTML).status_code == 200


def test_keys_are_listed_without_their_texts(locked: tuple[Flask, dict[str, str]]) -> None:
    app, keys = locked
    page = bearing(app, keys["admin"]).get("/keys").text
    rows = [text_of(row) for row in re.findall("<tr>.*?</tr>", page, re.DOTALL)]
    assert rows[0] == "name scope begins with made expires last used revoked"
    assert len(rows) == 6
    assert re.fullmatch(r"the adminer admin gradbook_\w{12} .* UTC never .* UTC no", rows[3])
    assert re.search(r"former read .* 2 Jan 2026, 00:00 UTC , expired 28 Nov 2025, 09:30 UTC no", rows[4])
    assert re.search(r"revoked <b> read .* never never \d+ \w+ \d+, \d\d:\d\d UTC$", rows[5])
    assert not any(text in page for text in keys.values())


def test_where_there_is_no_key_the_page_says_how_to_make_one(client: FlaskClient) -> None:
    assert "gradbook key create --name NAME --scope admin" in client.get("/keys").text


def test_every_setting_is_told_with_its_value_its_origin_and_its_meaning(make_app: MakeApp) -> None:
    environment = {"GRADBOOK_HOSTS": "localhost", "GRADBOOK_MAX_NODES": "1000", "GRADBOOK_KEY": "gradbook_secret"}
    given = read_settings(environment, threads=3)
    app = make_app(replace(given, work=WorkBounds(processes=1)))
    app.extensions["settings"] = replace(app.extensions["settings"], limits=given.limits)
    page = app.test_client().get("/settings").text
    rows = dict(re.findall(r'<tr><th scope="row" class="code">(\w+)</th>(.*?)</tr>', page))
    told = {name: text_of(row) for name, row in rows.items()}
    assert told["GRADBOOK_HOSTS"] == "localhost environment the names it is called by; *: any"
    assert told["GRADBOOK_THREADS"] == "3 flag requests served concurrently"
    assert told["GRADBOOK_MAX_NODES"] == "1000 environment nodes of one graph"
    assert told["GRADBOOK_PROCESSES"].startswith("1 fitted to this machine processes for")
    assert told["GRADBOOK_PREFIX"] == "none default the path below which a proxy shows it"
    assert told["GRADBOOK_HEAD_SECONDS"].startswith("10 default seconds")
    assert told["GRADBOOK_KEY"].startswith("given, not shown environment") and "gradbook_secret" not in page
    groups = (Settings(), Limits(), Settings().server, Settings().work)
    assert len(told) == 2 + sum("meaning" in each.metadata for group in groups for each in fields(group))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////data/gradbook.db", "sqlite:////data/gradbook.db"),
        ("postgresql://ada:s3cret@db/gradbook", "postgresql://ada:***@db/gradbook"),
        ("postgresql://ada@db/gradbook?password=s3cret", "postgresql://ada@db/gradbook?password=hidden"),
        (
            "postgresql://db/g?sslpassword=s3cret&sslmode=require",
            "postgresql://db/g?sslmode=require&sslpassword=hidden",
        ),
    ],
)
def test_a_database_s_address_is_shown_without_passwords(url: str, shown: str) -> None:
    assert _without_secrets(url) == shown
