"""What pictures are drawn of: stored graphs, runs and comparisons."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.core.comparison.listing import explained_origins, judged_figures, list_figures
from service.core.comparison.verdicts import DIFFERENT, Comparison, Verdict, first_difference
from service.core.graph.graph import Graph
from service.storage.records import GraphRecord
from service.usecases.rounding import RoundingOfRun
from service.usecases.runs import StoredRun
from service.web.captions import Difference, Shares, Subject


def graph_subject(record: GraphRecord, graph: Graph) -> Subject:
    """A graph without figures."""
    return Subject(f"graph-{record.id}", f"{record.name}, version {record.version}", graph)


def run_subject(run: StoredRun, graph: GraphRecord) -> Subject:
    """A run with its figures."""
    record = run.record
    return Subject(
        f"run-{record.id}",
        f"{record.label or 'A run'} of {graph.name}, version {graph.version}",
        run.graph,
        run.figures,
        record.output,
        frozenset(record.nondifferentiable),
    )


def rounding_subject(found: RoundingOfRun, graph: GraphRecord) -> Subject:
    """A run with its figures, and the share of each node in what rounding may do."""
    shares = dict(enumerate(found.errors.shares.tolist()))
    return replace(run_subject(found.run, graph), shares=Shares(found.errors.dtype, shares))


def comparison_subject(found: Comparison, identifier: str, shown: Sequence[int] | None = None) -> Subject:
    """The candidate, with what was found about each figure that differs, of the nodes `shown` or of all."""
    candidate, first = found.candidate, first_difference(found)
    return Subject(
        f"comparison-{identifier}",
        f"Comparison: {', '.join(f'{count} {verdict}' for verdict, count in found.counts.items() if count)}",
        candidate.graph,
        candidate,
        candidate.backward.output if candidate.backward else None,
        differences=_differences(found, shown),
        implied=found.values,
        first=first and (first[0].name, first[1]),
    )


def _differences(found: Comparison, shown: Sequence[int] | None) -> dict[tuple[str, int], Difference]:
    sentences: dict[tuple[str, int], str] = {
        (origin.phase.name, origin.position): origin.sentence for origin in explained_origins(found)
    }
    for position, libraries in found.conventions.items():
        sentences["backward", position] = f"the choice of {', '.join(libraries)} where no derivative exists"
    differences = {}
    numbers = list_figures(found, (*DIFFERENT, Verdict.COMPENSATED))
    if shown is not None:
        numbers = numbers[np.isin(numbers % len(found.values), shown)]
    for figure in judged_figures(found, numbers):
        phase, position = figure.phase, figure.position
        baseline, right = phase.right(position), "the baseline has"
        if baseline is None:
            baseline, right = phase.due(position), "it should be"
        assert baseline is not None
        differences[phase.name, position] = Difference(
            figure.verdict.name.lower(),
            baseline,
            sentences.get((phase.name, position), ""),
            figure.worst,
            right,
            0.0 if figure.verdict == Verdict.COMPENSATED else figure.relative_error,
        )
    return differences
