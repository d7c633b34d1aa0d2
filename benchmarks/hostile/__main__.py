"""Print a row for each attack, or for those whose names are given."""

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from benchmarks.hostile import by_bytes, by_work
from benchmarks.hostile.target import MEMORY, PATIENCE, Target, answers, killed_for_memory, peak_memory, service
from benchmarks.hostile.watching import watched

# An attacker has a machine of its own: on this one it may not take the service's processors. On Linux a thread has a
# niceness of its own, which those that it starts inherit.
_LEAST_URGENT = 19
_COLUMNS = ("attack", "seconds", "peak memory, MB", "answered", "longest wait of /livez, ms", "of a run, ms")


def print_row(target: Target, attack: Callable[[Target], Counter[str]]) -> None:
    """Carry out an attack and print its row."""
    with watched(target) as waits, peak_memory(target) as peak:
        begin = time.perf_counter()
        with ThreadPoolExecutor(1, initializer=os.nice, initargs=(_LEAST_URGENT,)) as attacker:
            answered = attacker.submit(attack, target).result()
        seconds = time.perf_counter() - begin
    said = "; ".join(f"{what} × {count}" if count > 1 else what for what, count in sorted(answered.items()))
    waited = " | ".join(f"{1000 * wait:.0f}" for wait in waits)
    print(f"| {attack.__doc__} | {seconds:.1f} | {peak[0]:,.0f} | {said} | {waited} |", flush=True)


def stop_with_stalled_clients(target: Target) -> str:
    """The row of SIGTERM beside a stalled body and a stalled reader."""
    with ExitStack() as stack:
        half = stack.enter_context(target.connect(target.post(b'{"name": "half"')[:-1]))
        idle = stack.enter_context(target.connect())
        begin = time.perf_counter()
        target.process.send_signal(signal.SIGTERM)
        found = answers([half, idle])
        code = target.process.wait(PATIENCE)
        seconds = time.perf_counter() - begin
    return f"| SIGTERM beside a half-sent body | {seconds:.1f} | | {dict(found)}, exit code {code} | | |"


def main(names: list[str]) -> None:
    """Print the table."""
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}")
    groups = [({}, [*by_bytes.ATTACKS, *by_work.ATTACKS]), ({"GRADBOOK_DEADLINE_SECONDS": "1"}, by_work.HASTY)]
    for variables, attacks in groups:
        chosen = [attack for attack in attacks if not names or attack.__name__ in names]
        if not chosen:
            continue
        with tempfile.TemporaryDirectory() as folder, service(folder, **variables) as target:
            by_work.wait_for_processes(target)
            for attack in chosen:
                print_row(target, attack)
            print(stop_with_stalled_clients(target))
            where = f"a group of {MEMORY >> 20:,} MB" if target.group else "no group of its own"
            print(f"In {where}; processes killed since its memory was exhausted: {killed_for_memory(target)}.\n")


if __name__ == "__main__":
    main(sys.argv[1:])
