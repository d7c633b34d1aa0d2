"""The table of a comparison: its figures by pages, those that differ unless all are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.comparison.listing import JudgedFigure, judged_figures
from service.core.comparison.verdicts import Comparison
from service.core.figures.figures import FloatArray, IntArray
from service.core.figures.text import exact_text, listed, short_number, told_apart
from service.usecases.comparisons import Compared
from service.web.captions import full_figure, short_figure
from service.web.error_map import heat
from service.web.pages.figures import Cell, align
from service.web.pages.findings import agreeing, number_word

_ROWS = 50


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """A row of the table: a figure, of a tensor its worst element, in both runs and as the candidate's others say.

    `baseline_node` is what the baseline calls the node where that is otherwise.
    """

    node: str
    baseline_node: str | None
    kind: str
    worst: tuple[int, ...] | None
    shape: str
    baseline: Cell
    candidate: Cell
    expected: Cell
    error: Cell
    heat: int
    verdict: str


def show_differences(compared: Compared, asked: Mapping[str, str]) -> dict[str, Any]:
    """A page of the figures, of those that differ unless all are asked for."""
    shows_all, worst_first = bool(asked.get("all")), asked.get("order") == "relative_error"
    order = "relative_error" if worst_first else "topological"
    numbers = compared.listing(None if shows_all else "differences", order)
    start = int(text) if (text := asked.get("start", "")).isdecimal() else 0
    lines = _lines(compared.found, numbers[start : start + _ROWS])
    return {
        "shows_all": shows_all,
        "worst_first": worst_first,
        "order_words": _order(compared.found, {line.kind for line in lines}, worst_first),
        "lines": lines,
        "renamed": any(line.baseline_node for line in lines),
        "start": start,
        "total": len(numbers),
        "after": start + _ROWS if start + _ROWS < len(numbers) else None,
        "before": max(start - _ROWS, 0) if start else None,
        "agreeing": agreeing(compared.found),
        "all_count": number_word(sum(compared.record.counts.values())),
    }


def _order(found: Comparison, kinds: set[str], worst_first: bool) -> str:
    """In which order the figures stand."""
    output = found.candidate.backward.output if found.candidate.backward else ""
    told = "values and gradients" if len(kinds) > 1 else "".join(f"{kind}s" for kind in kinds)
    told = told.replace("gradients", f"gradients of {output}")
    passes = {"value": "forward pass", "gradient": "backward pass"}
    order = (
        "the worst first"
        if worst_first
        else f"in the order of the {listed([passes[each] for each in passes if each in kinds])}"
    )
    return f"{told[0].upper()}{told[1:]}, {order}." if kinds else ""


def _lines(found: Comparison, numbers: IntArray) -> list[DifferenceRow]:
    judged = judged_figures(found, numbers)
    columns = [align(cells) for cells in zip(*map(_cells, judged), strict=True)] or [[]] * 4
    nodes = found.candidate.graph.nodes
    return [
        DifferenceRow(
            node=nodes[each.position].name,
            baseline_node=found.other_name(each.position),
            kind="value" if each.phase is found.forward else "gradient",
            worst=each.worst,
            shape="×".join(map(str, each.phase.candidate.shape(each.position))),
            baseline=baseline,
            candidate=candidate,
            expected=expected,
            error=error,
            heat=heat(each.relative_error),
            verdict=each.verdict.name.lower(),
        )
        for each, baseline, candidate, expected, error in zip(judged, *columns, strict=True)
    ]


def _cells(judged: JudgedFigure) -> tuple[Cell, Cell, Cell, Cell]:
    """The baseline's figure, the candidate's, what follows from its others, and the error."""
    phase, position, worst = judged.phase, judged.position, judged.worst
    given = phase.right(position), phase.given(position), phase.due(position)
    baseline, candidate, expected = (
        figure if figure is None or worst is None else np.asarray(figure[worst]) for figure in given
    )
    apart = f", {judged.ulps:,} ulp{'s' if judged.ulps != 1 else ''}" if judged.ulps else ""
    error = Cell(short_number(judged.relative_error), f"{exact_text(judged.relative_error)}{apart}")
    shorts = ["", ""]
    if baseline is not None and candidate is not None and not baseline.ndim and not candidate.ndim:
        shorts = list(told_apart(float(baseline), float(candidate)))
    return _cell(baseline, shorts[0]), _cell(candidate, shorts[1]), _cell(expected, ""), error


def _cell(figure: FloatArray | None, short: str) -> Cell:
    if figure is None:
        return Cell("–", "–")
    return Cell(short or short_figure(figure), full_figure(figure).replace("-", "−"))
