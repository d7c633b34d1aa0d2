"""Whatever is sent, to whatever route: 2xx or a 4xx problem, which the client of conftest.py holds to the contract."""

import json
from functools import reduce
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400)
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["a", "b", "F", "NaN", "Infinity", "a + b", "F(a) = a^2", "Add", "\ud800"]
)
JSON = st.recursive(
    NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
# Near enough to what is right that it comes further in than the first check.
NODES = st.lists(
    st.fixed_dictionaries(
        {"name": TEXTS},
        optional={
            "operation": st.sampled_from(["Input", "Constant", "Add", "Sum", "Clip", "div", "×"]) | JSON,
            "inputs": st.lists(TEXTS, max_size=3) | JSON,
            "attributes": st.dictionaries(st.sampled_from(["value", "shape", "min", "axis"]), JSON, max_size=2) | JSON,
        },
    ),
    max_size=4,
)
FIGURES = st.recursive(
    st.floats() | st.sampled_from(["NaN", "-Infinity", -0.0, {"tensor": "sha256:" + "0" * 64}]),
    lambda x: st.lists(x, max_size=3),
)
AXES = st.fixed_dictionaries(
    {},
    optional={
        "linspace": st.tuples(NUMBERS, NUMBERS, st.integers(-1, 5)).map(list) | JSON,
        "normal": st.tuples(NUMBERS, NUMBERS, st.integers(-1, 10**12)).map(list),
        "values": FIGURES | JSON,
        "seed": NUMBERS,
    },
)
GIVEN = st.dictionaries(st.sampled_from(["a", "b", "F", "none"]), FIGURES, max_size=3)
CLAIMED = st.fixed_dictionaries(
    {},
    optional={
        "by": TEXTS,
        "dtype": st.sampled_from(["float32", "float64", "int8"]),
        "values": GIVEN | JSON,
        "gradients": GIVEN | JSON,
    },
)
TOGETHER = st.lists(
    st.fixed_dictionaries({"inputs": GIVEN | JSON}, optional={"label": TEXTS, "tags": JSON}) | JSON, max_size=3
)
RUN = "the run's id"  # set in by the test
MEMBERS = {
    "name": TEXTS,
    "expression": TEXTS | st.text(alphabet="ab123.+-*/^()=;,\n`", max_size=20),
    "nodes": NODES | JSON,
    "outputs": st.lists(TEXTS, max_size=3) | JSON,
    "inputs": st.fixed_dictionaries({"a": FIGURES | AXES, "b": FIGURES | AXES}) | JSON,
    "weights": st.dictionaries(st.sampled_from(["a", "b", "F"]), TEXTS | st.just("sha256:" + "0" * 64)) | JSON,
    "tags": st.dictionaries(TEXTS, TEXTS, max_size=2) | JSON,
    "backward": st.booleans() | JSON,
    "keep": st.booleans() | JSON,
    "output": TEXTS,
    "kind": st.sampled_from(["jacobian", "jvp", "vjp", "hvp", "hessian"]) | TEXTS,
    "vector": GIVEN | FIGURES | JSON,
    "method": st.sampled_from(["taylor", "central", "complex-step"]) | TEXTS,
    "seed": FIGURES | JSON,
    "conventions": st.sampled_from(["minimum-norm", "torch", "jax", "tensorflow"]) | JSON,
    "wrt": st.lists(TEXTS, max_size=3) | JSON,
    "label": TEXTS,
    "runs": TOGETHER | JSON,
    "recorded": CLAIMED | JSON,
    "claims": CLAIMED | JSON,
    "gradients": GIVEN | JSON | st.booleans(),
    "run": st.just(RUN) | TEXTS,
    "baseline": st.just(RUN) | TEXTS,
    "candidate": st.just(RUN) | TEXTS,
    "tolerance": st.sampled_from(["exact", "float32"])
    | st.fixed_dictionaries({"rtol": NUMBERS, "atol": NUMBERS})
    | JSON,
    "reduce": st.lists(st.sampled_from(["min", "histogram"]) | TEXTS, max_size=2) | JSON,
    "against": st.fixed_dictionaries(
        {"graph": st.just("g") | TEXTS},
        optional={"tolerance": JSON, "outputs": st.dictionaries(st.just("F"), TEXTS | JSON, max_size=1)},
    )
    | JSON,
    "check": st.booleans() | JSON,
    "mode": st.sampled_from(["grid", "zip"]) | TEXTS,
    "names": st.dictionaries(TEXTS, TEXTS, max_size=2) | JSON,
    "graph": TEXTS,
    "carry": st.dictionaries(st.sampled_from(["a", "b", "F"]) | TEXTS, TEXTS, max_size=2) | JSON,
    "by": TEXTS,
    "dtype": st.sampled_from(["float32", "float64", "int8"]) | JSON,
    "retain": st.sampled_from(["auto", "full", "norms"]) | JSON,
    "every": NUMBERS,
    "first": NUMBERS,
    "skipped": NUMBERS,
    "values": GIVEN | JSON,
    "align": st.sampled_from(["names", "probes"]) | JSON,
}
NEARLY = st.fixed_dictionaries({}, optional=MEMBERS)
CHECKS = st.fixed_dictionaries({"inputs": st.fixed_dictionaries({"a": FIGURES, "b": FIGURES}), "claims": CLAIMED})
COMPARISONS = st.fixed_dictionaries({"baseline": st.just(RUN), "candidate": st.just(RUN)})
RUNS = st.fixed_dictionaries(
    {"inputs": st.fixed_dictionaries({"a": FIGURES, "b": FIGURES})}, optional={"keep": st.booleans(), "seed": FIGURES}
)
BATCHES = st.fixed_dictionaries({"runs": TOGETHER}, optional={"backward": st.booleans(), "seed": FIGURES})
STEPS = st.fixed_dictionaries({"values": st.dictionaries(st.sampled_from(["a", "b", "F"]), FIGURES)})
NAMED = st.fixed_dictionaries({"name": st.text(min_size=1, max_size=8)}, optional={"nodes": NODES, "expression": TEXTS})


@pytest.fixture(scope="module")
def run(client: FlaskClient) -> Any:
    """A run without gradients of a graph of two inputs."""
    graph = client.post("/v1/graphs", json={"name": "g", "expression": "F = a / b + max(a, b)"}).json
    assert graph is not None
    body = {"inputs": {"a": [1, 2], "b": 0}, "backward": False}
    return client.post(f"/v1/graphs/{graph['id']}/runs", json=body).json


@pytest.fixture(scope="module")
def routes(app: Flask, client: FlaskClient, run: Any) -> list[str]:
    """Every POST route of the API."""
    series = client.post("/v1/series", json={"graph": run["graph_id"]}).json
    assert series is not None
    rules = [rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    rules = [rule for rule in rules if rule.startswith("/v1/")]
    assert len(rules) >= 4
    ids = {"<graph_id>": run["graph_id"], "<run_id>": run["id"], "<series_id>": series["id"]}
    return [reduce(lambda rule, each: rule.replace(*each), ids.items(), rule) for rule in rules]


def test_every_member_of_a_request_is_tried(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {member for name in schemas if name.endswith("Request") for member in schemas[name]["properties"]} == set(
        MEMBERS
    )


@given(body=JSON | NEARLY | RUNS | BATCHES | NAMED | CHECKS | COMPARISONS | STEPS)
def test_any_json(client: FlaskClient, routes: list[str], run: Any, body: Any) -> None:
    sent = json.dumps(body).replace(RUN, run["id"])
    for route in routes:
        assert client.post(route, data=sent, content_type="application/json").status_code < 500


@given(
    body=st.binary()
    | st.text(alphabet='[]{}",:0\\u1eE+-.tfn\ud800é', max_size=30).map(lambda t: t.encode("utf-8", "replace"))
)
def test_any_bytes(client: FlaskClient, routes: list[str], body: bytes) -> None:
    for route in routes:
        for content_type in ("application/json", "application/x-npz", "text/plain"):
            assert client.post(route, data=body, content_type=content_type).status_code < 500


@given(name=st.sampled_from(["limit", "cursor", "tag", "name", "label", "graph", "gradients", "x"]), value=st.text())
def test_any_query(client: FlaskClient, name: str, value: str) -> None:
    for path in ("/v1/graphs", "/v1/runs", "/v1/runs/x", "/v1/runs/x/nodes", "/v1/operations"):
        assert client.get(path, query_string={name: value}).status_code < 500


@given(
    path=st.text(max_size=20),
    key=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")),
)
def test_any_path_and_any_key(client: FlaskClient, path: str, key: str) -> None:
    for prefix in ("/", "/v1/", "/v1/graphs/", "/v1/runs/", "/v1/runs/x/nodes/", "/v1/operations/"):
        rest = path.lstrip("/") if prefix == "/" else path  # what follows two slashes is a host to the test client
        assert client.get(prefix + rest).status_code < 500
    body = {"name": "g", "expression": "x"}
    assert client.post("/v1/graphs", json=body, headers={"Idempotency-Key": key}).status_code < 500
