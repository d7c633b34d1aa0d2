"""What is answered of comparisons, as JSON documents."""

from collections.abc import Iterator, Mapping, Set
from itertools import islice
from typing import Any

from service.api.alignment_documents import alignment_document
from service.api.http.paging import fitting, next_cursor
from service.api.numbers import write_array, write_number
from service.api.rounding_documents import amplifier_document
from service.core.comparison.causes import Cause, find_causes
from service.core.comparison.error_measures import minimum_tolerance
from service.core.comparison.grown_rounding import GrownRounding, grown_rounding
from service.core.comparison.listing import (
    ExplainedFigure,
    JudgedFigure,
    explained_first_difference,
    explained_origins,
    judged_figures,
    summary,
)
from service.core.comparison.sentences import compensated_sentence
from service.core.comparison.verdicts import Comparison, Verdict
from service.core.figures.figures import IntArray
from service.core.symbolic.phrases import Sentence
from service.storage.comparisons import ComparisonRecord
from service.usecases.alignments import PROBES
from service.usecases.comparisons import Compared
from service.usecases.run_ends import if_small


def comparison_summary(record: ComparisonRecord) -> dict[str, Any]:
    """A comparison without its figures."""
    given = record.tolerance
    return {
        "id": record.id or None,
        "baseline": record.baseline_id or None,
        "candidate": record.candidate_id or None,
        "verdict": record.verdict,
        "tolerance": given if isinstance(given, str) else {name: float(bound) for name, bound in given.items()},
        "names": record.names,
        "align": record.align,
        "counts": record.counts,
        "created_at": record.created_at.isoformat(),
    }


def comparison_document(compared: Compared, numbers: IntArray, most: int) -> dict[str, Any]:
    """A comparison with the first figures of those listed, as of every list at most `most`; all of one that is not
    kept."""
    record, found = compared.record, compared.found
    listed: dict[str, Any] = {"nodes": comparison_node_documents(compared, numbers), "next": None}
    if record.id:
        nodes = fitting(comparison_node_documents(compared, numbers[:most]))
        listed = {"nodes": nodes, "next": next_cursor(len(nodes), len(numbers))}
    first = explained_first_difference(found)
    judged = {phase.name: int((phase.verdicts != Verdict.NOT_COMPARED).sum()) for phase in found.phases}
    return {
        **comparison_summary(record),
        "arose": found.arose,
        "sentence": summary(found),
        **({"alignment": _alignment(found, most)} if record.align == PROBES else {}),
        "compared": {"values": judged.get("forward", 0), "gradients": judged.get("backward", 0)},
        "only_in_baseline": found.only_in_baseline[:most],
        "only_in_candidate": found.only_in_candidate[:most],
        "first_difference": first and _finding(found, first),
        **({"rounding": _rounding(found, grown)} if (grown := grown_rounding(found)) else {}),
        "origins": finding_documents(found, most),
        "causes": [_cause(found, cause) for cause in find_causes(found)],
        "inherited": _places(found, Verdict.INHERITED, most),
        "compensated": [
            {**place, **_sentence(compensated_sentence(found, *where))}
            for place, where in zip(
                _places(found, Verdict.COMPENSATED, most), found.places(Verdict.COMPENSATED), strict=False
            )
        ],
        "missing": [
            {"phase": phase.name, "node": found.candidate.graph.nodes[position].name, "given": how}
            for phase, position, how in islice(found.missing, most)
        ],
        "minimum_tolerance": minimum_tolerance(found),
        **listed,
    }


def _alignment(found: Comparison, most: int) -> dict[str, Any]:
    return alignment_document(found.baseline, found.candidate.graph, found.alignment, most)


def comparison_node_documents(compared: Compared, numbers: IntArray) -> Iterator[dict[str, Any]]:
    """The figures of a list, numbered as `list_figures` does."""
    rounded = {phase: frozenset(names) for phase, names in compared.record.rounded.items()}
    for figure in judged_figures(compared.found, numbers):
        yield _node_document(compared.found, figure, rounded)


def _node_document(found: Comparison, figure: JudgedFigure, rounded: Mapping[str, Set[str]]) -> dict[str, Any]:
    phase, position = figure.phase, figure.position
    document: dict[str, Any] = {
        "name": found.candidate.graph.nodes[position].name,
        "phase": phase.name,
        "baseline": write_array(if_small(phase.right(position))),
        "candidate": write_array(if_small(phase.given(position))),
        "expected": write_array(if_small(phase.due(position))),
        "absolute_error": write_number(figure.absolute_error),
        "relative_error": write_number(figure.relative_error),
        "ulps": figure.ulps,
        "verdict": figure.verdict.name.lower(),
    }
    if (other := found.other_name(position)) is not None:
        document["baseline_name"] = other
    if document["name"] in rounded.get(phase.name, ()):
        document["rounded"] = True
    if figure.worst is not None:
        document["worst"] = figure.worst
    if figure.verdict == Verdict.CONVENTION:
        document["conventions"] = found.conventions[position]
    return document


def finding_documents(found: Comparison, most: int) -> list[dict[str, Any]]:
    """The first origins, with what explains them."""
    return [_finding(found, origin) for origin in explained_origins(found)[:most]]


def _finding(found: Comparison, figure: ExplainedFigure) -> dict[str, Any]:
    return {
        "phase": figure.phase.name,
        "node": found.candidate.graph.nodes[figure.position].name,
        **_sentence(figure.sentence),
        "hypotheses": [
            {
                "name": hypothesis.name,
                **_sentence(hypothesis.sentence),
                "error": None if hypothesis.error is None else write_number(hypothesis.error),
            }
            for hypothesis in figure.hypotheses
        ],
    }


def _rounding(found: Comparison, grown: GrownRounding) -> dict[str, Any]:
    graph = found.candidate.graph
    return {
        "phase": grown.phase.name,
        "node": graph.nodes[grown.position].name,
        "dtype": grown.dtype,
        **({"worst": grown.index} if grown.index else {}),
        "likely": grown.likely,
        "greatest": grown.greatest,
        "seen": grown.seen,
        "amplifier": None if grown.errors is None else amplifier_document(graph, grown.errors),
        "sentence": grown.sentence,
    }


def _cause(found: Comparison, cause: Cause) -> dict[str, Any]:
    nodes = found.candidate.graph.nodes
    return {
        **_sentence(cause.sentence),
        "explains": [{"phase": phase.name, "node": nodes[position].name} for phase, position in cause.explains],
    }


def _sentence(sentence: Sentence) -> dict[str, str]:
    return {"sentence": sentence, "sentence_mathml": sentence.mathml}


def _places(found: Comparison, verdict: Verdict, most: int) -> list[dict[str, Any]]:
    nodes = found.candidate.graph.nodes
    return [
        {"phase": phase.name, "node": nodes[position].name} for phase, position in islice(found.places(verdict), most)
    ]
