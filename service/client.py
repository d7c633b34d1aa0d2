"""The service from Python, over HTTP: a method for each operationId, frozen results, figures as NumPy arrays.

    with Client("http://127.0.0.1:8000") as gradbook:
        graph = gradbook.create_graph("blog", expression="F(a, b, c, d) = ((a + b) * c) / d")
        run = gradbook.create_run(graph, {"a": 5, "b": 1, "c": -2, "d": -3})
        run.values["F"], run.gradients["d"]

Every method raises Problem where the service refuses, and ServiceUnavailable where none answers:

    ClientError
    ├── Problem              an application/problem+json answer (RFC 9457)
    └── ServiceUnavailable   no answer, or not one of Gradbook's
"""

import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import quote, urlsplit

import numpy as np
import requests
from numpy.typing import NDArray
from requests.adapters import HTTPAdapter
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.util import Retry

Document: TypeAlias = Mapping[str, Any]
Figure: TypeAlias = np.float64 | NDArray[np.float64]

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 60.0
_PASSING_STATUSES = (429, 502, 503, 504)


class ClientError(Exception):
    """The root of what the client raises."""


class ServiceUnavailable(ClientError):
    """Nothing answers at the URL, or something that is not Gradbook."""


class Problem(ClientError):
    """The service refused. `type` is stable; `errors` point at the faults; `members` holds what else it said."""

    def __init__(self, document: Document) -> None:
        members = dict(document)
        self.type: str = members.pop("type", "about:blank")
        self.title: str = members.pop("title", "")
        self.status: int = members.pop("status", 0)
        self.detail: str = members.pop("detail", "")
        self.errors: tuple[Document, ...] = tuple(members.pop("errors", ()))
        self.members: Document = members
        super().__init__(f"{self.status} {self.title}: {self.detail}")


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node of a graph; `document` is what the service answered, here and in the other results."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Graph:
    """A stored graph; `nodes` are those that the answer held (none in a list), `list_graph_nodes` reads all."""

    id: str
    name: str
    version: int
    digest: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    node_count: int
    expression: str | None
    parent: str | None
    tags: Mapping[str, str]
    created_at: datetime
    nodes: tuple[GraphNode, ...] = field(repr=False)
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class RunNode:
    """A node of a run. A figure is None where there is none, and in lists where it has over 10,000 elements."""

    name: str
    operation: str
    shape: tuple[int, ...]
    value: Figure | None
    gradient: Figure | None
    nondifferentiable: bool
    document: Document = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One evaluation of a graph.

    `values` and `gradients` map the name of each node to its figure: np.float64 for a scalar, else an array. They
    begin with what the answer held; the rest is read from the service when it is asked for. A node without a figure
    (a Constant has no gradient) isn't in the mapping, and no gradient is before a backward pass. `nodes` are those
    that the answer held; `id` is None for a run that was not kept.
    """

    id: str | None
    graph_id: str
    graph_digest: str
    source: str
    recorded_by: str | None
    inputs: Mapping[str, Figure | None]
    output: str | None
    seed: Figure | None
    outputs: Mapping[str, Figure | None]
    values: Mapping[str, Figure] = field(repr=False)
    gradients: Mapping[str, Figure] = field(repr=False)
    nonfinite: Mapping[str, str | None]
    label: str | None
    tags: Mapping[str, str]
    created_at: datetime
    nodes: tuple[RunNode, ...] = field(repr=False)
    document: Document = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """A node's value (`phase` forward) or gradient (backward), and what may explain it, likeliest first."""

    phase: str
    node: str
    hypotheses: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A verdict on two runs; `origins` introduced an error, `inherited` were only given wrong figures."""

    id: str
    baseline: str
    candidate: str
    verdict: str
    tolerance: Any
    counts: Mapping[str, int]
    first_difference: Finding | None
    origins: tuple[Finding, ...]
    inherited: tuple[Finding, ...]
    compensated: tuple[Finding, ...]
    created_at: datetime
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry of the rulebook; formulas are mappings with `text` and `latex`."""

    name: str
    aliases: tuple[str, ...]
    operands: tuple[str, ...]
    rule: Mapping[str, str] | None
    local_gradients: tuple[Mapping[str, str], ...]
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the service, and the variable that sets it."""

    name: str
    maximum: int
    meaning: str
    variable: str


class Client:
    """A service at a URL, over one session; a context manager.

    `timeout` is in seconds, for the answer or as (connection, answer). A request that met no answer or a passing
    failure is sent again up to `retries` times if it is a GET or a POST: every POST carries an Idempotency-Key, the
    caller's `key` or one made for it, under which it takes effect once.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        timeout: float | tuple[float, float] = (_CONNECT_SECONDS, _ANSWER_SECONDS),
        retries: int = 3,
    ) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        # A proxy that the environment names cannot reach this machine's own loopback.
        self._session.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1")
        retry = Retry(
            retries,
            allowed_methods=("GET", "POST"),
            status_forcelist=_PASSING_STATUSES,
            backoff_factor=0.1,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    # --- graphs ---------------------------------------------------------------------------------------------------

    def create_graph(
        self,
        name: str,
        *,
        expression: str | None = None,
        nodes: Iterable[Document] | None = None,
        outputs: Sequence[str] | None = None,
        inputs: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Graph:
        """Build a graph from an expression or from nodes; content that `name` has already is that version."""
        listed = None if nodes is None else list(nodes)
        given = {"expression": expression, "nodes": listed, "outputs": outputs, "inputs": inputs, "tags": tags}
        return _read_graph(self._post("/v1/graphs", {"name": name, **_given(given)}, key))

    def add_nodes(
        self,
        graph: Graph | str,
        nodes: Iterable[Document],
        *,
        outputs: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Graph:
        """A new version of the graph with these nodes added; the old one stands."""
        given = {"nodes": list(nodes), "outputs": outputs, "tags": tags}
        return _read_graph(self._post(f"/v1/graphs/{_id(graph)}/nodes", _given(given), key))

    def list_graphs(self, *, name: str | None = None, tag: str | None = None) -> Iterator[Graph]:
        """Graphs, newest first, page by page as they are asked for; `tag` is written key:value."""
        return map(_read_graph, self._pages("/v1/graphs", "graphs", {"name": name, "tag": tag}))

    def get_graph(self, graph: Graph | str) -> Graph:
        """One graph by its id."""
        return _read_graph(self._get(f"/v1/graphs/{_id(graph)}"))

    def list_graph_nodes(self, graph: Graph | str) -> Iterator[GraphNode]:
        """All nodes in topological order, page by page as they are asked for."""
        return map(_read_graph_node, self._pages(f"/v1/graphs/{_id(graph)}/nodes", "nodes"))

    def delete_graph(self, graph: Graph | str) -> None:
        """Forget a graph that nothing refers to."""
        self._send("DELETE", f"/v1/graphs/{_id(graph)}")

    # --- runs -----------------------------------------------------------------------------------------------------

    def create_run(
        self,
        graph: Graph | str,
        inputs: Mapping[str, Any],
        *,
        backward: bool = True,
        output: str | None = None,
        seed: Any = None,
        label: str | None = None,
        tags: Mapping[str, str] | None = None,
        keep: bool = True,
        gradients: Literal["inputs"] | None = None,
        key: str | None = None,
    ) -> Run:
        """Evaluate a graph at `inputs`, forward and, unless told otherwise, backward from one output.

        Figures are numbers, nested lists or arrays, NaN and the infinities included. With `gradients="inputs"` the
        answer leaves the nodes out; with `keep` false nothing is stored.
        """
        body = {
            "inputs": dict(inputs),
            "backward": backward,
            "keep": keep,
            **_given({"output": output, "seed": seed, "label": label, "tags": tags}),
        }
        return self._read_run(self._post(f"/v1/graphs/{_id(graph)}/runs", body, key, {"gradients": gradients}))

    def run_backward(
        self, run: Run | str, *, output: str | None = None, seed: Any = None, key: str | None = None
    ) -> Run:
        """Fill in the gradients of a run that has values only."""
        body = _given({"output": output, "seed": seed})
        return self._read_run(self._post(f"/v1/runs/{_id(run)}/backward", body, key))

    def list_runs(
        self,
        *,
        graph: Graph | str | None = None,
        label: str | None = None,
        tag: str | None = None,
        recorded_by: str | None = None,
    ) -> Iterator[Run]:
        """Runs, newest first, page by page as they are asked for; `tag` is written key:value."""
        identifier = graph.id if isinstance(graph, Graph) else graph
        query = {"graph": identifier, "label": label, "tag": tag, "recorded_by": recorded_by}
        return map(self._read_run, self._pages("/v1/runs", "runs", query))

    def get_run(self, run: Run | str, *, gradients: Literal["inputs"] | None = None) -> Run:
        """One run by its id."""
        return self._read_run(self._get(f"/v1/runs/{_id(run)}", {"gradients": gradients}))

    def list_run_nodes(self, run: Run | str) -> Iterator[RunNode]:
        """All nodes of a run in topological order, page by page as they are asked for."""
        return map(_read_run_node, self._pages(f"/v1/runs/{_id(run)}/nodes", "nodes"))

    def get_run_node(self, run: Run | str, name: str) -> RunNode:
        """One node of a run, whole whatever its size."""
        return _read_run_node(self._get(f"/v1/runs/{_id(run)}/nodes/{quote(name, safe='')}"))

    def record_run(
        self,
        graph: Graph | str,
        *,
        by: str,
        values: Mapping[str, Any] | None = None,
        gradients: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        dtype: Literal["float64", "float32"] | str = "float64",
        output: str | None = None,
        seed: Any = None,
        label: str | None = None,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Run:
        """Keep figures that another program computed, of any subset of the nodes: numbers, arrays or anything that
        has `__array__`. `inputs` fill the values of Inputs that `values` omits."""
        recorded = {"by": by, "dtype": dtype, "values": dict(values or {}), "gradients": dict(gradients or {})}
        body = {
            "inputs": dict(inputs or {}),
            "recorded": recorded,
            **_given({"output": output, "seed": seed, "label": label, "tags": tags}),
        }
        return self._read_run(self._post(f"/v1/graphs/{_id(graph)}/runs", body, key))

    # --- comparisons ----------------------------------------------------------------------------------------------

    def create_comparison(
        self,
        baseline: Run | str,
        candidate: Run | str,
        *,
        tolerance: str | Mapping[str, float] | None = None,
        names: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Comparison:
        """Compare two runs; `names` maps the candidate's nodes to the baseline's where they are called otherwise."""
        runs = {"baseline": baseline, "candidate": candidate}
        sides = {side: run if isinstance(run, str) else run.id for side, run in runs.items()}
        body = {**sides, **_given({"tolerance": tolerance, "names": names})}
        return _read_comparison(self._post("/v1/comparisons", body, key))

    def check_claims(
        self,
        graph: Graph | str,
        inputs: Mapping[str, Any],
        claims: Mapping[str, Any],
        *,
        output: str | None = None,
        seed: Any = None,
        tolerance: str | Mapping[str, float] | None = None,
        key: str | None = None,
    ) -> Comparison:
        """Run the graph, record the claims {"values", "gradients", "by"} and compare the two, in one call."""
        body = {"inputs": inputs, "claims": claims, **_given({"output": output, "seed": seed, "tolerance": tolerance})}
        return _read_comparison(self._post(f"/v1/graphs/{_id(graph)}/checks", body, key))

    def list_comparisons(self, *, run: Run | str | None = None) -> Iterator[Document]:
        """Comparisons without their figures, newest first; `run` may be either side."""
        return self._pages("/v1/comparisons", "comparisons", {"run": run.id if isinstance(run, Run) else run})

    def get_comparison(self, comparison: Comparison | str) -> Comparison:
        """One comparison by its id."""
        return _read_comparison(self._get(f"/v1/comparisons/{_id(comparison)}"))

    def list_comparison_nodes(
        self,
        comparison: Comparison | str,
        *,
        only: Literal["differences", "origins"] | None = None,
        order: Literal["topological", "relative_error"] | None = None,
    ) -> Iterator[Document]:
        """The figures of a comparison, page by page as they are asked for."""
        return self._pages(f"/v1/comparisons/{_id(comparison)}/nodes", "nodes", {"only": only, "order": order})

    # --- the service itself ---------------------------------------------------------------------------------------

    def list_operations(self) -> Iterator[Operation]:
        """The rulebook."""
        return map(_read_operation, self._pages("/v1/operations", "operations"))

    def get_operation(self, name: str) -> Operation:
        """One operation, by its name or an alias."""
        return _read_operation(self._get(f"/v1/operations/{quote(name, safe='')}"))

    def list_limits(self) -> tuple[Limit, ...]:
        """The table of limits."""
        return tuple(Limit(**limit) for limit in self._get("/v1/limits")["limits"])

    def check_alive(self) -> None:
        """Raise unless the service answers."""
        self._get("/livez")

    def check_ready(self) -> None:
        """Raise unless the service and its database answer."""
        self._get("/readyz")

    def get_metrics(self) -> str:
        """What the service measured, in the text format of Prometheus."""
        return self._send("GET", "/metrics").text

    def get_openapi(self) -> str:
        """The document of the API, OpenAPI 3.1 in YAML."""
        return self._send("GET", "/openapi.yaml").text

    # --- requests -------------------------------------------------------------------------------------------------

    def _get(self, path: str, query: Mapping[str, str | None] | None = None) -> Document:
        return self._document(self._send("GET", path, params=query))

    def _post(
        self, path: str, body: Document, key: str | None, query: Mapping[str, str | None] | None = None
    ) -> Document:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key or str(uuid.uuid4())}
        return self._document(self._send("POST", path, params=query, data=_write_json(body), headers=headers))

    def _pages(self, path: str, member: str, query: Mapping[str, str | None] | None = None) -> Iterator[Document]:
        asked = dict(query or {})
        while True:
            page = self._get(path, asked)
            yield from page[member]
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]

    def _send(self, method: str, path: str, **request: Any) -> requests.Response:
        try:
            response = self._session.request(method, self.url + path, timeout=self._timeout, **request)
        except requests.RequestException as error:
            raise ServiceUnavailable(f"no service answers at {self.url}: {_reason(error)}") from error
        if response.ok:
            return response
        if response.headers.get("Content-Type", "").startswith("application/problem+json"):
            raise Problem(self._document(response))
        raise Problem({"title": response.reason, "status": response.status_code, "detail": f"{method} {response.url}"})

    def _document(self, response: requests.Response) -> Document:
        try:
            document = response.json()
        except requests.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise ServiceUnavailable(f"what answers at {self.url} is not Gradbook")
        return document

    def _read_run(self, document: Document) -> Run:
        nodes = tuple(map(_read_run_node, document.get("nodes") or ()))
        source = _Nodes(self, document["id"], nodes, complete="nodes" in document and document["next"] is None)
        inputs, outputs, gradients = (_read_figures(document[name]) for name in ("inputs", "outputs", "gradients"))
        backward = document["gradients"] is not None
        return Run(
            id=document["id"],
            graph_id=document["graph_id"],
            graph_digest=document["graph_digest"],
            source=document["source"],
            recorded_by=document.get("recorded_by"),
            inputs=inputs,
            output=document["output"],
            seed=_read_figure(document["seed"]),
            outputs=outputs,
            values=_Figures(source, "value", {**inputs, **outputs}),
            gradients=_Figures(source, "gradient", gradients) if backward else {},
            nonfinite=document["nonfinite"],
            label=document["label"],
            tags=document["tags"],
            created_at=datetime.fromisoformat(document["created_at"]),
            nodes=nodes,
            document=document,
        )


# --- documents → results ------------------------------------------------------------------------------------------


class _Nodes:
    """The nodes of a run, as far as they have been read."""

    def __init__(self, client: Client, run_id: str | None, nodes: Iterable[RunNode], complete: bool) -> None:
        self._client, self._run_id = client, run_id
        self._known = {node.name: node for node in nodes}
        self._complete = complete or run_id is None

    def all(self) -> Mapping[str, RunNode]:
        """Every node; pages that were not read yet are read now."""
        if not self._complete and self._run_id is not None:
            self._known = {node.name: node for node in self._client.list_run_nodes(self._run_id)} | self._known
            self._complete = True
        return self._known

    def find(self, name: str) -> RunNode:
        """One node, whole whatever its size; raises KeyError."""
        node = self._known[name] if name in self._known else self.all()[name]
        if self._run_id is not None and node.shape and node.value is None and node.gradient is None:
            node = self._known[name] = self._client.get_run_node(self._run_id, name)
        return node


class _Figures(Mapping[str, Figure]):
    """The values or the gradients of a run by node, in topological order once all of them are asked for."""

    def __init__(self, nodes: _Nodes, member: str, known: Mapping[str, Figure | None]) -> None:
        self._nodes, self._member = nodes, member
        self._known = {name: figure for name, figure in known.items() if figure is not None}

    def __getitem__(self, name: str) -> Figure:
        if name not in self._known:
            figure: Figure | None = getattr(self._nodes.find(name), self._member)
            if figure is None:
                raise KeyError(name)
            self._known[name] = figure
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in list(self._nodes.all() or self._known) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


def _read_graph(document: Document) -> Graph:
    return Graph(
        id=document["id"],
        name=document["name"],
        version=document["version"],
        digest=document["digest"],
        inputs=tuple(document["inputs"]),
        outputs=tuple(document["outputs"]),
        node_count=document["node_count"],
        expression=document["expression"],
        parent=document["parent"],
        tags=document["tags"],
        created_at=datetime.fromisoformat(document["created_at"]),
        nodes=tuple(map(_read_graph_node, document.get("nodes", ()))),
        document=document,
    )


def _read_graph_node(document: Document) -> GraphNode:
    inputs, attributes = tuple(document["inputs"]), document.get("attributes", {})
    return GraphNode(document["name"], document["operation"], inputs, attributes, document)


def _read_run_node(document: Document) -> RunNode:
    shape = tuple(document.get("shape", ()))
    return RunNode(
        name=document["name"],
        operation=document["operation"],
        shape=shape,
        value=_read_figure(document["value"], shape),
        gradient=_read_figure(document["gradient"], shape),
        nondifferentiable=document.get("nondifferentiable", False),
        document=document,
    )


def _read_comparison(document: Document) -> Comparison:
    first = document["first_difference"]
    return Comparison(
        id=document["id"],
        baseline=document["baseline"],
        candidate=document["candidate"],
        verdict=document["verdict"],
        tolerance=document["tolerance"],
        counts=document["counts"],
        first_difference=None if first is None else _read_finding(first),
        origins=tuple(map(_read_finding, document["origins"])),
        inherited=tuple(map(_read_finding, document["inherited"])),
        compensated=tuple(map(_read_finding, document["compensated"])),
        created_at=datetime.fromisoformat(document["created_at"]),
        document=document,
    )


def _read_finding(document: Document) -> Finding:
    return Finding(document["phase"], document["node"], tuple(document.get("hypotheses", ())))


def _read_operation(document: Document) -> Operation:
    return Operation(
        name=document["name"],
        aliases=tuple(document["aliases"]),
        operands=tuple(document["operands"]),
        rule=document["rule"],
        local_gradients=tuple(document["local_gradients"]),
        document=document,
    )


def _read_figures(document: Document | None) -> dict[str, Figure | None]:
    return {name: _read_figure(figure) for name, figure in (document or {}).items()}


def _read_figure(document: Any, shape: tuple[int, ...] | None = None) -> Figure | None:
    """np.float64 for a scalar, else an array; NumPy reads the strings NaN, Infinity and -Infinity by itself."""
    if document is None:
        return None
    array = np.array(document, dtype=np.float64)
    figure: Figure = array.reshape(shape or array.shape)[()]
    return figure


# --- requests ← arguments -----------------------------------------------------------------------------------------


def _id(resource: Graph | Run | Comparison | str) -> str:
    identifier = resource if isinstance(resource, str) else resource.id
    if identifier is None:
        raise ValueError("this run was not kept: the service knows nothing of it")
    return quote(identifier, safe="")


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _write_json(body: Document) -> bytes:
    try:
        text = json.dumps(body, allow_nan=False, default=_write_array)
    except ValueError:  # NaN or an infinity among the numbers
        text = json.dumps(_spell(body), allow_nan=False, default=_write_array)
    return text.encode()


def _write_array(array: Any) -> Any:
    """Nested lists from an array, or from what NumPy makes one of; raises TypeError for one that isn't real."""
    return _spell(np.asarray(array).astype(np.float64, casting="same_kind").tolist())


def _spell(value: Any) -> Any:
    """The same with NaN and the infinities as strings."""
    if isinstance(value, float):
        return (
            value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        )
    if isinstance(value, list | tuple):
        return [_spell(item) for item in value]
    if isinstance(value, dict):
        return {name: _spell(item) for name, item in value.items()}
    return value


def _reason(error: requests.RequestException) -> str:
    """What the system said, from below the layers of HTTP."""
    said = ""
    cause: BaseException | None = error
    while cause is not None:
        said = "it took too long" if isinstance(cause, HTTPTimeoutError) else getattr(cause, "strerror", None) or said
        cause = cause.__cause__ or cause.__context__
    return said or str(error)
