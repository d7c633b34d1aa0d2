"""The command, its data, its messages and its exit codes, against real services."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import yaml

from service.client import Client
from service.core.execution import kernel
from service.example import EXAMPLES
from service.process import free_port, service_process
from tests.cli.command import Ended, call_main

COMMAND = [sys.executable, "-m", "service.cli"]
SEED = "e = a + b; f = e * c; F = f / d"
POINT = ("a=5", "b=1", "c=-2", "d=-3")


Gradbook = Callable[..., Ended]


@pytest.fixture
def gradbook(service_url: str) -> Gradbook:
    """The entry point, called in this process, with the service in GRADBOOK_URL."""
    return partial(call_main, service_url)


# --- graphs -------------------------------------------------------------------------------------------------------


def test_a_graph_from_its_creation_to_its_end(gradbook: Gradbook) -> None:
    created = gradbook("graph", "create", "cli graph", SEED, "--tag", "made by:cli", "--json")
    assert (created.code, created.err) == (0, "")
    assert (created.json["name"], created.json["version"], created.json["tags"]) == ("cli graph", 1, {"made by": "cli"})
    identifier = created.json["id"]
    for wanted in (identifier, "cli graph"):
        shown = gradbook("graph", "show", wanted)
        assert (shown.code, shown.err) == (0, "")
        assert identifier in shown.out
        assert re.search(r"^ *F +Div +f, d", shown.out, re.MULTILINE)
        assert gradbook("graph", "show", wanted, "--json").json == created.json
    listed = gradbook("graph", "list", "--tag", "made by:cli")
    assert identifier[-8:] in listed.out and "cli graph@1" in listed.out and SEED in listed.out
    assert [graph["id"] for graph in gradbook("graph", "list", "--name", "cli graph", "--json").json] == [identifier]
    deleted = gradbook("graph", "delete", "cli graph")
    assert (deleted.code, deleted.out, deleted.err) == (0, "", "version 1 of cli graph is deleted\n")
    gone = gradbook("graph", "show", identifier)
    assert (gone.code, gone.out) == (3, "")
    assert gone.err == f"gradbook: there is no graph {identifier!r}\n"


def test_what_is_kept_is_changed_and_deleted(gradbook: Gradbook) -> None:
    gradbook("graph", "create", "cli tidy", "y = x * x", "--tag", "a:1")
    tagged = gradbook("graph", "update", "cli tidy", "--tag", "b:2", "--no-tag", "a", "--json")
    assert (tagged.code, tagged.json["tags"]) == (0, {"b": "2"})
    runs = [gradbook("run", "create", "cli tidy", "x=3", "--label", "old", "--json").json["id"] for _ in range(2)]
    changed = gradbook("run", "update", runs[0], "--label", "new", "--tag", "c:3", "--json").json
    assert (changed["label"], changed["tags"]) == ("new", {"c": "3"})
    changed = gradbook("run", "update", runs[0], "--no-label", "--no-tags", "--json").json
    assert (changed["label"], changed["tags"]) == (None, {})
    assert "label        old" in gradbook("run", "update", runs[1]).out
    for wrong in (("--label", "x", "--no-label"), ("--tag", "a:1", "--no-tags")):
        assert gradbook("run", "update", runs[0], *wrong).code == 2
    compared = gradbook("compare", *runs, "--json").json["id"]
    refused = gradbook("run", "delete", runs[0])
    assert refused.code == 3 and compared in refused.err and "cascade" in refused.err
    deleted = gradbook("comparison", "delete", compared)
    assert (deleted.code, deleted.out, deleted.err) == (0, "", f"the comparison {compared} is deleted\n")
    assert gradbook("run", "delete", runs[0], "--json").json == {"deleted": runs[0]}
    assert gradbook("derivatives", "delete", "none").code == 3
    assert gradbook("graph", "delete", "cli tidy").code == 3
    assert gradbook("graph", "delete", "cli tidy", "--cascade").code == 0
    assert gradbook("run", "show", runs[1]).code == 3


def test_a_graph_with_weights(gradbook: Gradbook, tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", W=np.float32([[1, 2], [3, 4]]))
    asked = ("graph", "create", "cli weights", "y = x @ W + b")
    created = gradbook(*asked, "--weights", str(tmp_path / "weights.npz"), "--json")
    assert (created.code, list(created.json["weights"])) == (0, ["W"]), created.err
    digest = created.json["weights"]["W"]
    assert f"W:{digest}" in gradbook("graph", "show", "cli weights").out
    run = gradbook("run", "create", "cli weights", "x=[1, -1]", "b=1", "--json")
    assert (run.code, run.json["outputs"]) == (0, {"y": [-1, -1]}), run.err
    (tmp_path / "inputs.json").write_text(json.dumps({"x": [1, 1], "b": {"tensor": digest}}))
    run = gradbook("run", "create", "cli weights", "--inputs", str(tmp_path / "inputs.json"), "--json")
    assert run.json["outputs"] == {"y": [[5, 8], [7, 10]]}
    assert gradbook("run", "list", "--graph", "cli weights").code == 0
    (tmp_path / "weights.npz").write_text("no archive")
    refused = gradbook(*asked, "--weights", str(tmp_path / "weights.npz"))
    assert refused.code == 2 and "an .npz of arrays is expected" in refused.err


def test_a_name_means_its_highest_version_and_a_label_the_newest_run(gradbook: Gradbook) -> None:
    for expression in ("y = x + 1", "y = x + 2"):
        assert gradbook("graph", "create", "cli versions", expression).code == 0
    assert gradbook("graph", "show", "cli versions", "--json").json["version"] == 2
    made = [gradbook("run", "create", f"cli versions@{k}", "x=1", "--label", "main", "--json").json for k in (2, 1)]
    assert [run["outputs"] for run in made] == [{"y": 3}, {"y": 2}]
    assert gradbook("run", "show", "cli versions:main", "--json").json["id"] == made[1]["id"]
    assert gradbook("run", "show", made[0]["id"][-8:], "--json").json["id"] == made[0]["id"]
    assert gradbook("compare", "cli versions@2:main", "cli versions:main").out.startswith("differ: ")
    listed = gradbook(
        "run", "list", "--graph", "cli versions@1", "--source", "computed", "--search", "MAIN", "--json"
    ).json
    assert [run["id"] for run in listed] == [made[1]["id"]]
    asked = ("--since", "2026-01-01", "--sort", "-name", "--search", "cli versions", "--limit", "1")
    found = gradbook("graph", "list", *asked, "--json")
    assert [graph["version"] for graph in found.json] == [2] and "the first 1; --limit lists more" in found.err
    refused = gradbook("run", "list", "--graph", "cli version")
    assert refused.code == 3 and refused.err.startswith("gradbook: there is no graph 'cli version'; near it ")
    assert "cli versions" in refused.err


def test_a_graph_comes_from_standard_input_in_both_forms(gradbook: Gradbook, tmp_path: Path) -> None:
    written = gradbook("graph", "create", "cli forms", "-", "--json", stdin=SEED).json
    whole = gradbook("graph", "show", "cli forms", "--json").out
    again = gradbook("graph", "create", "cli forms", "--nodes", "-", "--json", stdin=whole).json
    assert again["id"] == written["id"]
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps(written["nodes"]))
    other = gradbook("graph", "create", "cli forms", "--nodes", str(file), "--output", "f", "--json").json
    assert (other["version"], other["outputs"]) == (2, ["f"])


@pytest.mark.slow
def test_long_graphs_are_printed_whole(gradbook: Gradbook) -> None:
    nodes = [{"name": "x", "operation": "Input"}] + [
        {"name": f"n{index}", "operation": "Neg", "inputs": [f"n{index - 1}" if index else "x"]}
        for index in range(1200)
    ]
    made = gradbook("graph", "create", "cli long", "--nodes", "-", "--json", stdin=json.dumps(nodes)).json
    assert (len(made["nodes"]), made["next"]) == (1201, None)
    run = gradbook("run", "create", "cli long", "x=2", "--json").json
    assert [run["nodes"][index]["value"] for index in (0, 1, 1200)] == [2, -2, 2]
    assert re.search(r"^ *n1199 +Neg +2 +1", gradbook("run", "show", run["id"]).out, re.MULTILINE)


def test_lists_say_that_there_are_more(gradbook: Gradbook) -> None:
    for index in range(3):
        gradbook("graph", "create", "cli many", f"y = x + {index}")
    listed = gradbook("graph", "list", "--name", "cli many", "--limit", "2", "--json")
    assert [graph["version"] for graph in listed.json] == [3, 2]
    assert "--limit" in listed.err


# --- runs ---------------------------------------------------------------------------------------------------------


def test_runs_are_listed_without_numpy(gradbook: Gradbook, service_url: str) -> None:
    gradbook("graph", "create", "cli start", "y = x * w + 1")
    for number in ("2.5", "[[1, 2, 3], [4, 5, 6]]", "-inf"):
        gradbook("run", "create", "cli start", f"x={number}", "w=2")
    # What a fresh process has imported once the list is printed.
    watched = ("numpy", "rich.progress", "service.serving", "service.recorders", "service.settings")
    text = f"""
