"""Sweeps over HTTP: what is refused, and what is answered of the points."""

import importlib
import io
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api.conftest import MakeApp
from tests.performing import perform_chunks, perform_jobs

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


def test_an_npz_holds_any_part_of_the_points_to_the_bit(app: Flask, client: FlaskClient) -> None:
    sweep = swept(app, client, "blog", inputs={**GRID, "a": {"linspace": [0, 1, 12_001]}}, gradients=True)
    path = f"/v1/sweeps/{sweep['id']}/points"

    def read(query: str) -> Any:
        answer = client.get(f"{path}?{query}", headers={"Accept": "application/x-npz"})
        assert answer.status_code == 200, answer.text
        return np.load(io.BytesIO(answer.data))

    whole, part = read(""), read("offset=9990&limit=20")
    assert whole["point"].tolist() == [*range(24_002)] and whole["complete"]
    assert sorted(whole) == sorted(["point", "complete", "at/a", "at/b", *(f"figures/{c}" for c in sweep["columns"])])
    for name in set(whole) - {"complete"}:
        assert np.array_equal(part[name], whole[name][9990:10_010]), name
    listed = client.get(f"{path}?offset=9990&limit=20").json
    assert listed is not None
    assert [point["figures"]["dF/dd"] for point in listed["points"]] == part["figures/dF/dd"].tolist()
    refused = client.get(f"{path}?cursor=MQ", headers={"Accept": "application/x-npz"})
    assert refused.status_code == 422 and "no pages" in refused.text


@pytest.mark.peers
def test_arrow_and_parquet_hold_the_points_as_a_table(app: Flask, client: FlaskClient) -> None:
    ipc, parquet = (importlib.import_module(f"pyarrow.{name}") for name in ("ipc", "parquet"))
    sweep = swept(app, client, "blog", inputs=GRID)
    tables = []
    for form, read in (
        ("application/vnd.apache.arrow.stream", lambda data: ipc.open_stream(data).read_all()),
        ("application/vnd.apache.parquet", lambda data: parquet.read_table(io.BytesIO(data))),
    ):
        answer = client.get(f"/v1/sweeps/{sweep['id']}/points", headers={"Accept": form})
        assert answer.content_type == form
        tables.append(read(answer.data).to_pydict())
    assert tables[0] == tables[1] and [*tables[0]] == ["point", "a", "b", "F"]
    assert tables[0]["b"] == [5.0, -1.0] * 3 and tables[0]["point"] == [*range(6)]
    kept = swept(app, client, "blog", inputs=GRID, outputs=["F", "b"])
    answer = client.get(f"/v1/sweeps/{kept['id']}/points", headers={"Accept": "application/vnd.apache.arrow.stream"})
    assert ipc.open_stream(answer.data).read_all().column_names == ["point", "a", "b", "F"]


def test_of_a_sweep_that_is_under_way_what_there_is_is_answered(app: Flask, client: FlaskClient) -> None:
    made = client.post("/v1/graphs/blog/sweeps", json={"inputs": {**GRID, "a": {"linspace": [0, 1, 15_000]}}}).json
    assert made is not None
    path = f"/v1/sweeps/{made['id']}"
    before = client.get(path).json
    assert before is not None and (before["computed"], before["reduced"]) == (0, {})
    perform_chunks(app, [1])
    page = client.get(f"{path}/points?offset=9998&limit=4").json
    assert page is not None and not page["complete"] and page["next"]
    assert [point["point"] for point in page["points"]] == [10_000, 10_001]
    between = client.get(path).json
    assert between is not None and between["computed"] == 10_000
    assert between["reduced"]["F"]["min"]["point"] >= 10_000
    perform_jobs(app)
    after = client.get(path).json
    assert after is not None and after["computed"] == after["points"] == 30_000


def test_what_failed_is_left_out_until_it_is_tried_again(app: Flask, client: FlaskClient) -> None:
    asked = {"inputs": {**GRID, "a": {"linspace": [0, 1, 20_000]}}}
    made = client.post("/v1/graphs/blog/sweeps", json=asked).json
    assert made is not None
    path = f"/v1/sweeps/{made['id']}"
    perform_jobs(app, failing={1})
    failed = client.get(path).json
    assert failed is not None
    assert (failed["job"]["state"], failed["job"]["done"], failed["computed"]) == ("failed", 30_000, 30_000)
    assert "points 10000 to 19999" in failed["job"]["problem"]["detail"]
    assert client.post(f"/v1/jobs/{made['id']}/retry", json={}).status_code == 202
    perform_jobs(app)
    done, whole = client.get(path).json, swept(app, client, "blog", **asked)
    assert done is not None and done["computed"] == 40_000 and done["reduced"] == whole["reduced"]


