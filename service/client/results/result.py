"""What all results can: a mapping of their members, a table of what they list, and HTML for notebooks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from html import escape
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from service.client.transport import ClientError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row: TypeAlias = Mapping[str, Any]

_MOST_ROWS = 20  # that a notebook shows


class Source(Protocol):
    """Fetches pictures, what an answer left out, and what comes of a job."""

    def list_graph_nodes(self, graph: str) -> Iterator[Any]:
        """All nodes of a graph."""

    def list_run_nodes(self, run: str, *, packed: bool) -> Iterator[Any]:
        """All nodes of a run; with all figures whole if `packed`."""

    def get_run_node(self, run: str, name: str, *, packed: bool) -> Any:
        """One node of a run, with whole figures."""

    def list_comparison_nodes(self, comparison: str) -> Iterator[Any]:
        """All figures of a comparison."""

    def get_graph_picture(self, graph: str) -> str:
        """The picture of a graph."""

    def get_run_picture(self, run: str) -> str:
        """The picture of a run."""

    def get_comparison_picture(self, comparison: str) -> str:
        """The picture of a comparison."""

    def draw_sweep(self, sweep: str) -> str:
        """The picture of a sweep."""

    def list_sweep_points(self, sweep: str) -> Iterator[Any]:
        """The points of a sweep."""

    def get_sweep_columns(self, sweep: str, *, offset: int, limit: int) -> Any:
        """Some of the points of a sweep as vectors."""

    def get_job(self, job: str) -> Any:
        """A job as it is by this time."""

    def cancel_job(self, job: str) -> Any:
        """Stop a job."""

    def get_job_result(self, job: Any) -> Any:
        """What a job came to."""


class Result(Mapping[str, Any]):
    """A result is also a mapping: `result["name"]` is `result.name`, and `dict(result)` holds what `repr` shows.

    What it lists, and how the service wrote it, is not among that. `values` of a run are its figures.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    # Those of a mapping would compare arrays.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, name: str) -> Any:
        if name.startswith("_") or all(name != each.name for each in fields(self)):
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return (each.name for each in fields(self) if each.repr)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _repr_html_(self) -> str:
        written = ((name, _inline(value)) for name, value in self.items())
        members = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in written if value)
        return f"<b>{type(self).__name__}</b><dl>{members}</dl>"


class Table(Result):
    """A result that lists things of one kind: `rows` are those, which `to_frame` makes a data frame of."""

    __slots__ = ()

    def rows(self) -> Iterable[Row]:
        """One row for each of what is listed, whole: what the answer left out is read from the service."""
        return self._shown_rows()

    def to_numpy(self) -> "dict[str, NDArray[Any]]":
        """The columns of the table by name.

        Numbers are of float64, NaN where there is none; a column in which a figure is an array is of objects.
        """
        rows = list(self.rows())
        return {name: _column([row[name] for row in rows]) for name in (rows[0] if rows else ())}

    def to_frame(self, library: Literal["pandas", "polars"] | None = None) -> Any:
        """The table as a data frame: of pandas where that is installed, else of polars.

        Raises ImportError where neither is.
        """
        found = library or ("pandas" if find_spec("pandas") or not find_spec("polars") else "polars")
        return import_module(found).DataFrame(self.to_numpy())

    def _shown_rows(self) -> Iterable[Row]:
        """The rows that the answer holds."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return html_table(self._shown_rows())


def drawn(picture: Callable[[], str | None]) -> str:
    """A picture; nothing where the service gives none, for what was read from it is shown all the same."""
    try:
        return picture() or ""
    except ClientError:
        return ""


def html_table(rows: Iterable[Row]) -> str:
    """The first rows as an HTML table, in the colours of the page that it stands in."""
    shown = list(islice(rows, _MOST_ROWS + 1))
    if not shown:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in shown[0])
    lines = ("".join(f"<td>{_inline(value)}</td>" for value in row.values()) for row in shown[:_MOST_ROWS])
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    more = "<p>… and more</p>" if len(shown) > _MOST_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _inline(value: Any) -> str:
    """A value within a cell: a number to six digits, an array by its shape, a formula as the service typesets it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    if hasattr(value, "__array__"):
        return f"[{'×'.join(map(str, value.shape))}]"
    if isinstance(value, Result):
        return value._repr_html_()
    if isinstance(value, Mapping) and "mathml" in value:
        return f"<math>{value['mathml']}</math>"
    if isinstance(value, Mapping):
        return _listed(f"{escape(str(name))}: {_inline(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return _listed(map(_inline, value), "" if any(isinstance(each, Result) for each in value) else ", ")
    return escape(str(value))


def _listed(written: Iterable[str], between: str = ", ") -> str:
    shown = list(islice(written, _MOST_ROWS + 1))
    return between.join([*shown[:_MOST_ROWS], "…"] if len(shown) > _MOST_ROWS else shown)


def _column(values: list[Any]) -> "NDArray[Any]":
    import numpy as np

    given = [value for value in values if value is not None]
    if given and all(isinstance(value, int | float) for value in given):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if len(given) == len(values) and all(isinstance(value, str) for value in values):
        return np.array(values)
    return np.fromiter(values, object, len(values))
