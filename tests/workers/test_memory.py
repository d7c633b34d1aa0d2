"""How much memory there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.workers import memory

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("group", "limits", "most"),
    [
        ("0::/", {"memory.max": "1073741824\n"}, 2**30),
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "1073741824"}, 2**30),
        ("0::/of/the/machine", {"memory.max": "1073741824"}, 2**30),
        ("4:memory:/a", {"memory/a/memory.limit_in_bytes": "1073741824"}, 2**30),
        ("4:memory:/docker/1", {"memory/memory.limit_in_bytes": "1073741824"}, 2**30),
        ("5:cpu:/\n4:memory:/\n0::/", {"memory/memory.limit_in_bytes": "1000", "memory.max": "max"}, 1000),
        ("0::/", {"memory.max": "max\n"}, MACHINE),
        ("4:memory:/", {"memory/memory.limit_in_bytes": str(2**63 - 4096)}, MACHINE),
        ("3:cpuset:/", {"memory.max": "1000"}, MACHINE),
        ("", {}, MACHINE),
    ],
)
def test_a_container_has_what_its_limits_say(group: str, limits: dict[str, str], most: int, tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", group)
    for path, text in limits.items():
        write(tmp_path, f"sys/fs/cgroup/{path}", text)
    assert memory.available(tmp_path) == most


def test_where_there_is_no_container_there_is_what_the_machine_has(tmp_path: Path) -> None:
    assert memory.available(tmp_path) == MACHINE
    assert memory.available() <= MACHINE


BOUNDED = """
from service.workers import memory
kept = bytearray(64 * 1024 * 1024)
for count in (16, 256, 16):
    try:
        with memory.bounded(64 * 1024 * 1024):
            bytearray(count * 1024 * 1024)
        print("taken")
    except MemoryError:
        print("refused")
bytearray(256 * 1024 * 1024)
"""


@pytest.mark.skipif(not memory.can_be_bounded(), reason="this system does not let a process bound its memory")
def test_memory_is_bounded_beside_what_is_taken_and_only_meanwhile() -> None:
    ran = subprocess.run([sys.executable, "-c", BOUNDED], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["taken", "refused", "taken"]
