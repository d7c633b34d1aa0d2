"""What the processes of the tests' pool do: a task is the name of a function here and its argument."""

import gc
import os
import time
from collections.abc import Iterable
from typing import Any

from service.workers.process import Work

MEBIBYTE = 1024 * 1024
_kept: list[bytes] = []


def begin() -> Work:
    """Do what the task names."""
    return work


def work(task: tuple[str, Any], given: Any) -> tuple[Any, Iterable[bytes]]:
    """The reply and its bytes."""
    name, argument = task
    replied: tuple[Any, Iterable[bytes]] = globals()[name](argument, given)
    return replied


def identity(argument: Any, given: Any) -> tuple[Any, Iterable[bytes]]:
    """The process, what was given, and the same bytes."""
    return (os.getpid(), argument), [bytes(given)]


def collector(argument: Any, given: Any) -> tuple[Any, Iterable[bytes]]:
    """When the cycle collector looks for garbage, and how many objects it leaves out."""
    return (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()), ()


def sleep(seconds: float, given: Any) -> tuple[Any, Iterable[bytes]]:
    """A call in C that heeds nothing."""
    time.sleep(seconds)
    return os.getpid(), ()


def span(seconds: float, given: Any) -> tuple[Any, Iterable[bytes]]:
    """When it began and ended."""
    began = time.monotonic()
    time.sleep(seconds)
    return (began, time.monotonic()), ()


def allocate(count: int, given: Any) -> tuple[Any, Iterable[bytes]]:
    """Take that many bytes for a while."""
    return len(bytearray(count)), ()


def write(count: int, given: Any) -> tuple[Any, Iterable[bytes]]:
    """Reply with that many bytes, in pieces."""
    return None, (bytes(MEBIBYTE) for _ in range(count // MEBIBYTE))


def keep(count: int, given: Any) -> tuple[Any, Iterable[bytes]]:
    """Take that many bytes for ever."""
    _kept.append(b"1" * count)
    return os.getpid(), ()


def fail(message: str, given: Any) -> tuple[Any, Iterable[bytes]]:
    """Raise."""
    raise ValueError(message)


def end(code: int, given: Any) -> tuple[Any, Iterable[bytes]]:
    """End the process, as the system does when its memory is exhausted."""
    os._exit(code)
