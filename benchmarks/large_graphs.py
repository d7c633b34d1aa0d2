"""Large graphs through the API, in process: a million nodes, five graphs in rotation, a list of their runs, and what is
derived from a graph or a run.

By the thread's processor time: none of these acts has threads of its own.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from flask.testing import FlaskClient

from benchmarks.comparison import random_graph, recording
from benchmarks.growth import RAISED
from benchmarks.measuring import Row, once
from benchmarks.service import application
from service.core.graph.graph import Graph, node_document

_MILLION, _LARGE, _MIDDLE, _SMALL = 1_000_000, 250_000, 100_000, 50_000


def rows(quick: bool = False) -> Iterator[Row]:
    """A row for each act."""
    if not quick:
        yield from million_nodes()
        yield from rotation()
    yield from derived(_MIDDLE // 10 if quick else _MIDDLE)
    yield page(_SMALL // 10 if quick else _SMALL)


class Story:
    """A client, and what was made last."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def ask(self, path: str, body: Any = None, refused: int = 0) -> Any:
        """The answer to a GET, or to a POST where there is a body."""
        answer = self.prepare(path, body, refused)()
        return json.loads(answer.get_data())

    def seconds(self, path: str, body: Any = None, refused: int = 0) -> float:
        """The processor seconds of a request, the body written before."""
        return once(self.prepare(path, body, refused), time.thread_time)

    def prepare(self, path: str, body: Any = None, refused: int = 0) -> Callable[[], Any]:
        """A request, which raises where it is not answered with a success or as it is expected to be refused."""
        sent = None if body is None else json.dumps(body).encode()

        def act() -> Any:
            method = "GET" if sent is None else "POST"
            answer = self._client.open(path, method=method, data=sent, content_type="application/json")
            if not (answer.status_code == refused if refused else answer.status_code < 400):
                raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.get_data()[:500]!r}")
            return answer

        return act


def document(graph: Graph, name: str) -> dict[str, Any]:
    """The body that creates a graph."""
    return {"name": name, "nodes": [node_document(node) for node in graph.nodes], "outputs": list(graph.outputs)}


def million_nodes() -> Iterator[Row]:
    """A graph of a million nodes: made, run for the first time and again, compared."""
    graph = random_graph(_MILLION)
    inputs = dict.fromkeys(graph.inputs, 0.5)
    recorded = recording(graph, inputs)
    with application(**RAISED) as client:
        story = Story(client)
        create = story.prepare("/v1/graphs", document(graph, "million"))
        del graph
        with peak_memory() as peak:
            seconds = once(create, time.thread_time)
        yield Row(f"creating a graph of {_MILLION:,} nodes", seconds, "s", 6)
        yield Row("the same: memory beside the body", peak[0], "MiB", 500)
        runs = f"/v1/graphs/{story.ask('/v1/graphs')['graphs'][0]['id']}/runs"
        yield Row("its first run, kept", story.seconds(runs, {"inputs": inputs}), "s", 1.5)
        yield Row("its next run, kept", story.seconds(runs, {"inputs": inputs}), "s")
        theirs = story.ask(runs, {"inputs": inputs, "recorded": recorded})["id"]
        ours = story.ask("/v1/runs?source=computed")["runs"][0]["id"]
        seconds = story.seconds("/v1/comparisons", {"baseline": ours, "candidate": theirs})
        yield Row(f"comparing two runs of {_MILLION:,} nodes, stored and answered", seconds, "s", 1.5)


def rotation() -> Iterator[Row]:
    """Runs on five large graphs by turns, and a list of such runs."""
    with application(**RAISED) as client:
        story = Story(client)
        runs = []
        for seed in range(5):
            graph = random_graph(_LARGE, seed)
            inputs = {"inputs": dict.fromkeys(graph.inputs, 0.5), "keep": False}
            made = story.ask("/v1/graphs", document(graph, f"graph {seed}"))
            runs.append(f"/v1/graphs/{made['id']}/runs?gradients=inputs")
            for _ in range(4):
                story.ask(runs[-1], {**inputs, "keep": True})
        taken = [story.seconds(path, inputs) for _ in range(4) for path in runs]
        work = f"a run on each of five graphs of {_LARGE:,} nodes in rotation"
        yield Row(work, median(taken), "s", 0.1, f"the slowest {max(taken):.2f} s")
        taken = [1e3 * story.seconds("/v1/runs?limit=20") for _ in range(5)]
        yield Row("`GET /v1/runs?limit=20` of their runs", median(taken), "ms", 20, f"the first {taken[0]:.3g} ms")


def derived(count: int) -> Iterator[Row]:
    """What is derived from a graph: its gradient graph, checked claims, a formula that is refused."""
    graph = random_graph(count)
    inputs = dict.fromkeys(graph.inputs, 0.5)
    with application(**RAISED) as client:
        story = Story(client)
        made = story.ask("/v1/graphs", document(graph, "derived"))
        path = f"/v1/graphs/{made['id']}"
        body = {"inputs": inputs, "claims": {"by": "someone", "gradients": {graph.nodes[count // 2].name: 0.5}}}
        yield Row(f"claims about {count:,} nodes, checked", story.seconds(f"{path}/checks", body), "s", 0.5)
        seconds = story.seconds(f"{path}/gradient-graph", {"output": graph.outputs[0]})
        yield Row(f"gradient graph of {count:,} nodes", seconds, "s", 2)
        seconds = story.seconds(f"{path}/formula", refused=422)
        yield Row(f"formula of {count:,} nodes, refused", seconds, "s", 0.2)


def page(count: int) -> Row:
    """A page of the nodes of a comparison."""
    graph = random_graph(count)
    inputs = dict.fromkeys(graph.inputs, 0.5)
    with application(**RAISED) as client:
        story = Story(client)
        runs = f"/v1/graphs/{story.ask('/v1/graphs', document(graph, 'compared'))['id']}/runs"
        ours = story.ask(runs, {"inputs": inputs})["id"]
        theirs = story.ask(runs, {"inputs": inputs, "recorded": recording(graph, inputs)})["id"]
        made = story.ask("/v1/comparisons", {"baseline": ours, "candidate": theirs})["id"]
        path = f"/v1/comparisons/{made}/nodes?limit=100"
        milliseconds = 1e3 * median(story.seconds(path) for _ in range(7))
    return Row(f"a page of 100 nodes of a comparison of {count:,}", milliseconds, "ms", 10)


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """The list gets how many MiB more than at first this process had in memory at most; on Linux."""
    found: list[float] = []
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins at what is in memory now
    before = _kibibytes("VmRSS")
    yield found
    found.append((_kibibytes("VmHWM") - before) / 1024)


def _kibibytes(what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found
    return int(found[1])
