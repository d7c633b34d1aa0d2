"""Several processes that serve together are measured together, whichever is asked."""

import socket
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.api.http import siblings
from service.api.http.siblings import Sibling
from service.process import service_process
from tests.large_requests import PATIENCE
from tests.waiting import until


def measured(count: int) -> CollectorRegistry:
    """What a process has measured that was asked so often."""
    registry = CollectorRegistry()
    counter = Counter("asked", "How often", ["route"], registry=registry)
    seconds = Histogram("took", "Seconds", registry=registry, buckets=[1.0])
    for _ in range(count):
        counter.labels("/a").inc()
        seconds.observe(0.5)
    return registry


def told(sibling: Sibling, registry: CollectorRegistry) -> list[str]:
    class Found:
        def collect(self) -> Any:
            return sibling.collect(registry)

    found: Any = Found()
    lines = generate_latest(found).decode().splitlines()
    return [line for line in lines if line.startswith(("asked_total", "took_count", "# TYPE"))]


def test_each_process_is_told_apart_and_each_family_once(tmp_path: Path) -> None:
    registries = [measured(count) for count in (1, 2, 3)]
    processes = [Sibling(str(tmp_path), number) for number in range(3)]
    for each, registry in zip(processes, registries, strict=True):
        each.answer(registry)
    every = [
        "# TYPE asked_total counter",
        *(f'asked_total{{process="{number}",route="/a"}} {number + 1}.0' for number in range(3)),
        "# TYPE asked_created gauge",
        "# TYPE took histogram",
        *(f'took_count{{process="{number}"}} {number + 1}.0' for number in range(3)),
        "# TYPE took_created gauge",
    ]
    for each, registry in zip(processes, registries, strict=True):
        assert told(each, registry) == every


def test_who_has_ended_or_is_stuck_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "1"))
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(tmp_path / "2"))
        stuck.listen()
        lines = told(Sibling(str(tmp_path), 0), measured(5))
    assert 'asked_total{process="0",route="/a"} 5.0' in lines and not [line for line in lines if 'process="1"' in line]


def test_who_takes_the_place_of_one_that_ended_answers_in_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "1"))
    Sibling(str(tmp_path), 1).answer(measured(7))
    asking = [Thread(target=told, args=(Sibling(str(tmp_path), 0), measured(1))) for _ in range(8)]
    for each in asking:
        each.start()
    assert 'asked_total{process="1",route="/a"} 7.0' in told(Sibling(str(tmp_path), 0), measured(1))
    for each in asking:
        each.join()


@pytest.mark.postgres
def test_a_service_of_two_processes_shows_both(empty_database: Callable[[Path], str], tmp_path: Path) -> None:
    with service_process(empty_database(tmp_path), variables={"GRADBOOK_WORKERS": "2"}) as url:

        def processes() -> set[str]:
            families = text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=PATIENCE).text)
            samples = [sample for family in families for sample in family.samples]
            return {sample.labels["process"] for sample in samples if sample.name == "gradbook_requests_total"}

        until(lambda: processes() == {"0", "1"})
