"""Names and short ids in every path, query and body that takes an id."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.conftest import read_openapi
from tests.performing import keep_answer

INPUTS = {"a": 5, "b": 1, "c": -2, "d": -3}
DOCUMENT = read_openapi((Path(__file__).parents[2] / "openapi.yaml").read_text(encoding="utf-8"))
READ = [path for path, methods in DOCUMENT["paths"].items() if "get" in methods and "_id}" in path]
ASKED = {
    "/v1/runs/{run_id}/paths": "?node=d",
    "/v1/runs/{run_id}/rounding": "?dtype=bfloat16",
    "/v1/graphs/{graph_id}/onnx": "?input=a=1&input=b=1&input=c=1&input=d=1",
}


@pytest.fixture(scope="module")
def kept(client: FlaskClient, seed: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """By the variable of a path the id of what is stored, and what else refers to it."""
    run = client.post("/v1/graphs/blog/runs", json={"inputs": INPUTS, "label": "main"}).json
    assert run is not None and run["graph_id"] == seed["graph"]["id"]
    recorded = {"inputs": INPUTS, "recorded": {"by": "the tutorial", "values": {"F": 7}}, "label": "claim"}
    assert client.post("/v1/graphs/blog/runs", json=recorded).status_code == 201
    comparison = client.post("/v1/comparisons", json={"baseline": "blog:main", "candidate": "blog:claim"}).json
    series = client.post("/v1/series", json={"graph": "blog"}).json
    derivatives = client.post("/v1/graphs/blog@1/derivatives", json={"inputs": INPUTS, "kind": "jacobian"}).json
    job = client.post("/v1/graphs/blog/sweeps", json={"inputs": {**INPUTS, "d": {"linspace": [-3, 3, 7]}}}).json
    assert comparison is not None and derivatives is not None and series is not None and job is not None
    made = {"graph": seed["graph"], "run": run, "comparison": comparison, "derivatives": derivatives, "series": series}
    made |= {"job": {"id": keep_answer(client.application.extensions["gradbook"], b"{}")}, "sweep": job}
    names: dict[str, tuple[str, ...]] = {"graph": ("blog", "blog@1"), "run": ("blog:main", "blog%401:main")}
    return {
        f"{kind}_id": (document["id"], document["id"][-8:], *names.get(kind, ())) for kind, document in made.items()
    }


@pytest.mark.parametrize("path", READ)
def test_every_path_reads_the_same_by_whatever_refers_to_it(
    client: FlaskClient, kept: dict[str, tuple[str, ...]], path: str
) -> None:
    variable = path.partition("{")[2].partition("}")[0]
    asked = path.replace("{node}", "F").replace("{phase}", "forward") + ASKED.get(path, "")
    answers = [client.get(asked.replace(f"{{{variable}}}", each)) for each in kept[variable]]
    assert [answer.status_code for answer in answers] == [200] * len(answers), answers[0].text
    assert len({(answer.data, answer.headers["ETag"]) for answer in answers}) == 1
    missing = client.get(asked.replace(f"{{{variable}}}", "blgo")).json
    assert missing is not None and "blgo" in missing["detail"] and missing["status"] == 404


def test_queries_and_bodies_take_them_too(client: FlaskClient, kept: dict[str, tuple[str, ...]]) -> None:
    for graph in kept["graph_id"]:
        listed = client.get("/v1/runs", query_string={"graph": graph, "label": "main"}).json
        assert listed is not None and [run["id"] for run in listed["runs"]] == [kept["run_id"][0]]
        made = client.post("/v1/graphs", json={"name": f"of {graph}", "nodes": [*_inputs(), _use(graph)]}).json
        assert made is not None and made["parts"][0]["graph"]
    for run in (*kept["run_id"][:-1], "blog@1:main"):
        listed = client.get("/v1/comparisons", query_string={"run": run}).json
        assert listed is not None and [each["id"] for each in listed["comparisons"]] == [kept["comparison_id"][0]]
        check = client.post("/v1/graphs/blog/gradient-checks", json={"inputs": INPUTS, "run": run}).json
        assert check is not None and check["verdict"] == "right"
    at: dict[str, Any] = {"inputs": INPUTS, "run": "blog:mian"}
    for path, body, pointer in (
        ("comparisons", {"baseline": "blog:main", "candidate": "blog:mian"}, "/candidate"),
        ("comparisons", {"baseline": "blgo:x", "candidate": "blog:main"}, "/baseline"),
        ("graphs/blog/gradient-checks", at, "/run"),
    ):
        refused: Any = client.post(f"/v1/{path}", json=body).json
        assert refused["status"] == 404 and "; near it is " in refused["detail"]
        assert refused["errors"] == [{"pointer": pointer, "detail": refused["detail"]}]


@pytest.mark.parametrize("path", ["/v1/runs?graph=blgo", "/v1/comparisons?run=blgo:main"])
def test_a_list_of_what_there_is_not_is_none(client: FlaskClient, seed: dict[str, Any], path: str) -> None:
    refused = client.get(path).json
    assert refused is not None and refused["status"] == 404 and refused["detail"].endswith("near it is blog")


def test_a_name_with_a_slash_works_where_no_path_parts_it(client: FlaskClient) -> None:
    made = client.post("/v1/graphs", json={"name": "team/net", "expression": "y = x * 2"}).json
    assert made is not None
    run = client.post(f"/v1/graphs/{made['id']}/runs", json={"inputs": {"x": 1}, "label": "a:b"}).json
    assert run is not None
    listed = client.get("/v1/runs", query_string={"graph": "team/net"}).json
    assert listed is not None and [each["id"] for each in listed["runs"]] == [run["id"]]
    assert client.post("/v1/comparisons", json={"baseline": "team/net:a:b", "candidate": run["id"]}).status_code == 201
    for path in ("/v1/graphs/team%2Fnet", "/v1/runs/team%2Fnet:a:b/nodes"):
        refused = client.get(path).json
        assert refused is not None and refused["detail"].endswith("what has / in its name is given by its id")


def test_a_key_answers_what_it_made_though_the_name_means_something_else_by_now(client: FlaskClient) -> None:
    def post(path: str, key: str = "", **body: Any) -> Any:
        answer = client.post(f"/v1/{path}", json=body, headers={"Idempotency-Key": key} if key else {})
        assert answer.status_code in (200, 201), answer.text
        return answer.json

    def twice(path: str, **body: Any) -> Iterator[Any]:
        for _ in range(2):
            yield post(path, path, **body)

    post("graphs", name="moving", expression="y = x * 3")
    at: dict[str, Any] = {"inputs": {"x": 1}, "label": "main"}
    forward = twice("graphs/moving/runs", **at, backward=False)
    backward = twice("runs/moving:main/backward")
    derived = twice("graphs/moving/derivatives", inputs={"x": 1}, kind="jacobian")
    made = [next(forward), next(backward), next(derived)]
    assert made[0]["id"] == made[1]["id"] and made[1]["gradients"] == {"x": 3.0}
    post("graphs", name="moving", expression="y = x * 4")
    post("graphs/moving/runs", **at)
    assert [next(forward)["id"], next(backward), next(derived)] == [made[0]["id"], made[1], made[2]]


def _inputs() -> list[dict[str, Any]]:
    return [{"name": name, "operation": "Input"} for name in "abcd"]


def _use(graph: str) -> dict[str, Any]:
    return {"name": "z", "operation": graph, "inputs": ["a", "b", "c", "d"]}