def test_a_point_that_an_operation_refuses_says_why_in_the_problem(app: Flask, client: FlaskClient) -> None:
    client.post("/v1/graphs", json={"name": "inverted", "expression": "F = sum(inverse(x * s))"})
    asked = {"x": [[1, 2], [3, 4]], "s": {"linspace": [0, 1, 3]}}
    job = swept(app, client, "inverted", inputs=asked)["job"]
    assert job["state"] == "failed" and job["problem"]["detail"].startswith("points 0 to 2: ")
    assert "Singular" in job["problem"]["detail"]


def test_a_sweep_is_deleted_with_its_job_once_that_has_ended(app: Flask, client: FlaskClient) -> None:
    made = client.post("/v1/graphs/blog/sweeps", json={"inputs": GRID}).json
    assert made is not None
    path = f"/v1/sweeps/{made['id']}"
    refused = client.delete(path)
    assert refused.status_code == 409 and "cancel it first" in refused.text
    perform_jobs(app)
    assert client.delete(path, headers={"If-Match": '"another"'}).status_code == 412
    assert client.delete(path, headers={"If-Match": client.get(path).headers["ETag"]}).status_code == 204
    for kind, gone in (("sweep", path), ("job", f"/v1/jobs/{made['id']}")):
        missing = client.get(gone)
        assert missing.status_code == 404 and f"there is no {kind} '{made['id']}'" in missing.text
    assert client.delete(path).status_code == 404


def test_a_page_ends_where_its_points_have_many_figures(app: Flask, client: FlaskClient) -> None:
    names = [f"h{number}" for number in range(300)]
    chain = "; ".join(f"{name} = x + {number}" for number, name in enumerate(names))
    client.post("/v1/graphs", json={"name": "wide", "expression": chain})
    sweep = swept(app, client, "wide", inputs={"x": {"linspace": [0, 1, 1000]}})
    page = client.get(f"/v1/sweeps/{sweep['id']}/points?offset=500").json
    assert page is not None and page["next"] and 300 < len(page["points"]) < 400
    last = page["points"][-1]["point"]
    following = client.get(f"/v1/sweeps/{sweep['id']}/points?cursor={page['next']}&limit=1").json
    assert following is not None and following["points"][0]["point"] == last + 1


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


def test_what_the_points_amount_to_is_answered_with_where_it_is(app: Flask, client: FlaskClient) -> None:
    assert client.post("/v1/graphs", json={"name": "root", "expression": "F = sqrt(x) - y"}).status_code == 201
    inputs = {"x": {"linspace": [-1, 1, 5]}, "y": {"values": [0, "Infinity"]}}
    sweep = swept(app, client, "root", inputs=inputs)
    reduced = sweep["reduced"]["F"]
    assert reduced["min"] == {"value": "-Infinity", "point": 5, "at": {"x": 0.0, "y": "Infinity"}}
    assert reduced["max"] == {"value": 1.0, "point": 8, "at": {"x": 1.0, "y": 0.0}}
    assert reduced["argmin"] == {"point": 5, "at": {"x": 0.0, "y": "Infinity"}}
    assert (reduced["mean"], reduced["nonfinite"]) == ("-Infinity", {"NaN": 4, "Infinity": 0, "-Infinity": 3})
    assert sum(bucket[2] for bucket in reduced["histogram"]) == 3
    assert sweep["nonfinite"][0] == {"figure": "F", "value": "NaN", "point": 0, "at": {"x": -1.0, "y": 0.0}}
    assert [each["point"] for each in sweep["nonfinite"]] == [0, 1, 2, 3, 5, 7, 9]


def test_with_reduce_only_that_is_told_and_no_point_is_kept(app: Flask, client: FlaskClient) -> None:
    sweep = swept(app, client, "blog", inputs=GRID, reduce=["max", "mean"])
    assert sweep["reduced"]["F"].keys() == {"max", "mean"} and sweep["nonfinite"] == []
    points = client.get(f"/v1/sweeps/{sweep['id']}/points")
    assert points.status_code == 409 and "reduce" in points.text


def test_two_graphs_part_where_their_outputs_differ(app: Flask, client: FlaskClient) -> None:
    for name, expression in (("floor", "F = floor(x)"), ("round", "y = round(x)")):
        assert client.post("/v1/graphs", json={"name": name, "expression": expression}).status_code == 201
    against = {"graph": "round", "outputs": {"F": "y"}, "tolerance": "exact"}
    sweep = swept(app, client, "floor", inputs={"x": {"linspace": [0, 1, 5]}}, against=against)
    assert sweep["columns"] == ["F", "against F"]
    assert (sweep["against"]["outputs"], sweep["against"]["tolerance"]) == ({"F": "y"}, "exact")
    first = {"point": 3, "at": {"x": 0.75}}
    assert sweep["parted"] == {
        "against F": {
            "figure": "F",
            "points": 1,
            "first": first,
            "greatest_difference": {"value": 1.0, **first},
            "not_judged": 0,
        }
    }


