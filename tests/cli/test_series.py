"""`gradbook series`: the entry point in this process, real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.client import Client, Graph, Problem, Series
from tests.api.test_series import CARRY, STEP, train
from tests.cli.command import gradbook

CARRIES = [part for node, taken in CARRY.items() for part in ("--carry", f"{node}={taken}")]


@pytest.fixture(scope="module")
def service(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


@pytest.fixture(scope="module")
def graph(service: Client) -> Graph:
    return service.create_graph("cli series", expression=STEP)


@pytest.fixture(scope="module")
def wrong(service: Client, graph: Graph) -> Series:
    """A series of a thousand figures and more, which travel as .npz: a gradient has the wrong sign in its step 5, and
    a weight is written after step 8."""
    series = service.create_series(graph, CARRY, label="wrong")
    values = train(200, "silent", 8)
    values["g"][4] *= -1
    return service.add_steps(series, values, first=1)


def test_a_training_run_from_its_beginning_to_its_verdict(service_url: str, graph: Graph, tmp_path: Path) -> None:
    made = gradbook(
        service_url, "series", "create", graph.id, *CARRIES, "--label", "a", "--rtol", "1e-9", "--tag", "k:v", expect=0
    )
    series = made.split()[1]
    assert "carry        w':w, v':v" in made and "k:v" in made
    right, bad = tmp_path / "right.npz", tmp_path / "wrong.npz"
    values = train(6, "weight decay", 5)
    np.savez(right, **{name: array[:4] for name, array in values.items()})
    np.savez(bad, **{name: array[4:] for name, array in values.items()})
    assert "last_step    4" in gradbook(service_url, "series", "add", series, str(right), expect=0)
    said = gradbook(service_url, "series", "verdict", series, expect=0)
    assert said == "Each of 4 steps follows from what it took.\n"
    refused = gradbook(service_url, "series", "add", series, str(bad), "--first", "7", expect=3)
    assert "the next step of this series is 5, not 7" in refused
    assert "first_wrong  5" in gradbook(service_url, "series", "add", series, str(bad), "--first", "5", expect=1)
    said = gradbook(service_url, "series", "verdict", series, expect=1)
    assert (
        said.startswith("1 of 6 steps has an origin; the first is step 5.\n  `v'` is ") and "\n  comparison 0" in said
    )
    assert json.loads(gradbook(service_url, "series", "verdict", series, "--json", expect=1))["wrong_steps"] == [5]
    shown = gradbook(service_url, "series", "show", series, "--only", "origins", expect=0)
    assert shown.splitlines()[-1].split()[:2] == ["5", "v'"]
    assert len(json.loads(gradbook(service_url, "series", "show", series, "--json", expect=0))["listed"]) == 6
    listed = gradbook(service_url, "series", "list", "--graph", graph.id, "--label", "a", expect=0)
    assert [line.split()[:4] for line in listed.splitlines()[2:]] == [[series[-8:], "cli", "series@1", "6"]]
    gradbook(service_url, "series", "delete", series, expect=0)
    assert json.loads(gradbook(service_url, "series", "list", "--label", "a", "--json", expect=0)) == []


def test_what_is_no_npz_is_refused(service_url: str, tmp_path: Path) -> None:
    file = tmp_path / "steps.npz"
    for content in (b"", b"PK\x03\x04", b"text"):
        file.write_bytes(content)
        assert "not an .npz file" in gradbook(service_url, "series", "add", "x", str(file), expect=2)
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert "not an .npz file" in gradbook(service_url, "series", "add", "x", str(tmp_path / "one.npy"), expect=2)
    assert "NODE=INPUT" in gradbook(service_url, "series", "create", "x", "--carry", "w", expect=2)


def test_the_client_reads_what_was_found(service: Client, graph: Graph, wrong: Series) -> None:
    assert (wrong.steps, wrong.wrong, wrong.broken, wrong.graph_id) == (200, 1, 1, graph.id)
    assert [each.id for each in service.list_series(graph=graph, label="wrong")] == [wrong.id]
    assert service.get_series(wrong) == wrong
    verdict = service.get_series_verdict(wrong)
    assert verdict.arose and verdict.first_wrong is not None and verdict.first_wrong.comparison is not None
    assert verdict.first_wrong.origins[0].node == "g"
    assert service.get_comparison(verdict.first_wrong.comparison).origins[0] == verdict.first_wrong.origins[0]
    (carry,) = verdict.broken_carries
    assert (carry.step, carry.node, carry.input) == (9, "w'", "w")
    assert carry.sentence.startswith("Step 9 took w of norm ")
    assert len(verdict.norms["w"]) == len(verdict.norm_steps) == 200
    steps = list(service.list_series_steps(wrong))
    assert [step.step for step in steps] == [*range(1, 201)]
    assert steps[4].origins == ("g",) and steps[8].broken == ("w'",)
    assert steps[199].run is not None and steps[100].run is None
    service.delete_series(wrong)
    with pytest.raises(Problem):
        service.get_series(wrong)
