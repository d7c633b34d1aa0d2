"""Derivatives over HTTP; every answer is held against the document of the API by the client of conftest.py."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

SEED = {"a": 5, "b": 1, "c": -2, "d": -3}


def build(client: FlaskClient, text: str, name: str = "differentiated") -> str:
    """The path of a graph's derivatives."""
    graph: Any = client.post("/v1/graphs", json={"name": name, "expression": text}).json
    return f"/v1/graphs/{graph['id']}/derivatives"


def blocks(answer: Any) -> dict[tuple[str | None, str | None], Any]:
    """The blocks by their pairs."""
    return {(block["of"], block["wrt"]): block["value"] for block in answer["blocks"]}


@pytest.fixture
def path(seed: dict[str, Any]) -> str:
    return f"/v1/graphs/{seed['graph']['id']}/derivatives"


def test_the_seed_examples_gradient_as_a_jacobian(client: FlaskClient, path: str) -> None:
    answer: Any = client.post(path, json={"kind": "jacobian", "inputs": SEED, "outputs": ["F", "f"]}).json
    figures = {("F", "a"): 2 / 3, ("F", "b"): 2 / 3, ("F", "c"): -2, ("F", "d"): 4 / 3}
    figures |= {("f", "a"): -2, ("f", "b"): -2, ("f", "c"): 6, ("f", "d"): 0}
    assert blocks(answer) == pytest.approx(figures, rel=1e-15)
    assert (answer["outputs"], answer["wrt"], answer["vector"]) == (["F", "f"], ["a", "b", "c", "d"], None)


@pytest.mark.parametrize("kind", ["jacobian", "jvp", "vjp", "hvp", "hessian"])
def test_what_was_kept_is_read_again(client: FlaskClient, kind: str) -> None:
    path = build(client, "y = sin(x) * w; z = sqrt(y)")
    body: dict[str, Any] = {"kind": kind, "inputs": {"x": [-0.0, 1.0, "NaN"], "w": [[2.0], [0.0]]}}
    if kind[1:] in ("jp", "vp"):
        body["vector"] = {"z" if kind == "vjp" else "w": 1.5}
    made = client.post(path, json=body)
    assert made.status_code == 201
    again = client.get(made.headers["Location"])
    assert again.data == made.data and again.headers["ETag"] == made.headers["ETag"]
    assert client.get(made.headers["Location"], headers={"If-None-Match": again.headers["ETag"]}).status_code == 304
    answer: Any = made.json
    assert answer["kind"] == kind and answer["inputs"] == {"x": [-0.0, 1.0, "NaN"], "w": [[2.0], [0.0]]}
    for block in answer["blocks"]:
        assert list(np.shape(block["value"])) == block["shape"]


def test_products_with_vectors(client: FlaskClient) -> None:
    path = build(client, "p = x * x * w; q = x + w")
    point = {"x": [1.0, 2.0], "w": 3.0}
    jvp: Any = client.post(path, json={"kind": "jvp", "inputs": point, "vector": {"x": [1, 0], "w": 2}}).json
    assert blocks(jvp) == {("p", None): [8.0, 8.0], ("q", None): [3.0, 2.0]}
    assert jvp["vector"] == {"x": [1.0, 0.0], "w": 2.0}
    of_w: Any = client.post(path, json={"kind": "jvp", "inputs": point, "wrt": ["w"], "vector": 2}).json
    assert blocks(of_w) == {("p", "w"): [2.0, 8.0], ("q", "w"): [2.0, 2.0]}
    vjp: Any = client.post(path, json={"kind": "vjp", "inputs": point, "vector": {"p": [1, 10], "q": 1}}).json
    assert blocks(vjp) == {(None, "x"): [7.0, 121.0], (None, "w"): 43.0}
    seeded: Any = client.post(path, json={"kind": "vjp", "inputs": point, "outputs": ["p"], "vector": [1, 10]}).json
    assert blocks(seeded) == {("p", "x"): [6.0, 120.0], ("p", "w"): 41.0}
    body = {"kind": "hvp", "inputs": point, "outputs": ["p"], "vector": {"w": 1}}
    assert blocks(client.post(path, json=body).json) == {("x", None): [2.0, 4.0], ("w", None): 0.0}


