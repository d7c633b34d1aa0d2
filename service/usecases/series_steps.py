"""Add steps to a series: judge each, and keep what the series retains."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from service.core.comparison.weights import weigh_comparison
from service.core.errors import Conflict, Fault, InvalidInputs, InvalidRequest, LimitExceeded, unknown_names
from service.core.execution.outcomes import run_at
from service.core.execution.passes import Fitted, fit_again
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray, Shape, blank_figures, pack
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.rulebook.operation import MINIMUM_NORM
from service.core.series.steps import broken_carries, judge_step, origins_in, trace
from service.storage import comparisons as comparison_storage
from service.storage import series as storage
from service.storage.identifiers import new_id
from service.storage.records import GraphRecord
from service.storage.series import SeriesRecord, StepRecord
from service.usecases import references
from service.usecases.comparisons import Compared, compare_runs, read_tolerance
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, made_before, write_once
from service.usecases.recordings import as_recorded, check_shapes, insert_whole_run, weigh_recording
from service.usecases.runs import Ready, RunPlan, StoredRun, as_run, fit_to, plan_runs, weigh
from service.usecases.series import get_series
from service.usecases.tensors import Given, load_arrays, named_tensors, tensors_of, with_weights

_LAST = 10**15  # of the numbers of steps
_MOST_ORIGINS = 100  # whose names are kept of a step


def add_steps(
    context: Context,
    series_id: str,
    values: Mapping[str, Given],
    *,
    first: int | None = None,
    skipped: int = 0,
    key: IdempotencyKey | None = None,
) -> SeriesRecord:
    """Judge the next steps of a series and keep what it retains of them.

    `values` has for each recorded node, Inputs among them, its values in these steps, stacked along axis 0; an Input
    that is left out has the graph's weight. `first` is the number of the first of these steps: by default the one that
    comes next, and 1 in a series without any; `skipped` steps before it were not recorded. Raises NotFound,
    InvalidInputs, InvalidRequest, LimitExceeded, and Conflict where the number is another than comes next.
    """
    with context.database.read() as connection:
        record = storage.get_series(connection, references.series_id(connection, series_id))
        known = made_before(connection, key)
        last = storage.list_series_steps(connection, record.id, start=record.last_step or 0, limit=1)
    if known:
        return get_series(context, known.resource_id)
    steps = _read(context, record, _first(record, first, skipped), values)
    judged = _judge(context, record, steps, last[0] if last and not skipped else None)
    grown = _grown(record, judged)

    def make(connection: Connection) -> tuple[SeriesRecord, str, bool]:
        for run in judged.whole:
            insert_whole_run(connection, run)
        if judged.compared is not None:
            comparison_storage.insert_comparison(connection, judged.compared.record)
        storage.append_steps(connection, grown, judged.steps)
        if record.retain == "auto" and record.last_step is not None and grown.last_step is not None:
            reach = (context.limits.series_whole - 1) * record.every
            storage.let_go(connection, grown, record.last_step - reach, grown.last_step - reach)
        return grown, grown.id, True

    return write_once(context.database, key, make, storage.get_series)[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """Steps that fit the graph.

    `stacked` has the values of the recorded nodes by name, in the graph's order, with an axis more, which counts the
    steps; `weights` are those of the other Inputs, of which `tensors` has the digests. `fitted` are the Inputs of the
    first step, `shapes` those of its recorded values and of what follows from them.
    """

    stored: GraphRecord
    plan: RunPlan
    first: int
    stacked: Mapping[str, FloatArray]
    weights: Mapping[str, FloatArray]
    tensors: Mapping[str, str]
    fitted: Fitted
    shapes: Mapping[str, Shape]

    def __len__(self) -> int:
        return len(next(iter(self.stacked.values())))

    def parted(self, index: int) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """The values of a step: of all Inputs, and of the other recorded nodes."""
        return _parted(self.plan.graph, self.stacked, self.weights, index)


def _first(record: SeriesRecord, first: int | None, skipped: int) -> int:
    """The number of the first of the steps that are added; raises Conflict where others come next."""
    follows = 1 if record.next_step is None else record.next_step
    follows += skipped * record.every
    if follows > _LAST:
        raise InvalidRequest([Fault(("skipped",), f"the number of a step is at most {_LAST}")])
    if record.next_step is None:
        return follows if first is None else first
    if first not in (None, follows):
        raise Conflict(f"the next step of this series is {follows}, not {first}")
    return follows


def _read(context: Context, record: SeriesRecord, first: int, values: Mapping[str, Given]) -> _Steps:
    """Fit the steps to the graph by the first of them; raises as `add_steps`."""
    stored, limits = get_graph(context, record.graph_id), context.limits
    graph = context.graph(stored.digest)
    plan = plan_runs(context, stored, backward=False, output=None, seed=None, convention=MINIMUM_NORM)
    _check_names(record, graph, values)
    arrays = load_arrays(context, values, ("values",))
    _check_lengths(arrays)
    stacked = {node.name: arrays[node.name] for node in graph.nodes if node.name in arrays}
    left_out = with_weights(stored, {}, without=stacked)
    weights = load_arrays(context, left_out, ("values",))
    inputs, others = _parted(graph, stacked, weights, 0)
    with _at_values():
        fitted = fit_to(context, graph, inputs)
        given = {"values": others, "gradients": {}}
        shapes = check_shapes(graph, fitted.inputs, given, "recorded", limits.run_elements)
    steps = _Steps(stored, plan, first, stacked, weights, named_tensors(left_out), fitted, shapes)
    if (count := record.steps + len(steps)) > limits.series_steps:
        detail = f"a series has at most {limits.series_steps} steps (the limit series_steps)"
        raise LimitExceeded("series_steps", limits.series_steps, count, detail)
    return steps


def _parted(
    graph: Graph, stacked: Mapping[str, FloatArray], weights: Mapping[str, FloatArray], index: int
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    at, inputs = {name: array[index] for name, array in stacked.items()}, {*graph.inputs}
    given = {name: array for name, array in at.items() if name in inputs}
    return {**weights, **given}, {name: array for name, array in at.items() if name not in inputs}


def _check_names(record: SeriesRecord, graph: Graph, values: Mapping[str, Given]) -> None:
    """Raise InvalidInputs unless each step has what the series carries and, after the first, the same nodes."""
    faults = [
        Fault(("values", name), said) for name, said in unknown_names(values, graph.position, "the graph has no node")
    ]
    known = record.nodes
    if known is None:
        needed = dict.fromkeys([*record.carry, *record.carry.values()])
        faults += [
            Fault(("values",), f"the series carries {name!r}, which is missing")
            for name in needed
            if name not in values
        ]
        if not faults and not any(graph.operands[graph.position[name]] for name in values):
            faults.append(Fault(("values",), "the value of a node that is computed is expected among them"))
    else:
        faults += [
            Fault(("values",), f"the steps before have {name!r}, which is missing")
            for name in known
            if name not in values
        ]
        faults += [
            Fault(("values", name), f"the steps before have no {name!r}") for name in sorted(values.keys() - set(known))
        ]
    if faults:
        raise InvalidInputs(list(dict.fromkeys(faults)))


def _check_lengths(arrays: Mapping[str, FloatArray]) -> None:
    """Raise InvalidInputs unless axis 0 counts the same steps in all of them."""
    lengths = {name: array.shape[0] if array.ndim else None for name, array in arrays.items()}
    steps = next(iter(lengths.values()))
    faults = []
    for name, length in lengths.items():
        if length is None or not length:
            faults.append(Fault(("values", name), "values of one step or more are expected, stacked along axis 0"))
        elif steps and length != steps:
            faults.append(
                Fault(("values", name), f"{steps} steps are expected along axis 0, as beside it; it has {length}")
            )
    if faults:
        raise InvalidInputs(faults)


@contextmanager
def _at_values(step: int | None = None) -> Iterator[None]:
    """Place the faults of inputs and recorded values where the request has both."""
    try:
        yield
    except InvalidInputs as error:
        said = "" if step is None else f"step {step}: "
        raise InvalidInputs(
            [Fault(_place(fault.location), f"{said}{fault.detail}") for fault in error.faults]
        ) from None


def _place(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Of inputs/NAME, or of recorded/values/NAME."""
    return ("values", *location[2 if location[0] == "recorded" else 1 :])


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """The steps, the runs that are kept of them, and the comparison of the first with an origin, if the series had none
    before; the run that it was judged by is the last of those that are kept."""

    steps: Sequence[StepRecord]
    whole: Sequence[StoredRun]
    compared: Compared | None
    names: Sequence[str]


