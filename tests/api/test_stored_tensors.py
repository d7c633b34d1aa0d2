"""Tensors that are sent once: PUT, GET and HEAD, their digests in place of arrays, and the weights of graphs."""

import hashlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.api.conftest import MakeApp

NPY, BYTES = "application/x-npy", "application/octet-stream"
LAYER = "y = tanh(x @ W + b); L = sum(y * y)"
WEIGHT = np.float32([[0.5, -1.0], [2.0, 0.25], [-0.125, 3.0]])
X = [[1.0, 2.0, -1.0]]


def npy(array: Any, **how: Any) -> bytes:
    file = BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def put(client: FlaskClient, body: bytes, under: str | None = None, content_type: str = NPY) -> Any:
    return client.put(f"/v1/tensors/{under or digest(body)}", data=body, content_type=content_type)


def keep(client: FlaskClient, array: Any) -> dict[str, str]:
    """Store an array; return what stands for it."""
    body = npy(array)
    assert put(client, body).status_code in (200, 201)
    return {"tensor": digest(body)}


def faults(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(fault["pointer"], fault["detail"]) for fault in answer.json["errors"]]


def test_a_tensor_is_stored_once_and_read_back_as_it_was_sent(client: FlaskClient) -> None:
    body = npy(WEIGHT)
    name, path = digest(body), f"/v1/tensors/{digest(body)}"
    assert client.get(path).status_code == client.head(path).status_code == 404
    first = put(client, body)
    again = put(client, body, content_type=BYTES)
    assert (first.status_code, again.status_code, first.json) == (201, 200, again.json)
    told = {**first.json, "created_at": None}
    assert told == {"digest": name, "dtype": "<f4", "shape": [3, 2], "bytes": len(body), "created_at": None}
    assert first.headers["Location"] == path

    read = client.get(path)
    assert (read.data, read.mimetype, read.headers["ETag"]) == (body, NPY, f'"{name}"')
    assert read.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    head = client.head(path)
    assert (head.status_code, head.data, head.content_length) == (200, b"", len(body))
    known = client.get(path, headers={"If-None-Match": f'"{name}"'})
    assert (known.status_code, known.data) == (304, b"")
    assert client.get(path, headers={"Accept": "text/html"}).status_code == 406


@pytest.mark.parametrize(
    ("body", "under", "status", "kind", "detail"),
    [
        (npy(-WEIGHT), "sha256:" + "0" * 64, 422, "digest-mismatch", hashlib.sha256(npy(-WEIGHT)).hexdigest()),
        (npy(-WEIGHT)[:-1], None, 400, "malformed-npy", "promises 24 bytes of data, and there are 23"),
        (npy(-WEIGHT) + b"1", None, 400, "malformed-npy", "promises 24 bytes of data, and there are 25"),
        (b"", None, 400, "malformed-npy", "version 1.0"),
        (b"[1, 2]", None, 400, "malformed-npy", "version 1.0"),
        (npy(np.array([None]), allow_pickle=True), None, 400, "malformed-npy", "|O"),
        (npy(np.array([1j])), None, 400, "malformed-npy", "<c16"),
        (npy(np.array("text")), None, 400, "malformed-npy", "<U4"),
        (npy(np.zeros((1,) * 33)), None, 400, "malformed-npy", "at most 32 dimensions"),
        (npy(np.zeros(3, [("a", "<f8")])), None, 400, "malformed-npy", "header is not understood"),
        (npy(np.zeros(10_000_001, np.int8))[:200], None, 400, "malformed-npy", "promises 10000001 bytes"),
        (npy(-WEIGHT), "sha256:12", 422, "invalid-request", "64 hexadecimal digits"),
        (npy(-WEIGHT), "md5:" + "0" * 64, 422, "invalid-request", "64 hexadecimal digits"),
    ],
)
def test_what_is_no_tensor_is_refused_and_not_stored(
    client: FlaskClient, body: bytes, under: str | None, status: int, kind: str, detail: str
) -> None:
    answer = put(client, body, under)
    assert (answer.status_code, answer.json["type"]) == (status, f"urn:gradbook:problem:{kind}")
    assert detail in answer.json["detail"]
    assert client.head(f"/v1/tensors/{digest(body)}").status_code == 404


