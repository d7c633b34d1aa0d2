"""The contract of alignments, and of comparisons whose nodes are paired by them."""

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.api.conftest import MakeApp
from tests.api.test_comparisons import compare, created, nodes, problem

X, WEIGHT = [[0.5, 1], [2, -1]], [[0.2, -0.7, 1], [0.4, 0.1, -3]]
ORIGINAL = "h = gelu(x @ W + b); F = mean(h * h)"
PORT = 'z = gemm(data, kernel, bias, transB=1); act = gelu(z, approximate="{}"); loss = mean(act ^ 2)'
AT = {"x": X, "W": WEIGHT, "b": [0, 0.5, 1]}
PORT_AT = {"data": X, "kernel": np.transpose(WEIGHT).tolist(), "bias": AT["b"]}


def run_of(client: FlaskClient, expression: str, inputs: Any, **body: Any) -> str:
    """The id of a run of a graph."""
    graph = client.post("/v1/graphs", json={"name": "aligned", "expression": expression}).json
    assert graph is not None
    return str(created(client, f"/v1/graphs/{graph['id']}/runs", {"inputs": inputs, **body})["id"])


@pytest.fixture(scope="module")
def original(client: FlaskClient) -> str:
    """A run of a network."""
    return run_of(client, ORIGINAL, AT)


def port(client: FlaskClient, kind: str = "none", **body: Any) -> str:
    """A run of its port, under other names and with its weight transposed."""
    return run_of(client, PORT.format(kind), PORT_AT, **body)


def test_the_nodes_of_a_port_are_paired_and_nothing_is_stored(client: FlaskClient, original: str) -> None:
    count = len(client.get("/v1/comparisons").json["comparisons"])  # type: ignore[index]
    sides = {"baseline": original, "candidate": port(client, "tanh")}
    found = created(client, "/v1/alignments", sides, 200)
    assert found == {
        "pairs": {
            **{"data": "x", "kernel": "W", "bias": "b", "z": "add_1"},
            **{"act": "h", "pow_1": "mul_1", "loss": "F"},
        },
        "how": {
            **dict.fromkeys(["data", "kernel", "bias", "z", "pow_1"], "figures"),
            **dict.fromkeys(["act", "loss"], "structure"),
        },
        "counts": {"figures": 5, "structure": 2},
        "cuts": [["act", "h"]],
        "layouts": {"kernel": "W"},
        "unpaired": {"candidate": ["constant_1"], "baseline": ["matmul_1"]},
    }
    told = created(client, "/v1/alignments", {**sides, "names": {"bias": "b"}}, 200)
    assert told["how"]["bias"] == "name" and told["pairs"] == found["pairs"]
    assert len(client.get("/v1/comparisons").json["comparisons"]) == count  # type: ignore[index]


def test_a_port_is_compared_by_what_its_nodes_compute(client: FlaskClient, original: str) -> None:
    found = compare(client, original, port(client), align="probes")
    assert (found["verdict"], found["arose"], found["align"]) == ("same", False, "probes")
    assert found["compared"] == {"values": 7, "gradients": 7}
    kernel = nodes(found)["backward kernel"]
    assert kernel["baseline_name"] == "W" and np.shape(kernel["baseline"]) == (3, 2)
    wrong = compare(client, original, port(client, "tanh"), align="probes")
    assert [(each["phase"], each["node"]) for each in wrong["origins"]] == [("forward", "act")]
    assert wrong["origins"][0]["sentence"].endswith('it has approximate "tanh", in the baseline "none".')
    assert wrong["alignment"]["cuts"] == [["act", "h"]]
    again = compare(client, original, port(client, "tanh"), align="probes", names=wrong["alignment"]["pairs"])
    assert {*again["alignment"]["how"].values()} == {"name"} and again["counts"] == wrong["counts"]
    # By names there is nothing but the outputs in common.
    assert "alignment" not in compare(client, original, port(client), align="names")


def test_an_error_in_a_recording_does_not_mislead_the_pairs(client: FlaskClient, original: str) -> None:
    right = created(client, "/v1/alignments", {"baseline": original, "candidate": port(client)}, 200)
    recorded = {"by": "a port", "values": {"z": [[1.0] * 3] * 2, "loss": 2.0}, "gradients": {"kernel": [[0, 0]] * 3}}
    run = port(client, recorded=recorded)
    assert created(client, "/v1/alignments", {"baseline": original, "candidate": run}, 200) == right
    found = compare(client, original, run, align="probes")
    assert [(each["phase"], each["node"]) for each in found["origins"]] == [
        ("forward", "z"),
        ("forward", "loss"),
        ("backward", "kernel"),
    ]


def test_a_kept_comparison_answers_the_same_later(make_app: MakeApp) -> None:
    """It is computed again from the two runs where it is not remembered."""
    client = make_app().test_client()
    sides = run_of(client, ORIGINAL, AT), port(client, "tanh")
    made = compare(client, *sides, align="probes", names={"bias": "b"})
    client.application.extensions["gradbook"].comparisons.clear()
    read = client.get(f"/v1/comparisons/{made['id']}").json
    assert read == made
    (listed,) = client.get("/v1/comparisons").json["comparisons"]  # type: ignore[index]
    assert (listed["align"], listed["names"]) == ("probes", {"bias": "b"})


