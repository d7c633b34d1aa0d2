"""The figures of runs: few are in the run's row, many in chunks, of which some are read without the others.

Figures are stored as little-endian float64, row-major. Those of a run's row have a layout where they are not all
scalars that are there: an object with their shapes, and the positions of those that are `absent` or recorded as `none`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, bindparam, func, insert, null, select

from service.core.errors import NotFound
from service.core.figures.figures import BoolArray, Figures, FloatArray
from service.storage.listing import together
from service.storage.models import Base, Content, GraphRow, RunChunk, RunFigures, RunRow
from service.storage.records import RunEnds
from service.storage.tensors import load_array

CHUNK_VALUES = 64 * 1024
ROW_BYTES = 64 * 1024  # of the values, or the gradients, that are in the run's row
_CHUNKS_TOGETHER = 16  # are in memory as bytes while they are inserted
_FLOAT64 = np.dtype("<f8")

# Built once, and from tables instead of entities: that saves a third of the time of reading a small run.
_runs, _figures, _chunks = (Base.metadata.tables[row.__tablename__].c for row in (RunRow, RunFigures, RunChunk))
_INSERT_FIGURES, _INSERT_CHUNKS = (insert(Base.metadata.tables[row.__tablename__]) for row in (RunFigures, RunChunk))
_OF_RUNS = _runs.id.in_(bindparam("runs", expanding=True))
_STORED_AS = {
    kind: select(
        *(_runs.id, _runs[kind].label("data"), _runs[f"{kind}_layout"].label("layout")),
        *(_figures.node_count, _figures.shapes, _figures.present, _figures.tensors),
    ).outerjoin_from(RunRow, RunFigures, and_(_figures.run_id == _runs.id, _figures.kind == kind))
    for kind in ("values", "gradients")
}
_STORED_ONE = {kind: query.where(_runs.id == bindparam("run")) for kind, query in _STORED_AS.items()}
_SMALL = (
    _STORED_AS["values"]
    .add_columns(_chunks.data.label("chunk"))
    .outerjoin(
        RunChunk,
        and_(
            *(_chunks.run_id == _runs.id, _chunks.kind == "values", _chunks.number == 0),
            *(func.length(_chunks.data) <= ROW_BYTES, _figures.tensors.is_(null())),
        ),
    )
    .where(_OF_RUNS)
)
_PARTS = select(_chunks.number, _chunks.data).where(
    _chunks.run_id == bindparam("run"),
    _chunks.kind == bindparam("kind"),
    _chunks.number.between(bindparam("lowest"), bindparam("highest")),
)
_SIZES = select(
    _runs.id,
    func.coalesce(func.length(_runs["values"]), 0) + func.coalesce(func.length(_runs.gradients), 0),
    select(func.sum(func.length(_chunks.data))).where(_chunks.run_id == _runs.id).scalar_subquery(),
).where(_OF_RUNS)
_TENSORS = select(_figures.run_id, _figures.shapes, _figures.tensors).where(
    _figures.run_id.in_(bindparam("runs", expanding=True)), _figures.tensors.is_not(null())
)
_ENDS = (
    select(_runs.id, _runs.ends, _runs.ends_layout, Content.inputs, Content.outputs)
    .join_from(RunRow, GraphRow)
    .join(Content)
    .where(_OF_RUNS, func.length(_runs.ends) <= bindparam("largest"))
)


def row_columns(ends: RunEnds | None, **kinds: Figures | None) -> dict[str, Any]:
    """The columns of a run's row for these kinds of figures, None if they are not in the row, and for its ends."""
    columns: dict[str, Any] = {}
    for name, figures in {**kinds, "ends": None if ends is None else ends.figures}.items():
        columns[name] = None if figures is None else write_array(figures.flat)
        columns[f"{name}_layout"] = None if figures is None else _layout(figures)
    if ends and ends.tensors:
        columns["ends_layout"] = {**(columns["ends_layout"] or {}), "tensors": sorted(ends.tensors.items())}
    return columns