import atexit, sys
atexit.register(lambda: print([name for name in {watched} if name in sys.modules], file=sys.stderr))
sys.argv = ["gradbook", "run", "list", "--graph", "cli start", "--url", "{service_url}"]
from service.cli.main import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ended.stderr == "[]\n"
    assert [row.split()[3:6] for row in ended.stdout.splitlines()[2:]] == [
        ["x=-∞", "w=2", "y=-∞"],
        ["x=[2×3]", "w=2", "y=[2×3]"],
        ["x=2.5", "w=2", "y=6"],
    ]


def test_a_run_is_made_shown_and_listed(gradbook: Gradbook) -> None:
    gradbook("graph", "create", "cli run", SEED)
    made = gradbook("run", "create", "cli run", *POINT, "--label", "cli label", "--tag", "k:v")
    assert (made.code, made.err) == (0, "")
    assert re.search(r"^ *d +Input +-3 +1\.33333", made.out, re.MULTILINE)
    assert re.search(r"^graph +cli run@1$", made.out, re.MULTILINE)
    (listed,) = gradbook("run", "list", "--graph", "cli run", "--label", "cli label", "--tag", "k:v", "--json").json
    shown = gradbook("run", "show", listed["id"], "--json").json
    assert {node["name"]: node["gradient"] for node in shown["nodes"]}["d"] == 4 / 3
    table = gradbook("run", "list", "--graph", "cli run").out
    assert listed["id"][-8:] in table and "cli run@1" in table and " a=5 b=1 c=-2 d=-3 " in table and " F=4 " in table


