"""Compare runs, check claims, and show what was found."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from service.client.figures import Document
from service.client.methods.requests import Requests, id_of, listing, name_of, without_none
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
from service.client.results.graphs import Graph
from service.client.results.runs import Run


class ComparisonMethods(Requests):
    """The methods of `Client`; raise as it says."""

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
        sides = {"baseline": name_of(baseline), "candidate": name_of(candidate)}
        body = {**sides, **without_none({"tolerance": tolerance, "align": align, "names": names})}
        return read_comparison(self._http.post("/v1/comparisons", body, key), self)

    def align_runs(
        self, baseline: Run | str, candidate: Run | str, *, names: Mapping[str, str] | None = None
    ) -> Alignment:
        """Pair the nodes of two runs' graphs by what they compute, but for those in `names`; nothing is stored."""
        body = {"baseline": name_of(baseline), "candidate": name_of(candidate), **without_none({"names": names})}
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
        body = {"inputs": inputs, "claims": claims, "keep": keep, **without_none(options)}
        return read_comparison(self._post_inputs(f"/v1/graphs/{id_of(graph)}/checks", body, key), self)

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
        query = {"run": name_of(run), "graph": name_of(graph), "verdict": verdict, **listing(since, until, sort)}
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
        query = {"verdict": verdict, **listing(since, until, sort)}
        pages = self._http.pages(f"/v1/graphs/{id_of(graph)}/checks", "comparisons", query)
        return map(read_comparison_summary, pages)

    def get_comparison(self, comparison: Comparison | str) -> Comparison:
        """One comparison by its id."""
        return read_comparison(self._http.get(f"/v1/comparisons/{id_of(comparison)}"), self)

    def delete_comparison(self, comparison: Comparison | str) -> None:
        """Delete a comparison; its runs stay."""
        self._http.delete(f"/v1/comparisons/{id_of(comparison)}")

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
        pages = self._http.pages(f"/v1/comparisons/{id_of(comparison)}/nodes", "nodes", query)
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
        path = f"/v1/comparisons/{id_of(comparison)}/reproduction"
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
        path = f"/v1/comparisons/{id_of(comparison)}/origins/{phase}/{quote(node, safe='')}/reproduction"
        answer = self._http.send_keyed(path, b"", key, {})
        return read_comparison(self._http.read(answer), self)


def _select(figures: list[Document], only: str | None, order: str | None) -> list[Document]:
    """The figures that the service would list."""
    if only is not None:
        wanted = ("origin",) if only == "origins" else ("origin", "inherited", "convention", "compensated")
        figures = [figure for figure in figures if figure["verdict"] in wanted]
    worst_first = order == "relative_error"
    return sorted(figures, key=lambda figure: -float(figure["relative_error"])) if worst_first else figures
