"""Explain a stored run: how each figure was computed."""

from collections.abc import Iterable, Iterator

from service.core.execution.run import Run
from service.core.execution.weights import weigh_run
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
from service.usecases.context import Context
from service.usecases.runs import StoredRun, admit_reading, find_position, get_run, get_run_record, read_figures
from service.usecases.weighing import CONTRIBUTION, NODE_OF_PATHS, STEP

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


def _weigh(run: Run, steps: int, contributions: int) -> Weight:
    """Of so many steps of a run, which replay its figures."""
    listed = CONTRIBUTION * min(contributions, _CONTRIBUTIONS_OF_A_PAGE)
    return STEP * steps + listed + weigh_run(run.graph, run.values.shapes)


def _run_around(context: Context, run_id: str, node: str) -> Run:
    """Read a run with the figures that explain one node, or with all of a recorded run, which may lack some of them."""
    record = get_run_record(context, run_id)
    find_position(context, record, node)
    if record.source == "recorded":
        return get_run(context, run_id).figures
    admit_reading(context, record)
    return read_figures(context, record, sorted(nodes_explaining(context.graph(record.graph_digest), node))).figures


def _page(steps: Iterable[Step]) -> Iterator[Step]:
    room = _CONTRIBUTIONS_OF_A_PAGE
    for step in steps:
        yield step
        room -= len(step.contributions) if isinstance(step, BackwardStep) else 0
        if room <= 0:
            break
