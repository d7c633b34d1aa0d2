"""Share out the memory that there is, so that all together never take more."""

from dataclasses import replace

from service.settings import MEMORY_OF_A_THREAD, UNWEIGHED, Settings

_MEBIBYTE = 1024 * 1024
# What was measured, and a little more: the process that serves, what all processes of one kind have in common, and
# what each worker process has of its own and may keep of its last task.
_SERVING, _COMMON, _WORKER = 256 * _MEBIBYTE, 96 * _MEBIBYTE, 128 * _MEBIBYTE
# Rather than that all tasks together have less than this, there are fewer processes.
_LITTLE, _LEAST = 256 * _MEBIBYTE, 2 * UNWEIGHED


def share(settings: Settings, available: int) -> Settings:
    """The settings of each of several services that serve together, and take together what one would."""
    count, work = settings.workers, settings.work
    part = replace(
        work,
        processes=-(-work.processes // count),
        job_processes=-(-work.job_processes // count),
        memory_bytes=min(work.memory_bytes or available, available) // count,
        cache_bytes=work.cache_bytes // count,
    )
    return replace(settings, threads=-(-settings.threads // count), work=part)


def fit_memory(settings: Settings, available: int) -> tuple[Settings, int]:
    """Lower what the settings let bodies, answers, caches and single requests take, to fit into that many bytes.

    Return the settings and the bytes that all tasks of the worker processes may take together.
    """
    total = min(settings.work.memory_bytes or available, available)
    part = max(total // 16, settings.limits.body_bytes)
    server = replace(
        settings.server,
        bytes_in_flight=min(settings.server.bytes_in_flight, part),
        unsent_bytes=min(settings.server.unsent_bytes, part),
    )
    cache = min(settings.work.cache_bytes, total // 16)
    work = replace(settings.work, cache_bytes=cache)
    # A body is in memory twice while it is handed over.
    serving = _SERVING + settings.threads * MEMORY_OF_A_THREAD
    rest = total - serving - 2 * server.bytes_in_flight - server.unsent_bytes - cached(cache)
    each = _WORKER + cached(work.worker_cache_bytes)
    processes, of_jobs = settings.work.processes, settings.work.job_processes

    def left() -> int:
        count = processes + of_jobs
        return rest - (_COMMON + count * each if count else 0)

    while left() < _LITTLE and max(processes, of_jobs) > 1:
        processes, of_jobs = (processes, of_jobs - 1) if of_jobs >= processes else (processes - 1, of_jobs)
    free = max(left(), _LEAST)
    limits = replace(settings.limits, request_memory=min(settings.limits.request_memory, free - UNWEIGHED))
    work = replace(work, processes=processes, job_processes=of_jobs)
    return replace(settings, server=server, work=work, limits=limits), free


def cached(graph_bytes: int) -> int:
    """Bytes that the caches of a process take which keeps so many bytes of graphs: comparisons have half as much."""
    return graph_bytes * 3 // 2
