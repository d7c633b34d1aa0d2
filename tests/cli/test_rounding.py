"""`gradbook run rounding`: the entry point in this process, real HTTP."""

import json

import pytest

from service.client import Client
from tests.cli.command import gradbook


@pytest.fixture(scope="module")
def run(service_url: str) -> str:
    with Client(service_url) as service:
        graph = service.create_graph("near", expression="p = exp(x); q = exp(y); d = p - q; L = d * d")
        made = service.create_run(graph, {"x": 1.0, "y": 1.01}).id
    assert made is not None
    return made


def test_it_names_what_amplifies_and_whose_rounding_does_most(service_url: str, run: str) -> None:
    shown = gradbook(service_url, "run", "rounding", run, "--dtype", "bfloat16", "--limit", "4", expect=0)
    assert "d = p − q amplifies relative errors" in shown
    assert {line.split()[0] for line in shown.splitlines()[-4:]} == {"y", "p", "q", "d"}  # bfloat16 has x


def test_json_is_the_services_document(service_url: str, run: str) -> None:
    shown = gradbook(service_url, "run", "rounding", run, "--dtype", "float16", "--json", expect=0)
    with Client(service_url) as service:
        found = service.get_rounding(run, dtype="float16", limit=20)
    assert json.loads(shown) == found.document
    assert (found.amplifier, found.output) == ("d", "L")
    assert {"p", "q"} <= {node.name for node in found.nodes}
    assert [node.name for node in found.nodes] == [row["name"] for row in found.rows()]
    assert found.likely < found.greatest


def test_a_precision_is_needed(service_url: str, run: str) -> None:
    gradbook(service_url, "run", "rounding", run, expect=2)
    gradbook(service_url, "run", "rounding", run, "--dtype", "float64", expect=2)


def test_a_comparison_has_what_rounding_may_do(service_url: str, run: str) -> None:
    with Client(service_url) as service:
        point = {"x": 1.0, "y": 1.01}
        distance = 1.05 * service.get_run(run).values["L"]
        theirs = service.record_run("near", by="jax", dtype="bfloat16", inputs=point, values={"L": distance})
        found = service.create_comparison(run, theirs)
        same = service.create_comparison(run, run)
    assert found.rounding is not None and same.rounding is None
    assert (found.rounding["node"], found.rounding["amplifier"]["node"]) == ("L", "d")