def test_limits_hold_before_anything_is_read(make_app: MakeApp) -> None:
    client = make_app(tensor_elements=4, body_bytes=1000).test_client()
    large, long = npy(np.zeros(5)), npy(np.zeros(200))
    assert put(client, npy(np.zeros(4))).status_code == 201
    answer = put(client, large)
    assert (answer.status_code, answer.json["limit"], answer.json["estimate"]) == (422, "tensor_elements", 5)
    assert put(client, long).status_code == 413
    assert put(client, npy(np.zeros(2)), content_type="application/json").status_code == 415


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f8", "<i8", "|u1", "|b1"])
def test_every_kind_of_number_is_read_as_inputs_are(client: FlaskClient, dtype: str) -> None:
    array = np.asfortranarray(np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype))
    graph = client.post("/v1/graphs", json={"name": "g", "expression": "y = x * 2"}).json["id"]
    run = client.post(f"/v1/graphs/{graph}/runs", json={"inputs": {"x": keep(client, array)}}).json
    assert run["outputs"]["y"] == [[2, 0, 2], [0, 2, 2]]


def test_a_tensor_stands_wherever_an_array_may(client: FlaskClient) -> None:
    graph = client.post("/v1/graphs", json={"name": "layer", "expression": LAYER}).json["id"]
    plain = {"x": X, "W": WEIGHT.tolist(), "b": [0.5, -0.5]}
    given = {"x": X, "W": keep(client, WEIGHT), "b": [0.5, -0.5]}
    runs, path = {}, f"/v1/graphs/{graph}/runs"
    for form, inputs in (("plain", plain), ("given", given)):
        seed = 2.0 if form == "plain" else keep(client, 2.0)
        made = client.post(path, json={"inputs": inputs, "seed": seed, "output": "L"})
        assert made.status_code == 201, made.text
        runs[form] = made.json
    assert runs["given"]["nodes"] == runs["plain"]["nodes"]
    assert runs["given"]["inputs"] == given
    assert client.post(path, json={"inputs": runs["given"]["inputs"]}).status_code == 201

    y = {node["name"]: node["value"] for node in runs["plain"]["nodes"]}["y"]
    recorded = {
        "by": "us",
        "values": {"y": keep(client, y)},
        "gradients": {"y": keep(client, 2 * np.array(y)), "W": None},
    }
    kept = client.post(path, json={"inputs": given, "recorded": recorded})
    assert kept.status_code == 201, kept.text
    assert {node["name"]: node["value"] for node in kept.json["nodes"]}["W"] == WEIGHT.tolist()

    claims = {"values": {"y": keep(client, y)}, "gradients": {"W": keep(client, runs["plain"]["gradients"]["W"])}}
    check = client.post(f"/v1/graphs/{graph}/checks", json={"inputs": given, "claims": claims, "seed": keep(client, 2)})
    assert (check.status_code, check.json["verdict"]) == (201, "same"), check.text

    asked = {"kind": "vjp", "wrt": ["b"], "outputs": ["y"]}
    blocks = []
    for inputs, vector in (
        (plain, [[1, -1]]),
        (given, keep(client, [[1, -1]])),
        (given, {"y": keep(client, [[1, -1]])}),
    ):
        made = client.post(f"/v1/graphs/{graph}/derivatives", json={**asked, "inputs": inputs, "vector": vector})
        assert made.status_code == 201, made.text
        blocks.append(made.json["blocks"])
        again = client.get(made.headers["Location"]).json
        assert again == made.json and again["inputs"]["W"] == inputs["W"]
    assert blocks[0] == blocks[1] == blocks[2]

    checked = {"inputs": given, "gradients": {"b": keep(client, np.array(runs["plain"]["gradients"]["b"]) / 2)}}
    answer = client.post(f"/v1/graphs/{graph}/gradient-checks", json={**checked, "output": "L"})
    assert answer.json["verdict"] == "right", answer.text

    forward = client.post(path, json={"inputs": given, "backward": False}).json["id"]
    back = client.post(f"/v1/runs/{forward}/backward", json={"output": "L", "seed": keep(client, 2.0)})
    assert back.json["gradients"] == runs["plain"]["gradients"]


