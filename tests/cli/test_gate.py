"""`gradbook run import` and `gradbook gate`: files, the entry point in this process, real HTTP."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from service.client import Client
from service.recorders.recording import Recording
from tests.cli.command import call_main, gradbook

_NODES = (
    {"name": "w", "operation": "Input"},
    {"name": "x", "operation": "Input"},
    {"name": "s", "operation": "Mul", "inputs": ["w", "x"]},
    {"name": "y", "operation": "Tanh", "inputs": ["s"]},
)


def _damaged(save: Callable[..., None]) -> bytes:
    """An .npz with wrong bytes in the middle of its array."""
    file = io.BytesIO()
    save(file, **{"values/y": np.arange(9.0)})
    content = bytearray(file.getvalue())
    content[60:100] = bytes(40)
    return bytes(content)


def neuron(slope: Callable[[Any], Any] = lambda y: 1 - y * y) -> Recording:
    """y = tanh(w x) in float32, with tanh's local gradient as a program has it."""
    w, x = np.float32(0.7), np.float32([0.5, -1.25])
    s = w * x
    y = np.tanh(s)
    of_s = slope(y)
    return Recording(
        nodes=_NODES,
        outputs=("y",),
        output="y",
        inputs={"w": w, "x": x},
        values={"s": s, "y": y},
        gradients={"y": np.ones_like(y), "s": of_s, "w": np.sum(of_s * x), "x": w * of_s},
        dtypes=dict.fromkeys("wxsy", "float32"),
        name="gated neuron",
        by="a test",
        sources={"s": "model|1.py:12"},
    )


def wrong(y: Any) -> Any:
    return 1 - y


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Recording], str]:
    """A function that saves a recording and returns the file's name."""

    def save(recording: Recording) -> str:
        recording.save(tmp_path / "recording.npz")
        return str(tmp_path / "recording.npz")

    return save


@pytest.fixture
def main(service_url: str, save: Callable[[Recording], str]) -> str:
    """The baseline, the right neuron, imported: GRAPH:LABEL."""
    run = gradbook(service_url, "run", "import", save(neuron()), expect=0).strip()
    gradbook(service_url, "baseline", "set", run, expect=0)
    return "gated neuron:main"


def test_a_recording_is_imported(service_url: str, save: Callable[[Recording], str]) -> None:
    lacking = [{"operation": "special", "nodes": ["x"], "why": "it has no rule"}]
    file = save(replace(neuron(), unmapped=lacking))
    ended = call_main(service_url, "run", "import", file, "--name", "imported", "--tag", "commit:1a2b", "--json")
    assert (ended.code, ended.err) == (0, "not recorded: special (it has no rule)\n")
    assert (ended.json["graph_name"], ended.json["recorded_by"]) == ("imported", "a test")
    assert (ended.json["dtype"], ended.json["tags"]) == ("float32", {"commit": "1a2b"})
    Path(file).write_bytes(Path(file).read_bytes()[:-30])
    assert "is not a recording: it is no whole .npz" in gradbook(service_url, "run", "import", file, expect=2)


def test_equal_figures_pass_and_an_error_is_named(
    service_url: str, main: str, save: Callable[[Recording], str], tmp_path: Path
) -> None:
    reports = [tmp_path / "report.xml", tmp_path / "report.md"]
    options = ("--baseline", main, "--junit", str(reports[0]), "--markdown", str(reports[1]))
    same = call_main(service_url, "gate", save(neuron()), *options)
    assert same.code == 0 and same.out.startswith("same: 8 same")
    assert same.out.splitlines()[-1].startswith(f"against {main} the run ") and same.out.endswith(" passes\n")
    assert reports[1].read_text().startswith("### Against gated neuron:main it passes\n\n8 same. ")

    differs = call_main(service_url, "gate", save(neuron(wrong)), *options, "--label", "a change", "--tag", "pr:7")
    assert differs.code == 1 and differs.out.endswith(" fails: 1 figure is wrong by itself\n")
    (sentence,) = [line for line in differs.out.splitlines() if line.startswith("  ∂")]
    assert sentence.startswith("  ∂y/∂s is ") and sentence.endswith(" (model|1.py:12)")
    suite = ElementTree.parse(reports[0]).getroot()
    (failed,) = suite.iterfind("testcase[@name='s']/failure")
    assert failed.get("type") == "origin" and str(failed.text).endswith(" (model|1.py:12)")
    written = reports[1].read_text()
    assert "it fails: 1 figure is wrong by itself" in written and r"\(model\|1.py:12\)" in written
    assert written.splitlines()[-3].startswith("| origin | gradient of s |"), written
    with Client(service_url) as service:
        (stored,) = service.list_runs(label="a change")
        assert (stored.graph_id, stored.tags) == (service.get_run(main).graph_id, {"pr": "7"})
        assert f"{service_url}/comparisons/" in written


def test_a_renamed_program_passes_where_nodes_are_paired_by_what_they_compute(
    service_url: str, save: Callable[[Recording], str]
) -> None:
    def renamed(recording: Recording) -> Recording:
        def own(figures: Any) -> dict[str, Any]:
            return {f"my {name}": figure for name, figure in figures.items()}

        nodes = [
            {**node, "name": f"my {node['name']}", "inputs": [f"my {name}" for name in node.get("inputs", ())]}
            for node in _NODES
        ]
        figures = {kind: own(getattr(recording, kind)) for kind in ("inputs", "values", "gradients", "dtypes")}
        return replace(recording, nodes=nodes, outputs=("my y",), output="my y", sources={}, **figures)

    held = gradbook(service_url, "run", "import", save(neuron()), "--name", "original neuron", expect=0).strip()
    options = ("--baseline", held, "--align", "probes")
    assert gradbook(service_url, "gate", save(renamed(neuron())), *options, expect=0).startswith("same: 8 same")
    shown = gradbook(service_url, "gate", save(renamed(neuron(wrong))), *options, expect=1)
    assert "`my s` is " in shown and "gradient of my s (baseline: s)" in shown


