"""Explaining a kept run: how each of its figures came about."""

from collections.abc import Iterable

from service.core.execution.run import Run
from service.core.explanation.paths import Paths, find_paths
from service.core.explanation.steps import BackwardStep, Step, count_steps, explain, explain_node, nodes_explaining
from service.usecases.context import Context
from service.usecases.runs import StoredRun, find_position, get_run, get_run_record, read_figures

# Contributions after which a page of steps ends early: one node may feed all others.
_CONTRIBUTIONS_OF_A_PAGE = 2000


def list_steps(
    context: Context, run_id: str, *, node: str | None, start: int, limit: int
) -> tuple[list[Step], int | None]:
    """Steps of a run from position `start`, and the position after them, None where there are no more.

    With `node`, the steps of that node only. Raises NotFound.
    """
    if node is not None:
        return list(explain_node(_run_around(context, run_id, node), node)), None
    run = get_run(context, run_id).figures
    page = _page(explain(run, start, start + limit))
    end = start + len(page)
    return page, end if end < count_steps(run) else None


def list_paths(context: Context, run_id: str, *, node: str, limit: int) -> tuple[StoredRun, Paths]:
    """A run, and its `limit` largest paths from a node to the output; raises NotFound and as `find_paths`."""
    run = get_run(context, run_id)
    find_position(context, run.record, node)
    return run, find_paths(run.figures, run.record.output, node, limit)


def _run_around(context: Context, run_id: str, node: str) -> Run:
    """A run with the figures that explain one node; all figures of a recorded run, which may lack some of those."""
    record = get_run_record(context, run_id)
    find_position(context, record, node)
    if record.source == "recorded":
        return get_run(context, run_id).figures
    return read_figures(context, record, sorted(nodes_explaining(context.graph(record.graph_digest), node))).figures


def _page(steps: Iterable[Step]) -> list[Step]:
    page, room = [], _CONTRIBUTIONS_OF_A_PAGE
    for step in steps:
        page.append(step)
        room -= len(step.contributions) if isinstance(step, BackwardStep) else 0
        if room <= 0:
            break
    return page