def test_a_vjp_is_the_gradient_of_the_run_bit_for_bit(client: FlaskClient) -> None:
    path = build(client, "y = exp(sin(x) / w) * tanh(x)")
    point = {"x": [0.1, 0.7, 2.3], "w": [[1.7], [-0.3]]}
    seed = [[0.1, 0.2, 0.3], [-1.0, 5.0, 7.0]]
    run: Any = client.post(path.replace("derivatives", "runs"), json={"inputs": point, "seed": seed}).json
    vjp: Any = client.post(path, json={"kind": "vjp", "inputs": point, "vector": seed}).json
    assert blocks(vjp) == {("y", name): gradient for name, gradient in run["gradients"].items()}


def test_a_key_given_twice_takes_effect_once(client: FlaskClient, path: str) -> None:
    body = {"kind": "hessian", "inputs": SEED}
    first, second = (client.post(path, json=body, headers={"Idempotency-Key": "hessian"}) for _ in range(2))
    assert first.status_code == second.status_code == 201 and first.data == second.data
    assert first.headers["Location"] == second.headers["Location"]
    other = client.post(path, json={**body, "kind": "jacobian"}, headers={"Idempotency-Key": "hessian"})
    assert other.status_code == 422 and other.json["type"].endswith("idempotency-key-reused")


def test_a_graph_that_derivatives_need_is_not_deleted(client: FlaskClient) -> None:
    path = build(client, "y = x ^ 2", name="needed")
    graph = path.removesuffix("/derivatives")
    client.post(path, json={"kind": "jacobian", "inputs": {"x": 3}})
    refused = client.delete(graph)
    assert refused.status_code == 409 and "1 set of derivatives refers to it" in refused.json["detail"]


@pytest.mark.parametrize(
    ("changed", "pointer", "detail"),
    [
        ({"inputs": {"a": 5}}, "/inputs", "the input 'b' is missing"),
        ({"kind": "gradient"}, "/kind", "jacobian, jvp, vjp, hvp or hessian is expected"),
        ({"outputs": []}, "/outputs", "at least one"),
        ({"outputs": "F"}, "/outputs", "a list of names"),
        ({"outputs": ["F", "F"]}, "/outputs/1", "'F' appears twice"),
        ({"outputs": ["F", ["f"]]}, "/outputs/1", "the name of a node is expected, a string"),
        ({"kind": "hessian", "outputs": ["F", "f"]}, "/outputs", "second derivatives take exactly one output"),
        ({"wrt": []}, "/wrt", "at least one"),
        ({"wrt": ["a", "z"]}, "/wrt/1", "the graph has no node 'z'"),
        ({"vector": 1}, "/vector", "a jacobian is a whole matrix: leave vector out"),
        ({"kind": "jvp"}, "/vector", "jvp needs a vector"),
        ({"kind": "hvp", "vector": 1}, "/vector", "an array for each of 'a', 'b', 'c', 'd' is expected"),
        ({"kind": "jvp", "vector": {"F": 1}}, "/vector/F", "unknown node 'F'; expected: 'a', 'b', 'c', 'd'"),
        ({"kind": "vjp", "vector": {"F": [1, 2]}}, "/vector/F", "shape [2] is given; 'F' has shape []"),
        ({"kind": "vjp", "vector": {"F": "one"}}, "/vector/F", "not the string 'one'"),
        ({"seed": 1}, "/seed", "unknown member `seed`; known: kind, inputs, outputs, wrt, vector"),
    ],
)
def test_faults_are_named_with_their_places(
    client: FlaskClient, path: str, changed: dict[str, Any], pointer: str, detail: str
) -> None:
    answer = client.post(path, json={"kind": "jacobian", "inputs": SEED, **changed})
    assert answer.status_code == 422
    errors: Any = answer.json["errors"]
    assert (errors[0]["pointer"], detail in errors[0]["detail"]) == (pointer, True), errors


def test_a_hessian_is_of_one_output(client: FlaskClient) -> None:
    path = build(client, "p = x * x; q = x + 1")
    refused = client.post(path, json={"kind": "hessian", "inputs": {"x": 1}})
    assert refused.json["errors"] == [
        {"pointer": "/outputs", "detail": "the graph has several outputs: name one of 'p', 'q'"}
    ]
    answer: Any = client.post(path, json={"kind": "hessian", "inputs": {"x": 1}, "outputs": ["p"]}).json
    assert blocks(answer) == {("x", "x"): 2.0}


