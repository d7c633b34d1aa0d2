"""Origins of stored comparisons alone: a script that shows one, and its smallest graph, stored with its runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from types import MappingProxyType

from sqlalchemy import Connection

from service.core.comparison.listing import ExplainedFigure, explained_origins
from service.core.comparison.weights import weigh_comparison, weigh_explanation
from service.core.errors import Conflict, LimitExceeded, NotFound
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray, pack
from service.core.graph.graph import Graph
from service.core.reproduction.script import Script, write_script
from service.core.reproduction.smallest import Smallest, find_smallest
from service.storage import comparisons as storage
from service.storage.identifiers import new_id
from service.storage.records import RunRecord
from service.usecases.comparisons import Compared, compare_runs, get_comparison
from service.usecases.context import Context
from service.usecases.graphs import insert_version, new_record
from service.usecases.idempotency import IdempotencyKey, write_once
from service.usecases.recordings import as_recorded, insert_whole_run
from service.usecases.runs import Ready, RunPlan, admit_reading, compute_run, fit_to, get_run, get_run_record, weigh
from service.usecases.weighing import BUILT_NODE, DIFFERENTIATED_NODE

_NO_TAGS = MappingProxyType[str, str]({})
# A reproduction is a graph of the node's consumers and their operands, and of an Input and two operations for each.
_NODES_OF_ONE = 4


@dataclass(frozen=True, slots=True)
class Reproduction:
    """An origin alone, with what is said of it and the run that it is in."""

    compared: Compared
    candidate: RunRecord
    origin: ExplainedFigure
    smallest: Smallest

    @property
    def by(self) -> str:
        """Whose figure it is."""
        record = self.candidate
        return record.recorded_by or f"a run of {record.graph_name}@{record.graph_version}"

    @property
    def source(self) -> str:
        """Where it comes from, in a sentence."""
        record, comparison = self.candidate, self.compared.record.id
        at = "" if self.smallest.index is None else f" at {list(self.smallest.index)}"
        what = "value" if self.smallest.seed is None else "gradient"
        return (
            f"The {what} of {self.smallest.node}{at} in {record.graph_name}@{record.graph_version}, {record.dtype}, by "
            f"{self.by}. Gradbook {version('gradbook')}, comparison {comparison}."
        )


def get_reproduction(
    context: Context, comparison_id: str, language: str, *, phase: str | None = None, node: str | None = None
) -> tuple[Reproduction, Script]:
    """Write a script that shows an origin in a language, and what it shows; by default the first origin.

    Raises NotFound where that figure is no origin, Conflict where it does not follow from the run's others,
    InvalidRequest with a fault for each operation that the language cannot say, LimitExceeded.
    """
    found = _reproduce(context, comparison_id, phase, node)
    small = found.smallest
    context.admit(DIFFERENTIATED_NODE * (_NODES_OF_ONE * len(small.graph)))
    script = write_script(small, language, [found.origin.sentence, found.source])
    most, nbytes = context.limits.answer_bytes, len(script.text) + sum(each.nbytes for each in script.figures.values())
    if nbytes > most:
        detail = f"an answer has at most {most} bytes; this script and its figures have {nbytes}"
        raise LimitExceeded("answer_bytes", most, nbytes, detail)
    return found, script


def create_reproduction(
    context: Context, comparison_id: str, phase: str, node: str, *, key: IdempotencyKey | None = None
) -> tuple[Compared, bool]:
    """Store the smallest graph around an origin with a run of it, one that records the figure, and the comparison of
    the two. Returns the comparison and whether it is new.

    Raises as `get_reproduction`.
    """
    found = _reproduce(context, comparison_id, phase, node)
    small = found.smallest
    graph, is_stored = _as_stored(context, small.graph)
    context.admit(BUILT_NODE * len(graph))
    record = new_record(f"reproduction of {node}"[: context.limits.name_length], graph, None, None, _NO_TAGS)
    seed: FloatArray | float = 1.0 if small.seed is None else small.seed
    plan = RunPlan(record, graph, small.output, small.seed is not None, seed, graph.convention)
    ready = Ready(fit_to(context, graph, small.inputs), small.inputs, {})
    context.admit(weigh(plan, ready.fitted.shapes))
    ours = compute_run(plan, ready, new_id(), label=None, tags=_NO_TAGS)

    def laid_out(figures: Mapping[str, FloatArray]) -> Figures:
        return pack([figures.get(each.name) for each in graph.nodes])

    recorded = {small.node: small.recorded}
    theirs = as_recorded(
        record,
        graph,
        laid_out(small.inputs if plan.differentiates else {**small.inputs, **recorded}),
        laid_out(recorded) if plan.differentiates else None,
        by=found.by,
        dtype=found.candidate.dtype,
        output=ours.record.output,
        seed=ours.record.seed,
        label=None,
        tags=_NO_TAGS,
        tensors={},
    )
    compared = compare_runs(context, ours, theirs, found.compared.record.tolerance, {})

    def make(connection: Connection) -> tuple[str, str, bool]:
        stored, is_new = insert_version(connection, record, graph)
        if not is_new and not is_stored:  # by somebody else, maybe with its nodes in another order
            raise Conflict("this graph was stored meanwhile; ask again")
        for run in (ours, theirs):
            placed = replace(run.record, graph_id=stored.id, graph_version=stored.version)
            insert_whole_run(connection, replace(run, record=placed))
        storage.insert_comparison(connection, compared.record)
        return compared.record.id, compared.record.id, True

    made, new = write_once(context.database, key, make, lambda connection, identifier: identifier)
    return get_comparison(context, made), new


def _reproduce(context: Context, comparison_id: str, phase: str | None, node: str | None) -> Reproduction:
    compared = get_comparison(context, comparison_id)
    found, nodes = compared.found, compared.found.candidate.graph.nodes
    context.admit(weigh_explanation(found))
    for origin in explained_origins(found):
        if phase in (None, origin.phase.name) and node in (None, nodes[origin.position].name):
            candidate = get_run_record(context, compared.record.candidate_id)
            small = find_smallest(found, origin.phase, origin.position, partial(_baseline, context, compared))
            return Reproduction(compared, candidate, origin, small)
    raise NotFound(f"the comparison has no origin{f' {node!r}' if node else ''}{f' {phase}' if phase else ''}")


def _baseline(context: Context, compared: Compared) -> Run:
    """The baseline's figures, to be compared with themselves."""
    admit_reading(context, compared.record.baseline_id)
    run = get_run(context, compared.record.baseline_id)
    figures = replace(run.figures, graph=run.graph.with_convention(run.record.convention))
    context.admit(weigh_comparison(figures, figures))
    return figures


def _as_stored(context: Context, graph: Graph) -> tuple[Graph, bool]:
    """The graph with its nodes in the order in which they are stored, and whether they are."""
    context.forget_changed()
    try:
        return context.graph(graph.digest).with_convention(graph.convention), True
    except NotFound:
        return graph, False
