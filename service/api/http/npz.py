"""NumPy's .npz in and out: for figures in bulk, which take JSON many times as long.

A body is the JSON body with its arrays taken out of it: each array of real numbers stands under the path that it has
there, `inputs/NAME`, `seed`, `recorded/values/NAME`, `recorded/gradients/NAME` or, of steps, `values/NAME`, and the
member `request`, if there is one, holds the rest as JSON (a string). An answer holds the nodes of a run in topological
order:

    names, operations    a string: a line for each node (no name holds a line break)
    values, gradients    float64: the figures one after the other, each row-major; no gradients before a backward pass
    offsets              int64: where each node's figure begins in both, and, last, where the last one ends
    shapes               int64: a row for each node, filled up with -1
    has_value, has_gradient, nondifferentiable    bool; a figure that is not there is NaN in its place
    closed               a string: a line for each node, the operands with which it does not change here, parted by tabs
                         (no name holds one); not in an answer of inputs' gradients and outputs only
    run                  a string: the run as JSON, without its nodes, tensors as null; not in an answer of nodes only

An answer of a sweep's points holds, of each:

    point                int64: its number
    at/NAME              float64: an input that varies
    figures/NAME         float64: a figure
    complete             bool: whether none of those that were asked for is still to be computed
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from service.api.documents import closed_names
from service.api.http.json_writing import write_json
from service.api.http.pieces import Pieces
from service.api.http.strict_json import read_json
from service.core.errors import Fault, GradbookError, InvalidRequest, LimitExceeded
from service.core.figures.figures import Figures, FloatArray, Shape, pack
from service.core.figures.npy import read_array, read_data, read_header
from service.settings import Limits
from service.usecases.runs import StoredRun
from service.usecases.sweeps import SweepPoints

MEDIA_TYPE = "application/x-npz"
_REQUEST = "request"
_WORTH_COMPRESSING = 65_536  # bytes
_NUMBERS = 32_768  # of a figure, written at once
_PLACES: tuple[tuple[str, ...], ...] = (("inputs",), ("values",), ("recorded", "values"), ("recorded", "gradients"))
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, OverflowError)
# LZMA and bzip2 unpack a block at once, whatever it unpacks to.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")  # of an archive with members, and without
_ENTRY = b"PK\x01\x02"  # where the directory names a member


class MalformedArchive(GradbookError):
    """A body that is not an .npz archive."""


# --- a body -------------------------------------------------------------------------------------------------------


def read_npz(body: bytes, limits: Limits) -> Any:
    """The JSON body that an .npz stands for, with arrays in it.

    Sizes are read from the members' headers and held to the limits before an array is made. Raises MalformedArchive
    for anything but an archive, InvalidRequest with the place of what is damaged or wrong, LimitExceeded.
    """
    if not body.startswith(_BEGINNINGS):
        raise MalformedArchive("the body is not an .npz archive")
    _check_limit("archive_members", limits.archive_members, body.count(_ENTRY), "the .npz has members:")
    try:
        archive = zipfile.ZipFile(io.BytesIO(body))
    except _UNREADABLE as error:
        raise InvalidRequest([Fault((), f"the .npz is damaged: {error}")]) from None
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(members) < len(archive.infolist()):
        raise MalformedArchive("a member appears twice in the .npz")
    asked = members.pop(_REQUEST, None)
    document = {} if asked is None else _read_request(archive, asked, limits)
    if not isinstance(document, dict):
        return document
    elements = 0
    for name, info in members.items():
        place = _place(name)
        with _blamed(place), _open(archive, info) as member:
            header = read_header(member)
            header.check()
            size = prod(header.shape)
            elements += size
            _check_limit("tensor_elements", limits.tensor_elements, size, f"{name!r} has")
            _check_limit("run_elements", limits.run_elements, elements, "the arrays have")
            _put(document, place, read_array(member, header))
    return document


def _read_request(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits) -> Any:
    with _blamed((_REQUEST,)), _open(archive, info) as member:
        header = read_header(member)
        if header.descr[1] != "U" or header.shape:
            raise ValueError(f"one string is expected, not {list(header.shape)} of {header.descr}")
        _check_limit("body_bytes", limits.body_bytes, header.nbytes, "the request has")
        text = b"".join(read_data(member, header.nbytes)).decode("utf-32-be" if header.descr[0] == ">" else "utf-32-le")
    return read_json(text.rstrip("\0").encode(), limits.json_depth)


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.compress_type not in _PACKINGS:
        raise ValueError("a member is stored as it is or deflated, and packed in no other way")
    return archive.open(info)


def _place(name: str) -> tuple[str, ...]:
    """Where in the JSON body the array of that name stands."""
    if name == "seed":
        return (name,)
    for path in _PLACES:
        prefix = "/".join(path) + "/"
        if name.startswith(prefix) and name != prefix:
            return (*path, name.removeprefix(prefix))
    raise InvalidRequest(
        [
            Fault(
                (name,),
                "unknown member; known: request, seed, inputs/NAME, recorded/values/NAME, recorded/gradients/NAME, "
                "values/NAME",
            )
        ]
    )


@contextmanager
def _blamed(place: tuple[str, ...]) -> Iterator[None]:
    """Whatever the libraries find wrong is a fault of the member."""
    try:
        yield
    except _UNREADABLE as error:
        raise InvalidRequest([Fault(place, f"not a readable array: {error or type(error).__name__}")]) from None


def _check_limit(limit: str, most: int, count: int, subject: str) -> None:
    if count > most:
        raise LimitExceeded(limit, most, count, f"{subject} {count}; the limit {limit} is {most}")


def _put(document: dict[str, Any], place: tuple[str, ...], array: FloatArray) -> None:
    within = document
    for step in place[:-1]:
        within = within.setdefault(step, {})
        if not isinstance(within, dict):
            raise ValueError(f"{step} is not an object in the request")
    if place[-1] in within:
        raise ValueError("it is also given in the request")
    within[place[-1]] = array


# --- an answer ----------------------------------------------------------------------------------------------------


def write_run(
    run: StoredRun,
    closed: Mapping[int, Iterable[int]],
    document: Mapping[str, Any] | None = None,
    only: Sequence[int] | None = None,
) -> list[bytes]:
    """A run with the nodes that it has the figures of, or with those at the positions `only` of them.

    By position, `closed` says along which operands nothing flows back.
    """
    nodes, values, gradients = run.nodes, run.values, run.gradients
    kinks = np.zeros(len(run.graph), dtype=bool)
    kinks[list(run.record.nondifferentiable)] = True
    kinks = kinks[run.start : run.start + len(nodes)]
    if only is not None:
        nodes, kinks = [nodes[place] for place in only], kinks[list(only)]
        values = pack([values[place] for place in only])
        gradients = None if gradients is None else pack([gradients[place] for place in only])
    has_value, has_gradient = (
        np.full(len(nodes), figures is not None) if figures is None or figures.present is None else figures.present
        for figures in (values, gradients)
    )
    shapes = values.shapes
    if gradients is not None and gradients.shapes != shapes:  # where a value is missing its gradient has the shape
        shapes = tuple((values if has_value[k] else gradients).shape(k) for k in range(len(nodes)))
    members = {
        "names": np.array("\n".join(node.name for node in nodes)),
        "operations": np.array("\n".join(node.operation.name for node in nodes)),
        "values": _in_shapes(values, shapes),
        **({} if gradients is None else {"gradients": _in_shapes(gradients, shapes)}),
        "offsets": Figures(values.flat, shapes).offsets,
        "shapes": _table(shapes or ((),) * len(nodes)),
        "has_value": has_value,
        "has_gradient": has_gradient,
        "nondifferentiable": kinks,
        **({} if only is not None else {"closed": np.array("\n".join(map("\t".join, closed_names(run, closed))))}),
        **({} if document is None else {"run": np.array(b"".join(write_json(document)).decode())}),
    }
    return write_members(members)


def write_points(points: SweepPoints) -> list[bytes]:
    """The points of a sweep."""
    return write_members(
        {
            "point": points.numbers,
            **{f"at/{name}": column for name, column in points.inputs.items()},
            **{f"figures/{name}": column for name, column in points.figures.items()},
            "complete": np.array(points.is_complete),
        }
    )


def _in_shapes(figures: Figures, shapes: tuple[Shape, ...] | None) -> FloatArray:
    """The figures at these shapes one after the other, NaN for one that is not there."""
    if figures.shapes != shapes:
        assert shapes is not None
        parts = [
            np.full(shape, np.nan) if figure is None else figure for figure, shape in zip(figures, shapes, strict=True)
        ]
        return np.concatenate([part.ravel() for part in parts])
    if figures.present is None:
        return figures.flat
    return np.where(np.repeat(figures.present, np.diff(figures.offsets)), figures.flat, np.nan)


def _table(shapes: Sequence[Shape]) -> NDArray[np.int64]:
    table = np.full((len(shapes), max(map(len, shapes), default=0)), -1, dtype=np.int64)
    for row, shape in enumerate(shapes if table.size else ()):
        table[row, : len(shape)] = shape
    return table


def write_members(members: Mapping[str, NDArray[Any]]) -> list[bytes]:
    """Write an .npz of these members.

    The same bytes for the same arrays, as an ETag needs; figures would hardly shrink and are not compressed.
    Figures go from their own memory into the pieces; what is compressed is small.
    """
    written = Pieces()
    with zipfile.ZipFile(written, "w") as archive:
        for name, array in members.items():
            info, header = zipfile.ZipInfo(f"{name}.npy"), _header(array.dtype.str, array.shape)
            if array.dtype == np.float64 and array.size > _NUMBERS:
                info.file_size = array.nbytes  # from which zipfile foresees whether the size needs 64 bits
                numbers = array.ravel()
                with archive.open(info, "w") as member:
                    member.write(header)
                    for begin in range(0, array.size, _NUMBERS):
                        member.write(numbers[begin : begin + _NUMBERS].data)
                continue
            is_short = array.dtype == np.float64 or array.nbytes < _WORTH_COMPRESSING
            packing = zipfile.ZIP_STORED if is_short else zipfile.ZIP_DEFLATED
            archive.writestr(info, header + array.tobytes(), packing, compresslevel=1)
    return written.pieces


@lru_cache(256)
def _header(descr: str, shape: Shape) -> bytes:
    """The header of an .npy: as long to write as a thousand numbers, and much alike from one answer to the next."""
    text = io.BytesIO()
    npy.write_array_header_1_0(text, {"descr": descr, "fortran_order": False, "shape": shape})
    return text.getvalue()