def test_runs_are_made_together(gradbook: Gradbook) -> None:
    gradbook("graph", "create", "cli runs", SEED)
    points = [{"inputs": {"a": 5, "b": 1, "c": -2, "d": d}, "label": f"d = {d}"} for d in (-3, 2)]
    made = gradbook("run", "batch", "cli runs", "-", "--forward-only", stdin=json.dumps(points))
    rows = [re.findall(r" d=-?\d +F=-?\d", row) for row in made.out.splitlines()[2:]]
    assert rows == [[" d=-3  F=4"], [" d=2   F=-6"]]
    refused = gradbook("run", "batch", "cli runs", "-", stdin=json.dumps([points[0], {"inputs": {}}]))
    assert refused.code == 3 and "  /runs/1/inputs: the input 'a' is missing\n" in refused.err
    alone = gradbook("run", "batch", "cli runs", "-", stdin=json.dumps([*points, 4]))
    assert alone.err == "gradbook: an object is expected\n  /runs/2: an object is expected\n"
    assert "a JSON list of runs is expected" in gradbook("run", "batch", "cli runs", "-", stdin="{}").err
    assert len(gradbook("run", "list", "--graph", "cli runs", "--json").json) == 2


def test_a_list_is_as_wide_as_80_columns_whatever_it_holds(gradbook: Gradbook) -> None:
    name = "cli wide" + " and wider" * 12
    gradbook("graph", "create", name, "s = " + " + ".join(f"x_{k}" for k in range(60)) + "\ny = s + 1")
    made = gradbook("run", "create", name, *(f"x_{k}=0.125" for k in range(60)), "--label", "long " * 25, "--json").json
    for kind, identifier in (("graph", made["graph_id"]), ("run", made["id"])):
        header, rule, line, *_ = gradbook(kind, "list", "--limit", "1").out.splitlines()
        assert len(line) == 80 >= max(map(len, (header, rule))), line
        assert line.startswith(f"{identifier[-8:]}  cli wide a") and line.endswith(made["created_at"][11:16])
        assert "…" in line and gradbook(kind, "show", line.split()[0], "--json").json["id"] == identifier


