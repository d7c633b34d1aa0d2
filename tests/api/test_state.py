"""Health, limits, the document's page: each limit holds at its bound, and a breach names it."""

import io
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.settings import Limits

SMALL = {
    "body_bytes": 1000,
    "json_depth": 5,
    "expression_bytes": 20,
    "expression_depth": 3,
    "formula_characters": 5,
    "formula_nodes": 4,
    "nodes": 5,
    "tensor_elements": 6,
    "run_elements": 14,
    "name_length": 5,
    "tags": 2,
    "batch_runs": 1,
    "archive_members": 2,
    "answer_bytes": 600,
    "request_memory": 60_000,
    "operations": 4_000_000,
    "job_operations": 5_000_000,
    "page": 3,
    "series_steps": 2,
    "sweep_points": 6,
    "series_whole": 1,
}


def named(count: int) -> list[dict[str, str]]:
    """That many Input nodes."""
    return [{"name": f"n{k}", "operation": "Input"} for k in range(count)]


def padded(size: int) -> bytes:
    """A graph in a body of that many bytes."""
    return b'{"name":"g","expression":"x"}'.ljust(size)


def arrays(*names: str) -> bytes:
    """An .npz of the inputs of a run."""
    body = io.BytesIO()
    np.savez_compressed(body, **{f"inputs/{name}": 1.0 for name in names})
    return body.getvalue()


# For each limit two requests: at its bound, and beyond it.
GRAPHS, RUNS = "/v1/graphs", "/v1/graphs/{graph}/runs"
BREACHES: dict[str, tuple[str, Any, Any]] = {
    "body_bytes": (GRAPHS, padded(1000), padded(1001)),
    "json_depth": (
        RUNS,
        {"inputs": {"x": [[[1]]], "y": 1}},
        {"inputs": {"x": [[[[1]]]], "y": 1}},
    ),
    "expression_bytes": (GRAPHS, *({"name": "g", "expression": "x+y".ljust(size)} for size in (20, 21))),
    "expression_depth": (GRAPHS, *({"name": "g", "expression": "(" * depth + "x" + ")" * depth} for depth in (3, 4))),
    "formula_characters": (f"{GRAPHS}/{{graph}}/formula?of=F", "F = x*y", "F = x*y*y"),
    "formula_nodes": (f"{GRAPHS}/{{graph}}/formula?of=F", "F = x*y", "F = sin(sin(x))*y"),
    "nodes": (GRAPHS, *({"name": "g", "nodes": named(count)} for count in (5, 6))),
    "tensor_elements": (RUNS, *({"inputs": {"x": [1] * size, "y": 1}} for size in (6, 7))),
    "run_elements": (
        RUNS,
        {"inputs": {"x": [1] * 6, "y": [2]}},
        {"inputs": {"x": [1] * 6, "y": [2] * 6}},
    ),
    "name_length": (GRAPHS, *({"name": "n" * size, "expression": "x"} for size in (5, 6))),
    "tags": (GRAPHS, *({"name": "g", "expression": "x", "tags": dict.fromkeys("abc"[:n], "v")} for n in (2, 3))),
    "batch_runs": (f"{RUNS}/batch", *({"runs": [{"inputs": {"x": 1, "y": 1}}] * count} for count in (1, 2))),
    "archive_members": (RUNS, arrays("x", "y"), arrays("x", "y", "z")),
    "series_steps": (
        "/v1/series/{series}/steps",
        *({"values": dict.fromkeys("xyF", [1] * count)} for count in (2, 3)),
    ),
    "sweep_points": (
        "/v1/graphs/{graph}/sweeps",
        *({"inputs": {"x": {"linspace": [0, 1, count]}, "y": {"values": [1, 2]}}} for count in (3, 4)),
    ),
    "answer_bytes": (
        RUNS,
        ("F = exp(x)", {"inputs": {"x": 1}, "keep": False}),
        ("F = x * y", {"inputs": {"x": 1, "y": 1}, "keep": False}),
    ),
    "request_memory": (f"{GRAPHS}/{{graph}}/gradient-graph", ("F = exp(x)", {}), ("F = x*y*y", {})),
    "operations": ("/v1/runs/{run}/steps?limit=", 1, 2),
    "job_operations": ("/v1/runs/{run}/steps?limit=", 1, 3),
    "page": (f"{GRAPHS}?limit=", 3, 4),
}
# What is beyond it is let go, not refused.
LET_GO = {"series_whole"}
# Their `actual` is estimated before the work: it stands in the problem.
ESTIMATED = {"answer_bytes", "request_memory", "operations", "job_operations"}


