"""The client's results: frozen dataclasses read from the service's documents, figures as NumPy arrays."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Document: TypeAlias = Mapping[str, Any]
Figure: TypeAlias = np.float64 | NDArray[np.float64]
Draw: TypeAlias = Callable[[], str]  # fetches a result's picture when a notebook shows it


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node of a graph; `document`, here and in the other results, is the service's answer."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    document: Document = field(repr=False, compare=False)
    part_of: str | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """A stored graph; `nodes` are those in the answer (none in a list), `list_graph_nodes` reads all.

    `parts` are the operations, by name, of what nodes were expanded from: stored graphs and composed operations.
    """

    id: str
    name: str
    version: int
    digest: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    node_count: int
    expression: str | None
    parent: str | None
    tags: Mapping[str, str]
    created_at: datetime
    nodes: tuple[GraphNode, ...] = field(repr=False)
    document: Document = field(repr=False, compare=False)
    _draw: Draw | None = field(default=None, repr=False, compare=False)
    weights: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    def _repr_svg_(self) -> str | None:
        return self._draw and self._draw()


@dataclass(frozen=True, slots=True, eq=False)
class RunNode:
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
class Run:
    """One evaluation of a graph.

    `values` and `gradients` map the name of each node to its figure: np.float64 for a scalar, else an array. They
    start with what the answer held and read the rest from the service on demand. A node without a figure (a Constant
    has no gradient) is not in the mapping; before a backward pass `gradients` is empty. `nodes` are those in the
    answer; `id` is None for a run that was not kept.
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
    values: Mapping[str, Figure] = field(repr=False)
    gradients: Mapping[str, Figure] = field(repr=False)
    nonfinite: Mapping[str, Any]
    conventions: str | None
    label: str | None
    tags: Mapping[str, str]
    created_at: datetime
    nodes: tuple[RunNode, ...] = field(repr=False)
    document: Document = field(repr=False)
    _draw: Draw | None = field(default=None, repr=False)

    def _repr_svg_(self) -> str | None:
        return self._draw and self._draw()


