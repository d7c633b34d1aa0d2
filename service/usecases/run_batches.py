"""Many runs of one graph, made together: all of them are stored, or none."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeVar

from sqlalchemy import Connection

from service.core.errors import Fault, InvalidInputs
from service.core.execution.outcomes import run_at, run_at_all
from service.core.rulebook.operation import MINIMUM_NORM
from service.storage import runs as storage
from service.storage.identifiers import ids_from, new_ids
from service.storage.records import NewRun, RunEnds, RunRecord
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, made_before, write_once
from service.usecases.run_ends import LARGEST_LISTED
from service.usecases.runs import (
    Ready,
    RunPlan,
    admit_one_sided,
    as_run,
    ends,
    fit_run,
    list_ends,
    plan_runs,
    weigh,
)
from service.usecases.tensors import Given
from service.usecases.weighing import JSON, RUN_OF_MANY, WholeAnswer

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class AskedRun:
    """The inputs of one of the runs, and what it is found by."""

    inputs: Mapping[str, Given]
    label: str | None
    tags: Mapping[str, str]


def create_runs(
    context: Context,
    graph_id: str,
    runs: Sequence[AskedRun],
    *,
    backward: bool = True,
    output: str | None = None,
    seed: Given | None = None,
    convention: str = MINIMUM_NORM,
    key: IdempotencyKey | None = None,
) -> list[tuple[RunRecord, RunEnds]]:
    """Make runs of a stored graph, each as `runs.create_run` does, and store all of them or none.

    Returns them in the order of `runs`, by which their ids sort too. Raises as `runs.create_run`; InvalidInputs has the
    faults of all, those of the k-th at `runs/k`.
    """
    stored = get_graph(context, graph_id)
    with context.database.read() as connection:
        known = made_before(connection, key)
    if known:
        return _get_runs(context, known.resource_id, len(runs))
    plan = plan_runs(context, stored, backward=backward, output=output, seed=seed, convention=convention)
    ready = for_each(runs, lambda run: fit_run(context, plan, run.inputs))
    _admit(context, plan, ready)
    fitted = [each.fitted for each in ready]
    outcomes = run_at_all(fitted, plan.differentiated, plan.seed)
    if outcomes is None:
        outcomes = for_each(fitted, lambda each: run_at(each, plan.differentiated, plan.seed))
    ids = new_ids(len(runs))
    made = [
        as_run(plan, each, outcome, identifier, asked.label, asked.tags)
        for each, outcome, identifier, asked in zip(ready, outcomes, ids, runs, strict=True)
    ]
    for run in made:
        admit_one_sided(context, plan.graph, run.values, run.record.nondifferentiable)
    shown = [run.ends() for run in made]
    new = [NewRun(run.record, run.values, run.gradients, ends) for run, ends in zip(made, shown, strict=True)]

    def make(connection: Connection) -> tuple[str, str, bool]:
        storage.insert_runs(connection, new)
        return ids[0], ids[0], True

    kept, _ = write_once(context.database, key, make, lambda connection, identifier: identifier)
    if kept != ids[0]:
        return _get_runs(context, kept, len(runs))
    return [(run.record, ends) for run, ends in zip(made, shown, strict=True)]


def _admit(context: Context, plan: RunPlan, ready: Sequence[Ready]) -> None:
    """Return if all the passes may be made here, and what is found be answered, tensors that are too large for a list
    as null; raises as `Context.admit`."""
    shown, weight, numbers = ends(plan.graph), RUN_OF_MANY * len(ready), 0
    for shapes, count in Counter(each.fitted.shapes for each in ready).items():
        sizes = [1 if shapes is None else prod(shapes[position]) for position in shown]
        numbers += count * (1 + plan.differentiates) * sum(size for size in sizes if size <= LARGEST_LISTED)
        weight += weigh(plan, shapes) * count
    context.admit(weight, WholeAnswer(JSON, numbers, len(ready) * len(plan.graph.inputs), other_form=False))


def _get_runs(context: Context, first: str, count: int) -> list[tuple[RunRecord, RunEnds]]:
    """The runs that were made together, by the id of the first."""
    with context.database.read() as connection:
        records = storage.get_runs(connection, ids_from(first, count))
    return [*zip(records, list_ends(context, records), strict=True)]


def for_each(items: Sequence[Item], do: Callable[[Item], Result]) -> list[Result]:
    """What is done for each of the runs; raises InvalidInputs with the faults of all."""
    done, faults = [], []
    for number, item in enumerate(items):
        try:
            done.append(do(item))
        except InvalidInputs as error:
            faults += [_of_run(number, fault) for fault in error.faults]
    if faults:
        raise InvalidInputs(list(dict.fromkeys(faults)))
    return done


def _of_run(number: int, fault: Fault) -> Fault:
    """The fault of one of the runs; the seed is that of all."""
    return fault if fault.location[0] == "seed" else Fault(("runs", number, *fault.location), fault.detail)
