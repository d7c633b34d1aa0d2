"""The pages of series: where a training run first went wrong, its norms step by step, and what broke."""

from collections.abc import Sequence

import numpy as np
from flask import render_template, request
from markupsafe import Markup

from service.api.http.request import context
from service.core.series.sentences import carry_sentence, series_sentence
from service.storage.series import SeriesRecord
from service.usecases import series as usecases
from service.usecases.series import SeriesVerdict
from service.web.pages.comparisons import draw_comparison
from service.web.pages.findings import show_causes, tolerance_words
from service.web.pages.page import page
from service.web.pages.plots import chosen
from service.web.plot import Curve, Mark, draw_plot

_LISTED, _CAUSES, _CARRIES, _STEPS = 25, 6, 20, 100
_DOTS = 100  # of wrong steps that a plot marks


@page("GET", "/series")
def list_series() -> str:
    """List the series, newest first"""
    found = usecases.list_series(context(), after=request.args.get("after"), limit=_LISTED + 1)
    shown = found[:_LISTED]
    after = found[_LISTED - 1].id if len(found) > _LISTED else None
    return render_template("list_series.html", section="Series", shown=shown, after=after)


@page("GET", "/series/<series_id>")
def get_series(series_id: str) -> str:
    """Show a series"""
    verdict, asked = usecases.get_series_verdict(context(), series_id), request.args.to_dict()
    record, compared = verdict.record, verdict.compared
    nodes = list(record.nodes or ())
    causes = show_causes(compared.found) if compared else []
    return render_template(
        "series.html",
        section="Series",
        record=record,
        title=sentence(record).partition(". ")[0].removesuffix("."),
        tolerance=tolerance_words(record.tolerance),
        first=verdict.wrong[0] if verdict.wrong else None,
        comparison_id=record.comparison_id,
        causes=causes[:_CAUSES],
        cause=verdict.cause,
        carries=[carry_sentence(carry) for carry in verdict.broken[:_CARRIES]],
        more_carries=len(verdict.broken[_CARRIES:]),
        wrong=verdict.wrong[:_STEPS],
        more_wrong=record.wrong - len(verdict.wrong[:_STEPS]),
        nodes=nodes,
        of=(of := chosen(asked.get("of"), nodes, _first_output(record)) if nodes else ""),
        plot=_draw(verdict, of) if nodes else "",
        **(draw_comparison(compared, asked.get("node")) if compared else {}),
    )


def sentence(record: SeriesRecord) -> str:
    """What was found in a series."""
    return series_sentence(record.steps, record.wrong, record.first_wrong, record.broken)


def _first_output(record: SeriesRecord) -> str | None:
    """The first of the graph's outputs that its steps have."""
    outputs: Sequence[str] = context().compact_graph(record.graph_digest).outputs
    return next((name for name in outputs if name in (record.nodes or ())), None)


def _draw(verdict: SeriesVerdict, of: str) -> Markup:
    """The norm of a node's value over the steps; those with an origin are marked, the first of them by its number."""
    place = list(verdict.record.nodes or ()).index(of)
    steps = np.array([*verdict.norms], dtype=np.float64)
    norms = np.array([each[place] for each in verdict.norms.values()])
    wrong = [(float(step.number), float(step.trace.norms[place])) for step in verdict.wrong[:_DOTS]]
    mark = Mark(*wrong[0]) if wrong else None
    curve = Curve(steps, norms, in_steps=True)
    return draw_plot([curve], over="step", of=f"norm of {of}", mark=mark, dots=wrong[1:])
