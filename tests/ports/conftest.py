"""What these tests share."""

from collections.abc import Iterator

import pytest

from service.client import Client
from tests.recorders.jax.conftest import as_set_by_default

__all__ = ["as_set_by_default", "client"]


@pytest.fixture(scope="package")
def client(service_url: str) -> Iterator[Client]:
    """A client of a real service."""
    with Client(service_url) as client:
        yield client
