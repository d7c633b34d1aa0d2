"""The contract of reproductions: a script, an issue, the arrays, and what is stored."""

import io
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.api.conftest import MakeApp
from tests.api.test_comparisons import INPUTS, SLIP, compare, created, graph_of, recorded, run_of
from tests.reproductions import shown_figures


@pytest.fixture(scope="module")
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


@pytest.fixture(scope="module")
def slip(client: FlaskClient) -> str:
    """The id of the comparison with the tutorial's figures."""
    checked = created(
        client, f"/v1/graphs/{graph_of(client)}/checks", {"inputs": INPUTS, "claims": {"gradients": SLIP}}
    )
    return str(checked["id"])


def shown(text: str, capsys: pytest.CaptureFixture[str]) -> Any:
    exec(compile(text, "origin", "exec"), {"__name__": "__main__", "__file__": "origin.py"})
    return shown_figures(capsys.readouterr().out)


def test_the_first_origin_or_a_named_one(client: FlaskClient, slip: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"/v1/comparisons/{slip}"
    first = client.get(f"{path}/reproduction")
    assert (first.status_code, first.mimetype) == (200, "text/x-python") and "Link" not in first.headers
    assert shown(first.text, capsys) == {"right": -1 / 3, "recorded": -3.0, "difference": -3 + 1 / 3}
    named = client.get(f"{path}/origins/backward/d/reproduction?language=numpy")
    assert shown(named.text, capsys)["right"] == pytest.approx(4 / 3)
    assert client.get(f"{path}/reproduction?phase=backward&node=d").text == named.text
    assert "import torch" in client.get(f"{path}/reproduction?language=torch").text
    assert "import jax" in client.get(f"{path}/reproduction?language=jax").text


def test_an_issue_in_markdown(client: FlaskClient, slip: str) -> None:
    path = f"/v1/comparisons/{slip}/reproduction"
    issue = client.get(f"{path}?format=markdown").text
    assert issue.startswith("∂F/∂f is −3; it should be 1 × 1/d = 1 × 1/(−3) = −1/3 by the quotient rule.")
    assert "- right: -0.3333333333333333\n- recorded: -3\n" in issue
    assert client.get(path).text in issue
    assert (
        f"The gradient of f in g\\@1, float64, by a claim. Gradbook {version('gradbook')}, comparison {slip}." in issue
    )


def test_what_is_no_origin_is_not_found(client: FlaskClient, slip: str) -> None:
    for path in ("origins/backward/e", "origins/forward/f", "origins/sideways/f", "origins/backward/nothing"):
        answer = client.get(f"/v1/comparisons/{slip}/{path}/reproduction")
        assert answer.status_code == 404 and "has no origin" in answer.json["detail"]
        assert client.post(f"/v1/comparisons/{slip}/{path}/reproduction").status_code == 404
    assert client.get(f"/v1/comparisons/{slip}/reproduction?node=e").status_code == 404
    assert client.get("/v1/comparisons/none/reproduction").status_code == 404
    refused = client.get(f"/v1/comparisons/{slip}/reproduction?language=c&phase=up")
    assert [fault["parameter"] for fault in refused.json["errors"]] == ["language", "phase"]


def test_what_follows_from_nothing_is_a_conflict(client: FlaskClient) -> None:
    graph = graph_of(client)
    compared = compare(client, run_of(client, graph), run_of(client, graph, {**INPUTS, "a": 7}))
    for method in (client.get, client.post):
        answer = method(f"/v1/comparisons/{compared['id']}/origins/forward/a/reproduction")
        assert answer.status_code == 409 and "nothing reproduces the value of 'a'" in answer.json["detail"]


def test_a_language_that_cannot_say_it_is_refused(client: FlaskClient) -> None:
    nodes = [{"name": "x", "operation": "Input"}]
    nodes += [{"name": "y", "operation": "Cast", "inputs": ["x"], "attributes": {"to": "bfloat16"}}]  # type: ignore[dict-item]
    graph = created(client, "/v1/graphs", {"name": "cast", "nodes": nodes})["id"]
    at = {"x": 1.0}
    compared = compare(client, run_of(client, graph, at), recorded(client, graph, at, values={"y": 2}))
    answer = client.get(f"/v1/comparisons/{compared['id']}/reproduction")
    assert answer.status_code == 422 and answer.json["errors"][0]["parameter"] == "language"


def test_large_arrays_come_as_an_npz(client: FlaskClient) -> None:
    graph = graph_of(client, "`layer/y` = x @ W; L = sum(`layer/y`)")
    at = {"x": np.ones((2, 40)).tolist(), "W": np.eye(40).tolist()}
    ours = run_of(client, graph, at)
    compared = compare(client, ours, recorded(client, graph, at, values={"layer/y": np.zeros((2, 40)).tolist()}))
    for node in ("layer/y", quote("layer/y", safe="")):
        path = f"/v1/comparisons/{compared['id']}/origins/forward/{node}/reproduction"
        script = client.get(path)
        assert script.status_code == 200 and 'beside["W"]' in script.text
    assert script.headers["Link"].endswith('reproduction?format=npz>; rel="related"; type="application/x-npz"')
    assert script.headers["Content-Disposition"] == "inline; filename=value_of_layer_y.py"
    with np.load(io.BytesIO(client.get(script.headers["Link"][1:].partition(">")[0]).data)) as figures:
        assert set(figures) == {"x", "W", "recorded"}
        assert np.array_equal(figures["W"], np.eye(40))


def test_the_smallest_graph_is_stored_with_its_runs_and_their_comparison(client: FlaskClient, slip: str) -> None:
    path = f"/v1/comparisons/{slip}/origins/backward/f/reproduction"
    again = created(client, path, None, headers={"Idempotency-Key": "once"})
    assert [(origin["phase"], origin["node"]) for origin in again["origins"]] == [("backward", "f")]
    assert again["origins"][0]["sentence"].endswith("−3 is the reciprocal of the right local gradient.")
    ours, theirs = (client.get(f"/v1/runs/{again[side]}").json for side in ("baseline", "candidate"))
    assert ours["gradients"] == {"f": -1 / 3, "d": 4 / 3}
    assert (theirs["source"], theirs["recorded_by"], theirs["gradients"]) == (
        "recorded",
        "a claim",
        {"f": -3.0, "d": None},
    )
    graph = client.get(f"/v1/graphs/{ours['graph_id']}").json
    assert (graph["name"], graph["expression"]) == ("reproduction of f", "F = f / d")
    repeated = client.post(path, headers={"Idempotency-Key": "once"})
    assert repeated.json["id"] == again["id"]
    another = created(client, path, None)
    assert another["id"] != again["id"]
    assert client.get(f"/v1/runs/{another['baseline']}").json["graph_id"] == ours["graph_id"]


def test_a_value_and_a_sum_over_uses_are_stored_too(client: FlaskClient) -> None:
    graph = graph_of(client, "u = x * y; v = sin(x); L = sum(u * v)")
    at = {"x": [0.5, 1.0], "y": [3.0, 2.0]}
    for figures, where in (
        ({"values": {"u": [1.5, 7.0]}}, ("forward", "u")),
        ({"values": {"u": [1.5, 2.0]}, "gradients": {"x": [9.0, 9.0]}}, ("backward", "x")),
    ):
        compared = compare(client, run_of(client, graph, at), recorded(client, graph, at, **figures))
        assert [(origin["phase"], origin["node"]) for origin in compared["origins"]] == [where]
        alone = created(client, f"/v1/comparisons/{compared['id']}/origins/{where[0]}/{where[1]}/reproduction", None)
        assert [(origin["phase"], origin["node"]) for origin in alone["origins"]] == [where]
        run = client.get(f"/v1/runs/{alone['baseline']}").json
        assert all(isinstance(value, float) for value in run["inputs"].values())
        # Reproduced again, it is as small as it was.
        again = created(client, f"/v1/comparisons/{alone['id']}/origins/{where[0]}/{where[1]}/reproduction", None)
        assert len(client.get(f"/v1/runs/{again['baseline']}").json["nodes"]) <= len(run["nodes"])


def test_content_that_is_stored_with_its_nodes_in_another_order(client: FlaskClient) -> None:
    names = [{"name": name, "operation": "Input"} for name in ("q", "p")]
    stored = [*names, {"name": "y", "operation": "Sub", "inputs": ["p", "q"]}]
    digest = created(client, "/v1/graphs", {"name": "differently", "nodes": stored})["digest"]
    graph, at = graph_of(client, "y = p - q; L = y * y"), {"p": 3.0, "q": 1.0}
    compared = compare(client, run_of(client, graph, at), recorded(client, graph, at, values={"y": -2}))
    alone = created(client, f"/v1/comparisons/{compared['id']}/origins/forward/y/reproduction", None)
    ours, theirs = (client.get(f"/v1/runs/{alone[side]}").json for side in ("baseline", "candidate"))
    assert ours["graph_digest"] == digest and ours["inputs"] == theirs["inputs"] == at
    assert (ours["outputs"], theirs["outputs"]) == ({"y": 2.0}, {"y": -2.0})
