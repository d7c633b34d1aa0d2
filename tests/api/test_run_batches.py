"""Many runs in one request."""

from typing import Any

from flask.testing import FlaskClient

POINT = {"a": 5, "b": 1, "c": -2, "d": -3}
SPECIAL = {"a": "NaN", "b": "-Infinity", "c": -0.0, "d": [1, "Infinity"]}


def post(client: FlaskClient, graph: str, body: Any, **headers: str) -> Any:
    return client.post(f"/v1/graphs/{graph}/runs/batch", json=body, headers=headers)


def test_runs_are_answered_as_they_are_listed(client: FlaskClient, seed: dict[str, Any]) -> None:
    graph = seed["graph"]["id"]
    runs = [{"inputs": POINT, "label": "first"}, {"inputs": SPECIAL, "tags": {"k": "v"}}]
    answer = post(client, "blog", {"runs": runs, "seed": 2, "conventions": "torch"})
    assert answer.status_code == 201 and "Location" not in answer.headers
    listed: Any = client.get(f"/v1/graphs/{graph}/runs?limit=2&sort=-created_at").json
    assert answer.json["runs"] == listed["runs"][::-1]
    first, second = answer.json["runs"]
    assert (first["label"], first["outputs"], first["conventions"]) == ("first", {"F": 4.0}, "torch")
    assert (second["tags"], second["inputs"]["d"]) == ({"k": "v"}, [1.0, "Infinity"])
    whole: Any = client.get(f"/v1/runs/{first['id']}").json
    assert [node["value"] for node in whole["nodes"]] == [5, 1, -2, -3, 6, -12, 4]


def test_each_fault_has_its_place_and_nothing_is_stored(client: FlaskClient, seed: dict[str, Any]) -> None:
    graph = seed["graph"]["id"]
    before = client.get("/v1/runs").data
    good = {"inputs": POINT}
    for runs, places in (
        (
            [good, {"inputs": {**POINT, "a": "x", "d": None}}, {"inputs": {**POINT, "b": [[1], 2]}}],
            "1/inputs/a 1/inputs/d 2/inputs/b/1",
        ),
        ([{"inputs": {"a": 1, "b": 2, "c": 3, "e": 4}}, good], "0/inputs 0/inputs/e"),
        ([good, {"inputs": POINT, "keep": False}, {"label": ""}, 4], "1/keep 2/inputs 2/label 3"),
        ([good, {"inputs": {**POINT, "a": {"tensor": "sha256:1"}}}], "1/inputs/a/tensor"),
    ):
        answer = post(client, graph, {"runs": runs})
        assert answer.status_code == 422
        found = [error["pointer"].removeprefix("/runs/") for error in answer.json["errors"]]
        assert found == places.split()
    for body, place in (
        ({"runs": []}, "/runs"),
        ({"runs": {}}, "/runs"),
        ({}, "/runs"),
        ({"runs": [good], "seed": [1, 2]}, "/seed"),
        ({"runs": [good], "seed": 1, "backward": False}, "/seed"),
        ({"runs": [good], "label": "x"}, "/label"),
    ):
        answer = post(client, graph, body)
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, place)
    assert post(client, "nothing", {"runs": [good]}).status_code == 404
    assert client.get("/v1/runs").data == before


def test_a_repeated_request_is_answered_with_the_same_bytes(client: FlaskClient, seed: dict[str, Any]) -> None:
    body = {"runs": [{"inputs": POINT}, {"inputs": SPECIAL}]}
    first, again = (post(client, "blog", body, **{"Idempotency-Key": "runs"}) for _ in range(2))
    assert again.status_code == 201 and again.data == first.data
    other = post(client, "blog", {"runs": body["runs"][:1]}, **{"Idempotency-Key": "runs"})
    assert other.status_code == 422 and other.json["type"].endswith("idempotency-key-reused")


def test_what_is_too_large_for_a_list_is_null(client: FlaskClient) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": "long", "expression": "y = sum(x)"}).json
    answer = post(client, graph["id"], {"runs": [{"inputs": {"x": [0.5] * size}} for size in (3, 10_001)]})
    assert [run["inputs"]["x"] for run in answer.json["runs"]] == [[0.5] * 3, None]
    assert [run["outputs"]["y"] for run in answer.json["runs"]] == [1.5, 5000.5]
