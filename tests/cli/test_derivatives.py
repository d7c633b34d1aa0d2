"""`gradbook explain`, `derive` and `gradcheck`: the entry point in this process, real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from service import example
from service.client import Client
from tests.cli.command import gradbook

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


def test_recorded_gradients_are_checked(service_url: str) -> None:
    with Client(service_url) as service:
        graph = next(service.list_graphs(name="gradcheck"))
        point = {"a": 1.0, "b": 2.0, "c": 3.0}
        run = service.record_run(graph, inputs=point, by="somebody", gradients={"a": 2.0, "b": -1.0})
        given = service.check_gradients(graph, point, gradients={"a": 2.0})
    assert given.verdict == "right"
    shown = gradbook(service_url, "gradcheck", "gradcheck", "--run", str(run.id), expect=1)
    rows = {line.split()[0]: line for line in shown.splitlines()[3:]}
    assert "right" in rows["a"] and "wrong" in rows["b"]


def test_a_wrong_call_ends_with_2(service_url: str, tmp_path: Path) -> None:
    assert "an input is written NAME=FIGURE" in gradbook(service_url, "gradcheck", "gradcheck", "a", expect=2)
    (tmp_path / "inputs.json").write_text("[1]")
    file = ["--inputs", str(tmp_path / "inputs.json")]
    assert "a JSON object of inputs is expected" in gradbook(service_url, "gradcheck", "gradcheck", *file, expect=2)
    assert "the input 'b' is missing" in gradbook(service_url, "gradcheck", "gradcheck", "a=1", "c=1", expect=3)


def test_formulas_are_printed(service_url: str) -> None:
    shown = gradbook(service_url, "derive", DERIVED, "--wrt", "a", "--wrt", "d", expect=0)
    assert shown == "dF_da(a, b, c, d) = c / d\ndF_dd(a, b, c, d) = -(a + b) * c / d / d\n"
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


@pytest.fixture(scope="module")
def runs(service_url: str) -> tuple[str, str]:
    """A run of the seed example, and the tutorial's own figures."""
    with Client(service_url) as service:
        graph = next(service.list_graphs(name=DERIVED))
        ours = service.create_run(graph, example.INPUTS)
        theirs = service.record_run(
            graph, by="the tutorial", inputs=example.INPUTS, gradients=example.TUTORIAL_GRADIENTS
        )
    assert ours.id is not None and theirs.id is not None
    return ours.id, theirs.id


def test_a_run_is_explained(service_url: str, runs: tuple[str, str]) -> None:
    shown = gradbook(service_url, "explain", runs[0], expect=0)
    assert "f → F   quotient   ∂F/∂f = 1 / d = 1 / -3 = -1 / 3 ≈ -0.3333333333333333\n" in shown
    assert "but the run has" not in shown and "paths" not in shown
    document = json.loads(gradbook(service_url, "explain", runs[0], "--json", expect=0))
    assert (len(document["steps"]), document["paths"]) == (10, None)
    assert gradbook(service_url, "explain", runs[0], "--limit", "3", expect=0).count("\n") == 5


def test_what_is_constant_is_said(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("constant here", expression="r = relu(x); F = sqrt(r)")
        made = service.create_run(graph, {"x": -1.0})
    assert made.id is not None
    assert "r = relu(x) is constant here: nothing of dF/dr = ∞ passes" in gradbook(
        service_url, "explain", made.id, expect=0
    )
    assert "does not change with x" in gradbook(service_url, "run", "show", made.id, expect=0)


def test_what_a_recording_gets_wrong_is_said(service_url: str, runs: tuple[str, str]) -> None:
    shown = gradbook(service_url, "explain", runs[1], expect=0)
    wrong = [line for line in shown.splitlines() if "but the run has" in line]
    assert [line.split()[0] for line in wrong] == ["f", "d"]
    assert wrong[0].endswith("≈ -0.3333333333333333   but the run has -3, which is off by 2.66667")


def test_one_node_is_explained_with_its_paths(service_url: str, runs: tuple[str, str]) -> None:
    shown = gradbook(service_url, "explain", runs[0], "--node", "a", expect=0)
    assert "1 path from a to F: dF/da = ∂F/∂f * ∂f/∂e * ∂e/∂a = -1 / 3 * -2 * 1 = 2 / 3" in shown
    assert shown.endswith("dF/da = c / d\n product   path\n────────────────────────\n0.666667   a → e → f → F\n")
    document = json.loads(gradbook(service_url, "explain", runs[0], "--node", "a", "--json", expect=0))
    assert document["paths"]["path_count"] == 1
    assert "no node 'z'" in gradbook(service_url, "explain", runs[0], "--node", "z", expect=3)


def test_many_paths_are_counted_and_of_tensors_none_are_told(service_url: str) -> None:
    with Client(service_url) as service:
        nodes: list[dict[str, Any]] = [{"name": "x", "operation": "Input"}]
        nodes += [{"name": f"y{k}", "operation": "Add", "inputs": [f"y{k - 1}" if k else "x"] * 2} for k in range(80)]
        ladder = service.create_graph("ladder", nodes=nodes)
        run, batch = service.create_run(ladder, {"x": 1}), service.create_run(ladder, {"x": [1, 2]}, gradients="inputs")
        found = service.list_paths(run, "x", limit=2)
    assert (found.path_count, found.sum, found.listed_sum, len(found.paths)) == (2**80, 2.0**80, 2.0, 2)
    assert run.id is not None and batch.id is not None
    shown = gradbook(service_url, "explain", run.id, "--node", "x", expect=0)
    assert "1.208e24 paths from x to y79; the 10 largest carry 8.272e-24 of the gradient: dy79/dx = " in shown
    assert "paths" not in gradbook(service_url, "explain", batch.id, "--node", "x", expect=0)
