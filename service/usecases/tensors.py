"""Tensors: arrays that are sent once, as .npy, and then stand for themselves by the SHA-256 of that file."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from math import prod
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.core.errors import DigestMismatch, Fault, InvalidInputs, LimitExceeded, MalformedTensor
from service.core.figures.figures import Figures, FloatArray
from service.core.figures.npy import REAL_OR_BOOLEAN, Header, read_header, write_npy
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.rulebook.tensor import Tensor
from service.storage import tensors as storage
from service.storage.records import GraphRecord, TensorRecord
from service.usecases.context import Context
from service.usecases.weighing import STORED_BYTE

_PREFIX = "sha256:"
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
EXPECTED = "sha256: and 64 hexadecimal digits in lower case are expected"


@dataclass(frozen=True, slots=True)
class TensorReference:
    """A stored tensor in place of an array, by its SHA-256 in hexadecimal."""

    digest: str


Given: TypeAlias = FloatArray | TensorReference


def read_digest(text: object) -> str:
    """The hexadecimal digits of "sha256:…"; raises ValueError."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise ValueError(EXPECTED)
    return text.removeprefix(_PREFIX)


def write_digest(digest: str) -> str:
    """The digest as requests and answers have it."""
    return f"{_PREFIX}{digest}"


# --- storing and reading ------------------------------------------------------------------------------------------


def put_tensor(context: Context, digest: str, body: bytes) -> tuple[TensorRecord, bool]:
    """Store an .npy under its SHA-256, unless it is stored already; returns its record and whether it is new.

    Raises MalformedTensor, LimitExceeded, DigestMismatch.
    """
    record = _read_record(context, digest, body)
    found = hashlib.sha256(body).hexdigest()
    if found != digest:
        raise DigestMismatch(f"the SHA-256 of the body is {found}")
    with context.database.write() as connection:
        new = storage.insert_tensor(connection, record, body)
        return (record if new else storage.get_tensor(connection, digest)), new


def keep_arrays(context: Context, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, str]:
    """Store arrays, each in its own dtype, and return their digests by the same names; raises as `put_tensor`."""
    packed = {name: write_npy(array) for name, array in arrays.items()}
    records = [(_read_record(context, digest, body), body) for digest, body in packed.values()]
    with context.database.write() as connection:
        for record, body in records:
            storage.insert_tensor(connection, record, body)
    return {name: digest for name, (digest, _) in packed.items()}


def get_tensor(context: Context, digest: str) -> TensorRecord:
    """The record of a tensor; raises NotFound."""
    with context.database.read() as connection:
        return storage.get_tensor(connection, digest)


def load_tensor(context: Context, record: TensorRecord) -> bytes:
    """The .npy of a tensor as it was sent; raises NotFound, and as `Context.admit`."""
    context.admit(STORED_BYTE * record.nbytes)
    with context.database.read() as connection:
        return storage.load_tensor(connection, record.digest)


def _read_record(context: Context, digest: str, body: bytes) -> TensorRecord:
    """What the header of an .npy says; raises MalformedTensor, LimitExceeded."""
    header = _read_header(body)
    elements, most = prod(header.shape), context.limits.tensor_elements
    if elements > most:
        detail = f"the tensor has {elements} elements; the limit tensor_elements is {most}"
        raise LimitExceeded("tensor_elements", most, elements, detail)
    return TensorRecord(digest, header.descr, header.shape, len(body), datetime.now(UTC))


def _read_header(body: bytes) -> Header:
    file = BytesIO(body)
    try:
        header = read_header(file)
        header.check(REAL_OR_BOOLEAN)
        there = len(body) - file.tell()
        if there != header.nbytes:
            raise ValueError(f"its header promises {header.nbytes} bytes of data, and there are {there}")
    except ValueError as error:
        raise MalformedTensor(f"the body is not an .npy of real numbers: {error}") from None
    return header


# --- tensors in place of arrays -----------------------------------------------------------------------------------


def with_weights(graph: GraphRecord, inputs: Mapping[str, Given], without: Collection[str] = ()) -> dict[str, Given]:
    """The inputs, and the graph's weights for those that are not given, nor are among those `without`."""
    weights = {name: TensorReference(digest) for name, digest in graph.weights.items() if name not in without}
    return {**weights, **inputs}


