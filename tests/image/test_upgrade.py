"""The compose volume of the last release, found by this one."""

from collections.abc import Iterator

import pytest
import requests

from tests.image.engine import ROOT, Engine
from tests.image.test_compose import URL, inside, is_ready, seconds_until, up

*_, LAST, NEWEST = sorted((ROOT / "tests/storage/released").glob("*.sql"))
FILL = "import sqlite3, sys; sqlite3.connect('gradbook.db').executescript(sys.stdin.read())"


@pytest.fixture
def volume(engine: Engine) -> Iterator[None]:
    """The volume with a database of the last release in it, the rows of several runs included."""
    try:
        with LAST.open() as script:
            engine.compose("run", "--rm", "-T", "gradbook", "python", "-c", FILL, stdin=script)
        yield
    finally:
        engine.compose("down", "--volumes")


@pytest.mark.usefixtures("volume")
def test_a_volume_of_the_last_release_is_upgraded_and_a_copy_left(engine: Engine) -> None:
    up(engine)
    seconds_until(is_ready, 60)
    with requests.Session() as session:
        key = inside(engine, "gradbook", "key", "create", "--name", "upgraded", "--scope", "read")
        session.headers["Authorization"] = f"Bearer {key}"  # there are keys in the database
        runs = session.get(f"{URL}/v1/runs", timeout=60).json()["runs"]
        assert runs
        for run in runs:
            assert session.get(f"{URL}/v1/runs/{run['id']}", timeout=60).status_code == 200
    copy = f"gradbook.db.before-{NEWEST.stem}"
    assert copy in inside(engine, "ls").split()
    code = f"import sqlite3; print(*sqlite3.connect('{copy}').execute('SELECT version_num FROM alembic_version'))"
    assert inside(engine, "python", "-c", code) == f"('{LAST.stem}',)"
