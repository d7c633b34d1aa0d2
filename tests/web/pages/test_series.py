"""The pages of series: the verdict, the first wrong step, the curve, and what was written in between."""

import re

import pytest
from flask.testing import FlaskClient

from tests.api.test_series import STEP, added, begun, listed, read, train
from tests.web.pages.test_comparisons import rows, text_of


@pytest.fixture(scope="module")
def graph(client: FlaskClient) -> str:
    return str(read(client.post("/v1/graphs", json={"name": "sgd", "expression": STEP}), 201)["id"])


def shown(client: FlaskClient, series: str, query: str = "") -> str:
    answer = client.get(f"{series.removeprefix('/v1')}{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_first_wrong_step_stands_with_its_causes_its_picture_and_the_curve(client: FlaskClient, graph: str) -> None:
    series = begun(client, graph, label="decay <b>", by="me")
    added(client, series, listed(train(40, "weight decay", 30)))
    html = shown(client, series)
    first = read(client.get(f"{series}/verdict"))["first_wrong"]
    assert "<h1>1 of 40 steps has an origin; the first is step 30</h1>" in html
    assert "<title>decay &lt;b&gt;" in html
    assert "Step 30, the first wrong one" in html and f'href="/comparisons/{first["comparison"]}"' in html
    assert 'aria-label="The step in one picture"' in html and html.count("<svg") > 2
    assert rows(html) == [["30", "v&#39;"]]
    plotted = r'aria-label="norm of ([^ ]+) over step from 1 to 40: it [^"]+ At step = 30 it is [^"]+"'
    assert re.findall(plotted, html) == ["loss"]
    assert re.findall(plotted, shown(client, series, "?of=w%27")) == ["w&#39;"]
    assert re.findall(plotted, shown(client, series, "?of=no+such")) == ["loss"]
    assert client.delete(f"/v1/comparisons/{first['comparison']}").status_code == 204
    assert "An error arose in v'. The comparison was deleted." in text_of(shown(client, series)).replace("&#39;", "'")


def test_what_was_written_between_two_steps_is_told(client: FlaskClient, graph: str) -> None:
    series = begun(client, graph)
    added(client, series, listed(train(20, "silent", 9)))
    html = shown(client, series)
    assert "What was written in between" in html and "Step 10 took w of norm" in html
    assert "the first wrong one" not in html


def test_a_right_training_one_of_a_step_and_one_without_steps_are_shown(client: FlaskClient, graph: str) -> None:
    for steps, title in ((20, "Each of 20 steps follows"), (1, "The step follows"), (0, "No step has been added yet")):
        series = begun(client, graph)
        if steps:
            added(client, series, listed(train(steps)))
        assert f"<h1>{title}" in shown(client, series)


def test_series_are_listed_by_pages(client: FlaskClient, graph: str) -> None:
    for number in range(26):
        begun(client, graph, label=f"training {number}")
    added(client, begun(client, graph, label="wrong"), listed(train(5, "weight decay", 4)))
    added(client, begun(client, graph, label="silent"), listed(train(5, "silent", 4)))
    html = client.get("/series").text
    assert "step 4 is wrong" in html and "written in between" in html and "0 right steps" in html
    assert "training 25</a>" in html and html.count("<li><div>") == 25
    (older,) = re.findall(r'href="([^"]+)">Older series', html)
    assert "training 0</a>" in client.get(older).text
    assert client.get("/series/no-such", headers={"Accept": "text/html"}).status_code == 404
