"""The commands `prune`, `book export` and `book import`, at a database."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.settings import Settings
from service.storage.database import Database
from service.storage.runs import list_runs
from service.upkeep import store_seed_example
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
    assert call_main("", *command, "1h").out == "deleted: nothing\n"
    dry = call_main("", *command, "0d", "--dry-run")
    assert (dry.code, dry.out) == (0, "to be deleted: 1 run, 1 key\n")
    labelled = call_main("", *command, "0w", "--keep-labelled", "--json").json
    assert (labelled["runs"], labelled["keys"], runs(url)) == (0, 1, 1)
    assert call_main("", *command, "0h").out == "deleted: 1 run\n"
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


def test_a_book_is_moved_from_one_database_to_another(url: str, tmp_path: Path) -> None:
    book, target = str(tmp_path / "all.zip"), f"sqlite:///{tmp_path}/target.db"
    exported = call_main("", "book", "export", book, "--database", url)
    assert (exported.code, exported.out) == (
        0,
        "exported: 1 graph, 1 run\n",
    )
    imported = call_main("", "book", "import", book, "--database", target, "--json").json
    assert (imported["graphs"], imported["tensors"]) == ({"new": 1, "known": 0}, {"new": 0, "known": 0})
    again = call_main("", "book", "import", book, "--database", target)
    assert again.out.splitlines()[1] == "there already: 1 graph, 1 run"
    back = str(tmp_path / "back.zip")
    assert call_main("", "book", "export", back, "--database", target, "--json", "--graph", "blog").json["runs"] == 1
    assert Path(back).read_bytes() == Path(book).read_bytes()


def test_what_cannot_be_moved_is_said_in_a_sentence_and_leaves_no_file(url: str, tmp_path: Path) -> None:
    (tmp_path / "there.zip").write_text("no book")
    before = sorted(tmp_path.iterdir())
    for command, said in (
        (("export", f"{tmp_path}/there.zip"), "there.zip is there already"),
        (("export", f"{tmp_path}/nowhere/x.zip"), "No such file"),
        (("export", f"{tmp_path}/x.zip", "--graph", "blgo"), "there is no graph 'blgo'; near it is blog"),
        (("import", f"{tmp_path}/there.zip"), "this is no book"),
    ):
        ended = call_main("", "book", *command, "--database", url)
        assert (ended.code, ended.err.count("\n")) == (3, 1) and said in ended.err, ended
    assert [path for path in sorted(tmp_path.iterdir()) if not path.name.endswith(("-wal", "-shm"))] == before
