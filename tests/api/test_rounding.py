"""What rounding may do to a run's output, over HTTP."""

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

NEAR = {"name": "kl", "expression": "p = softmax(z); d = p - q; s = sum(d * d); L = sqrt(s)"}


@pytest.fixture
def run(client: FlaskClient) -> dict[str, Any]:
    """A run of two distributions that are nearly the same."""
    client.post("/v1/graphs", json=NEAR)
    random = np.random.default_rng(0)
    z = random.standard_normal(50)
    p = np.exp(z) / np.exp(z).sum()
    inputs = {"z": z.tolist(), "q": (p * (1 + 0.01 * random.standard_normal(50))).tolist()}
    made: dict[str, Any] = client.post("/v1/graphs/kl/runs", json={"inputs": inputs}).json
    return made


def ask(client: FlaskClient, run: dict[str, Any], **query: Any) -> Any:
    return client.get(f"/v1/runs/{run['id']}/rounding", query_string={"dtype": "bfloat16", **query})


def test_the_node_that_amplifies_is_named(client: FlaskClient, run: dict[str, Any]) -> None:
    found = ask(client, run).json
    assert (found["run"], found["dtype"], found["output"]) == (run["id"], "bfloat16", "L")
    assert found["value"] == run["outputs"]["L"]
    assert found["amplifier"]["node"] == "d"
    assert found["likely"]["relative"] == pytest.approx(found["likely"]["absolute"] / found["value"])
    assert found["likely"]["absolute"] < found["greatest"]["absolute"]
    assert "d = p − q amplifies relative errors" in found["sentence"]
    assert set(found["keep"]["nodes"]) == {"p", "q", "z"}
    assert found["keep"]["likely"]["relative"] <= 1.6e-2
    assert sum(node["share"] for node in found["nodes"]) == pytest.approx(1.0)
    assert found["overflows"] == []


def test_the_nodes_come_in_pages_worst_first(client: FlaskClient, run: dict[str, Any]) -> None:
    whole = ask(client, run).json
    first = ask(client, run, limit=2)
    rest = client.get(f"/v1/runs/{run['id']}/rounding?dtype=bfloat16&cursor={first.json['next']}").json
    assert first.headers["Link"].endswith('rel="next"')
    assert first.json["nodes"] + rest["nodes"] == whole["nodes"]
    assert rest["next"] is None
    errors = [node["likely"] for node in whole["nodes"]]
    assert errors == sorted(errors, reverse=True)


def test_each_precision_has_its_own_error(client: FlaskClient, run: dict[str, Any]) -> None:
    coarse, half, single = (
        ask(client, run, dtype=dtype).json["likely"]["absolute"] for dtype in ("bfloat16", "float16", "float32")
    )
    assert coarse > 4 * half > 1000 * single > 0


def test_what_is_asked_wrongly_is_refused(client: FlaskClient, run: dict[str, Any]) -> None:
    for query in ("", "?dtype=float64", "?dtype=int8", "?dtype=bfloat16&node=d", "?dtype=bfloat16&cursor=x"):
        refused = client.get(f"/v1/runs/{run['id']}/rounding{query}")
        assert refused.status_code == 422
    assert client.get("/v1/runs/none/rounding?dtype=bfloat16").status_code == 404


def test_a_run_without_gradients_says_what_to_do(client: FlaskClient, run: dict[str, Any]) -> None:
    inputs = {"z": [1.0, 2.0], "q": [0.3, 0.7]}
    forward = client.post("/v1/graphs/kl/runs", json={"inputs": inputs, "backward": False}).json
    refused = ask(client, forward)
    assert refused.status_code == 409
    assert f"POST /v1/runs/{forward['id']}/backward" in refused.json["detail"]
    client.post(f"/v1/runs/{forward['id']}/backward", json={})
    assert ask(client, forward).status_code == 200


