"""The page of a run: its picture, both passes step by step, its figures, and somebody's own beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import inf, isnan
from urllib.parse import urlencode

import numpy as np
from flask import Response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from service.api.http.problems import answer_error
from service.api.http.request import context
from service.core.comparison.listing import judged_figures, list_figures
from service.core.comparison.verdicts import Comparison
from service.core.derivatives.one_sided import OneSided
from service.core.errors import GradbookError
from service.core.execution.run import Run
from service.core.explanation.steps import count_steps
from service.core.figures.figures import Figures, FloatArray, euclidean_norm, same_bits
from service.core.graph.graph import Graph, Node
from service.core.graph.parts import enclosing
from service.core.rounding.precision import ROUNDED
from service.storage.records import RunRecord
from service.usecases import comparisons, explanations, graphs
from service.usecases import runs as usecases
from service.usecases.comparisons import Compared
from service.usecases.runs import StoredRun
from service.usecases.tensors import Given, TensorReference
from service.web.captions import MARKS
from service.web.folding import fold, fold_subject
from service.web.legend import legend
from service.web.pages.figures import Cell, column, spoken, typed, written
from service.web.pages.findings import show_causes
from service.web.pages.forms import InputField, field_of, input_fields, read_author, read_claimed, read_inputs
from service.web.pages.page import page, see
from service.web.pages.parts import list_parts
from service.web.pages.pictures import inline_minimap, inline_picture, view_of
from service.web.pages.rounding import find_rounding
from service.web.pages.steps import ShownStep, show_steps
from service.web.subjects import rounding_subject, run_subject
from service.web.view import View

MOST_STEPS = 40  # of a run whose steps all stand on its page; else those of one node
_LISTED, _FEW = 50, 8


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """A value or a gradient in the table, that of the run beside this one, and what somebody gave for it."""

    kind: str
    cell: Cell
    right: str
    before: Cell | None = None
    moved: bool = False
    magnitude: float = 0.0
    claimed: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A node's row."""

    node: Node
    entries: Sequence[ShownFigure]


@page("GET", "/runs")
def list_runs() -> str:
    """List the runs, newest first"""
    asked = request.args
    found = usecases.list_runs(
        context(),
        graph=None,
        label=asked.get("label") or None,
        tag=asked.get("tag") or None,
        recorded_by=None,
        after=asked.get("after"),
        limit=_LISTED + 1,
    )
    shown = [(record, graphs.get_graph(context(), record.graph_id)) for record in found[:_LISTED]]
    after = shown[-1][0].id if len(found) > _LISTED else None
    return render_template("runs.html", section="Runs", runs=shown, after=after, asked=asked)


@page("GET", "/runs/<run_id>")
def get_run(run_id: str) -> str:
    """Show a run"""
    return _show(run_id, request.args)


@page("POST", "/runs/<run_id>/again")
def create_run(run_id: str) -> AnyResponse:
    """Run the graph again at changed inputs, and show the new run beside this one"""
    run = usecases.get_run(context(), run_id)
    record, kept = run.record, _tensors(run)
    try:
        inputs: dict[str, Given] = {**kept, **read_inputs(request.form, run.graph, kept)}
        made = usecases.create_run(
            context(),
            record.graph_id,
            inputs,
            output=record.output,
            backward=record.output is not None,
            convention=record.convention,
            label=request.form.get("label") or None,
            tags={},
        )
    except GradbookError as error:
        return refused(run_id, error)
    return see("get_run", run_id=made.record.id, beside=run_id)


@page("POST", "/runs/<run_id>/check")
def check_run(run_id: str) -> AnyResponse:
    """Hold somebody's figures against this run's"""
    try:
        claims = read_claimed(request.form)
        if not claims["values"] and not claims["gradients"]:
            return see("get_run", run_id=run_id)
        compared = comparisons.check_run(
            context(), run_id, values=claims["values"], gradients=claims["gradients"], **read_author(request.form)
        )
    except GradbookError as error:
        return refused(run_id, error)
    return see("get_run", run_id=run_id, checked=compared.record.id)


def refused(run_id: str, error: GradbookError) -> Response:
    """The page as it was, with what was typed and what is wrong with it."""
    return Response(_show(run_id, request.form, error), answer_error(error).status_code, mimetype="text/html")