def test_inputs_come_from_a_file_and_from_the_command_line(gradbook: Gradbook, tmp_path: Path) -> None:
    gradbook("graph", "create", "cli inputs", "y = a * b")
    text = '{"a": [1, "NaN", "Infinity"], "b": 2}'
    read = gradbook("run", "create", "cli inputs", "--inputs", "-", "b=-0.5", "--json", stdin=text).json
    assert read["outputs"]["y"] == [-0.5, "NaN", "-Infinity"]
    thirds = gradbook("run", "create", "cli inputs", "a=4/3", "b=-2/3", "--json").json
    assert thirds["inputs"] == {"a": 4 / 3, "b": -2 / 3}
    given = gradbook("run", "create", "cli inputs", "a=nan", "b=[[1], [2]]")
    assert re.search(r"^ *a +Input +NaN +3", given.out, re.MULTILINE)
    assert re.search(r"^ *y +Mul +\[2×1\] +\[2×1\]", given.out, re.MULTILINE)
    file = tmp_path / "inputs.json"
    file.write_text('{"a": 1, "b": 2}')
    options = ("--seed", "10", "--output", "y", "--no-keep", "--json")
    unkept = gradbook("run", "create", "cli inputs", "--inputs", str(file), *options).json
    assert (unkept["id"], unkept["gradients"]) == (None, {"a": 20, "b": 10})
    forward = gradbook("run", "create", "cli inputs", "--inputs", str(file), "--forward-only", "--json").json
    assert forward["gradients"] is None


def test_a_key_takes_effect_once(gradbook: Gradbook) -> None:
    gradbook("graph", "create", "cli key", "y = x * 2")
    runs = [gradbook("run", "create", "cli key", "x=1", "--key", "cli once", "--json").json["id"] for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_point_without_a_derivative_is_marked(gradbook: Gradbook) -> None:
    gradbook("graph", "create", "cli kink", "y = abs(x)")
    assert re.search(r"^ *y +Abs +0 +1 +no derivative", gradbook("run", "create", "cli kink", "x=0").out, re.MULTILINE)


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["graph", "create", "x"], "", "EXPRESSION or --nodes"),
        (["graph", "create", "x", "y = x", "--nodes", "-"], "[]", "EXPRESSION or --nodes"),
        (["graph", "create", "x", "y = x", "--tag", "no colon"], "", "KEY:VALUE"),
        (["graph", "create", "x", "--nodes", "-"], "5", "a JSON list of nodes"),
        (["graph", "create", "x", "--nodes", "/nowhere/nodes.json"], "", "No such file"),
        (["graph", "create", "x", "--nodes", "-"], "[" * 100_000, "invalid JSON"),
        (["run", "create", "x", "a"], "", "NAME=FIGURE"),
        (["run", "create", "x", "a=five"], "", "a=five"),
        (["run", "create", "x", "a=[1,"], "", "a=[1,"),
        (["run", "create", "x", "a=4/0"], "", "a fraction such as 4/3"),
        (["run", "create", "x", "a=4/x"], "", "a fraction such as 4/3"),
        (["run", "create", "x", "--inputs", "-"], "[]", "a JSON object"),
        (["run", "create", "x", "--inputs", "-"], '{"a": 1, "a": 2}', "twice"),
        (["run", "create", "x", "--inputs", "-"], '{"a": 1e999}', "out of float64's range"),
        (["run", "create", "x", "--seed", "one"], "", "--seed one"),
        (["serve", "--port", "65536"], "", "65536"),
        (["serve", "--database", "nothing"], "", "sqlite:///"),
        (["migrate", "--database", "sqlite:////nowhere/at/all.db"], "", "/nowhere/at"),
        (["graph", "unknown"], "", "unknown"),
    ],
)
def test_a_wrong_call_ends_with_2(gradbook: Gradbook, arguments: list[str], stdin: str, said: str) -> None:
    ended = gradbook(*arguments, stdin=stdin)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err and "Traceback" not in ended.err


