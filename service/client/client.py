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

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

from service.client.figures import Document
from service.client.npz import MEDIA_TYPE, read_answer, take_arrays, write_request
from service.client.results.alignments import Alignment, read_alignment
from service.client.results.comparisons import (
    ComparedFigure,
    Comparison,
    ComparisonSummary,
    Reproduction,
    read_compared_figure,
    read_comparison,
    read_comparison_summary,
)
from service.client.results.derivatives import (
    Derivatives,
    DerivativesSummary,
    GradientCheck,
    read_derivatives,
    read_derivatives_summary,
    read_gradient_check,
)
from service.client.results.explanations import Formula, Paths, Step, read_formula, read_paths, read_step
from service.client.results.graphs import Graph, GraphNode, read_graph, read_graph_node
from service.client.results.rounding import Rounding, read_rounding
from service.client.results.rulebook import Limit, Operation, read_operation
from service.client.results.runs import Run, RunNode, read_run, read_run_node
from service.client.results.series import (
    Series,
    SeriesStep,
    SeriesVerdict,
    read_series,
    read_series_step,
    read_series_verdict,
)
from service.client.tensors import Tensors
from service.client.transport import ANSWER_SECONDS, CONNECT_SECONDS, Transport, write_json

if TYPE_CHECKING:
    from service.client.graph_builder import GraphBuilder

UNCHANGED: Any = object()  # what is not given of what is changed: None takes it away


