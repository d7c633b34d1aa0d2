"""Gradient checks over HTTP; every answer is held against the document of the API by the client of conftest.py."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

INPUTS = {"a": 5, "b": 1, "c": -2, "d": -3}


@pytest.fixture
def path(seed: dict[str, Any]) -> str:
    return f"/v1/graphs/{seed['graph']['id']}/gradient-checks"


def test_the_seed_example_is_right_by_every_method(client: FlaskClient, path: str) -> None:
    by_default: Any = client.post(path, json={"inputs": INPUTS}).json
    assert by_default["method"] == "taylor" and by_default["random_seed"] == 2026
    for method in ("taylor", "central", "complex-step"):
        answer: Any = client.post(path, json={"inputs": INPUTS, "method": method, "nodes": ["f", "a"]}).json
        assert (answer["verdict"], answer["method"], answer["output"]) == ("right", method, "F")
        assert [node["name"] for node in answer["nodes"]] == ["a", "b", "c", "d", "f"]
        gradients = [2 / 3, 2 / 3, -2, 4 / 3, -1 / 3]
        for node, gradient in zip(answer["nodes"], gradients, strict=True):
            assert node["gradient"] == pytest.approx(gradient, rel=1e-15)
            assert node["estimate"] == pytest.approx(gradient, rel=1e-10)
            assert node["error"] < 1e-10 and node["verdict"] == "right" and "reason" not in node
            assert ("rate" in node) == (method == "taylor")
    runs: Any = client.get("/v1/runs").json
    assert len(runs["runs"]) == 1  # the seed example's: a check keeps nothing


def test_a_node_that_cannot_be_checked_says_why(client: FlaskClient) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": "kink", "expression": "p = abs(x) * w; q = p + 1"}).json
    body = {"inputs": {"x": 0, "w": [1, "NaN"]}, "output": "p"}
    answer: Any = client.post(f"/v1/graphs/{graph['id']}/gradient-checks", json=body).json
    assert answer["verdict"] == "not applicable"
    assert [node["reason"] for node in answer["nodes"]] == ["the output is not finite", "the value is not finite"]
    assert answer["nodes"][0]["gradient"] == "NaN" and answer["nodes"][0]["estimate"] is None
    body["inputs"]["w"] = [1, 2]
    answer = client.post(f"/v1/graphs/{graph['id']}/gradient-checks", json=body).json
    assert [node["verdict"] for node in answer["nodes"]] == ["not applicable", "right"]
    assert answer["nodes"][0]["reason"] == "no derivative exists at 'abs_1'"


@pytest.mark.parametrize(
    ("changed", "pointer", "detail"),
    [
        ({"inputs": {"a": 5}}, "/inputs", "the input 'b' is missing"),
        ({"inputs": {**INPUTS, "a": "five"}}, "/inputs/a", "not the string 'five'"),
        ({"method": "guess"}, "/method", "taylor, central or complex-step is expected"),
        ({"nodes": ["e", "g"]}, "/nodes/1", "the graph has no node 'g'"),
        ({"nodes": "e"}, "/nodes", "a list of names of nodes is expected"),
        ({"nodes": ["e", 1]}, "/nodes/1", "the name of a node is expected, a string"),
        ({"output": "g"}, "/output", "the graph has no node 'g'"),
        ({"gradients": {"g": 1}}, "/gradients/g", "the graph has no node 'g'"),
        ({"gradients": {"e": [1, 2]}}, "/gradients/e", "'e' has shape []; the gradient has [2]"),
        ({"tolerance": "loose"}, "/tolerance", "a tolerance is one of"),
        (
            {"seed": 1},
            "/seed",
            "unknown member `seed`; known: inputs, method, nodes, output",
        ),
    ],
)
def test_faults_are_named_with_their_places(
    client: FlaskClient, path: str, changed: dict[str, Any], pointer: str, detail: str
) -> None:
    answer = client.post(path, json={"inputs": INPUTS, **changed})
    assert answer.status_code == 422
    errors: Any = answer.json["errors"]
    assert (errors[0]["pointer"], detail in errors[0]["detail"]) == (pointer, True), errors


def test_a_constant_has_nothing_to_check(client: FlaskClient) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": "constant", "expression": "y = x * 2"}).json
    body = {"inputs": {"x": 1}, "nodes": ["constant_1"]}
    answer = client.post(f"/v1/graphs/{graph['id']}/gradient-checks", json=body)
    assert answer.json["errors"] == [
        {"pointer": "/nodes/0", "detail": "no gradient flows to 'constant_1': it is a Constant or an Input of integers"}
    ]


def test_no_such_graph(client: FlaskClient) -> None:
    assert client.post("/v1/graphs/none/gradient-checks", json={"inputs": {}}).status_code == 404


def test_a_check_is_limited(make_app: Callable[..., Flask]) -> None:
    client = make_app(run_elements=1000).test_client()
    graph: Any = client.post("/v1/graphs", json={"name": "limited", "expression": "y = x * 2"}).json
    for size, status in ((4, 200), (5, 422)):  # 20 moves of each element, each computing all elements of x and y, and 2
        body = {"inputs": {"x": [1.0] * size}, "method": "central"}
        answer = client.post(f"/v1/graphs/{graph['id']}/gradient-checks", json=body)
        assert answer.status_code == status
    assert (answer.json["limit"], answer.json["maximum"]) == ("run_elements", 1000)


def test_labels_do_not_spoil_the_verdict(client: FlaskClient) -> None:
    """README's own loss, its labels an ordinary input."""
    text = "h = relu(x @ W + b); L = softmax_cross_entropy(h @ V, labels)"
    graph: Any = client.post("/v1/graphs", json={"name": "labelled", "expression": text}).json
    inputs = {
        "x": [[0.5, -1.0], [2.0, 0.25]],
        "W": [[0.3, -0.2, 0.9], [0.1, 0.4, -0.7]],
        "b": [0.1, 0.2, -0.3],
        "V": [[0.2, -0.5], [0.7, 0.1], [-0.3, 0.6]],
        "labels": [1, 0],
    }
    for method in ("taylor", "central"):
        body = {"inputs": inputs, "method": method}
        answer: Any = client.post(f"/v1/graphs/{graph['id']}/gradient-checks", json=body).json
        assert answer["verdict"] == "right"
        labels = next(node for node in answer["nodes"] if node["name"] == "labels")
        assert labels["held"] and labels["reason"] == "'L' takes it as an index"
        assert not any("held" in node for node in answer["nodes"] if node["name"] != "labels")


