"""Run graphs, record runs, and read them back."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from service.client.methods.requests import Requests, id_of, listing, name_of, without_none
from service.client.results.graphs import Graph
from service.client.results.runs import Run, RunNode, read_run, read_run_node

UNCHANGED: Any = object()  # what is not given of what is changed: None takes it away


class RunMethods(Requests):
    """The methods of `Client`; raise as it says."""

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
            **without_none({"output": output, "seed": seed, "conventions": conventions, "label": label, "tags": tags}),
        }
        has_weights = isinstance(graph, Graph) and bool(graph.weights)
        return self._post_run(f"/v1/graphs/{id_of(graph)}/runs", body, key, {"gradients": gradients}, has_weights)

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
            **without_none({"output": output, "seed": seed, "conventions": conventions}),
        }
        answer = self._http.post(f"/v1/graphs/{id_of(graph)}/runs/batch", body, key)
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
        body = without_none({"output": output, "seed": seed, "conventions": conventions})
        return read_run(self._http.post(f"/v1/runs/{id_of(run)}/backward", body, key), self)

    def set_baseline(self, run: Run | str, *, label: str = "main", key: str | None = None) -> Run:
        """Label a run, and take that label from every other run of its graph's name, whatever their versions."""
        return read_run(self._http.post(f"/v1/runs/{id_of(run)}/baseline", {"label": label}, key), self)

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
        return read_run(self._http.patch(f"/v1/runs/{id_of(run)}", changes), self)

    def delete_run(self, run: Run | str, *, cascade: bool = False) -> None:
        """Delete a run that no comparison is of; with `cascade` also its comparisons."""
        self._http.delete(f"/v1/runs/{id_of(run)}", cascade)

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
        which = {"graph": name_of(graph), "label": label, "tag": tag, "source": source, "recorded_by": recorded_by}
        query = {**which, "q": q, **listing(since, until, sort)}
        return (read_run(document, self) for document in self._http.pages("/v1/runs", "runs", query))

    def get_run(self, run: Run | str, *, gradients: Literal["inputs"] | None = None) -> Run:
        """One run by its id; by GRAPH:LABEL, the newest run with that label; or by the last 8 characters of its id. So
        are runs named wherever they are asked for."""
        return read_run(self._http.get(f"/v1/runs/{id_of(run)}", {"gradients": gradients}), self)

    def list_run_nodes(self, run: Run | str, *, packed: bool = False) -> Iterator[RunNode]:
        """All nodes of a run in topological order, page by page as they are asked for; if `packed` all at once, as
        .npz, and whole whatever their size."""
        path = f"/v1/runs/{id_of(run)}/nodes"
        return iter(self._get_packed(path)) if packed else map(read_run_node, self._http.pages(path, "nodes"))

    def get_run_node(self, run: Run | str, name: str, *, packed: bool = False) -> RunNode:
        """One node of a run, whole whatever its size; `packed`, as .npz, it comes sooner if it is large."""
        path = f"/v1/runs/{id_of(run)}/nodes/{quote(name, safe='')}"
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
            **without_none({"output": output, "seed": seed, "label": label, "tags": tags}),
        }
        return self._post_run(f"/v1/graphs/{id_of(graph)}/runs", body, key)
