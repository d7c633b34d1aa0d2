"""The client against a real service over real HTTP, and against servers that fail."""

import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import yaml

from service.client import Client, Problem, ServiceUnavailable
from service.process import free_port, service_process

SEED_INPUTS = {"a": 5, "b": 1, "c": -2, "d": -3}
SEED_VALUES = {"a": 5, "b": 1, "c": -2, "d": -3, "e": 6, "f": -12, "F": 4}
SEED_GRADIENTS = {"a": 2 / 3, "b": 2 / 3, "c": -2, "d": 4 / 3, "e": 2 / 3, "f": -1 / 3, "F": 1}
SEED_NODES: list[dict[str, Any]] = [
    *({"name": name, "operation": "Input"} for name in "abcd"),
    {"name": "e", "operation": "Add", "inputs": ["a", "b"]},
    {"name": "f", "operation": "Mul", "inputs": ["e", "c"]},
    {"name": "F", "operation": "Div", "inputs": ["f", "d"]},
]


@pytest.fixture
def gradbook(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


def bits(figure: object) -> bytes:
    return np.asarray(figure, dtype=np.float64).tobytes()


# --- the seed example ---------------------------------------------------------------------------------------------


def test_the_seed_built_in_three_ways_is_one_graph_with_its_fourteen_figures(gradbook: Client) -> None:
    written = gradbook.create_graph("three ways", expression="e = a + b; f = e * c; F = f / d")
    listed = gradbook.create_graph("three ways", nodes=SEED_NODES, outputs=["F"])
    begun = gradbook.create_graph("three ways, begun", nodes=SEED_NODES[:5])
    added = gradbook.add_nodes(begun, SEED_NODES[5:], outputs=["F"])
    assert listed == written
    assert added.digest == written.digest
    assert (added.version, added.parent) == (2, begun.id)
    for graph in (written, added):
        run = gradbook.create_run(graph, SEED_INPUTS)
        assert dict(run.values) == SEED_VALUES
        assert run.gradients == pytest.approx(SEED_GRADIENTS, rel=1e-15, abs=0)
        assert list(run.gradients) == list(run.values) == [node.name for node in graph.nodes]


def test_runs_made_together_are_those_made_alone(gradbook: Client) -> None:
    graph = gradbook.create_graph("together", expression="y = sum(x) / d")
    points = [{"x": np.array([1.0, -0.0]), "d": -3}, {"x": [np.nan, 2], "d": np.inf}]
    first, second = gradbook.create_runs(graph, [{"inputs": points[0], "label": "l"}, {"inputs": points[1]}], seed=2.5)
    assert (first.label, second.label) == ("l", None)
    for run, point in zip((first, second), points, strict=True):
        alone = gradbook.create_run(graph, point, seed=2.5)
        assert {name: bits(each) for name, each in run.gradients.items()} == {
            name: bits(each) for name, each in alone.gradients.items()
        }
    with pytest.raises(Problem) as raised:
        gradbook.create_runs(graph, [{"inputs": points[0]}, {"inputs": {"x": 1}}])
    assert raised.value.errors[0]["pointer"] == "/runs/1/inputs"


def test_results_are_typed_and_frozen(gradbook: Client) -> None:
    graph = gradbook.create_graph("typed", expression="F(a, b) = a * b", tags={"kind": "product"})
    assert (graph.version, graph.inputs, graph.outputs, graph.node_count) == (1, ("a", "b"), ("F",), 3)
    assert graph.tags == {"kind": "product"}
    assert graph.created_at.utcoffset() is not None
    assert [(node.name, node.operation, node.inputs) for node in graph.nodes][-1] == ("F", "Mul", ("a", "b"))
    run = gradbook.create_run(graph.id, {"a": 2, "b": 3}, label="a label", tags={"x": "y"})
    assert (run.graph_id, run.source, run.output, run.seed, run.label) == (graph.id, "computed", "F", 1.0, "a label")
    assert type(run.values["F"]) is np.float64
    assert {**run.inputs, **run.outputs} == dict(run.values)
    with pytest.raises(AttributeError):
        run.label = "another"
    again = gradbook.get_run(run)
    assert (again.id, dict(again.values), dict(again.gradients)) == (run.id, dict(run.values), dict(run.gradients))
    assert gradbook.get_graph(graph) == graph


def test_figures_go_there_and_back_bit_for_bit(gradbook: Client) -> None:
    graph = gradbook.create_graph("identity", expression="y = x * 1")
    odd = np.array([[np.nan, np.inf, -np.inf], [-0.0, 5e-324, 0.1 + 0.2]])
    for given in (
        odd,
        odd.tolist(),
        np.float32([0.1, np.nan]),
        np.arange(3),
        float("nan"),
        -0.0,
        np.float64(np.inf),
        7,
    ):
        run = gradbook.create_run(graph, {"x": given}, seed=np.full(np.shape(given), 2.5))
        assert bits(run.values["x"]) == bits(run.values["y"]) == bits(given)
        assert np.shape(run.values["x"]) == np.shape(given)
        assert bits(gradbook.get_run(run.id or "").values["y"]) == bits(given)
        assert np.array_equal(run.gradients["y"], np.full(np.shape(given), 2.5))
    with pytest.raises(TypeError):
        gradbook.create_run(graph, {"x": np.array([1j])})


def test_a_constant_has_no_gradient_and_a_forward_run_has_none_at_all(gradbook: Client) -> None:
    graph = gradbook.create_graph("constant", expression="y = x * 2")
    run = gradbook.create_run(graph, {"x": 3}, backward=False)
    assert len(run.gradients) == 0
    filled = gradbook.run_backward(run, seed=10)
    assert filled.id == run.id
    assert filled.gradients["x"] == 20
    assert len(filled.gradients) == len(filled.values) - 1
    with pytest.raises(Problem) as caught:
        gradbook.run_backward(run)
    assert caught.value.status == 409


# --- whole, across pages --------------------------------------------------------------------------------------------


def test_figures_are_read_whole_across_pages(gradbook: Client) -> None:
    names = [f"n{index}" for index in range(2500)]
    nodes: list[dict[str, Any]] = [
        {"name": "x", "operation": "Input"},
        *(
            {"name": name, "operation": "Sum", "inputs": [before, before]}
            for name, before in zip(names, ["x", *names], strict=False)
        ),
    ]
    graph = gradbook.create_graph("long", nodes=nodes)
    assert len(graph.nodes) == 1000
    assert [node.name for node in gradbook.list_graph_nodes(graph)] == ["x", *names]
    run = gradbook.create_run(graph, {"x": 1.0}, output="n900")
    assert len(run.nodes) == 1000
    assert run.values["n2000"] == np.inf  # 2^2001
    assert run.values["n1010"] == 2.0**1011
    assert list(run.values) == ["x", *names]
    assert run.gradients["x"] == 2.0**901
    assert [node.gradient for node in islice(gradbook.list_run_nodes(run), 899, 905)] == [4, 2, 1, 0, 0, 0]


def test_a_large_tensor_is_read_whole(gradbook: Client) -> None:
    graph = gradbook.create_graph("large", expression="y = x * x")
    given = np.linspace(-1, 1, 10_001)
    run = gradbook.create_run(graph, {"x": given})
    assert run.inputs["x"] is None
    assert bits(run.values["y"]) == bits(given * given)
    assert bits(run.gradients["x"]) == bits(2 * given)
    assert set(run.values) == set(run.gradients) == {"x", "y"}


def test_a_run_that_is_not_kept_is_whole_at_once(gradbook: Client) -> None:
    graph = gradbook.create_graph("not kept", expression="y = x * x")
    run = gradbook.create_run(graph, {"x": np.ones(20_000)}, keep=False)
    assert run.id is None
    assert dict(run.values).keys() == {"x", "y"}
    assert bits(run.gradients["x"]) == bits(np.full(20_000, 2.0))
    brief = gradbook.create_run(graph, {"x": 3}, keep=False, gradients="inputs")
    assert (dict(brief.values), dict(brief.gradients), brief.nodes) == ({"x": 3, "y": 9}, {"x": 6}, ())
    with pytest.raises(ValueError, match="not kept"):
        gradbook.get_run(brief)
    assert list(gradbook.list_runs(graph=graph)) == []


def test_a_node_names_the_operands_with_which_it_does_not_change(gradbook: Client) -> None:
    graph = gradbook.create_graph("closed", expression="m = max(x, y, 3); F = m * relu(x)", outputs=["F"])
    run = gradbook.create_run(graph, {"x": -1, "y": 2})
    for packed in (False, True):
        closed = {node.name: node.closed for node in gradbook.list_run_nodes(run, packed=packed)}
        assert {name: names for name, names in closed.items() if names} == {"m": ("x", "y"), "relu_1": ("x",)}
        assert gradbook.get_run_node(run, "relu_1", packed=packed).closed == ("x",)


def test_large_arrays_travel_packed_and_nothing_else_changes(gradbook: Client) -> None:
    graph = gradbook.create_graph("packed", expression="y = relu(x) * w + b; z = y * c", outputs=["z"])
    x = np.linspace(-1, 1, 1001)
    x[[0, 1, 500]] = np.nan, np.inf, -0.0
    for given in (x, np.float32(x), x[::-1], np.asfortranarray(np.stack([x, x])), np.arange(1001)):
        inputs = {"x": given, "w": 2, "b": "NaN", "c": np.float64(np.inf)}
        small = {**inputs, "x": np.asarray(given, dtype=np.float64).tolist()}
        for keep in (True, False):
            packed, plain = (
                gradbook.create_run(graph, each, output="y", label="l", tags={"t": "v"}, keep=keep)
                for each in (inputs, small)
            )
            for figures, again in ((packed.values, plain.values), (packed.gradients, plain.gradients)):
                assert list(figures) == list(again)
                assert {name: bits(figure) for name, figure in figures.items()} == {
                    name: bits(figure) for name, figure in again.items()
                }
            assert [(node.name, node.operation, node.shape, node.nondifferentiable) for node in packed.nodes] == [
                (node.name, node.operation, node.shape, node.nondifferentiable) for node in plain.nodes
            ]
            assert [node.closed for node in packed.nodes] == [node.closed for node in plain.nodes]
            assert (packed.label, packed.tags, packed.output) == ("l", {"t": "v"}, "y")
    with pytest.raises(TypeError):
        gradbook.create_run(graph, {**inputs, "x": x.astype(complex)})
    with pytest.raises(Problem) as caught:
        gradbook.create_run(graph, {**inputs, "q": x}, keep=False)
    assert {error["pointer"] for error in caught.value.errors} == {"/inputs/q"}


def test_a_large_seed_and_a_large_recording_travel_packed(gradbook: Client) -> None:
    graph = gradbook.create_graph("packed recording", expression="y = x * w")
    x = np.linspace(-1, 1, 3000)
    run = gradbook.create_run(graph, {"x": x, "w": 2}, seed=x, keep=False)
    assert bits(run.gradients["x"]) == bits(2 * x)
    wide = gradbook.create_run(graph, {"x": np.ones(10_001), "w": 2}, keep=False)
    assert bits(wide.inputs["x"]) == bits(np.ones(10_001)) and bits(wide.outputs["y"]) == bits(np.full(10_001, 2.0))
    figures = {"values": {"y": 2 * x, "w": 2}, "gradients": {"x": np.float32(x)}}
    recorded = gradbook.record_run(graph, by="NumPy", dtype="float32", inputs={"x": x}, seed=x, **figures)
    assert (recorded.source, recorded.recorded_by) == ("recorded", "NumPy")
    assert bits(recorded.values["y"]) == bits(2 * x) and bits(recorded.gradients["x"]) == bits(np.float32(x))
    node = gradbook.get_run_node(recorded, "x", packed=True)
    assert (node.name, node.operation, node.shape) == ("x", "Input", (3000,)) and bits(node.value) == bits(x)
    assert {name for name, array in figures["values"].items() if isinstance(array, np.ndarray)} == {"y"}


def test_names_of_other_programs_find_their_nodes(gradbook: Client) -> None:
    names = ["/block/MatMul_out:0", "a b", "50%2F", "x?y#z", "ü"]
    graph = gradbook.create_graph(
        "names", nodes=[{"name": name, "operation": "Input"} for name in names], outputs=names
    )
    run = gradbook.create_run(graph, dict(zip(names, range(5), strict=True)), backward=False)
    assert [gradbook.get_run_node(run, name).value for name in names] == list(range(5))


# --- lists, and the service itself ----------------------------------------------------------------------------------


def test_lists_are_read_page_by_page_as_they_are_asked_for(service_url: str, gradbook: Client) -> None:
    made = [gradbook.create_graph("listed", expression=f"y = x + {index}").id for index in range(60)]
    with flaky_server(service_url, []) as (url, seen), Client(url) as client:
        listed = client.list_graphs(name="listed")
        first = list(islice(listed, 50))
        assert len(seen) == 1
        assert [graph.id for graph in (*first, *listed)] == made[::-1]
        assert len(seen) == 2


def test_runs_are_found_by_graph_label_and_tag(gradbook: Client) -> None:
    graph = gradbook.create_graph("found", expression="y = x + 1")
    first = gradbook.create_run(graph, {"x": 1}, label="first of found")
    second = gradbook.create_run(graph, {"x": 2}, tags={"found": "second"})
    assert [run.id for run in gradbook.list_runs(graph=graph)] == [second.id, first.id]
    assert [run.values["y"] for run in gradbook.list_runs(label="first of found")] == [2]
    assert [run.gradients["x"] for run in gradbook.list_runs(tag="found:second")] == [1]


def test_graphs_and_runs_go_by_their_names_and_are_listed_by_what_they_are(gradbook: Client) -> None:
    old = gradbook.create_graph("named", expression="y = x + 1")
    new = gradbook.create_graph("named", expression="y = x + 2")
    run = gradbook.create_run("named@1", {"x": 1}, label="main")
    claim = gradbook.record_run("named", by="Ada", values={"y": 9}, inputs={"x": 1})
    derived = gradbook.create_derivatives("named", "jacobian", {"x": 1})
    compared = gradbook.create_comparison("named:main", claim)
    assert (run.graph_id, claim.graph_id, derived.graph_id) == (old.id, new.id, new.id)
    assert gradbook.get_graph("named").id == new.id and gradbook.get_run("named:main").id == run.id
    assert gradbook.get_comparison(str(compared.id)[-8:]).id == compared.id
    began, ended = old.created_at, compared.created_at
    assert [each.id for each in gradbook.list_graphs(q="NAMED", since=began, sort="name")] == [old.id, new.id]
    assert [each.id for each in gradbook.list_runs(source="recorded", q="ada", since=began, until=ended)] == [claim.id]
    assert [each.id for each in gradbook.list_runs(graph="named@1", sort="created_at")] == [run.id]
    (found,) = gradbook.list_comparisons(graph=old, verdict="differ", since=began.replace(tzinfo=None).isoformat())
    assert (found,) == tuple(gradbook.list_checks("named", sort="-created_at")) and found["id"] == compared.id
    assert [each["id"] for each in gradbook.list_derivatives("named", until=ended)] == [derived.id]
    assert list(gradbook.list_checks(new, verdict="same")) == []
    with pytest.raises(Problem, match="near it"):
        next(gradbook.list_runs(graph="nomed"))


def test_a_graph_is_deleted_unless_a_run_needs_it(gradbook: Client) -> None:
    graph = gradbook.create_graph("deleted", expression="y = x - 1")
    gradbook.delete_graph(graph)
    with pytest.raises(Problem) as caught:
        gradbook.get_graph(graph)
    assert caught.value.status == 404


def test_runs_and_graphs_are_changed_and_what_is_kept_of_them_is_deleted(gradbook: Client) -> None:
    graph = gradbook.create_graph("changed", expression="y = x * x", tags={"a": "1"})
    assert gradbook.update_graph(graph, tags={"b": "2", "a": None}).tags == {"b": "2"}
    baseline, candidate = (gradbook.create_run(graph, {"x": 3}, label="old") for _ in range(2))
    changed = gradbook.update_run(baseline, label="new", tags={"c": "3"})
    assert (changed.label, changed.tags, changed.values["y"]) == ("new", {"c": "3"}, 9)
    assert gradbook.update_run(baseline, tags=None).label == "new"
    assert gradbook.update_run(baseline.id, label=None).label is None
    compared = gradbook.create_comparison(baseline, candidate)
    gradbook.delete_derivatives(gradbook.create_derivatives(graph, "jacobian", {"x": 2}))
    with pytest.raises(Problem, match="1 comparison refers to it"):
        gradbook.delete_run(candidate)
    gradbook.delete_comparison(compared)
    gradbook.delete_run(candidate)
    with pytest.raises(Problem, match="1 run refers to it"):
        gradbook.delete_graph(graph)
    gradbook.delete_graph(graph, cascade=True)
    with pytest.raises(Problem, match="there is no run"):
        gradbook.get_run(baseline)


def test_the_rulebook_the_limits_and_the_state(gradbook: Client) -> None:
    operations = {operation.name: operation for operation in gradbook.list_operations()}
    assert gradbook.get_operation("Div") == operations["Div"]
    assert operations["Div"].operands == tuple(local["operand"] for local in operations["Div"].local_gradients)
    limits = {limit.name: limit for limit in gradbook.list_limits()}
    assert limits["nodes"].variable == "GRADBOOK_MAX_NODES"
    gradbook.check_alive()
    gradbook.check_ready()
    assert "gradbook_requests_total" in gradbook.get_metrics()


def test_every_operation_id_is_a_method_of_the_client(gradbook: Client) -> None:
    paths = yaml.safe_load(gradbook.get_openapi())["paths"]
    documented = {
        operation["operationId"]
        for path in paths.values()
        for method, operation in path.items()
        if method != "parameters"
    }
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    # A run that somebody else computed is posted where runs are created, a model where graphs are; a sweep's columns
    # are its points. What a graph has is listed with `graph`, and an origin that is reproduced is named by arguments.
    assert methods - {"close", "record_run", "import_graph", "get_sweep_columns"} == documented - {
        "list_graph_runs",
        "list_graph_comparisons",
        "get_origin_reproduction",
    }


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_problem_has_the_fields_of_its_answer(gradbook: Client) -> None:
    with pytest.raises(Problem) as caught:
        gradbook.create_graph("wrong", expression="e = x\ny = e + * 2")
    problem = caught.value
    assert (problem.type, problem.status) == ("urn:gradbook:problem:invalid-expression", 422)
    assert problem.title and problem.detail
    assert problem.errors[0]["pointer"] == "/expression"
    assert (problem.members["line"], problem.members["column"]) == (2, 9)
    graph = gradbook.create_graph("wrong", expression="y = x + z")
    with pytest.raises(Problem) as caught:
        gradbook.create_run(graph, {"x": [[1, "five"]], "q": 1})
    assert {error["pointer"] for error in caught.value.errors} >= {"/inputs/x/0/1"}


def test_a_key_given_twice_takes_effect_once(gradbook: Client) -> None:
    graph = gradbook.create_graph("keyed", expression="y = x * 3")
    runs = [gradbook.create_run(graph, {"x": 1}, key="keyed once") for _ in range(2)]
    assert runs[0].id == runs[1].id
    with pytest.raises(Problem) as caught:
        gradbook.create_run(graph, {"x": 2}, key="keyed once")
    assert caught.value.type == "urn:gradbook:problem:idempotency-key-reused"


def test_no_service_is_unavailable() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", retries=0) as nobody, pytest.raises(ServiceUnavailable) as caught:
        nobody.check_alive()
    assert "refused" in str(caught.value)


def test_what_is_not_gradbook_is_unavailable(service_url: str) -> None:
    with Client(f"{service_url}/docs") as client, pytest.raises(ServiceUnavailable, match="not Gradbook"):
        client._http.get("/")


def test_an_answer_that_never_comes_is_unavailable(service_url: str) -> None:
    with (
        flaky_server(service_url, ["late"]) as (url, seen),
        Client(url, timeout=1, retries=0) as client,
        pytest.raises(ServiceUnavailable, match="too long"),
    ):
        client.check_alive()
    assert len(seen) == 1


@pytest.mark.slow
@pytest.mark.parametrize("failures", [["lost"], ["503", "lost", "503"], ["503", "502", "504"]])
def test_a_post_is_sent_again_and_takes_effect_once(service_url: str, gradbook: Client, failures: list[str]) -> None:
    name = f"retried {failures}"
    with flaky_server(service_url, failures) as (url, seen), Client(url) as client:
        graph = client.create_graph(name, expression="y = x * 4")
        assert len(seen) == len(failures) + 1
        seen.clear()
        seen.again(failures)
        run = client.create_run(graph, {"x": 2})
        assert {key for _, key in seen} == {seen[0][1]}
        assert len(seen) == len(failures) + 1
    assert run.values["y"] == 8
    assert [found.id for found in gradbook.list_runs(graph=graph)] == [run.id]


def test_a_get_is_sent_again_and_a_delete_is_not(service_url: str, gradbook: Client) -> None:
    graph = gradbook.create_graph("not retried", expression="y = x * 5")
    with flaky_server(service_url, ["lost", "503"]) as (url, seen), Client(url) as client:
        assert client.get_graph(graph) == graph
        assert len(seen) == 3
    with flaky_server(service_url, ["503"]) as (url, seen), Client(url) as client:
        with pytest.raises(Problem) as caught:
            client.delete_graph(graph)
        assert (caught.value.status, len(seen)) == (503, 1)


def test_what_fails_for_good_is_told(service_url: str) -> None:
    with flaky_server(service_url, ["503"] * 4) as (url, seen), Client(url) as client:
        with pytest.raises(Problem) as caught:
            client.check_alive()
        assert (caught.value.status, len(seen)) == (503, 4)


# --- together, and afterwards ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_64_posts_at_once(service_url: str) -> None:
    barrier = threading.Barrier(64)

    def build_and_run(index: int) -> tuple[int, float]:
        with Client(service_url) as client:
            barrier.wait(60)
            graph = client.create_graph("crowd", expression=f"y = x * {index + 2}")
            return graph.version, float(client.create_run(graph, {"x": 1.5}).gradients["x"])

    with ThreadPoolExecutor(64) as threads:
        versions, gradients = zip(*threads.map(build_and_run, range(64)), strict=True)
    assert sorted(versions) == list(range(1, 65))
    assert list(gradients) == [index + 2 for index in range(64)]


@pytest.mark.slow
def test_figures_are_bit_identical_after_a_restart(empty_database: Callable[[Path], str], tmp_path: Path) -> None:
    database = empty_database(tmp_path)
    given = np.array([np.nan, np.inf, -0.0, 5e-324, 1 / 3, 2.0])
    one_process = {"GRADBOOK_PROCESSES": "0"}
    with service_process(database, variables=one_process) as url, Client(url) as client:
        seed = client.create_run(client.create_graph("blog", nodes=SEED_NODES, outputs=["F"]), SEED_INPUTS)
        odd = client.create_run(client.create_graph("odd", expression="y = sin(x) / x"), {"x": given})
        before = [client.get_run(run) for run in (seed, odd)]
    with service_process(database, variables=one_process) as url, Client(url) as client:
        after = [client.get_run(run) for run in (seed, odd)]
    for first, then in zip((*before, seed, odd), after * 2, strict=True):
        assert then.document == first.document
        for figures, again in ((first.values, then.values), (first.gradients, then.gradients)):
            assert {name: bits(figure) for name, figure in figures.items()} == {
                name: bits(figure) for name, figure in again.items()
            }
    assert dict(after[0].values) == SEED_VALUES


# --- a server that fails ----------------------------------------------------------------------------------------------


class Seen(list[tuple[str, str | None]]):
    """The requests that a flaky server has seen: the method and the Idempotency-Key of each."""

    again: Callable[[list[str]], None]


@contextmanager
def flaky_server(upstream: str, failures: list[str]) -> Iterator[tuple[str, Seen]]:
    """A server before the real one that fails the first requests, each in its way.

    A status is answered in the place of the service; `lost`: the request takes effect, and the answer is lost;
    `late`: no answer comes while the client waits.
    """
    seen, waiting = Seen(), list(failures)
    seen.again = waiting.extend
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.append((self.command, self.headers["Idempotency-Key"]))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            failure = waiting.pop(0) if waiting else None
            if failure == "late":
                released.wait(60)
                return
            if failure and failure.isdigit():
                self.send_response(int(failure))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            kept = {name: value for name, value in self.headers.items() if name in ("Content-Type", "Idempotency-Key")}
            response = requests.request(self.command, upstream + self.path, data=body, headers=kept, timeout=60)
            if failure == "lost":
                return
            self.send_response(response.status_code)
            self.send_header("Content-Type", response.headers["Content-Type"])
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


# --- claims -------------------------------------------------------------------------------------------------------


def test_claims_as_people_write_them(gradbook: Client) -> None:
    graph = gradbook.create_graph("claims", expression="e = a + b; f = e * c; F = f / d")
    gradients = {"f": -0.33, "d": "1 1/3", "e": 0.67, "c": -2, "a": np.round(2 / 3, 3), "b": "≈0,667"}
    found = gradbook.check_claims(graph, SEED_INPUTS, {"gradients": gradients}, label="rounded")
    assert found.verdict == "same"
    figures = list(gradbook.list_comparison_nodes(found))
    assert [figure["name"] for figure in figures if figure.get("rounded")] == ["f", "e", "b", "a"]
    assert [run.id for run in gradbook.list_runs(label="rounded")] == [found.candidate]
    strict = gradbook.check_claims(graph, SEED_INPUTS, {"gradients": {"e": 0.67}}, tolerance="float64")
    assert [origin.node for origin in strict.origins] == ["e"]
    with pytest.raises(Problem, match="422") as refused:
        gradbook.check_claims(graph, SEED_INPUTS, {"gradients": {"e": "1,000"}})
    assert "write 1.000 or 1000" in refused.value.errors[0]["detail"]


@pytest.mark.parametrize(
    ("written", "verdict"),
    [
        ("0.667", "same"),
        ("0.670", "origin"),
        ("0.67", "same"),
        ("6.67e-1", "same"),
        ("6.7E-1", "same"),
        ("1", "origin"),
    ],
)
def test_the_digits_of_a_number_count_as_they_are_sent(gradbook: Client, written: str, verdict: str) -> None:
    graph = gradbook.create_graph("digits", expression="F = a / d")
    body = f'{{"inputs": {{"a": 2, "d": 3}}, "claims": {{"values": {{"F": {written}}}}}}}'
    response = requests.post(
        f"{gradbook.url}/v1/graphs/{graph.id}/checks", body, headers={"Content-Type": "application/json"}, timeout=60
    )
    (figure,) = (figure for figure in response.json()["nodes"] if figure["name"] == "F")
    assert (figure["verdict"], figure.get("rounded", False)) == (verdict, verdict == "same")


def test_a_check_that_is_not_kept(gradbook: Client) -> None:
    graph = gradbook.create_graph("unkept", expression="e = a + b; f = e * c; F = f / d")
    gradients = {"f": -3, "d": 108, "e": 6}
    kept = gradbook.check_claims(graph, SEED_INPUTS, {"gradients": gradients})
    unkept = gradbook.check_claims(graph, SEED_INPUTS, {"gradients": gradients}, keep=False)
    assert (unkept.id, unkept.baseline, unkept.candidate, unkept._repr_svg_()) == (None,) * 4
    assert (unkept.verdict, unkept.origins, unkept.inherited) == (kept.verdict, kept.origins, kept.inherited)
    for only in (None, "differences", "origins"):
        for order in (None, "topological", "relative_error"):
            listed = [
                [figure["name"] for figure in gradbook.list_comparison_nodes(each, only=only, order=order)]  # type: ignore[arg-type]  # of the literals
                for each in (kept, unkept)
            ]
            assert listed[0] == listed[1] and listed[0]
    with pytest.raises(ValueError, match="was not kept"):
        gradbook.get_comparison(unkept)
