"""What all acts share: keys under which a request takes effect once, ETags, pages."""

import base64
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

GRAPH = {"name": "keyed", "expression": "F = a * b"}
INPUTS = {"inputs": {"a": 2, "b": 3}}


def post(client: FlaskClient, path: str, body: Any, key: str | None = None) -> TestResponse:
    """Post under a key."""
    return client.post(path, json=body, headers={} if key is None else {"Idempotency-Key": key})


@pytest.fixture
def graph(client: FlaskClient) -> str:
    """The path of a graph of two inputs."""
    answer: Any = post(client, "/v1/graphs", GRAPH).json
    return f"/v1/graphs/{answer['id']}"


# --- keys ---------------------------------------------------------------------------------------------------------


def test_the_same_request_under_the_same_key_takes_effect_once(client: FlaskClient, graph: str) -> None:
    added = [{"name": "G", "operation": "Neg", "inputs": ["F"]}]
    for path, body in (
        ("/v1/graphs", {**GRAPH, "name": "once"}),
        (f"{graph}/nodes", {"nodes": added}),
        (f"{graph}/runs", INPUTS),
    ):
        first, second = (post(client, path, body, f"same for {path}") for _ in range(2))
        assert first.status_code == second.status_code == 201 and first.json == second.json
        assert first.headers["Location"] == second.headers["Location"]
    without = [post(client, f"{graph}/runs", INPUTS).json["id"] for _ in range(2)]
    listed: Any = client.get("/v1/runs", query_string={"graph": graph.rsplit("/", 1)[1]}).json
    assert len(listed["runs"]) == 3 and without[0] != without[1]


def test_a_backward_pass_is_repeated_under_its_key(client: FlaskClient, graph: str) -> None:
    made: Any = post(client, f"{graph}/runs", {**INPUTS, "backward": False}).json
    path = f"/v1/runs/{made['id']}/backward"
    first, second = (post(client, path, {"seed": 2}, "backward") for _ in range(2))
    assert first.status_code == second.status_code == 200 and first.json == second.json
    assert post(client, path, {"seed": 2}).status_code == 409


def test_another_request_under_the_same_key_is_refused(client: FlaskClient, graph: str) -> None:
    assert post(client, f"{graph}/runs", INPUTS, "k").status_code == 201
    for path, body in (
        (f"{graph}/runs", {"inputs": {"a": 2, "b": 4}}),
        (f"{graph}/runs?gradients=inputs", INPUTS),
        (f"{graph}/nodes", {"nodes": []}),
        ("/v1/graphs", GRAPH),
    ):
        problem: Any = post(client, path, body, "k").json
        assert (problem["status"], problem["type"]) == (422, "urn:gradbook:problem:idempotency-key-reused")


def test_a_request_that_was_refused_leaves_no_key(client: FlaskClient, graph: str) -> None:
    assert post(client, f"{graph}/runs", {"inputs": {"a": 2}}, "mended").status_code == 422
    assert post(client, f"{graph}/runs", INPUTS, "mended").status_code == 201


# Nothing can be inserted into a table.
BREAK_SQLITE = ["CREATE TRIGGER broken BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, ''); END"]
BREAK = [
    "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$broken$$; END'",
    "CREATE TRIGGER broken BEFORE INSERT ON {} EXECUTE FUNCTION broken()",
]


@pytest.mark.parametrize("broken", ["runs", "run_chunks", "idempotency_keys"])
def test_a_key_and_its_effect_are_stored_together_or_not_at_all(make_app: Callable[..., Flask], broken: str) -> None:
    app = make_app()
    client, database = app.test_client(), app.extensions["gradbook"].database
    graph: Any = post(client, "/v1/graphs", GRAPH).json
    path = f"/v1/graphs/{graph['id']}/runs"
    with database.write() as connection:
        for statement in BREAK if database.file is None else BREAK_SQLITE:
            connection.execute(text(statement.format(broken)))
    inputs = {"a": [2] * 10_000, "b": 3}  # too many for a run's row
    assert post(client, path, {"inputs": inputs}, "k").status_code == 500
    tables = ("runs", "run_figures", "run_chunks", "idempotency_keys")
    with database.read() as connection:
        assert [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() for table in tables] == [0] * 4
    with database.write() as connection:
        connection.execute(text("DROP TRIGGER broken" if database.file else "DROP FUNCTION broken CASCADE"))
    assert post(client, path, {"inputs": {"a": 0, "b": 0}}, "k").status_code == 201


