"""The command `prune`, at a database."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.serving import store_seed_example
from service.settings import Settings
from service.storage.database import Database
from service.storage.runs import list_runs
from tests.cli.command import call_main


@pytest.fixture
def url(empty_database: Callable[[Path], str], tmp_path: Path) -> str:
    """A database that holds the seed example."""
    made = empty_database(tmp_path)
    store_seed_example(Settings(made))
    return made


def runs(url: str) -> int:
    with closing(Database(url)) as database, database.read() as connection:
        return len(list_runs(connection, limit=9))


def test_prune_says_what_it_deletes_or_would(url: str) -> None:
    command = ("prune", "--database", url, "--older-than")
    assert call_main("", *command, "1h").out == "deleted: 0 runs, 0 comparisons, 0 tensors, 0 keys\n"
    dry = call_main("", *command, "0d", "--dry-run")
    assert (dry.code, dry.out) == (0, "to be deleted: 1 runs, 0 comparisons, 0 tensors, 1 keys\n")
    labelled = call_main("", *command, "0w", "--keep-labelled", "--json").json
    assert (labelled["runs"], labelled["keys"], runs(url)) == (0, 1, 1)
    assert call_main("", *command, "0h").out == "deleted: 1 runs, 0 comparisons, 0 tensors, 0 keys\n"
    assert runs(url) == 0


@pytest.mark.parametrize("age", ["90", "d", "", "-1d", "1y", "1.5d", "9999999999999d", "²d"])
def test_an_age_that_is_none_is_wrong_usage(url: str, age: str) -> None:
    ended = call_main("", "prune", "--database", url, "--older-than", age)
    assert ended.code == 2 and "as 12h, 90d or 4w" in ended.err
    assert runs(url) == 1


def test_what_is_not_there_is_not_created(tmp_path: Path) -> None:
    ended = call_main("", "prune", "--database", f"sqlite:///{tmp_path}/none.db", "--older-than", "1d")
    assert (ended.code, ended.err) == (3, f"gradbook: there is no database {tmp_path}/none.db\n")
    assert list(tmp_path.iterdir()) == []
