"""`gradbook compare`, `check` and `run record`: the entry point in this process, real HTTP."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from service import example
from service.client import Client, Graph, Run
from tests.cli.command import gradbook
from tests.planted import graph_of, named, run_of


@pytest.fixture(scope="module")
def blog(service_url: str) -> tuple[Graph, Run, Run]:
    """The seed example: its graph, our run, and the tutorial's figures as a recorded run."""
    with Client(service_url) as service:
        graph = service.create_graph("cli comparisons", expression=example.EXPRESSION)
        ours = service.create_run(graph, example.INPUTS)
        tutorial = service.record_run(
            graph, by="the tutorial", inputs=example.INPUTS, gradients={**example.TUTORIAL_GRADIENTS}
        )
        return graph, ours, tutorial


def claims(**changed: Any) -> dict[str, Any]:
    gradients = {**example.TUTORIAL_GRADIENTS, **changed}
    return {"graph": "cli comparisons", "inputs": example.INPUTS, "claims": {"gradients": gradients}}


def test_the_same_run_ends_with_0(service_url: str, blog: tuple[Graph, Run, Run]) -> None:
    _, ours, _ = blog
    assert gradbook(service_url, "compare", str(ours.id), str(ours.id), expect=0).startswith("same: 14 same")


def test_the_tutorials_figures_differ_and_origins_come_first(service_url: str, blog: tuple[Graph, Run, Run]) -> None:
    _, ours, tutorial = blog
    shown = gradbook(service_url, "compare", str(ours.id), str(tutorial.id), expect=1)
    assert "∂F/∂f is −3; it should be 1 × 1/d = 1 × 1/(−3) = −1/3 by the quotient rule. −3 is the reciprocal" in shown
    verdicts = [line.split()[0] for line in shown.splitlines() if line.startswith(("origin", "inherited"))]
    assert verdicts == ["origin"] * 2 + ["inherited"] * 4
    assert "\x1b" not in shown


def test_nodes_are_paired_by_what_they_compute(service_url: str) -> None:
    with Client(service_url) as service:
        net = service.create_graph("cli net", expression="h = relu(x @ W); F = sum(h * h)")
        port = service.create_graph("cli port", expression="act = relu(kernel @ data); loss = sum(act ^ 2)")
        x, weight = np.array([[0.5, 1.0], [2.0, 1.0]]), np.array([[0.2, 0.7], [0.4, 0.1]])
        runs = (
            str(service.create_run(net, {"x": x, "W": weight}).id),
            str(service.create_run(port, {"data": x.T, "kernel": weight.T}).id),
        )
        found = service.align_runs(*runs)
        assert found.layouts == {"data": "x", "kernel": "W", "matmul_1": "matmul_1", "act": "h", "pow_1": "mul_1"}
        assert found.unpaired == {"candidate": ("constant_1",), "baseline": ()}
        assert [row["candidate"] for row in found.rows()] == [*found.pairs]
        assert service.create_comparison(*runs, align="probes").alignment == found
    assert gradbook(service_url, "compare", *runs, "--align", "probes", expect=0).startswith("same: 12 same")
    shown = gradbook(service_url, "align", *runs, "--name", "act=h", expect=0)
    assert "6 pairs" in shown and "loss" in shown.splitlines()[-1] and "laid out otherwise" in shown
    assert json.loads(gradbook(service_url, "align", *runs, "--json", expect=0)) == found.document
    assert "--name is written" in gradbook(service_url, "align", *runs, "--name", "act", expect=2)


def test_tolerances(service_url: str, blog: tuple[Graph, Run, Run]) -> None:
    _, ours, tutorial = blog
    runs = (str(ours.id), str(tutorial.id))
    gradbook(service_url, "compare", *runs, "--rtol", "81", expect=0)
    gradbook(service_url, "compare", *runs, "--atol", "1", expect=1)
    assert "not both" in gradbook(service_url, "compare", *runs, "--atol", "1", "--tolerance", "exact", expect=2)


