"""Build graphs and read them back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from service.client.figures import Document
from service.client.methods.requests import Requests, id_of, listing, without_none
from service.client.results.explanations import Formula, read_formula
from service.client.results.graphs import Graph, GraphNode, read_graph, read_graph_node

if TYPE_CHECKING:
    from service.client.graph_builder import GraphBuilder


class GraphMethods(Requests):
    """The methods of `Client`; raise as it says."""

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
        return read_graph(self._http.post("/v1/graphs", {"name": name, **without_none(given)}, key), self)

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
        return self._http.send("GET", f"/v1/graphs/{id_of(graph)}/onnx", params=query).content

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
        return read_graph(self._http.post(f"/v1/graphs/{id_of(graph)}/nodes", without_none(given), key), self)

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
        query = {"name": name, "tag": tag, "q": q, **listing(since, until, sort)}
        pages = self._http.pages("/v1/graphs", "graphs", query)
        return (read_graph(document, self) for document in pages)

    def get_graph(self, graph: Graph | str) -> Graph:
        """One graph by its id; by its name, which is its highest version, or name@version; or by the last 8 characters
        of its id. So are graphs named wherever they are asked for."""
        return read_graph(self._http.get(f"/v1/graphs/{id_of(graph)}"), self)

    def list_graph_nodes(self, graph: Graph | str) -> Iterator[GraphNode]:
        """All nodes in topological order, page by page as they are asked for."""
        return map(read_graph_node, self._http.pages(f"/v1/graphs/{id_of(graph)}/nodes", "nodes"))

    def get_formula(self, graph: Graph | str, *, of: str | None = None, wrt: str | None = None) -> Formula:
        """A node (the only output, if left out) as one formula in the graph's inputs; with `wrt`, its derivative with
        respect to that node."""
        return read_formula(self._http.get(f"/v1/graphs/{id_of(graph)}/formula", {"of": of, "wrt": wrt}))

    def get_source(self, graph: Graph | str, *, language: Literal["numpy", "torch", "jax", "c"] | str = "numpy") -> str:
        """A graph as the source code of a function: its parameters are the inputs, and it returns the outputs."""
        answer = self._http.send("GET", f"/v1/graphs/{id_of(graph)}/source", params={"language": language})
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
        return read_graph(self._http.post(f"/v1/graphs/{id_of(graph)}/gradient-graph", without_none(given), key), self)

    def update_graph(self, graph: Graph | str, *, tags: Mapping[str, str | None] | None) -> Graph:
        """Set these tags of a graph and take those away that are None, or all of them; the others stay."""
        return read_graph(self._http.patch(f"/v1/graphs/{id_of(graph)}", {"tags": tags}), self)

    def delete_graph(self, graph: Graph | str, *, cascade: bool = False) -> None:
        """Delete a graph that nothing refers to; with `cascade` also its runs, derivatives and graphs made from it."""
        self._http.delete(f"/v1/graphs/{id_of(graph)}", cascade)


def _written_shapes(shapes: Mapping[str, Sequence[int]] | None) -> list[str]:
    return [f"{name}={','.join(map(str, shape))}" for name, shape in (shapes or {}).items()]
