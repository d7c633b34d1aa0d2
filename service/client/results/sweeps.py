"""Sweeps: a graph at very many points, and what these amount to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from service.client.figures import Document
from service.client.results.jobs import Job, read_job
from service.client.results.result import Result, Row, Source, Table, drawn, html_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT_ONCE = 4_000_000  # numbers in one answer


@dataclass(frozen=True, slots=True)
class SweptFigure(Result):
    """A figure of a sweep, or a place alone (without a `value`), and where it is: the number of the point, and what the
    inputs that vary are `at` it. `figure` is the name of its column."""

    figure: str
    value: float | None
    point: int
    at: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ReducedFigures(Result):
    """What a column of figures amounts to; None for what was not asked for, and where all are NaN.

    A NaN is neither `min` nor `max` and has no part in the `mean`. The `histogram` says of the finite figures from
    where, to where, how many; `nonfinite` counts the others by what they are.
    """

    min: SweptFigure | None
    max: SweptFigure | None
    mean: float | None
    argmin: SweptFigure | None
    histogram: tuple[tuple[float, float, int], ...] | None = field(repr=False)
    nonfinite: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class PartedFigures(Result):
    """Where a column of figures parts from those that it is held against: at how many `points`, `first` at which one,
    and the greatest absolute difference at any. `not_judged` counts points at which nothing can be said of a gradient.
    """

    figure: str
    points: int
    first: SweptFigure | None
    greatest_difference: SweptFigure | None
    not_judged: int


@dataclass(frozen=True, slots=True)
class SweepPoint(Result):
    """A point of a sweep: its number, what the inputs that vary are `at` it, and its figures by their columns."""

    point: int
    at: Mapping[str, float]
    figures: Mapping[str, float]
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Sweep(Table):
    """A graph at so many `points`, and its `job` as it stood when this was read.

    `columns` are the figures that each point has: the values of `outputs`, F, and the gradients of `output`, dF/da.
    `reduced` says by column what the points amount to that are `computed`; `nonfinite` names the first figures that are
    not finite; `parted` says where the sweep and what it is held against differ. As a table it lists the points that
    are computed: the number of each, the inputs that vary, and its figures.
    """

    id: str
    graph_id: str
    inputs: Mapping[str, Any]
    mode: str
    outputs: tuple[str, ...]
    output: str | None
    conventions: str
    reduce: tuple[str, ...] | None
    against: Mapping[str, Any] | None
    check: bool
    points: int
    computed: int
    columns: tuple[str, ...]
    reduced: Mapping[str, ReducedFigures] = field(repr=False)
    nonfinite: tuple[SweptFigure, ...] = field(repr=False)
    parted: Mapping[str, PartedFigures] = field(repr=False)
    job: Job
    document: Document = field(repr=False, compare=False)
    _source: Source = field(repr=False, compare=False)

    def rows(self) -> Iterable[Row]:
        points: Iterable[SweepPoint] = self._source.list_sweep_points(self.id)
        return ({"point": each.point, **each.at, **each.figures} for each in points)

    def to_numpy(self) -> "dict[str, NDArray[Any]]":
        """The columns of the table by name, read in pieces of a few megabytes."""
        import numpy as np

        most = _AT_ONCE // (1 + len(self.columns))
        starts = range(0, max(self.points, 1), most)
        pieces = [self._source.get_sweep_columns(self.id, offset=start, limit=most) for start in starts]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _shown_rows(self) -> Iterable[Row]:
        members = ("min", "max", "mean", "nonfinite")
        return ({"figure": name, **{each: found[each] for each in members}} for name, found in self.reduced.items())

    def _repr_html_(self) -> str:
        return f"{drawn(self._repr_svg_)}{html_table(self._shown_rows())}"

    def _repr_svg_(self) -> str:
        return self._source.draw_sweep(self.id)


def read_sweep(document: Document, source: Source) -> Sweep:
    """Read a sweep."""
    names = Sweep.__dataclass_fields__.keys() & document.keys()
    members: dict[str, Any] = {name: _frozen(document[name]) for name in names}
    members |= {
        "reduced": {name: _read_reduced(name, each) for name, each in document["reduced"].items()},
        "nonfinite": tuple(_read_figure(each["figure"], each) for each in document["nonfinite"]),
        "parted": {name: _read_parted(name, each) for name, each in document["parted"].items()},
        "job": read_job(document["job"], source),
    }
    return Sweep(**members, document=document, _source=source)


def read_sweep_point(document: Document) -> SweepPoint:
    """Read a point of a sweep."""
    at, figures = (_numbers(document[member]) for member in ("at", "figures"))
    return SweepPoint(document["point"], at, figures, document)


def _read_reduced(name: str, document: Document) -> ReducedFigures:
    places = {member: _read_figure(name, document.get(member)) for member in ("min", "max", "argmin")}
    mean, histogram = document.get("mean"), document.get("histogram")
    return ReducedFigures(
        **places,
        mean=None if mean is None else float(mean),
        histogram=histogram and tuple((float(low), float(high), count) for low, high, count in histogram),
        nonfinite=document.get("nonfinite"),
    )


def _read_parted(name: str, document: Document) -> PartedFigures:
    places = {member: _read_figure(name, document[member]) for member in ("first", "greatest_difference")}
    return PartedFigures(
        figure=document["figure"], points=document["points"], not_judged=document["not_judged"], **places
    )


def _read_figure(name: str, document: Document | None) -> SweptFigure | None:
    if document is None:
        return None
    value = document.get("value")
    return SweptFigure(name, None if value is None else float(value), document["point"], _numbers(document["at"]))


def _numbers(document: Document) -> dict[str, float]:
    return {name: float(number) for name, number in document.items()}


def _frozen(member: Any) -> Any:
    return tuple(member) if isinstance(member, list) else member
