"""Tensors: the .npy files that were sent, each stored once by its SHA-256."""

from sqlalchemy import ColumnElement, Connection, Row, insert, select, true

from service.core.errors import NotFound
from service.core.figures.figures import FloatArray
from service.core.figures.npy import read_npy
from service.storage.jobs import SWEEP
from service.storage.models import DerivativeFigure, GraphRow, JobRow, RunFigures, TensorChunk, TensorRow
from service.storage.records import TensorRecord

_CHUNK_BYTES = 512 * 1024
_ALL = true()


def insert_tensor(connection: Connection, record: TensorRecord, body: bytes) -> bool:
    """Insert a tensor with its .npy file unless it is stored already; returns whether it is new."""
    if find_tensors(connection, [record.digest]):
        return False
    row = {
        "digest": record.digest,
        "dtype": record.dtype,
        "shape": list(record.shape),
        "nbytes": record.nbytes,
        "created_at": record.created_at,
    }
    connection.execute(insert(TensorRow), row)
    chunks = [
        {"digest": record.digest, "number": number, "data": body[start : start + _CHUNK_BYTES]}
        for number, start in enumerate(range(0, len(body), _CHUNK_BYTES))
    ]
    connection.execute(insert(TensorChunk), chunks)
    return True


def find_tensors(connection: Connection, digests: list[str]) -> dict[str, TensorRecord]:
    """Those of the tensors that are stored, by digest."""
    rows = connection.execute(select(TensorRow.__table__).where(TensorRow.digest.in_(digests)))
    return {row.digest: _record(row) for row in rows}


def get_tensor(connection: Connection, digest: str) -> TensorRecord:
    """Load one tensor's record; raises NotFound."""
    found = find_tensors(connection, [digest])
    if not found:
        raise NotFound(f"there is no tensor 'sha256:{digest}'")
    return found[digest]


def used_tensors(
    connection: Connection,
    graphs: ColumnElement[bool] = _ALL,
    figures: ColumnElement[bool] = _ALL,
    derivatives: ColumnElement[bool] = _ALL,
    jobs: ColumnElement[bool] = _ALL,
) -> set[str]:
    """The digests of the tensors that these graphs, figures of runs, figures of derivatives and sweeps refer to."""
    weights = connection.scalars(select(GraphRow.weights).where(GraphRow.weights.is_not(None), graphs))
    values = connection.scalars(select(RunFigures.tensors).where(RunFigures.tensors.is_not(None), figures))
    inputs = select(DerivativeFigure.tensor).where(DerivativeFigure.tensor.is_not(None), derivatives).distinct()
    swept = connection.scalars(select(JobRow.task["tensors"]).where(JobRow.kind == SWEEP, jobs))
    return {
        *(digest for each in swept for digest in each or ()),
        *(digest for each in weights for digest in (each or {}).values()),
        *(digest for each in values for _, digest in each or ()),
        *(digest for digest in connection.scalars(inputs) if digest),
    }


def load_tensor(connection: Connection, digest: str) -> bytes:
    """Load the .npy file of a tensor as it was sent; raises NotFound."""
    chunks = select(TensorChunk.data).where(TensorChunk.digest == digest).order_by(TensorChunk.number)
    body = b"".join(connection.execute(chunks).scalars())
    if not body:
        raise NotFound(f"there is no tensor 'sha256:{digest}'")
    return body


def load_array(connection: Connection, digest: str) -> FloatArray:
    """Load the array of a tensor, in float64 and read-only; raises NotFound."""
    array = read_npy(load_tensor(connection, digest))
    array.setflags(write=False)
    return array


def _record(row: Row[tuple[object, ...]]) -> TensorRecord:
    return TensorRecord(row.digest, row.dtype, tuple(row.shape), row.nbytes, row.created_at)
