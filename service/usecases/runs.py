"""Run graphs forward and backward, store the figures and read them back."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from math import prod
from typing import Unpack

from sqlalchemy import Connection

from service.core.caches import memoize_on_argument
from service.core.derivatives.one_sided import OneSided, one_sided_derivatives
from service.core.derivatives.weights import weigh_one_sided
from service.core.errors import Conflict, NotFound, unknown_names
from service.core.execution.closed_edges import closed_operands
from service.core.execution.misshapen import set_aside_misshapen
from service.core.execution.nonfinite import first_nonfinite_gradient
from service.core.execution.outcomes import Outcome, run_at
from service.core.execution.passes import Fitted, backward_pass, fit_inputs, spread_seed
from service.core.execution.run import Backward, Run
from service.core.execution.weights import weigh_fit, weigh_forward, weigh_run
from service.core.figures.figures import Figures, FloatArray, Shape, no_figures
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph, Node
from service.core.graph.selection import choose_output, find_output
from service.core.rulebook.operation import MINIMUM_NORM
from service.storage import run_figures
from service.storage import runs as storage
from service.storage.graphs import count_nodes
from service.storage.identifiers import new_id
from service.storage.records import GraphRecord, NewRun, RunEnds, RunRecord
from service.usecases import references
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, made_before, write_once
from service.usecases.run_ends import LARGEST_LISTED, ends_in
from service.usecases.tensors import Given, load_array, load_arrays, named_tensors, tensors_of, with_weights
from service.usecases.weighing import JSON, STORED_BYTE, Form, WholeAnswer

_FEW_NODES = 1000  # whose shapes are inferred in some milliseconds


@dataclass(frozen=True)
class StoredRun:
    """A run's record and the figures of its nodes from position `start` on, all of them or a page."""

    record: RunRecord
    graph: Graph
    values: Figures
    gradients: Figures | None
    start: int = 0

    @cached_property
    def nodes(self) -> Sequence[Node]:
        """The nodes whose figures it holds."""
        return self.graph.nodes[self.start : self.start + len(self.values)]

    @property
    def figures(self) -> Run:
        """All its figures, without the record; it must hold those of all nodes."""
        record, backward = self.record, None
        if self.gradients is not None and record.output is not None and record.seed is not None:
            backward = Backward(record.output, record.seed, self.gradients)
        run = Run(self.graph, self.values, record.dtype, backward)
        return set_aside_misshapen(run) if record.source == "recorded" else run

    def ends(self, largest: int | None = LARGEST_LISTED) -> RunEnds:
        """The figures of the graph's inputs and outputs, without those of more than `largest` elements."""
        return _ends_of(self, largest)

    @property
    def new(self) -> NewRun:
        """What is inserted of it; it must hold the figures of all nodes."""
        values = self.values if self.record.has_values else None
        return NewRun(self.record, values, self.gradients, self.ends())

    def part(self, count: int) -> "StoredRun":
        """The run with the figures of the first `count` of these nodes."""
        if count >= len(self.values):
            return self
        gradients = None if self.gradients is None else self.gradients.part(0, count)
        return replace(self, values=self.values.part(0, count), gradients=gradients)


@memoize_on_argument
def _ends_of(run: StoredRun, largest: int | None) -> RunEnds:
    return ends_in(run.graph, run.values, run.gradients, run.record.tensors, largest)


