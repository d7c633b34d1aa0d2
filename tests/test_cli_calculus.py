"""`gradbook gradcheck`: the real command, real HTTP."""

import json
from pathlib import Path

import pytest

from service.client import Client
from tests.test_cli_comparisons import gradbook


@pytest.fixture(scope="module", autouse=True)
def _graph(service_url: str) -> None:
    with Client(service_url) as service:
        service.create_graph("gradcheck", expression="p = a * b; y = p + relu(c)")


@pytest.mark.parametrize("method", ["taylor", "central"])
def test_right_gradients_end_with_0(service_url: str, method: str, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text('{"a": [1, 2], "b": 3}')
    point = ["--inputs", str(tmp_path / "inputs.json"), "c=1.5"]
    shown = gradbook(service_url, "gradcheck", "gradcheck", *point, "--method", method, "--node", "p", expect=0)
    assert shown.splitlines()[0] == f"right: gradients of y, by {method}"
    rows = {line.split()[0]: line for line in shown.splitlines()[3:]}
    assert list(rows) == ["a", "b", "c", "p"]
    assert all("right" in row for row in rows.values())


def test_json_is_the_services_document(service_url: str) -> None:
    shown = gradbook(service_url, "gradcheck", "gradcheck", "a=1", "b=2", "c=3", "--output", "p", "--json", expect=0)
    document = json.loads(shown)
    assert (document["verdict"], document["output"]) == ("right", "p")
    with Client(service_url) as service:
        graph = next(service.list_graphs(name="gradcheck"))
        check = service.check_gradients(graph, {"a": 1, "b": 2, "c": 3}, output="p")
    assert check.document == document
    assert [(node.name, float(node.gradient), node.rate, node.reason) for node in check.nodes] == [
        ("a", 2.0, None, None),
        ("b", 1.0, None, None),
        ("c", 0.0, None, None),
    ]
    assert all(node.estimate is not None and node.error is not None for node in check.nodes)


def test_a_kink_ends_with_4(service_url: str) -> None:
    shown = gradbook(service_url, "gradcheck", "gradcheck", "a=1", "b=2", "c=0", expect=4)
    assert shown.startswith("not applicable") and "no derivative exists at 'relu_1'" in shown


def test_a_wrong_call_ends_with_2(service_url: str, tmp_path: Path) -> None:
    assert "an input is written NAME=FIGURE" in gradbook(service_url, "gradcheck", "gradcheck", "a", expect=2)
    (tmp_path / "inputs.json").write_text("[1]")
    file = ["--inputs", str(tmp_path / "inputs.json")]
    assert "a JSON object of inputs is expected" in gradbook(service_url, "gradcheck", "gradcheck", *file, expect=2)
    assert "the input 'b' is missing" in gradbook(service_url, "gradcheck", "gradcheck", "a=1", "c=1", expect=3)
