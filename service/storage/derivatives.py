"""Derivatives: row ↔ record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import prod
from typing import Any, Unpack

import numpy as np
from sqlalchemy import Connection, Row, insert, select

from service.core.errors import NotFound
from service.core.figures.figures import FloatArray
from service.storage.listing import Listed, narrow
from service.storage.models import DerivativeFigure, DerivativesRow, GraphRow
from service.storage.run_figures import read_array, write_array
from service.storage.tensors import find_tensors, load_array

# The role of the blocks of a Jacobian or a Hessian that are all numbers, kept as one array.
_MATRIX = "matrix"


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The derivative of the node `of` with respect to the node `wrt`; None stands for all outputs, or all of `wrt`."""

    of: str | None
    wrt: str | None
    value: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class DerivativesRecord:
    """Derivatives of one graph: the request, with the point (`inputs`) and the vector, and the resulting blocks.

    `tensors` has the digests of the inputs that are stored as tensors.
    """

    id: str
    graph_id: str
    graph_digest: str
    kind: str
    outputs: tuple[str, ...]
    wrt: tuple[str, ...]
    inputs: Mapping[str, FloatArray]
    vector: Mapping[str, FloatArray]
    blocks: tuple[Block, ...]
    created_at: datetime
    tensors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DerivativesHead:
    """Derivatives of one graph without their figures."""

    id: str
    graph_id: str
    graph_digest: str
    kind: str
    outputs: tuple[str, ...]
    wrt: tuple[str, ...]
    created_at: datetime


def insert_derivatives(connection: Connection, record: DerivativesRecord) -> None:
    """Insert derivatives and their arrays."""
    row = {
        "id": record.id,
        "graph_id": record.graph_id,
        "kind": record.kind,
        "outputs": list(record.outputs),
        "wrt": list(record.wrt),
        "created_at": record.created_at,
    }
    connection.execute(insert(DerivativesRow), row)
    # Those that were deleted meanwhile are stored as the figures that they are.
    stored = find_tensors(connection, [*record.tensors.values()]) if record.tensors else {}
    figures = [
        {
            "derivatives_id": record.id,
            "number": number,
            "role": role,
            "of": block.of,
            "wrt": block.wrt,
            "shape": list(block.value.shape),
            "data": b"" if tensor in stored else write_array(block.value),
            "tensor": tensor if tensor in stored else None,
        }
        for number, (role, block) in enumerate(_figures(record))
        for tensor in [record.tensors.get(block.of or "") if role == "input" else None]
    ]
    if figures:
        connection.execute(insert(DerivativeFigure), figures)


def count_numbers(connection: Connection, identifier: str) -> tuple[int, int]:
    """Count the numbers of stored derivatives, and how many blocks they are, without reading them."""
    columns = select(DerivativeFigure.role, DerivativeFigure.shape)
    rows = connection.execute(columns.where(DerivativeFigure.derivatives_id == identifier)).all()
    sizes = [(row.role, prod(row.shape)) for row in rows]
    return sum(size for _, size in sizes), sum(size if role == _MATRIX else 1 for role, size in sizes)


def list_derivatives(
    connection: Connection, *, graph: str, limit: int, **asked: Unpack[Listed]
) -> list[DerivativesHead]:
    """At most `limit` of the derivatives of a graph that are asked for, newest first unless `sort` says."""
    query = select(DerivativesRow.__table__, GraphRow.digest).join(GraphRow).where(DerivativesRow.graph_id == graph)
    return [
        DerivativesHead(
            id=row.id,
            graph_id=row.graph_id,
            graph_digest=row.digest,
            kind=row.kind,
            outputs=tuple(row.outputs),
            wrt=tuple(row.wrt),
            created_at=row.created_at,
        )
        for row in connection.execute(narrow(connection, query, DerivativesRow, asked, limit))
    ]


def get_derivatives(connection: Connection, identifier: str) -> DerivativesRecord:
    """Load derivatives by id; raises NotFound."""
    query = select(DerivativesRow.__table__, GraphRow.digest).join(GraphRow).where(DerivativesRow.id == identifier)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there are no derivatives {identifier!r}")
    figures = select(DerivativeFigure.__table__).where(DerivativeFigure.derivatives_id == identifier)
    tensors: dict[str, str] = {}
    found: dict[str, list[Block]] = {"input": [], "vector": [], "block": []}
    for figure in connection.execute(figures.order_by(DerivativeFigure.number)):
        if figure.role == _MATRIX:
            found["block"] = _blocks_of_matrix(row, read_array(figure.data, figure.shape))
        else:
            found[figure.role].append(_block(connection, figure))
            if figure.tensor:
                tensors[figure.of] = figure.tensor
    inputs, vector = ({block.of: block.value for block in found[role] if block.of} for role in ("input", "vector"))
    return DerivativesRecord(
        id=row.id,
        graph_id=row.graph_id,
        graph_digest=row.digest,
        kind=row.kind,
        outputs=tuple(row.outputs),
        wrt=tuple(row.wrt),
        inputs=inputs,
        vector=vector,
        blocks=tuple(found["block"]),
        created_at=row.created_at,
        tensors=tensors,
    )


def _figures(record: DerivativesRecord) -> Iterator[tuple[str, Block]]:
    yield from (("input", Block(name, None, np.asarray(value))) for name, value in record.inputs.items())
    yield from (("vector", Block(name, None, value)) for name, value in record.vector.items())
    rows = _row_names(record)
    if len(record.blocks) == len(rows) * len(record.wrt) and not any(block.value.ndim for block in record.blocks):
        numbers = np.array([block.value for block in record.blocks]).reshape(len(rows), len(record.wrt))
        yield _MATRIX, Block(None, None, numbers)
    else:
        yield from (("block", block) for block in record.blocks)


def _row_names(record: DerivativesRecord | Row[Any]) -> Sequence[str]:
    """The nodes whose derivatives the rows of a Jacobian or a Hessian hold; none of another kind."""
    return {"jacobian": record.outputs, "hessian": record.wrt}.get(record.kind, ())


def _blocks_of_matrix(record: Row[Any], numbers: FloatArray) -> list[Block]:
    return [
        Block(of, wrt, numbers[row, column, ...])
        for row, of in enumerate(_row_names(record))
        for column, wrt in enumerate(record.wrt)
    ]


def _block(connection: Connection, row: Row[Any]) -> Block:
    array = read_array(row.data, row.shape) if row.tensor is None else load_array(connection, row.tensor)
    return Block(row.of, row.wrt, array)
