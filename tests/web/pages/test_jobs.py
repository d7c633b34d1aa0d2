"""The pages of jobs and of sweeps: how far each has come, what may be done with it, and what came of it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.storage import jobs as storage
from service.storage.identifiers import new_id
from service.storage.jobs import DoneChunk
from service.web.pages.jobs import duration
from tests.api.conftest import MakeApp
from tests.performing import perform_jobs
from tests.web.pages.test_comparisons import rows, text_of
from tests.web.pages.test_page import HTML, OWN

INPUTS = {"a": {"linspace": [0, 5, 6]}, "b": 1, "c": {"values": [1, -2]}, "d": {"linspace": [-3, 3, 7]}}


@pytest.fixture
def waiting(client: FlaskClient, seed: dict[str, Any]) -> str:
    """The id of a sweep that waits."""
    made = client.post(f"/v1/graphs/{seed['graph']['id']}/sweeps", json={"inputs": INPUTS, "gradients": True}).json
    assert made is not None
    return str(made["id"])


@pytest.fixture
def done(app: Flask, waiting: str) -> str:
    """The id of a sweep that is done."""
    perform_jobs(app)
    return waiting


def test_a_job_is_listed_shown_cancelled_and_retried(client: FlaskClient, waiting: str) -> None:
    (row,) = (row for row in re.findall("<tr>.*?</tr>", client.get("/jobs").text) if waiting in row)
    assert "Sweep of blog" in row and "0 of 84" in row and "<td>waiting</td>" in row
    shown = client.get(f"/jobs/{waiting}")
    assert shown.headers["Refresh"] == "2" and "It waits for its turn." in text_of(shown.text)
    cancelled = client.post(f"/jobs/{waiting}/cancel", headers=OWN)
    assert (cancelled.status_code, cancelled.headers["Location"]) == (303, f"/jobs/{waiting}")
    shown = client.get(f"/jobs/{waiting}")
    assert "Refresh" not in shown.headers and "It was cancelled." in text_of(shown.text)
    assert f'action="/jobs/{waiting}/retry"' in shown.text and f"/jobs/{waiting}/cancel" not in shown.text
    assert waiting in client.get("/jobs?state=cancelled").text and waiting not in client.get("/jobs?state=done").text
    assert client.post(f"/jobs/{waiting}/retry", headers=OWN).status_code == 303
    assert "It waits for its turn." in text_of(client.get(f"/jobs/{waiting}").text)
    assert client.post(f"/jobs/{waiting}/retry", headers={**OWN, **HTML}).status_code == 409
    foreign = {"Origin": "http://elsewhere.example"}
    assert client.post(f"/jobs/{waiting}/cancel", headers=foreign).status_code == 403


def test_a_job_of_a_kind_that_only_another_version_does_is_shown_too(app: Flask, client: FlaskClient) -> None:
    made = storage.JobRecord(new_id(), "novel", {}, datetime.now(UTC), total=9, chunks=1)
    with app.extensions["gradbook"].database.write() as connection:
        storage.insert_job(connection, made)
    for path in ("/jobs", f"/jobs/{made.id}"):
        assert "0 of 9" in text_of(client.get(path).text), path
    said = FlaskClient(app).get(f"/v1/jobs/{made.id}").json  # the contract knows no such kind
    assert said is not None and (said["kind"], said["unit"]) == ("novel", "units")


def test_a_job_that_runs_says_how_far_it_is_and_one_that_failed_why(
    app: Flask, client: FlaskClient, waiting: str
) -> None:
    with app.extensions["gradbook"].database.write() as connection:
        while (claimed := storage.claim_job(connection, "me", 60)) and claimed.id != waiting:
            pass
        assert storage.insert_chunks(connection, waiting, "me", [DoneChunk(0, 21, b"")])
    text = text_of(client.get(f"/jobs/{waiting}").text)
    assert "It is under way since" in text and "takes about" in text and "21 of 84 points" in text
    with app.extensions["gradbook"].database.write() as connection:
        problem = {"title": "It <fails>", "detail": "no memory", "errors": [{"pointer": "/a", "detail": "is bad"}]}
        storage.end_job(connection, waiting, "me", problem=problem)
    html = client.get(f"/jobs/{waiting}").text
    assert "It failed." in text_of(html) and "It &lt;fails&gt;" in html and "/a: is bad" in text_of(html)


def test_a_sweep_is_drawn_over_what_is_chosen(client: FlaskClient, done: str) -> None:
    assert f'href="/sweeps/{done}"' in client.get(f"/jobs/{done}").text
    html = client.get(f"/sweeps/{done}").text
    assert '<h2 id="picture">F over a and c</h2>' in html
    assert "84 points of the graph" in text_of(html) and "a at 6 values, c at 2 values, d at 7 values" in text_of(html)
    assert "12 points have no finite value" in html
    infinite = ["−∞ at a = 0, c = −2 and d = 0", "∞ at a = 0, c = 1 and d = 0", "NaN", "12"]
    assert rows(html)[0] == ["F", *infinite] and [row[0] for row in rows(html)] == ["F", *(f"dF/d{x}" for x in "abcd")]
    html = client.get(f"/sweeps/{done}?of=dF%2Fdd&x=d&y=&hold.a=5&hold.c=1").text
    assert "d from −3 to 3, 7 points, at a = 5 and c = −2." in html
    (picture,) = re.findall(r'href="(/v1/sweeps/[^"]+/picture[^"]+)"', html)
    alone = client.get(picture.replace("&amp;", "&"))
    assert alone.status_code == 200 and "at a = 5 and c = −2." in alone.text
    for query, drawn in (("of=none&x=none&y=none&hold.c=none", "F over a"), ("hold.d=7&hold.a=-1", "F over a and c")):
        assert f'<h2 id="picture">{drawn}</h2>' in client.get(f"/sweeps/{done}?{query}").text


def test_a_sweep_is_begun_on_the_page_of_a_graph(app: Flask, client: FlaskClient, seed: dict[str, Any]) -> None:
    page = client.get(f"/graphs/{seed['graph']['id']}").text
    (action,) = re.findall(r'action="(/graphs/[^"]+/sweeps)"', page)
    (run,) = re.findall(r'name="run" value="([^"]+)"', page)
    form = {"run": run, "over1": "d", "low1": "−3", "high1": "3", "count1": "7", "over2": "", "gradients": "on"}
    begun = client.post(action, data=form, headers=OWN)
    assert begun.status_code == 303
    perform_jobs(app)
    sweep = begun.headers["Location"].replace("/jobs/", "/sweeps/")
    assert "d from −3 to 3, 7 points." in client.get(sweep).text
    point = client.get(f"/v1{sweep}/points?limit=1").json
    assert point is not None and point["points"][0]["figures"]["F"] == 4.0, "the others are held where the run has them"
    both = {**form, "over2": "c", "low2": "1", "high2": "2", "count2": "5"}
    sweep = client.post(action, data=both, headers=OWN).headers["Location"].replace("/jobs/", "/sweeps/")
    assert "d from −3 to 3 and c from 1 to 2, 0 of 35 points." in client.get(sweep).text
    for wrong in ({"count1": "0"}, {"count1": "1e3"}, {"low1": "x"}, {"over1": "z"}):
        assert client.post(action, data={**form, **wrong}, headers={**OWN, **HTML}).status_code == 422
    assert client.post(action, data={**form, "run": "none"}, headers={**OWN, **HTML}).status_code == 404


def swept(app: Flask, client: FlaskClient, graph: str, **asked: Any) -> str:
    """The page of a sweep that is done."""
    made = client.post(f"/v1/graphs/{graph}/sweeps", json=asked).json
    assert made is not None and "id" in made, made
    perform_jobs(app)
    return client.get(f"/sweeps/{made['id']}").text


def test_only_what_is_asked_for_is_shown_of_points_that_are_not_kept(
    app: Flask, client: FlaskClient, seed: Any
) -> None:
    html = swept(app, client, "blog", inputs={**INPUTS, "d": 2}, reduce=["min", "mean"])
    assert rows(html) == [["F", "−6 at a = 5 and c = −2", "", "−0.875", ""]]
    assert '<svg class="plot' not in html and "Only what its points amount to is kept" in html


def test_two_graphs_and_gradients_are_held_against_each_other(app: Flask, client: FlaskClient) -> None:
    for name, expression in (("naive", "y = log(1 + exp(x))"), ("stable", "y = max(x, 0) + log1p(exp(-abs(x)))")):
        assert client.post("/v1/graphs", json={"name": name, "expression": expression}).status_code in (200, 201)
    inputs = {"x": {"linspace": [-800, 800, 401]}}
    html = swept(app, client, "naive", inputs=inputs, against={"graph": "stable"}, check=True)
    assert (
        "y parts from the other graph’s at 23 points, first at x = 712. The greatest difference is ∞, at x = 712."
        in html
    )
    assert "dy/dx is wrong at" in html or "dy/dx is right wherever it was computed." in html
    assert [row[0] for row in rows(html)] == ["y", "dy/dx", "against y", "against dy/dx", "estimate dy/dx"]
    html = swept(app, client, "naive", inputs=inputs, against={"graph": "naive"})
    assert "y agrees everywhere." in html


def test_a_sweep_under_way_is_drawn_as_far_as_it_is(client: FlaskClient, waiting: str) -> None:
    html = client.get(f"/sweeps/{waiting}").text
    assert "0 of 84 points are computed." in text_of(html) and "no value anywhere here" in html


def test_a_sweep_of_one_point_has_no_picture(app: Flask, client: FlaskClient, seed: dict[str, Any]) -> None:
    inputs = {"a": 1, "b": 1, "c": 1, "d": 1}
    made = client.post(f"/v1/graphs/{seed['graph']['id']}/sweeps", json={"inputs": inputs}).json
    assert made is not None
    html = client.get(f"/sweeps/{made['id']}").text
    assert "No input varies" in html and '<svg class="plot' not in html
    assert client.get(f"/v1/sweeps/{made['id']}/picture").status_code == 409


def test_what_would_take_too_much_to_draw_is_shown_without_a_picture(make_app: MakeApp) -> None:
    client = make_app(request_memory=100_000_000).test_client()
    graph = client.post("/v1/graphs", json={"name": "sine", "expression": "y = sin(x)"}).json
    assert graph is not None
    made = client.post(f"/v1/graphs/{graph['id']}/sweeps", json={"inputs": {"x": {"linspace": [0, 1, 10**8]}}}).json
    assert made is not None
    assert client.get(f"/v1/sweeps/{made['id']}/picture").status_code == 422
    text = text_of(client.get(f"/sweeps/{made['id']}").text)
    assert "Its points are too many for a picture: a request takes at most 100000000 bytes of memory" in text


def test_what_there_is_not_is_said(client: FlaskClient) -> None:
    for path in ("/jobs/none", "/sweeps/none"):
        assert client.get(path, headers=HTML).status_code == 404
    assert "There is no failed job." in text_of(client.get("/jobs?state=failed&after=0").text)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.0312, "0.031 s"), (7.0, "7 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_a_length_of_time_is_read_at_a_glance(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_of_very_many_figures_the_first_are_shown(app: Flask, client: FlaskClient) -> None:
    expression = "; ".join(f"y{number} = x + {number}" for number in range(102))
    client.post("/v1/graphs", json={"name": "many", "expression": expression})
    html = swept(app, client, "many", inputs={"x": {"linspace": [0, 1, 2]}})
    assert len(rows(html)) == 100 and "These are the first of 102 figures" in text_of(html)