def test_json_is_the_services_document(service_url: str, blog: tuple[Graph, Run, Run]) -> None:
    _, ours, tutorial = blog
    document = json.loads(gradbook(service_url, "compare", str(ours.id), str(tutorial.id), "--json", expect=1))
    assert [origin["node"] for origin in document["origins"]] == ["f", "d"]
    with Client(service_url) as service:
        assert service.get_comparison(document["id"]).document == document
        assert next(service.list_comparisons(run=tutorial))["id"] == document["id"]


def test_junit_has_a_case_for_each_figure(service_url: str, blog: tuple[Graph, Run, Run], tmp_path: Path) -> None:
    _, ours, tutorial = blog
    file = tmp_path / "junit.xml"
    gradbook(service_url, "compare", str(ours.id), str(tutorial.id), "--junit", str(file), expect=1)
    suite = ElementTree.parse(file).getroot()
    assert (suite.get("tests"), suite.get("failures"), len(suite)) == ("11", "6", 11)
    kinds = {case.get("name"): [failure.get("type") for failure in case] for case in suite if len(case)}
    assert kinds == {name: ["origin" if name in "fd" else "inherited"] for name in ("f", "e", "d", "c", "b", "a")}


def test_junit_tells_a_large_tensors_worst_element(service_url: str, tmp_path: Path) -> None:
    x, wrong = np.ones(10_001), np.full(10_001, 2.0)
    wrong[7] = 3.0
    with Client(service_url) as service:
        graph = service.create_graph("large", expression="y = x * 2")
        ours = service.create_run(graph, {"x": x})
        theirs = service.record_run(graph, by="a slip", inputs={"x": x}, values={"y": wrong})
    file = tmp_path / "junit.xml"
    shown = gradbook(service_url, "compare", str(ours.id), str(theirs.id), "--junit", str(file), expect=1)
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith("origin")] == [["origin", "y"]]
    (failure,) = ElementTree.parse(file).getroot().iter("failure")
    assert failure.get("message") == "off by 1.0 at [7]"


