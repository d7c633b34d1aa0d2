"""The page of a graph: formulas, picture with the last run's figures, a form that runs it, derivatives and a plot."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flask import Response, render_template, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from service.api.http.problems import answer_error
from service.api.http.request import context
from service.core.errors import GradbookError
from service.core.figures.figures import FloatArray
from service.core.figures.text import short_value
from service.core.graph.graph import Graph
from service.core.rulebook.operation import CONVENTIONS
from service.storage.comparisons import ComparisonRecord
from service.storage.records import GraphRecord, RunRecord
from service.usecases import comparisons, gradient_graphs, graph_search
from service.usecases import graphs as usecases
from service.usecases import runs as runs_of
from service.usecases.runs import StoredRun
from service.web.folding import fold, fold_subject
from service.web.legend import legend
from service.web.pages.figures import Cell, column, typed
from service.web.pages.forms import field_of, input_fields, read_inputs
from service.web.pages.graphs import formulas, read_expression, show_formula
from service.web.pages.page import page, see
from service.web.pages.parts import list_parts
from service.web.pages.pictures import inline_minimap, inline_picture, view_of
from service.web.pages.plots import chosen, draw_function, evaluate_at, inputs_of, is_computed
from service.web.subjects import graph_subject, run_subject

_RUNS, _VERSIONS, _COMPARISONS = 20, 20, 100
_DERIVATIVES = 24  # rows of the table
_LONGEST_FORMULA = 160  # characters in the expression language of one that is shown at once
_DIFFERENT = ("origin", "inherited", "convention")


@dataclass(frozen=True, slots=True)
class Derivative:
    """The derivative by one input: what it is, its formula, whether that is long, and its value at the last run."""

    wrt: str
    subject: Markup
    formula: Markup | None
    long: bool
    exact: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in the table, the figure of its output, and the comparisons that it is in."""

    record: RunRecord
    output: str
    cell: Cell
    comparisons: Sequence[tuple[str, str]]


@page("GET", "/graphs/<graph_id>")
def get_graph(graph_id: str) -> str:
    """Show a graph"""
    return _show(graph_id, request.args)


@page("POST", "/graphs/<graph_id>/runs")
def run_graph(graph_id: str) -> AnyResponse:
    """Run the graph forward and backward, and show the run"""
    form = request.form
    try:
        record = usecases.get_graph(context(), graph_id)
        graph = context().graph(record.digest)
        made = runs_of.create_run(
            context(),
            graph_id,
            read_inputs(form, graph, record.weights),
            output=form.get("output") or None,
            convention=form["convention"] if form.get("convention") in CONVENTIONS else CONVENTIONS[0],
            label=form.get("label", "").strip() or None,
            tags={},
        )
    except GradbookError as error:
        return Response(_show(graph_id, request.form, error), answer_error(error).status, mimetype="text/html")
    return see("get_run", run_id=made.record.id)


@page("POST", "/graphs/<graph_id>/gradient-graph")
def create_gradient_graph(graph_id: str) -> AnyResponse:
    """Keep a derivative as a graph of its own, and show it"""
    of, wrt = request.form.get("output") or None, request.form.getlist("wrt") or None
    record, *_ = gradient_graphs.create_gradient_graph(context(), graph_id, output=of, wrt=wrt, tags={})
    return see("get_graph", graph_id=record.id)


