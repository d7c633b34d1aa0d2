"""Sweeps: one graph at many points, as a job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.core.errors import NotFound
from service.core.graph.graph import Graph
from service.core.graph.selection import find_output
from service.core.rulebook.operation import MINIMUM_NORM
from service.core.sweeps.axes import Linspace
from service.core.sweeps.sweep import Sweep
from service.storage import jobs as storage
from service.storage.identifiers import new_id
from service.storage.jobs import JobRecord
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.idempotency import IdempotencyKey, write_once
from service.usecases.jobs import get_job

_CHUNK_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class SweepPlan:
    """A sweep that is ready to be computed: the graphs by digest, and the bytes of memory that a chunk takes."""

    graphs: Mapping[str, Graph]
    sweep: Sweep
    nbytes: int


def create_sweep(
    context: Context,
    graph_id: str,
    inputs: Mapping[str, Any],
    *,
    gradients: bool = False,
    key: IdempotencyKey | None = None,
) -> JobRecord:
    """Have a stored graph computed at many points; returns the job. Raises NotFound."""
    stored = get_graph(context, graph_id)
    task = {"digest": stored.digest, "inputs": dict(inputs), "gradients": gradients}
    sweep = _read_sweep(context.compact_graph(stored.digest), task)
    record = JobRecord(
        id=new_id(),
        kind="sweep",
        task=task,
        created_at=datetime.now(UTC),
        total=sweep.points,
        chunks=sweep.chunks,
        graph_id=stored.id,
    )

    def make(connection: Connection) -> tuple[JobRecord, str, bool]:
        storage.insert_job(connection, record)
        return record, record.id, True

    return write_once(context.database, key, make, storage.get_job)[0]


def get_sweep(context: Context, sweep_id: str) -> JobRecord:
    """Read a sweep; raises NotFound."""
    record = get_job(context, sweep_id)
    if record.kind != "sweep":
        raise NotFound(f"there is no sweep {sweep_id!r}")
    return record


def prepare_sweep(context: Context, record: JobRecord) -> SweepPlan:
    """A sweep as it is computed; raises NotFound."""
    graph = context.compact_graph(record.task["digest"])
    return SweepPlan({record.task["digest"]: graph}, _read_sweep(graph, record.task), _CHUNK_BYTES)


def summarize_sweep(context: Context, record: JobRecord, sweep: Sweep) -> Mapping[str, Any] | None:
    """What is known of a sweep as a whole, once all its points are computed."""
    return None


def _read_sweep(graph: Graph, task: Mapping[str, Any]) -> Sweep:
    inputs = {
        name: Linspace(float(given["linspace"][0]), float(given["linspace"][1]), int(given["linspace"][2]))
        if isinstance(given, dict)
        else np.array(float(given))
        for name, given in task["inputs"].items()
    }
    output = find_output(graph, None) if task["gradients"] else None
    return Sweep(inputs, "grid", tuple(graph.outputs), output, tuple(inputs) if output else (), MINIMUM_NORM)
