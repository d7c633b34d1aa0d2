"""What lists may be asked for, in what order they stand, and how many queries they take."""

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from service.usecases.context import Context
from tests.api.conftest import MakeApp

_FILE = io.BytesIO()
np.save(_FILE, np.arange(3.0))
TENSOR = _FILE.getvalue()
DIGEST = f"sha256:{hashlib.sha256(TENSOR).hexdigest()}"
NAMES = ("b", "a", "B", "é", "a", "ä b")


@pytest.fixture(scope="module")
def made(client: FlaskClient) -> dict[str, list[str]]:
    """Graphs, runs, comparisons and derivatives by their ids, in the order of their making."""
    graphs = [post(client, "/v1/graphs", name=name, expression=f"y = x * {k}") for k, name in enumerate(NAMES)]
    at: dict[str, Any] = {"inputs": {"x": 2}}
    recorded = {"by": "Ada", "values": {"y": 9}}
    runs = [
        post(client, f"/v1/graphs/{graphs[0]}/runs", **at, label="main"),
        post(client, f"/v1/graphs/{graphs[0]}/runs", **at, recorded=recorded),
        post(client, f"/v1/graphs/{graphs[1]}/runs", **at, label="Mainly"),
    ]
    pairs = ((0, 1), (0, 0), (1, 2))
    comparisons = [post(client, "/v1/comparisons", baseline=runs[a], candidate=runs[b]) for a, b in pairs]
    derived = [post(client, f"/v1/graphs/{graphs[0]}/derivatives", **at, kind=kind) for kind in ("jacobian", "hessian")]
    return {"graphs": graphs, "runs": runs, "comparisons": comparisons, "derivatives": derived}


def post(client: FlaskClient, path: str, **body: Any) -> str:
    document: Any = client.post(path, json=body).json
    return str(document["id"])


def listed(client: FlaskClient, path: str, **query: Any) -> list[Any]:
    """What all pages list."""
    found = []
    while True:
        page: Any = client.get(path, query_string=query).json
        (member,) = page.keys() - {"next"}
        found += page[member]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


def test_graphs_by_name_and_by_the_time_of_their_making(client: FlaskClient, made: dict[str, list[str]]) -> None:
    by_name = [each["name"] for each in listed(client, "/v1/graphs", sort="name")]
    assert by_name == sorted(NAMES)  # by code points, on whatever database
    for sort in ("name", "-name", "created_at", "-created_at"):
        whole = listed(client, "/v1/graphs", sort=sort)
        assert whole == listed(client, "/v1/graphs", sort=sort, limit=1), sort
        assert whole == listed(client, "/v1/graphs", sort=sort.lstrip("-"))[:: -1 if "-" in sort else 1]
    assert [each["id"] for each in listed(client, "/v1/graphs", sort="created_at")] == made["graphs"]
    assert listed(client, "/v1/graphs") == listed(client, "/v1/graphs", sort="-created_at")


@pytest.mark.parametrize("sort", ["name", "-name", "created_at", "-created_at"])
def test_a_cursor_stands_though_what_it_points_at_is_deleted(make_app: MakeApp, sort: str) -> None:
    client = make_app().test_client()
    for k, name in enumerate(NAMES):
        post(client, "/v1/graphs", name=name, expression=f"y = x * {k}")
    whole = [each["id"] for each in listed(client, "/v1/graphs", sort=sort)]
    page: Any = client.get("/v1/graphs", query_string={"sort": sort, "limit": 3}).json
    client.delete(f"/v1/graphs/{whole[2]}")
    post(client, "/v1/graphs", name="c", expression="y = -x")
    rest = [each["id"] for each in listed(client, "/v1/graphs", sort=sort, cursor=page["next"])]
    assert [each for each in rest if each in whole] == whole[3:]


def test_runs_by_what_they_are(client: FlaskClient, made: dict[str, list[str]]) -> None:
    main, ada, mainly = made["runs"]

    def ids(path: str = "/v1/runs", **query: str) -> list[str]:
        return [each["id"] for each in listed(client, path, **query)]

    assert ids(sort="created_at") == [main, ada, mainly]
    assert ids(source="recorded") == ids(q="ada") == ids(recorded_by="Ada") == [ada]
    assert ids(q="MAIN") == [mainly, main] and ids(q="%") == ids(q="a_") == []
    assert ids(f"/v1/graphs/{made['graphs'][0]}/runs") == ids(graph="b") == [ada, main]
    assert ids("/v1/graphs/b/runs", source="computed", q="b", sort="created_at") == [main]
    assert ids("/v1/graphs/é/runs") == []


def test_comparisons_checks_and_derivatives_of_a_graph(client: FlaskClient, made: dict[str, list[str]]) -> None:
    wrong, same, back = made["comparisons"]

    def ids(path: str, **query: str) -> list[str]:
        return [each["id"] for each in listed(client, path, **query)]

    assert ids("/v1/graphs/b/comparisons") == ids("/v1/comparisons", graph="b") == [back, same, wrong]
    assert ids("/v1/graphs/a@1/comparisons") == [back]
    assert ids("/v1/comparisons", verdict="same") == ids("/v1/comparisons", graph="b", verdict="same") == [same]
    assert ids("/v1/graphs/b/checks") == ids("/v1/graphs/b/checks", verdict="differ") == [wrong]
    assert ids("/v1/graphs/b/derivatives") == made["derivatives"][::-1]
    assert ids("/v1/graphs/b/derivatives", sort="created_at", limit="1") == made["derivatives"]
    (summary, _) = listed(client, "/v1/graphs/b/derivatives")
    whole: Any = client.get(f"/v1/derivatives/{summary['id']}").json
    assert summary == {member: whole[member] for member in summary} and whole.keys() - summary.keys() == {
        *("inputs", "vector", "blocks")
    }
    for path in ("runs", "comparisons", "checks", "derivatives"):
        assert client.get(f"/v1/graphs/x/{path}").status_code == 404


