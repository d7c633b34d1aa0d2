"""Cost grows with the work, and what is refused is refused before it: by counts of calls, since times vary."""

from collections.abc import Callable
from cProfile import Profile
from functools import partial
from itertools import chain
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """One whose answers are not checked: that takes more calls than the service."""
    return FlaskClient(app, app.response_class)


def calls(act: Callable[[], Any]) -> int:
    """How many functions are called."""
    profile = Profile()
    profile.runcall(act)
    return sum(entry.callcount for entry in profile.getstats())


def of_many(count: int, operation: str = "Max") -> list[dict[str, Any]]:
    return [{"name": "x", "operation": "Input"}, {"name": "m", "operation": operation, "inputs": ["x"] * count}]


def line(count: int) -> list[dict[str, Any]]:
    """A chain of sines."""
    sines = ({"name": f"n{k}", "operation": "Sin", "inputs": [f"n{k - 1}" if k else "x"]} for k in range(count))
    return list(chain([{"name": "x", "operation": "Input"}], sines))


def create(client: FlaskClient, nodes: list[dict[str, Any]]) -> str:
    made: Any = client.post("/v1/graphs", json={"name": "large", "nodes": nodes}).json
    return str(made["id"])


def everything(client: FlaskClient, graph: str) -> None:
    """Make, read, explain and compare a run at a kink."""
    ours: Any = client.post(f"/v1/graphs/{graph}/runs", json={"inputs": {"x": 2.0}}).json
    recorded = {"by": "other", "values": {"m": 3.0}, "gradients": {"x": 1.0}}
    theirs: Any = client.post(f"/v1/graphs/{graph}/runs", json={"inputs": {"x": 2.0}, "recorded": recorded}).json
    for path in ("", "/nodes", "/steps?node=x", "/picture", "/paths?node=x&limit=3"):
        assert client.get(f"/v1/runs/{ours['id']}{path}").status_code == 200
    both = {"baseline": ours["id"], "candidate": theirs["id"]}
    assert client.post("/v1/comparisons", json=both).status_code == 201
    vectors = {"inputs": {"x": [2.0, 3.0]}, "seed": [1.0, 1.0], "conventions": "torch"}
    assert client.post(f"/v1/graphs/{graph}/runs", json=vectors).status_code == 201


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["Max", "Min", "Sum"])
def test_an_operand_more_costs_what_the_one_before_did(client: FlaskClient, operation: str) -> None:
    everything(client, create(client, of_many(10, operation)))
    graphs = [create(client, of_many(count, operation)) for count in (50, 200)]
    few, many = (calls(partial(everything, client, graph)) for graph in graphs)
    assert many <= 6 * few


def check_all(client: FlaskClient, count: int) -> Callable[[], Any]:
    graph = create(client, line(count))
    body = {"inputs": {"x": 2.0}, "nodes": ["x", *(f"n{k}" for k in range(count))]}
    return lambda: client.post(f"/v1/graphs/{graph}/gradient-checks", json=body)


def test_gradients_of_all_nodes_of_a_chain_are_checked(client: FlaskClient) -> None:
    assert check_all(client, 5)().status_code == 200
    few, many = (calls(check_all(client, count)) for count in (25, 100))
    assert many <= 6 * few


def test_a_check_of_too_many_nodes_is_refused_before_it_begins(client: FlaskClient) -> None:
    check = check_all(client, 3000)
    refused: Any = check()
    assert (refused.status_code, refused.json["limit"]) == (422, "run_elements")
    assert calls(check) < 100 * 3000  # each node would be computed 72,000 times


@pytest.mark.parametrize("query", ["", "&wrt=x"])
def test_a_formula_of_too_many_nodes_is_refused_before_it_is_written(client: FlaskClient, query: str) -> None:
    graph = create(client, line(5000))
    path = f"/v1/graphs/{graph}/formula?of=n4999{query}"
    refused: Any = client.get(path)
    assert (refused.status_code, refused.json["limit"], refused.json["maximum"]) == (422, "formula_nodes", 4096)
    assert "'n4999' has 5000 before it" in refused.json["detail"]
    assert calls(lambda: client.get(path)) < 4 * 5000


def test_many_unknown_members_are_refused_at_once(client: FlaskClient) -> None:
    def refuse(count: int) -> int:
        body = {"name": "g", "expression": "y = x", **{f"u{k}": 1 for k in range(count)}}
        return calls(lambda: client.post("/v1/graphs", json=body))

    assert refuse(4000) <= 6 * refuse(1000)


def test_each_second_derivative_costs_what_the_others_do(client: FlaskClient) -> None:
    """A Hessian of n numbers has n² figures."""

    def differentiate(count: int) -> int:
        names = [f"x{k}" for k in range(count)]
        made: Any = client.post("/v1/graphs", json={"name": "product", "expression": f"y = {'*'.join(names)}"}).json
        body = {"kind": "hessian", "inputs": dict.fromkeys(names, 2.0)}
        answers: list[Any] = []
        counted = calls(lambda: answers.append(client.post(f"/v1/graphs/{made['id']}/derivatives", json=body)))
        blocks = answers[0].json["blocks"]
        assert [block["value"] for block in blocks] == [
            0.0 if row == column else 2.0 ** (count - 2) for row in range(count) for column in range(count)
        ]
        assert client.get(answers[0].headers["Location"]).json["blocks"] == blocks
        return counted

    differentiate(4)
    few, many = differentiate(20), differentiate(40)  # 400 and 1,600 figures
    assert many <= 6 * few
    assert many < 100 * 1600
