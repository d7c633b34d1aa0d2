"""Pages that end where their tensors have too many numbers: following `next` gives every item once."""

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.api import explanations
from service.api.http import paging

MOST = 40
SIZES = [1, 39, 100, 2, 3, 20]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few numbers fill a page, as a million do."""
    for module in (paging, explanations):
        monkeypatch.setattr(module, "MOST_NUMBERS", MOST)


def count(item: Any) -> int:
    """The numbers in the lists of an answer's item; what is no list of numbers counts nothing."""
    if isinstance(item, dict):
        return sum(count(member) for name, member in item.items() if name != "shape")
    if isinstance(item, list):
        return sum(1 if isinstance(member, float) else count(member) for member in item)
    return 0


def pages(client: FlaskClient, path: str, member: str, first: Any = None) -> list[list[Any]]:
    """The pages of a list; each has room for its numbers, and the first is the one that stands in `first`, if given."""
    page: Any = client.get(path).json
    assert first is None or [page[member], page["next"]] == [first[member], first["next"]]
    found = []
    while True:
        found.append(page[member])
        assert len(page[member]) == 1 or (page[member] and count(page[member]) <= MOST)
        if page["next"] is None:
            return found
        page = client.get(path, query_string={"cursor": page["next"]}).json


def test_every_node_step_and_figure_is_on_one_page_whatever_its_size(client: FlaskClient) -> None:
    inputs = {f"x{k}": [0.5 * k] * size for k, size in enumerate(SIZES)}
    text = "; ".join(f"y{k} = x{k} * x{k}" for k in range(len(SIZES)))
    total = " + ".join(f"sum(y{k})" for k in range(len(SIZES)))
    graph: Any = client.post("/v1/graphs", json={"name": "pages", "expression": f"{text}; F = {total}"}).json
    run: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": inputs}).json
    names = [node["name"] for node in graph["nodes"]]

    path = f"/v1/runs/{run['id']}/nodes"
    assert client.get(f"/v1/runs/{run['id']}").json == run
    found = pages(client, path, "nodes", run)
    assert [node["name"] for page in found for node in page] == names
    assert len(found) > 4
    unkept: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": inputs, "keep": False}).json
    assert unkept["nodes"] == [node for page in found for node in page] and unkept["next"] is None

    asked = {"baseline": run["id"], "candidate": run["id"]}
    made: Any = client.post("/v1/comparisons", json=asked).json
    path = f"/v1/comparisons/{made['id']}"
    assert client.get(path).json == made
    listed = [(node["phase"], node["name"]) for page in pages(client, f"{path}/nodes", "nodes", made) for node in page]
    assert listed == [*(("forward", name) for name in names), *(("backward", name) for name in reversed(names))]

    steps = [step for page in pages(client, f"/v1/runs/{run['id']}/steps", "steps") for step in page]
    operations = [node["name"] for node in graph["nodes"] if node["inputs"]]
    assert [step["node"] for step in steps if step["phase"] == "forward"] == operations
    assert sorted(step["node"] for step in steps if step["phase"] == "backward") == sorted(names)
    both: Any = client.get(f"/v1/runs/{run['id']}/steps?node=y4").json
    assert len(both["steps"]) == 2 and both["next"] is None

    client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": inputs})
    listed = [item["id"] for page in pages(client, "/v1/runs", "runs") for item in page]
    assert len(listed) == len(set(listed)) == 2


def test_constants_fill_pages_of_a_graph_too(client: FlaskClient) -> None:
    text = "; ".join(f"y{k} = x + {[0.5] * size}" for k, size in enumerate(SIZES))
    graph: Any = client.post("/v1/graphs", json={"name": "constants", "expression": text}).json
    path = f"/v1/graphs/{graph['id']}/nodes"
    names = [node["name"] for page in pages(client, path, "nodes", graph) for node in page]
    assert len(names) == len(set(names)) == graph["node_count"]


def test_the_contributions_of_one_step_have_their_bound(client: FlaskClient) -> None:
    terms = " + ".join(f"sum(x * {k}.5)" for k in range(5))
    graph: Any = client.post("/v1/graphs", json={"name": "fan", "expression": f"F(x, z) = {terms} + sum(x * z)"}).json
    for size, shown in ((2, True), (3, False)):
        body = {"inputs": {"x": [1.0] * size, "z": [2.0] * size}}
        run: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json=body).json
        steps: Any = client.get(f"/v1/runs/{run['id']}/steps?node=x").json
        (step,) = steps["steps"]
        assert len(step["contributions"]) == 6 and step["gradient"] == step["sum"] == [14.5] * size
        assert all((each["product"] is not None) == shown for each in step["contributions"])


def test_numbers_are_counted_in_arrays_wherever_they_stand() -> None:
    full, half = {"a": [{"b": (np.zeros((4, MOST // 4)),)}]}, {"c": np.zeros(MOST // 2), "d": 1.0}
    assert paging.fitting([full, half]) == [full]
    assert paging.fitting([half, half, {"e": [2.0] * 99}, half]) == [half, half, {"e": [2.0] * 99}]
    beyond = {"f": np.zeros((MOST + 1, 0))}  # without numbers, but with as many brackets
    assert paging.fitting([beyond, full]) == [beyond] and paging.fitting([half, beyond]) == [half]
    assert paging.fitting([]) == []
