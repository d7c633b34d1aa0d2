"""Compare two stored runs, and check claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Unpack

import numpy as np
from sqlalchemy import Connection

from service.core.comparison.claims import Claim, resolve_claims, stands_rounded
from service.core.comparison.judging import compare
from service.core.comparison.listing import list_figures
from service.core.comparison.verdicts import DIFFERENT, JUDGED, TOLERANCES, Comparison, Phase, Tolerance, Verdict
from service.core.comparison.weights import weigh_comparison, weigh_explanation
from service.core.errors import Fault, InvalidRequest
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray, IntArray
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.rounding.precision import coarsest
from service.storage import comparisons as storage
from service.storage.comparisons import ComparisonRecord
from service.storage.identifiers import new_id
from service.usecases import references
from service.usecases.alignments import NAMES, PROBES, figures_of, held_bytes, propose, read_pair
from service.usecases.context import Context
from service.usecases.idempotency import IdempotencyKey, write_once
from service.usecases.recordings import insert_whole_run, read_recording
from service.usecases.runs import StoredRun, create_run, get_run
from service.usecases.tensors import Given, TensorReference, load_arrays
from service.usecases.weighing import CLAIM

NO_TAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Compared:
    """A stored comparison with its findings."""

    record: ComparisonRecord
    found: Comparison

    def listing(self, only: str | None, order: str) -> IntArray:
        """Number the figures, or `only` the "differences" or "origins", as `list_figures` does.

        `order` is "topological", the order of evaluation, or "relative_error", worst first.
        """
        wanted = {"origins": (Verdict.ORIGIN,), "differences": (*DIFFERENT, Verdict.COMPENSATED)}
        return list_figures(self.found, wanted.get(only or "", JUDGED), order == "relative_error")


def read_tolerance(given: Any, location: tuple[str, ...] = ("tolerance",)) -> Tolerance:
    """Read a tolerance: a name, or {"rtol", "atol"}; raises InvalidRequest with where it stands."""
    if isinstance(given, str):
        if given not in TOLERANCES:
            raise InvalidRequest([Fault(location, f"a tolerance is one of {', '.join(TOLERANCES)}")])
        return TOLERANCES[given]
    if not isinstance(given, Mapping) or not given or given.keys() - {"rtol", "atol"}:
        raise InvalidRequest([Fault(location, "a tolerance is a name, or an object with rtol and atol")])
    for name, bound in given.items():
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not 0 <= bound < np.inf:
            raise InvalidRequest([Fault((*location, name), "a number that is not negative is expected")])
    return Tolerance(float(given.get("rtol", 0.0)), float(given.get("atol", 0.0)))


def create_comparison(
    context: Context,
    baseline: str,
    candidate: str,
    *,
    tolerance: Any = None,
    align: str = NAMES,
    names: Mapping[str, str],
    key: IdempotencyKey | None = None,
) -> tuple[Compared, bool]:
    """Compare two stored runs and store the verdict. Returns the comparison and whether it is new.

    The tolerance left out is that of the coarser of the two runs' dtypes. Nodes are paired by their names or by probes,
    as `align` says, but for those in `names`.

    Raises NotFound, InvalidRequest, LimitExceeded.
    """
    compared = compare_runs(context, *read_pair(context, baseline, candidate), tolerance, names, align)
    return _keep(context, compared, (), key)


def get_comparison(context: Context, comparison_id: str) -> Compared:
    """Read a stored comparison with its findings, from the cache or computed again; raises NotFound."""
    with context.database.read() as connection:
        record = storage.get_comparison(connection, references.comparison_id(connection, comparison_id))
    return Compared(record, context.comparisons.get(record.id, lambda: _compare_again(context, record)))


def list_comparisons(
    context: Context,
    *,
    run: str | None = None,
    graph: str | None = None,
    checks: bool = False,
    limit: int,
    **asked: Unpack[storage.ListedComparisons],
) -> list[ComparisonRecord]:
    """List stored comparisons, newest first unless `sort` says; `run` is either run, `graph` either run's graph, and
    `checks` are those of a computed run with recorded figures. Raises NotFound."""
    with context.database.read() as connection:
        either = None if run is None else references.run_id(connection, run)
        of = None if graph is None else references.graph_id(connection, graph)
        return storage.list_comparisons(connection, run=either, graph=of, checks=checks, limit=limit, **asked)


def check_claims(
    context: Context,
    graph_id: str,
    inputs: Mapping[str, Given],
    *,
    values: Mapping[str, Claim | TensorReference | None],
    gradients: Mapping[str, Claim | TensorReference | None],
    by: str,
    output: str | None = None,
    seed: Given | None = None,
    tolerance: Any = None,
    label: str | None = None,
    tags: Mapping[str, str] = NO_TAGS,
    keep: bool = True,
    key: IdempotencyKey | None = None,
) -> tuple[Compared, bool]:
    """Run the graph, record the claims, compare the two and store all three. Returns the comparison and whether it is
    new.

    None claims that there is no figure. `label` and `tags` are those of the run that holds the claims. With `keep`
    false nothing is stored and all ids are empty. Raises what `create_run`, `record_run` and `create_comparison` raise.
    """
    if tolerance is not None:
        read_tolerance(tolerance)
    context.admit(CLAIM * (len(values) + len(gradients)))
    run = create_run(context, graph_id, inputs, backward=bool(gradients), output=output, seed=seed, tags={}, keep=False)
    if keep:
        run = replace(run, record=replace(run.record, id=new_id()))
    compared, claimed = _judge_claims(context, run, inputs, values, gradients, tolerance, by=by, label=label, tags=tags)
    if not keep:
        unkept = replace(compared.record, id="", baseline_id="", candidate_id="")
        return replace(compared, record=unkept), False
    return _keep(context, compared, (run, claimed), key)


def check_run(
    context: Context,
    run_id: str,
    *,
    values: Mapping[str, Claim | TensorReference | None],
    gradients: Mapping[str, Claim | TensorReference | None],
    by: str,
    tolerance: Any = None,
    label: str | None = None,
    tags: Mapping[str, str] = NO_TAGS,
) -> Compared:
    """Record the claims and compare them with a stored run; raises as `check_claims`."""
    context.admit(CLAIM * (len(values) + len(gradients)))
    run = get_run(context, run_id)
    tensors = run.record.tensors
    positions = {name: run.graph.position[name] for name in run.graph.inputs if name not in values}
    given = {
        name: TensorReference(tensors[position]) if position in tensors else run.values[position]
        for name, position in positions.items()
    }
    inputs = {name: figure for name, figure in given.items() if figure is not None}
    compared, claimed = _judge_claims(context, run, inputs, values, gradients, tolerance, by=by, label=label, tags=tags)
    return _keep(context, compared, (claimed,), None)[0]


def _read_tensors(
    context: Context, claims: Mapping[str, Claim | TensorReference | None], kind: str
) -> dict[str, Claim | None]:
    """The claims with exact ones in place of tensors."""
    tensors = {name: each for name, each in claims.items() if isinstance(each, TensorReference)}
    arrays = load_arrays(context, tensors, ("claims", kind))
    exact = {name: Claim(array, np.zeros(array.shape)) for name, array in arrays.items()}
    return {name: exact[name] if isinstance(each, TensorReference) else each for name, each in claims.items()}


def _judge_claims(
    context: Context,
    run: StoredRun,
    inputs: Mapping[str, Given],
    values: Mapping[str, Claim | TensorReference | None],
    gradients: Mapping[str, Claim | TensorReference | None],
    tolerance: Any,
    *,
    by: str,
    label: str | None,
    tags: Mapping[str, str],
) -> tuple[Compared, StoredRun]:
    """Compare claims with the run that they are about; also the recorded run that holds them. Neither is stored."""
    kinds = [
        (kind, _read_tensors(context, given, kind)) for kind, given in (("values", values), ("gradients", gradients))
    ]
    claims = {kind: {name: claim for name, claim in given.items() if claim is not None} for kind, given in kinds}
    nothing: dict[str, dict[str, FloatArray | None]] = {
        kind: {name: None for name, claim in given.items() if claim is None} for kind, given in kinds
    }
    figures = {kind: {name: claim.figure for name, claim in given.items()} for kind, given in claims.items()}

    def resolve() -> dict[str, dict[str, FloatArray | None]]:
        meant = resolve_claims(run.figures, claims["values"], claims["gradients"])
        return {kind: {**nothing[kind], **resolved} for kind, resolved in meant.items()}

    claimed = read_recording(
        context,
        run.record.graph_id,
        inputs,
        {kind: {**nothing[kind], **given} for kind, given in figures.items()},
        by=by,
        output=run.record.output,
        seed=run.record.seed,
        label=label,
        tags=tags,
        member="claims",
        resolve=resolve,
    )
    compared = compare_runs(context, run, claimed, tolerance, {})
    rounded = {}
    for phase, given in ((compared.found.forward, claims["values"]), (compared.found.backward, claims["gradients"])):
        if phase is not None:
            rounded[phase.name] = [
                name for name, claim in given.items() if _is_rounded(phase, claimed.graph, name, claim)
            ]
    return replace(compared, record=replace(compared.record, rounded=rounded)), claimed


def _is_rounded(phase: Phase, graph: Graph, name: str, claim: Claim) -> bool:
    """Whether a figure is right that was claimed rounded."""
    position = graph.position[name]
    meant = phase.candidate[position]
    right = phase.verdicts[position] in (Verdict.SAME, Verdict.COMPENSATED)
    return right and meant is not None and stands_rounded(claim, meant)


def _compare_again(context: Context, record: ComparisonRecord) -> Comparison:
    """Compute the findings of a stored comparison again, without gradients that a run was given since."""
    pair = figures_of(*read_pair(context, record.baseline_id, record.candidate_id))
    if not record.backward:  # one of the runs had no gradients then
        pair = replace(pair[0], backward=None), replace(pair[1], backward=None)
    return _judge(context, pair, read_tolerance(record.tolerance), record.align, record.names)


def compare_runs(
    context: Context,
    baseline: StoredRun,
    candidate: StoredRun,
    tolerance: Any,
    names: Mapping[str, str],
    align: str = NAMES,
) -> Compared:
    """Compare two runs without storing the verdict; raises as `create_comparison`."""
    if tolerance is None:
        tolerance = coarsest(baseline.record.dtype, candidate.record.dtype)
    found = _judge(context, figures_of(baseline, candidate), read_tolerance(tolerance), align, names)
    record = ComparisonRecord(
        id=new_id(),
        baseline_id=baseline.record.id,
        candidate_id=candidate.record.id,
        tolerance=tolerance,
        names=dict(names),
        align=align,
        backward=found.backward is not None,
        verdict="same" if found.same else "differ",
        counts=found.counts,
        created_at=datetime.now(UTC),
    )
    return Compared(record, found)


def _judge(
    context: Context, pair: tuple[Run, Run], tolerance: Tolerance, align: str, names: Mapping[str, str]
) -> Comparison:
    """Compare two runs, whose differences are explained when they are answered."""
    held = Weight(0.0, held_bytes(*pair))
    context.admit(held + weigh_comparison(*pair))
    found = compare(
        *pair,
        tolerance,
        names,
        propose=partial(propose, context) if align == PROBES else None,
        max_elements=context.limits.run_elements,
        admit=lambda weight: context.admit(held + weight),
    )
    context.admit(held + Weight(0.0, found.nbytes) + weigh_explanation(found))
    return found


def _keep(
    context: Context, compared: Compared, runs: Sequence[StoredRun], key: IdempotencyKey | None
) -> tuple[Compared, bool]:
    """Store a comparison together with the runs made for it."""

    def make(connection: Connection) -> tuple[str, str, bool]:
        for run in runs:
            insert_whole_run(connection, run)
        storage.insert_comparison(connection, compared.record)
        return compared.record.id, compared.record.id, True

    made, new = write_once(context.database, key, make, lambda connection, identifier: identifier)
    if made != compared.record.id:
        return get_comparison(context, made), new
    context.comparisons.get(made, lambda: compared.found)
    return compared, new
