"""What `gradbook serve` and `gradbook restore` refuse; tests/faults/test_storage.py has what they keep."""

import sqlite3
from contextlib import closing
from pathlib import Path

from service.storage.database import Database
from tests.cli.command import call_main


def names(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM graphs")}


def test_a_database_of_a_newer_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """Served or restored."""
    url, newer = f"sqlite:///{tmp_path}/gradbook.db", f"sqlite:///{tmp_path}/newer.db"
    for each in (url, newer):
        with closing(Database(each)) as database:
            database.migrate()
    with closing(sqlite3.connect(tmp_path / "newer.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for command in (
        ["serve", "--port", "0", "--database", newer],
        ["restore", f"{tmp_path}/newer.db", "--database", url],
    ):
        ended = call_main("", *command)
        assert (ended.code, ended.err.count("\n")) == (3, 1) and "newer version" in ended.err and "9999" in ended.err


def test_what_is_no_backup_is_refused_and_replaces_nothing(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/gradbook.db")) as database:
        database.migrate()
    (tmp_path / "text").write_text("no database" * 1000)
    sqlite3.connect(tmp_path / "empty").close()
    for name in ("text", "empty"):
        ended = call_main("", "restore", str(tmp_path / name), "--database", f"sqlite:///{tmp_path}/gradbook.db")
        assert (ended.code, ended.err.count("\n")) == (3, 1)
    assert names(tmp_path / "gradbook.db") == set()
