"""Steps and paths over HTTP."""

from typing import Any

import pytest
from flask.testing import FlaskClient


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