def _judge(context: Context, record: SeriesRecord, steps: _Steps, last: StepRecord | None) -> _Judged:
    """Judge the steps in turn; `last` is the one before them. Raises as `add_steps`."""
    graph, names, tolerance = steps.plan.graph, [*steps.stacked], read_tolerance(record.tolerance)
    kept = _kept(record, len(steps), context.limits.series_whole)
    weight = _weigh(steps, len(kept))
    context.admit(weight)
    found: list[StepRecord] = []
    whole: list[StoredRun] = []
    compared = None
    known: Mapping[str, FloatArray] = {}
    values = pack([])
    for index in range(len(steps)):
        number = steps.first + index * record.every
        inputs, others = steps.parted(index)
        known_before, values_before = known, values
        with _at_values(number):
            fitted = fit_again(steps.fitted, inputs)
            known = {**fitted.inputs, **others}
            values = pack([known.get(node.name) for node in graph.nodes])
            judged = judge_step(
                fitted,
                values,
                record.dtype,
                tolerance,
                context.limits.run_elements,
                lambda more: context.admit(weight + more),
            )
        traced, before = trace([known[name] for name in names]), found[-1] if found else last
        broken: Sequence[str] = ()
        if before is not None and record.every == 1:
            broken = broken_carries(record.carry, names, before.trace.digests, traced.digests)
        step = StepRecord(number, "same" if judged.same else "differ", origins_in(judged), broken, traced)
        is_first = bool(step.origins) and record.first_wrong is None and compared is None
        if is_first and found and not found[-1].run_id:
            whole.append(_as_run(record, steps, found[-1], known_before, values_before))
            found[-1] = replace(found[-1], run_id=whole[-1].record.id)
        if index in kept or is_first:
            run = _as_run(record, steps, step, known, values)
            whole.append(run)
            step = replace(step, run_id=run.record.id)
        if is_first:
            ours = _as_ours(record, steps, number, fitted, inputs)
            compared = compare_runs(context, ours, run, record.tolerance, {})
            whole.append(ours)
        found.append(replace(step, origins=step.origins[:_MOST_ORIGINS]))
    return _Judged(found, whole, compared, names)


