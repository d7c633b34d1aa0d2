"""The contract of each route of graphs."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

SEED_NODES = [
    *({"name": name, "operation": "Input"} for name in "abcd"),
    {"name": "e", "operation": "Add", "inputs": ["a", "b"]},
    {"name": "f", "operation": "Mul", "inputs": ["e", "c"]},
    {"name": "F", "operation": "Div", "inputs": ["f", "d"]},
]
HEADER, STATEMENTS = "F(a, b, c, d) = ((a + b) * c) / d", "e = a + b; f = e * c; F = f / d"


def create(client: FlaskClient, name: str, status: int = 201, **body: Any) -> Any:
    """Post a graph and read the answer."""
    response = client.post("/v1/graphs", json={"name": name, **body})
    assert response.status_code == status, response.text
    assert response.headers["Location"] == f"/v1/graphs/{response.json['id']}"
    return response.json


def edges(graph: Any) -> list[tuple[Any, ...]]:
    """The nodes in short."""
    return [(node["name"], node["operation"], *node["inputs"]) for node in graph["nodes"]]


@pytest.mark.parametrize(
    ("name", "form", "names"),
    [
        ("by nodes", {"nodes": SEED_NODES}, "efF"),
        ("by statements", {"expression": STATEMENTS}, "efF"),
        ("by header", {"expression": HEADER}, ["add_1", "mul_1", "F"]),
    ],
)
def test_a_graph_is_built(client: FlaskClient, name: str, form: dict[str, Any], names: list[str]) -> None:
    first, second, third = names
    graph = create(client, name, **form, tags={"from": "the tutorial"})
    assert edges(graph) == [
        *((name, "Input") for name in "abcd"),
        (first, "Add", "a", "b"),
        (second, "Mul", first, "c"),
        (third, "Div", second, "d"),
    ]
    members = {"version": 1, "inputs": list("abcd"), "outputs": ["F"], "node_count": 7, "parent": None, "next": None}
    assert {name: graph[name] for name in members} == members
    assert graph["tags"] == {"from": "the tutorial"} and len(graph["digest"]) == 64
    assert graph["expression"] == form.get("expression", STATEMENTS)
    assert client.get(f"/v1/graphs/{graph['id']}").json == graph


def test_equal_content_is_the_version_that_has_it_and_other_content_a_new_one(client: FlaskClient) -> None:
    first = create(client, "v", expression=STATEMENTS)
    second = create(client, "v", expression=HEADER)
    again = create(client, "v", 200, nodes=SEED_NODES[::-1], tags={"not": "kept"}, inputs=list("abcd"))
    assert (first["version"], second["version"]) == (1, 2)
    assert again == first
    assert create(client, "w", expression=STATEMENTS)["version"] == 1
    assert create(client, "v", expression="x + 1")["version"] == 3


def test_the_order_of_inputs_and_outputs_is_content(client: FlaskClient) -> None:
    nodes = [*({"name": name, "operation": "Input"} for name in "ab"), *SEED_NODES[4:5]]
    assert create(client, "io", nodes=nodes)["inputs"] == ["a", "b"]
    turned = create(client, "io", nodes=nodes, inputs=["b", "a"], outputs=["e", "a"])
    assert (turned["inputs"], turned["outputs"], turned["version"]) == (["b", "a"], ["e", "a"], 2)
    assert create(client, "io", expression="e = a + b", outputs=["a"])["outputs"] == ["a"]


def test_nodes_are_added_to_a_stored_graph(client: FlaskClient) -> None:
    old = create(client, "grows", nodes=SEED_NODES[:6])
    path = f"/v1/graphs/{old['id']}/nodes"
    response = client.post(path, json={"nodes": SEED_NODES[6:], "tags": {"by": "me"}})
    new: Any = response.json
    assert response.status_code == 201 and response.headers["Location"] == f"/v1/graphs/{new['id']}"
    assert (new["name"], new["version"], new["parent"], new["tags"]) == ("grows", 2, old["id"], {"by": "me"})
    assert edges(new)[-1] == ("F", "Div", "f", "d") and (old["outputs"], new["outputs"]) == (["f"], ["F"])
    assert new["expression"] == STATEMENTS
    assert client.get(f"/v1/graphs/{old['id']}").json == old
    again = client.post(path, json={"nodes": SEED_NODES[6:]})
    assert again.status_code == 200 and again.json == new
    assert client.post(path, json={"nodes": SEED_NODES[6:], "outputs": ["F", "e"]}).json["outputs"] == ["F", "e"]
    same = client.post(path, json={"nodes": []})
    assert same.status_code == 200 and same.json == old


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (
            {"nodes": [{"name": "y", "operation": "Foo", "inputs": ["x"]}, {"name": "y", "operation": "Add"}]},
            {
                "/nodes/0/operation": "there is no operation 'Foo'; near it is Floor",
                "/nodes/0/inputs/0": "'y' reads 'x', which is not a node",
                "/nodes/1/inputs": "Add takes 2 inputs; 0 given; its form is Add(x, y)",
                "/nodes/1/name": "the name 'y' is already used by node 0",
            },
        ),
        (
            {
                "nodes": [
                    {"name": "p", "operation": "Exp", "inputs": ["r"]},
                    {"name": "q", "operation": "Exp", "inputs": ["p"]},
                    {"name": "r", "operation": "Exp", "inputs": ["q"]},
                ]
            },
            {
                "/nodes/0": "'p' is in a cycle: p → q → r → p",
                "/nodes/1": "'q' is in a cycle: p → q → r → p",
                "/nodes/2": "'r' is in a cycle: p → q → r → p",
            },
        ),
        ({"nodes": []}, {"/nodes": "a graph has at least one node"}),
        ({"expression": "x", "outputs": []}, {"/outputs": "a graph has at least one output"}),
        ({"expression": "x", "outputs": ["y"]}, {"/outputs/0": "'y' is not a node of the graph"}),
    ],
    ids=["four faults", "a cycle", "no node", "no output", "unknown output"],
)
def test_every_fault_of_a_graph_is_named(client: FlaskClient, body: dict[str, Any], faults: dict[str, str]) -> None:
    problem: Any = client.post("/v1/graphs", json={"name": "faulty", **body}).json
    assert problem["status"] == 422 and problem["type"].endswith(":invalid-graph")
    found = {fault["pointer"]: fault["detail"] for fault in problem["errors"]}
    assert set(found) == set(faults)
    if "cycle" not in problem["detail"]:
        assert found == faults
    else:  # a cycle may be told from any of its nodes
        turns = [" → ".join(turn) for turn in ("pqrp", "qrpq", "rpqr")]
        assert all(detail.split(": ")[1] in turns for detail in found.values())
    assert client.get("/v1/graphs?name=faulty").json["graphs"] == []


def test_the_fault_of_an_expression_is_shown_in_its_place(client: FlaskClient) -> None:
    problem: Any = client.post("/v1/graphs", json={"name": "x", "expression": "y = 1\nz = y +"}).json
    assert problem["type"].endswith(":invalid-expression") and (problem["line"], problem["column"]) == (2, 8)
    assert problem["place"] == "z = y +\n       ^"


def test_graphs_are_listed_newest_first_by_name_and_by_tag(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    made = [
        create(client, "p", expression="x", tags={"team": "red", "part": "a:b"}),
        create(client, "q", expression="x", tags={"team": "blue"}),
        create(client, "p", expression="x + 1", tags={"team": "red"}),
    ]
    summaries = [{key: graph[key] for key in graph if key not in ("nodes", "next")} for graph in made]

    def listed(query: dict[str, str]) -> list[int]:
        page: Any = client.get("/v1/graphs", query_string=query).json
        assert page["next"] is None
        return [summaries.index(graph) for graph in page["graphs"]]

    assert listed({}) == [2, 1, 0]
    assert listed({"name": "p"}) == [2, 0]
    assert listed({"tag": "team:red"}) == [2, 0]
    assert listed({"tag": "team:red", "name": "q"}) == []
    assert listed({"tag": "part:a:b"}) == [0]
    assert listed({"tag": "team:re"}) == []


def test_only_a_graph_that_nothing_needs_is_deleted(client: FlaskClient) -> None:
    parent = create(client, "d", expression="F = a * b")
    path = f"/v1/graphs/{parent['id']}"
    child: Any = client.post(f"{path}/nodes", json={"nodes": [{"name": "G", "operation": "Neg", "inputs": ["F"]}]}).json
    problem: Any = client.delete(path).json
    assert problem["status"] == 409 and "1 graph made from it" in problem["detail"]
    client.post(f"/v1/graphs/{child['id']}/runs", json={"inputs": {"a": 1, "b": 2}})
    problem = client.delete(f"/v1/graphs/{child['id']}").json
    assert problem["status"] == 409 and "1 run refers" in problem["detail"]
    alone = create(client, "d", expression="a + b")
    assert alone["version"] == 3
    assert client.delete(f"/v1/graphs/{alone['id']}").status_code == 204
    assert client.get(f"/v1/graphs/{alone['id']}").status_code == 404
    assert client.delete(f"/v1/graphs/{alone['id']}").status_code == 404
    assert create(client, "d", expression="a + b")["id"] != alone["id"]


def test_a_graph_with_a_power_of_an_input_e_has_a_hint(client: FlaskClient) -> None:
    assert "hints" not in create(client, "meant", expression="F(e, x) = e^x")
    made = create(client, "slip", expression="y = e^x")
    (hint,) = made["hints"]
    assert "exp(x)" in hint
    nodes = [{name: node[name] for name in ("name", "operation", "inputs")} for node in made["nodes"]]
    assert "hints" not in create(client, "nodes", nodes=nodes)
