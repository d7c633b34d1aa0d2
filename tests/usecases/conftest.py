"""A context over a new database."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.settings import Limits
from service.storage.database import Database
from service.usecases.context import Context


@pytest.fixture
def context(empty_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Context]:
    """The context of an empty database."""
    with closing(Database(empty_database(tmp_path))) as database:
        yield Context(database, Limits())
