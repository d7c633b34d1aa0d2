"""Series over HTTP: a small training run, right and with mistakes planted at known steps."""

import io
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.usecases import series as usecases
from tests.api.conftest import MakeApp

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
        if wrong and bug == "no zero_grad":
            g = used = g + rows[-1]["g"]
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


@pytest.mark.parametrize("retain", ["auto", "norms"])
def test_what_was_not_set_to_zero_is_said_however_the_steps_came(make_app: MakeApp, retain: str) -> None:
    client, values = make_app(series_whole=2).test_client(), train(20, "no zero_grad", 9)
    graph = read(client.post("/v1/graphs", json={"name": "sgd", "expression": STEP}), 201)["id"]
    said = "g was added to that of step 8: it was not set to zero."
    for parts in ([20], [8, 1, 11], [7, 3, 10], [9, 11]):
        series, end = begun(client, graph, retain=retain), 0
        for begin, end in zip(np.cumsum([0, *parts]), np.cumsum(parts), strict=False):
            added(client, series, listed(values, begin, end))
        is_kept = retain == "auto" or parts[0] != 8
        assert read(client.get(f"{series}/verdict"))["first_wrong"]["cause"] == (said if is_kept else None)
    skipping = begun(client, graph)
    added(client, skipping, listed(values, 0, 7))
    added(client, skipping, listed(values, 8), skipped=1)
    assert read(client.get(f"{skipping}/verdict"))["first_wrong"]["cause"] is None


def test_what_is_carried_is_no_gradient_that_was_scaled(client: FlaskClient, graph: str) -> None:
    values, series = train(4), begun(client, graph)
    for name in CARRY:
        values[name][2] *= 0.5
    added(client, series, listed(values))
    first = read(client.get(f"{series}/verdict"))["first_wrong"]
    assert (first["nodes"], first["cause"]) == (["v'", "w'"], None)


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


def steps_of(client: FlaskClient, series: str, query: str = "") -> list[dict[str, Any]]:
    return list(read(client.get(f"{series}/steps{query}"))["steps"])


def test_steps_that_were_not_recorded_count_and_break_no_carry(client: FlaskClient, graph: str) -> None:
    values, series = train(9), begun(client, graph)
    added(client, series, listed(values, 0, 3))
    grown = added(client, series, listed(values, 5), skipped=2, first=6)
    assert (grown["steps"], grown["last_step"]) == (7, 9)
    assert read(client.get(f"{series}/verdict"))["broken_carries"] == []
    broken = begun(client, graph, every=10**8)
    far = read(client.post(f"{broken}/steps", json={"values": listed(values), "skipped": 10**8}), 422)
    assert far["errors"] == [{"pointer": "/skipped", "detail": f"the number of a step is at most {10**15}"}]
    broken = begun(client, graph)
    added(client, broken, listed(values, 0, 3))
    added(client, broken, listed(values, 5))
    assert [carry["step"] for carry in read(client.get(f"{broken}/verdict"))["broken_carries"]] == [4, 4]


def test_steps_have_numbers_and_come_in_their_order(client: FlaskClient, graph: str) -> None:
    values, series = train(6), begun(client, graph)
    assert added(client, series, listed(values, 0, 2), first=7)["last_step"] == 8
    for first in (8, 10):
        problem = read(client.post(f"{series}/steps", json={"values": listed(values, 2), "first": first}), 409)
        assert problem["detail"] == f"the next step of this series is 9, not {first}"
    grown = added(client, series, listed(values, 2))
    assert (grown["steps"], grown["first_step"], grown["last_step"]) == (6, 7, 12)
    problem = read(client.post(f"{series}/steps", json={"values": listed(values), "first": 14, "skipped": 2}), 409)
    assert problem["detail"] == "the next step of this series is 15, not 14"
    page = read(client.get(f"{series}/steps?limit=4"))
    rest = read(client.get(f"{series}/steps?limit=4&cursor={page['next']}"))
    assert [step["step"] for step in page["steps"] + rest["steps"]] == [*range(7, 13)]
    assert rest["next"] is None
    first = page["steps"][0]
    assert first["norms"]["w"] == abs(values["w"][0])
    assert page["steps"][1]["digests"]["w"] == first["digests"]["w'"] != first["digests"]["w"]


