"""Pictures of graphs, runs and comparisons."""

from typing import Literal

from service.client.methods.requests import Requests, id_of
from service.client.results.comparisons import Comparison
from service.client.results.graphs import Graph
from service.client.results.runs import Run


class PictureMethods(Requests):
    """The methods of `Client`; raise as it says."""

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
        return self._picture(f"/v1/graphs/{id_of(graph)}", format, focus, hops, direction)

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
        return self._picture(f"/v1/runs/{id_of(run)}", format, focus, hops, direction, rounding=rounding)

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
        return self._picture(f"/v1/comparisons/{id_of(comparison)}", format, focus, hops, direction)

    def _picture(
        self, path: str, format: str, focus: str | None, hops: int | None, direction: str, **more: str | None
    ) -> str:
        reach = None if hops is None else str(hops)
        query = {"format": format, "focus": focus, "hops": reach, "direction": direction, **more}
        return self._http.send("GET", f"{path}/picture", params=query).content.decode()
