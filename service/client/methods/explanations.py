"""How the figures of a run came about."""

from collections.abc import Iterator, Sequence
from typing import Literal

from service.client.methods.requests import Requests, id_of
from service.client.results.explanations import Paths, Step, read_paths, read_step
from service.client.results.rounding import Rounding, read_rounding
from service.client.results.runs import Run


class ExplanationMethods(Requests):
    """The methods of `Client`; raise as it says."""

    def list_steps(self, run: Run | str, *, node: str | None = None) -> Iterator[Step]:
        """How each figure of a run came about, page by page as they are asked for; with `node`, that node's."""
        return map(read_step, self._http.pages(f"/v1/runs/{id_of(run)}/steps", "steps", {"node": node}))

    def list_paths(self, run: Run | str, node: str, *, limit: int | None = None) -> Paths:
        """The paths from a node to the output, largest first, and the sum over all of them: the gradient."""
        return read_paths(
            self._http.get(
                f"/v1/runs/{id_of(run)}/paths", {"node": node, "limit": None if limit is None else str(limit)}
            )
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
        return self._http.send("GET", f"/v1/runs/{id_of(run)}/article", params=query).content.decode()

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
        return read_rounding(self._http.get(f"/v1/runs/{id_of(run)}/rounding", query))