def test_what_cannot_be_aligned_is_refused(client: FlaskClient, original: str) -> None:
    recorded = {"by": "a port", "values": {"z": [[1.0] * 3] * 2}}
    lacking = run_of(client, PORT.format("none"), {"data": X}, recorded=recorded)
    sides = {"baseline": original, "candidate": lacking}
    for path, more in (("/v1/alignments", {}), ("/v1/comparisons", {"align": "probes"})):
        (fault, *others) = problem(client, path, {**sides, **more})
        assert fault[0] == "/candidate" and "'kernel'" in str([fault, *others]) and "'bias'" in str([fault, *others])
    both = {**sides, "candidate": port(client)}
    assert problem(client, "/v1/alignments", {**both, "names": {"q": "x", "z": "q"}}) == [
        ("/names/q", "the candidate has no node 'q'"),
        ("/names/z", "the baseline has no node 'q'"),
    ]
    assert problem(client, "/v1/alignments", {**both, "names": {"z": "h", "act": "h"}}) == [
        ("/names", "two nodes of the candidate are mapped to one of the baseline")
    ]
    assert problem(client, "/v1/alignments", {**both, "names": {"z": 1}}) == [("/names/z", "a string is expected")]
    assert problem(client, "/v1/alignments", {**both, "align": "probes"})[0][0] == "/align"
    assert problem(client, "/v1/comparisons", {**both, "align": "structure"}) == [
        ("/align", "names or probes is expected")
    ]
    created(client, "/v1/alignments", {**both, "candidate": "nowhere"}, 404)


def test_an_alignment_is_weighed_before_it_is_made(make_app: MakeApp) -> None:
    client = make_app(operations=3_000_000).test_client()
    sides = {"baseline": run_of(client, ORIGINAL, AT), "candidate": port(client)}
    for path, more in (("/v1/alignments", {}), ("/v1/comparisons", {"align": "probes"})):
        answer = created(client, path, {**sides, **more}, 422)
        assert (answer["type"], answer["limit"]) == ("urn:gradbook:problem:limit-exceeded", "operations")
    client = make_app(answer_bytes=3000).test_client()
    sides = {"baseline": run_of(client, ORIGINAL, AT), "candidate": port(client)}
    assert created(client, "/v1/alignments", sides, 422)["limit"] == "answer_bytes"


RESHAPED = {  # how a graph and its port differ: both graphs, the cut, and the shapes that it has in both
    "a reduction left out": ("F = mean((x - 1) ^ 2)", "L = (u - 1) ^ 2 + 0", "L", [], [4, 6]),
    "another axis": (
        "s = sum(x, axes=[0]); F = mean(tanh(s))",
        "v = sum(u, axes=[1]); L = mean(tanh(v))",
        "v",
        *[[6], [4]],
    ),
    "a stride": (
        "p = max_pool(reshape(x, [1, 1, 4, 6]), kernel_shape=[2, 2], strides=[2, 2]); F = mean(tanh(p))",
        "q = max_pool(reshape(u, [1, 1, 4, 6]), kernel_shape=[2, 2]); L = mean(tanh(q))",
        *("q", [1, 1, 2, 3], [1, 1, 3, 5]),
    ),
}


@pytest.mark.parametrize("bug", RESHAPED)
def test_a_cut_of_another_shape_is_told_with_both_shapes(client: FlaskClient, bug: str) -> None:
    baseline, candidate, cut, theirs, own = RESHAPED[bug]
    figures = np.random.default_rng(0).normal(size=(4, 6)).tolist()
    graphs = (baseline, "x", theirs), (candidate, "u", own)
    runs = [run_of(client, graph, {name: figures}) for graph, name, _ in graphs]
    found = compare(client, *runs, align="probes")
    assert [(each["phase"], each["node"]) for each in found["origins"]] == [("forward", cut)]
    assert found["origins"][0]["sentence"].startswith(f"{cut} has the shape {own}; it should have {theirs}, the right")
    shown = nodes(found)[f"forward {cut}"]
    assert [np.shape(shown[each]) for each in ("baseline", "candidate", "expected")] == [
        *map(tuple, [theirs, own, theirs])
    ]
    assert (shown["absolute_error"], shown["relative_error"], "worst" in shown) == ("Infinity", "Infinity", False)
    assert nodes(found)["backward u"]["verdict"] in ("inherited", "origin")
    for path in ("/comparisons/{}", "/v1/comparisons/{}/picture"):
        assert client.get(path.format(found["id"])).status_code == 200
    back = compare(client, *reversed(runs), align="probes")
    assert back["origins"][0]["sentence"].endswith(".") and len(back["origins"]) == 1
    assert client.get(f"/comparisons/{back['id']}").status_code == 200