@dataclass(frozen=True, slots=True)
class Finding:
    """A node's value (`phase` forward) or gradient (backward), and what may explain it, likeliest first.

    Of an origin, `sentence` says what it is, what it should be and why; of what is right although what it follows from
    is not, what it would be; it is empty of what was inherited.
    """

    phase: str
    node: str
    sentence: str = ""
    hypotheses: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """One finding in a sentence, and the origins that it explains."""

    sentence: str
    explains: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A verdict on two runs; `origins` introduced an error, `inherited` were computed from wrong figures.

    `missing` are the figures that the baseline has and the candidate lacks, each a phase, a node and whether it was
    given as "none" or is "absent"; the verdict does not count them. `arose` is
    False where every difference was inherited from errors below the tolerance; `sentence` says that, or that the inputs
    differ.

    `id`, `baseline` and `candidate` are None for a check that was not kept.
    """

    id: str | None
    baseline: str | None
    candidate: str | None
    verdict: str
    tolerance: Any
    counts: Mapping[str, int]
    first_difference: Finding | None
    origins: tuple[Finding, ...]
    inherited: tuple[Finding, ...]
    compensated: tuple[Finding, ...]
    missing: tuple[Mapping[str, str], ...]
    arose: bool
    sentence: str | None
    causes: tuple[Cause, ...]
    created_at: datetime
    document: Document = field(repr=False, compare=False)
    _draw: Draw | None = field(default=None, repr=False, compare=False)

    def _repr_svg_(self) -> str | None:
        return self._draw and self._draw()


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the rulebook; formulas are mappings with `text` and `latex`."""

    name: str
    aliases: tuple[str, ...]
    operands: tuple[str, ...]
    rule: Mapping[str, str] | None
    local_gradients: tuple[Mapping[str, str], ...]
    contributions: tuple[Mapping[str, str], ...]
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the service, and the environment variable that sets it."""

    name: str
    maximum: int
    meaning: str
    variable: str


class Source(Protocol):
    """Fetches pictures, and the figures that an answer left out."""

    def list_run_nodes(self, run: str, *, packed: bool) -> Iterator[RunNode]:
        """All nodes of a run; with all figures whole if `packed`."""

    def get_run_node(self, run: str, name: str, *, packed: bool) -> RunNode:
        """One node of a run, with whole figures."""

    def get_graph_picture(self, graph: str) -> str:
        """The picture of a graph."""

    def get_run_picture(self, run: str) -> str:
        """The picture of a run."""

    def get_comparison_picture(self, comparison: str) -> str:
        """The picture of a comparison."""


# --- documents → results ----------------------------------------------------------------------------------------


def read_run(document: Document, source: Source, nodes: tuple[RunNode, ...] | None = None) -> Run:
    """Read a run; `nodes`, if given, are all its nodes. Missing figures are read from `source` on demand."""
    complete = nodes is not None or ("nodes" in document and document["next"] is None)
    if nodes is None:
        nodes = tuple(map(read_run_node, document.get("nodes") or ()))
    figures = _Nodes(source, document["id"], nodes, complete)
    inputs, outputs, gradients = (_read_figures(document[name]) for name in ("inputs", "outputs", "gradients"))
    for node in nodes:  # large figures are null in the document
        for shown in (inputs, outputs):
            if node.name in shown and shown[node.name] is None:
                shown[node.name] = node.value
    backward = document["gradients"] is not None
    return Run(
        id=document["id"],
        graph_id=document["graph_id"],
        graph_name=document.get("graph_name"),
        graph_version=document.get("graph_version"),
        graph_digest=document["graph_digest"],
        source=document["source"],
        recorded_by=document.get("recorded_by"),
        inputs=inputs,
        output=document["output"],
        seed=read_figure(document["seed"]),
        outputs=outputs,
        values=_Figures(figures, "value", {**inputs, **outputs}),
        gradients=_Figures(figures, "gradient", gradients) if backward else {},
        nonfinite=document["nonfinite"],
        conventions=document.get("conventions"),
        label=document["label"],
        tags=document["tags"],
        created_at=datetime.fromisoformat(document["created_at"]),
        nodes=nodes,
        document=document,
        _draw=document["id"] and partial(source.get_run_picture, document["id"]),
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


class _Figures(Mapping[str, Figure]):
    """The values or the gradients of a run by node; iterating reads them all, in topological order."""

    def __init__(self, nodes: _Nodes, member: str, known: Mapping[str, Figure | None]) -> None:
        self._nodes, self._member = nodes, member
        self._known = {name: figure for name, figure in known.items() if figure is not None}

    def __getitem__(self, name: str) -> Figure:
        if name not in self._known:
            figure: Figure | None = getattr(self._nodes.find(name), self._member)
            if figure is None:
                raise KeyError(name)
            self._known[name] = figure
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in list(self._nodes.all() or self._known) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


def read_graph(document: Document, source: Source) -> Graph:
    """Read a graph; `source` draws it."""
    return Graph(
        id=document["id"],
        name=document["name"],
        version=document["version"],
        digest=document["digest"],
        inputs=tuple(document["inputs"]),
        outputs=tuple(document["outputs"]),
        node_count=document["node_count"],
        expression=document["expression"],
        parent=document["parent"],
        tags=document["tags"],
        created_at=datetime.fromisoformat(document["created_at"]),
        nodes=tuple(map(read_graph_node, document.get("nodes", ()))),
        document=document,
        _draw=partial(source.get_graph_picture, document["id"]),
        weights=document.get("weights", {}),
        parts={part["name"]: part["operation"] for part in document.get("parts", ())},
    )


def read_graph_node(document: Document) -> GraphNode:
    """Read a node of a graph."""
    inputs, attributes = tuple(document["inputs"]), document.get("attributes", {})
    return GraphNode(document["name"], document["operation"], inputs, attributes, document, document.get("part_of"))


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


def read_comparison(document: Document, source: Source) -> Comparison:
    """Read a comparison; `source` draws it."""
    first = document["first_difference"]
    return Comparison(
        id=document["id"],
        baseline=document["baseline"],
        candidate=document["candidate"],
        verdict=document["verdict"],
        tolerance=document["tolerance"],
        counts=document["counts"],
        first_difference=None if first is None else _read_finding(first),
        origins=tuple(map(_read_finding, document["origins"])),
        inherited=tuple(map(_read_finding, document["inherited"])),
        compensated=tuple(map(_read_finding, document["compensated"])),
        missing=tuple(document["missing"]),
        arose=document["arose"],
        sentence=document["sentence"],
        created_at=datetime.fromisoformat(document["created_at"]),
        document=document,
        _draw=document["id"] and partial(source.get_comparison_picture, document["id"]),
        causes=tuple(
            Cause(cause["sentence"], tuple(map(_read_finding, cause["explains"])))
            for cause in document.get("causes", ())
        ),
    )


def _read_finding(document: Document) -> Finding:
    return Finding(
        document["phase"], document["node"], document.get("sentence", ""), tuple(document.get("hypotheses", ()))
    )


def read_operation(document: Document) -> Operation:
    """Read an operation."""
    return Operation(
        name=document["name"],
        aliases=tuple(document["aliases"]),
        operands=tuple(document["operands"]),
        rule=document["rule"],
        local_gradients=tuple(document["local_gradients"]),
        contributions=tuple(document["contributions"]),
        document=document,
    )


def _read_figures(document: Document | None) -> dict[str, Figure | None]:
    return {name: read_figure(figure) for name, figure in (document or {}).items()}


def read_figure(document: Any, shape: tuple[int, ...] | None = None) -> Figure | None:
    """Read a figure: np.float64 for a scalar, else an array; NumPy parses NaN, Infinity and -Infinity.

    `shape` is that of a figure without elements, of which lists do not tell. None for null, and for a tensor, which
    stands in place of its numbers.
    """
    if document is None or isinstance(document, dict):
        return None
    array = np.array(document, dtype=np.float64)
    figure: Figure = array.reshape(array.shape if array.size or shape is None else shape)[()]
    return figure
