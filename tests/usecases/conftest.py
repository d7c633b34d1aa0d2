"""A context over a new database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import Limits
from service.storage.database import Database
from service.usecases.context import Context


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """The context of an empty database."""
    database = Database(f"sqlite:///{tmp_path}/gradbook.db")
    database.migrate()
    yield Context(database, Limits())
    database.close()
