"""Sweeps over HTTP: what is refused, and what is answered of the points."""

from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.performing import perform_jobs

GRID = {"a": {"linspace": [0, 1, 3]}, "b": {"values": [5, -1]}, "c": 2, "d": -3}


@pytest.fixture(scope="module", autouse=True)
def blog(seed: dict[str, Any]) -> None:
    """The seed example is stored."""


def swept(app: Flask, client: FlaskClient, graph: str, **asked: Any) -> dict[str, Any]:
    """A sweep that is done."""
    made = client.post(f"/v1/graphs/{graph}/sweeps", json=asked)
    assert made.status_code == 202, made.text
    assert made.json is not None and made.headers["Location"] == f"/v1/jobs/{made.json['id']}"
    perform_jobs(app)
    read = client.get(f"/v1/sweeps/{made.json['id']}").json
    assert read is not None
    return read


def test_a_grid_has_every_combination_and_each_point_is_as_a_run_there(app: Flask, client: FlaskClient) -> None:
    sweep = swept(app, client, "blog", inputs=GRID, gradients=True)
    assert (sweep["job"]["state"], sweep["points"]) == ("done", 6)
    assert sweep["columns"] == ["F", "dF/da", "dF/db", "dF/dc", "dF/dd"]
    listed = client.get(f"/v1/sweeps/{sweep['id']}/points").json
    assert listed is not None and listed["complete"] and listed["next"] is None
    assert [point["at"] for point in listed["points"]] == [{"a": a, "b": b} for a in (0, 0.5, 1) for b in (5, -1)]
    for number, point in enumerate(listed["points"]):
        run = client.post("/v1/graphs/blog/runs", json={"inputs": {**GRID, **point["at"]}, "keep": False}).json
        assert run is not None and point["point"] == number
        gradients = {f"dF/d{name}": value for name, value in run["gradients"].items()}
        assert point["figures"] == {**run["outputs"], **gradients}


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"inputs": {"a": {"linspace": [0, 1, 0]}}}, "/inputs/a/linspace"),
    ({"inputs": {"a": {"linspace": [0, 1]}}}, "/inputs/a/linspace"),
    ({"inputs": {"a": {"linspace": [0, 1, 2.5]}}}, "/inputs/a/linspace/2"),
    ({"inputs": {"a": {"linspace": [0, "NaN", 2]}}}, "/inputs/a/linspace/1"),
    ({"inputs": {"a": {"linspace": [0, 1, 2], "seed": 1}}}, "/inputs/a/seed"),
    ({"inputs": {"a": {"normal": [0, 1, 2], "seed": -1}}}, "/inputs/a/seed"),
    ({"inputs": {"a": {"line": [0, 1, 2]}}}, "/inputs/a"),
    ({"inputs": {"a": {"values": [[1, 2]]}}}, "/inputs/a/values"),
    ({"inputs": {"a": {"values": [1, "x"]}}}, "/inputs/a/values/1"),
    ({"inputs": {"a": {"values": []}}}, "/inputs/a/values"),
    ({"inputs": {"a": {"values": {"tensor": "sha256:" + "0" * 64}}}}, "/inputs/a/values"),
    ({"inputs": {"a": {"tensor": "sha256:" + "0" * 64}}}, "/inputs/a"),
    ({"inputs": {"z": 1}}, "/inputs/z"),
    ({"inputs": {"a": {"linspace": [0, 1, 2]}, "b": {"values": [1, 2, 3]}}, "mode": "zip"}, "/inputs/b/values"),
    ({"outputs": ["G"]}, "/outputs/0"),
    ({"outputs": []}, "/outputs"),
    ({"outputs": ["F", "F"]}, "/outputs/1"),
    ({"outputs": "F"}, "/outputs"),
    ({"output": "F"}, "/output"),
    ({"gradients": True, "output": "G"}, "/output"),
    ({"mode": "both"}, "/mode"),
]


@pytest.mark.parametrize(("asked", "place"), FAULTS)
def test_a_fault_is_named_by_its_place_and_nothing_is_stored(client: FlaskClient, asked: Any, place: str) -> None:
    inputs = {"a": 1, "b": 2, "c": 3, "d": 4, **asked.get("inputs", {})}
    before = client.get("/v1/jobs").json
    answer = client.post("/v1/graphs/blog/sweeps", json={**asked, "inputs": inputs})
    assert answer.status_code == 422, answer.text
    assert answer.json is not None and place in [error["pointer"] for error in answer.json["errors"]], answer.text
    assert client.get("/v1/jobs").json == before


def test_points_are_read_from_any_on_and_page_by_page(app: Flask, client: FlaskClient) -> None:
    sweep = swept(app, client, "blog", inputs={**GRID, "a": {"linspace": [0, 1, 12_001]}, "b": 1})
    path = f"/v1/sweeps/{sweep['id']}/points"
    page = client.get(f"{path}?offset=9999&limit=2").json
    assert page is not None and [point["point"] for point in page["points"]] == [9999, 10_000]
    page = client.get(f"{path}?limit=2&cursor={page['next']}").json
    assert page is not None and [point["point"] for point in page["points"]] == [10_001, 10_002]
    page = client.get(f"{path}?offset=12000").json
    assert page is not None and page["next"] is None and page["points"][0]["at"] == {"a": 1.0}
    beyond = client.get(f"{path}?offset=12001").json
    assert beyond is not None and (beyond["points"], beyond["next"]) == ([], None)


def test_weights_stand_in_and_arrays_are_the_same_at_every_point(app: Flask, client: FlaskClient) -> None:
    tensor = _stored(client, np.array([[1.0, -2.0]]))
    graph = {"name": "scaled", "expression": "F = sum(w * x) * s", "weights": {"w": tensor}}
    assert client.post("/v1/graphs", json=graph).status_code == 201
    asked = {"x": [[3, 4]], "s": {"values": {"tensor": _stored(client, np.array([1.0, np.nan, -0.0]))}}}
    sweep = swept(app, client, "scaled", inputs=asked, gradients=True)
    assert sweep["inputs"]["w"] == {"tensor": tensor} and sweep["columns"] == ["F", "dF/ds"]
    listed = client.get(f"/v1/sweeps/{sweep['id']}/points").json
    assert listed is not None
    assert [point["at"]["s"] for point in listed["points"]] == [1.0, "NaN", -0.0]
    assert [point["figures"]["F"] for point in listed["points"]] == [-5.0, "NaN", 0.0]


def _stored(client: FlaskClient, array: np.ndarray[Any, Any]) -> str:
    from service.core.figures.npy import write_npy

    digest, body = write_npy(array)
    path = f"/v1/tensors/sha256:{digest}"
    assert client.put(path, data=body, content_type="application/x-npy").status_code in (200, 201)
    return f"sha256:{digest}"


def test_a_repeated_key_is_answered_with_the_first_job(client: FlaskClient) -> None:
    made = [
        client.post("/v1/graphs/blog/sweeps", json={"inputs": GRID}, headers={"Idempotency-Key": "sweep"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in made] == [202, 202]
    assert made[0].json is not None and made[1].json is not None and made[0].json["id"] == made[1].json["id"]
