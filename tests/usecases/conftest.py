"""A book over a new database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import Limits
from service.storage.database import Database
from service.usecases.context import Book


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """An empty book."""
    database = Database(f"sqlite:///{tmp_path}/gradbook.db")
    database.migrate()
    yield Book(database, Limits())
    database.close()
