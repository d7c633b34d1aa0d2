"""Derivatives, and checks of gradients."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from service.client.methods.requests import Requests, id_of, listing, name_of, without_none
from service.client.results.derivatives import (
    Derivatives,
    DerivativesSummary,
    GradientCheck,
    read_derivatives,
    read_derivatives_summary,
    read_gradient_check,
)
from service.client.results.graphs import Graph
from service.client.results.runs import Run


class DerivativeMethods(Requests):
    """The methods of `Client`; raise as it says."""

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
        body = {"kind": kind, "inputs": inputs, **without_none({"outputs": outputs, "wrt": wrt, "vector": vector})}
        return read_derivatives(self._post_inputs(f"/v1/graphs/{id_of(graph)}/derivatives", body, key))

    def list_derivatives(
        self,
        graph: Graph | str,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        sort: Literal["created_at", "-created_at"] | None = None,
    ) -> Iterator[DerivativesSummary]:
        """A graph's derivatives without their figures, newest first unless `sort` says."""
        path = f"/v1/graphs/{id_of(graph)}/derivatives"
        return map(read_derivatives_summary, self._http.pages(path, "derivatives", listing(since, until, sort)))

    def get_derivatives(self, derivatives: Derivatives | str) -> Derivatives:
        """Derivatives that were kept, by their id."""
        return read_derivatives(self._http.get(f"/v1/derivatives/{id_of(derivatives)}"))

    def delete_derivatives(self, derivatives: Derivatives | str) -> None:
        """Delete derivatives that were kept."""
        self._http.delete(f"/v1/derivatives/{id_of(derivatives)}")

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
            "run": name_of(run),
            "gradients": gradients,
            "tolerance": tolerance,
        }
        body = {"inputs": inputs or {}, "method": method, **without_none(known)}
        return read_gradient_check(self._post_inputs(f"/v1/graphs/{id_of(graph)}/gradient-checks", body, key))
