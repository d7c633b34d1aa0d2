"""Texts that are long, or made to be read in many ways: refused at once, in sentences of a bounded length."""

import json
from time import process_time
from typing import Any

import pytest
from flask.testing import FlaskClient

INPUTS = {"a": 5, "b": 1, "c": -2, "d": -3}
LONG = "q" * 2_000_000
X = {"name": "x", "operation": "Input"}
EINSUM = {"name": "y", "operation": "Einsum", "inputs": ["x"], "attributes": {"equation": "abc," * 12 + "!"}}


def claimed(text: str) -> dict[str, Any]:
    return {"inputs": INPUTS, "claims": {"values": {"e": text}}}


TEXTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "equation": ("graphs", {"name": "g", "nodes": [X, EINSUM]}, "/nodes/1/attributes/equation"),
    "expression": ("graphs", {"name": "g", "expression": "a" * 60_000 + " .f("}, "/expression"),
    "operation": ("graphs", {"name": "g", "nodes": [{"name": "x", "operation": LONG}]}, "/nodes/0/operation"),
    "output of a graph": ("graphs", {"name": "g", "nodes": [X], "outputs": [LONG]}, "/outputs/0"),
    "output of a run": ("graphs/{graph}/runs", {"inputs": INPUTS, "output": LONG}, "/output"),
    "input": ("graphs/{graph}/runs", {"inputs": {**INPUTS, LONG: 1}}, f"/inputs/{LONG}"),
    "names": ("comparisons", {"baseline": "{run}", "candidate": "{run}", "names": {"a": LONG}}, "/names/a"),
    "claimed digits": ("graphs/{graph}/checks", claimed("1" * 1_000_000), "/claims/values/e"),
    "claimed text": ("graphs/{graph}/checks", claimed(LONG), "/claims/values/e"),
}


@pytest.mark.parametrize(("target", "body", "place"), TEXTS.values(), ids=TEXTS)
def test_it_is_refused_at_once(
    client: FlaskClient, seed: dict[str, Any], target: str, body: dict[str, Any], place: str
) -> None:
    sent = json.dumps(body).replace("{run}", seed["run"]["id"])
    began = process_time()
    answered: Any = client.post(
        f"/v1/{target.format(graph=seed['graph']['id'])}", data=sent, content_type="application/json"
    )
    assert process_time() - began < 0.5
    assert (answered.status_code, [fault["pointer"] for fault in answered.json["errors"]]) == (422, [place])
    assert all(len(said["detail"]) <= 1001 for said in (answered.json, *answered.json["errors"]))


@pytest.mark.parametrize("nodes", [False, 0, "", {}, [None], [["a"]]])
def test_nodes_are_a_list_of_names(client: FlaskClient, seed: dict[str, Any], nodes: Any) -> None:
    body = {"inputs": INPUTS, "nodes": nodes}
    answered: Any = client.post(f"/v1/graphs/{seed['graph']['id']}/gradient-checks", json=body)
    (fault,) = answered.json["errors"]
    assert answered.status_code == 422 and fault["pointer"].startswith("/nodes"), answered.text
    assert "None" not in fault["detail"] and "expected" in fault["detail"]


def test_what_is_missing_or_null_is_named(client: FlaskClient, seed: dict[str, Any]) -> None:
    path = f"/v1/graphs/{seed['graph']['id']}"
    answered: Any = client.post(f"{path}/derivatives", json={"kind": None}).json
    assert answered["errors"] == [
        {"pointer": "/kind", "detail": "the member `kind` may not be null"},
        {"pointer": "/inputs", "detail": "the member `inputs` is missing"},
    ]
    answered = client.post(f"{path}/runs", json={"inputs": INPUTS, "conventions": None}).json
    assert answered["detail"] == "the member `conventions` may not be null: leave it out"
    answered = client.get(f"/v1/runs/{seed['run']['id']}/paths").json
    assert answered["errors"] == [{"parameter": "node", "detail": "the parameter `node` is missing"}]


def test_a_name_that_is_no_string_is_not_shown_as_python_has_it(client: FlaskClient) -> None:
    body = {"name": "g", "nodes": [X], "outputs": [None, {"x": True}, "x"]}
    answered: Any = client.post("/v1/graphs", json=body).json
    said = "the name of a node is expected, a string"
    assert answered["errors"] == [{"pointer": f"/outputs/{number}", "detail": said} for number in range(2)]


def test_a_body_in_a_content_coding_is_not_read(client: FlaskClient) -> None:
    body = {"name": "g", "expression": "y = x"}
    answered = client.post("/v1/graphs", json=body, headers={"Content-Encoding": "gzip"})
    assert answered.status_code == 415 and "Content-Encoding" in answered.text
    assert client.post("/v1/graphs", json=body, headers={"Content-Encoding": "identity"}).status_code == 201
