import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest

from service.core.errors import NotFound
from service.core.graph.graph import Graph
from service.core.graph.parts import GraphPart
from service.storage.database import Database
from service.storage.graphs import find_graph, get_graph, insert_graph
from service.storage.records import GraphRecord, TensorRecord
from service.storage.tensors import find_tensors, get_tensor, insert_tensor, load_tensor


def npy(array: np.ndarray) -> bytes:
    """The array as an .npy file."""
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def record_of(array: np.ndarray, body: bytes) -> TensorRecord:
    """The record of a tensor that was sent as `body`."""
    digest = hashlib.sha256(body).hexdigest()
    return TensorRecord(digest, array.dtype.str, array.shape, len(body), datetime.now(UTC))


@pytest.mark.parametrize("array", [np.float32(2.5), np.zeros((0, 3)), np.arange(200_000.0).reshape(2, -1)])
def test_a_tensor_is_stored_once_and_read_back_as_it_was_sent(database: Database, array: np.ndarray) -> None:
    body = npy(array)
    record = record_of(array, body)
    with database.write() as connection:
        assert insert_tensor(connection, record, body)
        assert not insert_tensor(connection, record, body)
    with database.read() as connection:
        assert get_tensor(connection, record.digest) == record
        assert load_tensor(connection, record.digest) == body
        assert find_tensors(connection, [record.digest, "0" * 64]) == {record.digest: record}


def test_a_tensor_that_is_not_stored_is_not_found(database: Database) -> None:
    with database.read() as connection:
        for read in (get_tensor, load_tensor):
            with pytest.raises(NotFound, match="no tensor 'sha256:ab'"):
                read(connection, "ab")


def test_versions_of_equal_content_differ_in_their_weights(
    database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]
) -> None:
    parts = (GraphPart("z", "blog@2", "0" * 64), GraphPart("g", "GroupNormalization"))
    plain = graph_record(graph)
    weighted = graph_record(graph, version=2, weights={"y": "1" * 64}, parts=parts)
    with database.write() as connection:
        insert_graph(connection, plain, graph)
        insert_graph(connection, weighted, graph)
    with database.read() as connection:
        assert get_graph(connection, plain.id) == plain == find_graph(connection, "example", graph.digest)
        found = find_graph(connection, "example", graph.digest, {"y": "1" * 64})
        assert get_graph(connection, weighted.id) == weighted == found
        assert find_graph(connection, "example", graph.digest, {"y": "2" * 64}) is None