def _show(graph_id: str, asked: Mapping[str, str], problem: GradbookError | None = None) -> str:
    record = usecases.get_graph(context(), graph_id)
    graph = context().graph(record.digest)
    listed = runs_of.list_runs(
        context(), graph=graph_id, label=None, tag=None, recorded_by=None, after=None, limit=_RUNS
    )
    # What somebody else recorded may be wrong, and lack figures.
    computed = (run for run in listed if run.source == "computed")
    last = next(computed, next((run for run in listed if run.has_values), None))
    opened = request.args.getlist("open")
    folded = fold(graph, record.parts, opened)
    focus = asked.get("focus") if asked.get("focus") in folded.graph.position else None
    output = last.output if last and last.output in folded.graph.position else None
    view = view_of(folded.graph, focus, output)
    run = _read_run(record, last, [folded.positions[position] for position in view.positions]) if last else None
    subject = fold_subject(run_subject(run, record) if run else graph_subject(record, graph), folded)
    of = chosen(asked.get("of"), graph.outputs, last.output if last else None)
    return render_template(
        "graph.html",
        section="Graphs",
        record=record,
        expression=read_expression(record.expression or ""),
        formulas=formulas(graph),
        view=view,
        unknown=asked.get("focus") if focus is None else None,
        picture=inline_picture(subject, view),
        minimap=inline_minimap(folded.graph, view),
        parts=list_parts(record.parts, opened),
        notes=(view.sentence, legend(subject, view)),
        operations=sorted(Counter(node.operation.name for node in graph.nodes if is_computed(node)).items()),
        run=run,
        inputs=input_fields(graph, inputs_of(run) if run else {}, asked if problem else None, record.weights),
        conventions=CONVENTIONS,
        asked=asked,
        problem=problem,
        faults={field_of(fault): fault.detail for fault in getattr(problem, "faults", ())},
        of=of,
        derivatives=_derivatives(graph, run, of),
        more_inputs=max(0, len(graph.inputs) - _DERIVATIVES),
        plot=draw_function(graph, run, asked) if run else None,
        runs=_listed_runs(record, listed),
        versions=usecases.list_graphs(context(), name=record.name, tag=None, after=None, limit=_VERSIONS),
    )


def _read_run(graph: GraphRecord, record: RunRecord, drawn: Sequence[int]) -> StoredRun:
    """The last run with the figures that are drawn and those of the inputs and outputs."""
    positions = sorted({*drawn, *runs_of.ends(context().graph(graph.digest))})
    return runs_of.read_figures(context(), record, positions)


def _derivatives(graph: Graph, run: StoredRun | None, of: str) -> list[Derivative]:
    """The derivatives of an output by the inputs that have one, the values those at the run's point."""
    inputs = [name for name in graph.inputs if graph.nodes[graph.position[name]].has_gradient][:_DERIVATIVES]
    made = evaluate_at(run, of) if run else None
    gradients = made.gradients if made else None
    figures = [None if gradients is None else gradients[graph.position[name]] for name in inputs]
    found = []
    for name, figure, cell in zip(inputs, figures, column(figures), strict=True):
        subject, formula, shown = Markup("<mi>{}</mi>").format(name), None, show_formula(graph, of, name)
        if shown is not None:
            subject = Markup(shown.sides[0])
            formula = Markup("".join(shown.sides[1:]).removeprefix("<mo>=</mo>"))
        long = shown is not None and shown.length > _LONGEST_FORMULA
        found.append(Derivative(name, subject, formula, long, _exact(figure), cell))
    return found


def _exact(figure: FloatArray | None) -> str:
    """A scalar exactly, where it is a simple fraction or a short decimal but for rounding."""
    if figure is None or figure.ndim or not np.isfinite(figure):
        return ""
    text = typed(figure)
    return text if "/" in text or short_value(float(figure)) == float(figure) else ""


def _listed_runs(graph: GraphRecord, listed: Sequence[RunRecord]) -> list[ListedRun]:
    values = graph_search.output_values(context(), listed, {graph.id: graph})
    found = comparisons.list_comparisons(context(), run=None, graph=graph.id, after=None, limit=_COMPARISONS)
    cells = column([values.get(run.id) for run in listed])
    return [
        ListedRun(
            run,
            graph_search.output_of(run, graph),
            cell,
            [(each.id, _verdict(each)) for each in found if run.id == each.candidate_id],
        )
        for run, cell in zip(listed, cells, strict=True)
    ]


def _verdict(comparison: ComparisonRecord) -> str:
    different = sum(comparison.counts.get(verdict, 0) for verdict in _DIFFERENT)
    return f"{different} differ{'s' if different == 1 else ''}" if comparison.verdict != "same" else "same"