def _show(run_id: str, asked: Mapping[str, str], problem: GradbookError | None = None) -> str:
    run = usecases.get_run(context(), run_id)
    record, graph = run.record, graphs.get_graph(context(), run.record.graph_id)
    sought = asked.get("node", "").strip()
    focus = sought if sought in run.graph.position else None
    beside = usecases.get_run(context(), asked["beside"]) if asked.get("beside") else None
    checked = comparisons.get_comparison(context(), asked["checked"]) if asked.get("checked") else None
    marks = _verdicts(checked.found) if checked else {}
    sought_for = [focus] if focus else []
    wrong = [run.graph.nodes[position].name for (_, position), verdict in marks.items() if verdict in MARKS]
    within = {part for name in (*sought_for, *wrong) for part in enclosing(name.rpartition("/")[0])}
    opened = dict.fromkeys((*request.args.getlist("open"), *within))
    folded = fold(run.graph, graph.parts, opened)
    view = view_of(folded.graph, focus, record.output)
    steps = [
        replace(step, partners=[folded.within.get(name, name) for name in step.partners]) for step in _steps(run, view)
    ]
    rounding, problem = find_rounding(run.record.id, asked.get("rounding"), problem)
    drawn = rounding_subject(rounding, graph) if rounding else run_subject(run, graph)
    subject = fold_subject(replace(drawn, flags=_flags(marks)), folded)
    shown = [folded.positions[position] for position in view.positions]
    return render_template(
        "run.html",
        section="Runs",
        run=run,
        record=record,
        graph=graph,
        title=record.label or "Run",
        picture=inline_picture(subject, view, "node"),
        minimap=inline_minimap(folded.graph, view),
        parts=list_parts(graph.parts, opened, tuple(_kept(asked).items())),
        within=folded.within,
        notes=(view.sentence, legend(subject, view)),
        rounding=rounding,
        precisions=ROUNDED if run.gradients else (),
        rounded_to=lambda dtype: f"?{urlencode({**_kept(asked), 'rounding': dtype})}#rounding",
        lead=_lead(run),
        sort=asked.get("sort", ""),
        sorted_by=lambda by: f"?{urlencode({**_kept(asked), 'sort': by})}",
        steps=steps,
        number_of={(step.phase, step.node): step.number for step in steps},
        stepping=count_steps(run.figures) <= MOST_STEPS,
        focus=view.focus,
        sought=sought,
        found=_search(run.graph, sought) if sought and focus is None else (),
        near=_near(run.graph, steps[-1].node) if steps else ((), ()),
        lines=_sorted(_lines(run, shown, beside, checked, marks, asked if problem else None), asked.get("sort", "")),
        beside=beside,
        checked=checked,
        causes=show_causes(checked.found) if checked else (),
        others=_others(record),
        inputs=_inputs(run, asked if problem else None),
        problem=problem,
        faults={field_of(fault): fault.detail for fault in getattr(problem, "faults", ())},
    )


def _kept(asked: Mapping[str, str]) -> dict[str, str]:
    """What stays in the address when another order is chosen."""
    return {name: asked[name] for name in ("node", "beside", "checked", "rounding") if asked.get(name)}


def _others(record: RunRecord) -> list[RunRecord]:
    """The newest runs of the same graph, to compare a run with."""
    found = usecases.list_runs(
        context(), graph=record.graph_id, label=None, tag=None, recorded_by=None, after=None, limit=_LISTED
    )
    return [other for other in found if other.id != record.id]


def _lead(run: StoredRun) -> tuple[Sequence[str], str] | None:
    """The inputs and the output's value, of a function of a few numbers."""
    output, graph = run.record.output, run.graph
    figures = [run.values[graph.position[name]] for name in graph.inputs]
    if output is None or len(figures) > _FEW or any(figure is None or figure.ndim for figure in figures):
        return None
    return [spoken(figure) for figure in figures], spoken(run.values[graph.position[output]])


def _search(graph: Graph, text: str) -> list[str]:
    """The first names that hold a text, whatever the case of its letters."""
    return list(islice((node.name for node in graph.nodes if text.lower() in node.name.lower()), _LISTED))


def _near(graph: Graph, name: str) -> tuple[Sequence[str], Sequence[str]]:
    """What a node is computed from, and what it feeds."""
    position = graph.position[name]
    fed = dict.fromkeys(graph.nodes[consumer].name for consumer, _ in graph.consumers[position])
    return list(dict.fromkeys(graph.nodes[position].inputs)), list(islice(fed, _LISTED))


def _flags(marks: Mapping[tuple[str, int], str]) -> Mapping[int, str]:
    """The mark at the corner of each node that has a wrong figure, an origin before what follows from one."""
    worst_last = sorted(marks.items(), key=lambda each: each[1] == "origin")
    return {position: MARKS[verdict] for (_, position), verdict in worst_last if verdict in MARKS}