def fits_row(figures: Figures | None) -> bool:
    """Whether figures that have no tensors among them are in the run's row."""
    return figures is not None and figures.flat.nbytes <= ROW_BYTES


def insert_chunked(connection: Connection, given: Sequence[tuple[str, str, Figures, Mapping[int, str]]]) -> None:
    """Insert figures that are not in their runs' rows: the run's id, the kind, the figures, and those of them that are
    tensors, by position."""
    rows = [
        {
            "run_id": run,
            "kind": kind,
            "node_count": len(figures),
            "shapes": None if figures.shapes is None else [list(shape) for shape in figures.shapes],
            "present": _pack_masks(figures),
            "tensors": sorted(tensors.items()) if tensors else None,
        }
        for run, kind, figures, tensors in given
    ]
    chunks = (
        {"run_id": run, "kind": kind, "number": number, "data": write_array(elements[start : start + CHUNK_VALUES])}
        for run, kind, figures, tensors in given
        for elements in [_without_tensors(figures, tensors) if tensors else figures.flat]
        for number, start in enumerate(range(0, len(elements), CHUNK_VALUES))
    )
    if rows:
        connection.execute(_INSERT_FIGURES, rows)
    while together := list(islice(chunks, _CHUNKS_TOGETHER)):
        connection.execute(_INSERT_CHUNKS, together)


def load_ends(connection: Connection, runs: Sequence[str], largest: int = ROW_BYTES) -> dict[str, RunEnds]:
    """The ends of these runs, by the run's id; left out where they are not stored or have more than `largest` bytes."""
    found = {}
    for some in together(runs):
        for row in connection.execute(_ENDS, {"runs": some, "largest": largest}):
            stored = _read_row(row.ends, row.ends_layout)
            found[row.id] = RunEnds(row.inputs, row.outputs, stored.figures, stored.tensors)
    return found


@dataclass(frozen=True, slots=True)
class _Stored:
    """One kind of a run's figures: of how many nodes, of what shapes (None if all are scalars), which of them are
    there, and the digests of those that are tensors; all others are `data`, which is None if they are in chunks."""

    data: bytes | None
    count: int
    shapes: Sequence[Sequence[int]] | None
    present: BoolArray | None
    none: BoolArray | None
    tensors: Mapping[int, str]

    @property
    def figures(self) -> Figures:
        """All of them, of which no one is in a chunk, or a tensor."""
        shapes = None if self.shapes is None else tuple(map(tuple, self.shapes))
        return Figures(np.frombuffer(self.data or b"", _FLOAT64), shapes, self.present, self.none)

    @property
    def sizes(self) -> list[int]:
        """How many elements each has."""
        return [1] * self.count if self.shapes is None else [*map(prod, self.shapes)]


def load_small_values(connection: Connection, positions: Mapping[str, int]) -> dict[str, FloatArray]:
    """The value of one node of each of these runs, by the run's id, in one query; left out where the run's values take
    more than 64 KB, or some are tensors, or where the node has none."""
    found = {}
    for row in connection.execute(_SMALL, {"runs": [*positions]}):
        stored = _read(row)
        if stored and (data := row.chunk if stored.data is None else stored.data) is not None:
            found[row.id] = replace(stored, data=data).figures[positions[row.id]]
    return {run: figure for run, figure in found.items() if figure is not None}


def load_figures(connection: Connection, run: str, kind: str, start: int = 0, stop: int | None = None) -> Figures:
    """Load the "values" or "gradients" of the nodes from `start` to before `stop`, read-only; raises NotFound.

    Only the chunks that hold them are read.
    """
    stored = _find(connection, run, kind)
    start, stop, _ = slice(start, stop).indices(stored.count)
    stop = max(start, stop)
    if stored.data is not None:
        return stored.figures.part(start, stop)
    present, none = (None if mask is None else mask[start:stop] for mask in (stored.present, stored.none))
    if stored.shapes is None and not stored.tensors:
        return Figures(_read_flat(connection, run, kind, start, stop), None, present, none)
    shapes = None if stored.shapes is None else tuple(map(tuple, stored.shapes[start:stop]))
    sizes, tensors = stored.sizes, stored.tensors
    chunked = [0 if position in tensors else size for position, size in enumerate(sizes)] if tensors else sizes
    first = sum(chunked[:start])
    flat = _read_flat(connection, run, kind, first, first + sum(chunked[start:stop]))
    within = {position - start: digest for position, digest in tensors.items() if start <= position < stop}
    return Figures(_with_tensors(connection, flat, sizes[start:stop], within), shapes, present, none)