def test_a_wrong_variable_is_named(gradbook: Gradbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADBOOK_PORT", "eighty")
    ended = gradbook("serve")
    assert ended.code == 2
    assert "GRADBOOK_PORT" in ended.err


def test_a_refusal_ends_with_3_and_names_every_fault(gradbook: Gradbook) -> None:
    wrong = gradbook("graph", "create", "cli wrong", "e = x\ny = e + * 2")
    assert (wrong.code, wrong.out) == (3, "")
    assert wrong.err.startswith("gradbook: line 2, column 9:")
    assert wrong.err.splitlines()[-2:] == ["y = e + * 2", "        ^"]
    gradbook("graph", "create", "cli wrong", "y = a + b")
    refused = gradbook("run", "create", "cli wrong", "a=1", "q=2")
    assert (refused.code, refused.out) == (3, "")
    assert "'b'" in refused.err and "  /inputs/q: " in refused.err


def test_help_says_what_path_lacks() -> None:
    program = Path(sys.executable).with_name("gradbook")
    said = f'\nTo call it as gradbook:  export PATH="{program.parent}:$PATH"\n'
    for path, is_said in (("/nowhere", True), (f"/nowhere:{program.parent}", False)):
        environ = {**os.environ, "PATH": path}
        shown = subprocess.run([program, "--help"], env=environ, capture_output=True, text=True, check=False)
        assert shown.returncode == 0 and shown.stdout.endswith(said) == is_said, shown


def test_no_service_ends_with_3(gradbook: Gradbook) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    ended = gradbook("graph", "list", "--url", nowhere)  # the flag goes before the environment
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"gradbook: no service answers at {nowhere}: Connection refused\n"


# --- the service itself -------------------------------------------------------------------------------------------


def gradbook_process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], text=True, capture_output=True, timeout=120, check=False, **options)


def environment(**variables: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GRADBOOK_")} | variables


@pytest.mark.slow
def test_demo_prints_the_tutorials_figures_beside_ours(tmp_path: Path) -> None:
    ended = gradbook_process("demo", env=environment(TMPDIR=str(tmp_path), GRADBOOK_MAX_NODES="1"))
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = [line.split() for line in ended.stdout.splitlines() if line.rstrip().endswith(("right", "wrong"))]
    assert [row for row in rows if row[0] != "6"] == [
        ["a", "Input", "5", "0.666667", "6", "wrong"],
        ["b", "Input", "1", "0.666667", "6", "wrong"],
        ["c", "Input", "-2", "-2", "-18", "wrong"],
        ["d", "Input", "-3", "1.33333", "108", "wrong"],
        ["e", "Add", "6", "0.666667", "6", "wrong"],
        ["f", "Mul", "-12", "-0.333333", "-3", "wrong"],
        ["F", "Div", "4", "1", "1", "right"],
    ]
    assert "6 of the tutorial's 7 gradients are wrong" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_demo_lists_the_examples(gradbook: Gradbook) -> None:
    listed = gradbook("demo", "--list").out
    assert len(listed.splitlines()) == len(EXAMPLES) + 2
    assert all(f"{example.name} " in listed and example.sentence in listed for example in EXAMPLES)
    assert [each["inputs"] for each in gradbook("demo", "--list", "--json").json] == [each.inputs for each in EXAMPLES]


@pytest.mark.faults
def test_demo_runs_another_example(gradbook: Gradbook) -> None:
    shown = gradbook("demo", "rosenbrock").out
    assert "f = (1 - x)^2 + 100 * (y - x^2)^2" in shown and "24.2" in shown and "-215.6" in shown
    figures = {node["name"]: node for node in gradbook("demo", "rosenbrock", "--json").json}
    assert figures["y"]["gradient"] == pytest.approx(-88)


@pytest.mark.faults
def test_demo_as_json(gradbook: Gradbook) -> None:
    figures = {node["name"]: node for node in gradbook("demo", "--json").json}
    assert figures["d"]["gradient"] == 4 / 3
    assert [name for name, node in figures.items() if node["tutorial_is_right"]] == ["F"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes started here heed SIGINT, even if the suite itself, run in the background, was started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.faults
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_demo_leaves_nothing_behind_when_it_is_stopped(tmp_path: Path, number: signal.Signals, to_all: bool) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo"],
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        wait_for(lambda: list(tmp_path.glob("gradbook-*/gradbook.db")))
        (os.killpg if to_all else os.kill)(demo.pid, number)  # a terminal's ^C goes to all
        assert demo.stderr is not None and "Traceback" not in demo.stderr.read()
        assert demo.wait(60) != 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`gradbook serve` in a folder, as soon as its database is there, and the port; nothing of it may be left."""
    port = free_port()
    with subprocess.Popen(
        [*COMMAND, "serve"],
        cwd=folder,
        env=environment(GRADBOOK_PORT=str(port), PYTHONPATH=str(Path(__file__).parents[2]), **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_for((folder / "gradbook.db").exists)
        yield process, port
    wait_for(lambda: not exists(process.pid))


def exists(group: int) -> bool:
    """Whether a process of that group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.faults
@pytest.mark.parametrize(("number", "ready"), [(signal.SIGTERM, True), (signal.SIGTERM, False), (signal.SIGINT, True)])
def test_serve_stops_cleanly(tmp_path: Path, number: signal.Signals, ready: bool) -> None:
    with serving(tmp_path) as (process, port):
        if ready:
            wait_for(lambda: answers(port))
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, "")
        # Where coverage measures the service, it has its own say about being stopped.
        logged = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
        assert {line["path"] for line in logged} == ({"/readyz"} if ready else set())
        said = f"Gradbook serves at http://127.0.0.1:{port} and explains its API at /docs\nNext: open "
        assert err.startswith(said) if ready else said not in err
        assert "Traceback" not in err


@pytest.mark.compilation
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_it_serves_while_it_compiles_and_stops_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, port):
        wait_for(lambda: answers(port))
        wait_for(lambda: "llvmlite" in Path(f"/proc/{process.pid}/maps").read_text())
        assert answers(port)
        process.terminate()
        assert (process.communicate(timeout=20)[0], process.returncode) == ("", 0)