def named_tensors(figures: Mapping[str, Given | None]) -> dict[str, str]:
    """The digests of those that are tensors, by name."""
    return {name: each.digest for name, each in figures.items() if isinstance(each, TensorReference)}


@overload
def load_arrays(
    context: Context, figures: Mapping[str, Given], location: tuple[str | int, ...]
) -> dict[str, FloatArray]: ...


@overload
def load_arrays(
    context: Context, figures: Mapping[str, Given | None], location: tuple[str | int, ...]
) -> dict[str, FloatArray | None]: ...


def load_arrays(
    context: Context, figures: Mapping[str, Given | None], location: tuple[str | int, ...]
) -> Mapping[str, FloatArray | None]:
    """The figures with the arrays of tensors in their place; `location` is where the request has the figures.

    Raises InvalidInputs for each tensor that is not stored, and as `Context.admit` for those that are not cached.
    """
    named = named_tensors(figures)
    if not named:
        return {name: each for name, each in figures.items() if not isinstance(each, TensorReference)}
    records = find_tensors(context, named, location)
    to_load = [record for record in records.values() if record.digest not in context.tensors]
    context.admit(sum(map(_weigh, to_load), Weight()))
    arrays = {
        digest: context.tensors.get(digest, partial(_load, context, record)) for digest, record in records.items()
    }
    return {name: arrays[each.digest] if isinstance(each, TensorReference) else each for name, each in figures.items()}


def find_tensors(
    context: Context, named: Mapping[str, str], location: tuple[str | int, ...]
) -> dict[str, TensorRecord]:
    """The records of tensors by digest; raises InvalidInputs with the place of each that is not stored."""
    with context.database.read() as connection:
        return require_tensors(connection, named, location)


def require_tensors(
    connection: Connection, named: Mapping[str, str], location: tuple[str | int, ...]
) -> dict[str, TensorRecord]:
    """`find_tensors` in a transaction, as where they are needed by what it stores."""
    records = storage.find_tensors(connection, sorted(set(named.values())))
    faults = [
        Fault(
            (*location, name), f"there is no tensor {write_digest(digest)!r}; store it with PUT /v1/tensors/{{digest}}"
        )
        for name, digest in named.items()
        if digest not in records
    ]
    if faults:
        raise InvalidInputs(faults)
    return records


def load_array(context: Context, figure: Given, location: tuple[str | int, ...]) -> FloatArray:
    """One such figure, or the array of the tensor that it is; raises as `load_arrays`."""
    *above, name = location
    return load_arrays(context, {str(name): figure}, tuple(above))[str(name)]


def load_constants(context: Context, nodes: object) -> None:
    """Put the arrays of tensors in place of {"tensor": "sha256:…"} as a Constant's value in documents of nodes; raises
    as `load_arrays`. What is no list of such documents is left as it is, for whoever builds the graph to refuse."""
    if isinstance(nodes, list):
        for number, node in enumerate(nodes):
            nodes[number] = _load_constant(context, node, ("nodes", number, "attributes"))


def _load_constant(context: Context, node: Any, location: tuple[str | int, ...]) -> object:
    match node:
        case {"operation": "Constant" | "constant", "attributes": {"value": {"tensor": str(text), **others}}} if (
            not others
        ):
            try:
                array = load_array(context, TensorReference(read_digest(text)), (*location, "value"))
            except ValueError as error:
                raise InvalidInputs([Fault((*location, "value", "tensor"), str(error))]) from None
            value = Tensor(array) if array.ndim else float(array)
            return {**node, "attributes": {**node["attributes"], "value": value}}
    return node


def tensors_of(
    graph: Graph, values: Figures, named: Mapping[str, str], arrays: Mapping[str, FloatArray]
) -> dict[int, str]:
    """The digests of the named tensors that are the values of their nodes bit for bit, by position: an Input may have
    rounded its own to float32."""
    positions = {name: graph.position[name] for name in named}
    return {
        positions[name]: digest
        for name, digest in named.items()
        if (value := values[positions[name]]) is not None
        and np.array_equal(value.view(np.int64), arrays[name].view(np.int64))
    }


def _weigh(record: TensorRecord) -> Weight:
    """Of loading a tensor, and of its array in float64."""
    return STORED_BYTE * record.nbytes + Weight(1.0, 8.0) * prod(record.shape)


def _load(context: Context, record: TensorRecord) -> FloatArray:
    with context.database.read() as connection:
        return storage.load_array(connection, record.digest)