def load_some_figures(connection: Connection, run: str, kind: str, positions: Sequence[int]) -> Figures:
    """Load the figures of the nodes at `positions`; the other nodes have none. Only the chunks with them are read."""
    stored = _find(connection, run, kind)
    shapes = None if stored.shapes is None else tuple(map(tuple, stored.shapes))
    present = np.zeros(stored.count, bool)
    present[list(positions)] = True
    if stored.present is not None:
        present &= stored.present
    if stored.data is not None:
        return Figures(stored.figures.flat, shapes, present)
    sizes, tensors = np.array(stored.sizes, np.int64), stored.tensors
    chunked = sizes.copy()
    chunked[list(tensors)] = 0
    ends = np.cumsum(chunked)
    numbers = {
        number
        for position in positions
        for number in range((ends[position] - chunked[position]) // CHUNK_VALUES, -(-ends[position] // CHUNK_VALUES))
    }
    flat = np.zeros(int(ends[-1]))
    columns = select(RunChunk.number, RunChunk.data).where(RunChunk.run_id == run, RunChunk.kind == kind)
    for chunk in connection.execute(columns.where(RunChunk.number.in_(map(int, numbers)))):
        part = np.frombuffer(chunk.data, _FLOAT64)
        flat[chunk.number * CHUNK_VALUES : chunk.number * CHUNK_VALUES + len(part)] = part
    if tensors:
        flat = _with_tensors(connection, flat, sizes.tolist(), tensors, {*positions})
    return Figures(flat, shapes, present)


def count_bytes(connection: Connection, runs: Sequence[str]) -> list[int]:
    """The bytes of all stored figures of each of the runs, which the database knows without reading them."""
    sizes = {run: in_row + int(in_chunks or 0) for run, in_row, in_chunks in connection.execute(_SIZES, {"runs": runs})}
    for run, shapes, tensors in connection.execute(_TENSORS, {"runs": runs}):
        elements = sum(1 if shapes is None else prod(shapes[position]) for position, _ in tensors)
        sizes[run] += 8 * elements
    return list(sizes.values())


def count_elements(connection: Connection, run: str, positions: Sequence[int]) -> int:
    """The elements of the values and the gradients of the nodes at `positions`, without reading chunks."""
    found = (_look(connection, run, kind) for kind in _STORED_ONE)
    return sum(
        1 if stored.shapes is None else prod(stored.shapes[position])
        for stored in found
        if stored
        for position in positions
        if position < stored.count
    )


def write_array(figures: FloatArray) -> bytes:
    """Serialise an array for storage: little-endian float64, row-major."""
    return figures.astype(_FLOAT64, copy=False).tobytes()


def read_array(blob: bytes, shape: Sequence[int]) -> FloatArray:
    """Deserialise an array that `write_array` wrote; read-only."""
    return np.frombuffer(blob, _FLOAT64).astype(np.float64, copy=False).reshape(shape)


def _find(connection: Connection, run: str, kind: str) -> _Stored:
    stored = _look(connection, run, kind)
    if stored is None:
        raise NotFound(f"the run {run!r} has no {kind}")
    return stored


def _look(connection: Connection, run: str, kind: str) -> _Stored | None:
    row = connection.execute(_STORED_ONE[kind], {"run": run}).one_or_none()
    return row and _read(row)


def _read(row: Any) -> _Stored | None:
    """How a kind of figures is stored, by a row of _STORED_AS; None if it is not."""
    if row.data is not None:
        return _read_row(row.data, row.layout)
    if row.node_count is None:
        return None
    present, none = (None, None) if row.present is None else _unpack(row.present, row.node_count)
    return _Stored(None, row.node_count, row.shapes, present, none, dict(row.tensors or ()))


def _read_row(data: bytes, layout: Mapping[str, Any] | None) -> _Stored:
    """Figures of a run's row, by the layout that `_layout` made."""
    layout = layout or {}
    shapes = layout.get("shapes")
    count = len(data) // _FLOAT64.itemsize if shapes is None else len(shapes)
    absent, none = (_mask(layout[name], count) if name in layout else None for name in ("absent", "none"))
    present = None if absent is None else ~absent
    if present is not None:
        present.setflags(write=False)
    return _Stored(data, count, shapes, present, none, dict(layout.get("tensors", ())))


def _layout(figures: Figures) -> dict[str, Any] | None:
    layout: dict[str, Any] = {}
    if figures.shapes is not None:
        layout["shapes"] = [list(shape) for shape in figures.shapes]
    if figures.present is not None:
        layout["absent"] = np.flatnonzero(~figures.present).tolist()
        if figures.none is not None:
            layout["none"] = np.flatnonzero(figures.none).tolist()
    return layout or None


def _mask(positions: Sequence[int], count: int) -> BoolArray:
    mask = np.zeros(count, bool)
    mask[positions] = True
    return mask


def _with_tensors(
    connection: Connection,
    flat: FloatArray,
    sizes: Sequence[int],
    tensors: Mapping[int, str],
    positions: Collection[int] | None = None,
) -> FloatArray:
    """The figures of these sizes, read-only, with those that are tensors between the others, which `flat` has; of the
    tensors those at `positions` alone, if given, and 0 in place of the others."""
    if not tensors:
        return flat
    whole, ends = np.zeros(sum(sizes)), np.cumsum(sizes, dtype=np.int64)
    begin = taken = 0
    for position in sorted(tensors):
        end = int(ends[position]) - sizes[position]
        whole[begin:end] = flat[taken : taken + end - begin]
        taken, begin = taken + end - begin, int(ends[position])
        if positions is None or position in positions:
            whole[end:begin] = load_array(connection, tensors[position]).ravel()
    whole[begin:] = flat[taken:]
    whole.setflags(write=False)
    return whole


def _without_tensors(figures: Figures, tensors: Mapping[int, str]) -> FloatArray:
    """The elements of the figures that are no tensors."""
    offsets = figures.offsets
    ends = [0, *(int(each) for position in sorted(tensors) for each in offsets[position : position + 2]), None]
    return np.concatenate([figures.flat[begin:end] for begin, end in zip(ends[::2], ends[1::2], strict=True)])


def _unpack(present: bytes, count: int) -> tuple[BoolArray, BoolArray | None]:
    """Which nodes have a figure, and which were recorded as none; None where no node was."""
    size = -(-count // 8)
    masks = (np.unpackbits(np.frombuffer(part, np.uint8), count=count) for part in (present[:size], present[size:]))
    given, none = (mask.view(np.bool_) for mask in masks)
    given.setflags(write=False)
    return given, none if len(present) > size else None


def _pack_masks(figures: Figures) -> bytes | None:
    if figures.present is None:
        return None
    masks = [figures.present] if figures.none is None else [figures.present, figures.none]
    return b"".join(np.packbits(mask).tobytes() for mask in masks)


def _read_flat(connection: Connection, run: str, kind: str, first: int, last: int) -> FloatArray:
    """The elements of the packed vector from `first` to before `last`, read-only; one chunk at a time is copied."""
    flat = np.zeros(last - first)
    numbers = {"lowest": first // CHUNK_VALUES, "highest": (last - 1) // CHUNK_VALUES}
    for number, data in connection.execute(_PARTS, {"run": run, "kind": kind, **numbers}):
        part, begin = np.frombuffer(data, _FLOAT64), number * CHUNK_VALUES - first
        flat[max(begin, 0) : begin + len(part)] = part[max(-begin, 0) : len(flat) - begin]
    flat.setflags(write=False)
    return flat
