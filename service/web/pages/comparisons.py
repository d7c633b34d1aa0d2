"""The page of a comparison: its verdict in words, the causes, both runs in one picture, and where the figures part."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from flask import render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from service.api.http.request import context
from service.core.comparison.listing import summary
from service.core.comparison.sentences import compensated_sentence
from service.core.comparison.verdicts import Comparison, Verdict, first_difference
from service.core.errors import GradbookError
from service.core.symbolic.phrases import Sentence
from service.storage.comparisons import ComparisonRecord
from service.storage.records import GraphRecord, RunRecord
from service.usecases import comparisons as usecases
from service.usecases import graphs
from service.usecases.alignments import NAMES, PROBES
from service.usecases.comparisons import Compared
from service.usecases.graph_search import SMALL_GRAPH
from service.usecases.runs import get_run_record
from service.web.legend import MEANINGS
from service.web.overview import draw_thumbnail
from service.web.pages.differences import show_differences
from service.web.pages.error_views import show_error_map, show_histogram
from service.web.pages.findings import brief, least_tolerance, show_causes, tolerance_words, verdict
from service.web.pages.page import page, see
from service.web.pages.pairs import show_pairs
from service.web.pages.pictures import inline_minimap, inline_picture, view_of
from service.web.pages.runs import refused
from service.web.subjects import comparison_subject

_NODES_BESIDE = 9  # of a picture that stands beside the causes
_CAUSES = 12
_LISTED, _NAMES = 25, 20  # comparisons of a list, and names or sentences that are told


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of the two runs, with its graph."""

    record: RunRecord
    graph: GraphRecord

    @property
    def head(self) -> str:
        """What the column of its figures is called."""
        return self.record.label or self.record.recorded_by or ""

    @property
    def thumbnail(self) -> Markup:
        """The graph at a glance, unless it is large."""
        is_small = self.graph.node_count <= SMALL_GRAPH
        return Markup(draw_thumbnail(context().graph(self.graph.digest)) if is_small else "")

    @property
    def title(self) -> str:
        """What a sentence calls it."""
        by = f"the figures of {self.record.recorded_by}" if self.record.recorded_by else f"a run of {self.graph.name}"
        return f"“{self.record.label}”" if self.record.label else by


@page("GET", "/comparisons")
def list_comparisons() -> str:
    """List the comparisons, newest first"""
    run = request.args.get("run") or None
    found = usecases.list_comparisons(context(), run=run, after=request.args.get("after"), limit=_LISTED + 1)
    shown = [(record, brief(record.counts), *_sides(record)) for record in found[:_LISTED]]
    after = found[_LISTED - 1].id if len(found) > _LISTED else None
    return render_template("comparisons.html", section="Comparisons", comparisons=shown, after=after, run=run)


@page("POST", "/comparisons")
def create_comparison() -> AnyResponse:
    """Compare a run with another, of which the one that is right is the baseline"""
    form = request.form
    own, other = form.get("run", ""), form.get("id", "").strip() or form.get("other", "")
    baseline, candidate = (other, own) if form.get("right") == "other" else (own, other)
    try:
        tolerance, align = form.get("tolerance") or None, PROBES if form.get("align") == PROBES else NAMES
        compared, _ = usecases.create_comparison(
            context(), baseline, candidate, tolerance=tolerance, align=align, names={}
        )
    except GradbookError as error:
        return refused(own, error)
    return see("get_comparison", comparison_id=compared.record.id)


@page("GET", "/comparisons/<comparison_id>")
def get_comparison(comparison_id: str) -> str:
    """Show a comparison"""
    compared, asked = usecases.get_comparison(context(), comparison_id), request.args.to_dict()
    record, found = compared.record, compared.found
    baseline, candidate = _sides(record)
    causes = show_causes(found)

    def link(**changes: Any) -> str:
        return url_for("pages.get_comparison", comparison_id=comparison_id, **{**asked, **changes})

    return render_template(
        "comparison.html",
        section="Comparisons",
        record=record,
        comparison_id=record.id,
        found=found,
        title=verdict(record.counts, causes),
        baseline=baseline,
        candidate=candidate,
        heads=_heads(baseline, candidate),
        tolerance=tolerance_words(record.tolerance),
        least=least_tolerance(found),
        causes=causes[:_CAUSES],
        more_causes=len(causes[_CAUSES:]),
        said=summary(found),
        two_graphs=baseline.graph.id != candidate.graph.id,
        compensated=_compensated(found),
        missing=_missing(found),
        **show_pairs(compared),
        link=link,
        **draw_comparison(compared, asked.get("node")),
        **show_differences(compared, asked),
        **show_histogram(found),
        **show_error_map(found, asked.get("map")),
    )


def _sides(record: ComparisonRecord) -> tuple[ComparedRun, ComparedRun]:
    runs = (get_run_record(context(), each) for each in (record.baseline_id, record.candidate_id))
    baseline, candidate = (ComparedRun(run, graphs.get_graph(context(), run.graph_id)) for run in runs)
    return baseline, candidate


def _heads(baseline: ComparedRun, candidate: ComparedRun) -> tuple[str, str]:
    """What the columns of both are called: by the runs' own names, if they have any."""
    heads = baseline.head, candidate.head
    return heads if all(heads) and heads[0] != heads[1] else ("baseline", "candidate")


def _compensated(found: Comparison) -> list[Sentence]:
    return [compensated_sentence(found, *place) for place in islice(found.places(Verdict.COMPENSATED), _NAMES)]


def _missing(found: Comparison) -> list[tuple[str, str, str]]:
    """The first figures that the candidate lacks: which of which node, and how."""
    nodes = found.candidate.graph.nodes
    return [
        ("value" if phase.name == "forward" else "gradient", nodes[position].name, how)
        for phase, position, how in islice(found.missing, _NAMES)
    ]


def draw_comparison(compared: Compared, node: str | None) -> dict[str, Any]:
    """Both runs in one picture, with what its marks mean; of a large graph what lies around the first difference."""
    found, first = compared.found, first_difference(compared.found)
    graph, backward = found.candidate.graph, found.candidate.backward
    view = view_of(graph, node, backward.output if backward else None)
    if view.focus is not None and view.focus != node and first is not None:
        view = view_of(graph, graph.nodes[first[1]].name)
    subject = comparison_subject(found, compared.record.id, view.positions)
    verdicts = {each.verdict for each in subject.differences.values()}
    return {
        "picture": inline_picture(subject, view, "node"),
        "marks": [(each, meaning) for each, meaning in MEANINGS.items() if each in verdicts],
        "ringed": first is not None and first[1] in view.positions,
        "left_out": view.sentence,
        "minimap": inline_minimap(graph, view),
        "spans": len(view.positions) > _NODES_BESIDE,
    }
