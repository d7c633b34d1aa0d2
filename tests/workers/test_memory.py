"""How much memory there is."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.workers import memory

MACHINE = memory.available(())


def test_a_container_has_what_its_limit_says(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1073741824\n")
    assert memory.available((str(limit),)) == min(MACHINE, 2**30)


@pytest.mark.parametrize("text", ["max\n", str(2**63 - 4096), ""])
def test_without_a_limit_there_is_what_the_machine_has(text: str, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(text)
    assert memory.available((str(limit), str(tmp_path / "none"))) == MACHINE
    assert MACHINE > 2**28


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