@pytest.fixture(scope="module")
def small(make_app: Callable[..., Flask]) -> FlaskClient:
    """A service with low limits."""
    return make_app(**SMALL).test_client()


@pytest.mark.parametrize("limit", BREACHES)
def test_a_breach_names_its_limit(small: FlaskClient, limit: str) -> None:
    graph: Any = small.post("/v1/graphs", json={"name": "F", "expression": "F = x * y"}).json
    path, *bodies = BREACHES[limit]
    answers = []
    for body in bodies:
        if limit == "page":
            answers.append(small.get(f"{path}{body}"))
        elif limit.endswith("operations"):
            run: Any = small.post(RUNS.format(graph=graph["id"]), json={"inputs": {"x": 1, "y": 1}}).json
            answers.append(small.get(f"{path.format(run=run['id'])}{body}"))
        elif limit.startswith("formula_"):
            written: Any = small.post(GRAPHS, json={"name": "F", "expression": body}).json
            answers.append(small.get(path.format(graph=written["id"])))
        elif isinstance(body, tuple):
            written = small.post(GRAPHS, json={"name": "F", "expression": body[0]}).json
            answers.append(small.post(path.format(graph=written["id"]), json=body[1]))
        else:
            form = "application/x-npz" if limit == "archive_members" else "application/json"
            given = {"data": body, "content_type": form} if isinstance(body, bytes) else {"json": body}
            series: Any = small.post("/v1/series", json={"graph": graph["id"]}).json
            answers.append(small.post(path.format(graph=graph["id"], series=series["id"]), **given))
    at, beyond = answers
    assert at.status_code < 300, at.text
    problem: Any = beyond.json
    assert problem["status"] == (413 if limit == "body_bytes" else 422)
    assert str(SMALL[limit]) in problem["detail"]
    assert problem["limit"] == limit if "limit" in problem else f"(the limit {limit})" in problem["detail"]
    assert limit not in ESTIMATED or problem["estimate"] > SMALL[limit]


def test_every_limit_is_breached_by_a_test_and_shown(small: FlaskClient) -> None:
    assert set(BREACHES) | LET_GO == set(SMALL) == {limit.name for limit in fields(Limits)}
    page: Any = small.get("/v1/limits").json
    assert {entry["name"]: entry["maximum"] for entry in page["limits"]} == SMALL
    for entry in page["limits"]:
        assert entry["variable"] == f"GRADBOOK_MAX_{entry['name'].upper()}" and entry["meaning"]


def test_labels_and_tags_have_the_length_of_names(small: FlaskClient) -> None:
    graph: Any = small.post("/v1/graphs", json={"name": "F", "expression": "F = x * y"}).json
    for member, pointer in (
        ({"label": "n" * 6}, "/label"),
        ({"tags": {"n" * 6: "v"}}, "/tags/nnnnnn"),
        ({"tags": {"t": "n" * 6}}, "/tags/t"),
    ):
        body = {"inputs": {"x": 1, "y": 1}, **member}
        problem: Any = small.post(f"/v1/graphs/{graph['id']}/runs", json=body).json
        assert problem["status"] == 422 and problem["errors"][0]["pointer"] == pointer
        assert "(the limit name_length)" in problem["errors"][0]["detail"]


def test_the_service_is_alive_and_ready(client: FlaskClient) -> None:
    for path in ("/livez", "/readyz"):
        assert client.get(path).json == {"status": "ok"}


def test_the_document_is_shown_without_the_network(client: FlaskClient) -> None:
    page = client.get("/docs/")
    assert page.status_code == 200 and "/openapi.yaml" in page.text
    assert client.get("/docs").headers["Location"].endswith("/docs/")
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) > 3
    for part in parts:
        assert part.startswith("/docs/") and client.get(part).status_code == 200
