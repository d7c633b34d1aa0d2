"""How far the figures of a comparison are off: a histogram of all, and a map of a tensor."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from service.core.comparison.listing import JudgedFigure, judged_figures, list_figures, relative_errors
from service.core.comparison.verdicts import DIFFERENT, Comparison, Verdict
from service.core.figures.text import listed, short_number, told_apart
from service.web.error_map import LARGEST, ErrorMap, draw_error_map, map_errors
from service.web.histogram import MeasuredFigure, draw_bars, draw_squares, draws_squares
from service.web.pages.figures import name_markup

_LOOKED_AT = 100  # figures among which one is sought that is a tensor
_ROUNDING = 1e-8  # a relative error below which rounding may be the reason
_FEW = 4  # rows or columns that are named


def show_histogram(found: Comparison) -> dict[str, Any]:
    """The relative errors of all figures that were compared."""
    numbers = list_figures(found)
    errors = relative_errors(found, numbers)
    if not numbers.size:
        return {"histogram": ""}
    one_by_one = draws_squares(numbers.size)
    drawn = draw_squares(_measured(found)) if one_by_one else draw_bars(errors)
    return {
        "histogram": Markup(drawn),
        "one_by_one": one_by_one,
        "is_rounding": bool(((errors > 0.0) & (errors < _ROUNDING)).any()),
    }


def _measured(found: Comparison) -> list[MeasuredFigure]:
    nodes, measured = found.candidate.graph.nodes, []
    for figure in judged_figures(found, list_figures(found)):
        name, verdict = nodes[figure.position].name, figure.verdict.name.lower()
        error = short_number(figure.relative_error)
        words = f"the {_kind(found, figure)} of {name}: {verdict}, relative error {error}"
        measured.append(MeasuredFigure(words, name, verdict, figure.relative_error))
    return measured


def _kind(found: Comparison, figure: JudgedFigure) -> str:
    return "value" if figure.phase is found.forward else "gradient"


def show_error_map(found: Comparison, wanted: str | None) -> dict[str, Any]:
    """The map of a tensor that differs: the one that is `wanted`, as gradient.NAME, else the first origin."""
    figure = next(_tensors(found, wanted), None)
    if figure is None:
        return {"error_map": None}
    phase, position = figure.phase, figure.position
    candidate, baseline = phase.candidate[position], phase.baseline[position]
    assert candidate is not None and baseline is not None and figure.worst is not None
    mapped = map_errors(candidate, baseline, figure.worst, (phase.rtol, phase.atol))
    name = found.candidate.graph.nodes[position].name
    own, right = told_apart(float(candidate[figure.worst]), float(baseline[figure.worst]))
    expected, follows = phase.expected[position], ""
    if figure.verdict == Verdict.ORIGIN and expected is not None:
        follows = short_number(float(expected[figure.worst]))
    worst = f"[{', '.join(map(str, figure.worst))}]"
    shape = "×".join(map(str, mapped.shape))
    subject = f"the {_kind(found, figure)} of {name}"
    words = (
        f"Relative errors of {subject}, {shape}: {mapped.wrong:,} of {_shown_size(mapped):,} elements differ; "
        f"the worst, at {worst}, is {own} for {right}."
    )
    return {
        "error_map": Markup(draw_error_map(mapped, words)),
        "mapped": mapped,
        "mapped_kind": _kind(found, figure),
        "mapped_name": name_markup(name),
        "mapped_verdict": figure.verdict.name.lower(),
        "wrong_in": _where(mapped),
        "worst": {"at": worst, "own": own, "right": right, "follows": follows},
        "shape": shape,
    }


def _tensors(found: Comparison, wanted: str | None) -> Iterator[JudgedFigure]:
    """The figures that may be mapped: the one that is wanted, the first origins, then the first that differ."""
    kind, _, name = (wanted or "").partition(".")
    position = found.candidate.graph.position.get(name)
    if position is not None:
        numbers = [rank * len(found.values) + position for rank in range(len(found.phases))]
        yield from (each for each in _mapped(found, np.array(numbers)) if _kind(found, each) == kind)
    for verdicts in ((Verdict.ORIGIN,), DIFFERENT):
        yield from _mapped(found, list_figures(found, verdicts)[:_LOOKED_AT])


def _mapped(found: Comparison, numbers: Any) -> Iterator[JudgedFigure]:
    for figure in judged_figures(found, numbers):
        size = np.prod(figure.phase.candidate.shape(figure.position))
        if figure.worst is not None and figure.verdict in DIFFERENT and size <= LARGEST:
            yield figure


def _shown_size(mapped: ErrorMap) -> int:
    return int(np.prod(mapped.shape[-2:]))


def _where(mapped: ErrorMap) -> str:
    """Where a figure is wrong: in columns 5, 6 and 7; else in how many elements."""
    is_wrong = mapped.cells > 0.0
    if not mapped.in_blocks and len(mapped.shape) > 1:
        for axis, what in ((0, "column"), (1, "row")):
            at = np.flatnonzero(is_wrong.any(axis=axis)).tolist()
            if len(at) <= _FEW and len(at) < is_wrong.shape[1 - axis]:
                return f"{what}{'s' if len(at) > 1 else ''} {listed(list(map(str, at)))}"
    size = _shown_size(mapped)
    return "each element" if mapped.wrong == size else f"{mapped.wrong:,} of {size:,} elements"
