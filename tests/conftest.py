"""What all tests share: hypothesis without a stopwatch, few examples, and a failure that can be played again."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from service.serving import service_process

# What lands is judged by the same examples each time; wherever else the suite runs, it looks for new ones.
settings.register_profile(
    "gradbook", deadline=None, max_examples=30, print_blob=True, derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("gradbook")


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real service in a process of its own, over a database that the tests share."""
    with service_process(f"sqlite:///{tmp_path_factory.mktemp('service')}/gradbook.db") as url:
        yield url
