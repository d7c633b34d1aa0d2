"""The profile `postgres` of the compose file."""

import json
from collections.abc import Iterator

import pytest
import requests

from tests.image.engine import Engine
from tests.image.test_compose import is_ready, seconds_until

URL = "http://127.0.0.1:8001"
PROFILE = ("--profile", "postgres")


@pytest.fixture
def composed(engine: Engine) -> Iterator[None]:
    try:
        engine.compose(*PROFILE, "up", "--detach", "--no-build")
        yield
    finally:
        engine.compose(*PROFILE, "down", "--volumes")


@pytest.mark.usefixtures("composed")
def test_what_is_stored_in_postgresql_is_there_in_new_containers(engine: Engine) -> None:
    seconds_until(lambda: is_ready(URL), 60)
    seconds_until(is_ready, 60)  # the one over SQLite serves beside it
    seed = ("exec", "-T", "gradbook-postgres", "gradbook", "migrate", "--seed-example", "--json")
    run = json.loads(engine.compose(*PROFILE, *seed))["run"]
    before = requests.get(f"{URL}/v1/runs/{run}", timeout=60)
    assert before.json()["gradients"] == {"a": 2 / 3, "b": 2 / 3, "c": -2.0, "d": 4 / 3}
    assert requests.get(f"http://127.0.0.1:8000/v1/runs/{run}", timeout=60).status_code == 404
    engine.compose(*PROFILE, "down")
    engine.compose(*PROFILE, "up", "--detach", "--no-build")
    seconds_until(lambda: is_ready(URL), 60)
    assert requests.get(f"{URL}/v1/runs/{run}", timeout=60).content == before.content