TUTORIAL = {"F": 1, "f": -3, "d": 108, "e": 6, "c": -18, "a": 6, "b": 6}
RIGHT = {"F": 1, "f": -1 / 3, "d": 4 / 3, "e": 2 / 3, "c": -2, "a": 2 / 3, "b": 2 / 3}


@pytest.mark.parametrize("method", ["taylor", "central", "complex-step"])
def test_given_gradients_are_checked_instead_of_ours(client: FlaskClient, path: str, method: str) -> None:
    body = {"inputs": INPUTS, "method": method, "gradients": TUTORIAL}
    answer: Any = client.post(path, json=body).json
    found = {node["name"]: node for node in answer["nodes"]}
    assert answer["verdict"] == "wrong"
    assert {name: node["verdict"] for name, node in found.items()} == {
        name: "right" if name == "F" else "wrong" for name in TUTORIAL
    }
    for name, node in found.items():
        assert node["gradient"] == TUTORIAL[name] and node["estimate"] == pytest.approx(RIGHT[name], rel=1e-6)
    slightly = {"inputs": INPUTS, "method": method, "gradients": {"d": 4 / 3 * 1.001}}
    assert client.post(path, json=slightly).json["verdict"] == "wrong"
    slightly["tolerance"] = {"rtol": 0.01}
    assert client.post(path, json=slightly).json["verdict"] == "right"


@pytest.mark.parametrize("method", ["taylor", "central", "complex-step"])
def test_a_recorded_run_is_checked_by_differences(
    client: FlaskClient, seed: dict[str, Any], path: str, method: str
) -> None:
    def record(gradients: dict[str, Any], **more: Any) -> str:
        recorded = {"by": "somebody", "gradients": gradients, **more}
        body = {"inputs": INPUTS, "recorded": recorded, "seed": 2}
        return str(client.post(f"/v1/graphs/{seed['graph']['id']}/runs", json=body).json["id"])

    rounded = {name: float(np.float32(2 * gradient)) for name, gradient in RIGHT.items()}
    single = record(rounded, dtype="float32")
    answer: Any = client.post(path, json={"run": single, "method": method}).json
    assert (answer["verdict"], answer["output"]) == ("right", "F")
    assert {node["name"] for node in answer["nodes"]} == set(RIGHT)
    wrong = record({name: 2 * gradient for name, gradient in RIGHT.items()} | {"c": 4})
    answer = client.post(path, json={"run": wrong, "method": method}).json
    assert [node["name"] for node in answer["nodes"] if node["verdict"] != "right"] == ["c"]
    assert answer["verdict"] == "wrong"


def test_a_run_that_cannot_be_checked_is_refused(client: FlaskClient, seed: dict[str, Any], path: str) -> None:
    runs = f"/v1/graphs/{seed['graph']['id']}/runs"
    forward: Any = client.post(runs, json={"inputs": INPUTS, "backward": False}).json
    answer = client.post(path, json={"run": forward["id"]})
    assert answer.json["errors"] == [{"pointer": "/run", "detail": "this run has no gradients"}]
    other: Any = client.post("/v1/graphs", json={"name": "other", "expression": "y = x * 2"}).json
    run: Any = client.post(f"/v1/graphs/{other['id']}/runs", json={"inputs": {"x": 1}}).json
    answer = client.post(path, json={"run": run["id"]})
    assert answer.json["errors"] == [{"pointer": "/run", "detail": "this run is of another graph"}]
    assert client.post(path, json={"run": "none"}).status_code == 404
