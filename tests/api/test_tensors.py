"""Tensors over HTTP: constants that are lists, and what Inputs declare."""

from typing import Any

import numpy as np
from flask.testing import FlaskClient

from tests.api.test_runs import by_name, create, run


def build(client: FlaskClient, nodes: list[dict[str, Any]], status: int = 201) -> Any:
    response = client.post("/v1/graphs", json={"name": "t", "nodes": nodes})
    assert response.status_code == status, response.text
    return response.json


def test_a_constant_may_be_a_list(client: FlaskClient) -> None:
    graph: Any = client.get(f"/v1/graphs/{create(client, 'F = x * [[1, 2], [3, -Infinity]]')}").json
    assert graph["nodes"][1]["attributes"] == {"value": [[1, 2], [3, "-Infinity"]]}
    same = build(client, graph["nodes"])
    assert same["digest"] == graph["digest"]
    nodes = by_name(run(client, graph["id"], {"x": 2}, seed=[[1, 1], [1, 0]]))
    assert nodes["F"]["value"] == [[2, 4], [6, "-Infinity"]] and nodes["F"]["shape"] == [2, 2]
    assert nodes["constant_1"]["gradient"] is None and nodes["x"]["gradient"] == "NaN"


def test_a_constant_may_have_no_elements_in_any_shape(client: FlaskClient) -> None:
    nodes = [
        {"name": "x", "operation": "Input"},
        {"name": "c", "operation": "Constant", "attributes": {"value": "0x3"}},
        {"name": "y", "operation": "Concat", "inputs": ["c", "x"], "attributes": {"axis": 0}},
        {"name": "F", "operation": "ReduceSum", "inputs": ["y"]},
    ]
    graph: Any = client.get(f"/v1/graphs/{build(client, nodes)['id']}").json
    assert graph["nodes"][1]["attributes"] == {"value": "0x3"} and 'Constant(value="0x3")' in graph["expression"]
    assert build(client, graph["nodes"], status=200)["digest"] == graph["digest"]
    assert (
        client.post("/v1/graphs", json={"name": "u", "expression": graph["expression"]}).json["digest"]
        == (graph["digest"])
    )
    made = run(client, graph["id"], {"x": [[1, 2, 4]]})
    shown = by_name(made)
    assert (shown["c"]["value"], shown["c"]["shape"], shown["F"]["value"]) == ([], [0, 3], [[7]])
    assert client.get(f"/v1/runs/{made['id']}").json == made
    for page in (f"/graphs/{graph['id']}", f"/runs/{made['id']}"):
        assert client.get(page).status_code == 200
    assert client.get(f"/v1/runs/{made['id']}/steps").status_code == 200
    gradients: Any = client.post(f"/v1/graphs/{graph['id']}/gradient-graph", json={})
    assert gradients.status_code == 201, gradients.text


def test_lists_of_unequal_lengths_are_refused_at_their_place(client: FlaskClient) -> None:
    nodes = [{"name": "c", "operation": "Constant", "attributes": {"value": [[1, 2], [3]]}}]
    (fault,) = build(client, nodes, status=422)["errors"]
    assert fault["pointer"] == "/nodes/0/attributes/value"


def test_a_run_in_float32_says_so(client: FlaskClient) -> None:
    nodes = [
        {"name": "x", "operation": "Input", "attributes": {"dtype": "float32", "shape": [None]}},
        {"name": "F", "operation": "Exp", "inputs": ["x"]},
    ]
    graph = build(client, nodes)
    made = run(client, graph["id"], {"x": [0.1, 1.0]})
    x = np.array([0.1, 1.0], dtype=np.float32)
    assert made["dtype"] == "float32"
    assert made["inputs"]["x"] == x.astype(np.float64).tolist()
    assert made["outputs"]["F"] == made["gradients"]["x"] == np.exp(x).astype(np.float64).tolist()
    later = run(client, graph["id"], {"x": [0.1, 1.0]}, backward=False)
    assert client.post(f"/v1/runs/{later['id']}/backward").json["gradients"] == made["gradients"]
    wrong = run(client, graph["id"], {"x": 0.1}, status=422)
    assert wrong["errors"] == [
        {"pointer": "/inputs/x", "detail": "'x' is declared with shape [null]; the figure has []"}
    ]


