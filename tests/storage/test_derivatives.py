"""Derivatives in the database."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from service.core.errors import Conflict, NotFound
from service.storage.database import Database
from service.storage.deletion import delete_graph
from service.storage.derivatives import Block, DerivativesRecord, get_derivatives, insert_derivatives
from service.storage.identifiers import new_id
from service.storage.records import GraphRecord

ODD = np.array([[np.nan, -0.0, np.inf], [5e-324, -np.inf, 0.1 + 0.2]])


def record(graph: GraphRecord, **changes: Any) -> DerivativesRecord:
    members: dict[str, Any] = {
        "id": new_id(),
        "graph_id": graph.id,
        "graph_digest": graph.digest,
        "kind": "jvp",
        "outputs": ("z",),
        "wrt": ("y", "x"),
        "inputs": {"y": np.array(-0.0), "x": ODD},
        "vector": {"x": ODD[::-1]},
        "blocks": (Block("z", None, ODD.T), Block(None, "x", np.zeros((0, 2))), Block("z", "x", np.array(np.nan))),
        "created_at": datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC),
    }
    return DerivativesRecord(**{**members, **changes})


def bits(figures: Any) -> list[Any]:
    return [(name, np.shape(figure), np.asarray(figure).tobytes()) for name, figure in figures]


def test_what_is_stored_comes_back_bit_for_bit(database: Database, stored: GraphRecord) -> None:
    kept = record(stored)
    with database.write() as connection:
        insert_derivatives(connection, kept)
    with database.read() as connection:
        found = get_derivatives(connection, kept.id)
    for member in ("id", "graph_id", "graph_digest", "kind", "outputs", "wrt", "created_at"):
        assert getattr(found, member) == getattr(kept, member)
    for member in ("inputs", "vector"):
        assert bits(getattr(found, member).items()) == bits(getattr(kept, member).items())
    assert bits(((block.of, block.wrt), block.value) for block in found.blocks) == bits(
        ((block.of, block.wrt), block.value) for block in kept.blocks
    )


def test_there_may_be_nothing_but_the_question(database: Database, stored: GraphRecord) -> None:
    kept = record(stored, inputs={}, vector={}, blocks=(), wrt=())
    with database.write() as connection:
        insert_derivatives(connection, kept)
        found = get_derivatives(connection, kept.id)
    assert (found.inputs, found.vector, found.blocks, found.wrt) == ({}, {}, (), ())


def test_none_of_that_id(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="there are no derivatives 'none'"):
        get_derivatives(connection, "none")


def test_they_need_their_graph(database: Database, stored: GraphRecord) -> None:
    with database.write() as connection:
        insert_derivatives(connection, record(stored))
    with database.write() as connection, pytest.raises(Conflict, match="1 set of derivatives refers to it"):
        delete_graph(connection, stored.id)
    with pytest.raises(IntegrityError), database.write() as connection:
        insert_derivatives(connection, record(stored, graph_id="none"))
