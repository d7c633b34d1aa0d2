"""Recordings with a figure that is transposed or not summed: stored, shown and explained like any other, and judged."""

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.api.test_comparisons import compare, created, graph_of, problem, recorded, run_of

EXPRESSION = "h = x @ W; s = h + b; r = relu(s); q = max(r, 0.5); F = sum(q * t)"
RANDOM = np.random.default_rng(8)
INPUTS: dict[str, Any] = {
    "x": RANDOM.normal(size=(4, 3)).tolist(),
    "W": RANDOM.normal(size=(3, 2)).tolist(),
    "b": [0.25, -0.5],
    "t": RANDOM.normal(size=(4, 2)).tolist(),
}


def figures(client: FlaskClient, run: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values and the gradients of a run, by node."""
    nodes: Any = client.get(f"/v1/runs/{run}").json
    return tuple({node["name"]: node[kind] for node in nodes["nodes"]} for kind in ("value", "gradient"))


@pytest.fixture
def graph(client: FlaskClient) -> str:
    return graph_of(client, EXPRESSION)


def wrong_figures(client: FlaskClient, ours: str, phase: str, node: str) -> dict[str, Any]:
    """The right figures but one, which is transposed, or for b not summed."""
    values, gradients = figures(client, ours)
    gradients = {name: figure for name, figure in gradients.items() if figure is not None}
    changed = values if phase == "forward" else gradients
    changed[node] = gradients["s"] if node == "b" else np.transpose(changed[node]).tolist()
    return {"values": values, "gradients": gradients}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "node", "name"),
    [
        *[("forward", node, "transposed") for node in ("h", "s", "r", "q")],
        *[("backward", node, "transposed") for node in ("W", "x", "h", "r", "q")],
        ("backward", "b", "not summed over the batch"),
    ],
)
def test_it_is_an_origin_and_everything_shows_it(
    client: FlaskClient, graph: str, phase: str, node: str, name: str
) -> None:
    ours = run_of(client, graph, INPUTS)
    given = wrong_figures(client, ours, phase, node)
    theirs = recorded(client, graph, INPUTS, **given)
    assert figures(client, theirs) == (given["values"], {**dict.fromkeys(given["values"]), **given["gradients"]})
    found = compare(client, ours, theirs)
    assert [(origin["phase"], origin["node"]) for origin in found["origins"]] == [(phase, node)]
    assert [hypothesis["name"] for hypothesis in found["origins"][0]["hypotheses"]] == [name]
    assert "has the shape" in found["origins"][0]["sentence"]
    assert (found["counts"]["origin"], found["counts"]["inherited"], found["missing"]) == (1, 0, [])
    (shown,) = [each for each in found["nodes"] if each["verdict"] == "origin"]
    assert shown["candidate"] == given["values" if phase == "forward" else "gradients"][node]
    assert shown["absolute_error"] == "Infinity" and "worst" not in shown
    again: Any = client.get(f"/v1/comparisons/{found['id']}").json
    assert again == found
    paths = [
        f"/v1/comparisons/{found['id']}/picture",
        *[f"/v1/runs/{theirs}/{what}" for what in ("picture", "picture?format=dot", "steps", f"steps?node={node}")],
        *[f"/v1/runs/{theirs}/nodes{which}" for which in ("?limit=3", f"/{node}", "/F")],
    ]
    for path in paths:
        assert client.get(path).status_code == 200, path
    assert "origin" in client.get(paths[0]).text
    pages: Any = client.get(f"/v1/runs/{theirs}/nodes?limit=3").json
    while pages["next"]:
        pages = client.get(f"/v1/runs/{theirs}/nodes?limit=3&cursor={pages['next']}").json
    assert client.get(f"/v1/runs/{theirs}/paths?node=x").status_code == 422


@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_it_may_be_claimed(client: FlaskClient, graph: str, phase: str) -> None:
    ours = run_of(client, graph, INPUTS)
    claims = wrong_figures(client, ours, phase, "h")
    for kept in ({}, {"keep": False}):
        checked = created(
            client, f"/v1/graphs/{graph}/checks", {"inputs": INPUTS, "claims": claims, **kept}, 200 if kept else 201
        )
        assert [(origin["phase"], origin["node"]) for origin in checked["origins"]] == [(phase, "h")]


def test_a_gradient_check_refuses_it(client: FlaskClient, graph: str) -> None:
    ours = run_of(client, graph, INPUTS)
    theirs = recorded(client, graph, INPUTS, **wrong_figures(client, ours, "backward", "W"))
    body = {"inputs": {}, "run": theirs}
    assert [pointer for pointer, _ in problem(client, f"/v1/graphs/{graph}/gradient-checks", body)] == ["/run"]


def test_a_run_may_be_compared_with_it(client: FlaskClient, graph: str) -> None:
    ours = run_of(client, graph, INPUTS)
    theirs = recorded(client, graph, INPUTS, **wrong_figures(client, ours, "backward", "W"))
    found = compare(client, theirs, ours)
    assert (found["verdict"], found["compared"]["gradients"]) == ("same", 9)
    assert compare(client, theirs, theirs)["verdict"] == "same"
