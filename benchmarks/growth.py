"""What each act of the API costs in graphs of 10³ to 10⁶ nodes: in process, limits raised, on one thread.

`python -m benchmarks.growth [sizes]` prints a table of every act; the plot shows some.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

from flask.testing import FlaskClient

from benchmarks.comparison import random_graph, recording
from benchmarks.measuring import Row, Series, markdown_line, once
from benchmarks.service import application
from service.core.graph.graph import Graph, node_document
from service.settings import Limits

SIZES = (1_000, 10_000, 100_000, 1_000_000)
MOST = 12.0  # times the cost, for ten times the nodes
_FLOOR = 1e-3  # seconds; below it the request around the act is measured
# Nodes; of more, second derivatives and probes take minutes, and a gradient graph is larger than a graph may be.
_COSTLY = 100_000
# Acts whose cost has nothing to do with a graph's size: their subjects are operations, tensors, limits, keys.
APART = frozenset(
    {
        "list_operations",
        "get_operation",
        *("list_jobs", "get_job", "cancel_job", "retry_job", "get_job_result"),
        *("create_sweep", "get_sweep", "list_sweep_points", "delete_sweep", "draw_sweep"),
        "put_tensor",
        "get_tensor",
        "list_limits",
        "check_alive",
        "check_ready",
        "get_metrics",
        "get_openapi",
    }
)
RAISED = {
    "limits": Limits(
        operations=10**18,
        body_bytes=2**30,
        nodes=2_000_000,
        run_elements=2**31,
        answer_bytes=2**33,
        request_memory=2**40,
    )
}


@dataclass
class Subject:
    """A stored graph of some size, a client, and the ids of what its acts have made."""

    client: FlaskClient
    graph: Graph
    inputs: Mapping[str, float]
    made: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, *, keep: str = "", refused: int = 0) -> Callable[[], None]:
        """A prepared request; raises where it is not answered with a success, or with the expected refusal."""
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()

        def act() -> None:
            answer = self.client.open(path.format_map(self.made), method=method, data=sent, content_type=_JSON)
            text = answer.get_data()
            if not (answer.status_code == refused if refused else answer.status_code < 400):
                raise RuntimeError(f"{method} {path}: {answer.status_code} {text[:500]!r}")
            if keep:
                self.made[keep] = json.loads(text)["id"]

        return act

    @property
    def middle(self) -> str:
        """The node in the middle of the graph, whose figure is wrong where one is."""
        return self.graph.nodes[len(self.graph) // 2].name


_JSON = "application/json"


def acts(subject: Subject) -> Iterator[tuple[str, Callable[[], None]]]:
    """The acts in the order in which what they need exists, by operationId; each is done once."""
    ask, graph = subject.ask, subject.graph
    last, middle = graph.outputs[0], subject.middle
    documents = [node_document(node) for node in graph.nodes]
    at = {"inputs": subject.inputs}
    recorded = {**at, "recorded": recording(graph, subject.inputs)}
    hypothesis = {**at, "claims": {"by": "someone", "values": {middle: 0.5}}}
    yield "create_graph", ask("POST", "/v1/graphs", {"name": "g", "nodes": documents, "outputs": [last]}, keep="graph")
    graph_of, run_of, comparison_of = "/v1/graphs/{graph}", "/v1/runs/{run}", "/v1/comparisons/{comparison}"
    more = [{"name": "more", "operation": "Mul", "inputs": [last, last]}]
    yield "create_run", ask("POST", f"{graph_of}/runs", at, keep="run")
    yield "create_run, again", ask("POST", f"{graph_of}/runs", at, keep="again")
    yield "create_run, not kept", ask("POST", f"{graph_of}/runs?gradients=inputs", {**at, "keep": False})
    yield "create_runs, of one", ask("POST", f"{graph_of}/runs/batch", {"runs": [at]})
    yield "create_run, recorded", ask("POST", f"{graph_of}/runs", recorded, keep="recorded")
    yield "create_run, forward", ask("POST", f"{graph_of}/runs", {**at, "backward": False}, keep="forward")
    yield "run_backward", ask("POST", "/v1/runs/{forward}/backward", {"output": last})
    yield "add_nodes", ask("POST", f"{graph_of}/nodes", {"nodes": more, "outputs": ["more"]}, keep="longer")
    yield "get_graph", ask("GET", graph_of)
    yield "list_graphs", ask("GET", "/v1/graphs")
    yield "list_graph_nodes", ask("GET", f"{graph_of}/nodes")
    yield "update_graph", ask("PATCH", graph_of, {"tags": {"size": "large"}})
    yield "get_formula, refused", ask("GET", f"{graph_of}/formula", refused=422)
    if len(graph) <= _COSTLY:
        yield "create_gradient_graph", ask("POST", f"{graph_of}/gradient-graph", {"output": last}, keep="gradients")
    yield "get_source", ask("GET", f"{graph_of}/source?language=numpy")
    yield "export_graph", ask("GET", f"{graph_of}/onnx?dtype=float64")
    yield "list_graph_runs", ask("GET", f"{graph_of}/runs")
    yield "set_baseline", ask("POST", f"{run_of}/baseline", {"label": "main"})
    yield "update_run", ask("PATCH", f"{run_of}?gradients=inputs", {"tags": {"size": "large"}})
    yield "get_run", ask("GET", run_of)
    yield "list_runs", ask("GET", "/v1/runs?limit=20")
    yield "list_run_nodes", ask("GET", f"{run_of}/nodes")
    yield "get_run_node", ask("GET", f"{run_of}/nodes/{middle}")
    yield "list_steps", ask("GET", f"{run_of}/steps?node={middle}")
    yield "list_paths", ask("GET", f"{run_of}/paths?node={graph.nodes[-5].name}")
    yield "get_rounding", ask("GET", f"{run_of}/rounding?dtype=bfloat16")
    yield from _compared(subject)
    yield from _series(subject)
    yield "check_claims", ask("POST", f"{graph_of}/checks", hypothesis, keep="check")
    yield "list_checks", ask("GET", f"{graph_of}/checks")
    wrt = list(graph.inputs[:2])
    derivatives = {**at, "kind": "hessian", "wrt": wrt}
    yield "list_derivatives", ask("GET", f"{graph_of}/derivatives")
    if len(graph) <= _COSTLY:
        yield "create_derivatives", ask("POST", f"{graph_of}/derivatives", derivatives, keep="derivatives")
        yield "get_derivatives", ask("GET", "/v1/derivatives/{derivatives}")
        yield "delete_derivatives", ask("DELETE", "/v1/derivatives/{derivatives}")
    checked = {**at, "method": "central", "nodes": wrt}
    yield "check_gradients", ask("POST", f"{graph_of}/gradient-checks", checked)
    focus = f"focus={middle}&hops=2"
    yield "get_graph_picture", ask("GET", f"{graph_of}/picture?{focus}")
    yield "get_run_picture", ask("GET", f"{run_of}/picture?{focus}")
    yield "get_comparison_picture", ask("GET", f"{comparison_of}/picture?{focus}")
    if len(graph) <= Limits().page:
        yield "get_article", ask("GET", f"{run_of}/article?format=markdown")
    else:
        yield "get_article, refused", ask("GET", f"{run_of}/article?format=markdown", refused=422)
    yield "delete_comparison", ask("DELETE", comparison_of)
    yield "delete_run", ask("DELETE", "/v1/runs/{recorded}?cascade=true")
    yield "delete_graph", ask("DELETE", "/v1/graphs/{longer}")


def _compared(subject: Subject) -> Iterator[tuple[str, Callable[[], None]]]:
    """A comparison with a wrong figure in the middle, and its pages."""
    ask = subject.ask
    pair = {"baseline": subject.made["run"], "candidate": subject.made["recorded"]}
    yield "create_comparison", ask("POST", "/v1/comparisons", pair, keep="comparison")
    if len(subject.graph) <= _COSTLY:
        yield "create_comparison, aligned by probes", ask("POST", "/v1/comparisons", {**pair, "align": "probes"})
        yield "align_runs", ask("POST", "/v1/alignments", pair)
    yield "get_comparison", ask("GET", "/v1/comparisons/{comparison}")
    yield "list_comparison_nodes", ask("GET", "/v1/comparisons/{comparison}/nodes?limit=100")
    yield "get_reproduction", ask("GET", "/v1/comparisons/{comparison}/reproduction")
    origin = f"/v1/comparisons/{{comparison}}/origins/forward/{subject.middle}/reproduction"
    yield "get_origin_reproduction", ask("GET", f"{origin}?language=jax")
    yield "create_reproduction", ask("POST", origin)
    yield "list_comparisons", ask("GET", "/v1/comparisons")
    yield "list_graph_comparisons", ask("GET", "/v1/graphs/{graph}/comparisons")


def _series(subject: Subject) -> Iterator[tuple[str, Callable[[], None]]]:
    """A series of two steps, each with all values that were recorded, one of them wrong."""
    ask, graph = subject.ask, subject.graph
    figures = {**subject.inputs, **recording(graph, subject.inputs)["values"]}
    steps = {"values": {name: [figure, figure] for name, figure in figures.items()}}
    series_of = "/v1/series/{series}"
    yield "create_series", ask("POST", "/v1/series", {"graph": subject.made["graph"]}, keep="series")
    yield "add_steps", ask("POST", f"{series_of}/steps", steps)
    yield "get_series", ask("GET", series_of)
    yield "list_series", ask("GET", "/v1/series")
    yield "list_series_steps", ask("GET", f"{series_of}/steps")
    yield "get_series_verdict", ask("GET", f"{series_of}/verdict")
    yield "delete_series", ask("DELETE", series_of)


@cache
def measure(sizes: tuple[int, ...] = SIZES) -> Series:
    """Processor seconds of each act at each size, once all have been done before."""
    _measure(sizes[0], {})
    taken: Series = {}
    for size in sizes:
        _measure(size, taken)
    return taken


def _measure(size: int, taken: Series) -> None:
    graph = random_graph(size)
    with application(**RAISED) as client:
        subject = Subject(client, graph, dict.fromkeys(graph.inputs, 0.5))
        for name, act in acts(subject):
            try:
                taken.setdefault(name, {})[size] = once(act, time.thread_time)
            except RuntimeError as refusal:  # all that is measured by then is worth having
                print(f"{size:,} nodes, {name}: {refusal}", file=sys.stderr)


def rows(quick: bool = False) -> Iterator[Row]:
    """Of all acts, the one that grows most."""
    taken = measure(SIZES[:2] if quick else SIZES)
    factors = {name: growth(seconds) for name, seconds in taken.items()}
    worst = max(factors, key=lambda name: factors[name])
    work = f"cost of each of {len(taken)} acts for ten times the nodes, at most"
    yield Row(work, factors[worst], "×", MOST, f"`{worst}`")


def growth(seconds: Mapping[int, float]) -> float:
    """The greatest factor from one size to ten times that size, above a thousandth of a second."""
    return max((after / max(before, _FLOOR) for before, after in pairwise(seconds.values())), default=0.0)


def table(taken: Series) -> Iterator[str]:
    """The lines of a table of every act."""
    sizes = sorted({size for seconds in taken.values() for size in seconds})
    yield markdown_line(("milliseconds of", *(f"{size:,} nodes" for size in sizes), "growth"))
    yield f"|{'---|' * (len(sizes) + 2)}"
    for name, seconds in taken.items():
        figures = (f"{1e3 * seconds[size]:,.1f}" if size in seconds else "" for size in sizes)
        yield markdown_line((f"`{name}`", *figures, f"{growth(seconds):.1f} ×"))


if __name__ == "__main__":
    print(*table(measure(tuple(map(int, sys.argv[1:])) or SIZES)), sep="\n")