def create_run(
    context: Context,
    graph_id: str,
    inputs: Mapping[str, Given],
    *,
    backward: bool = True,
    output: str | None = None,
    seed: Given | None = None,
    convention: str = MINIMUM_NORM,
    label: str | None = None,
    tags: Mapping[str, str],
    keep: bool = True,
    key: IdempotencyKey | None = None,
    whole: Form | None = None,
    ends_only: bool = False,
) -> StoredRun:
    """Evaluate a stored graph at `inputs`, forward and, unless `backward` is false, backward from one output.

    The graph's weights are the inputs that are left out.

    `seed` is the gradient of the final quantity with respect to that output; the default is ones. `convention`, one of
    CONVENTIONS, decides what is returned where no derivative exists. With `keep` false nothing is stored and the
    record's id is empty. `whole` is the form in which all its figures are answered, or those of the inputs and outputs,
    None if no more than a page is. Raises NotFound, InvalidInputs, InvalidRequest, LimitExceeded.
    """
    stored = get_graph(context, graph_id)
    if keep and key:
        with context.database.read() as connection:
            known = made_before(connection, key)
        if known:
            return get_run(context, known.resource_id, whole=whole)
    plan = plan_runs(context, stored, backward=backward, output=output, seed=seed, convention=convention)
    ready = fit_run(context, plan, inputs)
    answer = answer_of(plan.graph, ready.fitted.shapes, whole, ends_only, 1 + plan.differentiates)
    context.admit(weigh(plan, ready.fitted.shapes), answer)
    made = compute_run(plan, ready, new_id() if keep else "", label=label, tags=tags)
    listed = answer if answer and answer.form is JSON and not ends_only else None
    admit_one_sided(context, plan.graph, made.values, made.record.nondifferentiable, listed)
    if keep and key is None:
        context.database.write_together(storage.insert_runs, made.new)
    elif keep:

        def make(connection: Connection) -> tuple[RunRecord, str, bool]:
            storage.insert_runs(connection, [made.new])
            return made.record, made.record.id, True

        kept, _ = write_once(context.database, key, make, storage.get_run)
        if kept.id != made.record.id:
            return get_run(context, kept.id, whole=whole)
    return made


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Passes over a stored graph, forward and, if it `differentiates`, backward from `target`; `graph` has the
    derivatives of the convention."""

    stored: GraphRecord
    graph: Graph
    target: str | None
    differentiates: bool
    seed: FloatArray | float
    convention: str

    @property
    def differentiated(self) -> str | None:
        """The node that the backward pass starts from, None if there is to be none."""
        return self.target if self.differentiates else None


def plan_runs(
    context: Context,
    stored: GraphRecord,
    *,
    backward: bool,
    output: str | None,
    seed: Given | None,
    convention: str,
) -> RunPlan:
    """What runs of a graph have in common, at whatever inputs; raises InvalidRequest, and InvalidInputs for a seed that
    is no stored tensor."""
    graph = context.compact_graph(stored.digest).with_convention(convention)
    target = (choose_output if backward or seed is not None else find_output)(graph, output)
    start = 1.0 if seed is None else load_array(context, seed, ("seed",))
    return RunPlan(stored, graph, target, backward and target is not None, start, convention)


@dataclass(frozen=True, slots=True)
class Ready:
    """A run at which nothing is computed yet: its fitted inputs, the arrays that were given, and the digests of those
    that are tensors."""

    fitted: Fitted
    arrays: Mapping[str, FloatArray]
    tensors: Mapping[str, str]


def fit_run(context: Context, plan: RunPlan, inputs: Mapping[str, Given]) -> Ready:
    """Fit inputs, and the graph's weights in place of those that are left out; raises InvalidInputs, LimitExceeded."""
    given = with_weights(plan.stored, inputs)
    arrays = load_arrays(context, given, ("inputs",))
    return Ready(fit_to(context, plan.graph, arrays), arrays, named_tensors(given))


def weigh(plan: RunPlan, shapes: Sequence[Shape] | None) -> Weight:
    """What the passes take of one run whose values have these shapes."""
    return (weigh_run if plan.differentiates else weigh_forward)(plan.graph, shapes)


def compute_run(
    plan: RunPlan, ready: Ready, identifier: str, *, label: str | None, tags: Mapping[str, str]
) -> StoredRun:
    """Make the passes; raises InvalidInputs where an operation refuses its operands, or the seed does not fit."""
    return as_run(plan, ready, run_at(ready.fitted, plan.differentiated, plan.seed), identifier, label, tags)