def recorded(client: FlaskClient, inputs: dict[str, Any], **figures: Any) -> dict[str, Any]:
    body = {"inputs": inputs, "recorded": {"by": "torch", "dtype": "bfloat16", **figures}}
    made: dict[str, Any] = client.post("/v1/graphs/kl/runs", json=body).json
    return made


def test_what_a_recording_lacks_follows_from_what_it_has(client: FlaskClient, run: dict[str, Any]) -> None:
    inputs = {"z": [1.0, 2.0], "q": [0.25, 0.75]}
    whole = client.post("/v1/graphs/kl/runs", json={"inputs": inputs}).json
    some = recorded(client, inputs, gradients={"L": 1.0})
    assert ask(client, some).json["likely"] == ask(client, whole).json["likely"]
    without = recorded(client, {"z": [1.0, 2.0]}, values={"p": [0.25, 0.75]}, gradients={"L": 1.0, "s": 0.5})
    refused = ask(client, without)
    assert refused.status_code == 409
    assert "lacks values of inputs" in refused.json["detail"]
    no_gradients = ask(client, recorded(client, inputs, values={"L": 0.1}))
    assert no_gradients.status_code == 409
    assert "/backward" not in no_gradients.json["detail"]


@pytest.mark.parametrize(
    ("expression", "inputs", "said"),
    [
        ("y = x * 1", {"x": 0.5}, "Rounding in float16 likely moves y, 0.5,"),
        ("y = relu(x)", {"x": 0.5}, "Rounding in float16 leaves y, 0.5, as it is."),
        ("y = x * 0", {"x": 0.1}, "leaves y, 0, as it is."),
        ("y = x * x", {"x": 300.0}, "y has values beyond the largest float16."),
        ("y = log(x)", {"x": 0.0}, "y is −∞: no error tells"),
        ("y = log(x)", {"x": -1.0}, "y is NaN: no error tells"),
        ("y = x - x", {"x": 0.7}, "leaves y, 0, as it is."),
        ("y = sum(x * 2)", {"x": [70000.0, 1.0]}, "x, mul_1 and y have values beyond"),
        ("y = sum(x)", {"x": []}, "y, 0"),
        ("y = exp(x) - exp(x + 0)", {"x": 1.1}, "amplifies relative errors beyond bounds"),
    ],
)
def test_odd_figures(client: FlaskClient, expression: str, inputs: dict[str, Any], said: str) -> None:
    client.post("/v1/graphs", json={"name": "odd", "expression": expression})
    made = client.post("/v1/graphs/odd/runs", json={"inputs": inputs}).json
    answer = ask(client, made, dtype="float16")
    assert answer.status_code == 200
    assert said in answer.json["sentence"]


def test_a_comparison_says_whether_rounding_explains_it(client: FlaskClient, run: dict[str, Any]) -> None:
    def recorded_in_bfloat16(distance: float) -> dict[str, Any]:
        body = {"inputs": run["inputs"], "recorded": {"by": "jax", "dtype": "bfloat16", "values": {"L": distance}}}
        made: dict[str, Any] = client.post("/v1/graphs/kl/runs", json=body).json
        asked = {"baseline": run["id"], "candidate": made["id"]}
        compared: dict[str, Any] = client.post("/v1/comparisons", json=asked).json
        assert client.get(f"/v1/comparisons/{compared['id']}").json["rounding"] == compared["rounding"]
        return compared

    found = recorded_in_bfloat16(1.1 * run["outputs"]["L"])
    told = found["rounding"]
    assert not found["arose"] and found["verdict"] == "differ"
    assert (told["phase"], told["node"], told["dtype"]) == ("forward", "L", "bfloat16")
    assert told["amplifier"]["node"] == "d"
    assert told["seen"] == pytest.approx(0.1 * run["outputs"]["L"])
    assert told["seen"] < told["greatest"]
    assert found["sentence"].endswith(told["sentence"])
    same = client.post("/v1/comparisons", json={"baseline": run["id"], "candidate": run["id"]}).json
    assert "rounding" not in same