class Client:
    """A service at a URL, over one session; a context manager.

    `access_key` is a key of the service's, by default what GRADBOOK_KEY holds; without one a service that has keys
    answers nothing but whether it is alive and ready.
    `timeout` is in seconds, for the answer or as (connection, answer). A request that met no answer or a passing
    failure is sent again up to `retries` times if it is a GET, a PUT or a POST: every POST carries an Idempotency-Key,
    the caller's `key` or one made for it, under which it takes effect once. Each request is sent, and answered, within
    `during()`: there a program may show that it waits.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        access_key: str | None = None,
        timeout: float | tuple[float, float] = (CONNECT_SECONDS, ANSWER_SECONDS),
        retries: int = 3,
        during: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        key = os.environ.get("GRADBOOK_KEY", "") if access_key is None else access_key
        self._http = Transport(url, timeout, retries, key.strip(), during)
        self._tensors = Tensors(self._http)

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._http.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- graphs ---------------------------------------------------------------------------------------------------

    def create_graph(
        self,
        name: "str | GraphBuilder",
        *,
        expression: str | None = None,
        nodes: Iterable[Document] | None = None,
        outputs: Sequence[str] | None = None,
        inputs: Sequence[str] | None = None,
        weights: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Graph:
        """Build a graph from an expression, from nodes or from what was written under `gradbook.graph`; content that
        the name has already is that version.

        `weights` are digests that `put_tensor` returned: the values of these inputs wherever none are given.
        """
        if not isinstance(name, str):
            if expression is not None or nodes is not None:
                raise TypeError("a graph that was written has its nodes: it takes no expression and no further nodes")
            nodes, name = name.nodes, name.name
            inputs = inputs or [node["name"] for node in nodes if node["operation"] == "Input"]
        listed = None if nodes is None else list(nodes)
        how = {"expression": expression, "nodes": listed, "outputs": outputs, "inputs": inputs}
        given = {**how, "weights": weights, "tags": tags}
        return read_graph(self._http.post("/v1/graphs", {"name": name, **_given(given)}, key), self)

    def import_graph(
        self,
        name: str,
        model: bytes,
        *,
        shapes: Mapping[str, Sequence[int]] | None = None,
        outputs: Sequence[str] | None = None,
        key: str | None = None,
    ) -> Graph:
        """Make a graph of an ONNX model, the bytes of one file.

        `shapes` are those of its inputs whose own are not enough, `outputs` the tensors that are outputs instead of the
        model's own. The graph's document has the member `warnings` where it may differ from the exported program.
        """
        query = {"name": name, "input": _written_shapes(shapes), "outputs": list(outputs or ())}
        headers = {"Content-Type": "application/x-onnx"}
        return read_graph(self._http.read(self._http.send_keyed("/v1/graphs", model, key, headers, query)), self)

    def export_graph(
        self,
        graph: Graph | str,
        *,
        dtype: Literal["float32", "float64"] | str = "float32",
        shapes: Mapping[str, Sequence[int]] | None = None,
    ) -> bytes:
        """A graph as an ONNX model, the bytes of one file; `shapes` are those of inputs that declare none."""
        query = {"dtype": dtype, "input": _written_shapes(shapes)}
        return self._http.send("GET", f"/v1/graphs/{_id(graph)}/onnx", params=query).content

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
        return read_graph(self._http.post(f"/v1/graphs/{_id(graph)}/nodes", _given(given), key), self)

    def list_graphs(
        self,
        *,
        name: str | None = None,
        tag: str | None = None,
        q: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        sort: Literal["created_at", "-created_at", "name", "-name"] | None = None,
    ) -> Iterator[Graph]:
        """Graphs, newest first unless `sort` says, page by page as they are asked for.

        `tag` is written key:value; `q` is a text in name or expression. They were made at `since` or later and before
        `until`, times with a zone or dates, here as in other lists.
        """
        query = {"name": name, "tag": tag, "q": q, **_listed(since, until, sort)}
        pages = self._http.pages("/v1/graphs", "graphs", query)
        return (read_graph(document, self) for document in pages)

    def get_graph(self, graph: Graph | str) -> Graph:
        """One graph by its id; by its name, which is its highest version, or name@version; or by the last 8 characters
        of its id. So are graphs named wherever they are asked for."""
        return read_graph(self._http.get(f"/v1/graphs/{_id(graph)}"), self)

    def list_graph_nodes(self, graph: Graph | str) -> Iterator[GraphNode]:
        """All nodes in topological order, page by page as they are asked for."""
        return map(read_graph_node, self._http.pages(f"/v1/graphs/{_id(graph)}/nodes", "nodes"))

    def get_formula(self, graph: Graph | str, *, of: str | None = None, wrt: str | None = None) -> Formula:
        """A node (the only output, if left out) as one formula in the graph's inputs; with `wrt`, its derivative with
        respect to that node."""
        return read_formula(self._http.get(f"/v1/graphs/{_id(graph)}/formula", {"of": of, "wrt": wrt}))

    def get_source(self, graph: Graph | str, *, language: Literal["numpy", "torch", "jax", "c"] | str = "numpy") -> str:
        """A graph as the source code of a function: its parameters are the inputs, and it returns the outputs."""
        answer = self._http.send("GET", f"/v1/graphs/{_id(graph)}/source", params={"language": language})
        return answer.content.decode()

    def create_gradient_graph(
        self,
        graph: Graph | str,
        *,
        output: str | None = None,
        wrt: Sequence[str] | None = None,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Graph:
        """The graph whose outputs are the gradients of `output` with respect to `wrt`: all inputs, if left out."""
        given = {"output": output, "wrt": None if wrt is None else list(wrt), "name": name, "tags": tags}
        return read_graph(self._http.post(f"/v1/graphs/{_id(graph)}/gradient-graph", _given(given), key), self)

    def update_graph(self, graph: Graph | str, *, tags: Mapping[str, str | None] | None) -> Graph:
        """Set these tags of a graph and take those away that are None, or all of them; the others stay."""
        return read_graph(self._http.patch(f"/v1/graphs/{_id(graph)}", {"tags": tags}), self)

    def delete_graph(self, graph: Graph | str, *, cascade: bool = False) -> None:
        """Delete a graph that nothing refers to; with `cascade` also its runs, derivatives and graphs made from it."""
        self._http.delete(f"/v1/graphs/{_id(graph)}", cascade)

    # --- runs -----------------------------------------------------------------------------------------------------

    def create_run(
        self,
        graph: Graph | str,
        inputs: Mapping[str, Any],
        *,
        backward: bool = True,
        output: str | None = None,
        seed: Any = None,
        conventions: str | None = None,
        label: str | None = None,
        tags: Mapping[str, str] | None = None,
        keep: bool = True,
        gradients: Literal["inputs"] | None = None,
        key: str | None = None,
    ) -> Run:
        """Evaluate a graph at `inputs`, forward and, unless told otherwise, backward from one output.

        Figures are numbers, nested lists or arrays, NaN and the infinities included; large arrays travel packed, as
        .npz. `conventions` names the library whose choice is returned where no derivative exists. With
        `gradients="inputs"` the answer leaves the nodes out; with `keep` false nothing is stored.
        """
        body = {
            "inputs": dict(inputs),
            "backward": backward,
            "keep": keep,
            **_given({"output": output, "seed": seed, "conventions": conventions, "label": label, "tags": tags}),
        }
        has_weights = isinstance(graph, Graph) and bool(graph.weights)
        return self._post_run(f"/v1/graphs/{_id(graph)}/runs", body, key, {"gradients": gradients}, has_weights)

    def create_runs(
        self,
        graph: Graph | str,
        runs: Iterable[Mapping[str, Any]],
        *,
        backward: bool = True,
        output: str | None = None,
        seed: Any = None,
        conventions: str | None = None,
        key: str | None = None,
    ) -> tuple[Run, ...]:
        """Evaluate a graph at many points in one request; each of `runs` has its "inputs" and, if it is to be found by
        them, "label" and "tags". All runs are kept or, where anything is wrong with one, none; they come in that order.
        """
        body = {
            "runs": list(runs),
            "backward": backward,
            **_given({"output": output, "seed": seed, "conventions": conventions}),
        }
        answer = self._http.post(f"/v1/graphs/{_id(graph)}/runs/batch", body, key)
        return tuple(read_run(document, self) for document in answer["runs"])

    def run_backward(
        self,
        run: Run | str,
        *,
        output: str | None = None,
        seed: Any = None,
        conventions: str | None = None,
        key: str | None = None,
    ) -> Run:
        """Fill in the gradients of a run that has values only."""
        body = _given({"output": output, "seed": seed, "conventions": conventions})
        return read_run(self._http.post(f"/v1/runs/{_id(run)}/backward", body, key), self)

    def set_baseline(self, run: Run | str, *, label: str = "main", key: str | None = None) -> Run:
        """Label a run, and take that label from every other run of its graph's name, whatever their versions."""
        return read_run(self._http.post(f"/v1/runs/{_id(run)}/baseline", {"label": label}, key), self)

    def update_run(
        self,
        run: Run | str,
        *,
        label: str | None = UNCHANGED,
        tags: Mapping[str, str | None] | None = UNCHANGED,
    ) -> Run:
        """Set the label and these tags of a run, and take those away that are None; the others stay."""
        given = {"label": label, "tags": tags}
        changes = {name: value for name, value in given.items() if value is not UNCHANGED}
        return read_run(self._http.patch(f"/v1/runs/{_id(run)}", changes), self)

    def delete_run(self, run: Run | str, *, cascade: bool = False) -> None:
        """Delete a run that no comparison is of; with `cascade` also its comparisons."""
        self._http.delete(f"/v1/runs/{_id(run)}", cascade)

    def list_runs(
        self,
        *,
        graph: Graph | str | None = None,
        label: str | None = None,
        tag: str | None = None,
        source: Literal["computed", "recorded"] | None = None,
        recorded_by: str | None = None,
        q: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        sort: Literal["created_at", "-created_at"] | None = None,
    ) -> Iterator[Run]:
        """Runs, newest first unless `sort` says, page by page as they are asked for.

        `tag` is written key:value; `q` is a text in the label, in `recorded_by` or in the graph's name.
        """
        which = {"graph": _name(graph), "label": label, "tag": tag, "source": source, "recorded_by": recorded_by}
        query = {**which, "q": q, **_listed(since, until, sort)}
        return (read_run(document, self) for document in self._http.pages("/v1/runs", "runs", query))

    def get_run(self, run: Run | str, *, gradients: Literal["inputs"] | None = None) -> Run:
        """One run by its id; by GRAPH:LABEL, the newest run with that label; or by the last 8 characters of its id. So
        are runs named wherever they are asked for."""
        return read_run(self._http.get(f"/v1/runs/{_id(run)}", {"gradients": gradients}), self)

    def list_run_nodes(self, run: Run | str, *, packed: bool = False) -> Iterator[RunNode]:
        """All nodes of a run in topological order, page by page as they are asked for; if `packed` all at once, as
        .npz, and whole whatever their size."""
        path = f"/v1/runs/{_id(run)}/nodes"
        return iter(self._get_packed(path)) if packed else map(read_run_node, self._http.pages(path, "nodes"))

    def get_run_node(self, run: Run | str, name: str, *, packed: bool = False) -> RunNode:
        """One node of a run, whole whatever its size; `packed`, as .npz, it comes sooner if it is large."""
        path = f"/v1/runs/{_id(run)}/nodes/{quote(name, safe='')}"
        return self._get_packed(path)[0] if packed else read_run_node(self._http.get(path))

    def record_run(
        self,
        graph: Graph | str,
        *,
        by: str,
        values: Mapping[str, Any] | None = None,
        gradients: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        dtype: Literal["float64", "float32", "float16", "bfloat16"] | str = "float64",
        output: str | None = None,
        seed: Any = None,
        label: str | None = None,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Run:
        """Keep figures that another program computed, of any subset of the nodes: numbers, arrays or anything that
        has `__array__`; None where there was none, as of a detached parameter's gradient. `inputs` fill the values of
        Inputs that `values` omits."""
        recorded = {"by": by, "dtype": dtype, "values": dict(values or {}), "gradients": dict(gradients or {})}
        body = {
            "inputs": dict(inputs or {}),
            "recorded": recorded,
            **_given({"output": output, "seed": seed, "label": label, "tags": tags}),
        }
        return self._post_run(f"/v1/graphs/{_id(graph)}/runs", body, key)

    # --- tensors --------------------------------------------------------------------------------------------------

    def put_tensor(self, array: Any) -> str:
        """Store an array, once, and return its digest, sha256:…; {"tensor": digest} stands for it in any inputs."""
        return self._tensors.put(array)

    def get_tensor(self, digest: str) -> Any:
        """The array of that digest, in the dtype in which it was stored."""
        return self._tensors.get(digest)

    # --- explanations ---------------------------------------------------------------------------------------------

    def list_steps(self, run: Run | str, *, node: str | None = None) -> Iterator[Step]:
        """How each figure of a run came about, page by page as they are asked for; with `node`, that node's."""
        return map(read_step, self._http.pages(f"/v1/runs/{_id(run)}/steps", "steps", {"node": node}))

    def list_paths(self, run: Run | str, node: str, *, limit: int | None = None) -> Paths:
        """The paths from a node to the output, largest first, and the sum over all of them: the gradient."""
        return read_paths(
            self._http.get(f"/v1/runs/{_id(run)}/paths", {"node": node, "limit": None if limit is None else str(limit)})
        )

    def get_article(
        self,
        run: Run | str,
        *,
        format: Literal["html", "markdown", "latex"] = "html",
        blank: Literal["gradients", "values", "all"] | None = None,
        nodes: Sequence[str] | None = None,
        answers: bool = False,
    ) -> str:
        """The derivation of a run as a page to hand out.

        With `blank`, or `nodes`, the nodes whose figures are meant, it is a worksheet with these figures left blank;
        with `answers` the answers to that.
        """
        names = None if nodes is None else ",".join(f"`{name}`" for name in nodes)
        query = {"format": format, "blank": blank, "nodes": names, "answers": "true" if answers else None}
        return self._http.send("GET", f"/v1/runs/{_id(run)}/article", params=query).content.decode()

    def get_rounding(
        self,
        run: Run | str,
        *,
        dtype: Literal["float32", "float16", "bfloat16"] | str,
        limit: int | None = None,
    ) -> Rounding:
        """What rounding every figure of a run to `dtype` may do to its output; lists the `limit` nodes, by default
        100, whose rounding does most."""
        query = {"dtype": dtype, "limit": None if limit is None else str(limit)}
        return read_rounding(self._http.get(f"/v1/runs/{_id(run)}/rounding", query))

    # --- comparisons ----------------------------------------------------------------------------------------------

    def create_comparison(
        self,
        baseline: Run | str,
        candidate: Run | str,
        *,
        tolerance: str | Mapping[str, float] | None = None,
        align: Literal["names", "probes"] | None = None,
        names: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Comparison:
        """Compare two runs; `names` maps the candidate's nodes to the baseline's where they are called otherwise, and
        `align` says whether the others are paired by their names or, by probes, by what they compute."""
        sides = {"baseline": _name(baseline), "candidate": _name(candidate)}
        body = {**sides, **_given({"tolerance": tolerance, "align": align, "names": names})}
        return read_comparison(self._http.post("/v1/comparisons", body, key), self)

    def align_runs(
        self, baseline: Run | str, candidate: Run | str, *, names: Mapping[str, str] | None = None
    ) -> Alignment:
        """Pair the nodes of two runs' graphs by what they compute, but for those in `names`; nothing is stored."""
        body = {"baseline": _name(baseline), "candidate": _name(candidate), **_given({"names": names})}
        return read_alignment(self._http.post("/v1/alignments", body, None))

    def check_claims(
        self,
        graph: Graph | str,
        inputs: Mapping[str, Any],
        claims: Mapping[str, Any],
        *,
        output: str | None = None,
        seed: Any = None,
        tolerance: str | Mapping[str, float] | None = None,
        label: str | None = None,
        tags: Mapping[str, str] | None = None,
        keep: bool = True,
        key: str | None = None,
    ) -> Comparison:
        """Run the graph, record the claims {"values", "gradients", "by"} and compare the two, in one call.

        A claim may be text, "2/3" or "0.667"; without a `tolerance` a number may be rounded to its last digit too.
        `label` and `tags` are those of the run that holds the claims; with `keep` false nothing is stored.
        """
        options = {"output": output, "seed": seed, "tolerance": tolerance, "label": label, "tags": tags}
        body = {"inputs": inputs, "claims": claims, "keep": keep, **_given(options)}
        return read_comparison(self._post_inputs(f"/v1/graphs/{_id(graph)}/checks", body, key), self)

    def list_comparisons(
        self,
        *,
        run: Run | str | None = None,
        graph: Graph | str | None = None,
        verdict: Literal["same", "differ"] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        sort: Literal["created_at", "-created_at"] | None = None,
    ) -> Iterator[ComparisonSummary]:
        """Comparisons without their figures, newest first unless `sort` says; `run` may be either side, `graph` the
        graph of either side."""
        query = {"run": _name(run), "graph": _name(graph), "verdict": verdict, **_listed(since, until, sort)}
        return map(read_comparison_summary, self._http.pages("/v1/comparisons", "comparisons", query))

    def list_checks(
        self,
        graph: Graph | str,
        *,
        verdict: Literal["same", "differ"] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        sort: Literal["created_at", "-created_at"] | None = None,
    ) -> Iterator[ComparisonSummary]:
        """Comparisons of a graph's computed runs with what was recorded or claimed, as `list_comparisons` lists."""
        query = {"verdict": verdict, **_listed(since, until, sort)}
        pages = self._http.pages(f"/v1/graphs/{_id(graph)}/checks", "comparisons", query)
        return map(read_comparison_summary, pages)

    def get_comparison(self, comparison: Comparison | str) -> Comparison:
        """One comparison by its id."""
        return read_comparison(self._http.get(f"/v1/comparisons/{_id(comparison)}"), self)

    def delete_comparison(self, comparison: Comparison | str) -> None:
        """Delete a comparison; its runs stay."""
        self._http.delete(f"/v1/comparisons/{_id(comparison)}")

    def list_comparison_nodes(
        self,
        comparison: Comparison | str,
        *,
        only: Literal["differences", "origins"] | None = None,
        order: Literal["topological", "relative_error"] | None = None,
    ) -> Iterator[ComparedFigure]:
        """The figures of a comparison, page by page as they are asked for; the answer holds those of an unkept one."""
        if isinstance(comparison, Comparison) and comparison.id is None:
            return map(read_compared_figure, _select(comparison.document["nodes"], only, order))
        query = {"only": only, "order": order}
        pages = self._http.pages(f"/v1/comparisons/{_id(comparison)}/nodes", "nodes", query)
        return map(read_compared_figure, pages)

    def get_reproduction(
        self,
        comparison: Comparison | str,
        phase: Literal["forward", "backward"] | str | None = None,
        node: str | None = None,
        *,
        language: Literal["numpy", "torch", "jax"] | str = "numpy",
        format: Literal["python", "markdown"] = "python",
    ) -> Reproduction:
        """A script that shows an origin, by default the first one, with that library alone; as Markdown it is the text
        of an issue."""
        path = f"/v1/comparisons/{_id(comparison)}/reproduction"
        query = {"phase": phase, "node": node, "language": language, "format": format}
        answer = self._http.send("GET", path, params=query)
        beside = None
        if "related" in answer.links:
            beside = self._http.send("GET", path, params={**query, "format": "npz"}).content
        return Reproduction(answer.content.decode(), beside)

    def create_reproduction(
        self,
        comparison: Comparison | str,
        phase: Literal["forward", "backward"] | str,
        node: str,
        *,
        key: str | None = None,
    ) -> Comparison:
        """Store the smallest graph around an origin with a run, one that records the figure, and their comparison."""
        path = f"/v1/comparisons/{_id(comparison)}/origins/{phase}/{quote(node, safe='')}/reproduction"
        answer = self._http.send_keyed(path, b"", key, {})
        return read_comparison(self._http.read(answer), self)

    # --- series ---------------------------------------------------------------------------------------------------

    def create_series(
        self,
        graph: Graph | str,
        carry: Mapping[str, str],
        *,
        by: str | None = None,
        dtype: Literal["float64", "float32", "float16", "bfloat16"] | str | None = None,
        tolerance: str | Mapping[str, float] | None = None,
        retain: Literal["auto", "full", "norms"] | str | None = None,
        every: int | None = None,
        label: str | None = None,
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Series:
        """Begin a series: a training run whose steps are runs of a graph.

        `carry` leads from a node of a step to the Input of the next that takes its value, as new weights to weights.
        `retain` says which steps are kept whole: the last ones, all or none; `every` how far apart their numbers are.
        """
        options = {"by": by, "dtype": dtype, "tolerance": tolerance, "retain": retain, "every": every}
        body = {"graph": _name(graph), "carry": dict(carry), **_given({**options, "label": label, "tags": tags})}
        return read_series(self._http.post("/v1/series", body, key))

    def add_steps(
        self,
        series: Series | str,
        values: Mapping[str, Any],
        *,
        first: int | None = None,
        skipped: int | None = None,
        key: str | None = None,
    ) -> Series:
        """Judge the next steps of a series: `values` has for each recorded node, Inputs among them, its values in these
        steps, stacked along axis 0.

        `first`, if given, is the number of the first of them, and refused if it is another than comes next; `skipped`
        says how many steps before it were not recorded. All are one request, which has the limits body_bytes and
        run_elements.
        """
        rest, arrays = take_arrays({"values": dict(values), **_given({"first": first, "skipped": skipped})})
        path, headers = f"/v1/series/{_id(series)}/steps", {"Content-Type": MEDIA_TYPE}
        if not arrays:
            return read_series(self._http.post(path, rest, key))
        sent = write_request(write_json(rest), arrays)
        return read_series(self._http.read(self._http.send_keyed(path, sent, key, headers)))

    def list_series(
        self,
        *,
        graph: Graph | str | None = None,
        label: str | None = None,
        tag: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        sort: Literal["created_at", "-created_at"] | None = None,
    ) -> Iterator[Series]:
        """Series without their steps, newest first unless `sort` says; `tag` is written key:value."""
        query = {"graph": _name(graph), "label": label, "tag": tag, **_listed(since, until, sort)}
        return map(read_series, self._http.pages("/v1/series", "series", query))

    def get_series(self, series: Series | str) -> Series:
        """One series by its id."""
        return read_series(self._http.get(f"/v1/series/{_id(series)}"))

    def list_series_steps(
        self, series: Series | str, *, only: Literal["origins", "broken"] | None = None
    ) -> Iterator[SeriesStep]:
        """The steps of a series in their order, page by page as they are asked for: all, or those with origins, or that
        took another value than the step before gave."""
        pages = self._http.pages(f"/v1/series/{_id(series)}/steps", "steps", {"only": only})
        return map(read_series_step, pages)

    def get_series_verdict(self, series: Series | str) -> SeriesVerdict:
        """At which step a series first did what its own state does not explain."""
        return read_series_verdict(self._http.get(f"/v1/series/{_id(series)}/verdict"))

    def delete_series(self, series: Series | str) -> None:
        """Delete a series with its steps and the runs that are kept of them."""
        self._http.delete(f"/v1/series/{_id(series)}")

    # --- pictures -------------------------------------------------------------------------------------------------

    def get_graph_picture(
        self,
        graph: Graph | str,
        *,
        format: Literal["svg", "dot"] = "svg",
        focus: str | None = None,
        hops: int | None = None,
        direction: Literal["right", "down"] = "right",
    ) -> str:
        """A graph drawn; with `focus`, or of more than 60 nodes, those at most `hops` edges from that node.

        Edges run to the right or, for narrow screens, down.
        """
        return self._picture(f"/v1/graphs/{_id(graph)}", format, focus, hops, direction)

    def get_run_picture(
        self,
        run: Run | str,
        *,
        format: Literal["svg", "dot"] = "svg",
        focus: str | None = None,
        hops: int | None = None,
        direction: Literal["right", "down"] = "right",
        rounding: Literal["float32", "float16", "bfloat16"] | str | None = None,
    ) -> str:
        """A run drawn: values above the edges, gradients below; the rest as for a graph. With `rounding` each node is
        shaded by its share in the likely error of rounding to that dtype."""
        return self._picture(f"/v1/runs/{_id(run)}", format, focus, hops, direction, rounding=rounding)

    def get_comparison_picture(
        self,
        comparison: Comparison | str,
        *,
        format: Literal["svg", "dot"] = "svg",
        focus: str | None = None,
        hops: int | None = None,
        direction: Literal["right", "down"] = "right",
    ) -> str:
        """The candidate of a comparison drawn, with what differs marked; the rest as for a graph."""
        return self._picture(f"/v1/comparisons/{_id(comparison)}", format, focus, hops, direction)

    def _picture(
        self, path: str, format: str, focus: str | None, hops: int | None, direction: str, **more: str | None
    ) -> str:
        reach = None if hops is None else str(hops)
        query = {"format": format, "focus": focus, "hops": reach, "direction": direction, **more}
        return self._http.send("GET", f"{path}/picture", params=query).content.decode()

    # --- derivatives ----------------------------------------------------------------------------------------------

    def create_derivatives(
        self,
        graph: Graph | str,
        kind: Literal["jacobian", "jvp", "vjp", "hvp", "hessian"] | str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] | None = None,
        wrt: Sequence[str] | None = None,
        vector: Any = None,
        key: str | None = None,
    ) -> Derivatives:
        """Compute a Jacobian, a Hessian, or the product of one with a vector, at `inputs`, and keep it.

        `vector` maps nodes of `wrt` to directions (jvp, hvp) or nodes of `outputs` to seeds (vjp); where there is one
        node, its array alone will do.
        """
        body = {"kind": kind, "inputs": inputs, **_given({"outputs": outputs, "wrt": wrt, "vector": vector})}
        return read_derivatives(self._post_inputs(f"/v1/graphs/{_id(graph)}/derivatives", body, key))

    def list_derivatives(
        self,
        graph: Graph | str,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        sort: Literal["created_at", "-created_at"] | None = None,
    ) -> Iterator[DerivativesSummary]:
        """A graph's derivatives without their figures, newest first unless `sort` says."""
        path = f"/v1/graphs/{_id(graph)}/derivatives"
        return map(read_derivatives_summary, self._http.pages(path, "derivatives", _listed(since, until, sort)))

    def get_derivatives(self, derivatives: Derivatives | str) -> Derivatives:
        """Derivatives that were kept, by their id."""
        return read_derivatives(self._http.get(f"/v1/derivatives/{_id(derivatives)}"))

    def delete_derivatives(self, derivatives: Derivatives | str) -> None:
        """Delete derivatives that were kept."""
        self._http.delete(f"/v1/derivatives/{_id(derivatives)}")

    def check_gradients(
        self,
        graph: Graph | str,
        inputs: Mapping[str, Any] | None = None,
        *,
        method: Literal["taylor", "central", "complex-step"] | str = "taylor",
        nodes: Sequence[str] | None = None,
        output: str | None = None,
        run: Run | str | None = None,
        gradients: Mapping[str, Any] | None = None,
        tolerance: str | Mapping[str, float] | None = None,
        key: str | None = None,
    ) -> GradientCheck:
        """Check the gradients of the inputs, and of `nodes`, against forward passes alone; nothing is kept.

        `gradients`, or those that a `run` holds, are checked instead of the service's own.
        """
        known = {
            "nodes": nodes,
            "output": output,
            "run": _name(run),
            "gradients": gradients,
            "tolerance": tolerance,
        }
        body = {"inputs": inputs or {}, "method": method, **_given(known)}
        return read_gradient_check(self._post_inputs(f"/v1/graphs/{_id(graph)}/gradient-checks", body, key))

    # --- the service itself ---------------------------------------------------------------------------------------

    def list_operations(self) -> Iterator[Operation]:
        """The rulebook."""
        return map(read_operation, self._http.pages("/v1/operations", "operations"))

    def get_operation(self, name: str) -> Operation:
        """One operation, by its name or an alias."""
        return read_operation(self._http.get(f"/v1/operations/{quote(name, safe='')}"))

    def list_limits(self) -> tuple[Limit, ...]:
        """The table of limits."""
        return tuple(Limit(**limit) for limit in self._http.get("/v1/limits")["limits"])

    def check_alive(self) -> None:
        """Raise unless the service answers."""
        self._http.get("/livez")

    def check_ready(self) -> None:
        """Raise unless the service and its database answer."""
        self._http.get("/readyz")

    def get_metrics(self) -> str:
        """What the service measured, in the text format of Prometheus."""
        return self._http.send("GET", "/metrics").text

    def get_openapi(self) -> str:
        """The document of the API, OpenAPI 3.1 in YAML."""
        return self._http.send("GET", "/openapi.yaml").text

    # --- requests -------------------------------------------------------------------------------------------------

    def _post_run(
        self,
        path: str,
        body: Document,
        key: str | None,
        query: Mapping[str, str | None] | None = None,
        has_weights: bool = False,
    ) -> Run:
        """Send large arrays by their digests where they are known, else as .npz, and read figures of any size so where
        the run will not be kept."""

        def post(named: Document) -> Run:
            rest, arrays = take_arrays(named)
            headers = {"Content-Type": MEDIA_TYPE if arrays else "application/json"}
            if (arrays or has_weights or named is not body) and not body.get("keep", True):
                headers["Accept"] = MEDIA_TYPE
            sent = write_request(write_json(rest), arrays) if arrays else write_json(named)
            response = self._http.send_keyed(path, sent, key, headers, query)
            if response.headers.get("Content-Type") != MEDIA_TYPE:
                return read_run(self._http.read(response), self)
            document, nodes = read_answer(response.content)
            assert document is not None
            return read_run(document, self, nodes)

        return self._tensors.send(body, key, post)

    def _post_inputs(self, path: str, body: Document, key: str | None) -> Document:
        """Send JSON, with digests in place of the large inputs that are known."""
        return self._tensors.send(body, key, lambda named: self._http.post(path, named, key))

    def _get_packed(self, path: str) -> tuple[RunNode, ...]:
        return read_answer(self._http.send("GET", path, headers={"Accept": MEDIA_TYPE}).content)[1]


def _name(resource: Graph | Run | str | None) -> str | None:
    return resource if resource is None or isinstance(resource, str) else resource.id


def _listed(since: datetime | str | None, until: datetime | str | None, sort: str | None) -> dict[str, str | None]:
    """The parameters that every list has."""
    moments = (each.astimezone(UTC).isoformat() if isinstance(each, datetime) else each for each in (since, until))
    return dict(zip(("since", "until", "sort"), (*moments, sort), strict=True))


def _id(resource: Graph | Run | Comparison | Derivatives | Series | str) -> str:
    identifier = resource if isinstance(resource, str) else resource.id
    if identifier is None:
        raise ValueError("this was not kept: the service knows nothing of it")
    return quote(identifier, safe="")


def _select(figures: list[Document], only: str | None, order: str | None) -> list[Document]:
    """The figures that the service would list."""
    if only is not None:
        wanted = ("origin",) if only == "origins" else ("origin", "inherited", "convention", "compensated")
        figures = [figure for figure in figures if figure["verdict"] in wanted]
    worst_first = order == "relative_error"
    return sorted(figures, key=lambda figure: -float(figure["relative_error"])) if worst_first else figures


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _written_shapes(shapes: Mapping[str, Sequence[int]] | None) -> list[str]:
    return [f"{name}={','.join(map(str, shape))}" for name, shape in (shapes or {}).items()]