def test_an_unknown_tensor_is_a_fault_at_its_place(client: FlaskClient) -> None:
    graph = client.post("/v1/graphs", json={"name": "g", "expression": "y = x * w"}).json["id"]
    unknown, wrong = {"tensor": "sha256:" + "0" * 64}, {"tensor": "sha256:12"}
    path = f"/v1/graphs/{graph}"
    asked: list[tuple[str, dict[str, Any], list[str]]] = [
        ("runs", {"inputs": {"x": unknown, "w": unknown}}, ["/inputs/w", "/inputs/x"]),
        ("runs", {"inputs": {"x": wrong, "w": 1}}, ["/inputs/x/tensor"]),
        ("runs", {"inputs": {"x": {"tensor": 3}, "w": 1}}, ["/inputs/x"]),
        ("runs", {"inputs": {"x": 1, "w": 1}, "seed": unknown}, ["/seed"]),
        ("runs", {"inputs": {}, "recorded": {"by": "us", "values": {"y": unknown}}}, ["/recorded/values/y"]),
        ("runs", {"inputs": {}, "recorded": {"by": "us", "gradients": {"y": unknown}}}, ["/recorded/gradients/y"]),
        ("checks", {"inputs": {"x": 1, "w": 1}, "claims": {"gradients": {"x": unknown}}}, ["/claims/gradients/x"]),
        ("derivatives", {"kind": "jvp", "inputs": {"x": 1, "w": 1}, "vector": {"x": unknown}}, ["/vector/x"]),
        ("gradient-checks", {"inputs": {"x": unknown, "w": 1}}, ["/inputs/x"]),
    ]
    for what, body, places in asked:
        assert sorted(place for place, _ in faults(client.post(f"{path}/{what}", json=body))) == places, (what, body)


def test_a_graph_names_its_weights_and_a_run_needs_only_what_changes(client: FlaskClient) -> None:
    kept = {"W": keep(client, WEIGHT)["tensor"], "b": keep(client, [0.5, -0.5])["tensor"]}
    made = client.post("/v1/graphs", json={"name": "layer", "expression": LAYER, "weights": kept, "outputs": ["L"]})
    assert (made.status_code, made.json["weights"]) == (201, kept), made.text
    graph = f"/v1/graphs/{made.json['id']}"
    assert client.get(graph).json["weights"] == kept
    whole = {"x": X, "W": WEIGHT.tolist(), "b": [0.5, -0.5]}
    for changed in ({}, {"b": [1.0, 1.0]}):
        runs = [
            client.post(f"{graph}/runs", json={"inputs": each}).json
            for each in ({"x": X, **changed}, {**whole, **changed})
        ]
        assert runs[0]["nodes"] == runs[1]["nodes"]
        assert runs[0]["inputs"]["W"] == {"tensor": kept["W"]}
        assert runs[0]["inputs"]["b"] == changed.get("b", {"tensor": kept["b"]})
        assert client.get(f"/v1/runs/{runs[0]['id']}").json == runs[0]
    assert [place for place, _ in faults(client.post(f"{graph}/runs", json={"inputs": {}}))] == ["/inputs"]

    claims = {"gradients": {"b": runs[1]["gradients"]["b"]}}
    check = client.post(f"{graph}/checks", json={"inputs": {"x": X, "b": [1.0, 1.0]}, "claims": claims})
    assert check.json["verdict"] == "same", check.text
    derived = client.post(f"{graph}/derivatives", json={"kind": "jacobian", "wrt": ["b"], "inputs": {"x": X}})
    assert derived.status_code == 201, derived.text
    assert client.post(f"{graph}/gradient-checks", json={"inputs": {"x": X}}).json["verdict"] == "right"
    recorded = {"inputs": {"x": X}, "recorded": {"by": "us", "gradients": {"L": 1.0}}}
    figures = {node["name"]: node["value"] for node in client.post(f"{graph}/runs", json=recorded).json["nodes"]}
    assert figures["W"] == WEIGHT.tolist() and figures["y"] is None

    longer = client.post(f"{graph}/nodes", json={"nodes": [{"name": "M", "operation": "Neg", "inputs": ["L"]}]}).json
    gradient = client.post(f"{graph}/gradient-graph", json={}).json
    assert longer["weights"] == gradient["weights"] == kept
    assert (
        client.post(f"/v1/graphs/{gradient['id']}/runs", json={"inputs": {"x": X}, "backward": False}).status_code
        == 201
    )


