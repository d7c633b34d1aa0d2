"""The list of graphs, and new ones: typed, from a file, or of an example."""

import io
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.example import EXAMPLES, NAME
from tests.api.conftest import MakeApp

OWN = {"Origin": "http://localhost"}


@pytest.fixture(scope="module")
def client(make_app: MakeApp) -> FlaskClient:
    """A client of a service that has the examples, each with its run, and a graph that was never run."""
    client = make_app().test_client()
    for example in EXAMPLES:
        assert client.post("/graphs", data={"example": example.name}, headers=OWN).status_code == 303
    made = client.post("/v1/graphs", json={"name": "unrun", "expression": "100%_x = a - `b * c`"})
    assert made.status_code == 422  # % is no part of a name
    client.post("/v1/graphs", json={"name": "un_run", "expression": "y = a - `b * c`", "tags": {"kind": "odd"}})
    return client


def names(client: FlaskClient, **query: Any) -> list[str]:
    shown = client.get("/graphs", query_string=query)
    assert shown.status_code == 200
    return re.findall(r'<h2><a href="/graphs/[^"]+">([^<]+)</a>', shown.text)


def test_the_list_shows_each_graph_with_its_last_run(client: FlaskClient) -> None:
    assert set(names(client)) == {example.name for example in EXAMPLES} | {"un_run"}
    text = client.get("/graphs?q=blog").text
    assert "e = a + b; f = e · c; F = f / d" in text
    assert "7 nodes · 1 run<" in text
    assert '<i class="m">F</i> = <span class="v">4</span>' in text
    assert "topic: chain rule" in text
    everything = client.get("/graphs").text
    assert everything.count('class="v">') == len(EXAMPLES)
    assert everything.count('class="pic thumb"') == len(EXAMPLES) + 1
    first_page = client.get("/").text
    assert "Your graphs" in first_page and first_page.count('class="pic thumb"') == 5
    alone = client.get("/graphs?q=un_run").text
    assert "not run yet" in alone and "y = a - `b * c`" in alone


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "LOGI"}, ["logistic-regression"]),
        ({"q": "softmax_cross"}, ["softmax-layer"]),
        ({"q": "_"}, ["un_run", "softmax-layer"]),
        ({"q": "%"}, []),
        ({"q": "\0"}, None),
        ({"tag": "kind:odd"}, ["un_run"]),
        ({"tag": "nothing"}, None),
        ({"q": "x", "tag": "topic:statistics"}, ["gaussian"]),
        ({"start": "12"}, ["blog"]),
        ({"start": "9" * 30}, []),
        ({"start": "²"}, None),
    ],
)
def test_the_list_is_searched(client: FlaskClient, query: dict[str, str], found: list[str] | None) -> None:
    assert names(client, **query) == (names(client) if found is None else found)


def test_the_list_is_sorted(client: FlaskClient) -> None:
    listed = names(client, sort="name")
    assert listed == sorted(listed)
    assert names(client, sort="nodes")[0] == "gaussian"
    newest = names(client, sort="new")
    assert newest == ["un_run", *(example.name for example in reversed(EXAMPLES))] == names(client, sort="nonsense")
    first = client.get("/v1/graphs", query_string={"name": NAME}).json["graphs"][0]["id"]  # type: ignore[index]
    client.post(f"/v1/graphs/{first}/runs", json={"inputs": EXAMPLES[0].inputs})
    assert names(client, sort="run")[:2] == [NAME, "un_run"]


@pytest.mark.parametrize("name", ["neuron", "softmax-layer"])
def test_an_example_is_kept_and_run(client: FlaskClient, name: str) -> None:
    led = client.post("/graphs", data={"example": name}, headers=OWN)
    shown = client.get(led.headers["Location"])
    assert shown.status_code == 200
    assert "filled in from the last run" in shown.text
    assert shown.text.count('scope="row"><span class="vh">') >= 1


def test_an_expression_is_kept_with_its_tags(client: FlaskClient) -> None:
    form = {"name": "typed", "expression": "p = a * b\r\nq = p + 1", "tags": "topic:a:b, who: me"}
    led = client.post("/graphs", data=form, headers=OWN)
    assert led.status_code == 303
    stored: Any = client.get("/v1" + led.headers["Location"]).json
    assert (stored["name"], stored["tags"]) == ("typed", {"topic": "a:b", "who": "me"})
    assert stored["expression"] == "p = a * b\nq = p + 1"
    assert client.delete("/v1" + led.headers["Location"]).status_code == 204


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"name": "x", "expression": "e = a + ;"}, 'data-line="1" data-column="8"'),
        ({"name": "", "expression": "e = a"}, '<span class="code">name</span>'),
        ({"name": "x", "expression": "e = a", "tags": "none"}, "a tag is written key:value, not none"),
        ({"name": "x", "expression": "e = a + <b>"}, "&lt;b&gt;"),
        ({"example": "none"}, "there is no example"),
    ],
)
def test_a_refused_graph_is_shown_as_it_was_typed(client: FlaskClient, form: dict[str, str], told: str) -> None:
    shown = client.post("/graphs", data=form, headers=OWN)
    assert shown.status_code in (404, 422)
    assert told in shown.text and "<b>" not in shown.text
    if "example" not in form:
        assert re.search(r"<textarea[^>]*>\n([^<]*)</textarea>", shown.text)
        assert form["name"] != "x" or 'value="x"' in shown.text


def test_a_draft_shows_the_fault_at_its_place_or_the_graph_and_stores_nothing(client: FlaskClient) -> None:
    before = names(client)

    def draft(expression: str) -> str:
        return client.post("/graphs/draft", data={"expression": expression}, headers=OWN).text

    faulty = draft("e = a + b\nf = e * sin(c")
    assert 'data-line="2" data-column="12"' in faulty
    assert "f = e * sin(c\n           ^" in faulty
    shown = draft("F = (a + b) * c / d")
    assert "<mfrac>" in shown and 'data-node="F"' in shown and "data-line" not in shown
    assert "7 nodes · inputs" in shown
    assert "exp(x)" in draft("y = e^x")
    assert draft("  ") == ""
    assert names(client) == before


def upload(client: FlaskClient, content: bytes, filename: str = "g.json", **form: str) -> Any:
    return client.post("/graphs", data={"file": (io.BytesIO(content), filename), **form}, headers=OWN)


def test_a_graph_comes_from_a_file_as_the_api_takes_or_gives_it(client: FlaskClient) -> None:
    led = upload(client, b'{"expression": "y = a * 2"}', "from file.json")
    assert led.status_code == 303
    given: Any = client.get("/v1" + led.headers["Location"])
    assert given.json["name"] == "from file"
    again = upload(client, given.data, name="ignored: the file has a name")
    assert again.headers["Location"] == led.headers["Location"]
    named = {"name": "nodes", "nodes": [{"name": "a", "operation": "Input"}], "outputs": ["a"]}
    kept = upload(client, json.dumps(named).encode())
    assert client.get("/v1" + kept.headers["Location"]).json["outputs"] == ["a"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"{", 400, "fault"),
        (b"[]", 422, "an object is expected"),
        (b'{"name": "x", "expression": "y = "}', 422, "a name, a number or a bracket is expected"),
        (b'{"name": "x", "nodes": [], "colour": 1}', 422, "colour"),
        (b'{"name": "x", "digest": "", "nodes": [], "next": "1"}', 422, "the first nodes of the graph only"),
    ],
)
def test_a_file_that_is_no_graph_is_refused(client: FlaskClient, content: bytes, status: int, told: str) -> None:
    shown = upload(client, content)
    assert (shown.status_code, told in shown.text) == (status, True)