def test_nothing_there(client: FlaskClient) -> None:
    assert client.post("/v1/graphs/none/derivatives", json={"kind": "jacobian", "inputs": {}}).status_code == 404
    assert client.get("/v1/derivatives/none").status_code == 404


def test_a_graph_without_inputs_has_no_blocks(client: FlaskClient) -> None:
    answer: Any = client.post(build(client, "y = exp(1)"), json={"kind": "jacobian", "inputs": {}}).json
    assert answer["blocks"] == []


@pytest.mark.parametrize(
    ("kind", "size", "limits", "exceeded"),
    [
        ("jacobian", 31, {"tensor_elements": 1000}, None),
        ("jacobian", 32, {"tensor_elements": 1000}, "tensor_elements"),
        ("hessian", 32, {"tensor_elements": 1000}, "tensor_elements"),
        ("jacobian", 22, {"run_elements": 1000}, None),
        ("jacobian", 23, {"run_elements": 1000}, "run_elements"),
        ("hessian", 22, {"run_elements": 1000}, "run_elements"),
        ("jvp", 250, {"run_elements": 1000}, None),
    ],
)
def test_blocks_are_limited_before_they_are_made(
    make_app: Callable[..., Flask], kind: str, size: int, limits: dict[str, int], exceeded: str | None
) -> None:
    client = make_app(**limits).test_client()
    body: dict[str, Any] = {"kind": kind, "inputs": {"x": [1.0] * size}}
    answer = client.post(build(client, "y = x * x"), json=body | ({"vector": 1} if kind == "jvp" else {}))
    assert (answer.status_code, answer.json.get("limit")) == (422 if exceeded else 201, exceeded)


def test_a_graph_of_float32_is_differentiated_in_float64(client: FlaskClient) -> None:
    nodes = [
        {"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}},
        {"name": "i", "operation": "Input", "attributes": {"dtype": "int64"}},
        {"name": "y", "operation": "Gather", "inputs": ["x", "i"]},
        {"name": "z", "operation": "Exp", "inputs": ["y"]},
    ]
    graph: Any = client.post("/v1/graphs", json={"name": "float32", "nodes": nodes}).json
    point = {"x": [0.1, 0.2], "i": 1}
    path = f"/v1/graphs/{graph['id']}/derivatives"
    answer: Any = client.post(path, json={"kind": "hessian", "inputs": point}).json
    assert answer["wrt"] == ["x"]  # nothing varies with an index
    np.testing.assert_allclose(blocks(answer)["x", "x"], [[0, 0], [0, np.exp(0.2)]], rtol=1e-15)
    refused = client.post(path, json={"kind": "jacobian", "inputs": point, "wrt": ["i"]})
    assert "no gradient flows to 'i'" in refused.json["errors"][0]["detail"]
    for method in ("taylor", "central", "complex-step"):
        body = {"inputs": point, "method": method}
        check: Any = client.post(path.replace("derivatives", "gradient-checks"), json=body).json
        assert [(node["name"], node["verdict"]) for node in check["nodes"]] == [("x", "right")]
        assert check["nodes"][0]["error"] < 1e-9


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("y = sum(CumProd(x, axis=0))", [2.0, 3.0], [[0, 1], [1, 0]]),
        ("y = sum(max_pool(x, kernel_shape=[2])^2)", [[[1.0, 3.0]]], [[0, 0], [0, 2]]),
        ("y = det(x)", [[1, 2], [2, 4]], [[0, 0, 0, 1], [0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]]),
        ("y = det(x)", [[0, 0], [0, 0]], [[0, 0, 0, 1], [0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]]),
    ],
)
def test_hessians_through_running_products_pools_and_singular_matrices(
    client: FlaskClient, text: str, x: Any, expected: Any
) -> None:
    path = build(client, text)
    hessian: Any = client.post(path, json={"kind": "hessian", "inputs": {"x": x}}).json
    matrix = np.reshape(hessian["blocks"][0]["value"], (np.size(x), np.size(x)))
    np.testing.assert_allclose(matrix, expected, atol=1e-15)
    along = np.arange(1.0, np.size(x) + 1)
    body = {"kind": "hvp", "inputs": {"x": x}, "vector": {"x": along.reshape(np.shape(x)).tolist()}}
    product: Any = client.post(path, json=body).json
    np.testing.assert_allclose(np.ravel(product["blocks"][0]["value"]), np.array(expected) @ along, atol=1e-15)
