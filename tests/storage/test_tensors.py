import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest
from sqlalchemy import func, select

from service.core.errors import NotFound
from service.core.figures.figures import pack
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.graph.parts import GraphPart
from service.storage.database import Database
from service.storage.derivatives import Block, DerivativesRecord, count_numbers, get_derivatives, insert_derivatives
from service.storage.graphs import find_graph, get_graph, insert_graph
from service.storage.identifiers import new_id
from service.storage.models import DerivativeFigure, RunChunk
from service.storage.records import GraphRecord, RunRecord, TensorRecord
from service.storage.run_figures import count_bytes, load_figures, load_small_values, load_some_figures
from service.storage.runs import get_run, insert_run
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


def test_a_runs_tensors_are_stored_once_and_read_with_its_other_figures(
    database: Database, graph_record: Callable[..., GraphRecord], run_record: Callable[..., RunRecord]
) -> None:
    """Whichever nodes are tensors, whichever are read: the same bits as of a run that holds all figures itself."""
    large = np.random.default_rng(3).standard_normal((3, 30_000)).astype(np.float32)
    large[0, :3] = [np.nan, -0.0, np.inf]
    arrays = [np.float64(2.5), large, np.arange(70_000.0), large[:, :5], np.zeros((0, 2)), np.float32(-1.5)]
    nodes = [{"name": f"x{number}", "operation": "Input"} for number in range(len(arrays))]
    graph = build_graph([*nodes, {"name": "y", "operation": "Neg", "inputs": ["x2"]}])
    values = pack([*(array.astype(np.float64) for array in arrays), -arrays[2]])
    record, bodies = graph_record(graph), [npy(array) for array in arrays]
    tensors = [record_of(array, body) for array, body in zip(arrays, bodies, strict=True)]
    with database.write() as connection:
        insert_graph(connection, record, graph)
        for tensor, body in zip(tensors, bodies, strict=True):
            insert_tensor(connection, tensor, body)
    for kept in ([], [1], [0, 5], [1, 2], [0, 1, 2, 3, 4, 5]):
        run = run_record(record, tensors={position: tensors[position].digest for position in kept})
        with database.write() as connection:
            insert_run(connection, run, values, values)
        with database.read() as connection:
            stored = connection.execute(
                select(func.sum(func.length(RunChunk.data))).where(RunChunk.run_id == run.id, RunChunk.kind == "values")
            ).scalar_one()
            assert stored == values.flat.nbytes - 8 * sum(arrays[position].size for position in kept)
            assert count_bytes(connection, [run.id]) == [2 * values.flat.nbytes]
            assert get_run(connection, run.id).tensors == run.tensors
            for start, stop in ((0, None), (0, 1), (1, 2), (1, 4), (3, 6), (6, 7), (2, 2)):
                read = load_figures(connection, run.id, "values", start, stop)
                expected = values.part(start, len(values) if stop is None else stop)
                assert read.flat.tobytes() == expected.flat.tobytes() and read.shapes == expected.shapes, (kept, start)
            for positions in ([1], [0, 3, 6], [2, 5]):
                some = load_some_figures(connection, run.id, "values", positions)
                assert all(some[at].tobytes() == values[at].tobytes() for at in positions), (kept, positions)
                assert some.present is not None and some.present.nonzero()[0].tolist() == positions


def test_small_values_and_scalars_that_are_tensors_are_read_from_them(
    database: Database, stored: GraphRecord, run_record: Callable[..., RunRecord]
) -> None:
    body = npy(np.float64(3.0))
    tensor = record_of(np.float64(3.0), body)
    run = run_record(stored, tensors={1: tensor.digest})
    lost = run_record(stored, tensors={0: "0" * 64})
    values = pack([np.float64(2.0), np.float64(3.0), np.float64(6.0)])
    with database.write() as connection:
        insert_tensor(connection, tensor, body)
        for each in (run, lost):
            insert_run(connection, each, values, None)
    with database.read() as connection:
        for each in (run, lost):
            assert load_figures(connection, each.id, "values").flat.tolist() == [2, 3, 6]
            assert load_figures(connection, each.id, "values", 1, 3).flat.tolist() == [3, 6]
        assert get_run(connection, lost.id).tensors == {}, "it refers to no tensor that is not stored"
        assert load_small_values(connection, {run.id: 2, lost.id: 2}) == {lost.id: 6}


def test_derivatives_refer_to_the_tensors_of_their_inputs(database: Database, stored: GraphRecord) -> None:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    body = npy(weight)
    tensor = record_of(weight, body)
    blocks = (Block("z", "x", np.ones((2, 3))), Block("z", "y", np.ones(())))
    point = {"x": weight.astype(np.float64), "y": np.array(2.0)}
    members = {"kind": "vjp", "outputs": ("z",), "wrt": ("x", "y"), "vector": {}, "created_at": datetime.now(UTC)}
    record = DerivativesRecord(
        new_id(), stored.id, stored.digest, inputs=point, blocks=blocks, tensors={"x": tensor.digest}, **members
    )
    with database.write() as connection:
        insert_tensor(connection, tensor, body)
        insert_derivatives(connection, record)
    with database.read() as connection:
        read = get_derivatives(connection, record.id)
        sizes = connection.execute(
            select(func.length(DerivativeFigure.data)).order_by(DerivativeFigure.number)
        ).scalars()
        assert list(sizes) == [0, 8, 48, 8]
        assert count_numbers(connection, record.id) == (6 + 1 + 6 + 1, 4)
    assert read.tensors == {"x": tensor.digest} and read.inputs["x"].tobytes() == point["x"].tobytes()
