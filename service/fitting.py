"""Share out the memory that there is, so that all together never take more."""

from dataclasses import replace

from service.settings import Settings

_MEBIBYTE = 1024 * 1024
# What was measured, and a little more: the process that serves, what all processes of one kind have in common, and
# what each worker process has of its own and may keep of its last task.
_SERVING, _COMMON, _WORKER = 320 * _MEBIBYTE, 160 * _MEBIBYTE, 160 * _MEBIBYTE
_LEAST = 64 * _MEBIBYTE


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
    work = replace(settings.work, cache_bytes=min(settings.work.cache_bytes, total // 16))
    # A body is in memory twice while it is handed over. Comparisons are cached in half as much as graphs, and each
    # worker process caches a quarter of what the serving process does.
    taken = _SERVING + 2 * server.bytes_in_flight + server.unsent_bytes + work.cache_bytes * 3 // 2
    if work.processes:
        taken += _COMMON + work.processes * (_WORKER + work.cache_bytes * 3 // 8)
    free = max(total - taken, _LEAST)
    return replace(settings, server=server, work=work), free