def test_a_claim_on_a_float32_run_is_judged_by_its_rounding(client: FlaskClient) -> None:
    """exp(0.1) in float32 and what follows from it are nobody's mistakes."""
    nodes = [
        {"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}},
        {"name": "y", "operation": "Exp", "inputs": ["x"]},
        {"name": "F", "operation": "Mul", "inputs": ["y", "y"]},
    ]
    graph = build(client, nodes)
    x = np.float32(0.1)
    y = np.exp(x)
    claims = {"values": {"y": float(y), "F": float(y * y)}, "gradients": {"x": float(2 * y * y)}}
    response = client.post(f"/v1/graphs/{graph['id']}/checks", json={"inputs": {"x": 0.1}, "claims": claims})
    assert response.status_code == 201, response.text
    found: Any = response.json
    assert (found["verdict"], found["counts"]["same"]) == ("same", 4)


def test_whole_numbers_have_no_gradient(client: FlaskClient) -> None:
    nodes = [
        {"name": "x", "operation": "Input"},
        {"name": "k", "operation": "Input", "attributes": {"dtype": "int64"}},
        {"name": "F", "operation": "Mul", "inputs": ["x", "k"]},
    ]
    graph = build(client, nodes)
    made = run(client, graph["id"], {"x": 2, "k": 3})
    assert made["gradients"] == {"x": 3.0, "k": None}
    assert run(client, graph["id"], {"x": 2, "k": 0.5}, status=422)["errors"][0]["pointer"] == "/inputs/k"
    recorded = {"by": "somebody", "gradients": {"k": 1.0}}
    wrong = run(client, graph["id"], {"x": 2, "k": 3}, status=422, recorded=recorded)
    assert "'k' is a whole number, which has no gradient" in wrong["detail"]


# --- operations on them ---------------------------------------------------------------------------------------------


def test_reductions_and_shapes_run_and_are_read_back(client: FlaskClient) -> None:
    text = "m = mean(x, axis=0); s = concat(m, sum(x, axis=[1]), axis=0); F = max(s)"
    graph: Any = client.get(f"/v1/graphs/{create(client, text)}").json
    assert graph["nodes"][1]["attributes"] == {"axes": [0], "keepdims": 0, "noop_with_empty_axes": 0}
    assert graph["nodes"][-1]["attributes"] == {"axes": None, "keepdims": 0, "noop_with_empty_axes": 0}
    assert build(client, graph["nodes"])["digest"] == graph["digest"]
    made = run(client, graph["id"], {"x": [[1, 2, 6], [3, 4, 2]]})
    nodes = by_name(made)
    assert nodes["m"]["value"] == [2, 3, 4] and nodes["m"]["shape"] == [3]
    assert nodes["s"]["value"] == [2, 3, 4, 9, 9]
    assert nodes["x"]["gradient"] == [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]  # the tie is shared
    assert nodes["F"]["nondifferentiable"] is True and "nondifferentiable" not in nodes["s"]
    assert client.get(f"/v1/runs/{made['id']}").json == made


def test_an_index_out_of_range_names_its_node(client: FlaskClient) -> None:
    graph = create(client, "y = gather(x, i)")
    assert run(client, graph, {"x": [1, 2], "i": [1, -2]})["outputs"]["y"] == [2, 1]
    wrong = run(client, graph, {"x": [1, 2], "i": [0, 2]}, status=422)
    detail = "'y' (Gather): index 2 is out of range for axis 0 of length 2"
    assert wrong["errors"] == [{"pointer": "/inputs", "detail": detail}]
    assert run(client, graph, {"x": [1, 2], "i": "NaN"}, status=422)["type"] == wrong["type"]


def test_shapes_that_do_not_fit_name_node_operation_and_shapes(client: FlaskClient) -> None:
    graph = create(client, "y = reshape(x, shape=[2, 2])")
    (fault,) = run(client, graph, {"x": [1, 2, 3]}, status=422)["errors"]
    assert fault["detail"] == "'y' (Reshape) cannot take shapes [3]: 3 elements do not fill the shape [2, 2]"
    assert fault["pointer"] == "/inputs/x"


def test_a_tensor_beyond_the_limit_is_never_made(client: FlaskClient) -> None:
    graph = create(client, "y = sum(expand(x, shape=[1000000, 1000000]))")
    wrong = run(client, graph, {"x": 1}, status=422)
    assert wrong["limit"] == "tensor_elements"
    assert "'expand_1' would have 1000000000000" in wrong["detail"]


def test_attributes_are_refused_at_their_place(client: FlaskClient) -> None:
    nodes: list[dict[str, Any]] = [
        {"name": "x", "operation": "Input"},
        {"name": "y", "operation": "ReduceSum", "inputs": ["x"], "attributes": {"axes": [0, "1"], "keepdims": 2}},
        {"name": "z", "operation": "Pad", "inputs": ["x", ""], "attributes": {"mode": "circular"}},
    ]
    faults = {fault["pointer"]: fault["detail"] for fault in build(client, nodes, status=422)["errors"]}
    assert faults == {
        "/nodes/1/attributes/axes": "in a list of whole numbers a whole number is expected",
        "/nodes/1/attributes/keepdims": "0 or 1 is expected",
        "/nodes/2/attributes": "Pad needs the attribute 'pads'; its form is "
        "Pad(x, pads, mode='constant', constant_value=0.0, axes=None)",
        "/nodes/2/attributes/mode": "one of 'constant', 'reflect', 'edge', 'wrap' is expected",
    }


def test_the_rulebook_tells_contributions_by_operand(client: FlaskClient) -> None:
    entry: Any = client.get("/v1/operations/Gather").json
    assert entry["rule"]["text"] == "gather(x, indices)" and entry["local_gradients"] == []
    assert [(each["operand"], each["text"]) for each in entry["contributions"]] == [
        ("x", "gather_adjoint(upstream, x, indices)")
    ]
    (product,) = client.get("/v1/operations/CumProd").json["contributions"]
    assert product["text"] == (
        "cumprod(x, axis=axis, exclusive=1) * (upstream + linear_recurrence(upstream * x, x, axis=axis, reverse=1))"
    )
