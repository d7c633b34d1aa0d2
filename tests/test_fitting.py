"""The memory that there is, shared out."""

from dataclasses import fields, replace

import pytest

from service.fitting import fit_memory, share
from service.settings import UNWEIGHED, ServerBounds, Settings, WorkBounds

GIBIBYTE = 1024**3


def test_where_there_is_much_memory_the_settings_stay() -> None:
    fitted, free = fit_memory(Settings(), 64 * GIBIBYTE)
    assert fitted == Settings()
    assert free > 50 * GIBIBYTE


@pytest.mark.parametrize("of_jobs", [0, 2, 8])
@pytest.mark.parametrize("processes", [0, 1, 2, 8])
@pytest.mark.parametrize("gibibytes", [2, 4, 16])
def test_all_together_never_take_more_than_there_is(gibibytes: int, processes: int, of_jobs: int) -> None:
    given = Settings(work=WorkBounds(processes=processes, job_processes=of_jobs))
    fitted, free = fit_memory(given, gibibytes * GIBIBYTE)
    assert min(processes, 1) <= fitted.work.processes <= processes
    assert min(of_jobs, 1) <= fitted.work.job_processes <= of_jobs
    processes = fitted.work.processes + fitted.work.job_processes
    caches = fitted.work.cache_bytes * (12 + 3 * processes) // 8
    held = 2 * fitted.server.bytes_in_flight + fitted.server.unsent_bytes + caches + free
    measured = 256 + 8 * fitted.threads + (96 + 128 * processes if processes else 0)
    assert held + measured * 1024 * 1024 <= gibibytes * GIBIBYTE
    assert fitted.limits.request_memory + UNWEIGHED <= free
    assert fitted.server.bytes_in_flight >= fitted.limits.body_bytes  # the largest body comes in


def test_what_is_set_is_not_raised() -> None:
    given = Settings(
        server=replace(ServerBounds(), bytes_in_flight=1, unsent_bytes=2),
        work=replace(WorkBounds(), cache_bytes=3),
    )
    fitted, _ = fit_memory(given, 2 * GIBIBYTE)
    assert (fitted.server, fitted.work) == (given.server, given.work)


def test_less_than_there_is_may_be_set_and_not_more() -> None:
    little = Settings(work=WorkBounds(memory_bytes=2 * GIBIBYTE))
    assert fit_memory(little, 64 * GIBIBYTE)[1] == fit_memory(Settings(), 2 * GIBIBYTE)[1]
    much = Settings(work=WorkBounds(memory_bytes=64 * GIBIBYTE))
    assert fit_memory(much, 2 * GIBIBYTE)[1] == fit_memory(Settings(), 2 * GIBIBYTE)[1]


def test_nothing_else_is_changed() -> None:
    fitted, _ = fit_memory(Settings(port=1, hosts=("a",)), GIBIBYTE)
    changed = {each.name for each in fields(Settings) if getattr(fitted, each.name) != getattr(Settings(), each.name)}
    assert changed == {"port", "hosts", "limits", "server", "work"}


def test_several_services_share_what_one_would_take() -> None:
    given = Settings(workers=3, threads=8, work=WorkBounds(processes=2, job_processes=0, cache_bytes=300))
    each = share(given, 6 * GIBIBYTE)
    assert (each.threads, each.work.processes, each.work.job_processes, each.work.cache_bytes) == (3, 1, 0, 100)
    assert each.work.memory_bytes == 2 * GIBIBYTE
    assert share(replace(given, work=WorkBounds(memory_bytes=3 * GIBIBYTE)), 6 * GIBIBYTE).work.memory_bytes == GIBIBYTE