def test_a_constant_takes_its_value_from_a_tensor(client: FlaskClient) -> None:
    def nodes(value: Any) -> list[dict[str, Any]]:
        constant = {"name": "c", "operation": "Constant", "attributes": {"value": value}}
        return [{"name": "x", "operation": "Input"}, constant, {"name": "y", "operation": "Mul", "inputs": ["x", "c"]}]

    for array in (WEIGHT, np.float64(-1.5), np.zeros((0, 2))):
        given = client.post("/v1/graphs", json={"name": "constant", "nodes": nodes(keep(client, array))})
        if array.size:
            plain = client.post("/v1/graphs", json={"name": "constant", "nodes": nodes(array.tolist())})
            assert (given.status_code, plain.status_code, given.json["id"]) == (201, 200, plain.json["id"]), given.text
            assert given.json["nodes"][1]["attributes"]["value"] == array.tolist()
        run = client.post(f"/v1/graphs/{given.json['id']}/runs", json={"inputs": {"x": 2}})
        assert run.json["outputs"]["y"] == (2 * array).tolist(), run.text
    more = [{"name": "d", "operation": "constant", "attributes": {"value": keep(client, 3.0)}}]
    assert client.post(f"/v1/graphs/{given.json['id']}/nodes", json={"nodes": more}).status_code == 201
    for wrong, place in (("sha256:" + "0" * 64, "value"), ("0", "value/tensor")):
        answer = client.post("/v1/graphs", json={"name": "constant", "nodes": nodes({"tensor": wrong})})
        assert [pointer for pointer, _ in faults(answer)] == [f"/nodes/1/attributes/{place}"]


def test_other_weights_are_another_version(client: FlaskClient) -> None:
    one, other = keep(client, 1.0)["tensor"], keep(client, 2.0)["tensor"]
    made = [
        client.post("/v1/graphs", json={"name": "versions", "expression": "y = x * w", **weights})
        for weights in (
            {},
            {"weights": {"w": one}},
            {"weights": {"w": other}},
            {"weights": {"w": one}},
            {"weights": {}},
        )
    ]
    assert [(each.status_code, each.json["version"]) for each in made] == [
        (201, 1),
        (201, 2),
        (201, 3),
        (200, 2),
        (200, 1),
    ]
    assert len({each.json["digest"] for each in made}) == 1
    runs = [client.post(f"/v1/graphs/{each.json['id']}/runs", json={"inputs": {"x": 3}}) for each in made[1:3]]
    assert [run.json["outputs"]["y"] for run in runs] == [3, 6]


def test_wrong_weights_are_faults_at_their_places(client: FlaskClient) -> None:
    flat, known = keep(client, [1.0, 2.0])["tensor"], keep(client, 1.0)["tensor"]
    nodes = [
        {"name": "w", "operation": "Input", "attributes": {"shape": [3, None]}},
        {"name": "x", "operation": "Input"},
        {"name": "y", "operation": "Mul", "inputs": ["w", "x"]},
    ]
    for weights, expected in (
        (
            {"y": known, "z": known},
            [("/weights/y", "the graph has no input"), ("/weights/z", "the graph has no input")],
        ),
        ({"x": "sha256:" + "1" * 64}, [("/weights/x", "there is no tensor")]),
        ({"x": "1" * 64}, [("/weights/x", "64 hexadecimal digits")]),
        ({"x": 1}, [("/weights/x", "64 hexadecimal digits")]),
        ({"w": flat}, [("/weights/w", "declared with shape [3, null]; the figure has [2]")]),
    ):
        found = faults(client.post("/v1/graphs", json={"name": "g", "nodes": nodes, "weights": weights}))
        assert [place for place, _ in found] == [place for place, _ in expected]
        assert all(words in detail for (_, detail), (_, words) in zip(found, expected, strict=True)), found
