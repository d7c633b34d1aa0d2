"""How much memory there is, and how much of it this process may take."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def available(root: Path = Path("/")) -> int:
    """Bytes of memory of the container, or of the machine where there is no container or it has no limit.

    The files are those of the kernel's cgroups, version 2 and 1, below `root`.
    """
    found = [os.sysconf("SC_PHYS_PAGES") * _PAGE]
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            group = root / "sys/fs/cgroup" / controllers / path.strip("/")
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            # A group has no more than those that it is in. In a container the path may be that of the machine's view.
            limits = (_read(each / name).strip() for each in (group, *group.parents))
            found += [int(limit) for limit in limits if limit.isdigit()]
    return min(found)


def _read(path: Path) -> str:
    """The text of a file, none where there is no such file."""
    try:
        return path.read_text()
    except OSError:
        return ""


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
