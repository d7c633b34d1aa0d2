"""The nodes of a run, or the points of a sweep, as an Arrow stream, where the extra `arrow` (pyarrow) is installed.

Of nodes it is a table with a row for each in topological order: name, operation, value, gradient, nondifferentiable,
and closed, the names of the operands with which the node does not change here. Where every node is a scalar, value and
gradient are float64; else they are lists of float64, row-major, beside a column shape. A missing figure is null. Of
points it is a table with a row for each: its number, point, and in float64 the inputs that vary and the figures; of
columns with one name, as where an input is kept as an output, there is the last.
"""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from service.api.documents import closed_names
from service.api.http.pieces import Pieces
from service.core.figures.figures import Figures, Shape
from service.usecases.runs import StoredRun
from service.usecases.sweeps import SweepPoints

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
INSTALLED = find_spec("pyarrow") is not None
_ROWS = 65_536  # of a batch of a stream


def write_nodes(run: StoredRun, closed: Mapping[int, Iterable[int]]) -> list[bytes]:
    """Write the nodes of a run, whose figures are all loaded, as an Arrow stream.

    By position, `closed` says along which operands nothing flows back.
    """
    import pyarrow as pa

    shapes = None if run.gradients is None else run.gradients.shapes
    scalars = run.values.shapes is None and shapes is None
    kinks = np.zeros(len(run.graph), dtype=bool)
    kinks[list(run.record.nondifferentiable)] = True
    columns: dict[str, Any] = {
        "name": pa.array([node.name for node in run.nodes], pa.string()),
        "operation": pa.array([node.operation.name for node in run.nodes], pa.string()).dictionary_encode(),
    }
    if not scalars:
        columns["shape"] = pa.array([_shape(run, place) for place in range(len(run.nodes))], pa.list_(pa.int64()))
    for name, figures in (("value", run.values), ("gradient", run.gradients)):
        columns[name] = _column(pa, figures, len(run.nodes), scalars)
    columns["nondifferentiable"] = pa.array(kinks)
    columns["closed"] = pa.array(closed_names(run, closed), pa.list_(pa.string()))
    return _write_stream(pa.table(columns))


def write_points(points: SweepPoints) -> list[bytes]:
    """Write the points of a sweep as an Arrow stream."""
    return _write_stream(_table_of(points))


def write_parquet(points: SweepPoints) -> list[bytes]:
    """Write the points of a sweep as a Parquet file."""
    from pyarrow import parquet

    written = Pieces()
    parquet.write_table(_table_of(points), written)
    return written.pieces


def _table_of(points: SweepPoints) -> Any:
    import pyarrow as pa

    return pa.table({"point": points.numbers, **points.inputs, **points.figures})


def _write_stream(table: Any) -> list[bytes]:
    import pyarrow as pa

    written = Pieces()
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table, max_chunksize=_ROWS)
    return written.pieces


def _shape(run: StoredRun, place: int) -> Shape:
    """Where a value is missing its gradient has the shape."""
    present = run.values.present
    known = run.values if run.gradients is None or present is None or present[place] else run.gradients
    return known.shape(place)


def _column(pa: Any, figures: Figures | None, count: int, scalars: bool) -> Any:
    if figures is None:
        return pa.nulls(count, pa.float64() if scalars else pa.large_list(pa.float64()))
    missing = None if figures.present is None else ~figures.present
    if scalars:
        return pa.array(figures.flat, mask=missing)
    return pa.LargeListArray.from_arrays(
        pa.array(figures.offsets), pa.array(figures.flat), mask=None if missing is None else pa.array(missing)
    )