def test_another_graph_is_a_version_of_the_baselines(
    service_url: str, main: str, save: Callable[[Recording], str]
) -> None:
    changed = [{**node, "operation": "Sigmoid"} if node["name"] == "y" else node for node in _NODES]
    y = 1 / (1 + np.exp(-neuron().values["s"]))
    file = save(replace(neuron(), nodes=changed, name="other", values={**neuron().values, "y": y}))
    document = json.loads(gradbook(service_url, "gate", file, "--baseline", main, "--json", expect=1))
    assert [origin["node"] for origin in document["origins"]] == ["y"]
    with Client(service_url) as service:
        stored = service.get_run(document["candidate"])
        assert (stored.graph_name, stored.graph_version) == ("gated neuron", 2)


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ({"values": {"y": np.tanh(np.float32([0.35, -0.875]))}}, "1 figure is missing"),
        ({"gradients": {}}, "all gradients are missing"),
        ({"values": {}}, "all values are missing"),
    ],
)
def test_what_is_missing_fails_only_where_all_is_required(
    service_url: str, main: str, save: Callable[[Recording], str], lacking: dict[str, Any], said: str
) -> None:
    asked = ("gate", save(replace(neuron(), **lacking)), "--baseline", main)
    gradbook(service_url, *asked, expect=0)
    ended = call_main(service_url, *asked, "--require-all")
    assert ended.code == 1 and ended.out.endswith(f" fails: {said}\n")


def test_errors_that_grew_pass_unless_any_difference_is_to_fail(service_url: str, tmp_path: Path) -> None:
    p = float(np.float64(1.0 + 1e-9) + 4e-16)
    with Client(service_url) as service:
        graph = service.create_graph("gate grew", expression="p = x + y; q = p - y; F = q * 1e9")
        ours = service.create_run(graph, {"x": 1e-9, "y": 1.0}, backward=False)
    figures = {"inputs/x": 1e-9, "inputs/y": 1.0, "values/p": p, "values/q": p - 1.0, "values/F": (p - 1.0) * 1e9}
    np.savez(tmp_path / "figures.npz", **figures)
    asked = ("gate", str(tmp_path / "figures.npz"), "--baseline", str(ours.id))
    assert "No figure is wrong by itself" in gradbook(service_url, *asked, expect=0)
    for spelling in ("differ", "difference"):
        ended = call_main(service_url, *asked, "--fail-on", spelling)
        assert ended.code == 1 and ended.out.endswith("fails: figures differ, though none is wrong by itself\n")


def test_figures_alone_are_of_the_baselines_graph_at_its_output_and_seed(service_url: str, tmp_path: Path) -> None:
    file = tmp_path / "a script.npz"
    with Client(service_url) as service:
        graph = service.create_graph("gate figures", expression="F = a * b; G = a + b")
        ours = service.create_run(graph, {"a": 2, "b": 3}, output="F", seed=10)
        np.savez(file, **{"inputs/a": 2.0, "inputs/b": 3.0, "gradients/F": 10.0, "gradients/a": np.float32(30)})
        gradbook(service_url, "gate", str(file), "--baseline", str(ours.id), "--label", "figures", expect=0)
        (stored,) = service.list_runs(label="figures")
        assert (stored.graph_id, stored.recorded_by, stored.output) == (graph.id, "a script.npz", "F")
        assert (stored.document["dtype"], stored.seed) == ("float32", 10)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("figures.npz", b"no archive", "not an .npz file"),
        ("figures.npz", b"", "not an .npz file"),
        ("figures.npz", _damaged(np.savez), "not an .npz file"),
        ("figures.npz", _damaged(np.savez_compressed), "not an .npz file"),
        ("figures.npz", {"values/z": np.array([1j])}, "values/z holds complex128, not real numbers"),
        ("figures.npz", {"values/z": np.array(["1"])}, "values/z holds <U1, not real numbers"),
        ("figures.npz", {"z": np.array(1.0)}, "'z' is not values/NAME, gradients/NAME or inputs/NAME"),
        ("nowhere.npz", None, "does not exist"),
    ],
)
def test_a_file_that_is_neither_is_an_error_of_usage(
    service_url: str, tmp_path: Path, name: str, content: bytes | dict[str, Any] | None, said: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content:
        np.savez(tmp_path / name, **content)
    assert said in gradbook(service_url, "gate", str(tmp_path / name), "--baseline", "x", expect=2)


@pytest.mark.parametrize("option", ["--junit", "--markdown"])
def test_a_report_that_cannot_be_written_is_an_error_of_usage(
    service_url: str, main: str, save: Callable[[Recording], str], option: str
) -> None:
    asked = ("gate", save(neuron()), "--baseline", main, option, "/nowhere/report")
    assert "/nowhere/report" in gradbook(service_url, *asked, expect=2)


def test_no_baseline_and_no_service_end_with_3(service_url: str, main: str, save: Callable[[Recording], str]) -> None:
    file = save(neuron())
    assert (
        "no run of the graph 'gated neuron' has the label 'mian'; near it is main; `gradbook baseline set"
        in gradbook(service_url, "gate", file, "--baseline", "gated neuron:mian", expect=3)
    )
    assert "no service answers" in gradbook("http://127.0.0.1:9", "gate", file, "--baseline", "x", expect=3)
