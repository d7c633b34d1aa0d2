"""Compute a graph at very many points."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from service.client.methods.requests import Requests, id_of, name_of, without_none
from service.client.npz import MEDIA_TYPE, read_columns
from service.client.results.graphs import Graph
from service.client.results.jobs import Job, read_job
from service.client.results.sweeps import Sweep, SweepPoint, read_sweep, read_sweep_point

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SweepMethods(Requests):
    """The methods of `Client`; raise as it says."""

    def create_sweep(
        self,
        graph: Graph | str,
        inputs: Mapping[str, Any],
        *,
        mode: Literal["grid", "zip"] | None = None,
        outputs: Sequence[str] | None = None,
        gradients: bool = False,
        output: str | None = None,
        conventions: str | None = None,
        reduce: Sequence[Literal["min", "max", "mean", "argmin", "histogram", "nonfinite"] | str] | None = None,
        against: Graph | str | None = None,
        names: Mapping[str, str] | None = None,
        tolerance: str | Mapping[str, float] | None = None,
        check: bool = False,
        key: str | None = None,
    ) -> Job:
        """Begin to compute a graph at many points; `result` of the job waits for the sweep.

        Each of `inputs` is {"linspace": [start, stop, count]}, {"logspace": …}, {"uniform": [low, high, count], "seed":
        …}, {"normal": [mean, deviation, count], "seed": …} or {"values": array}; anything else, as `create_run` takes
        it, is the same at every point. The points are all combinations or, with `mode` "zip", go side by side.

        Of each point the values of `outputs`, by default the graph's, are kept and, with `gradients`, the gradients of
        `output`; with `reduce` only what these amount to. `against` is a graph whose outputs are held against this
        one's with `tolerance`: those of the same names, or whose names `names` maps these to. With `check` the
        gradients are held against central differences.
        """
        asked = {"mode": mode, "outputs": outputs, "gradients": gradients or None, "output": output}
        kept = {"conventions": conventions, "reduce": reduce, "check": check or None}
        held = without_none({"graph": name_of(against), "outputs": names, "tolerance": tolerance})
        body = {"inputs": dict(inputs), **without_none({**asked, **kept, "against": held or None})}
        return read_job(self._post_inputs(f"/v1/graphs/{id_of(graph)}/sweeps", body, key), self)

    def get_sweep(self, sweep: Sweep | Job | str) -> Sweep:
        """A sweep by its id, which is that of its job: what the points amount to that are computed."""
        return read_sweep(self._http.get(f"/v1/sweeps/{id_of(sweep)}"), self)

    def delete_sweep(self, sweep: Sweep | Job | str) -> None:
        """Delete a sweep with its job and its points, once the job has ended."""
        self._http.delete(f"/v1/sweeps/{id_of(sweep)}")

    def list_sweep_points(self, sweep: Sweep | Job | str, *, offset: int | None = None) -> Iterator[SweepPoint]:
        """The points of a sweep from the number `offset` on that are computed, page by page as they are asked for."""
        start = None if offset is None else str(offset)
        pages = self._http.pages(f"/v1/sweeps/{id_of(sweep)}/points", "points", {"offset": start})
        return map(read_sweep_point, pages)

    def draw_sweep(
        self,
        sweep: Sweep | Job | str,
        *,
        of: str | None = None,
        x: str | None = None,
        y: str | None = None,
        hold: Mapping[str, int] | None = None,
    ) -> str:
        """The SVG of a column of a sweep over the input `x`, or over `x` and `y`; over the first two that vary if
        neither is given. `hold` says at which index of its values another input is held."""
        held = [f"{name}:{index}" for name, index in (hold or {}).items()]
        query = {"of": of, "x": x, "y": y, "hold": held}
        return self._http.send("GET", f"/v1/sweeps/{id_of(sweep)}/picture", params=query).content.decode()

    def get_sweep_columns(
        self, sweep: Sweep | Job | str, *, offset: int = 0, limit: int | None = None
    ) -> "dict[str, NDArray[Any]]":
        """The points from the number `offset` on that are computed, `limit` of them or all, as vectors by name: their
        numbers, `point`, the inputs that vary, and the figures. They are one answer, which has the limit answer_bytes.
        """
        query = {"offset": str(offset), "limit": None if limit is None else str(limit)}
        path = f"/v1/sweeps/{id_of(sweep)}/points"
        return read_columns(self._http.send("GET", path, params=query, headers={"Accept": MEDIA_TYPE}).content)
