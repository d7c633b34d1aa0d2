"""A pool of processes: each task is done once, or ended for a reason, and the next one is done all the same."""

import gc
import mmap
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from service.workers.pool import Busy, Gone, Late, Lost, Memory, Pool
from tests.workers import tasks
from tests.workers.tasks import MEBIBYTE

PATIENCE = 30.0


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Two processes with 100 MiB for all tasks, and caches of 16 MiB each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2]))  # which the processes take over
        made = Pool(tasks.begin, 2, 100 * MEBIBYTE, cached=16 * MEBIBYTE)
        made.begin_processes()
        call(made, "identity")
    yield made
    made.close()


def call(pool: Pool, name: str, argument: Any = None, given: bytes = b"", **options: Any) -> tuple[Any, Any]:
    """The reply to a task of `tasks`, with time and memory enough."""
    return pool.call((name, argument), [given], **{"nbytes": MEBIBYTE, "seconds": PATIENCE, **options})


@pytest.mark.parametrize("size", [0, 1, 3 * MEBIBYTE])
def test_a_reply_comes_back_with_its_bytes(pool: Pool, size: int) -> None:
    given = os.urandom(size)
    (process, said), data = call(pool, "identity", {"a": [1, None]}, given, nbytes=20 * MEBIBYTE)
    assert (said, bytes(data)) == ({"a": [1, None]}, given)
    assert process != os.getpid()


def test_the_cycle_collector_looks_seldom_and_not_at_what_was_there_before(pool: Pool) -> None:
    """With Python's own thresholds it takes three quarters of the time in which a large body is read."""
    (enabled, thresholds, frozen), _ = call(pool, "collector")
    assert enabled and thresholds[0] > gc.get_threshold()[0] and frozen > 1000


def test_what_a_task_raises_is_raised_and_its_process_goes_on(pool: Pool) -> None:
    processes = {call(pool, "identity")[0][0] for _ in range(5)}
    with pytest.raises(ValueError, match=r"^wrong$"):
        call(pool, "fail", "wrong")
    assert call(pool, "identity")[0][0] in processes


def test_a_task_that_takes_too_long_is_killed_in_the_midst_of_a_call(pool: Pool) -> None:
    with pytest.raises(Late):
        call(pool, "sleep", 3600, seconds=0.2)
    assert call(pool, "identity", 1)[0][1] == 1


def test_a_task_whose_client_has_gone_is_killed(pool: Pool) -> None:
    gone = Event()
    Timer(0.1, gone.set).start()
    with pytest.raises(Gone):
        call(pool, "sleep", 3600, gone=gone)
    assert call(pool, "identity", 1)[0][1] == 1


def test_a_task_that_takes_too_much_memory_is_told_so_and_its_process_goes_on(pool: Pool) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not let a process bound its memory")
    processes = {call(pool, "identity")[0][0] for _ in range(5)}
    with pytest.raises(MemoryError):
        call(pool, "allocate", 300 * MEBIBYTE, nbytes=32 * MEBIBYTE)
    assert call(pool, "allocate", 16 * MEBIBYTE, nbytes=32 * MEBIBYTE)[0] == 16 * MEBIBYTE
    assert call(pool, "identity")[0][0] in processes


def test_a_process_that_ends_by_itself_is_replaced_and_logged(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Lost):
        call(pool, "end", 7)
    assert [record.getMessage() for record in caplog.records] == ["a worker process ended by itself, with the code 7"]
    assert call(pool, "identity", 1)[0][1] == 1