@pytest.mark.parametrize(
    ("path", "member"),
    [("graphs", "graphs"), ("runs", "runs"), ("comparisons", "comparisons"), ("graphs/b/derivatives", "derivatives")],
)
def test_what_was_made_in_a_time(client: FlaskClient, made: dict[str, list[str]], path: str, member: str) -> None:
    whole = listed(client, f"/v1/{path}", sort="created_at")
    times = [each["created_at"] for each in whole]
    ids = made[member]
    assert [each["id"] for each in listed(client, f"/v1/{path}", since=times[1], sort="created_at")] == ids[1:]
    assert [each["id"] for each in listed(client, f"/v1/{path}", until=times[-1], sort="created_at")] == ids[:-1]
    assert listed(client, f"/v1/{path}", since=times[1], until=times[1]) == []
    assert listed(client, f"/v1/{path}", since="1970-01-01", until="9999-12-31T23:59:59Z", sort="created_at") == whole


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"sort": "digest"}, "one of -created_at, created_at, -name, name is expected"),
        ({"since": "yesterday"}, "a time such as 2026-11-24T09:00:00Z, or a date is expected, in a query with %2B"),
        ({"until": "2026-13-01"}, "is expected"),
        ({"until": "2026-11-24T09:00:00 01:00"}, "is expected"),
        ({"since": "0001-01-01T00:00:00+10:00"}, "is expected"),
        ({"since": "20261124"}, "is expected"),
        ({"tag": "none"}, "a tag is expected as key:value"),
        ({"cursor": "!"}, "invalid cursor"),
        ({"order": "name"}, "unknown parameter `order`"),
    ],
)
def test_a_list_that_cannot_be_is_refused(client: FlaskClient, query: dict[str, str], detail: str) -> None:
    answer = client.get("/v1/graphs", query_string=query)
    problem: Any = answer.json
    assert answer.status_code == 422 and problem["errors"][0]["parameter"] == next(iter(query))
    assert detail in problem["errors"][0]["detail"]


def test_a_cursor_of_another_order_is_refused(client: FlaskClient, made: dict[str, list[str]]) -> None:
    for sort, other in (("name", "created_at"), ("-created_at", "-name")):
        page: Any = client.get("/v1/graphs", query_string={"sort": sort, "limit": 1}).json
        answer = client.get("/v1/graphs", query_string={"sort": other, "cursor": page["next"]})
        assert answer.status_code == 422 and "it belongs to another list" in answer.text


@contextmanager
def queries() -> Iterator[list[str]]:
    """The statements that this thread executes meanwhile."""
    seen: list[str] = []
    own = threading.get_ident()

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if threading.get_ident() == own:
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_a_list_takes_as_many_queries_however_long_it_is(client: FlaskClient, made: dict[str, list[str]]) -> None:
    for path in ("graphs", "runs", "graphs/b/runs", "graphs/b/comparisons", "graphs/b/checks", "graphs/b/derivatives"):
        counts = []
        for limit in (1, 50):
            client.get(f"/v1/{path}", query_string={"limit": limit})  # graphs are cached
            with queries() as seen:
                client.get(f"/v1/{path}", query_string={"limit": limit})
            counts.append(len([each for each in seen if each.lstrip().startswith("SELECT")]))
        assert counts[0] == counts[1] <= 7, path


RECORDED = {"by": "Ada", "values": {"x": [1, 2], "y": None}, "gradients": {"x": None}}


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": {"x": 2, "k": "NaN"}},
        {"inputs": {"x": [1, -0.0], "k": 3}, "backward": False},
        {"inputs": {"x": [1] * 9000, "k": 3}},
        {"inputs": {"x": [1] * 10_001, "k": 3}, "seed": [2] * 10_001},
        {"inputs": {"x": {"tensor": DIGEST}, "k": 3}},
        {"inputs": {"x": [1, 2], "k": 3}, "recorded": RECORDED},
    ],
    ids=["scalars", "no gradients", "many numbers", "too large for a list", "a tensor", "recorded in part"],
)
def test_a_listed_run_is_shown_without_its_graph_and_its_chunks(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    client = make_app().test_client()
    client.put(f"/v1/tensors/{DIGEST}", data=TENSOR, content_type="application/x-npy")
    graph = post(client, "/v1/graphs", name="g", expression="F(x, k) = y - sum(x); y = relu(x) * k", outputs=["F", "y"])
    run = post(client, f"/v1/graphs/{graph}/runs", output="F", label="L", tags={"key": "value"}, **body)
    whole: Any = client.get(f"/v1/runs/{run}").json
    monkeypatch.setattr(Context, "graph", None)
    with queries() as seen:
        (shown,) = listed(client, "/v1/runs")
    assert shown == {name: each for name, each in whole.items() if name not in ("nodes", "next")}
    assert not [each for each in seen if "document" in each or each.startswith("SELECT run_chunks")]
