"""Comparing two kept runs, and checking claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.core.comparison import verdicts as core
from service.core.comparison.claims import Claim, resolve_claims
from service.core.comparison.error_measures import errors, worst_element
from service.core.comparison.hypotheses import Hypothesis, convention, explain, rounding
from service.core.comparison.verdicts import TOLERANCES, Phase, Side, Tolerance, Verdict
from service.core.errors import Fault, InvalidRequest
from service.core.figures.figures import FloatArray
from service.storage import comparisons as storage
from service.storage.comparisons import ComparisonRecord
from service.storage.identifiers import new_id
from service.usecases.context import Context
from service.usecases.idempotency import IdempotencyKey, write_once
from service.usecases.recordings import insert_whole_run, read_recording
from service.usecases.runs import Run, create_run, get_run

# Hypotheses are looked for at the first origins only: who has a hundred of them mends those first.
_EXPLAINED = 100


@dataclass(frozen=True)
class Compared:
    """A kept comparison with its findings, made anew from the two runs, which do not change."""

    record: ComparisonRecord
    found: core.Comparison
    candidate: Side

    @cached_property
    def origins(self) -> tuple[tuple[Phase, int, tuple[Hypothesis, ...]], ...]:
        """Every origin in the order of evaluation with the hypotheses that explain it; of the first hundred."""
        positions = [(phase, position) for phase in self.found.phases for position in phase.positions(Verdict.ORIGIN)]
        return tuple(
            (phase, position, explain(self.found, phase, position, self.candidate) if rank < _EXPLAINED else ())
            for rank, (phase, position) in enumerate(positions)
        )

    @cached_property
    def first_difference(self) -> tuple[Phase, int, tuple[Hypothesis, ...]] | None:
        """The first figure that differs; `convention` or `rounding` is its hypothesis if it is no origin."""
        first = core.first_difference(self.found)
        if first is None:
            return None
        for phase, position, hypotheses in self.origins:
            if (phase, position) == first:
                return phase, position, hypotheses
        phase, position = first
        if phase.verdicts[position] == Verdict.CONVENTION:
            return phase, position, (convention(self.found, phase, position, self.candidate),)
        return phase, position, (rounding(self.found, phase, position, self.candidate),)

    def positions(self, only: str | None, order: str) -> Sequence[tuple[Phase, int]]:
        """The figures asked for: `only` differences or origins; in the order of evaluation, or worst first."""
        wanted = {
            "origins": (Verdict.ORIGIN,),
            "differences": (*core.DIFFERENT, Verdict.COMPENSATED),
        }.get(only or "", tuple(Verdict)[1:])
        positions = [(phase, position) for phase in self.found.phases for position in phase.positions(*wanted)]
        if order == "relative_error":
            relative = {phase.name: errors(phase)[1] for phase in self.found.phases}

            def worst(entry: tuple[Phase, int]) -> float:
                shown, _ = worst_element(*entry)
                return 0.0 if shown is None else float(relative[entry[0].name][shown])

            positions.sort(key=worst, reverse=True)
        return positions


def read_tolerance(given: Any) -> Tolerance:
    """A tolerance by name, or {"rtol", "atol"}; raises InvalidRequest."""
    if isinstance(given, str):
        if given not in TOLERANCES:
            raise InvalidRequest([Fault(("tolerance",), f"a tolerance is one of {', '.join(TOLERANCES)}")])
        return TOLERANCES[given]
    if not isinstance(given, Mapping) or not given or given.keys() - {"rtol", "atol"}:
        raise InvalidRequest([Fault(("tolerance",), "a tolerance is a name, or an object with rtol and atol")])
    for name, bound in given.items():
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not 0 <= bound < np.inf:
            raise InvalidRequest([Fault(("tolerance", name), "a number that is not negative is expected")])
    return Tolerance(float(given.get("rtol", 0.0)), float(given.get("atol", 0.0)))


def create_comparison(
    context: Context,
    baseline: str,
    candidate: str,
    *,
    tolerance: Any = "float64",
    names: Mapping[str, str],
    key: IdempotencyKey | None = None,
) -> tuple[Compared, bool]:
    """Compare two kept runs and keep the verdict; also says whether it is new.

    Raises NotFound, InvalidRequest, LimitExceeded.
    """
    compared = _compare(context, get_run(context, baseline), get_run(context, candidate), tolerance, names)
    return _keep(context, compared, (), key)


def get_comparison(context: Context, comparison_id: str) -> Compared:
    """One kept comparison with its findings; raises NotFound."""
    with context.database.read() as connection:
        record = storage.get_comparison(connection, comparison_id)
    runs = get_run(context, record.baseline_id), get_run(context, record.candidate_id)
    baseline, candidate = _sides(*runs, backward=record.backward)
    tolerance, most = read_tolerance(record.tolerance), context.limits.run_elements
    found = core.compare(baseline, candidate, tolerance, record.names, max_elements=most)
    return Compared(record, found, candidate)


def list_comparisons(context: Context, *, run: str | None, after: str | None, limit: int) -> list[ComparisonRecord]:
    """Kept comparisons, newest first; `run` names either side."""
    with context.database.read() as connection:
        return storage.list_comparisons(connection, run=run, after=after, limit=limit)


def check_claims(
    context: Context,
    graph_id: str,
    inputs: Mapping[str, FloatArray],
    *,
    values: Mapping[str, Claim],
    gradients: Mapping[str, Claim],
    by: str,
    output: str | None = None,
    seed: FloatArray | None = None,
    tolerance: Any = "float64",
    key: IdempotencyKey | None = None,
) -> tuple[Compared, bool]:
    """Run the graph, record the claims, compare the two, and keep all three; also says whether they are new.

    Raises what `create_run`, `record_run` and `create_comparison` raise.
    """
    read_tolerance(tolerance)
    run = create_run(context, graph_id, inputs, backward=bool(gradients), output=output, seed=seed, tags={}, keep=False)
    run = replace(run, record=replace(run.record, id=new_id()))
    figures = {
        member: {name: claim.figure for name, claim in claims.items()}
        for member, claims in (("values", values), ("gradients", gradients))
    }
    claimed = read_recording(
        context, graph_id, inputs, figures, by=by, output=output, seed=seed, tags={}, member="claims"
    )
    meant = resolve_claims(run.graph, values, gradients, run.values, run.gradients, run.record.output)
    claimed = read_recording(
        context, graph_id, inputs, meant, by=by, output=output, seed=seed, tags={}, member="claims"
    )
    return _keep(context, _compare(context, run, claimed, tolerance, {}), (run, claimed), key)


def _compare(context: Context, baseline: Run, candidate: Run, tolerance: Any, names: Mapping[str, str]) -> Compared:
    sides = _sides(baseline, candidate)
    found = core.compare(*sides, read_tolerance(tolerance), names, max_elements=context.limits.run_elements)
    record = ComparisonRecord(
        id=new_id(),
        baseline_id=baseline.record.id,
        candidate_id=candidate.record.id,
        tolerance=tolerance,
        names=dict(names),
        backward=found.backward is not None,
        verdict="same" if found.same else "differ",
        counts=_counts(found),
        created_at=datetime.now(UTC),
    )
    return Compared(record, found, sides[1])


def _keep(
    context: Context, compared: Compared, runs: Sequence[Run], key: IdempotencyKey | None
) -> tuple[Compared, bool]:
    """Keep a comparison, and with it the runs that were made for it."""

    def make(connection: Connection) -> tuple[str, str, bool]:
        for run in runs:
            insert_whole_run(connection, run)
        storage.insert_comparison(connection, compared.record)
        return compared.record.id, compared.record.id, True

    made, new = write_once(context.database, key, make, lambda connection, identifier: identifier)
    return (compared if made == compared.record.id else get_comparison(context, made)), new


def _sides(baseline: Run, candidate: Run, backward: bool = True) -> tuple[Side, Side]:
    """Two runs as the sides of a comparison; both are judged by the baseline's convention."""
    ours, theirs = (
        Side(
            run.graph.with_convention(baseline.record.convention),
            run.values if run.record.has_values else None,
            run.gradients if backward and run.record.has_gradients else None,
            run.record.output,
            run.record.seed,
            run.record.dtype,
        )
        for run in (baseline, candidate)
    )
    return ours, theirs


def _counts(found: core.Comparison) -> dict[str, int]:
    judged = np.concatenate([phase.verdicts for phase in found.phases])
    return {verdict.name.lower(): int((judged == verdict).sum()) for verdict in tuple(Verdict)[1:]}