def _kept(record: SeriesRecord, count: int, most: int) -> range:
    """Which of so many steps are kept whole."""
    return {"full": range(count), "norms": range(0), "auto": range(max(0, count - most), count)}[record.retain]


def _weigh(steps: _Steps, kept: int) -> Weight:
    """Of judging the steps one after the other, while they and those that are kept whole are held."""
    graph, fitted = steps.plan.graph, steps.fitted
    blank = Run(graph, blank_figures(fitted.shapes, len(graph)))
    each = weigh(steps.plan, fitted.shapes) + weigh_recording(graph, steps.shapes) + weigh_comparison(blank, blank)
    elements = sum(array.size for array in steps.stacked.values())
    return Weight(10.0 * elements, 8.0 * (elements + kept * elements / len(steps))) + each.times(len(steps))


def _tags(record: SeriesRecord, number: int) -> dict[str, str]:
    """By which the runs of a step are found."""
    return {"series": record.id, "step": str(number)}


def _as_run(
    record: SeriesRecord, steps: _Steps, step: StepRecord, known: Mapping[str, FloatArray], values: Figures
) -> StoredRun:
    """A step that is kept whole, as a recorded run."""
    graph = steps.plan.graph
    return as_recorded(
        steps.stored,
        graph,
        values,
        by=record.recorded_by,
        dtype=record.dtype,
        tags=_tags(record, step.number),
        tensors=tensors_of(graph, values, steps.tensors, known),
    )


def _as_ours(
    record: SeriesRecord, steps: _Steps, number: int, fitted: Fitted, inputs: Mapping[str, FloatArray]
) -> StoredRun:
    """What follows from the inputs of a step, as a computed run."""
    ready = Ready(fitted, inputs, steps.tensors)
    return as_run(steps.plan, ready, run_at(fitted, None), new_id(), None, _tags(record, number))


def _grown(record: SeriesRecord, judged: _Judged) -> SeriesRecord:
    """The series with the steps that are added counted."""
    steps = judged.steps
    wrong = [step.number for step in steps if step.origins]
    return replace(
        record,
        nodes=list(judged.names),
        steps=record.steps + len(steps),
        first_step=steps[0].number if record.first_step is None else record.first_step,
        last_step=steps[-1].number,
        first_wrong=next(iter(wrong), None) if record.first_wrong is None else record.first_wrong,
        wrong=record.wrong + len(wrong),
        broken=record.broken + sum(bool(step.broken) for step in steps),
        comparison_id=judged.compared.record.id if judged.compared else record.comparison_id,
        changed_at=datetime.now(UTC),
    )