def test_gradients_are_checked_at_every_point(app: Flask, client: FlaskClient) -> None:
    sweep = swept(app, client, "blog", inputs={**GRID, "b": 1}, check=True)
    assert [*sweep["parted"]] == [f"estimate dF/d{name}" for name in "abcd"]
    assert all(parted["points"] == 0 for parted in sweep["parted"].values())
    client.post("/v1/graphs", json={"name": "kinked", "expression": "F = abs(x)"})
    kinked = swept(app, client, "kinked", inputs={"x": {"linspace": [-1, 1, 3]}}, check=True)
    assert kinked["parted"]["estimate dF/dx"]["not_judged"] == 1


def test_a_graph_is_kept_while_a_sweep_needs_it(app: Flask, client: FlaskClient) -> None:
    made = {name: client.post("/v1/graphs", json={"name": name, "expression": "F = x * x"}).json for name in ("p", "q")}
    sweep = swept(app, client, "p", inputs={"x": 2}, against={"graph": "q"})
    for graph in made.values():
        assert graph is not None
        refused = client.delete(f"/v1/graphs/{graph['id']}")
        assert refused.status_code == 409 and "1 sweep refers to it" in refused.text
    assert made["q"] is not None
    assert client.delete(f"/v1/graphs/{made['q']['id']}?cascade=true").status_code == 204
    assert client.get(f"/v1/sweeps/{sweep['id']}").status_code == 404


AGAINST: list[tuple[dict[str, Any], int, str]] = [
    ({"against": {"graph": "none"}}, 404, "/against/graph"),
    ({"against": {"graph": "blog", "tolerance": "float8"}}, 422, "/against/tolerance"),
    ({"against": {"graph": "blog", "tolerance": {"rtol": -1}}}, 422, "/against/tolerance/rtol"),
    ({"against": {"graph": "blog", "tolerance": {}}}, 422, "/against/tolerance"),
    ({"against": {"graph": "blog", "tolerance": 0}}, 422, "/against/tolerance"),
    ({"against": {"graph": "blog", "outputs": {"F": "G"}}}, 422, "/against/outputs"),
    ({"against": {"graph": "blog", "outputs": {"e": "F"}}}, 422, "/against/outputs/e"),
    ({"against": {"graph": "blog", "outputs": {"F": [1]}}}, 422, "/against/outputs"),
    ({"against": {}}, 422, "/against/graph"),
    ({"reduce": ["least"]}, 422, "/reduce/0"),
    ({"reduce": "min"}, 422, "/reduce"),
    ({"check": 1}, 422, "/check"),
]


@pytest.mark.parametrize(("asked", "status", "place"), AGAINST)
def test_what_is_held_against_is_refused_by_its_place(client: FlaskClient, asked: Any, status: int, place: str) -> None:
    answer = client.post("/v1/graphs/blog/sweeps", json={"inputs": GRID, **asked})
    assert answer.status_code == status, answer.text
    assert answer.json is not None and place in [error["pointer"] for error in answer.json["errors"]], answer.text


def test_what_would_be_too_long_to_tell_is_refused_before_it_is_computed(client: FlaskClient) -> None:
    names = [f"x{number}" for number in range(1500)]
    nodes = [{"name": name, "operation": "Input"} for name in names]
    client.post(
        "/v1/graphs", json={"name": "wide", "nodes": [*nodes, {"name": "F", "operation": "Max", "inputs": names}]}
    )
    inputs = {name: {"linspace": [0, 1, 2]} for name in names}
    refused = client.post("/v1/graphs/wide/sweeps", json={"inputs": inputs, "mode": "zip", "gradients": True})
    assert refused.status_code == 422 and refused.json is not None
    assert refused.json["limit"] == "answer_bytes", refused.text
    few = {name: each if name in names[:9] else 0 for name, each in inputs.items()}
    assert (
        client.post("/v1/graphs/wide/sweeps", json={"inputs": few, "mode": "zip", "gradients": True}).status_code == 202
    )


def test_histograms_of_very_many_buckets_are_told_as_far_as_an_answer_goes(make_app: MakeApp) -> None:
    app = make_app(answer_bytes=10_000)
    client = app.test_client()
    client.post("/v1/graphs", json={"name": "line", "expression": "F = 2 * x"})
    values = [2.0**power for power in range(200)]
    asked = {"inputs": {"x": {"values": values}}, "reduce": ["histogram"]}
    made = client.post("/v1/graphs/line/sweeps", json=asked).json
    perform_jobs(app)
    assert made is not None
    refused = client.get(f"/v1/sweeps/{made['id']}")
    assert refused.status_code == 422 and refused.json is not None and refused.json["limit"] == "answer_bytes"
