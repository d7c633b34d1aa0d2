"""PATCH and DELETE: what is changed, what is taken away, and by whom it was changed before."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.conftest import MakeApp
from tests.api.test_runs import create, run

PATCH = "application/merge-patch+json"


def problem(response: Any) -> tuple[int, str]:
    """The status and the name of the type."""
    return response.status_code, response.json["type"].rpartition(":")[2]


def test_a_run_gets_a_label_and_tags_and_loses_them(client: FlaskClient) -> None:
    made = run(client, create(client, "y = x * x"), {"x": 3}, tags={"colour": "red", "size": "1"})
    path = f"/v1/runs/{made['id']}"
    steps: list[tuple[dict[str, Any], str | None, dict[str, str]]] = [
        ({"label": "main"}, "main", {"colour": "red", "size": "1"}),
        ({"tags": {"colour": "blue", "owner": "me", "size": None}}, "main", {"colour": "blue", "owner": "me"}),
        ({}, "main", {"colour": "blue", "owner": "me"}),
        ({"label": None, "tags": {"missing": None}}, None, {"colour": "blue", "owner": "me"}),
        ({"tags": None}, None, {}),
    ]
    for changes, label, tags in steps:
        changed: Any = client.patch(path, json=changes)
        assert changed.status_code == 200 and changed.json == {**made, "label": label, "tags": tags}
        assert client.get(path).json == changed.json
        assert changed.headers["ETag"] == client.get(path).headers["ETag"]
    ends: Any = client.patch(f"{path}?gradients=inputs", data='{"label": "z"}', content_type=PATCH).json
    assert ends["label"] == "z" and "nodes" not in ends
    assert [each["id"] for each in client.get("/v1/runs?label=z").json["runs"]] == [made["id"]]  # type: ignore[index]


def test_a_graph_gets_tags_and_whoever_keeps_it_in_memory_learns_that(client: FlaskClient) -> None:
    made: Any = client.post("/v1/graphs", json={"name": "tagged", "expression": "y = x", "tags": {"a": "1"}}).json
    path = f"/v1/graphs/{made['id']}"
    for changes, tags in (({"b": "2"}, {"a": "1", "b": "2"}), ({"a": None}, {"b": "2"}), (None, {})):
        changed: Any = client.patch(path, json={"tags": changes})
        assert (changed.status_code, changed.json) == (200, {**made, "tags": tags})
        assert client.get(path).json == changed.json
    assert problem(client.patch(path, json={"label": "x"})) == (422, "invalid-request")


def test_a_change_for_what_was_read_before_another_change_is_refused(client: FlaskClient) -> None:
    made = run(client, create(client, "y = x * x"), {"x": 3}, backward=False)
    for path, changes in (
        (f"/v1/runs/{made['id']}", {"label": "mine"}),
        (f"/v1/runs/{made['id']}?gradients=inputs", {"tags": {"a": "b"}}),
        (f"/v1/graphs/{made['graph_id']}", {"tags": {"a": "b"}}),
    ):
        etag = client.get(path).headers["ETag"]
        first = client.patch(path, json=changes, headers={"If-Match": etag})
        assert first.status_code == 200
        for stale in (etag, f"W/{first.headers['ETag']}", '"x", "y"', "", '"'):
            refused = client.patch(path, json={"tags": None}, headers={"If-Match": stale})
            assert problem(refused) == (412, "precondition-failed")
        assert client.get(path).headers["ETag"] == first.headers["ETag"]
        for current in ("*", f'"x", {first.headers["ETag"]}'):
            assert client.patch(path, json={}, headers={"If-Match": current}).status_code == 200
    etag = client.get(f"/v1/runs/{made['id']}").headers["ETag"]
    client.post(f"/v1/runs/{made['id']}/backward")
    late = client.patch(f"/v1/runs/{made['id']}", json={"label": "x"}, headers={"If-Match": etag})
    assert problem(late) == (412, "precondition-failed")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": "x"}, "/name"),
        ({"label": ""}, "/label"),
        ({"label": 3}, "/label"),
        ({"tags": ["a"]}, "/tags"),
        ({"tags": {"a": 1}}, "/tags/a"),
        ({"tags": {"": None}}, "/tags/"),
        ({"tags": {"a\n": None}}, "/tags/a\n"),
    ],
)
def test_a_change_that_cannot_be_is_refused_at_its_place(
    client: FlaskClient, changes: dict[str, Any], pointer: str
) -> None:
    made = run(client, create(client, "y = x * x"), {"x": 3}, label="stays")
    refused: Any = client.patch(f"/v1/runs/{made['id']}", json={"label": "new", **changes})
    assert (refused.status_code, [each["pointer"] for each in refused.json["errors"]]) == (422, [pointer])
    assert client.get(f"/v1/runs/{made['id']}").json == made


def test_all_tags_together_are_within_the_limit(make_app: MakeApp) -> None:
    client = make_app(tags=2).test_client()
    made = run(client, create(client, "y = x * x"), {"x": 3}, tags={"a": "1", "b": "2"})
    refused: Any = client.patch(f"/v1/runs/{made['id']}", json={"tags": {"c": "3"}})
    assert (refused.status_code, refused.json["limit"], refused.json["estimate"]) == (422, "tags", 3)
    assert client.patch(f"/v1/runs/{made['id']}", json={"tags": {"c": "3", "a": None}}).status_code == 200


def test_runs_comparisons_and_derivatives_are_deleted(client: FlaskClient) -> None:
    graph = create(client, "y = x * x", name="deleted")
    baseline, candidate = (run(client, graph, {"x": 3})["id"] for _ in range(2))
    compared: Any = client.post("/v1/comparisons", json={"baseline": baseline, "candidate": candidate}).json
    derived: Any = client.post(f"/v1/graphs/{graph}/derivatives", json={"kind": "jacobian", "inputs": {"x": 2}}).json
    refused: Any = client.delete(f"/v1/runs/{baseline}")
    assert problem(refused) == (409, "conflict") and compared["id"] in refused.json["detail"]
    for path in (f"/v1/derivatives/{derived['id']}", f"/v1/comparisons/{compared['id']}", f"/v1/runs/{baseline}"):
        assert client.get(path).status_code == 200
        gone = client.delete(path)
        assert (gone.status_code, gone.data) == (204, b"")
        assert client.get(path).status_code == client.delete(path).status_code == 404
    assert client.get(f"/v1/runs/{candidate}").status_code == 200


def test_cascade_takes_what_rests_on_it_along(client: FlaskClient) -> None:
    graph = create(client, "y = x * x", name="cascading")
    runs = [run(client, graph, {"x": 3})["id"] for _ in range(3)]
    compared: Any = client.post("/v1/comparisons", json={"baseline": runs[0], "candidate": runs[1]}).json
    for wrong in ("yes", "1", ""):
        refused: Any = client.delete(f"/v1/runs/{runs[0]}?cascade={wrong}")
        assert refused.status_code == 422 and refused.json["errors"][0]["parameter"] == "cascade"
    assert client.delete(f"/v1/runs/{runs[0]}?cascade=false").status_code == 409
    assert client.delete(f"/v1/runs/{runs[0]}?cascade=true").status_code == 204
    assert client.get(f"/v1/comparisons/{compared['id']}").status_code == 404
    assert client.get(f"/v1/runs/{runs[1]}").status_code == 200
    assert client.delete(f"/v1/graphs/{graph}").status_code == 409
    assert client.delete(f"/v1/graphs/{graph}?cascade=true").status_code == 204
    assert [client.get(path).status_code for path in (f"/v1/graphs/{graph}", f"/v1/runs/{runs[1]}")] == [404, 404]


def test_what_has_changed_since_it_was_read_is_not_deleted(client: FlaskClient) -> None:
    graph = create(client, "y = x * x", name="matched")
    baseline, candidate = (run(client, graph, {"x": 3})["id"] for _ in range(2))
    compared: Any = client.post("/v1/comparisons", json={"baseline": baseline, "candidate": candidate}).json
    derived: Any = client.post(f"/v1/graphs/{graph}/derivatives", json={"kind": "jacobian", "inputs": {"x": 2}}).json
    paths = (f"/v1/comparisons/{compared['id']}", f"/v1/derivatives/{derived['id']}", f"/v1/runs/{baseline}")
    for path in (*paths, f"/v1/runs/{candidate}", f"/v1/graphs/{graph}"):
        etag = client.get(path).headers["ETag"]
        for stale in ('"stale"', "", '"'):
            refused = client.delete(path, headers={"If-Match": stale})
            assert problem(refused) == (412, "precondition-failed")
        assert client.get(path).headers["ETag"] == etag
        assert client.delete(path, headers={"If-Match": etag}).status_code == 204


def test_a_request_that_is_repeated_under_its_key_does_not_bring_back_what_was_deleted(client: FlaskClient) -> None:
    graph = create(client, "y = x * x", name="repeated")
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/graphs", {"name": "again", "expression": "y = x"}),
        (f"/v1/graphs/{graph}/nodes", {"nodes": [{"name": "z", "operation": "Neg", "inputs": ["y"]}]}),
        (f"/v1/graphs/{graph}/gradient-graph", {}),
        (f"/v1/graphs/{graph}/runs", {"inputs": {"x": 1}}),
        (f"/v1/graphs/{graph}/checks", {"inputs": {"x": 1}, "claims": {"values": {"y": 1}}}),
        (f"/v1/graphs/{graph}/derivatives", {"kind": "jacobian", "inputs": {"x": 1}}),
    ]
    for number, (path, body) in enumerate(requests):
        headers = {"Idempotency-Key": f"repeated {number}"}
        made = client.post(path, json=body, headers=headers).headers["Location"]
        assert client.delete(made).status_code == 204
        assert problem(client.post(path, json=body, headers=headers)) == (404, "not-found")