def as_run(
    plan: RunPlan, ready: Ready, outcome: Outcome, identifier: str, label: str | None, tags: Mapping[str, str]
) -> StoredRun:
    """The outcome of a run with its record."""
    graph, values = plan.graph, outcome.values
    record = RunRecord(
        id=identifier,
        graph_id=plan.stored.id,
        graph_name=plan.stored.name,
        graph_version=plan.stored.version,
        graph_digest=plan.stored.digest,
        source="computed",
        recorded_by=None,
        dtype="float32" if graph.float32_nodes else "float64",
        output=plan.target,
        seed=outcome.seed,
        has_values=True,
        has_gradients=outcome.gradients is not None,
        nonfinite_forward=outcome.nonfinite_forward,
        nonfinite_backward=outcome.nonfinite_backward,
        nondifferentiable=outcome.nondifferentiable,
        convention=plan.convention,
        label=label,
        tags=tags,
        created_at=datetime.now(UTC),
        tensors=tensors_of(graph, values, ready.tensors, ready.arrays),
    )
    return StoredRun(record, graph, values, outcome.gradients)


def admit_one_sided(
    context: Context, graph: Graph, values: Figures, positions: Sequence[int], answer: WholeAnswer | None = None
) -> None:
    """Return if the derivatives from both sides at these nodes may be computed here, and listed in the answer, while
    the run is held. Whoever stores the run asks before that. Raises as `Context.admit`."""
    if not positions:
        return
    if answer:
        sides = 2 * sum(prod(values.shape(each)) for position in positions for each in graph.operands[position])
        answer = replace(answer, numbers=answer.numbers + sides)
    context.admit(Weight(0.0, 16.0 * values.flat.size) + weigh_one_sided(graph, values, positions), answer)


def fit_to(context: Context, graph: Graph, inputs: Mapping[str, FloatArray]) -> Fitted:
    """Fit inputs to a graph within the limits; raises as `fit_inputs`."""
    limits = context.limits
    if len(graph) > _FEW_NODES:
        context.admit(weigh_fit(graph, inputs))
    return fit_inputs(graph, inputs, max_elements=limits.run_elements, max_tensor=limits.tensor_elements)


def answer_of(
    graph: Graph, shapes: Sequence[Shape] | None, form: Form | None, ends_only: bool, kinds: int
) -> WholeAnswer | None:
    """What is answered of a run whose values have these shapes: `kinds` of figures of all nodes, or of inputs and
    outputs; None where no form is given for what is answered whole."""
    if form is None:
        return None
    if shapes is None:
        numbers = len(graph.inputs) + len(graph.outputs) + (0 if ends_only else len(graph))
    else:
        numbers = sum(prod(shapes[position]) for position in ends(graph))
        numbers += 0 if ends_only else sum(map(prod, shapes))
    return WholeAnswer(form, kinds * numbers, len(graph.inputs) if ends_only else len(graph))


def run_backward(
    context: Context,
    run_id: str,
    *,
    output: str | None = None,
    seed: Given | None = None,
    convention: str | None = None,
    key: IdempotencyKey | None = None,
) -> StoredRun:
    """Add gradients to a run that has values only; raises NotFound, and Conflict if it has gradients or is recorded."""
    run = get_run(context, run_id)
    with context.database.read() as connection:
        known = made_before(connection, key)
    if known:  # possibly by a concurrent request, after `run` was read
        return get_run(context, known.resource_id)
    if run.record.source == "recorded":
        raise Conflict("a recorded run keeps the figures it was given; run the graph to have gradients computed")
    if run.record.has_gradients:
        raise Conflict("this run has gradients already; create another run for another output or seed")
    target = choose_output(run.graph, run.record.output if output is None else output)
    context.admit(weigh_run(run.graph, run.values.shapes))
    asked = replace(run.record, convention=convention or run.record.convention)
    graph = run.graph.with_convention(asked.convention)
    given = 1.0 if seed is None else load_array(context, seed, ("seed",))
    gradients = backward_pass(graph, run.values, target, given)
    record = replace(
        asked,
        output=target,
        seed=spread_seed(given, run.values.shape(graph.position[target])),
        has_gradients=True,
        nonfinite_backward=first_nonfinite_gradient(graph, gradients, target),
    )
    admit_one_sided(context, graph, run.values, record.nondifferentiable)
    complete = StoredRun(record, graph, run.values, gradients)

    def make(connection: Connection) -> tuple[None, str, bool]:
        storage.add_gradients(connection, complete.new)
        return None, record.id, False

    write_once(context.database, key, make, lambda connection, identifier: None)
    return complete