def test_a_process_that_was_killed_while_it_had_nothing_to_do_is_replaced(pool: Pool) -> None:
    killed, _ = call(pool, "sleep", 0)
    os.kill(killed, 9)
    while Path(f"/proc/{killed}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert all(call(pool, "identity")[0][0] != killed for _ in range(4))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_process_that_forks_is_replaced_too(pool: Pool) -> None:
    worker, _ = call(pool, "sleep", 0)
    forks = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(forks, 9)
    for _ in range(2):
        with pytest.raises(Lost):
            call(pool, "end", 1)
    processes = {call(pool, "identity")[0][0] for _ in range(4)}
    assert worker not in processes


def test_a_process_is_replaced_that_keeps_more_than_its_caches_hold(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.workers.pool.KEPT", 16 * MEBIBYTE)
    fat, still = (call(pool, "keep", 24 * MEBIBYTE, nbytes=64 * MEBIBYTE)[0] for _ in range(2))
    assert fat == still
    assert all(call(pool, "identity")[0][0] != fat for _ in range(4))


@pytest.mark.slow
def test_no_call_fails_beside_others_that_are_killed(pool: Pool) -> None:
    def kill_and_ask(number: int) -> int:
        with pytest.raises((Late, Busy)):
            call(pool, "sleep", 3600, seconds=0.5)
        return int(call(pool, "identity", number)[0][1])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(kill_and_ask, range(16))) == list(range(16))


def test_who_finds_no_process_free_in_time_is_told_so(pool: Pool) -> None:
    with ThreadPoolExecutor(2) as threads:
        taken = [threads.submit(call, pool, "sleep", 1) for _ in range(2)]
        with pytest.raises(Busy):
            for _ in range(20):
                call(pool, "identity", seconds=0.05)
        assert all(each.result() for each in taken)


def test_tasks_that_take_more_than_half_of_the_memory_take_turns(pool: Pool) -> None:
    with ThreadPoolExecutor(2) as threads:
        large = [threads.submit(call, pool, "span", 0.1, nbytes=60 * MEBIBYTE) for _ in range(2)]
        (_, first_end), (second_begin, _) = sorted(each.result()[0] for each in large)
    assert first_end <= second_begin


def test_a_reply_takes_memory_as_long_as_its_bytes_live(pool: Pool) -> None:
    _, data = call(pool, "write", 60 * MEBIBYTE, nbytes=90 * MEBIBYTE)
    assert isinstance(data, mmap.mmap) and len(data) == 60 * MEBIBYTE
    with pytest.raises(Busy):
        call(pool, "identity", nbytes=50 * MEBIBYTE, seconds=0.1)
    call(pool, "identity", nbytes=40 * MEBIBYTE)
    del data
    call(pool, "identity", nbytes=100 * MEBIBYTE)


def test_more_memory_than_there_is_is_not_waited_for() -> None:
    with pytest.raises(Busy):
        Memory(10).take(11, float("inf"))


def test_those_that_wait_for_memory_have_it_in_turn() -> None:
    memory, order = Memory(10), []
    memory.take(10, float("inf"))

    def take(nbytes: int) -> None:
        memory.take(nbytes, float("inf"))
        order.append(nbytes)
        memory.give_back(nbytes)

    with ThreadPoolExecutor(2) as threads:
        much = threads.submit(take, 8)
        while len(memory.waiting) < 1:
            pass
        little = threads.submit(take, 2)
        while len(memory.waiting) < 2:
            pass
        memory.give_back(5)
        assert not order  # though there is enough for the second
        memory.give_back(5)
        much.result()
        little.result()
    assert order == [8, 2]


def test_who_takes_memory_behind_others_holds_up_none_of_them() -> None:
    memory, order = Memory(10), []
    memory.take(5, float("inf"))

    def take(nbytes: int, behind: bool) -> None:
        memory.take(nbytes, time.monotonic() + 60, behind=behind)
        order.append(nbytes)
        memory.give_back(nbytes)

    with ThreadPoolExecutor(1) as threads:
        last = threads.submit(take, 8, True)
        take(5, False)  # though the other may have come before
        assert order == [5] and not last.done()
        memory.give_back(5)
        last.result()
    memory.take(10, float("inf"), behind=True)
    with pytest.raises(Busy):
        memory.take(1, 0.0, behind=True)


def test_it_says_what_it_has_to_do(pool: Pool) -> None:
    idle = {"processes": 2, "processes_busy": 0, "tasks_waiting": 0, "memory_bytes": 0}
    limit = {"memory_limit_bytes": 100 * MEBIBYTE}
    full = {"processes": 2, "processes_busy": 2, "tasks_waiting": 1, "memory_bytes": 3 * MEBIBYTE}
    gone, end = Event(), time.monotonic() + PATIENCE

    def comes(load: dict[str, int]) -> bool:
        while pool.load() != load | limit and time.monotonic() < end:
            time.sleep(0.01)
        return pool.load() == load | limit

    assert comes(idle)
    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(call, pool, "sleep", 3600, gone=gone) for _ in range(3)]
        assert comes(full)
        gone.set()
        assert all(isinstance(each.exception(), Gone) for each in calls)
    assert comes(idle)


def test_processes_that_nobody_told_to_begin_do_so_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.workers.pool._UNTOLD", 0.01)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    untold = Pool(tasks.begin, 1, MEBIBYTE)
    assert call(untold, "identity", 1)[0][1] == 1
    untold.begin_processes()  # again, which changes nothing
    assert len(untold._workers) == 1
    untold.close()


def test_at_the_end_every_process_ends() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2]))
        short = Pool(tasks.begin, 1, MEBIBYTE)
        short.begin_processes()
        process, _ = call(short, "sleep", 0)
    short.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
