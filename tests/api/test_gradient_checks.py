"""Gradient checks over HTTP; every answer is held against the document of the API by the client of conftest.py."""

from collections.abc import Callable
from typing import Any

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
        ({"nodes": ["e", 1]}, "/nodes/1", "the graph has no node 1"),
        ({"output": "g"}, "/output", "the graph has no node 'g'"),
        ({"seed": 1}, "/seed", "unknown member `seed`; known: inputs, method, nodes, output"),
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
