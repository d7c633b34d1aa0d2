"""Series over HTTP: a small training run, right and with mistakes planted at known steps."""

import io
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

STEP = "e = w*x - y; loss = e*e; g = 2*e*x; `v'` = 0.9*v + g; `w'` = w - lr*`v'`"
CARRY = {"w'": "w", "v'": "v"}


def train(steps: int, bug: str = "", at: int = 0, dtype: type = np.float64) -> dict[str, Any]:
    """The values of a training run that fits y = w·x by gradient descent with momentum, stacked along axis 0."""
    random = np.random.default_rng(1)
    w, v = dtype(0.5), dtype(0.0)
    rows: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        x = dtype(random.normal())
        y, lr = dtype(3 * x), dtype(0.05)
        e = w * x - y
        g = dtype(2) * e * x
        wrong = step == at
        used = g + dtype(0.1) * w if wrong and bug == "weight decay" else g
        before = (w, v)
        v = dtype(0.9) * v + used
        w = w - lr * v
        rows.append({"x": x, "y": y, "lr": lr, "w": before[0], "v": before[1], "g": g, "loss": e * e, "v'": v, "w'": w})
        if wrong and bug == "silent":
            w = w + dtype(1.0)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def listed(values: dict[str, Any], begin: int = 0, end: int | None = None) -> dict[str, Any]:
    return {name: array[begin:end].tolist() for name, array in values.items()}


def packed(values: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{f"values/{name}": array for name, array in values.items()})
    return buffer.getvalue()


def read(answer: TestResponse, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.json is not None
    return dict(answer.json)


@pytest.fixture(scope="module")
def graph(client: FlaskClient) -> str:
    return str(read(client.post("/v1/graphs", json={"name": "sgd", "expression": STEP}), 201)["id"])


def begun(client: FlaskClient, graph: str, **members: Any) -> str:
    made = read(client.post("/v1/series", json={"graph": graph, "carry": CARRY, **members}), 201)
    return f"/v1/series/{made['id']}"


def added(client: FlaskClient, series: str, values: dict[str, Any], **members: Any) -> dict[str, Any]:
    return read(client.post(f"{series}/steps", json={"values": values, **members}), 201)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_right_training_has_no_origin(client: FlaskClient, graph: str, dtype: type) -> None:
    series = begun(client, graph, dtype=np.dtype(dtype).name)
    assert added(client, series, listed(train(40, dtype=dtype)))["steps"] == 40
    verdict = read(client.get(f"{series}/verdict"))
    assert (verdict["arose"], verdict["first_wrong"], verdict["broken_carries"]) == (False, None, [])
    assert verdict["sentence"] == "Each of 40 steps follows from what it took."


def test_the_step_that_its_own_state_does_not_explain_is_named(client: FlaskClient, graph: str) -> None:
    series = begun(client, graph)
    body = packed(train(40, "weight decay", 30))
    grown = read(client.post(f"{series}/steps", data=body, content_type="application/x-npz"), 201)
    assert (grown["first_wrong"], grown["wrong"]) == (30, 1)
    verdict = read(client.get(f"{series}/verdict"))
    first = verdict["first_wrong"]
    assert (first["step"], first["nodes"], verdict["wrong_steps"]) == (30, ["v'"], [30])
    assert [origin["node"] for origin in first["origins"]] == ["v'"]
    compared = read(client.get(f"/v1/comparisons/{first['comparison']}"))
    assert compared["origins"] == first["origins"]
    assert read(client.get(f"/v1/runs/{compared['candidate']}"))["tags"]["step"] == "30"


def test_what_is_written_between_two_steps_is_a_broken_carry(client: FlaskClient, graph: str) -> None:
    values = train(20, "silent", 9)
    series = begun(client, graph)
    added(client, series, listed(values, 0, 9), first=1)
    added(client, series, listed(values, 9), first=10)
    verdict = read(client.get(f"{series}/verdict"))
    (carry,) = verdict["broken_carries"]
    assert (verdict["arose"], verdict["first_wrong"]) == (True, None)
    assert (carry["step"], carry["node"], carry["input"]) == (10, "w'", "w")
    assert carry["norm_taken"] == pytest.approx(abs(values["w"][9]))