def test_check_a_file(service_url: str, blog: tuple[Graph, Run, Run], tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    file.write_text(json.dumps(claims()), encoding="utf-8")
    assert gradbook(service_url, "check", str(file), expect=1).startswith("differ: 5 same, 2 origin, 4 inherited")
    right = claims(f="-1/3", d="1.33", e="2/3", c=-2, a="0.667", b="0.6667")
    del right["graph"]
    given = json.dumps(right)
    assert gradbook(service_url, "check", "-", "--graph", "cli comparisons", stdin=given, expect=0).startswith("same")


@pytest.mark.parametrize(
    ("gradients", "options", "code", "counted"),
    [
        ('{"a": 0.667, "d": "1 1/3", "f": "≈-0.33", "e": "4/6", "c": -2}', (), 0, "same: 9 same, 2 of them rounded"),
        ('{"a": 0.670, "e": 0.667}', (), 1, "differ: 5 same, 1 origin, 1 of them rounded"),
        ('{"a": [0.67], "b": 0.20}', (), 3, "has shape []"),
        ('{"a": 0.20, "b": 0.67, "e": 0.00, "f": -0.30}', (), 1, "differ: 4 same, 3 origin, 1 compensated, 1 of them"),
        ('{"a": 0.667}', ("--tolerance", "float64"), 1, "differ: 4 same, 1 origin"),
        ('{"a": 0.670}', ("--rtol", "0.01"), 0, "same: 5 same "),
        ('{"a": "0,667"}', (), 0, "same: 5 same, 1 of them rounded"),
        ('{"a": "1,000"}', (), 3, "write 1.000 or 1000"),
    ],
)
def test_check_figures_as_people_write_them(
    service_url: str,
    blog: tuple[Graph, Run, Run],
    gradients: str,
    options: tuple[str, ...],
    code: int,
    counted: str,
) -> None:
    """Four inputs are given with each check; what is typed keeps the zeros at its end."""
    text = f'{{"inputs": {json.dumps(example.INPUTS)}, "claims": {{"gradients": {gradients}}}}}'
    shown = gradbook(service_url, "check", "-", "--graph", "cli comparisons", *options, stdin=text, expect=code)
    assert counted in shown


def test_a_check_may_be_labelled_or_not_kept(service_url: str, blog: tuple[Graph, Run, Run]) -> None:
    given = json.dumps(claims(a=0.667, b=0.6))
    with Client(service_url) as service:
        shown = gradbook(service_url, "check", "-", "--label", "cli homework", stdin=given, expect=1)
        (labelled,) = service.list_runs(label="cli homework")
        (comparison,) = service.list_comparisons(run=labelled)
        assert comparison["id"] in shown
        unkept = gradbook(service_url, "check", "-", "--no-keep", "--label", "cli unkept", stdin=given, expect=1)
        assert list(service.list_runs(label="cli unkept")) == []
    assert "(not kept)" in unkept
    assert unkept.splitlines()[1:] == shown.splitlines()[1:]
    everything = gradbook(service_url, "check", "-", "--no-keep", "--all", stdin=given, expect=1)
    assert "compensated, rounded" in everything
    document = json.loads(gradbook(service_url, "check", "-", "--no-keep", "--json", stdin=given, expect=1))
    assert (document["id"], document["next"]) == (None, None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "invalid JSON"),
        ("[]", "an object with inputs, claims"),
        ('{"inputs": {}, "claims": {}}', "give the graph"),
        ('{"inputs": {}, "claims": {}, "graph": "x", "clams": 1}', "an object with inputs, claims"),
    ],
)
def test_a_wrong_file_is_an_error_of_usage(service_url: str, text: str, complaint: str) -> None:
    assert complaint in gradbook(service_url, "check", "-", stdin=text, expect=2)


def test_no_such_run_and_no_service_end_with_3(service_url: str) -> None:
    assert "there is no run 'x'" in gradbook(service_url, "compare", "x", "y", expect=3)
    assert "no service answers" in gradbook("http://127.0.0.1:9", "compare", "x", "y", expect=3)
    assert "--name is written" in gradbook(service_url, "compare", "x", "y", "--name", "a", expect=2)


def test_record_an_npz_file(service_url: str, blog: tuple[Graph, Run, Run], tmp_path: Path) -> None:
    _, ours, _ = blog
    file = tmp_path / "figures.npz"
    figures = {f"values/{name}": value for name, value in ours.values.items()}
    figures |= {f"gradients/{name}": gradient for name, gradient in ours.gradients.items()}
    np.savez(file, allow_pickle=False, **figures)
    recorded = gradbook(service_url, "run", "record", "cli comparisons", str(file), "--by", "NumPy", expect=0).strip()
    gradbook(service_url, "compare", str(ours.id), recorded, "--tolerance", "exact", expect=0)
    np.savez(file, allow_pickle=False, **{"weights/e": np.zeros(1)})
    assert "'weights/e' is not values/NAME" in gradbook(
        service_url, "run", "record", "cli comparisons", str(file), "--by", "NumPy", expect=2
    )
    file.write_text("no zip", encoding="utf-8")
    assert "not an .npz file" in gradbook(
        service_url, "run", "record", "cli comparisons", str(file), "--by", "NumPy", expect=2
    )


