"""What these tests share."""

import logging
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


@pytest.fixture(scope="package", autouse=True)
def without_the_exporters_words() -> Iterator[None]:
    """What PyTorch's exporters log is long."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
