"""Steps and paths over HTTP."""

from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.usecases import explanations


@pytest.fixture
def path(seed: dict[str, Any]) -> str:
    """The path of the seed example's run."""
    return f"/v1/runs/{seed['run']['id']}"


def get(client: FlaskClient, path: str, **query: Any) -> Any:
    """The document that is answered."""
    return client.get(path, query_string=query).json


def test_the_steps_of_the_seed_example(client: FlaskClient, path: str) -> None:
    answer = get(client, f"{path}/steps")
    assert answer["next"] is None
    steps = answer["steps"]
    assert [(step["phase"], step["node"]) for step in steps] == [
        *(("forward", node) for node in "efF"),
        *(("backward", node) for node in "Ffedcba"),
    ]
    forward, backward = steps[2], steps[4]
    assert {member: forward[member] for member in ("operation", "inputs", "rule", "formula", "numbers", "value")} == {
        "operation": "Div",
        "inputs": ["f", "d"],
        "rule": "quotient",
        "formula": "F = f / d",
        "numbers": "-12 / -3 = 4",
        "value": 4.0,
    }
    (contribution,) = backward["contributions"]
    assert contribution["formula_latex"] == r"\frac{\partial F}{\partial f} = \frac{1}{d}"
    assert {member: contribution[member] for member in ("consumer", "operand", "rule", "formula", "numbers")} == {
        "consumer": "F",
        "operand": 0,
        "rule": "quotient",
        "formula": "∂F/∂f = 1 / d",
        "numbers": "1 / -3 = -0.3333333333333333",
    }
    assert (contribution["local"], contribution["upstream"], contribution["product"]) == (-1 / 3, 1.0, -1 / 3)
    assert (backward["sum"], backward["gradient"], backward["difference"]) == (-1 / 3, -1 / 3, None)
    assert steps[3]["seed"] == 1.0
    assert [step["gradient"] for step in steps[3:]] == [1.0, -1 / 3, 2 / 3, 4 / 3, -2.0, 2 / 3, 2 / 3]


def test_the_steps_of_one_node(client: FlaskClient, path: str) -> None:
    steps = get(client, f"{path}/steps", node="e")["steps"]
    assert [step["phase"] for step in steps] == ["forward", "backward"]
    assert [step["phase"] for step in get(client, f"{path}/steps", node="d")["steps"]] == ["backward"]
    assert client.get(f"{path}/steps?node=g").status_code == 404
    assert client.get("/v1/runs/none/steps").status_code == 404


def test_steps_are_paged(client: FlaskClient, path: str) -> None:
    whole, paged, cursor = get(client, f"{path}/steps")["steps"], [], None
    while True:
        page = get(client, f"{path}/steps", limit=3, **({"cursor": cursor} if cursor else {}))
        paged += page["steps"]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole


def test_a_page_ends_early_where_nodes_feed_many(
    client: FlaskClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = get(client, f"{path}/steps")["steps"]
    monkeypatch.setattr(explanations, "_CONTRIBUTIONS_OF_A_PAGE", 2)
    page = get(client, f"{path}/steps")
    assert page["steps"] == whole[:6]  # forward, the output, and two gradients
    assert get(client, f"{path}/steps", cursor=page["next"])["steps"] == whole[6:8]


# --- paths --------------------------------------------------------------------------------------------------------


def test_the_paths_of_the_seed_example(client: FlaskClient, path: str) -> None:
    answer = get(client, f"{path}/paths", node="a")
    assert answer["paths"] == [
        {
            "nodes": ["a", "e", "f", "F"],
            "factors": [
                {"of": "e", "wrt": "a", "operand": 0, "value": 1.0},
                {"of": "f", "wrt": "e", "operand": 0, "value": -2.0},
                {"of": "F", "wrt": "f", "operand": 0, "value": -1 / 3},
            ],
            "product": 2 / 3,
        }
    ]
    assert {member: answer[member] for member in ("node", "output", "seed", "path_count", "share")} == {
        "node": "a",
        "output": "F",
        "seed": 1.0,
        "path_count": 1,
        "share": 1.0,
    }
    assert answer["sum"] == answer["listed_sum"] == answer["gradient"] == 2 / 3
    assert answer["formula"] == "dF/da = ∂F/∂f * ∂f/∂e * ∂e/∂a"
    assert answer["expanded_latex"] == r"\frac{d F}{d a} = \frac{c}{d}"


@pytest.mark.slow
def test_more_paths_than_json_readers_count_are_a_string_of_digits(client: FlaskClient) -> None:
    rungs = 15_000  # 2 to that power has more digits than `str` writes
    nodes = [{"name": "x", "operation": "Input"}]
    nodes += [{"name": f"y{k}", "operation": "Add", "inputs": [f"y{k - 1}" if k else "x"] * 2} for k in range(rungs)]
    graph: Any = client.post("/v1/graphs", json={"name": "ladder", "nodes": nodes}).json
    run: Any = client.post(f"/v1/graphs/{graph['id']}/runs?gradients=inputs", json={"inputs": {"x": 0}}).json
    answer = get(client, f"/v1/runs/{run['id']}/paths", node=f"y{rungs - 54}", limit=1)
    assert (answer["path_count"], answer["sum"]) == (2**53, 2.0**53)
    answer = get(client, f"/v1/runs/{run['id']}/paths", node=f"y{rungs - 55}", limit=1)
    assert (answer["path_count"], answer["sum"]) == (str(2**54), 2.0**54)
    answer = get(client, f"/v1/runs/{run['id']}/paths", node="x", limit=1)
    assert answer["path_count"] == str(Decimal(2**rungs))
    assert (answer["sum"], answer["share"]) == ("Infinity", None)


def test_what_cannot_be_answered_is_told(client: FlaskClient, path: str) -> None:
    problem = client.get(f"{path}/paths")
    assert problem.status_code == 422 and problem.json and problem.json["errors"][0]["parameter"] == "node"
    assert client.get(f"{path}/paths?node=g").status_code == 404
    graph: Any = client.post("/v1/graphs", json={"name": "tensors", "expression": "y = x * w"}).json
    run: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": {"x": [1, 2], "w": 3}}).json
    problem = client.get(f"/v1/runs/{run['id']}/paths?node=w")
    assert problem.status_code == 422 and problem.json
    assert problem.json["errors"] == [
        {"parameter": "node", "detail": "paths are for scalar figures; 'y' has shape [2]"}
    ]
    recorded = {"inputs": {"x": 1}, "recorded": {"by": "somebody", "gradients": {"y": 1}}}
    run = client.post(f"/v1/graphs/{graph['id']}/runs", json=recorded).json
    problem = client.get(f"/v1/runs/{run['id']}/paths?node=x")
    assert problem.status_code == 409 and problem.json and "no value of 'w'" in problem.json["detail"]


def test_a_seed_too_large_for_a_list_is_left_out(client: FlaskClient) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": "wide", "expression": "F(x) = x * 2"}).json
    run: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": {"x": [1] * 10_001}}).json
    steps = get(client, f"/v1/runs/{run['id']}/steps", node="F")["steps"]
    assert steps[1]["shape"] == [10_001] and "seed" not in steps[1]
