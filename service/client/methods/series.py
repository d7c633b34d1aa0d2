"""Training runs, judged step by step."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from service.client.methods.requests import Requests, id_of, listing, name_of, without_none
from service.client.npz import MEDIA_TYPE, take_arrays, write_request
from service.client.results.graphs import Graph
from service.client.results.series import (
    Series,
    SeriesStep,
    SeriesVerdict,
    read_series,
    read_series_step,
    read_series_verdict,
)
from service.client.transport import write_json


class SeriesMethods(Requests):
    """The methods of `Client`; raise as it says."""

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
        body = {
            "graph": name_of(graph),
            "carry": dict(carry),
            **without_none({**options, "label": label, "tags": tags}),
        }
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
        rest, arrays = take_arrays({"values": dict(values), **without_none({"first": first, "skipped": skipped})})
        path, headers = f"/v1/series/{id_of(series)}/steps", {"Content-Type": MEDIA_TYPE}
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
        query = {"graph": name_of(graph), "label": label, "tag": tag, **listing(since, until, sort)}
        return map(read_series, self._http.pages("/v1/series", "series", query))

    def get_series(self, series: Series | str) -> Series:
        """One series by its id."""
        return read_series(self._http.get(f"/v1/series/{id_of(series)}"))

    def list_series_steps(
        self, series: Series | str, *, only: Literal["origins", "broken"] | None = None
    ) -> Iterator[SeriesStep]:
        """The steps of a series in their order, page by page as they are asked for: all, or those with origins, or that
        took another value than the step before gave."""
        pages = self._http.pages(f"/v1/series/{id_of(series)}/steps", "steps", {"only": only})
        return map(read_series_step, pages)

    def get_series_verdict(self, series: Series | str) -> SeriesVerdict:
        """At which step a series first did what its own state does not explain."""
        return read_series_verdict(self._http.get(f"/v1/series/{id_of(series)}/verdict"))

    def delete_series(self, series: Series | str) -> None:
        """Delete a series with its steps and the runs that are kept of them."""
        self._http.delete(f"/v1/series/{id_of(series)}")
