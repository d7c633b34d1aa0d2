"""Explaining a kept run: how each of its figures came about."""

from collections.abc import Iterable

from service.core.errors import NotFound
from service.core.explanation.paths import Paths, find_paths
from service.core.explanation.run_view import Passes
from service.core.explanation.steps import BackwardStep, Step, count_steps, explain, explain_node
from service.usecases.context import Context
from service.usecases.runs import Run, get_run

# Contributions after which a page of steps ends early: one node may feed all others.
_CONTRIBUTIONS_OF_A_PAGE = 2000


def list_steps(
    context: Context, run_id: str, *, node: str | None, start: int, limit: int
) -> tuple[list[Step], int | None]:
    """Steps of a run from position `start`, and the position after them, None where there are no more.

    With `node`, the steps of that node only. Raises NotFound.
    """
    passes = _passes(get_run(context, run_id))
    if node is not None:
        if node not in passes.graph.position:
            raise NotFound(f"the run {run_id} has no node {node!r}")
        return list(explain_node(passes, node)), None
    page = _page(explain(passes, start, start + limit))
    end = start + len(page)
    return page, end if end < count_steps(passes) else None


def list_paths(context: Context, run_id: str, *, node: str, limit: int) -> tuple[Passes, Paths]:
    """A run, and its `limit` largest paths from a node to the output; raises NotFound and as `find_paths`."""
    passes = _passes(get_run(context, run_id))
    if node not in passes.graph.position:
        raise NotFound(f"the run {run_id} has no node {node!r}")
    return passes, find_paths(passes, node, limit)


def _page(steps: Iterable[Step]) -> list[Step]:
    page, room = [], _CONTRIBUTIONS_OF_A_PAGE
    for step in steps:
        page.append(step)
        room -= len(step.contributions) if isinstance(step, BackwardStep) else 0
        if room <= 0:
            break
    return page


def _passes(run: Run) -> Passes:
    return Passes(run.graph, run.values, run.gradients, run.record.output, run.record.seed)
