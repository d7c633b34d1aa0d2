"""Databases of released schemas, with rows in every table, upgraded and used."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.settings import Limits
from service.storage.database import Database
from service.storage.keys import find_key
from service.usecases.comparisons import create_comparison, get_comparison, list_comparisons
from service.usecases.context import Context
from service.usecases.derivatives import get_derivatives
from service.usecases.graphs import list_graphs
from service.usecases.runs import create_run, get_run, list_runs

RELEASED = Path(__file__).parents[1] / "storage" / "released"


@pytest.mark.sqlite
@pytest.mark.parametrize("released", ["0003.sql", "0004.sql", "0005.sql", "0006.sql", "0007.sql", "0008.sql"])
def test_a_database_of_a_released_schema_is_upgraded_and_used(released: str, tmp_path: Path) -> None:
    file = tmp_path / "released.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((RELEASED / released).read_text())
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, table
    assert ("derivatives" in tables) == (released != "0003.sql")
    database = Database(f"sqlite:///{file}")
    database.migrate()
    context = Context(database, Limits())

    (kinks,) = list_graphs(context, name="kinks", tag=None, after=None, limit=9)
    (listed,) = list_runs(
        context, graph=kinks.id, label="at the kink", tag="from:a network", recorded_by=None, after=None, limit=9
    )
    run = get_run(context, listed.id)
    assert (run.record.convention, run.record.nondifferentiable) == ("torch", (2,))
    assert run.gradients is not None
    gradients = dict(zip((node.name for node in run.nodes), run.gradients.flat.tolist(), strict=True))
    assert gradients == {"x": 0, "w": 0, "relu_1": 3, "y": 1}
    again = create_run(context, kinks.id, {"x": np.array(0.0), "w": np.array(3.0)}, convention="torch", tags={})
    compared, new = create_comparison(context, run.record.id, again.record.id, names={})
    assert new and compared.record.verdict == "same"
    moved = create_run(context, kinks.id, {"x": np.array(1.0), "w": np.array(3.0)}, convention="torch", tags={})
    assert create_comparison(context, run.record.id, moved.record.id, names={})[0].record.verdict == "differ"

    (seed,) = list_graphs(context, name="seed", tag="from:the tutorial", after=None, limit=9)
    (claim,) = list_runs(context, graph=seed.id, label=None, tag=None, recorded_by="a claim", after=None, limit=9)
    (kept,) = list_comparisons(context, run=claim.id, after=None, limit=9)
    read = get_comparison(context, kept.id)
    assert read.record.verdict == "differ" and read.record.counts["origin"] == 2
    assert read.record.rounded == {}
    homework = list_runs(context, graph=None, label="homework", tag=None, recorded_by="a student", after=None, limit=9)
    checks = [list_comparisons(context, run=each.id, after=None, limit=9)[0].rounded for each in homework]
    assert checks == ([{"forward": ["y"]}] if released >= "0005.sql" else [])
    with database.read() as connection:
        key = find_key(connection, "the seed")
    assert key is not None and (key.resource_id, key.status) == (seed.id, 201)

    if released != "0003.sql":
        with closing(sqlite3.connect(file)) as connection:
            identifiers = dict(connection.execute("SELECT kind, id FROM derivatives").fetchall())
        jacobian, product = (get_derivatives(context, identifiers[kind]) for kind in ("jacobian", "jvp"))
        assert [(block.of, block.wrt, block.value.item()) for block in jacobian.blocks] == [
            ("y", "x", 3),
            ("y", "w", 2),
        ]
        assert (product.inputs, product.vector) == ({"x": 2, "w": 3}, {"x": 1, "w": 2})
        assert [block.value.item() for block in product.blocks] == [7]
    database.close()