def _steps(run: StoredRun, view: View) -> Sequence[ShownStep]:
    figures = run.figures
    node = None if count_steps(figures) <= MOST_STEPS else view.focus or run.record.output or run.graph.outputs[0]
    steps, _ = explanations.list_steps(context(), run.record.id, node=node, start=0, limit=MOST_STEPS)
    return list(show_steps(steps, figures, run.record.output, _sides(run), whole=node is None))


def _sides(run: StoredRun) -> Callable[[int], Sequence[OneSided]]:
    """The slopes from both sides at a node, none where it has a derivative."""
    kinks = frozenset(run.record.nondifferentiable)
    compute = usecases.one_sided_at(context(), run)
    return lambda position: compute(position) if position in kinks else ()


def _lines(
    run: StoredRun,
    positions: Sequence[int],
    beside: StoredRun | None,
    checked: Compared | None,
    marks: Mapping[tuple[str, int], str],
    asked: Mapping[str, str] | None,
) -> list[Line]:
    """The rows of the nodes that are drawn; `asked` is a form that was refused."""
    before = (beside.values, beside.gradients) if beside else (None, None)
    values = _entries("value", run.values, before[0], positions)
    gradients = _entries("gradient", run.gradients, before[1], positions)
    lines = []
    for position, *pair in zip(positions, values, gradients, strict=True):
        node, entries = run.graph.nodes[position], []
        for phase, entry in zip(("forward", "backward"), pair, strict=True):
            claimed = asked.get(f"{entry.kind}.{node.name}", "") if asked is not None else ""
            if checked and asked is None:
                claimed = _claimed(checked.found.candidate, phase, position, run)
            entries.append(replace(entry, claimed=claimed, verdict=marks.get((phase, position), "")))
        lines.append(Line(node, entries))
    return lines


def _sorted(lines: list[Line], by: str) -> list[Line]:
    """By name, or by falling magnitude of the values or the gradients; else in the order of evaluation."""
    if by == "name":
        return sorted(lines, key=lambda line: line.node.name)
    if by in ("value", "gradient"):
        return sorted(lines, key=lambda line: -line.entries[by == "gradient"].magnitude)
    return lines


def _entries(kind: str, own: Figures | None, before: Figures | None, positions: Sequence[int]) -> list[ShownFigure]:
    figures, others = _taken(own, positions), _taken(before, positions)
    return [
        ShownFigure(
            kind, cell, written(figure), other_cell if before else None, before is not None and _moved(figure, other)
        )
        for cell, figure, other_cell, other in zip(column(figures), figures, column(others), others, strict=True)
    ]


def _taken(figures: Figures | None, positions: Sequence[int]) -> list[FloatArray | None]:
    return [None if figures is None else figures[position] for position in positions]


def _magnitude(figure: FloatArray | None) -> float:
    """A figure's Euclidean norm, −1 where it is not known, and infinite for NaN."""
    norm = -1.0 if figure is None else euclidean_norm(figure)
    return inf if isnan(norm) else norm


def _moved(now: FloatArray | None, before: FloatArray | None) -> bool:
    if now is None or before is None:
        return now is not before
    return now.shape != before.shape or not bool(same_bits(now, before).all())


def _claimed(claims: Run, phase: str, position: int, run: StoredRun) -> str:
    """What was typed: an Input's value is the run's own unless it was."""
    if phase == "backward":
        return typed(claims.backward.gradients[position]) if claims.backward else ""
    value, own = claims.values[position], run.values[position]
    same = value is not None and own is not None and np.array_equal(value, own, equal_nan=True)
    return "" if run.graph.nodes[position].operation.is_input and same else typed(value)


def _verdicts(found: Comparison) -> dict[tuple[str, int], str]:
    judged = judged_figures(found, list_figures(found))
    return {
        (each.phase.name, each.position): each.verdict.name.lower()
        for each in judged
        if each.phase is found.backward or not found.candidate.graph.nodes[each.position].operation.is_input
    }


def _inputs(run: StoredRun, refused: Mapping[str, str] | None) -> list[InputField]:
    """The fields of the inputs: the run's own values, or what was typed and refused."""
    values = {name: run.values[run.graph.position[name]] for name in run.graph.inputs}
    return input_fields(run.graph, values, refused, _tensors(run))


def _tensors(run: StoredRun) -> dict[str, TensorReference]:
    """The inputs that were given as tensors, or are weights of the graph."""
    tensors, position = run.record.tensors, run.graph.position
    return {name: TensorReference(tensors[position[name]]) for name in run.graph.inputs if position[name] in tensors}
