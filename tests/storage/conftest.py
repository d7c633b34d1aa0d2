"""A migrated database, and records to put in it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.storage.database import Database
from service.storage.graphs import insert_graph
from service.storage.identifiers import new_id
from service.storage.records import GraphRecord, RunRecord


@pytest.fixture
def database(empty_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Database]:
    """A new database for one test."""
    with closing(Database(empty_database(tmp_path))) as made:
        yield made


@pytest.fixture(scope="module")
def shared_database(
    empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """One database for all examples of the property tests of a module; they take new names and ids."""
    with closing(Database(empty_database(tmp_path_factory.mktemp("shared")))) as made:
        yield made


@pytest.fixture(scope="session")
def graph() -> Graph:
    """z = x·y."""
    return build_graph(
        [
            {"name": "x", "operation": "Input"},
            {"name": "y", "operation": "Input"},
            {"name": "z", "operation": "Mul", "inputs": ["x", "y"]},
        ]
    )


@pytest.fixture(scope="session")
def graph_record() -> Callable[..., GraphRecord]:
    """The record of a graph, with members changed at will."""

    def make(graph: Graph, **changes: Any) -> GraphRecord:
        members: dict[str, Any] = {
            "id": new_id(),
            "name": "example",
            "version": 1,
            "digest": graph.digest,
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            "node_count": len(graph),
            "expression": None,
            "parent": None,
            "tags": {},
            "created_at": datetime.now(UTC),
        }
        return GraphRecord(**{**members, **changes})

    return make


@pytest.fixture(scope="session")
def run_record() -> Callable[..., RunRecord]:
    """The record of a run of a stored graph, with members changed at will."""

    def make(graph: GraphRecord, **changes: Any) -> RunRecord:
        members: dict[str, Any] = {
            "id": new_id(),
            "graph_id": graph.id,
            "graph_name": graph.name,
            "graph_version": graph.version,
            "graph_digest": graph.digest,
            "source": "computed",
            "recorded_by": None,
            "dtype": "float64",
            "output": graph.outputs[0],
            "seed": np.array(1.0),
            "has_values": True,
            "has_gradients": False,
            "convention": "minimum-norm",
            "nonfinite_forward": None,
            "nonfinite_backward": None,
            "nondifferentiable": (),
            "label": None,
            "tags": {},
            "created_at": datetime.now(UTC),
        }
        return RunRecord(**{**members, **changes})

    return make


@pytest.fixture
def stored(database: Database, graph: Graph, graph_record: Callable[..., GraphRecord]) -> GraphRecord:
    """z = x·y, kept in `database`."""
    record = graph_record(graph)
    with database.write() as connection:
        insert_graph(connection, record, graph)
    return record
