"""The contract of formulas and gradient graphs."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.conftest import MakeApp
from tests.api.story import EXAMPLES
from tests.passes import near

FORMULA = json.loads(EXAMPLES.read_text(encoding="utf-8"))["get_formula"]["answers"]["application/json"]

POINT = {"a": 5, "b": 1, "c": -2, "d": -3}


def create(client: FlaskClient, name: str, expression: str) -> str:
    """Post a graph; its id."""
    response = client.post("/v1/graphs", json={"name": name, "expression": expression})
    assert response.status_code in (200, 201), response.text
    return str(response.json["id"])


def derive(client: FlaskClient, graph: str, status: int = 201, **body: Any) -> Any:
    """Post for a gradient graph and read the answer."""
    response = client.post(f"/v1/graphs/{graph}/gradient-graph", json=body)
    assert response.status_code == status, response.text
    return response.json


def run(client: FlaskClient, graph: str, inputs: Any, **body: Any) -> Any:
    """Post a run and read the answer."""
    return client.post(f"/v1/graphs/{graph}/runs", json={"inputs": inputs, "keep": False, **body}).json


def test_a_formula_in_three_languages(client: FlaskClient, seed: Any) -> None:
    path = f"/v1/graphs/{seed['graph']['id']}/formula"
    answered = client.get(path, query_string={"of": "F", "wrt": "a"})
    assert answered.json == {
        "expression": "dF_da(a, b, c, d) = c / d",
        "latex": r"\frac{d F}{d a} = \frac{c}{d}",
        "mathml": '<mfrac><mrow><mi mathvariant="normal">d</mi><mi>F</mi></mrow>'
        '<mrow><mi mathvariant="normal">d</mi><mi>a</mi></mrow></mfrac><mo>=</mo>'
        "<mfrac><mi>c</mi><mi>d</mi></mfrac>",
    }
    again = client.get(path, query_string={"of": "F", "wrt": "a"}, headers={"If-None-Match": answered.headers["ETag"]})
    assert again.status_code == 304
    assert client.get(path).json == FORMULA
    assert (
        client.get(path, query_string={"of": "e", "wrt": "c"}).json["expression"] == "de_dc(a, b, c, d) = identity(0)"
    )
    of_an_input = client.get(path, query_string={"of": "a"}).json
    assert of_an_input["expression"] == "a_2(a, b, c, d) = a"
    assert of_an_input["latex"] == "a = a"


def test_a_formula_posted_back_has_the_figures_of_the_backward_pass(client: FlaskClient, seed: Any) -> None:
    for wrt, gradient in seed["run"]["gradients"].items():
        formula = client.get(f"/v1/graphs/{seed['graph']['id']}/formula", query_string={"wrt": wrt}).json
        back = create(client, "posted back", formula["expression"])
        assert run(client, back, POINT)["outputs"] == {f"dF_d{wrt}": near(gradient)}


@pytest.mark.parametrize(
    ("query", "parameter", "detail"),
    [
        ({"of": "G"}, "of", "the graph has no node 'G'"),
        ({"wrt": "x"}, "wrt", "the graph has no node 'x'"),
        ({"wrt": "two"}, "wrt", "no gradient flows to 'two': it is a Constant or an Input of integers"),
        ({}, "of", "the graph has several outputs: name one of 'F', 'H'"),
        ({"of": "F", "output": "F"}, "output", "unknown parameter `output`; known: of, wrt"),
    ],
)
def test_a_formula_that_is_asked_for_wrongly(
    client: FlaskClient, query: dict[str, str], parameter: str, detail: str
) -> None:
    graph = create(client, "two outputs", "two = 2; F = two * a; H = sin(a)")
    if parameter == "wrt":
        query = {"of": "F", **query}
    answered = client.get(f"/v1/graphs/{graph}/formula", query_string=query)
    assert answered.status_code == 422
    assert answered.json["errors"] == [{"parameter": parameter, "detail": detail}]
    assert client.get("/v1/graphs/none/formula").status_code == 404


def test_a_formula_keeps_to_the_limits_of_an_expression(make_app: MakeApp) -> None:
    doubling = "; ".join(f"x{position + 1} = x{position} * sin(x{position})" for position in range(100))
    nested = "; ".join(f"x{position + 1} = sin(x{position})" for position in range(12))
    for limits, expression, exceeded in (
        ({}, doubling, ("formula_characters", 65536)),
        ({"formula_characters": 50}, nested, ("formula_characters", 50)),
        ({"expression_bytes": 20}, "y = b + `é`", ("expression_bytes", 20)),
        ({"expression_depth": 5}, nested, ("expression_depth", 5)),
    ):
        client = make_app(**limits).test_client()
        graph = create(client, "large", expression)
        answered = client.get(f"/v1/graphs/{graph}/formula")
        assert answered.status_code == 422
        assert answered.json["type"] == "urn:gradbook:problem:limit-exceeded"
        assert (answered.json["limit"], answered.json["maximum"]) == exceeded


def test_a_gradient_graph_is_kept_run_compared_and_differentiated_again(client: FlaskClient, seed: Any) -> None:
    parent = seed["graph"]
    derived = derive(client, parent["id"], output="F", wrt=["a", "d"])
    assert (derived["name"], derived["version"], derived["parent"]) == ("blog dF", 1, parent["id"])
    assert (derived["inputs"], derived["outputs"]) == (parent["inputs"], ["dF_da", "dF_dd"])
    assert client.get(f"/v1/graphs/{derived['id']}").json == derived
    assert derive(client, parent["id"], 200, wrt=["a", "d"]) == derived
    everything = derive(client, parent["id"], tags={"of": "the tutorial"})
    assert (everything["outputs"], everything["version"]) == ([f"dF_d{name}" for name in "abcd"], 2)
    assert everything["tags"] == {"of": "the tutorial"}
    figures = run(client, everything["id"], POINT, backward=False)["outputs"]
    assert figures == near({f"dF_d{name}": figure for name, figure in seed["run"]["gradients"].items()})
    second = derive(client, derived["id"], output="dF_dd", wrt=["d"], name="curvature")
    assert (second["name"], second["parent"], second["outputs"]) == ("curvature", derived["id"], ["ddF_dd_dd"])
    kept = [client.post(f"/v1/graphs/{second['id']}/runs", json={"inputs": POINT}).json["id"] for _ in range(2)]
    compared = client.post("/v1/comparisons", json={"baseline": kept[0], "candidate": kept[1], "tolerance": "exact"})
    assert compared.json["verdict"] == "same"
    assert client.delete(f"/v1/graphs/{derived['id']}").status_code == 409


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({"wrt": "a"}, "/wrt", "a list of names of nodes is expected"),
        ({"wrt": []}, "/wrt", "at least one node is needed to differentiate with respect to"),
        ({"wrt": ["a", "z"]}, "/wrt/1", "the graph has no node 'z'"),
        ({"wrt": [["a"]]}, "/wrt/0", "the name of a node is expected, a string"),
        ({"wrt": ["a", "a"]}, "/wrt/1", "'a' appears twice"),
        (
            {"wrt": ["constant_1"]},
            "/wrt/0",
            "no gradient flows to 'constant_1': it is a Constant or an Input of integers",
        ),
        ({"output": "z"}, "/output", "the graph has no node 'z'"),
        ({"of": "F"}, "/of", "unknown member `of`; known: output, wrt, name, tags"),
        ({"name": ""}, "/name", "1 to 128 characters are expected (the limit name_length); 0 given"),
    ],
)
def test_a_gradient_graph_that_is_asked_for_wrongly(
    client: FlaskClient, body: dict[str, Any], pointer: str, detail: str
) -> None:
    graph = create(client, "simple", "F = 2 * a")
    answered = derive(client, graph, 422, **body)
    assert answered["errors"] == [{"pointer": pointer, "detail": detail}]
    assert client.get("/v1/graphs", query_string={"name": "simple dF"}).json["graphs"] == []


def test_a_running_product_has_a_gradient_graph_and_a_formula(client: FlaskClient) -> None:
    graph = create(client, "running product", "p = cumprod(x, axis=0); F = sum(p)")
    posted = [derive(client, graph, wrt=["x"])["id"]]
    formula = client.get(f"/v1/graphs/{graph}/formula", query_string={"wrt": "x"}).json["expression"]
    posted.append(create(client, "posted back", formula))
    for each in posted:
        made: Any = client.post(f"/v1/graphs/{each}/runs", json={"inputs": {"x": [2, 3, 5]}}).json
        assert list(made["outputs"].values()) == [[19, 12, 6]]  # F = a + ab + abc


def test_a_gradient_graph_of_tensors_is_run_by_its_names(client: FlaskClient) -> None:
    graph = create(client, "layer", "y = x @ W; L = sum(y * y)")
    derived = derive(client, graph, wrt=["W", "y"])
    assert derived["outputs"] == ["dL_dW", "dL_dy"]
    inputs = {"x": [[1, 2], [3, 4]], "W": [[1], [-1]]}
    assert run(client, derived["id"], inputs, backward=False)["outputs"] == {
        "dL_dW": [[-8.0], [-12.0]],
        "dL_dy": [[-2.0], [-2.0]],
    }


def test_a_gradient_graph_keeps_to_the_limit_of_nodes(make_app: MakeApp) -> None:
    client = make_app(nodes=8).test_client()
    graph = create(client, "n" * 128, "F = sin(a * b) * cos(a * c)")
    assert derive(client, graph, 422)["limit"] == "nodes"
    assert derive(client, graph, wrt=["c"], output="cos_1")["name"] == "n" * 128


def test_a_gradient_graph_under_an_idempotency_key(client: FlaskClient, seed: Any) -> None:
    path, key = f"/v1/graphs/{seed['graph']['id']}/gradient-graph", {"Idempotency-Key": "derive once"}
    first, again = (client.post(path, json={"wrt": ["b"]}, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    assert client.post(path, json={"wrt": ["c"]}, headers=key).status_code == 422
