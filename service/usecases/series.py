"""Series: training runs that are judged step by step, each step from what it took itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Unpack

from sqlalchemy import Connection

from service.core.comparison.verdicts import Comparison, Verdict
from service.core.errors import InvalidRequest
from service.core.figures.figures import FloatArray
from service.core.rounding.precision import coarsest
from service.core.series.causes import find_cause
from service.core.series.steps import BrokenCarry, faults_of_carry
from service.storage import series as storage
from service.storage.identifiers import new_id
from service.storage.series import Marked, SeriesRecord, StepRecord
from service.usecases import references
from service.usecases.comparisons import Compared, get_comparison, read_tolerance
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, write_once
from service.usecases.runs import get_run_record, read_figures

RETAINED = ("auto", "full", "norms")
_LISTED_NUMBERS = 500_000  # norms of steps that are listed, and as many digests
_CURVE_POINTS, _CURVE_NUMBERS = 1000, 20_000  # of one curve, and of all together


def create_series(
    context: Context,
    graph: str,
    carry: Mapping[str, str],
    *,
    by: str,
    dtype: str = "float64",
    tolerance: Any = None,
    retain: str = "auto",
    every: int = 1,
    label: str | None = None,
    tags: Mapping[str, str],
    key: IdempotencyKey | None = None,
) -> SeriesRecord:
    """Begin a series, whose steps are runs of a stored graph.

    `carry` leads from a node of a step to the Input of the next that takes its value; `every` is how far apart the
    numbers of the steps are. `retain`, one of RETAINED, says which are kept whole: all, none, or the last ones.
    The tolerance left out is that of the dtype. Raises NotFound, InvalidRequest.
    """
    with references.named_at("graph"):
        stored = get_graph(context, graph)
    known = context.compact_graph(stored.digest)
    if faults := faults_of_carry(known, carry):
        raise InvalidRequest(faults)
    if tolerance is not None:
        read_tolerance(tolerance)
    dtype = coarsest("float32", dtype) if known.float32_nodes else dtype
    now = datetime.now(UTC)
    record = SeriesRecord(
        id=new_id(),
        graph_id=stored.id,
        graph_name=stored.name,
        graph_version=stored.version,
        graph_digest=stored.digest,
        carry=dict(carry),
        recorded_by=by,
        dtype=dtype,
        tolerance=dtype if tolerance is None else tolerance,
        retain=retain,
        every=every,
        label=label,
        created_at=now,
        changed_at=now,
        tags=dict(tags),
    )

    def make(connection: Connection) -> tuple[SeriesRecord, str, bool]:
        storage.insert_series(connection, record)
        return record, record.id, True

    return write_once(context.database, key, make, storage.get_series)[0]


def get_series(context: Context, series_id: str) -> SeriesRecord:
    """Read a series; raises NotFound."""
    with context.database.read() as connection:
        return storage.get_series(connection, references.series_id(connection, series_id))


def list_series(
    context: Context, *, graph: str | None = None, limit: int, **asked: Unpack[storage.ListedSeries]
) -> list[SeriesRecord]:
    """List series, of all graphs or of one, newest first unless `sort` says; raises NotFound."""
    with context.database.read() as connection:
        of = None if graph is None else references.graph_id(connection, graph)
        return storage.list_series(connection, graph=of, limit=limit, **asked)


def list_series_steps(
    context: Context, series_id: str, *, start: int, limit: int, only: Marked | None = None
) -> tuple[SeriesRecord, list[StepRecord], int | None]:
    """A series, at most `limit` of its steps from the number `start` on, fewer if they have many nodes, and the number
    of the step that follows, None if there is none; `only` those with origins, or with broken carries. Raises
    NotFound."""
    with context.database.read() as connection:
        record = storage.get_series(connection, references.series_id(connection, series_id))
        most = _listed(record, limit)
        found = storage.list_series_steps(connection, record.id, start=start, limit=most + 1, only=only)
    return record, found[:most], found[most].number if len(found) > most else None


def _listed(record: SeriesRecord, limit: int) -> int:
    """How many steps are listed where at most `limit` are."""
    return max(1, min(limit, _LISTED_NUMBERS // len(record.nodes or (1,))))


@dataclass(frozen=True, slots=True, eq=False)
class SeriesVerdict:
    """What was found in a series: its first steps that are `wrong`, and its first carries that are `broken`.

    `compared` is the comparison of the first wrong step, None if there is none or it was deleted; `cause` is what
    explains all its origins in a sentence, None if nothing does. `norms` has by number
    those of the series' nodes at steps that are evenly spaced, the last among them.
    """

    record: SeriesRecord
    wrong: list[StepRecord]
    broken: list[BrokenCarry]
    compared: Compared | None
    cause: str | None
    norms: Mapping[int, FloatArray]


def get_series_verdict(context: Context, series_id: str) -> SeriesVerdict:
    """Say where a series first did what its own state does not explain; raises NotFound."""
    with context.database.read() as connection:
        record = storage.get_series(connection, references.series_id(connection, series_id))
        most = _listed(record, context.limits.page)
        wrong, broken = (
            storage.list_series_steps(connection, record.id, limit=most, only=only) for only in ("origins", "broken")
        )
        before = storage.load_norms(connection, record.id, [step.number - record.every for step in broken])
        norms = storage.load_curve(connection, record.id, _stride(record))
    place = {name: number for number, name in enumerate(record.nodes or ())}
    carries = [
        BrokenCarry(
            step.number,
            node,
            taken,
            float(before[step.number - record.every][place[node]]),
            float(step.trace.norms[place[taken]]),
        )
        for step in broken
        for node in step.broken
        for taken in [record.carry[node]]
    ]
    compared = get_comparison(context, record.comparison_id) if record.comparison_id else None
    cause = _cause(context, record, compared.found) if compared else None
    return SeriesVerdict(record, wrong, carries[:most], compared, cause, norms)


def _cause(context: Context, record: SeriesRecord, found: Comparison) -> str | None:
    """What explains all origins of the first wrong step, also by what the step before gave, if that is kept."""
    assert record.first_wrong is not None
    graph, positions = found.candidate.graph, [position for _, position in found.places(Verdict.ORIGIN)]
    if any(graph.nodes[position].name in record.carry for position in positions):
        return None  # gradients are not carried
    number, before = record.first_wrong - 1, {}
    with context.database.read() as connection:
        steps = storage.list_series_steps(connection, record.id, start=number, limit=1) if record.every == 1 else []
    if steps and steps[0].number == number and steps[0].run_id:
        values = read_figures(context, get_run_record(context, steps[0].run_id), positions).values
        figures = {graph.nodes[position].name: values[position] for position in positions}
        before = {name: figure for name, figure in figures.items() if figure is not None}
    return find_cause(found, before, number)


def _stride(record: SeriesRecord) -> int:
    """How many steps a point of a curve stands for, so that all curves together have no more numbers than they may."""
    points = max(2, min(_CURVE_POINTS, _CURVE_NUMBERS // len(record.nodes or (1,))))
    return max(1, -(-record.steps // points))
