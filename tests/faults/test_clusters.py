"""A sweep on a cluster of which parts are killed: nothing is lost, nothing comes twice, and the bits are the same."""

import random
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.faults.sqlite_faults import kill
from tests.faults.test_sweeps import Sweeps
from tests.faults.under_load import Service
from tests.jobs.clusters import Cluster, cluster

pytest.importorskip("distributed", reason="left to `make test-cluster`")
pytestmark = pytest.mark.cluster

KILLS, WORKERS = 8, 2


def kill_one_worker(made: Cluster, service: Service, file: Path) -> None:
    """Kill a worker, and begin another."""
    made.kill_worker()
    made.begin_worker()


def kill_all_workers(made: Cluster, service: Service, file: Path) -> None:
    """Kill all workers, and then begin as many."""
    for _ in range(WORKERS):
        made.kill_worker()
    for _ in range(WORKERS):
        made.begin_worker()


def kill_the_scheduler(made: Cluster, service: Service, file: Path) -> None:
    """Kill the scheduler, whose workers end too, and begin all of them again."""
    made.close()
    made.begin_scheduler()
    for _ in range(WORKERS):
        made.begin_worker()


def kill_the_service(made: Cluster, service: Service, file: Path) -> None:
    """Kill the service, and begin it again."""
    kill(service, file)


FAULTS: list[Callable[[Cluster, Service, Path], None]] = [
    *(kill_one_worker, kill_all_workers, kill_the_scheduler, kill_the_service)
]


def test_a_sweep_survives_whatever_is_killed(tmp_path: Path) -> None:
    chance, file = random.Random(0), tmp_path / "book.db"
    with Service(f"sqlite:///{file}", tmp_path / "here.log") as service:
        here = Sweeps(service, file)
        undisturbed = here.chunks(here.begin())
    with cluster(WORKERS) as made:
        variables = {"GRADBOOK_DASK": made.address}
        with Service(f"sqlite:///{file}", tmp_path / "service.log", variables) as service:
            sweeps = Sweeps(service, file)
            assert sweeps.chunks(sweeps.begin()) == undisturbed
            for fault in islice(cycle(FAULTS), KILLS):
                job = sweeps.begin()
                time.sleep(chance.uniform(0.0, 1.5))
                fault(made, service, file)
                assert sweeps.chunks(job) == undisturbed, fault
