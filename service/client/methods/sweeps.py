"""Compute a graph at many points."""

from collections.abc import Mapping
from typing import Any

from service.client.figures import Document
from service.client.methods.requests import Requests, id_of
from service.client.results.graphs import Graph


class SweepMethods(Requests):
    """The methods of `Client`; raise as it says."""

    def create_sweep(
        self, graph: Graph | str, inputs: Mapping[str, Any], *, gradients: bool = False, key: str | None = None
    ) -> Document:
        """Have a graph computed at many points, as a job."""
        body = {"inputs": dict(inputs), "gradients": gradients}
        return self._http.post(f"/v1/graphs/{id_of(graph)}/sweeps", body, key)

    def get_sweep(self, sweep: str) -> Document:
        """What came of a sweep."""
        return self._http.read(self._http.send("GET", f"/v1/sweeps/{sweep}"))
