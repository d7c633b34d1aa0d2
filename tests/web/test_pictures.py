"""Pictures over HTTP."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service import example
from tests.performing import perform_jobs
from tests.web.drawings import nodes, read, texts

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("what", ["graphs", "runs"])
def test_a_graph_and_a_run_are_drawn(client: FlaskClient, seed: dict[str, Any], what: str) -> None:
    path = f"/v1/{what}/{seed[what[:-1]]['id']}/picture"
    answer = client.get(path)
    assert answer.content_type == "image/svg+xml"
    root = read(answer.text)
    assert [node.get("data-node") for node in nodes(root)] == ["a", "b", "c", "d", "e", "f", "F"]
    assert texts(root, "value") == (["5", "1", "−2", "−3", "6", "−12", "4"] if what == "runs" else [])
    again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get(f"{path}?format=dot").content_type == "text/vnd.graphviz; charset=utf-8"
    down = read(client.get(f"{path}?direction=down").text)
    assert float(down.get("height", "")) > float(down.get("width", ""))
    assert "  rankdir=TB\n" in client.get(f"{path}?format=dot&direction=down").text


def test_a_comparison_marks_the_tutorials_two_slips_and_what_they_led_to(
    client: FlaskClient, seed: dict[str, Any]
) -> None:
    claims = {"gradients": {"F": 1, "f": -3, "d": 108, "e": 6, "c": -18, "a": 6, "b": 6}}
    body = {"inputs": {"a": 5, "b": 1, "c": -2, "d": -3}, "claims": claims}
    comparison = client.post(f"/v1/graphs/{seed['graph']['id']}/checks", json=body).json
    assert comparison is not None
    root = read(client.get(f"/v1/comparisons/{comparison['id']}/picture").text)
    marks = {node.get("data-node"): texts(node, "verdict") for node in nodes(root)}
    inherited = ["◇ inherited"]
    assert marks == {"f": ["◆ origin"], "d": ["◆ origin"], "F": [], **dict.fromkeys("abce", inherited)}
    (slip,) = [node.get("aria-label") for node in nodes(root) if node.get("data-node") == "f"]
    assert "−3 is the reciprocal of the right local gradient" in (slip or "")
    heats = {node.get("data-node"): (node.get("class") or "").split()[-1] for node in nodes(root)}
    assert heats == {"f": "q3", "d": "q4", "F": "operation", **dict.fromkeys("abce", "q3")}
    assert texts(root, "ringed") == ["first"]
    (first,) = [node for node in nodes(root) if "the first difference" in (node.get("aria-label") or "")]
    assert first.get("data-node") == "f"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("focus=z", "focus"),
        ("hops=0", "hops"),
        ("hops=x", "hops"),
        ("format=png", "format"),
        ("direction=up", "direction"),
    ],
)
def test_what_cannot_be_drawn_is_refused(client: FlaskClient, seed: dict[str, Any], query: str, parameter: str) -> None:
    answer = client.get(f"/v1/graphs/{seed['graph']['id']}/picture?{query}")
    assert answer.status_code == 422 and answer.json is not None
    assert answer.json["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize("what", ["graphs", "runs", "comparisons"])
def test_what_is_not_there_is_not_drawn(client: FlaskClient, what: str) -> None:
    assert client.get(f"/v1/{what}/none/picture").status_code == 404


def without_ids(text: str) -> str:
    return re.sub("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text).strip()


def test_the_pictures_of_the_readme_are_what_the_service_draws(client: FlaskClient, seed: dict[str, Any]) -> None:
    """To make them anew: `gradbook picture RUN > examples/tutorial.svg`, and of the check in the README."""
    graph = f"/v1/graphs/{seed['graph']['id']}"
    run = client.post(f"{graph}/runs", json={"inputs": example.INPUTS, "label": example.LABEL}).json
    claims = {"by": "the tutorial", "gradients": example.TUTORIAL_GRADIENTS}
    check = client.post(f"{graph}/checks", json={"inputs": example.INPUTS, "claims": claims}).json
    assert run is not None and check is not None
    paths = {"tutorial": f"/v1/runs/{run['id']}", "tutorial-check": f"/v1/comparisons/{check['id']}"}
    for name, path in paths.items():
        drawn = client.get(f"{path}/picture").text
        assert without_ids(drawn) == without_ids((EXAMPLES / f"{name}.svg").read_text(encoding="utf-8")), name


def test_a_difference_that_a_convention_explains_is_no_origin(client: FlaskClient) -> None:
    graph = client.post("/v1/graphs", json={"name": "kink", "expression": "y = 3 * clip(x, min=0, max=1)"}).json
    assert graph is not None
    runs = [
        client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": {"x": 1}, "conventions": conventions}).json
        for conventions in ("minimum-norm", "tensorflow")
    ]
    body = {"baseline": (runs[0] or {})["id"], "candidate": (runs[1] or {})["id"]}
    comparison = client.post("/v1/comparisons", json=body).json
    root = read(client.get(f"/v1/comparisons/{(comparison or {})['id']}/picture").text)
    assert {node.get("data-node"): texts(node, "verdict") for node in nodes(root)}["x"] == ["△ convention"]
    (label,) = [node.get("aria-label") for node in nodes(root) if node.get("data-node") == "x"]
    assert "the choice of torch, tensorflow where no derivative exists" in (label or "")
    kink = read(client.get(f"/v1/runs/{body['baseline']}/picture").text)
    assert [node.get("data-node") for node in nodes(kink) if "kink" in (node.get("class") or "")] == ["clip_1"]


def test_a_run_is_shaded_by_what_rounding_does(client: FlaskClient) -> None:
    client.post("/v1/graphs", json={"name": "shaded", "expression": "p = exp(x); d = p - y; L = d * d"})
    run = client.post("/v1/graphs/shaded/runs", json={"inputs": {"x": 1.0, "y": 2.75}}).json
    assert run is not None
    path = f"/v1/runs/{run['id']}/picture"
    plain, shaded = client.get(path).text, client.get(f"{path}?rounding=bfloat16").text
    classes = dict(re.findall(r'<g class="node [a-z]+ ?([^"]*)" role="listitem" data-node="(\w)"', shaded))
    assert classes == {"q4": "p", "q1": "d", "": "y"} or classes["q4"] == "p"
    assert "its rounding makes" in shaded and "its rounding makes" not in plain
    assert "shade and %: the share in the likely error of rounding to bfloat16" in shaded
    assert " %" in client.get(f"{path}?rounding=bfloat16&format=dot").text
    assert client.get(f"{path}?rounding=float64").status_code == 422
    forward = client.post("/v1/graphs/shaded/runs", json={"inputs": {"x": 1.0, "y": 2.75}, "backward": False}).json
    assert forward is not None
    assert client.get(f"/v1/runs/{forward['id']}/picture?rounding=bfloat16").status_code == 409


def test_a_closed_part_has_the_shares_of_its_nodes_together(client: FlaskClient) -> None:
    client.post("/v1/graphs", json={"name": "cell", "expression": "h = tanh(w * x); y = h * h"})
    nodes = [
        {"name": "x", "operation": "Input"},
        {"name": "w", "operation": "Input"},
        {"name": "c", "operation": "cell", "inputs": ["w", "x"]},
        {"name": "L", "operation": "Exp", "inputs": ["c"]},
    ]
    assert client.post("/v1/graphs", json={"name": "of a cell", "nodes": nodes}).status_code == 201
    run = client.post("/v1/graphs/of a cell/runs", json={"inputs": {"x": 0.5, "w": 1.5}}).json
    assert run is not None
    path = f"/v1/runs/{run['id']}"
    shares = {node["name"]: node["share"] for node in client.get(f"{path}/rounding?dtype=bfloat16").get_json()["nodes"]}
    within = sum(share for name, share in shares.items() if name == "c" or name.startswith("c/"))
    drawn = client.get(f"{path}/picture?rounding=bfloat16").text
    (told,) = re.findall(r'data-node="c" aria-label="[^"]*its rounding makes ([0-9.]+) %', drawn)
    assert float(told) == pytest.approx(100 * within, rel=0.06)


@pytest.fixture(scope="module")
def sweep(app: Flask, client: FlaskClient, seed: dict[str, Any]) -> str:
    """The path of a sweep of the example over three inputs."""
    inputs = {
        "a": {"linspace": [0, 5, 6]},
        "b": 1,
        "c": {"values": [1, -2]},
        "d": {"linspace": [-3, 3, 7]},
    }
    made = client.post(f"/v1/graphs/{seed['graph']['id']}/sweeps", json={"inputs": inputs, "gradients": True}).json
    assert made is not None
    perform_jobs(app)
    return f"/v1/sweeps/{made['id']}/picture"


def test_a_sweep_is_drawn_over_what_is_asked(client: FlaskClient, sweep: str) -> None:
    answer = client.get(sweep)
    assert answer.content_type == "image/svg+xml"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert client.get(sweep, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    told = "".join(read(answer.text).itertext())
    assert "F over a and c" in told and "a from 0 to 5 and c from −2 to 1, 12 points, at d = 0." in told
    assert "12 points have no finite value (×): ∞ at a = 0 and c = 1; −∞ at a = 0 and c = −2" in told
    told = "".join(read(client.get(f"{sweep}?of=dF/dd&x=d&hold=a:5&hold=c:1").text).itertext())
    assert "d from −3 to 3, 7 points, at a = 5 and c = −2." in told
    assert "The least is 4/3, at d = −3; the greatest 12, at d = −1." in told


def test_figures_with_long_names_are_drawn(app: Flask, client: FlaskClient) -> None:
    x, y = "x" * 256, "y" * 256
    nodes = [{"name": x, "operation": "Input"}, {"name": y, "operation": "Sin", "inputs": [x]}]
    graph = client.post("/v1/graphs", json={"name": "long", "nodes": nodes}).json
    assert graph is not None
    asked = {"inputs": {x: {"linspace": [0, 1, 3]}}, "gradients": True}
    made = client.post(f"/v1/graphs/{graph['id']}/sweeps", json=asked).json
    assert made is not None
    perform_jobs(app)
    for figure in client.get(f"/v1/sweeps/{made['id']}").json["columns"]:  # type: ignore[index]
        assert client.get(f"/v1/sweeps/{made['id']}/picture", query_string={"of": figure}).status_code == 200


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("of=G", "of"),
        ("x=b", "x"),
        ("y=z", "y"),
        ("hold=a", "hold"),
        ("x=d&hold=a:6", "hold"),
        ("format=png", "format"),
    ],
)
def test_a_picture_of_what_a_sweep_has_not_is_refused(client: FlaskClient, sweep: str, query: str, at: str) -> None:
    answer = client.get(f"{sweep}?{query}")
    assert answer.status_code == 422 and answer.json is not None
    assert {fault["parameter"] for fault in answer.json["errors"]} == {at}
