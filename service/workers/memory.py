"""How much memory there is, and how much of it this process may take."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available(limits: tuple[str, ...] = _CGROUP_LIMITS) -> int:
    """Bytes of memory of the container, or of the machine where there is no container or it has no limit."""
    machine = os.sysconf("SC_PHYS_PAGES") * _PAGE
    found = [_read_number(Path(limit)) for limit in limits]
    return min([machine, *(each for each in found if each)])


def _read_number(path: Path) -> int:
    """0 where there is none: `max`, or no such file."""
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def can_be_bounded() -> bool:
    """Whether `bounded` bounds: on Linux."""
    return _virtual_size() is not None


@contextmanager
def bounded(nbytes: int) -> Iterator[None]:
    """Have the process take no more memory than that beside what it has: then there is a MemoryError."""
    taken = _virtual_size()
    if taken is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = taken + nbytes
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def resident() -> int:
    """Bytes of this process's own in memory; 0 where the system does not say."""
    try:
        return int(re.findall(r"\d+", Path("/proc/self/statm").read_text())[1]) * _PAGE
    except OSError:
        return 0


def _virtual_size() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
    except OSError:
        return None
