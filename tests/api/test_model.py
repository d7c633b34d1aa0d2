"""The service against a model of it in plain Python: whatever is asked in whatever order, what was acknowledged is kept
once, with its figures, and nothing else is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from werkzeug.test import TestResponse

from tests.api.conftest import MakeApp
from tests.examples import examples

STEPS, MANY = 50, 40
# An operation, its value, and its local gradients, one for each operand.
OPERATIONS: Mapping[str, Any] = {
    "Sin": (1, math.sin, lambda x: [math.cos(x)]),
    "Add": (2, lambda x, y: x + y, lambda x, y: [1.0, 1.0]),
    "Mul": (2, lambda x, y: x * y, lambda x, y: [y, x]),
}

Node = tuple[str, str, tuple[str, ...]]  # name, operation, operands
Figures = dict[str, float]


@dataclass(frozen=True)
class Graph:
    name: str
    nodes: tuple[Node, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None


@dataclass(frozen=True)
class Run:
    graph: str
    values: Figures
    gradients: Figures | None
    label: str | None = None
    is_wrong: bool = False


def forward(nodes: tuple[Node, ...], x: float) -> Figures:
    values: Figures = {}
    for name, operation, operands in nodes:
        values[name] = x if operation == "Input" else OPERATIONS[operation][1](*(values[each] for each in operands))
    return values


def backward(nodes: tuple[Node, ...], values: Figures) -> Figures:
    gradients = {**dict.fromkeys(values, 0.0), nodes[-1][0]: 1.0}
    for name, operation, operands in reversed(nodes):
        if operation == "Input":
            continue
        local = OPERATIONS[operation][2](*(values[each] for each in operands))
        for operand, factor in zip(operands, local, strict=True):
            gradients[operand] += gradients[name] * factor
    return gradients


def longer(nodes: tuple[Node, ...], chosen: list[tuple[str, int]]) -> tuple[Node, ...]:
    """The nodes and some more, each of the one before and, if it has two operands, of any."""
    for operation, number in chosen:
        operands = (nodes[-1][0], nodes[number % len(nodes)][0])[: OPERATIONS[operation][0]]
        nodes += ((f"n{len(nodes)}", operation, operands),)
    return nodes


def written(nodes: tuple[Node, ...]) -> list[dict[str, Any]]:
    return [{"name": name, "operation": operation, "inputs": list(operands)} for name, operation, operands in nodes]


numbers = strategies.integers(0, 10_000)
more_nodes = strategies.lists(
    strategies.tuples(strategies.sampled_from(sorted(OPERATIONS)), numbers), min_size=1, max_size=3
)
points = strategies.floats(-2, 2)
colours = strategies.sampled_from([{}, {"colour": "red"}, {"colour": "blue"}])


class Keeping(RuleBasedStateMachine):
    """The model: graphs, runs and comparisons by their ids, in the order in which they were made."""

    def __init__(self, client: FlaskClient) -> None:
        super().__init__()
        self.client = client
        self.graphs: dict[str, Graph] = {}
        self.runs: dict[str, Run] = {}
        self.comparisons: dict[str, tuple[str, str]] = {}
        self.under_keys: list[tuple[str, Any, str]] = []  # the path and body of a request, and what it made

    def post(self, path: str, body: Any = None, key: int | None = None) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": f"key-{key}"}
        return self.client.post(path, json=body, headers=headers)

    def any_graph(self, number: int) -> str:
        return list(self.graphs)[number % len(self.graphs)]

    def any_run(self, number: int) -> str:
        return list(self.runs)[number % len(self.runs)]

    def keep_graph(self, response: TestResponse, graph: Graph) -> None:
        """A graph of that name and those nodes is kept once; its tags are those that it was made with."""
        same = [known for known, each in self.graphs.items() if (each.name, each.nodes) == (graph.name, graph.nodes)]
        assert response.status_code == (200 if same else 201)
        kept = response.get_json()["id"]
        assert kept == same[0] if same else kept not in self.graphs
        self.graphs.setdefault(kept, graph)

    def keep_run(self, response: TestResponse, run: Run) -> str:
        assert response.status_code == 201, response.get_data(as_text=True)
        kept: str = response.get_json()["id"]
        assert kept not in self.runs
        self.runs[kept] = run
        return kept

    # --- what callers do ----------------------------------------------------------------------------------------------

    @rule(name=strategies.sampled_from("ab"), chosen=more_nodes, tags=colours)
    def create_graph(self, name: str, chosen: list[tuple[str, int]], tags: dict[str, str]) -> None:
        nodes = longer((("x", "Input", ()),), chosen)
        response = self.post("/v1/graphs", {"name": name, "nodes": written(nodes), "tags": tags})
        self.keep_graph(response, Graph(name, nodes, tags))

    @precondition(lambda self: self.graphs)
    @rule(number=numbers, chosen=more_nodes)
    def add_nodes(self, number: int, chosen: list[tuple[str, int]]) -> None:
        of = self.any_graph(number)
        nodes = longer(self.graphs[of].nodes, chosen)
        added = written(nodes[len(self.graphs[of].nodes) :])
        response = self.post(f"/v1/graphs/{of}/nodes", {"nodes": added})
        self.keep_graph(response, Graph(self.graphs[of].name, nodes, parent=of))

    @precondition(lambda self: self.graphs)
    @rule(number=numbers, x=points, has_gradients=strategies.booleans(), under_key=strategies.booleans())
    def create_run(self, number: int, x: float, has_gradients: bool, under_key: bool) -> None:
        of = self.any_graph(number)
        values = forward(self.graphs[of].nodes, x)
        gradients = backward(self.graphs[of].nodes, values) if has_gradients else None
        path, body = f"/v1/graphs/{of}/runs", {"inputs": {"x": x}, "backward": has_gradients, "label": f"at {x}"}
        response = self.post(path, body, len(self.under_keys) if under_key else None)
        made = self.keep_run(response, Run(of, values, gradients, f"at {x}"))
        if under_key:
            self.under_keys.append((path, body, made))

    @precondition(lambda self: self.under_keys)
    @rule(number=numbers, is_other=strategies.booleans())
    def ask_again_under_the_key(self, number: int, is_other: bool) -> None:
        key = number % len(self.under_keys)
        path, body, made = self.under_keys[key]
        response = self.post(path, {**body, "label": "another"} if is_other else body, key)
        if path.split("/")[3] not in self.graphs or (made not in self.runs and not is_other):
            assert response.status_code == 404
        elif is_other:
            assert response.status_code == 422
        else:
            assert (response.status_code, response.get_json()["id"]) == (201, made)

    @precondition(lambda self: self.runs)
    @rule(number=numbers)
    def run_backward(self, number: int) -> None:
        which = self.any_run(number)
        run = self.runs[which]
        response = self.post(f"/v1/runs/{which}/backward")
        assert response.status_code == (200 if run.gradients is None else 409)
        if run.gradients is None:
            self.runs[which] = replace(run, gradients=backward(self.graphs[run.graph].nodes, run.values))

    @precondition(lambda self: self.runs)
    @rule(number=numbers, is_wrong=strategies.booleans())
    def record(self, number: int, is_wrong: bool) -> None:
        run = self.runs[self.any_run(number)]
        nodes = self.graphs[run.graph].nodes
        right = forward(nodes, run.values["x"])
        values, gradients = {**right, nodes[-1][0]: right[nodes[-1][0]] + is_wrong}, backward(nodes, right)
        recorded = {"by": "the model", "values": values, "gradients": gradients}
        response = self.post(f"/v1/graphs/{run.graph}/runs", {"inputs": {"x": right["x"]}, "recorded": recorded})
        self.keep_run(response, Run(run.graph, values, gradients, is_wrong=is_wrong))

    @precondition(lambda self: any(run.gradients and not run.is_wrong for run in self.runs.values()))
    @rule(number=numbers)
    def create_comparison(self, number: int) -> None:
        sound = [which for which, run in self.runs.items() if run.gradients and not run.is_wrong]
        baseline = sound[number % len(sound)]
        alike = [
            which
            for which, run in self.runs.items()
            if (run.graph, run.values["x"]) == (self.runs[baseline].graph, self.runs[baseline].values["x"])
            and run.gradients
        ]
        candidate = alike[number % len(alike)]
        response = self.post("/v1/comparisons", {"baseline": baseline, "candidate": candidate})
        assert response.status_code == 201
        document = response.get_json()
        assert document["counts"]["origin"] == self.runs[candidate].is_wrong
        self.comparisons[document["id"]] = baseline, candidate

    @precondition(lambda self: self.graphs)
    @rule(number=numbers, cascade=strategies.booleans())
    def delete_graph(self, number: int, cascade: bool) -> None:
        which = self.any_graph(number)
        family = {which}
        while more := {each for each, graph in self.graphs.items() if graph.parent in family} - family:
            family |= more
        runs = [each for each, run in self.runs.items() if run.graph in family]
        is_needed = len(family) > 1 or bool(runs)
        if self.is_deleted(f"/v1/graphs/{which}", cascade, is_needed):
            self.graphs = {each: graph for each, graph in self.graphs.items() if each not in family}
            self.forget_runs(runs)

    @precondition(lambda self: self.runs)
    @rule(number=numbers, cascade=strategies.booleans())
    def delete_run(self, number: int, cascade: bool) -> None:
        which = self.any_run(number)
        if self.is_deleted(f"/v1/runs/{which}", cascade, any(which in pair for pair in self.comparisons.values())):
            self.forget_runs([which])

    @precondition(lambda self: self.comparisons)
    @rule(number=numbers)
    def delete_comparison(self, number: int) -> None:
        which = list(self.comparisons)[number % len(self.comparisons)]
        assert self.client.delete(f"/v1/comparisons/{which}").status_code == 204
        del self.comparisons[which]

    def is_deleted(self, path: str, cascade: bool, is_needed: bool) -> bool:
        """Delete it: that is refused where something needs it, unless that goes too."""
        status = self.client.delete(path, query_string={"cascade": "true"} if cascade else None).status_code
        assert status == (409 if is_needed and not cascade else 204)
        assert self.client.get(path).status_code == (404 if status == 204 else 200)
        return status == 204

    def forget_runs(self, gone: list[str]) -> None:
        for run in gone:
            del self.runs[run]
        self.comparisons = {
            each: pair for each, pair in self.comparisons.items() if not any(run in gone for run in pair)
        }

    @precondition(lambda self: self.runs)
    @rule(number=numbers, label=strategies.none() | strategies.sampled_from(["main", "other"]), tags=colours)
    def update(self, number: int, label: str | None, tags: dict[str, str]) -> None:
        which = self.any_run(number)
        of = self.runs[which].graph
        assert self.client.patch(f"/v1/runs/{which}", json={"label": label}).get_json()["label"] == label
        assert self.client.patch(f"/v1/graphs/{of}", json={"tags": tags or None}).get_json()["tags"] == tags
        self.runs[which] = replace(self.runs[which], label=label)
        self.graphs[of] = replace(self.graphs[of], tags=tags)

    # --- what they find -----------------------------------------------------------------------------------------------

    def listed(self, path: str, members: str, limit: int, **query: str) -> list[dict[str, Any]]:
        """What all pages of a list have."""
        found: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"limit": limit, **query}
        while True:
            response = self.client.get(path, query_string=asked)
            assert response.status_code == 200
            page = response.get_json()
            found += page[members]
            if page["next"] is None:
                return found
            assert len(page[members]) == limit
            asked = {**asked, "cursor": page["next"]}

    @rule(limit=strategies.integers(1, 5), colour=strategies.sampled_from(["red", "blue"]))
    def list_all(self, limit: int, colour: str) -> None:
        graphs = self.listed("/v1/graphs", "graphs", limit)
        assert [(each["id"], each["name"], each["tags"]) for each in graphs] == [
            (which, graph.name, graph.tags) for which, graph in reversed(self.graphs.items())
        ]
        tagged = self.listed("/v1/graphs", "graphs", limit, tag=f"colour:{colour}")
        assert [each["id"] for each in tagged] == [
            which for which, graph in reversed(self.graphs.items()) if graph.tags.get("colour") == colour
        ]
        runs = self.listed("/v1/runs", "runs", limit)
        assert [(each["id"], each["graph_id"], each["label"]) for each in runs] == [
            (which, run.graph, run.label) for which, run in reversed(self.runs.items())
        ]
        comparisons = self.listed("/v1/comparisons", "comparisons", limit)
        assert [each["id"] for each in comparisons] == list(reversed(self.comparisons))

    @precondition(lambda self: self.runs)
    @rule(number=numbers, limit=strategies.integers(1, 5))
    def read_run(self, number: int, limit: int) -> None:
        self.hold_run(self.any_run(number), limit)

    def hold_run(self, which: str, limit: int) -> None:
        run = self.runs[which]
        nodes = self.listed(f"/v1/runs/{which}/nodes", "nodes", limit)
        assert [each["name"] for each in nodes] == [name for name, _, _ in self.graphs[run.graph].nodes]
        assert {each["name"]: each["value"] for each in nodes} == pytest.approx(run.values, rel=1e-12, abs=1e-12)
        gradients = {each["name"]: each["gradient"] for each in nodes}
        if run.gradients is None:
            assert set(gradients.values()) == {None}
        else:
            assert gradients == pytest.approx(run.gradients, rel=1e-12, abs=1e-12)

    def teardown(self) -> None:
        self.list_all(limit=3, colour="red")
        for which in self.runs:
            self.hold_run(which, limit=200)


def hold(make_app: MakeApp, times: int) -> None:
    def begin() -> Keeping:
        app = make_app()
        return Keeping(FlaskClient(app, app.response_class))

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        begin, settings=settings(max_examples=times, stateful_step_count=STEPS)
    )


@pytest.mark.slow
def test_whatever_is_asked_in_whatever_order_the_service_is_what_the_model_is(
    make_app: MakeApp, request: pytest.FixtureRequest
) -> None:
    hold(make_app, MANY if request.config.option.markexpr == "postgres" else examples(12))


@pytest.mark.faults
def test_it_is_so_for_thousands_of_steps(make_app: MakeApp) -> None:
    hold(make_app, MANY)
