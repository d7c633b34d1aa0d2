"""The page of a sweep: a picture of any of its figures over one or two of the inputs that vary, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import numpy as np
from flask import render_template, request
from werkzeug.wrappers import Response as AnyResponse

from service.api.http.request import context
from service.core.errors import Fault, InvalidInputs, LimitExceeded
from service.core.figures.text import figure_text
from service.core.sweeps.axes import Linspace
from service.core.sweeps.reductions import Extreme
from service.core.sweeps.sweep import Sweep
from service.usecases import sweeps as usecases
from service.usecases.graphs import get_graph
from service.usecases.runs import get_run
from service.usecases.sweep_inputs import SweptInput
from service.usecases.sweeps import StoredSweep, load_points
from service.web.pages.forms import read_number
from service.web.pages.page import page, see
from service.web.pages.plots import chosen, inputs_of
from service.web.plot_svg import inline
from service.web.sweep_picture import Asked, choose, draw_sweep
from service.web.sweep_words import place

_ROWS = ("1", "2")  # of the form that begins a sweep
_LISTED = 100  # columns
_DIGITS = 10  # of the number of values
_VERDICT, _ESTIMATE = "verdict ", "estimate "  # columns of what is held against others, by how their names begin


@dataclass(frozen=True, slots=True)
class HeldInput:
    """An input that is not drawn over: at which index of how many values it is held, and the value there."""

    name: str
    index: int
    count: int
    value: str


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """What a column amounts to, each part of it in words; empty where that was not asked for."""

    name: str
    least: str
    greatest: str
    mean: str
    nonfinite: str


@page("GET", "/sweeps/<sweep_id>")
def get_sweep(sweep_id: str) -> str:
    """Show a sweep"""
    stored = usecases.get_sweep(context(), sweep_id)
    graph_id = stored.record.graph_id
    assert graph_id is not None
    asked = _asked(stored.sweep, request.args)
    picture, refused = None, ""
    if asked is not None and stored.sweep.reduce is None:
        try:
            picture = draw_sweep(stored.sweep, load_points(context(), stored), asked)
        except LimitExceeded as error:
            refused = error.detail
    return render_template(
        "sweep.html",
        section="Jobs",
        record=stored.record,
        sweep=stored.sweep,
        graph=get_graph(context(), graph_id),
        asked=asked,
        held=_held(stored.sweep, asked),
        found=_found(stored),
        listed=_LISTED,
        partings=_partings(stored),
        picture=picture,
        refused=refused,
        query=urlencode(_query(asked), doseq=True) if asked else "",
        drawn=inline(picture.plot) if picture else "",
    )


@page("POST", "/graphs/<graph_id>/sweeps")
def create_sweep(graph_id: str) -> AnyResponse:
    """Begin a sweep over one or two inputs, the others held where a run has them, and show its job"""
    form, run = request.form, get_run(context(), request.form.get("run", ""))
    axes: dict[str, SweptInput] = {}
    for row in _ROWS:
        if name := form.get(f"over{row}"):
            low, high = (read_number(form.get(f"{end}{row}", "")) for end in ("low", "high"))
            axes[name] = Linspace(low, high, _count(form.get(f"count{row}", "")))
    inputs = {**axes, **{name: each for name, each in inputs_of(run).items() if name not in axes}}
    gradients, output = "gradients" in form, run.record.output if "gradients" in form else None
    job = usecases.create_sweep(context(), graph_id, inputs, gradients=gradients, output=output)
    return see("get_job", job_id=job.id)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS or int(text) == 0:
        raise InvalidInputs([Fault((), f"a number of values is expected, not {text}")])
    return int(text)


def _asked(sweep: Sweep, asked: Mapping[str, str]) -> Asked | None:
    """What the page's form asks for, as far as the sweep has it; None where nothing varies."""
    names = list(sweep.axes)
    if not names:
        return None
    x = chosen(asked.get("x"), names)
    others = [name for name in names if name != x]
    y = asked.get("y") if "y" in asked else next(iter(others), None)
    y = y if y in others else None
    indices = {name: _index(asked.get(f"hold.{name}", ""), sweep.axes[name].count) for name in others if name != y}
    held = {name: index for name, index in indices.items() if index is not None and sweep.mode == "grid"}
    return choose(sweep, chosen(asked.get("of"), sweep.columns), x, y, held)


def _query(asked: Asked) -> dict[str, Any]:
    """The same as a query of the API."""
    hold = [f"{name}:{index}" for name, index in asked.held.items()]
    return {"of": asked.of, "x": asked.x, **({"y": asked.y} if asked.y else {}), "hold": hold}


def _index(text: str, count: int) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < count else None


def _held(sweep: Sweep, asked: Asked | None) -> list[HeldInput]:
    held = asked.held if asked else {}
    values = {name: sweep.axes[name].at(name, np.array([index]))[0] for name, index in held.items()}
    return [HeldInput(name, held[name], sweep.axes[name].count, figure_text(value)) for name, value in values.items()]


def _found(stored: StoredSweep) -> list[FoundColumn]:
    """What each column amounts to, as far as it was asked for."""
    asked, columns = stored.sweep.reduce, stored.reductions.columns if stored.reductions else {}

    def told(part: str, text: str) -> str:
        return text if asked is None or part in asked else ""

    return [
        FoundColumn(
            name,
            told("min", _placed(stored.sweep, each.least)),
            told("max", _placed(stored.sweep, each.greatest)),
            told("mean", "–" if each.mean is None else figure_text(each.mean)),
            told("nonfinite", f"{each.nan + each.above + each.below:,}"),
        )
        for name, each in islice(columns.items(), _LISTED)
        if not name.startswith(_VERDICT)
    ]


def _placed(sweep: Sweep, extreme: Extreme | None) -> str:
    if extreme is None:
        return "–"
    at = f" at {place(sweep, extreme.point)}" if sweep.axes else ""
    return f"{figure_text(extreme.value)}{at}"


def _partings(stored: StoredSweep) -> list[str]:
    """How each column compares with the one that it is held against, in a sentence."""
    sweep, said = stored.sweep, []
    partings = stored.reductions.partings if stored.reductions else {}
    for other, found in islice(partings.items(), _LISTED):
        column, checked = sweep.pairs[other], other.startswith(_ESTIMATE)
        points = f"{found.count:,} point{'' if found.count == 1 else 's'}"
        if found.first is None:
            said.append(f"{column} is right wherever it was computed." if checked else f"{column} agrees everywhere.")
        else:
            parts = "is wrong" if checked else "parts from the other graph’s"
            said.append(f"{column} {parts} at {points}, first at {place(sweep, found.first)}.")
        if found.greatest is not None and found.greatest.value > 0:
            farthest = figure_text(found.greatest.value)
            said[-1] += f" The greatest difference is {farthest}, at {place(sweep, found.greatest.point)}."
        if found.unjudged:
            said[-1] += f" At {found.unjudged:,} of the points nothing can be said."
    return said
