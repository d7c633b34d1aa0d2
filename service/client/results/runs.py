"""Runs and their nodes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.client.figures import Document, Figure, ReadFigures, ReadLater, read_figure
from service.client.results.result import Result, Row, Source, Table, drawn, html_table


@dataclass(frozen=True, slots=True, eq=False)
class RunNode(Result):
    """A node of a run.

    A figure is None where there is none, and in lists where it has over 10,000 elements; `document` is empty where the
    answer was an .npz. `closed` are the operands with which the node does not change here, as relu below 0.
    """

    name: str
    operation: str
    shape: tuple[int, ...]
    value: Figure | None
    gradient: Figure | None
    nondifferentiable: bool
    document: Document = field(repr=False)
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Run(Table):
    """One evaluation of a graph.

    `values` and `gradients` map the name of each node to its figure: np.float64 for a scalar, else an array. They
    start with what the answer held and read the rest from the service on demand. A node without a figure (a Constant
    has no gradient) is not in the mapping; before a backward pass `gradients` is empty. `nodes` are those in the
    answer; `id` is None for a run that was not kept. As a table it lists its nodes.
    """

    id: str | None
    graph_id: str
    graph_name: str | None
    graph_version: int | None
    graph_digest: str
    source: str
    recorded_by: str | None
    inputs: Mapping[str, Figure | None]
    output: str | None
    seed: Figure | None
    outputs: Mapping[str, Figure | None]
    values: Mapping[str, Figure] = field(repr=False)  # type: ignore[assignment]  # not those of a mapping
    gradients: Mapping[str, Figure] = field(repr=False)
    nonfinite: Mapping[str, Any]
    conventions: str | None
    label: str | None
    tags: Mapping[str, str]
    created_at: datetime
    nodes: tuple[RunNode, ...] = field(repr=False)
    document: Document = field(repr=False)
    _all: "_Nodes" = field(repr=False)

    def rows(self) -> Iterable[Row]:
        return map(_row, self._all.whole())

    def _shown_rows(self) -> Iterable[Row]:
        return map(_row, self.nodes)

    def _repr_html_(self) -> str:
        return f"{drawn(self._repr_svg_)}{html_table(self._shown_rows())}"

    def _repr_svg_(self) -> str | None:
        return self._all.picture()


Run.seed = ReadLater(Run.seed)  # type: ignore[assignment, misc]


def read_run(document: Document, source: Source, nodes: tuple[RunNode, ...] | None = None) -> Run:
    """Read a run; `nodes`, if given, are all its nodes. Missing figures are read from `source` on demand."""
    complete = nodes is not None or ("nodes" in document and document["next"] is None)
    if nodes is None:
        nodes = tuple(map(read_run_node, document.get("nodes") or ()))
    figures = _Nodes(source, document["id"], nodes, complete)
    inputs, outputs, gradients = (document[name] or {} for name in ("inputs", "outputs", "gradients"))
    large = {node.name: node.value for node in nodes}  # which are null in the document
    backward = document["gradients"] is not None
    return Run(
        id=document["id"],
        graph_id=document["graph_id"],
        graph_name=document.get("graph_name"),
        graph_version=document.get("graph_version"),
        graph_digest=document["graph_digest"],
        source=document["source"],
        recorded_by=document.get("recorded_by"),
        inputs=ReadFigures(inputs, large),
        output=document["output"],
        seed=document["seed"],
        outputs=ReadFigures(outputs, large),
        values=_Figures(figures, "value", ReadFigures({**inputs, **outputs}, large)),
        gradients=_Figures(figures, "gradient", ReadFigures(gradients)) if backward else {},
        nonfinite=document["nonfinite"],
        conventions=document.get("conventions"),
        label=document["label"],
        tags=document["tags"],
        created_at=datetime.fromisoformat(document["created_at"]),
        nodes=nodes,
        document=document,
        _all=figures,
    )


class _Nodes:
    """The nodes of a run that have been read, and how to read the others."""

    def __init__(self, source: Source, run_id: str | None, nodes: Iterable[RunNode], complete: bool) -> None:
        self._source, self._run_id = source, run_id
        self._known = {node.name: node for node in nodes}
        self._complete = complete or run_id is None

    def all(self) -> Mapping[str, RunNode]:
        """Return every node, reading those that have not been read yet."""
        if not self._complete and self._run_id is not None:
            self._known = {node.name: node for node in self._source.list_run_nodes(self._run_id, packed=True)}
            self._complete = True
        return self._known

    def find(self, name: str) -> RunNode:
        """Return one node with whole figures; raises KeyError."""
        node = self._known[name] if name in self._known else self.all()[name]
        if self._run_id is not None and node.shape and node.value is None and node.gradient is None:
            node = self._known[name] = self._source.get_run_node(self._run_id, name, packed=True)
        return node

    def whole(self) -> Iterator[RunNode]:
        """Return every node with whole figures."""
        return map(self.find, list(self.all()))

    def picture(self) -> str | None:
        """Return the picture of the run; None for one that was not kept."""
        return self._run_id and self._source.get_run_picture(self._run_id)


class _Figures(Mapping[str, Figure]):
    """The values or the gradients of a run by node; iterating reads them all, in topological order."""

    def __init__(self, nodes: _Nodes, member: str, known: Mapping[str, Figure | None]) -> None:
        self._nodes, self._member, self._known = nodes, member, known

    def __getitem__(self, name: str) -> Figure:
        figure = self._known.get(name)
        if figure is None:
            figure = getattr(self._nodes.find(name), self._member)
        if figure is None:
            raise KeyError(name)
        return figure

    def __iter__(self) -> Iterator[str]:
        return (name for name in list(self._nodes.all() or self._known) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


def read_run_node(document: Document) -> RunNode:
    """Read a node of a run."""
    shape = tuple(document.get("shape", ()))
    return RunNode(
        name=document["name"],
        operation=document["operation"],
        shape=shape,
        value=read_figure(document["value"], shape),
        gradient=read_figure(document["gradient"], shape),
        nondifferentiable=document.get("nondifferentiable", False),
        document=document,
        closed=tuple(document.get("closed", ())),
    )


def _row(node: RunNode) -> Row:
    return {member: node[member] for member in ("name", "operation", "shape", "value", "gradient")}