def test_steps_that_are_further_apart_carry_nothing(client: FlaskClient, graph: str) -> None:
    values, series = train(30), begun(client, graph, every=10)
    assert added(client, series, listed({name: array[::10] for name, array in values.items()}))["broken"] == 0
    assert [step["step"] for step in steps_of(client, series)] == [1, 11, 21]


def test_a_request_that_is_repeated_adds_its_steps_once(client: FlaskClient, graph: str) -> None:
    values, headers = train(3), {"Idempotency-Key": "the steps"}
    made = [
        read(client.post("/v1/series", json={"graph": graph, "carry": CARRY}, headers={"Idempotency-Key": "s"}), 201)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    for _ in range(2):
        body = {"values": listed(values), "first": 1}
        assert read(client.post(f"/v1/series/{made[0]['id']}/steps", json=body, headers=headers), 201)["steps"] == 3


@pytest.mark.parametrize(("retain", "kept"), [("auto", [3, 4, 6, 7, 8]), ("full", [*range(1, 9)]), ("norms", [3, 4])])
def test_the_last_steps_and_the_first_wrong_one_are_kept_whole(make_app: MakeApp, retain: str, kept: list[int]) -> None:
    client = make_app(series_whole=3).test_client()
    graph = read(client.post("/v1/graphs", json={"name": "sgd", "expression": STEP}), 201)["id"]
    series, values = begun(client, graph, retain=retain, by="the trainer"), train(8, "weight decay", 4)
    for begin, end in ((0, 5), (5, 6), (6, 8)):
        added(client, series, listed(values, begin, end))
    steps = steps_of(client, series)
    assert [step["step"] for step in steps if step["run"]] == kept
    run = read(client.get(f"/v1/runs/{steps[3]['run']}"))
    assert (run["source"], run["recorded_by"], run["outputs"]["w'"]) == ("recorded", "the trainer", values["w'"][3])
    assert len(read(client.get("/v1/runs"))["runs"]) == len(kept) + 1
    assert client.delete(series).status_code == 204
    assert read(client.get("/v1/runs"))["runs"] == read(client.get("/v1/series"))["series"] == []
    assert client.get(series).status_code == 404


def test_a_training_that_diverges_is_wrong_only_where_it_is(client: FlaskClient, graph: str) -> None:
    values = {name: array.astype(float) for name, array in train(6).items()}
    odd = {"x": np.inf, "w": np.nan, "v": -np.inf}
    for name, figure in odd.items():
        values[name][2] = figure
    with np.errstate(all="ignore"):
        e = values["w"] * values["x"] - values["y"]
        values["g"] = 2 * e * values["x"]
        values["loss"], values["v'"] = e * e, 0.9 * values["v"] + values["g"]
        values["w'"] = values["w"] - values["lr"] * values["v'"]
    values["g"][4] = np.nan
    series = begun(client, graph)
    body = packed(values)
    assert read(client.post(f"{series}/steps", data=body, content_type="application/x-npz"), 201)["wrong"] == 1
    assert [(step["step"], step["origins"]) for step in steps_of(client, series, "?only=origins")] == [(5, ["g"])]
    norms = steps_of(client, series)[2]["norms"]
    assert (norms["x"], norms["w"], norms["v"]) == ("Infinity", "NaN", "Infinity")


def test_batches_may_have_another_size_from_one_request_to_the_next(client: FlaskClient) -> None:
    expression = "loss = mean((x @ w - y)^2); `w'` = w - 0.1 * (x.T @ (x @ w - y))"
    graph = read(client.post("/v1/graphs", json={"name": "batches", "expression": expression}), 201)["id"]
    series = read(client.post("/v1/series", json={"graph": graph, "carry": {"w'": "w"}}), 201)["id"]
    random, w = np.random.default_rng(0), np.ones((2, 1))
    for size in (5, 3):
        x, y = random.normal(size=(size, 2)), random.normal(size=(size, 1))
        after = w - 0.1 * (x.T @ (x @ w - y))
        step = {"x": x, "y": y, "w": w, "w'": after}
        grown = added(client, f"/v1/series/{series}", {name: [array.tolist()] for name, array in step.items()})
        w = after
    assert (grown["steps"], grown["wrong"], grown["broken"]) == (2, 0, 0)
    wrong = {"x": [[[1, 2]]], "y": [[[3]]], "w": [w.tolist()], "w'": [w.T.tolist()]}
    assert added(client, f"/v1/series/{series}", wrong)["first_wrong"] == 3


def test_an_input_that_is_left_out_has_the_graphs_weight(client: FlaskClient) -> None:
    array = io.BytesIO()
    np.save(array, np.array([2.0, 3.0]))
    digest = f"sha256:{sha256(array.getvalue()).hexdigest()}"
    assert (
        client.put(f"/v1/tensors/{digest}", data=array.getvalue(), content_type="application/x-npy").status_code == 201
    )
    body = {"name": "weighted", "expression": "y = sum(w * x)", "weights": {"w": digest}}
    graph = read(client.post("/v1/graphs", json=body), 201)["id"]
    series = read(client.post("/v1/series", json={"graph": graph}), 201)["id"]
    grown = added(client, f"/v1/series/{series}", {"x": [[1, 1], [1, 2]], "y": [5, 9]})
    assert (grown["wrong"], grown["first_wrong"]) == (1, 2)
    run = steps_of(client, f"/v1/series/{series}")[0]["run"]
    assert read(client.get(f"/v1/runs/{run}"))["inputs"]["w"] == {"tensor": digest}


ROW = {"x": [1], "y": [1], "w": [1], "v": [1], "lr": [1], "g": [0], "w'": [0.1], "v'": [0.9]}
WRONG_STEPS: list[tuple[dict[str, Any], str, str]] = [
    ({**ROW, "q": [1]}, "/values/q", "the graph has no node 'q'"),
    ({name: ROW[name] for name in ROW if name != "v"}, "/values", "the series carries 'v', which is missing"),
    ({name: ROW[name] for name in ROW if name != "x"}, "/values", "missing"),
    ({**ROW, "x": 1}, "/values/x", "stacked along axis 0"),
    ({**ROW, "x": []}, "/values/x", "values of one step or more are expected"),
    ({**ROW, "y": [1, 2]}, "/values/y", "1 steps are expected along axis 0, as beside it; it has 2"),
    ({**ROW, "x": [[1, 2]], "y": [[1, 2, 3]]}, "/values", "'e'"),
    ({**ROW, "g": [[1, 2]]}, "/values/g", "shape"),
    ({**ROW, "x": ["one"]}, "/values/x/0", "a number"),
    ({**ROW, "x": [{"tensor": "sha256:"}]}, "/values/x/0", "a number"),
    ({**ROW, "x": {"tensor": f"sha256:{'0' * 64}"}}, "/values/x", "there is no tensor"),
]


@pytest.mark.parametrize(("values", "pointer", "words"), WRONG_STEPS, ids=[words for *_, words in WRONG_STEPS])
def test_steps_that_do_not_fit_are_refused(
    client: FlaskClient, graph: str, values: dict[str, Any], pointer: str, words: str
) -> None:
    series = begun(client, graph)
    problem = read(client.post(f"{series}/steps", json={"values": values}), 422)
    assert any(fault["pointer"] == pointer and words in fault["detail"] for fault in problem["errors"]), problem
    assert read(client.get(series))["steps"] == 0


def test_every_step_has_the_nodes_of_the_first(client: FlaskClient, graph: str) -> None:
    series = begun(client, graph)
    added(client, series, ROW)
    less, more = {name: ROW[name] for name in ROW if name != "g"}, {**ROW, "loss": [0]}
    assert "the steps before have 'g'" in read(client.post(f"{series}/steps", json={"values": less}), 422)["detail"]
    assert "have no 'loss'" in read(client.post(f"{series}/steps", json={"values": more}), 422)["detail"]


def test_a_step_at_which_the_graph_cannot_be_run_is_named(client: FlaskClient) -> None:
    nodes = [
        {"name": "x", "operation": "Input"},
        {"name": "i", "operation": "Input", "attributes": {"dtype": "int64"}},
        {"name": "y", "operation": "Gather", "inputs": ["x", "i"]},
    ]
    graph = read(client.post("/v1/graphs", json={"name": "index", "nodes": nodes}), 201)["id"]
    series = read(client.post("/v1/series", json={"graph": graph}), 201)["id"]
    for index, words in ((9, "step 2: "), (0.5, "step 2: 'i' takes whole numbers")):
        values = {"x": [[1, 2], [3, 4]], "i": [0, index], "y": [1, 3]}
        problem = read(client.post(f"/v1/series/{series}/steps", json={"values": values}), 422)
        assert problem["detail"].startswith(words)


WRONG_SERIES: list[tuple[dict[str, Any], str, str]] = [
    ({"carry": {"q": "w"}}, "/carry/q", "the graph has no node 'q'"),
    ({"carry": {"w'": "q"}}, "/carry/w'", "the graph has no input 'q'"),
    ({"carry": {"g": "w", "w'": "w"}}, "/carry/w'", "'w' is carried from 'g' already"),
    ({"carry": {"w'": 1}}, "/carry/w'", "a string is expected"),
    ({"every": 0}, "/every", "a whole number from 1"),
    ({"every": True}, "/every", "a whole number from 1"),
    ({"retain": "some"}, "/retain", "one of auto, full, norms"),
    ({"dtype": "int8"}, "/dtype", "one of float64"),
    ({"tolerance": "wide"}, "/tolerance", "a tolerance is one of"),
    ({"steps": 1}, "/steps", "unknown member"),
    ({"graph": "no such"}, "/graph", "there is no graph"),
]


@pytest.mark.parametrize(("body", "pointer", "words"), WRONG_SERIES, ids=[words for *_, words in WRONG_SERIES])
def test_a_series_that_cannot_be_is_refused(
    client: FlaskClient, graph: str, body: dict[str, Any], pointer: str, words: str
) -> None:
    answer = client.post("/v1/series", json={"graph": graph, **body})
    problem = read(answer, 404 if "graph" in body else 422)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert words in problem["errors"][0]["detail"]


def test_a_series_has_at_most_so_many_steps(make_app: MakeApp) -> None:
    client = make_app(series_steps=3).test_client()
    graph = read(client.post("/v1/graphs", json={"name": "sgd", "expression": STEP}), 201)["id"]
    series, values = begun(client, graph), train(4)
    added(client, series, listed(values, 0, 2))
    problem = read(client.post(f"{series}/steps", json={"values": listed(values, 2)}), 422)
    assert (problem["limit"], problem["maximum"], problem["estimate"]) == ("series_steps", 3, 4)


def test_series_are_listed_and_found(client: FlaskClient, graph: str) -> None:
    series = begun(client, graph, label="run 1", tags={"a": "b"})
    for query in (f"graph={graph}", "label=run 1", "tag=a:b"):
        assert f"/v1/series/{read(client.get(f'/v1/series?{query}&limit=1'))['series'][0]['id']}" == series
    short = series[-8:]
    assert f"/v1/series/{read(client.get(f'/v1/series/{short}'))['id']}" == series
    assert read(client.get(f"{series}/verdict"))["sentence"] == "No step has been added yet."


def test_a_wide_gap_between_steps_costs_nothing(client: FlaskClient, graph: str) -> None:
    """Of the steps that there are, not of the numbers between them, a curve is made."""
    values, series = train(3), begun(client, graph)
    added(client, series, listed(values, 0, 2))
    added(client, series, listed(values, 2), skipped=999_999_000)
    norms = read(client.get(f"{series}/verdict"))["norms"]
    assert norms["steps"] == [1, 2, 999_999_003]
    assert norms["values"]["w"] == np.abs(values["w"]).tolist()


def test_a_page_of_steps_with_many_nodes_ends_earlier(
    client: FlaskClient, graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usecases, "_LISTED_NUMBERS", 20)
    series, seen = begun(client, graph), list[int]()
    added(client, series, listed(train(5)))
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = read(client.get(f"{series}/steps?{f'cursor={cursor}' if (cursor := page['next']) else ''}"))
        assert len(page["steps"]) <= 2
        seen += [step["step"] for step in page["steps"]]
    assert seen == [1, 2, 3, 4, 5]


def test_the_verdict_outlives_the_comparison(client: FlaskClient, graph: str) -> None:
    series = begun(client, graph)
    added(client, series, listed(train(5, "weight decay", 2)))
    first = read(client.get(f"{series}/verdict"))["first_wrong"]
    assert client.delete(f"/v1/comparisons/{first['comparison']}").status_code == 204
    assert read(client.get(f"{series}/verdict"))["first_wrong"] == {
        "step": 2, "comparison": None, "nodes": ["v'"], "cause": None, "origins": []
    }  # fmt: skip
