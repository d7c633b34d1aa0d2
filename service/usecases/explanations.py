"""Explain a stored run: how each figure was computed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.core.derivatives.gradient_graph import write_formula
from service.core.errors import Fault, InvalidRequest, LimitExceeded, unknown_names
from service.core.execution.run import Run
from service.core.execution.weights import weigh_run
from service.core.explanation.article import About, Article, Blank, choose_blanks, without_blanks
from service.core.explanation.derivation import MOST_INPUTS, write_answers, write_article
from service.core.explanation.paths import Paths, find_paths
from service.core.explanation.steps import (
    BackwardStep,
    Step,
    count_contributions,
    count_steps,
    explain,
    explain_node,
    nodes_explaining,
)
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.symbolic.equation import Formula
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.runs import StoredRun, admit_reading, find_position, get_run, get_run_record, read_figures
from service.usecases.weighing import CONTRIBUTION, FORMULA_NODE, NODE_OF_PATHS, STEP

_BLANKS = {"values": ("value",), "gradients": ("gradient",), "all": ("value", "gradient")}
_LONGEST_FUNCTION = 1000  # characters of a function that an article writes as one formula
_FACTORS_OF_PATHS = 100  # about as many local gradients are written out in the paths from one input
# A page of steps ends after this many contributions: one node may have all others as consumers.
_CONTRIBUTIONS_OF_A_PAGE = 2000


def list_steps(
    context: Context, run_id: str, *, node: str | None, start: int, limit: int
) -> tuple[Iterator[Step], int]:
    """List the steps of a run from step `start`, each computed when it is taken, and the number of all its steps.

    With `node`, list the steps of that node only. Raises NotFound.
    """
    if node is not None:
        around = _run_around(context, run_id, node)
        context.admit(_weigh(around, 2, len(around.graph.consumers[around.graph.position[node]])))
        steps = list(explain_node(around, node))
        return iter(steps), len(steps)
    run = get_run(context, run_id).figures
    count = count_steps(run)
    listed = max(0, min(limit, count - start))
    context.admit(_weigh(run, listed, count_contributions(run, start, start + listed)))
    return _page(explain(run, start, start + limit)), count


def list_paths(context: Context, run_id: str, *, node: str, limit: int) -> tuple[StoredRun, Paths]:
    """Read a run and find its `limit` largest paths from a node to the output; raises NotFound and as `find_paths`."""
    run = get_run(context, run_id)
    find_position(context, run.record, node)
    context.admit(STEP * limit + NODE_OF_PATHS * len(run.graph))
    return run, find_paths(run.figures, run.record.output, node, limit)


@dataclass(frozen=True, slots=True)
class WrittenArticle:
    """An article of a run; `drawn` are the figures that its picture shows."""

    run: StoredRun
    article: Article
    drawn: Run


def get_article(
    context: Context,
    run_id: str,
    *,
    blank: str | None = None,
    nodes: Sequence[str] | None = None,
    answers: bool = False,
) -> WrittenArticle:
    """Write the derivation of a run as an article; as a worksheet without some figures; or the answers to it.

    `blank` is "values", "gradients" or "all", the kinds of figures left blank, `nodes` the nodes whose figures they
    are, by default all. Raises NotFound, LimitExceeded; InvalidRequest where no figure would be left blank.
    """
    record, most = get_run_record(context, run_id), context.limits.page
    graph = context.graph(record.graph_digest)
    if len(graph) > most:
        detail = (
            f"an article explains at most {most} nodes (the limit page); this graph has {len(graph)}. "
            f"GET /v1/runs/{run_id}/steps explains them page by page"
        )
        raise LimitExceeded("page", most, len(graph), detail)
    faults = [Fault(("nodes",), detail) for _, detail in unknown_names(nodes or (), graph.position, "no node")]
    if faults:
        raise InvalidRequest(faults)
    stored = get_run(context, record.id)
    run = stored.figures
    context.admit(_weigh_article(run))
    blanks: list[Blank] = []
    if blank is not None or nodes is not None or answers:
        blanks = choose_blanks(run, _BLANKS[blank or "all"], None if nodes is None else set(nodes))
        if not blanks:
            raise InvalidRequest([Fault(("blank",), "the run has no such figures to leave blank")])
    write = write_answers if answers else write_article
    return WrittenArticle(stored, write(run, _about(context, stored), blanks), without_blanks(run, blanks))


def _about(context: Context, stored: StoredRun) -> About:
    record, of = stored.record, get_graph(context, stored.record.graph_id)
    by = record.recorded_by or "The run"
    label = f" “{record.label}”" if record.label else ""
    source = f", recorded by {by}" if record.source == "recorded" else ""
    output = record.output or (stored.graph.outputs[0] if len(stored.graph.outputs) == 1 else None)
    return About(
        f"Run{label} of the graph {of.name}, version {of.version}{source}.",
        by,
        None if output is None else _function(stored.graph, output),
        frozenset(stored.graph.nodes[position].name for position in record.nondifferentiable),
        record.convention,
    )


def _function(graph: Graph, output: str) -> Formula | None:
    """The output as one formula of the inputs, None if it is too long to read."""
    try:
        return write_formula(graph, output, None, _LONGEST_FUNCTION).equation
    except (LimitExceeded, InvalidRequest):
        return None


def _weigh_article(run: Run) -> Weight:
    """Of all steps of a run, the whole function as a formula, and the paths from each input."""
    count, expanded = count_steps(run), min(len(run.graph.inputs), MOST_INPUTS)
    contributions = count_contributions(run, 0, count)
    written = FORMULA_NODE * (len(run.graph) + expanded * min(contributions, _FACTORS_OF_PATHS))
    return _weigh(run, count, contributions) + written + NODE_OF_PATHS.times(len(run.graph) * expanded)


def _weigh(run: Run, steps: int, contributions: int) -> Weight:
    """Of so many steps of a run, which replay its figures."""
    listed = CONTRIBUTION * min(contributions, _CONTRIBUTIONS_OF_A_PAGE)
    return STEP * steps + listed + weigh_run(run.graph, run.values.shapes)


def _run_around(context: Context, run_id: str, node: str) -> Run:
    """Read a run with the figures that explain one node, or with all of a recorded run, which may lack some of them."""
    record = get_run_record(context, run_id)
    find_position(context, record, node)
    if record.source == "recorded":
        return get_run(context, record.id).figures
    admit_reading(context, record.id)
    return read_figures(context, record, sorted(nodes_explaining(context.graph(record.graph_digest), node))).figures


def _page(steps: Iterable[Step]) -> Iterator[Step]:
    room = _CONTRIBUTIONS_OF_A_PAGE
    for step in steps:
        yield step
        room -= len(step.contributions) if isinstance(step, BackwardStep) else 0
        if room <= 0:
            break