def children(process: int) -> list[int]:
    """The processes that a process has begun."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [*map(int, found)]


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_processes_of_serve_begin_by_themselves_and_end_with_it(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, _):
        wait_for(lambda: any(len(children(child)) == 4 for child in children(process.pid)))
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_serve_may_be_one_process(tmp_path: Path) -> None:
    with serving(tmp_path, GRADBOOK_PROCESSES="0") as (process, port):
        wait_for(lambda: answers(port))
        assert children(process.pid) == []
        process.terminate()


def test_a_port_that_is_taken_is_named(service_url: str, tmp_path: Path) -> None:
    port = service_url.rpartition(":")[2]
    ended = gradbook_process("serve", "--port", port, "--database", f"sqlite:///{tmp_path}/other.db")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == f"gradbook: cannot listen at 127.0.0.1:{port}: Address already in use\n"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database\n" * 1000)
    ended = gradbook_process("migrate", "--database", f"sqlite:///{tmp_path}/text.db")
    assert ended.returncode == 3
    assert "not a database" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.slow
def test_the_seed_example_is_stored_once(gradbook: Gradbook, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/gradbook.db"
    first, second = (gradbook("migrate", "--seed-example", "--database", database, "--json").json for _ in range(2))
    assert first == second
    with service_process(database, variables={"GRADBOOK_PROCESSES": "0"}) as url, Client(url) as client:
        (run,) = client.list_runs(label="the seed example")
        assert {"graph": run.graph_id, "run": run.id} == first
        assert (run.values["F"], run.gradients["d"]) == (4, 4 / 3)
        assert client.get_graph(run.graph_id).name == "blog"


def test_warm_compiles_before_any_start(gradbook: Gradbook) -> None:
    assert gradbook("warm") == (0, "", "")
    assert kernel._loops is not None


@pytest.mark.slow
def test_openapi_is_the_services_own_and_leaves_no_database(
    gradbook: Gradbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_url: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    printed = gradbook("openapi")
    assert (printed.code, printed.err) == (0, "")
    assert printed.out == requests.get(f"{service_url}/openapi.yaml", timeout=10).text
    assert gradbook("openapi", "--json").json == yaml.safe_load(printed.out)
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("colourless", [False, True])
def test_colour_is_for_terminals_and_never_with_no_color(
    gradbook: Gradbook, service_url: str, colourless: bool
) -> None:
    pty = pytest.importorskip("pty")
    gradbook("graph", "create", "cli colour", "y = abs(x)")
    run = gradbook("run", "create", "cli colour", "x=0", "--json").json["id"]
    assert "\x1b" not in gradbook("run", "show", run).out
    master, terminal = pty.openpty()
    variables = environment(TERM="xterm-256color", GRADBOOK_URL=service_url) | ({"NO_COLOR": "1"} if colourless else {})
    with subprocess.Popen([*COMMAND, "run", "show", run], env=variables, stdout=terminal) as process:
        os.close(terminal)
        printed = read_all(master)
        assert process.wait(60) == 0
    assert b"no derivative" in printed
    assert (b"\x1b[33m" in printed) is not colourless


def read_all(master: int) -> bytes:
    parts = []
    try:
        while part := os.read(master, 4096):
            parts.append(part)
    except OSError:  # Linux's way to say that the other end is closed
        pass
    finally:
        os.close(master)
    return b"".join(parts)


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).ok
    except requests.ConnectionError:
        return False
