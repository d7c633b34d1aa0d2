"""Keys from the command line, and a service that asks for them."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import requests
from werkzeug.serving import make_server

from service.app import create_app
from service.client import Client, Problem
from service.settings import Settings
from tests.cli.command import Ended, call_main

NOBODY = "http://127.0.0.1:9"


def key(database: str, *arguments: str) -> Ended:
    return call_main(NOBODY, "key", *arguments, "--database", database)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database that is not there yet."""
    return f"sqlite:///{tmp_path_factory.mktemp('keys')}/gradbook.db"


@pytest.fixture(scope="module")
def made(database: str) -> dict[str, str]:
    """A key of each scope."""
    return {
        scope: key(database, "create", "--name", f"a {scope}er", "--scope", scope).out.strip()
        for scope in ("read", "write", "admin")
    }


def test_a_key_is_shown_once(database: str, made: dict[str, str]) -> None:
    ended = key(database, "create", "--name", "ci", "--scope", "read", "--expires", "2999-12-31")
    assert ended.code == 0 and ended.err == "It is not shown again. A client takes it from GRADBOOK_KEY.\n"
    text = ended.out.strip()
    shown = key(database, "list")
    listed = {each["name"]: each for each in key(database, "list", "--json").json}
    assert [*listed] == ["a reader", "a writeer", "a adminer", "ci"]
    assert listed["ci"]["prefix"] == text[:21] and listed["ci"]["expires_at"] == "2999-12-31T00:00:00+00:00"
    assert listed["ci"]["state"] == "valid" and listed["ci"]["used_at"] is None
    assert text[:21] in shown.out and "2999-12-31" in shown.out
    for each in (text, *made.values()):
        assert each[22:] not in shown.out + str(listed)
    assert key(database, "revoke", text[:21]) == (0, "", "")
    assert {each["name"]: each["state"] for each in key(database, "list", "--json").json}["ci"] == "revoked"
    again = key(database, "revoke", "ci")
    assert (again.code, again.err) == (3, "gradbook: there is no valid key ci\n")


def test_a_name_that_several_keys_have_revokes_none(database: str) -> None:
    prefixes = [key(database, "create", "--name", "twin", "--scope", "read", "--json").json["prefix"] for _ in range(2)]
    ended = key(database, "revoke", "twin")
    assert ended.code == 3 and all(prefix in ended.err for prefix in prefixes)
    assert key(database, "revoke", prefixes[0]).code == key(database, "revoke", "twin").code == 0


@pytest.mark.parametrize("expires", ["2001-01-01", "soon", "2999-13-01"])
def test_a_time_that_is_none_or_past_is_refused(database: str, expires: str) -> None:
    ended = key(database, "create", "--name", "x", "--scope", "read", "--expires", expires)
    assert ended.code == 2 and "'--expires'" in ended.err


def test_a_service_that_others_reach_starts_with_a_key_alone(tmp_path: Path) -> None:
    ended = call_main(
        NOBODY, "serve", "--host", "0.0.0.0", "--port", "0", "--database", f"sqlite:///{tmp_path}/gradbook.db"
    )
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith(
        "Error: others reach 0.0.0.0, and there is no key yet: make one with `gradbook key create`, or let anybody in "
        "with GRADBOOK_ALLOW_ANONYMOUS=1\n"
    )


@pytest.fixture(scope="module")
def keyed_url(database: str, made: dict[str, str]) -> Iterator[str]:
    """A service that has keys."""
    app = create_app(Settings(database_url=database))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["gradbook"].database.close()


def test_the_client_and_the_command_line_send_their_key(
    keyed_url: str, made: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(keyed_url) as nobody:
        with pytest.raises(Problem) as refused:
            nobody.create_graph("keyed", expression="y = x")
        assert (refused.value.status, refused.value.type) == (401, "urn:gradbook:problem:unauthorized")
        nobody.check_ready()
    with Client(keyed_url, access_key=made["write"]) as writer:
        assert writer.create_graph("keyed", expression="y = x").name == "keyed"
        with pytest.raises(Problem, match=r"^403 Forbidden: .*scope admin"):
            writer.get_metrics()
    ended = call_main(keyed_url, "graph", "list")
    assert (ended.code, ended.err[:26]) == (3, "gradbook: a key is needed:")
    monkeypatch.setenv("GRADBOOK_KEY", f"{made['read']}\n")
    assert "keyed" in call_main(keyed_url, "graph", "list").out
    with Client(keyed_url) as reader, pytest.raises(Problem, match=r"^403 Forbidden"):
        reader.delete_graph("x")


def test_a_key_goes_before_a_password_of_the_host(
    keyed_url: str, made: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Client(keyed_url.replace("127.0.0.1", "127.0.0.2"), access_key=made["read"]) as reader:
        assert reader._http._session.trust_env
    prepared = reader._http._session.prepare_request(requests.Request("GET", keyed_url))
    assert prepared.headers["Authorization"] == f"Bearer {made['read']}"