def set_baseline(context: Context, run_id: str, label: str = "main", *, key: IdempotencyKey | None = None) -> RunRecord:
    """Give a run a label, and take it from every other run of its graph's name, whatever their versions; raises
    NotFound."""

    def make(connection: Connection) -> tuple[RunRecord, str, bool]:
        identifier = references.run_id(connection, run_id)
        storage.move_label(connection, identifier, label)
        return storage.get_run(connection, identifier), identifier, False

    return write_once(context.database, key, make, storage.get_run)[0]


def one_sided_at(context: Context, run: StoredRun) -> Callable[[int], tuple[OneSided, ...]]:
    """The function that computes the one-sided derivatives at a position, of a nondifferentiable node of the run whose
    figures it holds: a page may end before that node."""
    stop = run.start + len(run.values)
    marked = [position for position in run.record.nondifferentiable if run.start <= position < stop]
    operands, values = run.graph.operands, _values_around(context, run, marked)
    admit_one_sided(context, run.graph, values, marked)

    def compute(position: int) -> tuple[OneSided, ...]:
        figures = [values[each] for each in (*operands[position], position)]
        *given, value = [figure for figure in figures if figure is not None]
        return one_sided_derivatives(run.graph.nodes[position], given, value)

    return compute


def list_closed(context: Context, run: StoredRun) -> dict[int, tuple[int, ...]]:
    """Along which operands nothing flows back, at the nodes that have such and whose figures the run holds."""
    closing = [
        position for position, node in enumerate(run.nodes, start=run.start) if node.operation.closed is not None
    ]
    values = _values_around(context, run, closing)
    if run.record.source == "recorded" and values.shapes is not None:
        closing = [position for position in closing if _fits(run.graph, values, position)]
    return closed_operands(run.graph, values, closing)


def _fits(graph: Graph, values: Figures, position: int) -> bool:
    """Whether a recorded value has the shape that follows from its operands'."""
    node = graph.nodes[position]
    try:
        shape = node.operation.infer_shape([values.shape(each) for each in graph.operands[position]], node.attributes)
    except ValueError:
        return False
    return tuple(shape) == values.shape(position)


def _values_around(context: Context, run: StoredRun, positions: Sequence[int]) -> Figures:
    """The values that the run holds or, where it begins later, those of the nodes at `positions` and of their
    operands, of whatever the graph has."""
    if not run.start or not positions:
        return run.values
    admit_reading(context, run.record.id)
    needed = {each for position in positions for each in (position, *run.graph.operands[position])}
    return read_figures(context, run.record, sorted(needed)).values


def get_run(context: Context, run_id: str, *, ends_only: bool = False, whole: Form | None = None) -> StoredRun:
    """Read a run with all its figures, or with those of the graph's inputs and outputs alone; raises NotFound.

    `whole` is the form in which they are answered, None if no more than a page is.
    """
    if not ends_only:
        return list_run_nodes(context, run_id, start=0, limit=None, whole=whole)
    return read_ends(context, get_run_record(context, run_id), whole)


def get_run_record(context: Context, run_id: str) -> RunRecord:
    """Read a run without its figures, by whatever `references` takes; raises NotFound."""
    with context.database.read() as connection:
        return storage.get_run(connection, references.run_id(connection, run_id))


def read_ends(context: Context, record: RunRecord, whole: Form | None = None) -> StoredRun:
    """Read a run with the figures of its graph's inputs and outputs alone; `whole` as of `get_run`."""
    return read_figures(context, record, ends(context.compact_graph(record.graph_digest)), whole)


