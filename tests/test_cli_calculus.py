"""`gradbook gradcheck` and `derive`: the real command, real HTTP."""

import json
from pathlib import Path

import pytest

from service.client import Client
from tests.test_cli_comparisons import gradbook

DERIVED = "cli derive"


@pytest.fixture(scope="module", autouse=True)
def _graph(service_url: str) -> None:
    with Client(service_url) as service:
        service.create_graph("gradcheck", expression="p = a * b; y = p + relu(c)")
        service.create_graph(DERIVED, expression="e = a + b; f = e * c; F = f / d")


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


def test_formulas_are_printed(service_url: str) -> None:
    shown = gradbook(service_url, "derive", DERIVED, "--wrt", "a", "--wrt", "d", expect=0)
    assert shown == "dF_da(a, b, c, d) = c / d\ndF_dd(a, b, c, d) = -(a + b) * c / d ^ 2\n"
    assert gradbook(service_url, "derive", DERIVED, "--of", "f", "--wrt", "e", "--latex", expect=0) == (
        "\\frac{d f}{d e} = c\n"
    )
    documents = json.loads(gradbook(service_url, "derive", DERIVED, "--json", expect=0))
    assert [document["expression"].partition("(")[0] for document in documents] == ["dF_da", "dF_db", "dF_dc", "dF_dd"]


def test_gradients_are_kept_as_a_graph(service_url: str) -> None:
    made = json.loads(gradbook(service_url, "derive", DERIVED, "--wrt", "c", "--graph", "--json", expect=0))
    assert (made["name"], made["outputs"]) == (f"{DERIVED} dF", ["dF_dc"])
    named = gradbook(service_url, "derive", DERIVED, "--graph", "--name", "all gradients", expect=0)
    assert "outputs      dF_da, dF_db, dF_dc, dF_dd" in named


def test_what_cannot_be_derived(service_url: str) -> None:
    assert "the graph has no node 'z'" in gradbook(service_url, "derive", DERIVED, "--wrt", "z", expect=3)


def test_the_clients_formula_shows_itself_in_a_notebook(service_url: str) -> None:
    with Client(service_url) as service:
        graph = next(service.list_graphs(name=DERIVED))
        formula = service.get_formula(graph, of="f", wrt="e")
        assert (formula.expression, formula.latex) == ("df_de(a, b, c, d) = c", r"\frac{d f}{d e} = c")
        assert formula._repr_latex_() == r"$$\frac{d f}{d e} = c$$"
        derived = service.create_gradient_graph(graph, wrt=["a"], tags={"order": "first"})
        assert (derived.parent, derived.tags) == (graph.id, {"order": "first"})
        run = service.create_run(derived, {"a": 5, "b": 1, "c": -2, "d": -3})
        assert run.outputs["dF_da"] == pytest.approx(2 / 3, rel=1e-15)