def test_concurrent_requests_under_one_key_take_effect_once(app: Flask, client: FlaskClient, graph: str) -> None:
    made: Any = post(client, f"{graph}/runs", {**INPUTS, "backward": False}).json
    requests = 8
    for path, body in (
        ("/v1/graphs", {**GRAPH, "name": "together"}),
        (f"{graph}/runs", {**INPUTS, "label": "together"}),
        (f"/v1/runs/{made['id']}/backward", {"seed": 5}),
    ):
        barrier = Barrier(requests)

        def send(_: int, path: str = path, body: Any = body, barrier: Barrier = barrier) -> TestResponse:
            with app.test_client() as own:
                barrier.wait()
                return post(own, path, body, f"together {path}")

        with ThreadPoolExecutor(requests) as pool:
            answers = list(pool.map(send, range(requests)))
        assert len({answer.status_code for answer in answers}) == 1 and answers[0].status_code < 300
        assert all(answer.json == answers[0].json for answer in answers)
    assert len(client.get("/v1/runs?label=together").json["runs"]) == 1


def test_concurrent_writers_of_one_name_get_versions_without_gaps(app: Flask) -> None:
    def build(k: int) -> int:
        with app.test_client() as own:
            answer: Any = post(own, "/v1/graphs", {"name": "versions", "expression": f"x + {k}"}).json
            return int(answer["version"])

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(build, range(24))) == list(range(1, 25))


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_of_no_use(client: FlaskClient, key: str) -> None:
    problem: Any = post(client, "/v1/graphs", GRAPH, key).json
    assert problem["status"] == 422 and problem["errors"][0]["parameter"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_is_read_by_every_post(client: FlaskClient, document: Any, key: str) -> None:
    posts = [path for path, methods in document["paths"].items() if "post" in methods]
    assert len(posts) >= 9
    for path in posts:
        refused: Any = post(client, re.sub(r"{\w+}", "unknown", path), {}, key).json
        assert refused["errors"][0]["parameter"] == "Idempotency-Key", path


def test_a_run_that_is_not_kept_keeps_no_key(client: FlaskClient, graph: str) -> None:
    assert post(client, f"{graph}/runs", {**INPUTS, "keep": False}, "passing").status_code == 200
    assert post(client, f"{graph}/runs", INPUTS, "passing").status_code == 201


# --- ETags --------------------------------------------------------------------------------------------------------


def test_every_resource_has_a_strong_etag_and_answers_304(client: FlaskClient, graph: str) -> None:
    made: Any = post(client, f"{graph}/runs", INPUTS).json
    run = f"/v1/runs/{made['id']}"
    paths = ["/v1/graphs", graph, f"{graph}/nodes", "/v1/runs", run, f"{run}/nodes", f"{run}/nodes/F"]
    for path in (*paths, "/v1/operations", "/v1/operations/Add", "/v1/limits"):
        etag = client.get(path).headers["ETag"]
        assert etag.startswith('"')
        for known in (etag, f'"other", {etag}', "*"):
            answer = client.get(path, headers={"If-None-Match": known})
            assert answer.status_code == 304 and not answer.data and answer.headers["ETag"] == etag
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_an_etag_is_of_what_is_shown(client: FlaskClient, graph: str) -> None:
    made: Any = post(client, f"{graph}/runs", INPUTS)
    path = f"/v1/runs/{made.json['id']}"
    assert client.get(path).headers["ETag"] == made.headers["ETag"]
    assert client.get(f"{path}?gradients=inputs").headers["ETag"] != made.headers["ETag"]


# --- pages --------------------------------------------------------------------------------------------------------


def walk(client: FlaskClient, path: str, member: str) -> list[int]:
    """Follow the links of a list to its end; how many items each page had. The pages together are the whole list."""
    whole: Any = client.get(path).json
    base, _, query = path.partition("?")
    items, sizes, target = [], [], f"{base}?limit=2" + (f"&{query}" if query else "")
    while target:
        response = client.get(target)
        page: Any = response.json
        items += page[member]
        sizes.append(len(page[member]))
        link = response.headers.get("Link")
        assert (link is None) == (page["next"] is None)
        target = link.partition(">")[0][1:] if link else ""
        assert not link or (link.endswith('; rel="next"') and page["next"] in target and "limit=2" in target)
    assert items == whole[member]
    return sizes


def test_lists_are_read_page_by_page(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    graphs: list[Any] = [
        post(client, "/v1/graphs", {"name": "ü/?&=", "expression": f"F = a * b + {k}", "tags": {"a&b": "c=d"}}).json
        for k in range(5)
    ]
    post(client, "/v1/graphs", GRAPH)
    graph = f"/v1/graphs/{graphs[0]['id']}"
    runs: list[Any] = [post(client, f"{graph}/runs", {**INPUTS, "label": "p q"}).json for _ in range(4)]
    assert walk(client, "/v1/graphs", "graphs") == [2, 2, 2]
    assert walk(client, "/v1/graphs?name=%C3%BC/?%26%3D", "graphs") == [2, 2, 1]
    assert walk(client, "/v1/graphs?tag=a%26b:c%3Dd", "graphs") == [2, 2, 1]
    assert walk(client, "/v1/graphs?name=none", "graphs") == [0]
    assert walk(client, "/v1/runs?label=p+q", "runs") == [2, 2]
    assert walk(client, f"{graph}/nodes", "nodes") == [2, 2, 1]
    assert walk(client, f"/v1/runs/{runs[0]['id']}/nodes", "nodes") == [2, 2, 1]


def test_new_items_do_not_disturb_a_walk(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    made: list[Any] = [post(client, "/v1/graphs", {"name": "g", "expression": f"x + {k}"}).json for k in range(4)]
    first: Any = client.get("/v1/graphs?limit=2").json
    post(client, "/v1/graphs", {"name": "g", "expression": "x + 9"})
    assert client.delete(f"/v1/graphs/{first['graphs'][-1]['id']}").status_code == 204
    second: Any = client.get(f"/v1/graphs?limit=2&cursor={first['next']}").json
    assert [graph["id"] for graph in second["graphs"]] == [made[1]["id"], made[0]["id"]]


def test_the_first_thousand_nodes_and_what_leads_on(client: FlaskClient) -> None:
    expression = "; ".join(f"y{k} = x + {k}" for k in range(600))
    graph: Any = post(client, "/v1/graphs", {"name": "long", "expression": expression}).json
    made: Any = post(client, f"/v1/graphs/{graph['id']}/runs", {"inputs": {"x": 1}, "output": "y0"}).json
    for answer, path in ((graph, f"/v1/graphs/{graph['id']}/nodes"), (made, f"/v1/runs/{made['id']}/nodes")):
        first: Any = client.get(path).json
        rest: Any = client.get(f"{path}?cursor={answer['next']}").json
        assert answer["next"] == first["next"] and answer["nodes"] == first["nodes"]
        assert (len(first["nodes"]), len(rest["nodes"]), rest["next"]) == (1000, 201, None)
        names = [node["name"] for node in first["nodes"] + rest["nodes"]]
        assert len(set(names)) == graph["node_count"] == 1201


BEYOND = base64.urlsafe_b64encode(b"12").decode()


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=+1", "limit"),
        ("limit=1.0", "limit"),
        ("limit=1e1", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=", "limit"),
        ("limit=1001", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("cursor=", "cursor"),
        ("cursor=%21", "cursor"),
        ("cursor=a", "cursor"),
        ("cursor=gICA", "cursor"),
        ("cursor=MTJ", "cursor"),
        ("cursor=AAAA", "cursor"),
        (f"cursor={BEYOND}%3D", "cursor"),
        ("page=2", "page"),
        ("tag=red", "tag"),
        ("tag=red%00:x", "tag"),
        ("name=%00", "name"),
    ],
)
def test_a_query_that_is_wrong(client: FlaskClient, query: str, parameter: str) -> None:
    problem: Any = client.get(f"/v1/graphs?{query}").json
    assert problem["status"] == 422, problem
    assert [fault["parameter"] for fault in problem["errors"]] == [parameter]


def test_a_cursor_of_another_kind_of_list(client: FlaskClient, graph: str) -> None:
    cursor = base64.urlsafe_b64encode(b"x1").decode().rstrip("=")
    problem: Any = client.get(f"{graph}/nodes?cursor={cursor}").json
    assert problem["errors"][0]["parameter"] == "cursor"
    beyond: Any = client.get(f"{graph}/nodes?cursor={BEYOND.rstrip('=')}").json
    assert beyond == {"nodes": [], "next": None}