def read_figures(context: Context, record: RunRecord, positions: Sequence[int], whole: Form | None = None) -> StoredRun:
    """Read a run with the figures of the nodes at these positions alone; `whole` as of `get_run`."""
    graph = context.compact_graph(record.graph_digest).with_convention(record.convention)
    with context.database.read() as connection:
        if whole:
            numbers = run_figures.count_elements(connection, record.id, positions)
            weight = STORED_BYTE * sum(run_figures.count_bytes(connection, [record.id]))
            context.admit(weight, WholeAnswer(whole, numbers, len(positions)))
        values, gradients = (
            run_figures.load_some_figures(connection, record.id, kind, positions) if has else None
            for kind, has in (("values", record.has_values), ("gradients", record.has_gradients))
        )
    return StoredRun(record, graph, no_figures(len(graph)) if values is None else values, gradients)


def admit_reading(context: Context, *runs: str) -> None:
    """Return if figures of the runs of these ids may be read here, in an array for all of each run, and held together;
    raises as `Context.admit`."""
    with context.database.read() as connection:
        context.admit(STORED_BYTE * sum(sum(run_figures.count_bytes(connection, [run])) for run in runs))


def ends(graph: Graph) -> list[int]:
    """The positions of the graph's inputs and outputs."""
    return sorted({graph.position[name] for name in (*graph.inputs, *graph.outputs)})


def list_run_nodes(
    context: Context, run_id: str, *, start: int, limit: int | None, whole: Form | None = None
) -> StoredRun:
    """Read a run with the figures of `limit` nodes from position `start`; raises NotFound. `whole` as of `get_run`."""
    with context.database.read() as connection:
        record = storage.get_run(connection, references.run_id(connection, run_id))
        stop = None if limit is None else start + limit
        answer = None
        if stop is None:
            nbytes = sum(run_figures.count_bytes(connection, [record.id]))
        else:
            nbytes = 8 * run_figures.count_elements(connection, record.id, range(start, stop))
        if whole:
            items = count_nodes(connection, record.graph_digest) if limit is None else limit
            answer = WholeAnswer(whole, nbytes // 8, items)
        context.admit(STORED_BYTE * nbytes, answer)
        values, gradients = (
            run_figures.load_figures(connection, record.id, kind, start, stop) if has else None
            for kind, has in (("values", record.has_values), ("gradients", record.has_gradients))
        )
    loaded = context.graph if limit is None else context.compact_graph
    graph = loaded(record.graph_digest).with_convention(record.convention)
    return StoredRun(
        record, graph, no_figures(len(graph.nodes[start:stop])) if values is None else values, gradients, start
    )


def get_run_node(context: Context, run_id: str, node: str, *, whole: Form | None = None) -> StoredRun:
    """Read a run with the figures of one node; raises NotFound. `whole` as of `get_run`."""
    position = find_position(context, get_run_record(context, run_id), node)
    return list_run_nodes(context, run_id, start=position, limit=1, whole=whole)


def find_position(context: Context, record: RunRecord, node: str) -> int:
    """The position of a node of a run; raises NotFound."""
    positions = context.graph(record.graph_digest).position
    for _, detail in unknown_names([node], positions, f"the run {record.id} has no node"):
        raise NotFound(detail)
    return positions[node]


def list_runs(
    context: Context, *, graph: str | None = None, limit: int, **asked: Unpack[storage.ListedRuns]
) -> list[RunRecord]:
    """List stored runs, of all graphs or of one, newest first unless `sort` says; raises NotFound."""
    with context.database.read() as connection:
        of = None if graph is None else references.graph_id(connection, graph)
        return storage.list_runs(connection, graph=of, limit=limit, **asked)


def list_ends(context: Context, records: Sequence[RunRecord]) -> Iterator[RunEnds]:
    """The ends of each of these runs: the small ones are read at once, the others one after the other."""
    with context.database.read() as connection:
        small = run_figures.load_ends(connection, [record.id for record in records])
        others = [record.id for record in records if record.id not in small]
        sizes = run_figures.count_bytes(connection, others) if others else []
    context.admit((STORED_BYTE * max(sizes, default=0)).times(len(sizes)))
    return (small.get(record.id) or _load_ends(context, record) for record in records)


def _load_ends(context: Context, record: RunRecord) -> RunEnds:
    """The ends of a run, with which it is stored unless an older version did so."""
    with context.database.read() as connection:
        found = run_figures.load_ends(connection, [record.id], sys.maxsize)
    return found.get(record.id) or read_ends(context, record).ends()
