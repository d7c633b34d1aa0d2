"""How many workers one service and its database keep busy: a formula, and a simulation that it is held against.

    python -m benchmarks.cluster_model

Workers compute tasks of several chunks. The scheduler hands out one task after another. The service takes the answers,
one after another too, and writes what has come meanwhile in one transaction. All times are seconds of one processor;
docs/scale.md says where they were measured.
"""

import heapq
from dataclasses import dataclass, replace
from itertools import count

_IN_FLIGHT = 3  # tasks for each worker
_TASKS = 30  # of each worker, and in all at least a hundred times as many


@dataclass(frozen=True)
class Cluster:
    """What each part takes."""

    workers: int
    chunk: float  # of a worker for a chunk
    chunks: int = 8  # of a task
    task: float = 0.003  # of a worker for a task beside its chunks
    scheduler: float = 0.002  # for a task
    service: float = 0.001  # for a chunk: to take it from the worker
    store: float = 0.0015  # for a chunk in a transaction
    commit: float = 0.004  # for a transaction

    def at_most(self) -> float:
        """Chunks a second: as many as the slowest of the three parts lets through."""
        workers = self.workers * self.chunks / (self.chunks * self.chunk + self.task)
        scheduler = self.chunks / self.scheduler
        service = 1 / (self.service + self.store + self.commit / (_MOST_STORED * self.chunks))
        return min(workers, scheduler, service)


_MOST_STORED = 16  # tasks that come in one transaction where the service is what is waited for


def simulate(cluster: Cluster) -> float:
    """Chunks a second that are stored."""
    tasks = _TASKS * max(100, cluster.workers)
    order = count()  # of events at the same time
    events: list[tuple[float, int, str]] = []
    scheduler_free = service_free = 0.0
    idle, queued, arrived = cluster.workers, 0, 0
    given = done = 0
    writing = 0

    def give(now: float) -> None:
        nonlocal scheduler_free, given
        if given < tasks:
            given += 1
            scheduler_free = max(now, scheduler_free) + cluster.scheduler
            heapq.heappush(events, (scheduler_free, next(order), "scheduled"))

    for _ in range(_IN_FLIGHT * cluster.workers):
        give(0.0)
    now = 0.0
    while events:
        now, _, event = heapq.heappop(events)
        if event == "scheduled":
            queued += 1
        elif event == "computed":
            idle += 1
            arrived += 1
        else:
            done += writing
            for _ in range(writing):
                give(now)
            writing = 0
        while idle and queued:
            idle, queued = idle - 1, queued - 1
            seconds = cluster.chunks * cluster.chunk + cluster.task
            heapq.heappush(events, (now + seconds, next(order), "computed"))
        if arrived and not writing:
            writing, arrived = min(arrived, _MOST_STORED), max(0, arrived - _MOST_STORED)
            each = cluster.service + cluster.store
            service_free = now + writing * cluster.chunks * each + cluster.commit
            heapq.heappush(events, (service_free, next(order), "stored"))
    return done * cluster.chunks / now


def main() -> None:
    """Print chunks a second for more and more workers, for light, heavier and heavy chunks, by both."""
    reduced = {"service": 0.0006, "store": 0.0002}
    kinds = {
        "31 ms a chunk, all points kept": Cluster(1, 0.031),
        "31 ms a chunk, reductions alone": replace(Cluster(1, 0.031), **reduced),
        "1 s a chunk, all points kept": Cluster(1, 1.0, chunks=1),
        "1 s a chunk, reductions alone": replace(Cluster(1, 1.0, chunks=1), **reduced),
        "10 s a chunk, all points kept": Cluster(1, 10.0, chunks=1),
    }
    workers = (1, 2, 4, 8, 16, 64, 256, 1000)
    print("| chunks a second, by formula and simulated |" + "".join(f" {each} |" for each in workers))
    print("|---|" + "---|" * len(workers))
    for name, cluster in kinds.items():
        found = [replace(cluster, workers=each) for each in workers]
        cells = "".join(f" {each.at_most():,.1f} / {simulate(each):,.1f} |" for each in found)
        print(f"| {name} |{cells}")


if __name__ == "__main__":
    main()