def test_missing_figures_fail_where_all_are_required(service_url: str, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    with Client(service_url) as service:
        graph = service.create_graph("cli missing", expression=example.EXPRESSION)
        ours = service.create_run(graph, example.INPUTS)
        gradients = {name: figure for name, figure in ours.gradients.items() if name != "e"}
        theirs = service.record_run(
            graph, by="a port", values={"F": 4}, gradients={**gradients, "a": None}, inputs=example.INPUTS
        )
        assert service.create_comparison(ours, theirs).missing[-1] == {
            "phase": "backward",
            "node": "a",
            "given": "none",
        }
    runs = (str(ours.id), str(theirs.id))
    shown = gradbook(service_url, "compare", *runs, "--junit", str(file), expect=0)
    assert "missing in the candidate: e, f, gradient of e, gradient of a (none)" in shown
    suite = ElementTree.parse(file).getroot()
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "4")
    gradbook(service_url, "compare", *runs, "--require-all", "--junit", str(file), expect=1)
    suite = ElementTree.parse(file).getroot()
    assert (suite.get("failures"), suite.get("skipped")) == ("4", "0")
    gradbook(service_url, "compare", *runs[:1], *runs[:1], "--require-all", expect=0)


def test_a_convention_is_listed(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("cli convention", expression="F = clip(x, min=0, max=1)")
        ours = service.create_run(graph, {"x": 1})
        theirs = service.record_run(graph, by="PyTorch", inputs={"x": 1}, gradients={"x": 1})
    shown = gradbook(service_url, "compare", str(ours.id), str(theirs.id), expect=1)
    assert any(line.startswith("convention") for line in shown.splitlines())


def test_errors_that_grew_are_nobodys_fault(service_url: str, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    with Client(service_url) as service:
        graph = service.create_graph("cli grew", expression="p = x + y; q = p - y; F = q * 1e9")
        inputs = {"x": 1e-9, "y": 1.0}
        ours = service.create_run(graph, inputs, backward=False)
        p = float(np.float64(1.0 + 1e-9) + 4e-16)
        theirs = service.record_run(
            graph, by="a port", inputs=inputs, values={"p": p, "q": p - 1.0, "F": (p - 1.0) * 1e9}
        )
        wrong = service.record_run(graph, by="a port", inputs=inputs, values={"F": 3.0})
        compared = service.create_comparison(ours, theirs)
    assert (compared.verdict, compared.arose, compared.origins) == ("differ", False, ())
    assert compared.sentence is not None and compared.sentence.startswith("No figure is wrong by itself")
    runs = (str(ours.id), str(theirs.id))
    assert "No figure is wrong by itself" in gradbook(service_url, "compare", *runs, expect=1)
    gradbook(service_url, "compare", *runs, "--fail-on", "origin", "--junit", str(file), expect=0)
    assert ElementTree.parse(file).getroot().get("failures") == "0"
    gradbook(service_url, "compare", str(ours.id), str(wrong.id), "--fail-on", "origin", expect=1)


def test_a_figure_of_another_shape_is_shown(service_url: str, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    inputs: dict[str, Any] = {"x": np.arange(12.0).reshape(4, 3), "W": np.ones((3, 2)), "b": np.array([1.0, 2.0])}
    with Client(service_url) as service:
        graph = service.create_graph("cli shapes", expression="h = x @ W; s = h + b; F = sum(s * s)")
        ours = service.create_run(graph, inputs)
        gradients = {**ours.gradients, "W": ours.gradients["W"].T, "b": 2.0 * ours.values["s"]}
        theirs = service.record_run(graph, by="a port", inputs=inputs, values=ours.values, gradients=gradients)
        assert service.get_run(theirs.id).gradients["W"].shape == (2, 3)
    shown = gradbook(service_url, "compare", str(ours.id), str(theirs.id), "--junit", str(file), expect=1)
    assert "∂F/∂W has the shape [2, 3]; it should have [3, 2]" in shown and "It is transposed." in shown
    assert "∂F/∂b has the shape [4, 2]; it should have [2]" in shown
    suite = ElementTree.parse(file).getroot()
    assert suite.get("failures") == "2"


def test_a_right_float32_conv_net_is_nobodys_fault(service_url: str) -> None:
    expression = (
        "c = conv(x, k, b, pads=[1, 1, 1, 1]); r = relu(c); p = max_pool(r, kernel_shape=[2, 2], strides=[2, 2]); "
        "d = conv(p, m); q = relu(d); f = flatten(q); o = gemm(f, W); L = softmax_cross_entropy(o, t)"
    )
    random = np.random.default_rng(2)
    shapes = {"x": (2, 3, 8, 8), "k": (8, 3, 3, 3), "b": (8,), "m": (8, 8, 3, 3), "W": (32, 5)}
    inputs: dict[str, Any] = {
        name: random.normal(size=shape).astype(np.float32).astype(np.float64) for name, shape in shapes.items()
    }
    inputs["t"] = np.array([1.0, 3.0])
    computed = run_of(graph_of(expression), inputs, dtype="float32")
    with Client(service_url) as service:
        graph = service.create_graph("cli conv net", expression=expression)
        ours = service.create_run(graph, inputs)
        theirs = service.record_run(
            graph,
            by="a port",
            dtype="float32",
            inputs=inputs,
            values=named(computed.graph, computed.values),
            gradients=named(computed.graph, computed.gradients),
        )
        compared = service.create_comparison(ours, theirs)
    assert (compared.verdict, compared.arose, compared.origins) == ("differ", False, ())
    runs = (str(ours.id), str(theirs.id))
    assert "No figure is wrong by itself" in gradbook(service_url, "compare", *runs, expect=1)
    gradbook(service_url, "compare", *runs, "--fail-on", "origin", expect=0)


def test_runs_at_different_inputs_say_so(service_url: str, blog: tuple[Graph, Run, Run]) -> None:
    graph, ours, _ = blog
    with Client(service_url) as service:
        other = service.create_run(graph, example.INPUTS | {"a": 7, "c": 1})
        compared = service.create_comparison(ours, other)
    assert [(origin.phase, origin.node) for origin in compared.origins] == [("forward", "a"), ("forward", "c")]
    assert "inputs differ" in [each["name"] for origin in compared.origins for each in origin.hypotheses]
    assert all("the inputs differ" in origin.sentence for origin in compared.origins)
    assert (compared.arose, compared.sentence) == (True, "The inputs differ: a, c.")


@pytest.mark.parametrize("shape", ["scalar", "tensor"])
def test_figures_are_shown_with_the_digits_that_tell_them_apart(service_url: str, shape: str) -> None:
    x: Any = {"scalar": 1.5, "tensor": [0.5, 1.5, 2.5]}[shape]
    with Client(service_url) as service:
        graph = service.create_graph(f"cli digits {shape}", expression="F = x * 3")
        ours = service.create_run(graph, {"x": x}, backward=False)
        wrong: Any = np.array(ours.outputs["F"])
        wrong[1 if shape == "tensor" else ()] += 1e-7
        theirs = service.record_run(graph, by="a port", inputs={"x": x}, values={"F": wrong})
    shown = gradbook(service_url, "compare", str(ours.id), str(theirs.id), expect=1)
    (line,) = [line for line in shown.splitlines() if line.startswith("origin")]
    assert "4.5 " in line and ("4.5000001 at [1]" if shape == "tensor" else "4.5000001") in line


def test_what_only_the_candidate_has_is_drawn_and_listed(service_url: str) -> None:
    with Client(service_url) as service:
        first = service.create_graph("cli alone", expression="r = tanh(x); m = r * w; h = m + b")
        second = service.create_graph("cli alone", expression="r = tanh(x); h = b + w * r")
        inputs = {"x": 0.5, "w": 2, "b": 1}
        ours = service.create_run(first, inputs)
        theirs = service.record_run(second, by="a port", inputs=inputs, values={"mul_1": 7, "h": 8})
        compared = service.create_comparison(ours, theirs)
        assert [origin.node for origin in compared.origins] == ["mul_1"]
        assert "not 0.924" in service.get_comparison_picture(compared)
    shown = gradbook(service_url, "compare", str(ours.id), str(theirs.id), expect=1)
    assert any(line.startswith("origin") and "mul_1" in line for line in shown.splitlines())
