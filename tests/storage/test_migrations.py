import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from sqlalchemy import select

from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.graph import Graph
from service.settings import Settings
from service.storage import database as storage
from service.storage.comparisons import list_comparisons
from service.storage.database import Database, migration_config
from service.storage.deletion import delete_graph
from service.storage.graphs import get_graph, insert_graph, list_graphs, load_graph
from service.storage.models import Content, GraphTag
from service.storage.records import GraphRecord, RunRecord
from service.storage.run_figures import load_figures
from service.storage.runs import get_run, insert_run, list_runs
from service.upkeep import CannotStart, migrate

REPOSITORY = Path(__file__).parents[2]
RELEASED = Path(__file__).parent / "released"


def schema(file: Path) -> dict[str, str]:
    """What SQLite keeps of each table and index, by name."""
    with closing(sqlite3.connect(file)) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def add_migration(folder: Path, upgrade: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `migrate` find, inside the package, the migrations there are and one more."""
    shutil.copytree(REPOSITORY / "migrations", folder / "migrations")
    head = max((folder / "migrations" / "versions").glob("*.py")).stem[:4]
    source = (
        f"from alembic import op\n\nrevision = 'next'\ndown_revision = '{head}'\n\n\ndef upgrade():\n    {upgrade}\n"
    )
    (folder / "migrations" / "versions" / "next.py").write_text(source)
    monkeypatch.setattr(storage, "_PACKAGE", folder)


@pytest.mark.filterwarnings(  # such an index of SQLite is not compared
    "ignore:Skipped unsupported reflection of expression-based index", "ignore:autogenerate skipping"
)
def test_models_and_migrations_agree(database: Database) -> None:
    with database.write() as connection:
        command.check(migration_config(connection))


@pytest.mark.sqlite
def test_migrating_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    before = schema(tmp_path / "gradbook.db")
    database.migrate()
    assert schema(tmp_path / "gradbook.db") == before
    assert "run_chunks" in before


def test_every_schema_has_a_released_database() -> None:
    versions = {path.stem[:4] for path in (REPOSITORY / "migrations" / "versions").glob("*.py")}
    assert versions == {path.stem for path in RELEASED.glob("*.sql")}


@pytest.mark.sqlite
@pytest.mark.parametrize("released", sorted(path.name for path in RELEASED.glob("*.sql")))
def test_a_released_database_is_brought_up_to_date(
    released: str, database: Database, tmp_path: Path, run_record: Callable[..., RunRecord]
) -> None:
    """The seed example, kept by each version that was released, is read, run, extended and deleted by this one."""
    file = tmp_path / "released.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((RELEASED / released).read_text())
    old = Database(f"sqlite:///{file}")
    old.migrate()
    assert schema(file) == schema(tmp_path / "gradbook.db")

    with old.read() as connection:
        (stored,) = list_graphs(connection, tag="from:the tutorial", limit=9)
        (run,) = (each for each in list_runs(connection, graph=stored.id, limit=9) if each.source == "computed")
        compared = list_comparisons(connection, run=run.id, after=None, limit=9)
        graph = load_graph(connection, stored.digest)
        values = load_figures(connection, run.id, "values")
        gradients = load_figures(connection, run.id, "gradients")
    assert [comparison.counts["origin"] for comparison in compared] == ([] if released == "0001.sql" else [2])
    assert (graph.digest, graph.inputs, graph.outputs) == (stored.digest, ("a", "b", "c", "d"), ("F",))
    assert dict(zip(graph.position, values.flat.tolist(), strict=True)) == {
        "a": 5, "b": 1, "c": -2, "d": -3, "e": 6, "f": -12, "F": 4
    }  # fmt: skip
    published = {"a": 2 / 3, "b": 2 / 3, "c": -2, "d": 4 / 3, "e": 2 / 3, "f": -1 / 3, "F": 1}
    np.testing.assert_allclose(gradients.flat, [published[name] for name in graph.position], rtol=1e-15)

    again = forward_pass(
        graph, {name: np.array(value) for name, value in zip("abcd", (1.0, 2.0, 3.0, 4.0), strict=True)}
    )
    another = run_record(stored, has_gradients=True)
    with old.write() as connection:
        insert_run(connection, another, again, backward_pass(graph, again, "F", np.array(1.0)))
    with old.read() as connection:
        assert get_run(connection, another.id).has_gradients
    old.close()


@pytest.mark.sqlite
def test_a_file_is_copied_before_it_is_migrated(database: Database, tmp_path: Path) -> None:
    """Once, as it was, over an earlier copy; and neither when it is new nor when it is of the newest version."""
    file = tmp_path / "old.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((RELEASED / "0004.sql").read_text())
    before = schema(file)
    head = max((REPOSITORY / "migrations" / "versions").glob("*.py")).stem[:4]
    copy = tmp_path / f"old.db.before-{head}"
    copy.write_text("an earlier one")
    for _ in range(2):
        with closing(Database(f"sqlite:///{file}")) as old:
            old.migrate()
    assert schema(file) == schema(tmp_path / "gradbook.db") != before
    assert schema(copy) == before
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0004",)
        assert connection.execute("SELECT count(*) FROM runs").fetchone()[0] > 0
    assert [path.name for path in tmp_path.glob("*before*")] == [copy.name]


@pytest.mark.sqlite
def test_a_file_that_cannot_be_copied_is_not_migrated(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((RELEASED / "0004.sql").read_text())
    before = schema(file)
    head = max((REPOSITORY / "migrations" / "versions").glob("*.py")).stem[:4]
    (tmp_path / f"old.db.before-{head}").mkdir()
    with pytest.raises(CannotStart, match="was not migrated, since no copy"):
        migrate(Settings(f"sqlite:///{file}"))
    assert schema(file) == before


@pytest.mark.sqlite
@pytest.mark.faults
def test_processes_that_start_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gradbook.db"
    program = (
        "import sys; from service.storage.database import Database; import service.storage.models\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "database = Database(sys.argv[1]); database.migrate(); database.check(); database.close()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, url],
            cwd=REPOSITORY,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 4
    assert [process.returncode for process in processes] == [0] * 4


@pytest.mark.sqlite
def test_a_migration_that_fails_leaves_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = schema(tmp_path / "gradbook.db")
    add_migration(tmp_path, "op.execute('CREATE TABLE half (id INTEGER)'); op.execute('nonsense')", monkeypatch)
    with pytest.raises(Exception, match="nonsense"):
        database.migrate()
    assert schema(tmp_path / "gradbook.db") == before
    database.check()


@pytest.mark.sqlite
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_a_table_that_is_rebuilt_loses_nothing(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    graph: Graph,
    graph_record: Callable[..., GraphRecord],
    run_record: Callable[..., RunRecord],
) -> None:
    record = graph_record(graph, tags={"key": "value"})
    run = run_record(record, tags={"key": "value"})
    with database.write() as connection:
        insert_graph(connection, record, graph)
        insert_run(connection, run, forward_pass(graph, {"x": np.array(2.0), "y": np.array(3.0)}), None)
    rebuild = "\n    ".join(
        f"with op.batch_alter_table('{table}', recreate='always'): pass" for table in ("contents", "graphs", "runs")
    )
    add_migration(tmp_path, rebuild, monkeypatch)
    database.migrate()
    with database.write() as connection:
        assert get_graph(connection, record.id) == record
        assert get_run(connection, run.id).tags == run.tags
        assert load_figures(connection, run.id, "values").flat.tolist() == [2, 3, 6]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    with pytest.raises(Exception, match="1 run refers"), database.write() as connection:
        delete_graph(connection, record.id)


@pytest.mark.sqlite
def test_a_migration_that_leaves_orphans_is_undone(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    graph: Graph,
    graph_record: Callable[..., GraphRecord],
) -> None:
    with database.write() as connection:
        insert_graph(connection, graph_record(graph, tags={"key": "value"}), graph)
    add_migration(tmp_path, "op.execute('DELETE FROM contents')", monkeypatch)
    with pytest.raises(RuntimeError, match="refer to nothing"):
        database.migrate()
    with database.read() as connection:
        assert len(connection.execute(select(Content.digest)).all()) == 1
        assert len(connection.execute(select(GraphTag.key)).all()) == 1
