"""Find stored graphs, with what is known of their runs at a glance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.core.figures.figures import FloatArray
from service.storage import graphs as storage
from service.storage import runs
from service.storage.graphs import ORDERS
from service.storage.records import GraphRecord, RunRecord
from service.storage.run_figures import load_small_values
from service.usecases.context import Context

__all__ = ["ORDERS", "SMALL_GRAPH", "FoundGraph", "list_tags", "output_values", "search_graphs"]

SMALL_GRAPH = 500  # nodes of a graph that is loaded for a list: to find the place of an output, and to be drawn
_TAGS = 200


@dataclass(frozen=True, slots=True)
class FoundGraph:
    """A graph, how often it was run (counted as by `count_some`), its last run, and the value of the output there where
    it is small."""

    record: GraphRecord
    run_count: int = 0
    last_run: RunRecord | None = None
    output: str | None = None
    value: FloatArray | None = None


def search_graphs(
    context: Context, *, text: str | None = None, tag: str | None = None, order: str = "run", start: int = 0, limit: int
) -> list[FoundGraph]:
    """Find at most `limit` graphs, from number `start`, whose name or expression has `text` in it.

    `tag` is key:value; `order` is one of ORDERS: last run or made first, by name, or most nodes first.
    """
    with context.database.read() as connection:
        records = storage.search_graphs(connection, text=text, tag=tag, order=order, start=start, limit=limit)
        last = runs.last_runs(connection, [record.id for record in records])
    graphs = {record.id: record for record in records}
    values = output_values(context, [run for _, run in last.values()], graphs)
    found = []
    for record in records:
        count, run = last.get(record.id, (0, None))
        output = output_of(run, record) if run else None
        found.append(FoundGraph(record, count, run, output, values.get(run.id) if run else None))
    return found


def output_of(run: RunRecord, graph: GraphRecord) -> str:
    """The output that a run is of, or the graph's first."""
    return run.output or graph.outputs[0]


def output_values(
    context: Context, found: Sequence[RunRecord], graphs: Mapping[str, GraphRecord]
) -> dict[str, FloatArray]:
    """The value of the output of each run whose figures are few, by the run's id; `graphs` by their ids."""
    positions = {}
    for run in found:
        record = graphs[run.graph_id]
        if run.has_values and record.node_count <= SMALL_GRAPH:
            positions[run.id] = context.graph(record.digest).position[output_of(run, record)]
    with context.database.read() as connection:
        return load_small_values(connection, positions)


def list_tags(context: Context) -> list[str]:
    """List tags that graphs have, as key:value."""
    with context.database.read() as connection:
        return storage.list_tags(connection, _TAGS)
