"""Derivatives, and checks of gradients."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.client.figures import Document, Figure, ReadFigures, read_figure
from service.client.results.result import Result, Row, Table


@dataclass(frozen=True, slots=True, eq=False)
class Derivatives(Table):
    """Derivatives at a point: `blocks` maps pairs (of, wrt) to arrays of shape (*shape of `of`, *shape of `wrt`).

    For second derivatives both are nodes of wrt. In a product with a vector one of the two is None, unless there is
    only one such node. An input that is a stored tensor is None; `document` has its digest. As a table it lists the
    blocks.
    """

    id: str
    graph_id: str
    kind: str
    inputs: Mapping[str, Figure | None]
    outputs: tuple[str, ...]
    wrt: tuple[str, ...]
    vector: Mapping[str, Figure] | None
    blocks: Mapping[tuple[str | None, str | None], Figure] = field(repr=False)
    created_at: datetime
    document: Document = field(repr=False)

    def _shown_rows(self) -> Iterable[Row]:
        return ({"of": of, "wrt": wrt, "value": value} for (of, wrt), value in self.blocks.items())


@dataclass(frozen=True, slots=True)
class DerivativesSummary(Result):
    """Derivatives in a list, without their figures; `get_derivatives` reads them."""

    id: str
    graph_id: str
    graph_digest: str
    kind: str
    outputs: tuple[str, ...]
    wrt: tuple[str, ...]
    created_at: datetime
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class NodeCheck(Result):
    """A node's gradient, the method's estimate of it, and the verdict: right, wrong or not applicable.

    With the method taylor both are slopes along a random direction. `rate` is 2 where the gradient is right, 1 where
    it is wrong, and None where rounding hides the remainder; `reason` says why the method does not apply. If `held`, it
    is a label, a mask or an index, which does not count.
    """

    name: str
    gradient: Figure
    estimate: Figure | None
    error: float | None
    rate: float | None
    verdict: str
    reason: str | None
    document: Document = field(repr=False)
    held: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class GradientCheck(Table):
    """Verdicts on gradients; `verdict` is the worst of them. As a table it lists the nodes."""

    verdict: str
    method: str
    output: str
    nodes: tuple[NodeCheck, ...]
    document: Document = field(repr=False)

    def _shown_rows(self) -> Iterable[Row]:
        members = ("name", "verdict", "gradient", "estimate", "error", "rate", "reason")
        return ({member: node[member] for member in members} for node in self.nodes)


def read_derivatives(document: Document) -> Derivatives:
    """Read derivatives."""
    return Derivatives(
        id=document["id"],
        graph_id=document["graph_id"],
        kind=document["kind"],
        inputs=ReadFigures(document["inputs"]),
        outputs=tuple(document["outputs"]),
        wrt=tuple(document["wrt"]),
        vector=None
        if document["vector"] is None
        else {name: _read_present(figure) for name, figure in document["vector"].items()},
        blocks={
            (block["of"], block["wrt"]): _read_present(block["value"], tuple(block.get("shape", ())))
            for block in document["blocks"]
        },
        created_at=datetime.fromisoformat(document["created_at"]),
        document=document,
    )


def read_derivatives_summary(document: Document) -> DerivativesSummary:
    """Read derivatives in a list."""
    return DerivativesSummary(
        id=document["id"],
        graph_id=document["graph_id"],
        graph_digest=document["graph_digest"],
        kind=document["kind"],
        outputs=tuple(document["outputs"]),
        wrt=tuple(document["wrt"]),
        created_at=datetime.fromisoformat(document["created_at"]),
        document=document,
    )


def _read_present(document: Any, shape: tuple[int, ...] | None = None) -> Figure:
    figure = read_figure(document, shape)
    assert figure is not None
    return figure


def read_gradient_check(document: Document) -> GradientCheck:
    """Read a gradient check."""
    nodes = tuple(map(_read_node_check, document["nodes"]))
    return GradientCheck(document["verdict"], document["method"], document["output"], nodes, document)


def _read_node_check(document: Document) -> NodeCheck:
    error = document["error"]
    return NodeCheck(
        name=document["name"],
        gradient=_read_present(document["gradient"]),
        estimate=read_figure(document["estimate"]),
        error=None if error is None else float(error),
        rate=document.get("rate"),
        verdict=document["verdict"],
        reason=document.get("reason"),
        document=document,
        held=document.get("held", False),
    )
