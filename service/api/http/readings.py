"""What `/metrics` reads when somebody asks: the queue of jobs, the caches, the server and its worker processes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from service.core.caches import Cache
from service.storage.database import Database
from service.storage.jobs import count_jobs, seconds_waiting

GAUGES = {
    "gradbook_server_connections": "Open connections",
    "gradbook_server_requests_under_way": "Requests that a thread has begun",
    "gradbook_server_requests_waiting": "Requests that wait for a thread",
    "gradbook_server_body_bytes": "Bytes of bodies that are read and not yet done with",
    "gradbook_server_unsent_bytes": "Bytes of answers that their clients have not read yet",
    "gradbook_worker_processes": "Worker processes",
    "gradbook_worker_processes_busy": "Worker processes that have a task",
    "gradbook_worker_tasks_waiting": "Tasks that wait for a worker process, or for memory",
    "gradbook_worker_memory_bytes": "Bytes of memory granted to tasks under way and to answers that are being sent",
    "gradbook_worker_memory_limit_bytes": "Bytes of memory that may be granted",
}
READY = "1 if the database can be read and written, as /readyz has it"


@dataclass(frozen=True)
class Readings(Collector):
    """Metrics that are made anew whenever they are asked for."""

    read: Callable[[], Iterable[Metric]]

    def collect(self) -> Iterable[Metric]:
        """Read them."""
        return self.read()


def gauges(prefix: str, load: Mapping[str, float]) -> Iterable[Metric]:
    """A gauge for each of the readings, whose names begin with the prefix."""
    for name, value in load.items():
        yield GaugeMetricFamily(f"{prefix}_{name}", GAUGES[f"{prefix}_{name}"], value)


def of_jobs(database: Database) -> Iterable[Metric]:
    """Whether the database answers, and if it does how many jobs it holds in each state."""
    try:
        database.check()  # it waits but for a moment
        with database.read() as connection:
            counts, seconds = count_jobs(connection), seconds_waiting(connection)
    except SQLAlchemyError:
        yield GaugeMetricFamily("gradbook_database_ready", READY, 0)
        return
    yield GaugeMetricFamily("gradbook_database_ready", READY, 1)
    jobs = GaugeMetricFamily("gradbook_jobs", "Jobs, of all services that share the database", labels=["state"])
    for state, count in counts.items():
        jobs.add_metric([state], count)
    yield jobs
    yield GaugeMetricFamily(
        "gradbook_jobs_oldest_waiting_seconds", "Seconds since the oldest job was made that waits", seconds
    )


def of_caches(caches: Mapping[str, Cache[Any, Any]]) -> Iterable[Metric]:
    """The bytes that each cache holds and may hold, and how often it had what was asked of it."""
    size = GaugeMetricFamily("gradbook_cache_bytes", "Bytes that a cache holds, by estimate", labels=["cache"])
    limit = GaugeMetricFamily("gradbook_cache_limit_bytes", "Bytes that a cache may hold", labels=["cache"])
    hits = CounterMetricFamily("gradbook_cache_hits", "What a cache had when it was asked for", labels=["cache"])
    misses = CounterMetricFamily("gradbook_cache_misses", "What was computed or loaded instead", labels=["cache"])
    for name, cache in caches.items():
        size.add_metric([name], cache.size)
        limit.add_metric([name], cache.max_bytes)
        hits.add_metric([name], cache.hits)
        misses.add_metric([name], cache.misses)
    return size, limit, hits, misses
