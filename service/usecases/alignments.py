"""Pair the nodes of two stored runs by what they compute."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from service.core.alignment.alignment import Alignment
from service.core.alignment.proposing import propose_alignment
from service.core.alignment.weights import weigh_alignment
from service.core.comparison.alignment import align_by
from service.core.execution.run import Run
from service.core.figures.figures import Figures
from service.core.figures.weight import Weight
from service.usecases import references
from service.usecases.context import Context
from service.usecases.runs import StoredRun, admit_reading, get_run
from service.usecases.weighing import JSON, WholeAnswer

# What nodes are paired by.
NAMES, PROBES = ALIGNMENTS = ("names", "probes")


@dataclass(frozen=True, slots=True)
class Aligned:
    """Two runs and the pairs of their graphs' nodes."""

    baseline: Run
    candidate: Run
    alignment: Alignment


def align_runs(context: Context, baseline: str, candidate: str, *, names: Mapping[str, str]) -> Aligned:
    """Pair the nodes of two stored runs by what they compute; `names` maps some of the candidate's to the baseline's.

    Nothing is stored. Raises NotFound, LimitExceeded; InvalidRequest for unknown names and for a run that lacks the
    values of Inputs.
    """
    pair = figures_of(*read_pair(context, baseline, candidate))
    # Each pair stands in two lists.
    answer = WholeAnswer(JSON, 0, sum(2 * len(run.graph) for run in pair), other_form=False)
    return Aligned(*pair, align_by(partial(propose, context, answer=answer), *pair, names))


def propose(
    context: Context, baseline: Run, candidate: Run, names: Mapping[str, str], answer: WholeAnswer | None = None
) -> Alignment:
    """Pair the nodes of two runs by probes, where that is not too much; raises what `align_runs` raises."""
    held = Weight(0.0, held_bytes(baseline, candidate))
    context.admit(held + weigh_alignment(baseline, candidate), answer)
    return propose_alignment(baseline, candidate, names)


def read_pair(context: Context, baseline: str, candidate: str) -> tuple[StoredRun, StoredRun]:
    """Read two runs, which are held together; raises NotFound."""
    with context.database.read() as connection:
        with references.named_at("baseline"):
            right = references.run_id(connection, baseline)
        with references.named_at("candidate"):
            other = references.run_id(connection, candidate)
    admit_reading(context, right, other)
    return get_run(context, right), get_run(context, other)


def figures_of(baseline: StoredRun, candidate: StoredRun) -> tuple[Run, Run]:
    """The figures of both runs; the candidate's are judged by the baseline's convention."""
    graph = candidate.graph.with_convention(baseline.record.convention)
    return baseline.figures, replace(candidate.figures, graph=graph)


def held_bytes(*runs: Run) -> float:
    """The bytes of the runs' figures."""
    return 8.0 * sum(figures.flat.size for run in runs for figures in _figures(run))


def _figures(run: Run) -> list[Figures]:
    return [run.values, *([run.backward.gradients] if run.backward else [])]
