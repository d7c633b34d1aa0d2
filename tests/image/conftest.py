"""The image, built once as the Dockerfile says, in an engine that serves for as long as the tests last."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.image.engine import Engine, what_is_missing


@pytest.hookimpl(tryfirst=True)  # before tests/conftest.py skips what is left to other targets
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the engine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.image)


@pytest.fixture(scope="session")
def built() -> Iterator[tuple[Engine, str]]:
    """The engine, and what was said while the image was built."""
    missing = what_is_missing()
    if missing:
        pytest.exit(missing, 1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the first process of a namespace ignores it
    engine = Engine()
    with engine.mounted():
        with engine.engine(outside=True):
            engine.provide("python:3.13-slim")
            with ThreadPoolExecutor() as threads:
                beside = threads.submit(engine.provide, "postgres:17")
                log = engine.build("--tag", "gradbook", ".")
                beside.result()
        with engine.engine():
            yield engine, log


@pytest.fixture(scope="session")
def engine(built: tuple[Engine, str]) -> Engine:
    return built[0]


@pytest.fixture(scope="session")
def build_log(built: tuple[Engine, str]) -> str:
    return built[1]
