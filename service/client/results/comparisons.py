"""Comparisons, and what explains their differences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from service.client.figures import Document, Figure, read_figure
from service.client.results.alignments import Alignment, read_alignment
from service.client.results.result import Result, Row, Source, Table, drawn, html_table


@dataclass(frozen=True, slots=True)
class Hypothesis(Result):
    """A mistake that reproduces a figure: its name, and a sentence with its numbers.

    `error` is how far the figure is from what the mistake gives; None where that has no number.
    """

    name: str
    sentence: str
    error: float | None


@dataclass(frozen=True, slots=True)
class Finding(Result):
    """A node's value (`phase` forward) or gradient (backward), and what may explain it, likeliest first.

    Of an origin, `sentence` says what it is, what it should be and why; of what is right although what it follows from
    is not, what it would be; it is empty of what was inherited.
    """

    phase: str
    node: str
    sentence: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A text that shows an origin, and the .npz that its script reads, if it reads one: beside it, under its name."""

    text: str
    beside: bytes | None

    def save(self, path: str | Path) -> None:
        """Write the text to a file, and what it reads beside that."""
        Path(path).write_text(self.text, encoding="utf-8")
        if self.beside is not None:
            Path(path).with_suffix(".npz").write_bytes(self.beside)


@dataclass(frozen=True, slots=True)
class Cause(Result):
    """One finding in a sentence, and the origins that it explains."""

    sentence: str
    explains: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ComparedFigure(Result):
    """A node's value or gradient in both runs, and the verdict on it; `expected` follows from the candidate's others.

    Figures are None where they are not given, and in lists where they have over 10,000 elements. Of arrays the errors
    are those of the worst element, whose index is `worst`. It is `rounded` where a claim is right to its last digit.
    `baseline_name` is what the baseline calls the node where that is otherwise, else None.
    """

    phase: str
    name: str
    verdict: str
    baseline: Figure | None
    candidate: Figure | None
    expected: Figure | None
    absolute_error: float
    relative_error: float
    ulps: int | None
    worst: tuple[int, ...] | None
    rounded: bool
    baseline_name: str | None
    document: Document = field(repr=False)


@dataclass(frozen=True, slots=True)
class ComparisonSummary(Result):
    """A comparison in a list, without its figures and findings; `get_comparison` reads them."""

    id: str
    baseline: str
    candidate: str
    verdict: str
    tolerance: Any
    counts: Mapping[str, int]
    created_at: datetime
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison(Table):
    """A verdict on two runs; `origins` introduced an error, `inherited` were computed from wrong figures.

    `missing` are the figures that the baseline has and the candidate lacks, each a phase, a node and whether it was
    given as "none" or is "absent"; the verdict does not count them. `arose` is
    False where every difference was inherited from errors below the tolerance; `sentence` says that, or that the inputs
    differ. `alignment` says which nodes were paired where that was done by probes, else None.

    `id`, `baseline` and `candidate` are None for a check that was not kept. As a table it lists the figures, each with
    its verdict.
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
    alignment: Alignment | None
    created_at: datetime
    document: Document = field(repr=False, compare=False)
    _source: Source = field(repr=False, compare=False)

    @property
    def rounding(self) -> Document | None:
        """What rounding may do to the first figure that differs, where nothing introduced that; None elsewhere."""
        return self.document.get("rounding")

    def rows(self) -> Iterable[Row]:
        if self.id is None or self.document["next"] is None:
            return self._shown_rows()
        return map(_row, self._source.list_comparison_nodes(self.id))

    def _shown_rows(self) -> Iterable[Row]:
        return map(_row, map(read_compared_figure, self.document["nodes"]))

    def _repr_html_(self) -> str:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items() if count)
        causes = "".join(f"<li>{escape(cause.sentence)}</li>" for cause in self.causes)
        differences = html_table(row for row in self._shown_rows() if row["verdict"] != "same")
        head = f"<p><b>{escape(self.verdict)}</b>: {escape(counts)}</p><ul>{causes}</ul>"
        return f"{head}{drawn(self._repr_svg_)}{differences}"

    def _repr_svg_(self) -> str | None:
        return self.id and self._source.get_comparison_picture(self.id)


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
        first_difference=None if first is None else read_finding(first),
        origins=tuple(map(read_finding, document["origins"])),
        inherited=tuple(map(read_finding, document["inherited"])),
        compensated=tuple(map(read_finding, document["compensated"])),
        missing=tuple(document["missing"]),
        arose=document["arose"],
        sentence=document["sentence"],
        created_at=datetime.fromisoformat(document["created_at"]),
        document=document,
        _source=source,
        alignment=read_alignment(document["alignment"]) if "alignment" in document else None,
        causes=tuple(
            Cause(cause["sentence"], tuple(map(read_finding, cause["explains"])))
            for cause in document.get("causes", ())
        ),
    )


def read_finding(document: Document) -> Finding:
    """Read a finding."""
    hypotheses = tuple(map(_read_hypothesis, document.get("hypotheses", ())))
    return Finding(document["phase"], document["node"], document.get("sentence", ""), hypotheses)


def _read_hypothesis(document: Document) -> Hypothesis:
    error = document["error"]
    return Hypothesis(document["name"], document["sentence"], None if error is None else float(error))


def read_compared_figure(document: Document) -> ComparedFigure:
    """Read a figure of a comparison."""
    worst = document.get("worst")
    return ComparedFigure(
        phase=document["phase"],
        name=document["name"],
        verdict=document["verdict"],
        baseline=read_figure(document["baseline"]),
        candidate=read_figure(document["candidate"]),
        expected=read_figure(document["expected"]),
        absolute_error=float(document["absolute_error"]),
        relative_error=float(document["relative_error"]),
        ulps=document["ulps"],
        worst=None if worst is None else tuple(worst),
        rounded=document.get("rounded", False),
        baseline_name=document.get("baseline_name"),
        document=document,
    )


def read_comparison_summary(document: Document) -> ComparisonSummary:
    """Read a comparison in a list."""
    return ComparisonSummary(
        id=document["id"],
        baseline=document["baseline"],
        candidate=document["candidate"],
        verdict=document["verdict"],
        tolerance=document["tolerance"],
        counts=document["counts"],
        created_at=datetime.fromisoformat(document["created_at"]),
        document=document,
    )


def _row(figure: ComparedFigure) -> Row:
    members = ("phase", "name", "verdict", "baseline", "candidate", "expected", "absolute_error", "relative_error")
    return {member: figure[member] for member in (*members, "ulps")}
